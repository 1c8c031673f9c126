//! A record while it is being read: fields arrive in any order, and only at its end is it known what it is worth.

mod person;
mod ranked;
mod reason;

use std::sync::Arc;

use jiff::Timestamp;

use self::person::{Listed, PersonDraft};
pub(super) use self::ranked::{Ranked, Settled};
pub(super) use self::reason::Reason;
use super::assembly::MAX_EVENT;
use super::base64::Failure;
use super::layout::{Layout, Part, RecordKind, Reference, Slot, Target};
use super::profile::Profile;
use super::times::Unreadable;
use super::{
    Body, Details, EventKind, EventRecord, FileBody, FileData, ItemKind, ItemRecord, Person, Record, RejectedRecord,
    trim,
};

/// What became of a record.
#[derive(Debug)]
pub(super) struct Finished {
    /// The record, unless it is an event that names nobody and says nothing.
    pub(super) record: Option<Record>,
    /// What is wrong with an event, which has no rejection of its own to be named in.
    pub(super) complaint: Option<String>,
}

/// A record while it is being read; at first, none.
#[derive(Debug, Default)]
pub(super) struct Draft {
    kind: RecordKind,
    line: u64,
    message_id: Ranked<Box<str>>,
    time: Ranked<Result<Timestamp, Unreadable>>,
    content: Ranked<Box<str>>,
    file_name: Ranked<Box<str>>,
    content_type: Ranked<Box<str>>,
    file_id: Ranked<Box<str>>,
    disclaimer: Ranked<Box<str>>,
    /// By place in the layout's list.
    extra: Vec<(usize, Ranked<Box<str>>)>,
    data: Ranked<Vec<u8>>,
    person: PersonDraft,
    recipient: PersonDraft,
    recipients: Vec<Person>,
    /// Of the list that is open.
    listed: Listed,
    reason: Option<Reason>,
    has_unreadable_time: bool,
    too_long: bool,
    /// Whether it holds what the profile does not name.
    pub(super) is_odd: bool,
    /// Recipients left out because nothing says who they are.
    pub(super) nameless: u64,
}

impl Draft {
    /// Begins an empty record, in place: a draft is large, and there is one for each record.
    pub(super) fn begin(&mut self, kind: RecordKind) {
        let fields = [
            &mut self.message_id,
            &mut self.content,
            &mut self.file_name,
            &mut self.content_type,
            &mut self.file_id,
            &mut self.disclaimer,
        ];
        fields.into_iter().for_each(Ranked::clear);
        self.kind = kind;
        self.line = 0;
        self.time.clear();
        self.extra.clear();
        self.data.clear();
        self.person.clear();
        self.recipient.clear();
        self.recipients.clear();
        self.listed.clear();
        self.reason = None;
        self.has_unreadable_time = false;
        self.too_long = false;
        self.is_odd = false;
        self.nameless = 0;
    }

    /// Lets go of what may be large and became nothing.
    pub(super) fn end(&mut self) {
        self.content.clear();
        self.data.clear();
    }

    /// Says on which line it begins.
    pub(super) fn begins_on(&mut self, line: u64) {
        self.line = line;
    }

    /// What the profile makes of it.
    pub(super) fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Notes why it is no good; the first reason stands.
    pub(super) fn fail(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    /// Notes that it is longer than so many bytes: what was read of it is not all.
    pub(super) fn is_too_long(&mut self, limit: u64) {
        self.too_long = true;
        let is_event = matches!(self.kind, RecordKind::Event(_));
        self.fail(if is_event { Reason::LongEvent(limit) } else { Reason::TooLong(limit) });
    }

    /// Whether it is a time that cannot be read that it has.
    pub(super) fn has_unreadable_time(&self) -> bool {
        self.has_unreadable_time || matches!(self.time.get(), Some(Err(_)))
    }

    /// Takes the text of a field; for all but the content, what is empty after trimming counts as absent.
    pub(super) fn fill(&mut self, target: Target, text: &str, profile: &Profile) {
        let Target { slot, rank } = target;
        let settled = match slot {
            Slot::Content => self.fill_content(rank, text),
            Slot::MessageId => self.message_id.settle_text(rank, text),
            Slot::FileName => self.file_name.settle_text(rank, text),
            Slot::ContentType => self.content_type.settle_text(rank, text),
            Slot::FileId => self.file_id.settle_text(rank, text),
            Slot::Disclaimer => self.disclaimer.settle_text(rank, text),
            Slot::Extra(extra) => self.extra(extra).settle_text(rank, text),
            Slot::Person(part) => self.person.fill(part, rank, text),
            Slot::Recipient(part) => self.recipient.fill(part, rank, text),
            Slot::Recipients(part, delimiter) => {
                let people = person::listed(part, text, &profile.layout.delimiters()[delimiter]);
                if rank == 0 {
                    people.for_each(|person| self.recipient(person));
                } else {
                    self.listed.add(rank, people);
                }
                Settled::Yes
            }
            Slot::Time => self.fill_time(rank, text, profile),
            Slot::DataEncoding => return self.check_encoding(text),
            Slot::Data | Slot::FirmCode | Slot::Date | Slot::RoomId | Slot::RoomName | Slot::Total(_) => Settled::Yes,
        };
        if settled == Settled::Twice && rank == 0 {
            self.fail(Reason::Twice(slot.words()));
        }
    }

    /// Where the content may stand in several places, an empty one counts only if all are: it is a message without text.
    fn fill_content(&mut self, rank: u8, text: &str) -> Settled {
        const LAST: u8 = 0x80;
        let rank = if rank > 0 && trim(text).is_empty() { LAST | rank } else { rank };
        if self.content.wants(rank) { self.content.settle(rank, text.into()) } else { Settled::Yes }
    }

    fn extra(&mut self, extra: usize) -> &mut Ranked<Box<str>> {
        let place = self.extra.iter().position(|(other, _)| *other == extra).unwrap_or_else(|| {
            self.extra.push((extra, Ranked::default()));
            self.extra.len() - 1
        });
        &mut self.extra[place].1
    }

    fn fill_time(&mut self, rank: u8, text: &str, profile: &Profile) -> Settled {
        if trim(text).is_empty() || !self.time.wants(rank) {
            return Settled::Yes;
        }
        let read = profile.times.read(text);
        if let (Err(why), 0) = (read, rank) {
            self.has_unreadable_time = true;
            self.fail(Reason::UnreadableTime(why));
        }
        self.time.settle(rank, read)
    }

    fn check_encoding(&mut self, text: &str) {
        let text = trim(text);
        if !text.is_empty() && !text.eq_ignore_ascii_case("base64") {
            self.fail(Reason::DataEncoding);
        }
    }

    /// Takes an attachment's decoded data, which may be at most `limit` bytes; empty data counts as absent.
    pub(super) fn fill_data(&mut self, rank: u8, data: Result<Vec<u8>, Failure>, limit: u64) {
        match data.map(|data| if data.is_empty() { Settled::Yes } else { self.data.settle(rank, data) }) {
            Ok(Settled::Twice) if rank == 0 => self.fail(Reason::Twice(Slot::Data.words())),
            Ok(_) => {}
            Err(Failure::Malformed) => self.fail(Reason::DataMalformed),
            Err(Failure::TooLong) => self.fail(Reason::DataTooLong(limit)),
        }
    }

    /// Begins another recipient.
    pub(super) fn begin_recipient(&mut self) {
        self.recipient.clear();
    }

    /// Ends a recipient; without an identity it counts as absent.
    pub(super) fn end_recipient(&mut self) {
        let (person, twice) = self.recipient.finish();
        if twice.is_some() {
            self.fail(Reason::Twice(Slot::Recipient(Part::ImId).words()));
        }
        self.recipient(person);
    }

    fn recipient(&mut self, person: Person) {
        if person.has_identity() {
            self.recipients.push(person);
        } else {
            self.nameless += 1;
        }
    }

    /// Ends a list of recipients.
    pub(super) fn end_list(&mut self) {
        for person in self.listed.take() {
            self.recipient(person);
        }
    }

    /// How many recipients it has so far.
    pub(super) fn recipients(&self) -> usize {
        self.recipients.len() + self.listed.len()
    }

    /// What became of it. `run` is the number of the unbroken run of history records that it belongs to; `source` gives it
    /// as it stands in the export.
    pub(super) fn finish(
        &mut self,
        layout: &Layout,
        run: Option<u64>,
        source: impl FnOnce() -> Option<Box<str>>,
    ) -> Finished {
        let (person, twice) = self.person.finish();
        if let Some(part) = twice {
            self.fail(Reason::Twice(Slot::Person(part).words()));
        }
        self.check_ranked();
        let record = match self.kind {
            RecordKind::Message | RecordKind::History => self.item(ItemKind::Message, person, layout, run, source),
            RecordKind::Attachment(_) => self.item(ItemKind::Attachment, person, layout, run, source),
            RecordKind::Event(kind) => return self.event(kind, person, layout, source),
            RecordKind::Ignored => return Finished { record: None, complaint: None },
        };
        Finished { record: Some(record), complaint: None }
    }

    /// What only the end could tell of fields with several places.
    fn check_ranked(&mut self) {
        let fields = [
            (self.message_id.is_twice(), Slot::MessageId),
            (self.time.is_twice(), Slot::Time),
            (self.content.is_twice(), Slot::Content),
            (self.file_name.is_twice(), Slot::FileName),
            (self.content_type.is_twice(), Slot::ContentType),
            (self.file_id.is_twice(), Slot::FileId),
            (self.disclaimer.is_twice(), Slot::Disclaimer),
            (self.data.is_twice(), Slot::Data),
            (self.extra.iter().any(|(_, extra)| extra.is_twice()), Slot::Extra(0)),
        ];
        if let Some((_, slot)) = fields.into_iter().find(|(twice, _)| *twice) {
            self.fail(Reason::Twice(slot.words()));
        }
        if let Some(Err(why)) = self.time.get() {
            self.fail(Reason::UnreadableTime(*why));
        }
    }

    fn details(&mut self, layout: &Layout, history: Option<u64>, source: Option<Box<str>>) -> Option<Box<Details>> {
        let mut extra = std::mem::take(&mut self.extra);
        // As the profile has them, whatever the order in the record.
        extra.sort_unstable_by_key(|(place, _)| *place);
        let named = |(place, mut text): (usize, Ranked<Box<str>>)| {
            text.take().map(|text| (Arc::clone(&layout.extras()[place]), text))
        };
        let details = Details {
            history,
            disclaimer: self.disclaimer.take(),
            extra: extra.into_iter().filter_map(named).collect(),
            source,
        };
        (details != Details::default()).then(|| Box::new(details))
    }

    fn body(&mut self) -> Result<Body, Reason> {
        let RecordKind::Attachment(reference) = self.kind else {
            return self.content.take().map(Body::Text).ok_or(Reason::NoContent);
        };
        let (name, content_type) = (self.file_name.take(), self.content_type.take());
        if let Some(data) = self.data.take() {
            return Ok(Body::File(FileBody { name, content_type, reference: None, data: FileData::Inside(data) }));
        }
        let known_by = match reference {
            Reference::None => return Err(Reason::NoData),
            Reference::FileId => self.file_id.take(),
            Reference::FileName => self.file_id.take().or_else(|| name.clone()),
        };
        let reference = Some(known_by.ok_or(Reason::NoReference)?);
        Ok(Body::File(FileBody { name, content_type, reference, data: FileData::Awaited }))
    }

    fn item(
        &mut self,
        kind: ItemKind,
        sender: Person,
        layout: &Layout,
        run: Option<u64>,
        source: impl FnOnce() -> Option<Box<str>>,
    ) -> Record {
        let body = self.body();
        let (line, time) = (self.line, self.time.take().and_then(Result::ok));
        let whole = match (self.reason, time, body) {
            (Some(reason), ..) => Err(reason),
            _ if !sender.has_identity() => Err(Reason::NoSender),
            (None, None, _) => Err(Reason::NoTime),
            (None, Some(time), body) => body.map(|body| (time, body)),
        };
        match whole {
            Ok((time, body)) => {
                let source = if self.is_odd { source() } else { None };
                let details = self.details(layout, run, source);
                let (message_id, recipients) = (self.message_id.take(), std::mem::take(&mut self.recipients));
                Record::Item(ItemRecord { kind, line, message_id, sender, recipients, time, body, details })
            }
            Err(reason) => {
                let (reason, recipients) = (reason.to_string(), std::mem::take(&mut self.recipients));
                Record::Rejected(RejectedRecord { kind, line, reason, sender, recipients })
            }
        }
    }

    fn event(
        &mut self,
        kind: EventKind,
        person: Person,
        layout: &Layout,
        source: impl FnOnce() -> Option<Box<str>>,
    ) -> Finished {
        let line = self.line;
        let said = matches!(kind, EventKind::Disclaimer | EventKind::System);
        let no_time = self.time.get().is_none() && !said;
        let reason = self.reason.or_else(|| no_time.then_some(Reason::NoTime));
        // What was read of words is not what was said, whatever else is wrong.
        let fault = match (said, self.too_long, self.content.is_twice()) {
            (true, true, _) => Some(Reason::LongEvent(MAX_EVENT)),
            (true, _, true) => Some(Reason::Twice(Slot::Content.words())),
            _ => None,
        };
        let fault = fault.map(|fault| fault.to_string().into());
        let text = self.content.take().filter(|text| fault.is_none() && !trim(text).is_empty());
        // A time given twice decides nothing: taking either would place someone in the room, or out of it, by guess.
        let time = self.time.take().and_then(Result::ok);
        let time = time.filter(|_| !matches!(reason, Some(Reason::Twice("time") | Reason::UnreadableTime(_))));
        let invited = std::mem::take(&mut self.recipients);
        let nobody = match kind {
            EventKind::Entered | EventKind::Left => !person.has_identity(),
            EventKind::Invited => invited.is_empty(),
            EventKind::Disclaimer | EventKind::System => false,
        };
        if nobody && !(kind == EventKind::Invited && person.has_identity()) {
            return Finished { record: None, complaint: Some("names nobody".to_owned()) };
        }
        let source = if self.is_odd { source() } else { None };
        let (id, details) = (self.message_id.take(), self.details(layout, None, source));
        let record = Record::Event(EventRecord { kind, line, id, person, invited, time, text, fault, details });
        let complaint =
            if nobody { Some("names nobody invited".to_owned()) } else { reason.map(|reason| reason.to_string()) };
        Finished { record: Some(record), complaint }
    }
}
