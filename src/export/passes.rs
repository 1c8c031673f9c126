//! The two passes over an export (architecture, "the flow"): the first surveys it to its end, the second hands out its
//! items with everyone they concern, both in memory that does not grow with the export.
//!
//! Who takes part in a conversation is known only at its end. A small conversation is held in memory until then; of a
//! large one the survey keeps who takes part and when, so that the second pass can stream it.
//!
//! `conversation` is one of them in the second pass, `pages` its days as transcripts.

mod conversation;
mod counts;
mod pages;

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::sync::Arc;

use jiff::tz::TimeZone;

pub use counts::{Counts, EventCounts};

use self::conversation::{Conversation, Out, Stop};
use super::carried::{Before, Presence};
use super::days::{Calendar, Days};
use super::fault::{ExportError, Fault, Position};
use super::identity::reference_key;
use super::profile::Profile;
use super::reader::{ReadLimits, Reader, Step as ReaderStep};
use super::roster::{Attendance, Roster, RosterFull};
use super::totals::Counted;
use super::transcript::{Line, Transcript};
use super::{Body, ChatItem, EventRecord, FileData, Header, ItemKind, ItemRecord, Record, RejectedRecord, Room};

/// How large a conversation may be to be held in memory. A large one whose days come back after others have begun has
/// other parts than a small one, so another default is another `eml::FORMAT_VERSION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Bytes its records take in the export.
    pub bytes: u64,
    /// Its records.
    pub records: u64,
}

impl Default for Hold {
    fn default() -> Self {
        Self { bytes: 4 << 20, records: 4096 }
    }
}

/// What becomes an item.
#[derive(Debug, Clone, Default)]
pub struct Grouping {
    /// A conversation's day is one item; else each message and attachment is.
    pub by_day: Option<ByDay>,
    /// Whether events are items as well.
    pub events: bool,
}

impl Grouping {
    fn calendar(&self) -> Option<Calendar> {
        self.by_day.as_ref().map(|by_day| Calendar { zone: by_day.zone.clone(), events: self.events })
    }

    /// The same, where archives have so much of what the export names, by [`reference_key`].
    #[must_use]
    pub fn with_attached(&self, attached: &Arc<HashMap<u64, u64>>) -> Self {
        let by_day = self.by_day.clone().map(|by_day| ByDay { attached: Arc::clone(attached), ..by_day });
        Self { by_day, ..*self }
    }

    /// Whether the record takes a place among the export's items and rejected records.
    fn counts(&self, record: &Record) -> bool {
        self.events || !matches!(record, Record::Event(_))
    }
}

/// How conversations are grouped by day.
#[derive(Debug, Clone)]
pub struct ByDay {
    /// The zone in which days are meant.
    pub zone: TimeZone,
    /// Bytes of an EML beyond which a transcript continues in another part.
    pub max_size: u64,
    /// Whether words that are no items, of disclaimers and of the system, are part of what a transcript is known by.
    pub words: bool,
    /// Bytes that a line takes in an EML, at most; but for what an archive has of it.
    pub measure: fn(&Line) -> u64,
    /// Bytes that archives have of what the export names, by [`reference_key`].
    pub attached: Arc<HashMap<u64, u64>>,
    /// Bytes that all but the lines take in an EML, at most: of a part whose lines are still to come.
    pub frame: fn(&Transcript) -> u64,
}

impl ByDay {
    /// Bytes that a line takes in an EML, at most.
    fn size(&self, line: &Line) -> u64 {
        let file = match line {
            Line::Item(spoken) => match &spoken.record.body {
                Body::File(file) if file.data == FileData::Awaited => file.reference.as_deref(),
                _ => None,
            },
            _ => None,
        };
        let attached = file.and_then(|reference| self.attached.get(&reference_key(reference)).copied());
        // Base64 in lines of 76 (RFC 2045 section 6.8), with their ends.
        (self.measure)(line).saturating_add(attached.unwrap_or_default().div_ceil(57).saturating_mul(78))
    }
}

/// Which of an export's items are read: all that were items when it was taken in, or those that a later replay let in.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// The places of records that were rejected at first, by the replay that let them in.
    pub late: &'a [BTreeSet<u64>],
    /// 0 for all others, else the replay's number from 1.
    pub number: usize,
}

impl Turn<'_> {
    /// All that an export holds.
    pub const ALL: Turn<'static> = Turn { late: &[], number: 0 };
}

/// The turn in which a record is read.
fn turn_of(late: &[BTreeSet<u64>], ordinal: u64) -> usize {
    late.iter().position(|turn| turn.contains(&ordinal)).map_or(0, |turn| turn + 1)
}

/// What the first pass learned.
#[derive(Debug, Default)]
pub struct Survey {
    /// Firm and day.
    pub header: Header,
    /// How much there is.
    pub counts: Counts,
    /// What the profile does not name, with its number, by path.
    pub unknown: Vec<(String, u64)>,
    /// What it names in archives, each by [`reference_key`].
    pub references: BTreeSet<u64>,
    /// How much of everything there is, to hold control totals against.
    pub counted: Counted,
    /// Who was in rooms before, and is when it ends; only where that is asked for.
    pub presence: Presence,
    hold: Hold,
    /// Conversations too large to hold, in document order.
    large: Vec<Large>,
}

/// A conversation too large to hold.
#[derive(Debug)]
struct Large {
    /// Its number in the export, from 0.
    number: u64,
    room: Arc<Room>,
    attendance: Attendance,
    /// Where conversations are grouped by day.
    days: Option<Days>,
}

/// Reads an export to its end. Conversations beyond `hold` will be streamed. `late` are the places of records that were
/// rejected at first, by the replay that let them in.
///
/// # Errors
/// Where it is not well-formed to its end or a conversation exceeds a bound: the file is held.
pub fn survey(
    profile: &Profile,
    limits: ReadLimits,
    hold: Hold,
    grouping: &Grouping,
    late: &[BTreeSet<u64>],
    input: impl Read,
) -> Result<Survey, ExportError> {
    survey_after(Before::Nobody, profile, limits, hold, grouping, late, input)
}

/// As [`survey`], of an export in whose rooms people may be already.
///
/// # Errors
/// As [`survey`].
pub fn survey_after(
    before: Before<'_>,
    profile: &Profile,
    limits: ReadLimits,
    hold: Hold,
    grouping: &Grouping,
    late: &[BTreeSet<u64>],
    input: impl Read,
) -> Result<Survey, ExportError> {
    let mut reader = Reader::new(profile, limits, input);
    let mut survey = Survey { hold, ..Survey::default() };
    let mut conversation = Notes::new(grouping);
    let mut next = 0;
    while let Some(step) = reader.step()? {
        match step {
            ReaderStep::Begin => conversation = Notes::new(grouping),
            ReaderStep::Record { record, bytes } => {
                survey.counts.count(&record, grouping);
                survey.note(&record);
                let place = (next, turn_of(late, next));
                next += u64::from(grouping.counts(&record));
                let taken = conversation.take(&record, bytes, place, limits.max_participants);
                taken.map_err(|full| over(full, limits, reader.here()))?;
            }
            ReaderStep::End(room) => {
                survey.end(before, room, std::mem::replace(&mut conversation, Notes::new(grouping)));
            }
        }
    }
    let at = reader.here();
    let summary = reader.finish();
    summary.check().map_err(|fault| ExportError::Held { at, fault })?;
    Ok(Survey { header: summary.header, unknown: summary.unknown, counted: summary.counted, ..survey })
}

fn over(full: RosterFull, limits: ReadLimits, at: Position) -> ExportError {
    let limit = limits.max_participants;
    let what = match full {
        RosterFull::People => "participants",
        RosterFull::Events => "presence events",
        RosterFull::Days => return ExportError::Held { at, fault: Fault::too_many_by_day(limit) },
    };
    ExportError::Held { at, fault: Fault::too_many(what, limit) }
}

impl Survey {
    fn note(&mut self, record: &Record) {
        if let Record::Item(ItemRecord { body: Body::File(file), .. }) = record
            && let Some(reference) = file.reference.as_deref()
        {
            self.references.insert(reference_key(reference));
        }
    }

    fn end(&mut self, before: Before<'_>, room: Room, notes: Notes) {
        let (is_large, number) = (notes.size.exceeds(self.hold), self.counts.conversations);
        let is_asked = !matches!(before, Before::Nobody);
        if is_large || is_asked {
            let span = notes.roster.span();
            let there = self.presence.begin(before, number, room.id.as_deref(), span.map(|(first, _)| first));
            let attendance = notes.roster.close_with(&there);
            if is_asked {
                self.presence.end(room.id.as_deref(), span.map(|(_, last)| last), attendance.staying());
            }
            if is_large {
                self.large.push(Large { number, room: Arc::new(room), attendance, days: notes.days });
            }
        }
        self.counts.conversations += 1;
    }

    fn large(&self, number: u64) -> Option<&Large> {
        let index = self.large.binary_search_by_key(&number, |large| large.number).ok()?;
        self.large.get(index)
    }
}

/// What is noted of a conversation while it is being read.
#[derive(Debug)]
struct Notes {
    size: Size,
    roster: Roster,
    days: Option<Days>,
}

impl Notes {
    fn new(grouping: &Grouping) -> Self {
        Self { size: Size::default(), roster: Roster::default(), days: grouping.calendar().map(Days::new) }
    }

    /// Takes a record with its place and turn.
    fn take(&mut self, record: &Record, bytes: u64, place: (u64, usize), limit: u64) -> Result<(), RosterFull> {
        self.size.add(bytes);
        self.roster.note(record, limit)?;
        self.days.as_mut().map_or(Ok(()), |days| days.note(record, place.0, place.1, limit))
    }
}

/// How large a conversation is so far.
#[derive(Debug, Default)]
struct Size {
    bytes: u64,
    records: u64,
}

impl Size {
    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.records += 1;
    }

    fn exceeds(&self, hold: Hold) -> bool {
        self.bytes > hold.bytes || self.records > hold.records
    }
}

/// What the second pass hands out, in document order.
#[derive(Debug, Clone)]
pub enum Step {
    /// An item with everyone it concerns.
    Item {
        /// Its place among the export's items and rejected records, from 0.
        ordinal: u64,
        /// The item.
        item: ChatItem,
    },
    /// A conversation's day, whose messages and attachments are no items of their own. It comes after its last line was
    /// read.
    Transcript(Box<Transcript>),
    /// A record that would be an item, but is not whole.
    Rejected {
        /// Its place among the export's items and rejected records, from 0.
        ordinal: u64,
        /// The record.
        record: RejectedRecord,
    },
}

/// Why the second pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum ItemsError<E: std::error::Error + 'static> {
    /// The export: the file is held.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Whoever takes the items.
    #[error(transparent)]
    Sink(E),
}

/// Reads an export that was surveyed once more, under the same profile, limits and grouping, and hands out its items.
///
/// # Errors
/// What the sink returns; and where the export is not the one that was surveyed.
pub fn items<E: std::error::Error + 'static>(
    profile: &Profile,
    limits: ReadLimits,
    survey: &Survey,
    grouping: &Grouping,
    turn: Turn<'_>,
    input: impl Read,
    sink: &mut dyn FnMut(Step) -> Result<(), E>,
) -> Result<Counts, ItemsError<E>> {
    let mut reader = Reader::new(profile, limits, input);
    let mut counts = Counts::default();
    let mut out = Out::new(turn, grouping, sink);
    let limit = limits.max_participants;
    let mut conversation = Conversation::new(survey, grouping, turn.number, limit, 0);
    while let Some(step) = reader.step()? {
        match step {
            ReaderStep::Begin => {
                conversation = Conversation::new(survey, grouping, turn.number, limit, counts.conversations);
            }
            ReaderStep::Record { record, bytes } => {
                counts.count(&record, grouping);
                let taken = conversation.take(record, bytes, &mut out);
                taken.map_err(|stop| stopped(stop, reader.here(), limits))?;
            }
            ReaderStep::End(room) => {
                counts.conversations += 1;
                conversation.end(room, &mut out).map_err(ItemsError::Sink)?;
            }
        }
    }
    Ok(counts)
}

fn stopped<E: std::error::Error + 'static>(stop: Stop<E>, at: Position, limits: ReadLimits) -> ItemsError<E> {
    match stop {
        Stop::Full(full) => ItemsError::Export(over(full, limits, at)),
        Stop::Changed => ItemsError::Export(ExportError::Held { at, fault: Fault::Changed }),
        Stop::Sink(error) => ItemsError::Sink(error),
    }
}

/// An event that would be an item of its own, but has no time, or not its words.
fn unfit(event: EventRecord) -> RejectedRecord {
    let EventRecord { kind, line, person, invited, fault, .. } = event;
    let reason = fault.map_or_else(|| "no time".to_owned(), String::from);
    RejectedRecord { kind: ItemKind::Event(kind), line, reason, sender: person, recipients: invited }
}

#[cfg(test)]
mod tests;
