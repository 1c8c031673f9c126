//! One conversation in the second pass: held until its end or streamed; its records as items of their own, or told to
//! its days.

use std::sync::Arc;

use super::pages::{Pages, Written};
use super::{Grouping, Large, Notes, Step, Survey, Turn, turn_of, unfit};
use crate::export::days::{Calendar, Place};
use crate::export::identity::participants_digest;
use crate::export::roster::{Attendance, RosterFull, Walk};
use crate::export::transcript::{Happened, Line, Spoken};
use crate::export::{ChatItem, EventRecord, ItemRecord, Record, RejectedRecord, Room};

/// Why a record could not be taken.
pub(super) enum Stop<E> {
    /// The conversation is too large.
    Full(RosterFull),
    /// It is not the one that was surveyed.
    Changed,
    /// Whoever takes the items.
    Sink(E),
}

/// The way out of the second pass.
pub(super) struct Out<'a, E> {
    pub(super) turn: Turn<'a>,
    pub(super) grouping: &'a Grouping,
    /// The place of the next item or rejected record.
    pub(super) next: u64,
    sink: &'a mut dyn FnMut(Step) -> Result<(), E>,
}

impl<'a, E> Out<'a, E> {
    pub(super) fn new(turn: Turn<'a>, grouping: &'a Grouping, sink: &'a mut dyn FnMut(Step) -> Result<(), E>) -> Self {
        Self { turn, grouping, next: 0, sink }
    }

    /// The place of a record, and the turn in which it is read.
    fn place(&mut self, record: &Record) -> (u64, usize) {
        let ordinal = self.next;
        self.next += u64::from(self.grouping.counts(record));
        (ordinal, turn_of(self.turn.late, ordinal))
    }

    pub(super) fn send(&mut self, step: Step) -> Result<(), E> {
        (self.sink)(step)
    }

    fn reject(&mut self, ordinal: u64, record: RejectedRecord) -> Result<(), E> {
        if self.turn.number == 0 { self.send(Step::Rejected { ordinal, record }) } else { Ok(()) }
    }
}

/// One conversation of the second pass.
pub(super) struct Conversation<'s> {
    way: Way<'s>,
    calendar: Option<Calendar>,
    limit: u64,
}

enum Way<'s> {
    /// `places` of its records take a place among items and rejected records.
    Held {
        records: Vec<Record>,
        places: u64,
        notes: Box<Notes>,
        survey: &'s Survey,
        /// The conversation's, in the export.
        number: u64,
        turn: usize,
    },
    Streamed {
        large: &'s Large,
        walk: Walk<'s>,
        pages: Option<Pages<'s>>,
    },
}

impl<'s> Conversation<'s> {
    pub(super) fn new(survey: &'s Survey, grouping: &'s Grouping, turn: usize, limit: u64, number: u64) -> Self {
        let way = match survey.large(number) {
            Some(large) => {
                let whose = || Written { room: &large.room, attendance: &large.attendance, turn };
                let pages = grouping.by_day.as_ref().zip(large.days.as_ref());
                let pages = pages.map(|(by_day, days)| Pages::new(by_day, days, whose()));
                Way::Streamed { large, walk: large.attendance.walk(), pages }
            }
            None => Way::Held {
                records: Vec::new(),
                places: 0,
                notes: Box::new(Notes::new(grouping)),
                survey,
                number,
                turn,
            },
        };
        Self { way, calendar: grouping.calendar(), limit }
    }

    pub(super) fn take<E>(&mut self, record: Record, bytes: u64, out: &mut Out<'_, E>) -> Result<(), Stop<E>> {
        match &mut self.way {
            Way::Streamed { large, walk, pages } => match (pages, &self.calendar) {
                (Some(pages), Some(calendar)) => {
                    let told = tell(record, &large.attendance, walk, calendar, out).map_err(Stop::Sink)?;
                    told.map_or(Ok(()), |(place, line)| pages.stream(place, line, out).map_err(Stop::Sink))
                }
                _ => hand_out(record, &large.room, walk, out).map_err(Stop::Sink),
            },
            Way::Held { records, places, notes, survey, .. } => {
                // Those before it are still to be handed out.
                let ordinal = out.next + *places;
                let place = (ordinal, turn_of(out.turn.late, ordinal));
                *places += u64::from(out.grouping.counts(&record));
                notes.take(&record, bytes, place, self.limit).map_err(Stop::Full)?;
                if notes.size.exceeds(survey.hold) {
                    return Err(Stop::Changed);
                }
                if self.calendar.is_some() || out.grouping.counts(&record) {
                    records.push(record);
                }
                Ok(())
            }
        }
    }

    pub(super) fn end<E>(&mut self, room: Room, out: &mut Out<'_, E>) -> Result<(), E> {
        match &mut self.way {
            Way::Streamed { pages, .. } => pages.as_mut().map_or(Ok(()), |pages| pages.end(out)),
            Way::Held { records, notes, turn, survey, number, .. } => {
                let room = Arc::new(room);
                let there = survey.presence.carried.of(*number);
                let attendance = std::mem::take(&mut notes.roster).close_with(there);
                let mut walk = attendance.walk();
                let days = notes.days.take();
                let (Some(by_day), Some(days), Some(calendar)) = (&out.grouping.by_day, days, &self.calendar) else {
                    return records.drain(..).try_for_each(|record| hand_out(record, &room, &mut walk, out));
                };
                let mut pages =
                    Pages::new(by_day, &days, Written { room: &room, attendance: &attendance, turn: *turn });
                let mut sorted = Vec::new();
                for record in records.drain(..) {
                    sorted.extend(tell(record, &attendance, &mut walk, calendar, out)?);
                }
                pages.sort(sorted).try_for_each(|(day, line)| pages.write(day, line, out))?;
                pages.end(out)
            }
        }
    }
}

/// A record as an item of its own.
fn hand_out<E>(record: Record, room: &Arc<Room>, walk: &mut Walk<'_>, out: &mut Out<'_, E>) -> Result<(), E> {
    let (ordinal, turn) = out.place(&record);
    let record = match record {
        Record::Rejected(record) => return out.reject(ordinal, record),
        Record::Event(_) if !out.grouping.events => return Ok(()),
        Record::Event(event) => match event.as_item() {
            Some(item) => item,
            None => return out.reject(ordinal, unfit(event)),
        },
        Record::Item(record) => record,
    };
    if turn != out.turn.number {
        return Ok(());
    }
    let participants = walk.participants(&record);
    out.send(Step::Item { ordinal, item: ChatItem { record, room: Arc::clone(room), participants } })
}

/// A record as a line, and where it stands among days; `None` where another turn has it.
fn tell<E>(
    record: Record,
    attendance: &Attendance,
    walk: &mut Walk<'_>,
    calendar: &Calendar,
    out: &mut Out<'_, E>,
) -> Result<Option<(Place, Line)>, E> {
    let (ordinal, turn) = out.place(&record);
    let place = calendar.place(&record, turn, out.turn.number);
    let line = match (record, place) {
        (_, Place::Nowhere) => return Ok(None),
        (Record::Rejected(record), _) => {
            let (kind, line) = (record.kind, record.line);
            out.reject(ordinal, record)?;
            Line::Unreadable { ordinal, kind, line }
        }
        (Record::Item(record), Place::With) => Line::Unreadable { ordinal, kind: record.kind, line: record.line },
        (Record::Item(record), _) => Line::Item(Box::new(spoken(record, ordinal, attendance, walk))),
        (Record::Event(event), _) => {
            // As an item of its own it would be rejected; here what there is of it can stand all the same.
            if calendar.events && event.item_time().is_none() {
                out.reject(ordinal, unfit(event.clone()))?;
            }
            let ordinal = calendar.events.then_some(ordinal);
            Line::Event(Box::new(happened(event, ordinal, attendance, walk)))
        }
    };
    Ok(Some((place, line)))
}

fn spoken(record: ItemRecord, ordinal: u64, attendance: &Attendance, walk: &mut Walk<'_>) -> Spoken {
    let participants = participants_digest(&walk.participants(&record));
    let sender = attendance.complete(&record.sender);
    let recipients = record.recipients.iter().map(|person| attendance.complete(person)).collect();
    Spoken { ordinal, record, sender, recipients, participants }
}

fn happened(record: EventRecord, ordinal: Option<u64>, attendance: &Attendance, walk: &mut Walk<'_>) -> Happened {
    let item = ordinal.zip(record.as_item());
    let item = item.map(|(ordinal, item)| (ordinal, participants_digest(&walk.participants(&item))));
    let person = record.person.has_identity().then(|| attendance.complete(&record.person));
    let invited = record.invited.iter().map(|person| attendance.complete(person)).collect();
    Happened { item, record, person, invited }
}
