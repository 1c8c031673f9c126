//! The conversation model: what an export says, as plain data that no stage after the reader has to parse again.
//!
//! This room is pure: no files, clock, network or logging. It knows neither mailboxes nor mail; it is shared by the
//! reader that fills it, the rule that resolves it and the renderer that writes it.
//!
//! How it is filled, from the outside in: [`passes`] reads an export twice; [`roster`] knows who takes part in a
//! conversation; [`reader`] makes records of XML, by `assembly` and `draft`, along the `layout` that a [`profile`] is
//! compiled to; `source` measures and checks every byte before. [`identity`] says by what an item is known, [`lint`] how
//! well a profile fits.

mod assembly;
mod base64;
mod draft;
pub mod fault;
mod file_date;
mod grammar;
pub mod identity;
mod layout;
pub mod lint;
pub mod passes;
pub mod profile;
pub mod reader;
pub mod roster;
mod source;
mod tally;
#[cfg(test)]
mod testing;
pub mod time;

use jiff::Timestamp;
use jiff::civil::Date;

/// Text that is trimmed, never empty, and compared without case; what it is folded to is worked out once.
#[derive(Debug, Clone)]
struct Folded {
    text: Box<str>,
    /// None where folding changes nothing.
    folded: Option<Box<str>>,
}

impl Folded {
    fn new(text: &str) -> Option<Self> {
        let text = trim(text);
        (!text.is_empty()).then(|| Self { text: text.into(), folded: fold_if_needed(text) })
    }

    fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }
}

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Folded {}

/// A person's login on ICE Chat: trimmed, never empty, compared without case (contract 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImId(Folded);

impl ImId {
    /// The identifier in `text`, or `None` where nothing is left after trimming.
    pub fn new(text: &str) -> Option<Self> {
        Folded::new(text).map(Self)
    }

    /// As the export or the mapping wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The form in which two identifiers are compared.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }

    /// As [`ImId::folded`], to keep.
    pub fn into_folded(self) -> Box<str> {
        self.0.folded.unwrap_or(self.0.text)
    }
}

/// An e-mail address as the export gives it: trimmed, never empty, not necessarily valid, compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(Folded);

impl Email {
    /// The address in `text`, or `None` where nothing is left after trimming.
    pub fn new(text: &str) -> Option<Self> {
        Folded::new(text).map(Self)
    }

    /// As the export wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The form in which two addresses are compared.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }
}

/// White space as people leave it in cells and elements: Unicode's, the byte order mark and the zero-width space.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

fn fold_if_needed(text: &str) -> Option<Box<str>> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text.to_lowercase();
    (folded != text).then(|| folded.into_boxed_str())
}

/// What an export says of a person at one place: in a presence event, as a sender or as a recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The login on ICE Chat.
    pub im_id: Option<ImId>,
    /// The address beside it.
    pub email: Option<Email>,
    /// `First Last`, whichever of the two is given, or the vendor's one name field.
    pub name: Option<Box<str>>,
    /// The firm the person works for.
    pub company: Option<Box<str>>,
}

impl Person {
    /// Whether anything says who this is. A name alone does not.
    pub fn has_identity(&self) -> bool {
        self.im_id.is_some() || self.email.is_some()
    }
}

/// What an item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A message's text; empty for a message without text.
    Text(Box<str>),
    /// An attachment that stands in the export itself.
    File {
        /// The name the sender's computer gave it, never a path here.
        name: Option<Box<str>>,
        /// The media type the export claims.
        content_type: Option<Box<str>>,
        /// The bytes, decoded.
        data: Vec<u8>,
    },
}

/// The two kinds of record that become items of their own (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A chat message.
    Message,
    /// A file sent into the room.
    Attachment,
}

impl ItemKind {
    /// The word that stands in reports and in the item id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Attachment => "attachment",
        }
    }
}

/// A record that becomes an item: sender, time and content are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRecord {
    /// Message or attachment.
    pub kind: ItemKind,
    /// The line of the export on which the record begins, from 1.
    pub line: u64,
    /// The vendor's id, unique at best within a room.
    pub message_id: Option<Box<str>>,
    /// Who sent it, as this record says it.
    pub sender: Person,
    /// Whom the record itself lists; each has an identity.
    pub recipients: Vec<Person>,
    /// When it was sent.
    pub time: Timestamp,
    /// What was sent.
    pub body: Body,
}

impl ItemRecord {
    /// The day on which it was sent, in UTC: what decides whose an `ImId` was (contract 6).
    pub fn day(&self) -> Date {
        time::utc_day(self.time)
    }
}

/// A record that would be an item but lacks something or exceeds a limit. It stays in the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Message or attachment.
    pub kind: ItemKind,
    /// The line on which the record begins, from 1.
    pub line: u64,
    /// Why, in words for an operator, without the record's content.
    pub reason: String,
    /// The sender where it is known: who spoke was there, whatever became of the record.
    pub sender: Person,
    /// The recipients that could be read.
    pub recipients: Vec<Person>,
}

/// Coming or going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The person is in the room from this time on.
    Entered,
    /// The person is not in the room from this time on.
    Left,
}

/// One presence event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceRecord {
    /// Coming or going.
    pub presence: Presence,
    /// Who.
    pub person: Person,
    /// When; an event without a readable time completes names and decides no presence.
    pub time: Option<Timestamp>,
}

/// What a conversation holds, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Becomes an item.
    Item(ItemRecord),
    /// Would be an item, but is not whole.
    Rejected(RejectedRecord),
    /// Someone came or went.
    Presence(PresenceRecord),
}

/// What a conversation says of itself, known for certain only at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// The vendor's id of the room.
    pub id: Option<Box<str>>,
    /// The name people gave it.
    pub name: Option<Box<str>>,
}

/// What an export says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The firm it was made for.
    pub firm_code: Option<String>,
    /// The day it is about.
    pub date: Option<Date>,
}

/// How a participant came to be one of an item's; decides the header field that names them (contract 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `From`.
    Sender,
    /// `To`: the record lists them.
    Recipient,
    /// `Cc`: they were in the room.
    Present,
}

/// One participant of an item, completed from the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// How they came to be one.
    pub role: Role,
    /// Who they are; has an identity.
    pub person: std::sync::Arc<Person>,
}

/// An item with its room and everyone it concerns: what leaves this room. Exactly one participant, the first, is the
/// sender; no two participants have both the same `ImId` and the same e-mail.
#[derive(Debug, Clone)]
pub struct ChatItem {
    /// The record, its persons as the export wrote them.
    pub record: ItemRecord,
    /// Where it was said.
    pub room: std::sync::Arc<Room>,
    /// Sender first, then recipients or those present, in document order.
    pub participants: Vec<Participant>,
}

impl ChatItem {
    /// The completed sender.
    pub fn sender(&self) -> &Person {
        &self.participants[0].person
    }
}
