//! A record while it is being read: fields arrive in any order, and only at its end is it known what it is worth.

use std::fmt;

use jiff::Timestamp;

use super::base64::Failure;
use super::layout::{Part, RecordKind, Slot};
use super::{Body, Email, ImId, ItemKind, ItemRecord, Person, PresenceRecord, Record, RejectedRecord, time, trim};

/// Why a record is rejected: an operator's words, never the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    NoSender,
    NoTime,
    UnreadableTime,
    NoContent,
    NoData,
    Twice(&'static str),
    LongField(&'static str),
    TooLong(u64),
    DataTooLong(u64),
    DataMalformed,
    DataEncoding,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSender => f.write_str("no sender"),
            Self::NoTime => f.write_str("no time"),
            Self::UnreadableTime => f.write_str("the time is neither RFC 3339 with an offset nor Unix seconds"),
            Self::NoContent => f.write_str("no content"),
            Self::NoData => f.write_str("no data"),
            Self::Twice(field) => write!(f, "the {field} is given twice with different values"),
            Self::LongField(field) => write!(f, "the {field} is longer than {} bytes", super::assembly::MAX_FIELD),
            Self::TooLong(limit) => write!(f, "longer than limits.max_message ({limit} bytes)"),
            Self::DataTooLong(limit) => write!(f, "the data is longer than limits.max_attachment ({limit} bytes)"),
            Self::DataMalformed => f.write_str("the data is not base64"),
            Self::DataEncoding => f.write_str("the data is in another encoding than base64"),
        }
    }
}

/// A person while it is being read.
#[derive(Debug, Default)]
pub(super) struct PersonDraft {
    im_id: Option<ImId>,
    email: Option<Email>,
    name: Option<Box<str>>,
    first: Option<Box<str>>,
    last: Option<Box<str>>,
    company: Option<Box<str>>,
}

impl PersonDraft {
    /// Takes a part; `false` where it is there with another value. What is empty counts as absent.
    fn fill(&mut self, part: Part, text: &str) -> bool {
        match part {
            Part::ImId => ImId::new(text).is_none_or(|id| settle(&mut self.im_id, id)),
            Part::Email => Email::new(text).is_none_or(|email| settle(&mut self.email, email)),
            Part::Name => settle_text(&mut self.name, text),
            Part::FirstName => settle_text(&mut self.first, text),
            Part::LastName => settle_text(&mut self.last, text),
            Part::Company => settle_text(&mut self.company, text),
        }
    }

    fn finish(&mut self) -> Person {
        let draft = std::mem::take(self);
        let name = draft.name.or_else(|| match (draft.first, draft.last) {
            (Some(first), Some(last)) => Some(format!("{first} {last}").into()),
            (first, last) => first.or(last),
        });
        Person { im_id: draft.im_id, email: draft.email, name, company: draft.company }
    }
}

/// What became of a record.
#[derive(Debug)]
pub(super) struct Finished {
    /// The record, unless it is an event that names nobody.
    pub(super) record: Option<Record>,
    /// What is wrong with an event, which has no rejection of its own to be named in.
    pub(super) complaint: Option<String>,
}

/// A record while it is being read.
#[derive(Debug)]
pub(super) struct Draft {
    kind: RecordKind,
    line: u64,
    message_id: Option<Box<str>>,
    time: Option<Timestamp>,
    content: Option<Box<str>>,
    file_name: Option<Box<str>>,
    content_type: Option<Box<str>>,
    data: Option<Vec<u8>>,
    person: PersonDraft,
    recipient: PersonDraft,
    recipients: Vec<Person>,
    reason: Option<Reason>,
    /// Recipients left out because nothing says who they are.
    pub(super) nameless: u64,
    /// Whether a time was given that could not be read.
    pub(super) unreadable_time: bool,
}

impl Draft {
    /// An empty record.
    pub(super) fn new(kind: RecordKind) -> Self {
        Self {
            kind,
            line: 0,
            message_id: None,
            time: None,
            content: None,
            file_name: None,
            content_type: None,
            data: None,
            person: PersonDraft::default(),
            recipient: PersonDraft::default(),
            recipients: Vec::new(),
            reason: None,
            nameless: 0,
            unreadable_time: false,
        }
    }

    /// Says on which line it begins.
    pub(super) fn begins_on(&mut self, line: u64) {
        self.line = line;
    }

    /// Notes why it is no good; the first reason stands.
    pub(super) fn fail(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    /// Takes the text of a field; for all but the content, what is empty after trimming counts as absent.
    pub(super) fn fill(&mut self, slot: Slot, text: &str) {
        let settled = match slot {
            Slot::Content => settle(&mut self.content, text.into()),
            Slot::MessageId => settle_text(&mut self.message_id, text),
            Slot::FileName => settle_text(&mut self.file_name, text),
            Slot::ContentType => settle_text(&mut self.content_type, text),
            Slot::Person(part) => self.person.fill(part, text),
            Slot::Recipient(part) => self.recipient.fill(part, text),
            Slot::Time => return self.fill_time(text),
            Slot::DataEncoding => return self.check_encoding(text),
            Slot::Data | Slot::FirmCode | Slot::Date | Slot::RoomId | Slot::RoomName => true,
        };
        if !settled {
            self.fail(Reason::Twice(slot.words()));
        }
    }

    fn fill_time(&mut self, text: &str) {
        if trim(text).is_empty() {
            return;
        }
        match time::instant(text) {
            Some(time) if settle(&mut self.time, time) => {}
            Some(_) => self.fail(Reason::Twice(Slot::Time.words())),
            None => {
                self.unreadable_time = true;
                self.fail(Reason::UnreadableTime);
            }
        }
    }

    fn check_encoding(&mut self, text: &str) {
        let text = trim(text);
        if !text.is_empty() && !text.eq_ignore_ascii_case("base64") {
            self.fail(Reason::DataEncoding);
        }
    }

    /// Takes an attachment's decoded data, which may be at most `limit` bytes; empty data counts as absent.
    pub(super) fn fill_data(&mut self, data: Result<Vec<u8>, Failure>, limit: u64) {
        match data.map(|data| data.is_empty() || settle(&mut self.data, data)) {
            Ok(true) => {}
            Ok(false) => self.fail(Reason::Twice(Slot::Data.words())),
            Err(Failure::Malformed) => self.fail(Reason::DataMalformed),
            Err(Failure::TooLong) => self.fail(Reason::DataTooLong(limit)),
        }
    }

    /// Begins another recipient.
    pub(super) fn begin_recipient(&mut self) {
        self.recipient = PersonDraft::default();
    }

    /// Ends a recipient, and says how many there are; without an identity it counts as absent.
    pub(super) fn end_recipient(&mut self) -> usize {
        let person = self.recipient.finish();
        if person.has_identity() {
            self.recipients.push(person);
        } else {
            self.nameless += 1;
        }
        self.recipients.len()
    }

    /// What became of it.
    pub(super) fn finish(mut self) -> Finished {
        let person = self.person.finish();
        match self.kind {
            RecordKind::Item(kind) => Finished { record: Some(self.item(kind, person)), complaint: None },
            RecordKind::Presence(presence) => self.presence(presence, person),
            RecordKind::Event => Finished { record: None, complaint: None },
        }
    }

    fn item(self, kind: ItemKind, sender: Person) -> Record {
        let Self { line, message_id, recipients, reason, .. } = self;
        let body = match kind {
            ItemKind::Message => self.content.map(Body::Text).ok_or(Reason::NoContent),
            ItemKind::Attachment => {
                let (name, content_type) = (self.file_name, self.content_type);
                self.data.map(|data| Body::File { name, content_type, data }).ok_or(Reason::NoData)
            }
        };
        let whole = match (reason, self.time, body) {
            (Some(reason), ..) => Err(reason),
            _ if !sender.has_identity() => Err(Reason::NoSender),
            (None, None, _) => Err(Reason::NoTime),
            (None, Some(time), body) => body.map(|body| (time, body)),
        };
        match whole {
            Ok((time, body)) => Record::Item(ItemRecord { kind, line, message_id, sender, recipients, time, body }),
            Err(reason) => {
                Record::Rejected(RejectedRecord { kind, line, reason: reason.to_string(), sender, recipients })
            }
        }
    }

    fn presence(self, presence: super::Presence, person: Person) -> Finished {
        let reason = self.reason.or_else(|| self.time.is_none().then_some(Reason::NoTime));
        // A time given twice decides nothing: taking either would place someone in the room, or out of it, by guess.
        let time = self.time.filter(|_| !matches!(reason, Some(Reason::Twice("time") | Reason::UnreadableTime)));
        if !person.has_identity() {
            return Finished { record: None, complaint: Some("names nobody".to_owned()) };
        }
        let record = Record::Presence(PresenceRecord { presence, person, time });
        Finished { record: Some(record), complaint: reason.map(|reason| reason.to_string()) }
    }
}

/// Takes a value; `false` where another one is there.
pub(super) fn settle<T: PartialEq>(slot: &mut Option<T>, value: T) -> bool {
    if let Some(present) = slot {
        return *present == value;
    }
    *slot = Some(value);
    true
}

/// As [`settle`], for text that is trimmed, and absent where nothing is left.
pub(super) fn settle_text<T: PartialEq + for<'a> From<&'a str>>(slot: &mut Option<T>, text: &str) -> bool {
    let text = trim(text);
    text.is_empty() || settle(slot, text.into())
}
