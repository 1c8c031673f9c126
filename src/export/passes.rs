//! The two passes over an export (architecture, "the flow"): the first surveys it to its end, the second hands out its
//! items with everyone they concern, both in memory that does not grow with the export.
//!
//! Who takes part in a conversation is known only at its end. A small conversation is held in memory until then; of a
//! large one the survey keeps who takes part and when, so that the second pass can stream it.

use std::io::Read;
use std::sync::Arc;

use super::fault::{ExportError, Fault, Position};
use super::profile::Profile;
use super::reader::{ReadLimits, Reader, Step as ReaderStep};
use super::roster::{Attendance, Roster, RosterFull, Walk};
use super::{ChatItem, Header, ItemRecord, Presence, PresenceRecord, Record, RejectedRecord, Room};

/// How large a conversation may be to be held in memory.
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

/// How much an export holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Conversations.
    pub conversations: u64,
    /// Messages that become items.
    pub messages: u64,
    /// Attachments that become items.
    pub attachments: u64,
    /// Messages and attachments that are rejected.
    pub rejected: u64,
    /// Presence events.
    pub presence: u64,
}

impl Counts {
    /// What should have become items: the books' `available`.
    pub fn available(&self) -> u64 {
        self.messages + self.attachments + self.rejected
    }

    fn count(&mut self, record: &Record) {
        match record {
            Record::Item(ItemRecord { kind: super::ItemKind::Message, .. }) => self.messages += 1,
            Record::Item(ItemRecord { kind: super::ItemKind::Attachment, .. }) => self.attachments += 1,
            Record::Rejected(_) => self.rejected += 1,
            Record::Presence(PresenceRecord { presence: Presence::Entered | Presence::Left, .. }) => self.presence += 1,
        }
    }
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
}

/// Reads an export to its end. Conversations beyond `hold` will be streamed.
///
/// # Errors
/// Where it is not well-formed to its end or a conversation exceeds a bound: the file is held.
pub fn survey(profile: &Profile, limits: ReadLimits, hold: Hold, input: impl Read) -> Result<Survey, ExportError> {
    let mut reader = Reader::new(profile, limits, input);
    let mut survey = Survey { hold, ..Survey::default() };
    let mut size = Size::default();
    let mut roster = Roster::default();
    while let Some(step) = reader.step()? {
        match step {
            ReaderStep::Begin => (size, roster) = (Size::default(), Roster::default()),
            ReaderStep::Record { record, bytes } => {
                size.add(bytes);
                survey.note(&record);
                let noted = roster.note(&record, limits.max_participants);
                noted.map_err(|full| over(full, limits, reader.here()))?;
            }
            ReaderStep::End(room) => survey.end(&size, room, std::mem::take(&mut roster)),
        }
    }
    let summary = reader.finish();
    Ok(Survey { header: summary.header, unknown: summary.unknown, ..survey })
}

fn over(full: RosterFull, limits: ReadLimits, at: Position) -> ExportError {
    let limit = limits.max_participants;
    let what = match full {
        RosterFull::People => "participants",
        RosterFull::Events => "presence events",
    };
    ExportError::Held { at, fault: Fault::too_many(what, limit) }
}

impl Survey {
    fn note(&mut self, record: &Record) {
        self.counts.count(record);
    }

    fn end(&mut self, size: &Size, room: Room, roster: Roster) {
        if size.exceeds(self.hold) {
            let number = self.counts.conversations;
            self.large.push(Large { number, room: Arc::new(room), attendance: roster.close() });
        }
        self.counts.conversations += 1;
    }

    fn large(&self, number: u64) -> Option<&Large> {
        let index = self.large.binary_search_by_key(&number, |large| large.number).ok()?;
        self.large.get(index)
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
    Item(ChatItem),
    /// A record that would be an item, but is not whole.
    Rejected(RejectedRecord),
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

/// Reads an export that was surveyed once more, under the same profile and limits, and hands out its items.
///
/// # Errors
/// What the sink returns; and where the export is not the one that was surveyed.
pub fn items<E: std::error::Error + 'static>(
    profile: &Profile,
    limits: ReadLimits,
    survey: &Survey,
    input: impl Read,
    sink: &mut dyn FnMut(Step) -> Result<(), E>,
) -> Result<Counts, ItemsError<E>> {
    let mut reader = Reader::new(profile, limits, input);
    let mut counts = Counts::default();
    let mut conversation = Conversation::new(survey, limits, 0);
    while let Some(step) = reader.step()? {
        match step {
            ReaderStep::Begin => conversation = Conversation::new(survey, limits, counts.conversations),
            ReaderStep::Record { record, bytes } => {
                counts.count(&record);
                let taken = conversation.take(record, bytes, sink);
                taken.map_err(|stop| stop.at(reader.here(), limits))?;
            }
            ReaderStep::End(room) => {
                counts.conversations += 1;
                conversation.end(room, sink).map_err(ItemsError::Sink)?;
            }
        }
    }
    Ok(counts)
}

/// Why a record could not be taken.
enum Stop<E> {
    Full(RosterFull),
    Changed,
    Sink(E),
}

impl<E: std::error::Error + 'static> Stop<E> {
    fn at(self, at: Position, limits: ReadLimits) -> ItemsError<E> {
        match self {
            Self::Full(full) => ItemsError::Export(over(full, limits, at)),
            Self::Changed => ItemsError::Export(ExportError::Held { at, fault: Fault::Changed }),
            Self::Sink(error) => ItemsError::Sink(error),
        }
    }
}

/// One conversation of the second pass.
enum Conversation<'s> {
    Held { records: Vec<Record>, roster: Roster, size: Size, hold: Hold, limit: u64 },
    Streamed { room: &'s Arc<Room>, walk: Walk<'s> },
}

type Sink<'a, E> = &'a mut dyn FnMut(Step) -> Result<(), E>;

impl<'s> Conversation<'s> {
    fn new(survey: &'s Survey, limits: ReadLimits, number: u64) -> Self {
        match survey.large(number) {
            Some(large) => Self::Streamed { room: &large.room, walk: large.attendance.walk() },
            None => Self::Held {
                records: Vec::new(),
                roster: Roster::default(),
                size: Size::default(),
                hold: survey.hold,
                limit: limits.max_participants,
            },
        }
    }

    fn take<E>(&mut self, record: Record, bytes: u64, sink: Sink<'_, E>) -> Result<(), Stop<E>> {
        match self {
            Self::Streamed { room, walk } => hand_out(record, room, walk, sink).map_err(Stop::Sink),
            Self::Held { records, roster, size, hold, limit } => {
                size.add(bytes);
                if size.exceeds(*hold) {
                    return Err(Stop::Changed);
                }
                roster.note(&record, *limit).map_err(Stop::Full)?;
                if !matches!(record, Record::Presence(_)) {
                    records.push(record);
                }
                Ok(())
            }
        }
    }

    fn end<E>(&mut self, room: Room, sink: Sink<'_, E>) -> Result<(), E> {
        let Self::Held { records, roster, .. } = self else { return Ok(()) };
        let room = Arc::new(room);
        let attendance = std::mem::take(roster).close();
        let mut walk = attendance.walk();
        records.drain(..).try_for_each(|record| hand_out(record, &room, &mut walk, sink))
    }
}

fn hand_out<E>(record: Record, room: &Arc<Room>, walk: &mut Walk<'_>, sink: Sink<'_, E>) -> Result<(), E> {
    match record {
        Record::Item(record) => {
            let participants = walk.participants(&record);
            sink(Step::Item(ChatItem { record, room: Arc::clone(room), participants }))
        }
        Record::Rejected(record) => sink(Step::Rejected(record)),
        Record::Presence(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
