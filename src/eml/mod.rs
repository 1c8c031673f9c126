//! From an item to the bytes of a mail (contract section 7): the same item gives the same bytes on every machine, for
//! ever, because a restart and a replay compare what stands with what they would write.
//!
//! This room is pure, and this file alone knows the mail builder. Left alone, the builder would write addresses as they
//! come, let a reader decode what merely looks like an encoded word, and make up dates, ids and boundaries. So every
//! field reaches it as text that `words` and `address` made, and everything it would make up is set; structure and
//! transfer encodings are its work.
//!
//! Values are cut in three places only: names in a subject (the footer has them whole), a file name in a parameter (the
//! text has it whole), and an identity that as an address would not fit on a line (a digest keeps it distinct).

mod address;
mod body;
mod room;
mod words;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

use crate::digest::ItemId;
use crate::export::{Body, ChatItem, ImId, Person, Role};

/// The version of the bytes. Whatever changes one byte of one EML raises it, so that a replay knows what stands.
pub const FORMAT_VERSION: u32 = 1;

/// The domain of addresses and ids that are not mail's own; `.invalid` never resolves (RFC 2606).
const DOMAIN: &str = "icechat.invalid";

/// 0000-01-01T00:00:00Z: RFC 3339, the name and a mail's date have no years before it.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// What a configuration may choose about an EML. With [`FORMAT_VERSION`] and the item it determines every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whether the text ends with what eDiscovery should find: it indexes bodies, not `X-` fields.
    pub footer: bool,
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

/// The item as an EML (contract 7; RFC 5322, 2045, 2047, 2183, 2231).
pub fn render(item: &ChatItem, id: ItemId, shape: Shape) -> Eml {
    let hex = id.to_string();
    let text = text_part(body::text(item, shape.footer));
    let content = match &item.record.body {
        Body::Text(_) => text,
        Body::File { name, content_type, data } => {
            let file =
                file_part(body::parameter_name(name.as_deref()), body::media_type(content_type.as_deref()), data);
            multipart(&hex, vec![text, file])
        }
    };
    let mut bytes = Vec::new();
    header(item, &hex).body(content).serialize(&mut bytes);
    Eml { name: file_name(item.record.time, id), bytes }
}

/// `<YYYYMMDDTHHMMSSZ>-<item id>.eml`, the time in UTC, its fraction of a second left out; a year before 0000 counts as
/// 0000.
pub fn file_name(time: Timestamp, id: ItemId) -> String {
    let utc = Offset::UTC.to_datetime(time.max(YEAR_ZERO));
    let (year, month, day) = (utc.year(), utc.month(), utc.day());
    let (hour, minute, second) = (utc.hour(), utc.minute(), utc.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{id}.eml")
}

fn header<'a>(item: &'a ChatItem, id: &'a str) -> MessageBuilder<'a> {
    let im_id = item.sender().im_id.as_ref().map(ImId::as_str);
    let fields = [
        ("From", Some(Cow::Owned(address::one(item.sender())))),
        ("To", address::list(people(item, Role::Recipient)).map(Cow::Owned)),
        ("Cc", address::list(people(item, Role::Present)).map(Cow::Owned)),
        ("Subject", Some(words::unstructured(Cow::Owned(room::subject(item))))),
        ("Content-Class", Some(Cow::Borrowed("urn:content-class:custom.IceChat"))),
        ("X-ICE-Chat-Room-ID", item.room.id.as_deref().and_then(field)),
        ("X-ICE-Chat-Message-ID", item.record.message_id.as_deref().and_then(field)),
        ("X-ICE-Chat-Sender-ImId", im_id.and_then(field)),
        ("X-ICE-Chat-Item-ID", Some(Cow::Borrowed(id))),
    ];
    let mail = MessageBuilder::new()
        .date(Date::new(whole_second(item.record.time)))
        .message_id(format!("{id}@{DOMAIN}"))
        .references(format!("{}@{DOMAIN}", room::day_id(item)));
    let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    present.fold(mail, |mail, (name, value)| mail.header(name, Raw::new(value)))
}

fn people(item: &ChatItem, role: Role) -> impl Iterator<Item = &Person> {
    item.participants.iter().filter(move |participant| participant.role == role).map(|participant| &*participant.person)
}

/// A value of the export as a field's value, or `None` where it has nothing to show.
fn field(value: &str) -> Option<Cow<'_, str>> {
    let line = words::one_line(value);
    (!line.is_empty()).then(|| words::unstructured(line))
}

/// Seconds since 1970, rounded down as the file name's are.
fn whole_second(time: Timestamp) -> i64 {
    let time = time.max(YEAR_ZERO);
    time.as_second() - i64::from(time.subsec_nanosecond() < 0)
}

/// The builder chooses 7bit, quoted-printable or base64, whichever is shortest; but its 7bit lets control characters
/// through, and neither it nor its quoted-printable minds what old transports change.
fn text_part(text: String) -> MimePart<'static> {
    if body::needs_base64(&text) {
        let headers = vec![("Content-Type".into(), Raw::new("text/plain; charset=\"utf-8\"").into())];
        // Binary under a raw type is what the builder always writes as base64.
        return MimePart { headers, contents: BodyPart::Binary(text.into_bytes().into()) };
    }
    MimePart::new("text/plain", text)
}

fn file_part<'a>(name: String, media_type: &'a str, content: &'a [u8]) -> MimePart<'a> {
    let disposition = ContentType::new("attachment").attribute("filename", name);
    // A raw type again: the builder would write `text/*` as text, and change its line ends.
    let headers =
        vec![("Content-Type".into(), Raw::new(media_type).into()), ("Content-Disposition".into(), disposition.into())];
    MimePart { headers, contents: BodyPart::Binary(content.into()) }
}

fn multipart<'a>(id: &str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    // `=_` can stand in neither quoted-printable nor base64 (RFC 2045 section 6.7), and the id depends on the content.
    let boundary = format!("=_icechat_{id}");
    MimePart::new(ContentType::new("multipart/mixed").attribute("boundary", boundary), parts)
}
