//! From an item to the bytes of a mail (contract section 7): the same item gives the same bytes on every machine, for
//! ever, because a restart and a replay compare what stands with what they would write.
//!
//! This room is pure, and this file alone knows the mail builder. Left alone, the builder would write addresses as they
//! come, let a reader decode what merely looks like an encoded word, and make up dates, ids and boundaries. So every
//! field reaches it as text that `words` and `address` made, and everything it would make up is set; structure and
//! transfer encodings are its work.
//!
//! `transcript` is a conversation's day as text and HTML, `thread` Exchange's own threading.
//!
//! Values are cut in three places only: names in a subject (the footer has them whole), a file name in a parameter (the
//! text has it whole), and an identity that as an address would not fit on a line (a digest keeps it distinct).

mod address;
mod body;
mod room;
mod thread;
mod transcript;
mod visible;
mod words;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date as Day;
use jiff::tz::{Offset, TimeZone};
use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

pub use transcript::{frame, measure};

use crate::digest::ItemId;
use crate::export::{Body, ChatItem, Details, FileBody, FileData, ImId, Item, Participant, Person, Role, Room};
use crate::template::{Placeholder, Template};

/// The version of the bytes. Whatever changes one byte of one EML raises it, so that a replay knows what stands. Format 1
/// knew neither transcripts nor events, Exchange's threading, further fields, nor what few records have. In format 2 a name
/// could look like the sign of what nobody said, a transcript's id did not know the words that are no items, and a file's name with
/// quotes could be folded within them.
pub const FORMAT_VERSION: u32 = 3;
/// The first format in which a file's name that has quotes is percent-encoded.
const ENCODED_QUOTES: u32 = 3;
/// The first format in which the words of disclaimers and of the system are part of a transcript's id.
pub const WITH_WORDS: u32 = 3;

/// The domain of addresses and ids that are not mail's own; `.invalid` never resolves (RFC 2606).
const DOMAIN: &str = "icechat.invalid";

/// 0000-01-01T00:00:00Z: RFC 3339, the name and a mail's date have no years before it.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// What a configuration may choose about an EML. With the item and its identity it determines every byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Which version of the bytes.
    pub format: u32,
    /// Whether the text ends with what eDiscovery should find: it indexes bodies, not `X-` fields.
    pub footer: bool,
    /// The zone in which a transcript shows its times, and in which the days of subjects are meant.
    pub zone: TimeZone,
    /// The subject in place of the usual one.
    pub subject: Option<Template>,
    /// Further header fields; their names are good ([`crate::template::check_field_name`]).
    pub headers: Vec<(String, Template)>,
}

/// By what an item is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: ItemId,
    /// The id of the item that it continues or belongs to: a transcript's first part or issue, or the item whose
    /// attachment came later.
    pub follows: Option<ItemId>,
}

/// One item as a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Eml {
    /// The file's name, the same wherever it is staged.
    pub name: String,
    /// The whole mail, with CRLF line ends.
    pub bytes: Vec<u8>,
}

// By hand, because chat text never goes to a log.
impl std::fmt::Debug for Eml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eml").field("name", &self.name).field("len", &self.bytes.len()).finish()
    }
}

/// Bytes that most EMLs of a message have, so that one is seldom moved while it grows.
const USUAL: usize = 2048;

/// The item as an EML (contract 7; RFC 5322, 2045, 2047, 2183, 2231). Formats before 2 have no transcripts.
pub fn render(item: &Item, identity: Identity, shape: &Shape) -> Eml {
    let hex = identity.id.to_string();
    let named = Named { item, identity, shape };
    let mut bytes = Vec::with_capacity(USUAL);
    match item {
        Item::Chat(chat) => {
            named.header(&hex).body(chat_part(chat, identity, shape, &hex)).serialize(&mut bytes);
        }
        Item::Transcript(transcript) => {
            let mut written = transcript::write(transcript, identity, shape);
            let forms = [std::mem::take(&mut written.text), std::mem::take(&mut written.html)];
            named.header(&hex).body(transcript_part(forms, &written, &hex, shape.format)).serialize(&mut bytes);
        }
    }
    bytes.shrink_to_fit();
    Eml { name: file_name(item.time(), identity.id), bytes }
}

fn chat_part<'a>(item: &'a ChatItem, identity: Identity, shape: &Shape, hex: &str) -> MimePart<'a> {
    let mut parts = vec![text_part("text/plain", body::text(item, identity.follows, shape))];
    if let Body::File(FileBody { name, content_type, data: FileData::Inside(data) | FileData::Found(data), .. }) =
        &item.record.body
    {
        let media_type = body::media_type(content_type.as_deref());
        parts.push(file_part(body::parameter_name(name.as_deref()), media_type, data, shape.format));
    }
    let source = item.record.details.as_ref().and_then(|details| details.source.as_deref());
    parts.extend(source.filter(|_| shape.format >= 2).map(|source| source_part(source)));
    if parts.len() == 1 { parts.remove(0) } else { multipart("mixed", &format!("=_icechat_{hex}"), parts) }
}

fn transcript_part<'a>(
    forms: [String; 2],
    written: &'a transcript::Written<'a>,
    hex: &str,
    format: u32,
) -> MimePart<'a> {
    let [text, html] = forms;
    let forms = vec![text_part("text/plain", text), text_part("text/html", html)];
    let mut parts = vec![multipart("alternative", &format!("=_icechat_text_{hex}"), forms)];
    let file = |file: &'a transcript::Attached<'a>| file_part(file.name.clone(), file.media_type, file.data, format);
    parts.extend(written.files.iter().map(file));
    parts.extend(written.source.as_deref().map(source_part));
    if parts.len() == 1 { parts.remove(0) } else { multipart("mixed", &format!("=_icechat_{hex}"), parts) }
}

fn source_part(source: &str) -> MimePart<'_> {
    file_part("source.xml".to_owned(), "application/xml", source.as_bytes(), FORMAT_VERSION)
}

/// `<YYYYMMDDTHHMMSSZ>-<item id>.eml`, the time in UTC, its fraction of a second left out; a year before 0000 counts as
/// 0000.
pub fn file_name(time: Timestamp, id: ItemId) -> String {
    let utc = Offset::UTC.to_datetime(time.max(YEAR_ZERO));
    let (year, month, day) = (utc.year(), utc.month(), utc.day());
    let (hour, minute, second) = (utc.hour(), utc.minute(), utc.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{id}.eml")
}

/// An item with all that its header says.
struct Named<'a> {
    item: &'a Item,
    identity: Identity,
    shape: &'a Shape,
}

impl<'a> Named<'a> {
    fn room(&self) -> &'a Room {
        match self.item {
            Item::Chat(item) => &item.room,
            Item::Transcript(transcript) => &transcript.room,
        }
    }

    /// The sender; none of an event that names nobody.
    fn sender(&self) -> Option<&'a Person> {
        self.item.participants().first().map(|sender| &*sender.person)
    }

    fn message_id(&self) -> Option<&'a str> {
        match self.item {
            Item::Chat(item) => item.record.message_id.as_deref(),
            Item::Transcript(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self.item {
            Item::Chat(item) => item.record.kind.as_str(),
            Item::Transcript(_) => "conversation",
        }
    }

    /// The day by which the room's items are one thread.
    fn day(&self) -> Day {
        match self.item {
            Item::Chat(item) => item.record.day(),
            Item::Transcript(transcript) => transcript.day,
        }
    }

    fn header(&self, id: &'a str) -> MessageBuilder<'a> {
        let room_day = room::day_digest(self.room(), self.item.participants(), self.day());
        let thread = format!("{}@{DOMAIN}", &room_day.to_string()[..32]);
        let follows = self.identity.follows.filter(|_| self.shape.format >= 2).map(|id| format!("{id}@{DOMAIN}"));
        let references = std::iter::once(thread).chain(follows.clone());
        let mail = MessageBuilder::new()
            .date(Date::new(whole_second(self.item.time())))
            .message_id(format!("{id}@{DOMAIN}"))
            .references(MessageId::new_list(references));
        let mut mail = follows.into_iter().fold(mail, MessageBuilder::in_reply_to);
        let mut fields = self.own_fields(id);
        if self.shape.format >= 2 {
            let index = thread::index(room_day, self.day(), self.item.time(), self.identity.id);
            fields.push((Cow::Borrowed("Thread-Topic"), words::unstructured(Cow::Owned(room::topic(self.room())))));
            fields.push((Cow::Borrowed("Thread-Index"), Cow::Owned(index)));
            fields.push((Cow::Borrowed("X-ICE-Chat-Kind"), Cow::Borrowed(self.kind())));
            self.push_details(&mut fields);
            self.push_further(&mut fields);
        }
        mail.headers.reserve(fields.len());
        fields.into_iter().fold(mail, |mail, (name, value)| mail.header(name, Raw::new(value)))
    }

    fn own_fields(&self, id: &'a str) -> Fields<'a> {
        let sender = self.sender();
        let nobody = Person { name: Some("ICE Chat".into()), ..Person::default() };
        let from = sender.filter(|sender| sender.has_identity()).map_or_else(|| address::one(&nobody), address::one);
        let im_id = sender.and_then(|sender| sender.im_id.as_ref()).map(ImId::as_str);
        let people = |role| address::list(with_role(self.item.participants(), role)).map(Cow::Owned);
        let fields = [
            ("From", Some(Cow::Owned(from))),
            ("To", people(Role::Recipient)),
            ("Cc", people(Role::Present)),
            ("Subject", Some(words::unstructured(Cow::Owned(self.subject())))),
            ("Content-Class", Some(Cow::Borrowed("urn:content-class:custom.IceChat"))),
            ("X-ICE-Chat-Room-ID", self.room().id.as_deref().and_then(field)),
            ("X-ICE-Chat-Message-ID", self.message_id().and_then(field)),
            ("X-ICE-Chat-Sender-ImId", im_id.and_then(field)),
            ("X-ICE-Chat-Item-ID", Some(Cow::Borrowed(id))),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?))).collect()
    }

    fn subject(&self) -> String {
        let (room, participants) = (self.room(), self.item.participants());
        if let Some(template) = &self.shape.subject {
            let filled = self.fill(template);
            let line = words::one_line(&filled);
            return if line.is_empty() { "ICE Chat".to_owned() } else { line.into_owned() };
        }
        let subject = room::subject(room, participants);
        match self.item {
            Item::Chat(_) => subject,
            Item::Transcript(transcript) => match transcript.part {
                1 => format!("{subject} {}", transcript.day),
                part => format!("{subject} {}, part {part}", transcript.day),
            },
        }
    }

    fn fill(&self, template: &Template) -> String {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        template.fill(|placeholder| match placeholder {
            Placeholder::Room => room::name(self.room(), self.item.participants()),
            Placeholder::RoomId => owned(self.room().id.as_deref()),
            Placeholder::Date => match self.item {
                Item::Chat(item) => self.shape.zone.to_datetime(item.record.time).date().to_string(),
                Item::Transcript(transcript) => transcript.day.to_string(),
            },
            Placeholder::Time => self.item.time().to_string(),
            Placeholder::Sender => {
                let sender = self.sender().filter(|sender| sender.has_identity());
                sender.map_or(String::new(), |sender| room::shown_name(sender).into_owned())
            }
            Placeholder::Kind => self.kind().to_owned(),
            Placeholder::ItemId => self.identity.id.to_string(),
            Placeholder::MessageId => owned(self.message_id()),
            Placeholder::Part => match self.item {
                Item::Chat(_) => "1".to_owned(),
                Item::Transcript(transcript) => transcript.part.to_string(),
            },
            // Filled in before any item is known.
            Placeholder::FirmCode => String::new(),
        })
    }

    /// What few items have.
    fn push_details(&self, fields: &mut Fields<'a>) {
        match self.item {
            Item::Transcript(transcript) => {
                let part = Cow::Owned(transcript.part.to_string());
                fields.push((Cow::Borrowed("X-ICE-Chat-Date"), Cow::Owned(transcript.day.to_string())));
                fields.push((Cow::Borrowed("X-ICE-Chat-Part"), part));
            }
            Item::Chat(item) => {
                if let Body::File(file) = &item.record.body {
                    let state = match file.data {
                        FileData::Inside(_) | FileData::Found(_) => "attached",
                        FileData::Oversize { .. } => "oversize",
                        FileData::Awaited | FileData::Missing => "missing",
                    };
                    fields.push((Cow::Borrowed("X-ICE-Chat-Attachment"), Cow::Borrowed(state)));
                }
                if let Some(details) = item.record.details.as_deref() {
                    push_extra(details, fields);
                }
            }
        }
    }

    /// The configuration's own.
    fn push_further(&self, fields: &mut Fields<'a>) {
        for (name, template) in &self.shape.headers {
            let filled = self.fill(template);
            if let Some(value) = field_in(name, &filled) {
                fields.push((Cow::Owned(name.clone()), Cow::Owned(value.into_owned())));
            }
        }
    }
}

type Fields<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Each field once: of two whose names come to the same the first stands, and the footer has both.
fn push_extra<'a>(details: &'a Details, fields: &mut Fields<'a>) {
    let mut push = |name: String, value: Cow<'a, str>| {
        if !fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            fields.push((Cow::Owned(name), value));
        }
    };
    if details.history.is_some() {
        push("X-ICE-Chat-History".to_owned(), Cow::Borrowed("shown again"));
    }
    if let Some(value) = details.disclaimer.as_deref().and_then(field) {
        push("X-ICE-Chat-Disclaimer".to_owned(), value);
    }
    for (label, value) in &details.extra {
        let name: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(39).collect();
        let name = name.trim_matches('-');
        let whole = format!("X-ICE-Chat-{name}");
        if let Some(value) = field_in(&whole, value).filter(|_| !name.is_empty()) {
            push(whole, value);
        }
    }
}

fn with_role(participants: &[Participant], role: Role) -> impl Iterator<Item = &Person> {
    participants.iter().filter(move |participant| participant.role == role).map(|participant| &*participant.person)
}

/// A value of the export as a field's value, or `None` where it has nothing to show.
fn field(value: &str) -> Option<Cow<'_, str>> {
    let line = words::one_line(value);
    (!line.is_empty()).then(|| words::unstructured(line))
}

/// As [`field`], for a field whose name is not ours.
fn field_in<'a>(name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    let line = words::one_line(value);
    (!line.is_empty()).then(|| words::unstructured_in(name, line))
}

/// Seconds since 1970, rounded down as the file name's are.
fn whole_second(time: Timestamp) -> i64 {
    let time = time.max(YEAR_ZERO);
    time.as_second() - i64::from(time.subsec_nanosecond() < 0)
}

/// The builder chooses 7bit, quoted-printable or base64, whichever is shortest; but its 7bit lets control characters
/// through, and neither it nor its quoted-printable minds what old transports change.
fn text_part(media_type: &'static str, text: String) -> MimePart<'static> {
    if body::needs_base64(&text) {
        let headers = vec![("Content-Type".into(), Raw::new(format!("{media_type}; charset=\"utf-8\"")).into())];
        // Binary under a raw type is what the builder always writes as base64.
        return MimePart { headers, contents: BodyPart::Binary(text.into_bytes().into()) };
    }
    MimePart::new(media_type, text)
}

fn file_part<'a>(name: String, media_type: &'a str, content: &'a [u8], format: u32) -> MimePart<'a> {
    // The builder folds a long name at a space within its quotes, as RFC 5322 allows; where there are quotes in the name as
    // well, readers have kept the line end.
    let disposition = if format >= ENCODED_QUOTES && name.contains('"') {
        Raw::new(format!("attachment; {}", body::extended("filename", &name))).into()
    } else {
        ContentType::new("attachment").attribute("filename", name).into()
    };
    // A raw type again: the builder would write `text/*` as text, and change its line ends.
    let headers =
        vec![("Content-Type".into(), Raw::new(media_type).into()), ("Content-Disposition".into(), disposition)];
    MimePart { headers, contents: BodyPart::Binary(content.into()) }
}

/// `=_` can stand in neither quoted-printable nor base64 (RFC 2045 section 6.7), and the id in `boundary` depends on the
/// content.
fn multipart<'a>(kind: &str, boundary: &str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    let content_type = ContentType::new(format!("multipart/{kind}")).attribute("boundary", boundary.to_owned());
    MimePart::new(content_type, parts)
}
