//! The conversation model: what an export says, as plain data that no stage after the reader has to parse again.
//!
//! This room is pure: no files, clock, network or logging. It knows neither mailboxes nor mail; it is shared by the
//! reader that fills it, the rule that resolves it and the renderer that writes it.
//!
//! How it is filled, from the outside in: [`passes`] reads an export twice; [`roster`] knows who takes part in a
//! conversation, `days` on which day; [`reader`] makes records of XML, by `assembly` and `draft`, along the `layout` that a
//! [`profile`] is compiled to; `xml` knows what XML is, and `source` measures and checks every byte before. [`files`] says
//! by their names which files go together, [`totals`] whether everything came. [`transcript`] is a conversation's day as
//! one item. [`identity`] says by what an item is known, [`lint`] how well a profile fits, and [`infer`] proposes one.

mod assembly;
mod base64;
pub mod carried;
mod days;
mod draft;
pub mod fault;
mod file_date;
pub mod files;
mod grammar;
pub mod identity;
pub mod infer;
mod layout;
pub mod lint;
pub mod passes;
mod person;
pub mod profile;
pub mod reader;
pub mod roster;
mod shape;
mod sink;
mod source;
mod tally;
#[cfg(test)]
mod testing;
pub mod time;
mod times;
pub mod totals;
pub mod transcript;
mod xml;

use jiff::Timestamp;
use jiff::civil::Date;

pub use self::person::{Email, ImId, Person, trim};
use crate::digest::Sha256;

/// What an item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A message's text; empty for a message without text.
    Text(Box<str>),
    /// An attachment.
    File(FileBody),
}

/// A file that was sent into the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBody {
    /// The name the sender's computer gave it, never a path here.
    pub name: Option<Box<str>>,
    /// The media type the export claims.
    pub content_type: Option<Box<str>>,
    /// By what a sibling archive knows it, where it does not stand in the export: a file id or a name.
    pub reference: Option<Box<str>>,
    /// Its bytes, or where they are.
    pub data: FileData,
}

/// Where the bytes of an attachment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileData {
    /// In the export; decoded here.
    Inside(Vec<u8>),
    /// In a sibling archive, which nobody has asked yet: what the reader says of every reference.
    Awaited,
    /// In a sibling archive; taken from it.
    Found(Vec<u8>),
    /// Too large for a mail (`eml.max_attachment`): they stay in the encrypted original.
    Oversize {
        /// How many.
        bytes: u64,
        /// Of them.
        sha256: Sha256,
    },
    /// Named by the export, and no archive had them when the item was taken in.
    Missing,
}

/// What happens in a room beside what is said. None of these becomes an item of its own unless that is asked for
/// (`eml.events`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// Someone came.
    Entered,
    /// Someone went.
    Left,
    /// Someone was asked to come.
    Invited,
    /// A firm's standing words.
    Disclaimer,
    /// Words of the system's own.
    System,
}

impl EventKind {
    /// All there are, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Entered, Self::Left, Self::Invited, Self::Disclaimer, Self::System];

    /// The word that stands in profiles, in reports and in the item id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left => "left",
            Self::Invited => "invited",
            Self::Disclaimer => "disclaimer",
            Self::System => "system",
        }
    }
}

/// The kinds of record that become items of their own (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A chat message.
    Message,
    /// A file sent into the room.
    Attachment,
    /// Something that happened, where events are wanted as items.
    Event(EventKind),
}

impl ItemKind {
    /// The word that stands in reports and in the item id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Attachment => "attachment",
            Self::Event(kind) => kind.as_str(),
        }
    }
}

/// What few records have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// A message from before, shown again to who came later: the number of the unbroken run of such records in the export,
    /// from 0.
    pub history: Option<u64>,
    /// By what the record refers to a disclaimer.
    pub disclaimer: Option<Box<str>>,
    /// Further fields that the profile keeps: what each is called, and its text.
    pub extra: Vec<(std::sync::Arc<str>, Box<str>)>,
    /// The record as it stands in the export, where it holds what the profile does not name.
    pub source: Option<Box<str>>,
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
    /// What most records do not have.
    pub details: Option<Box<Details>>,
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

/// Something that happened in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// What.
    pub kind: EventKind,
    /// The line of the export on which the record begins, from 1.
    pub line: u64,
    /// The vendor's id, where it gives one; of a disclaimer, by what records refer to it.
    pub id: Option<Box<str>>,
    /// Who came, went or invited; nobody needs to be named in the others.
    pub person: Person,
    /// Who was invited; each has an identity.
    pub invited: Vec<Person>,
    /// When; an event without a readable time completes names and decides no presence.
    pub time: Option<Timestamp>,
    /// The words of a disclaimer or of the system.
    pub text: Option<Box<str>>,
    /// Why its words are not here, where they could not be read whole: in words for an operator.
    pub fault: Option<Box<str>>,
    /// What most records do not have.
    pub details: Option<Box<Details>>,
}

/// What a conversation holds, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Becomes an item.
    Item(ItemRecord),
    /// Would be an item, but is not whole.
    Rejected(RejectedRecord),
    /// Something happened.
    Event(EventRecord),
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
    /// The completed sender; of an event that names nobody, a person without identity.
    pub fn sender(&self) -> &Person {
        &self.participants[0].person
    }
}

/// What becomes one EML.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is a message, and a box for each would cost")]
pub enum Item {
    /// A message, an attachment or an event.
    Chat(ChatItem),
    /// A conversation's day, or a part of it.
    Transcript(Box<transcript::Transcript>),
}

impl Item {
    /// When it was sent; of a transcript, its first line.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Chat(item) => item.record.time,
            Self::Transcript(transcript) => transcript.time,
        }
    }

    /// The day of its time in UTC: what decides whose an `ImId` was (contract 6).
    pub fn day(&self) -> Date {
        time::utc_day(self.time())
    }

    /// Whom it concerns, the sender first.
    pub fn participants(&self) -> &[Participant] {
        match self {
            Self::Chat(item) => &item.participants,
            Self::Transcript(transcript) => &transcript.participants,
        }
    }

    /// Those of whom something says who they are: an event may have a sender of whom nothing does.
    pub fn people(&self) -> impl Iterator<Item = &std::sync::Arc<Person>> {
        self.participants().iter().map(|participant| &participant.person).filter(|person| person.has_identity())
    }
}
