//! Who takes part in a conversation on which day, where conversations are grouped by day: noted while the conversation is
//! read, asked once all of it is known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::roster::{Attendance, RosterFull, drop_repeated, key};
use super::transcript::Attended;
use super::{EventKind, Participant, Person, Record, Role};

/// People, those of each day counted anew, for each that `limits.max_participants` allows.
pub(super) const DAYS: u64 = 16;

/// Where a record stands among days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the day of its time; what follows without a time stands with it.
    Anchor(Date),
    /// On the day of its time, as an item from before that is shown again.
    Again(Date),
    /// On the day of its time, if that day has an item.
    On(Date),
    /// With the item before it that is not shown again, or the first.
    With,
    /// Nowhere: another turn has it.
    Nowhere,
}

/// How records are told to their days.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    /// The zone in which days are meant.
    pub(super) zone: TimeZone,
    /// Whether events are items as well.
    pub(super) events: bool,
}

impl Calendar {
    /// The day of an instant.
    pub(super) fn day(&self, time: Timestamp) -> Date {
        self.zone.to_datetime(time).date()
    }

    /// Where a record of `turn` stands for who looks at the turn `looking`.
    pub(super) fn place(&self, record: &Record, turn: usize, looking: usize) -> Place {
        match record {
            Record::Item(item) if turn == looking => {
                let again = item.details.as_ref().is_some_and(|details| details.history.is_some());
                let day = self.day(item.time);
                if again { Place::Again(day) } else { Place::Anchor(day) }
            }
            // What was let in later was not readable when all others were taken in, and stays so there.
            Record::Item(_) | Record::Rejected(_) if looking == 0 => Place::With,
            Record::Event(event) if looking == 0 => match event.time {
                Some(time) if self.events && event.fault.is_none() => Place::Anchor(self.day(time)),
                Some(time) => Place::On(self.day(time)),
                None => Place::With,
            },
            _ => Place::Nowhere,
        }
    }
}

/// A conversation's days while it is being read.
#[derive(Debug)]
pub(super) struct Days {
    calendar: Calendar,
    /// Everyone as they are mentioned; told apart by `ImId` and e-mail together.
    mentions: Vec<Person>,
    index: HashMap<Box<str>, u32>,
    noted: BTreeMap<(usize, Date), Noted>,
    /// By turn, the day of its first anchor, and of the first that is shown again.
    first: BTreeMap<usize, Date>,
    first_again: BTreeMap<usize, Date>,
    /// The day of the last anchor of turn 0.
    current: Option<Date>,
    /// Invitations without a time, before any anchor.
    early: Vec<Invited>,
    /// How many people are noted, those of each day counted anew.
    count: u64,
}

/// One day of one turn.
#[derive(Debug, Default)]
struct Noted {
    /// What becomes an item.
    anchors: u64,
    /// The place of the first of these.
    ordinal: Option<u64>,
    /// Whatever has a time on this day.
    lines: u64,
    /// The first and the last such time.
    span: Option<(Timestamp, Timestamp)>,
    /// The first who spoke.
    speaker: Option<u32>,
    /// Whom the day concerns, as they were first mentioned.
    people: Vec<(u32, Role)>,
    seen: HashSet<(u32, Role)>,
    invited: Vec<Invited>,
}

#[derive(Debug, Clone, Copy)]
struct Invited {
    who: u32,
    time: Option<Timestamp>,
    by: Option<u32>,
}

impl Days {
    pub(super) fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            mentions: Vec::new(),
            index: HashMap::new(),
            noted: BTreeMap::new(),
            first: BTreeMap::new(),
            first_again: BTreeMap::new(),
            current: None,
            early: Vec::new(),
            count: 0,
        }
    }

    /// Notes a record of a turn, in document order, with its place among the export's items and rejected records.
    ///
    /// # Errors
    /// Where people, those of each day counted anew, are [`DAYS`] times `limit`.
    pub(super) fn note(&mut self, record: &Record, ordinal: u64, turn: usize, limit: u64) -> Result<(), RosterFull> {
        let place = self.calendar.place(record, turn, turn);
        if let Place::Anchor(day) = place {
            self.first.entry(turn).or_insert(day);
            if turn == 0 {
                self.current = Some(day);
                let early = std::mem::take(&mut self.early);
                self.on((0, day)).invited.extend(early);
            }
        }
        if let Place::Anchor(day) | Place::Again(day) = place {
            self.first_again.entry(turn).or_insert(day);
            self.on((turn, day)).ordinal.get_or_insert(ordinal);
        }
        match record {
            Record::Item(item) => {
                let (Place::Anchor(day) | Place::Again(day)) = place else { return Ok(()) };
                self.touch((turn, day), item.time, true);
                let sender = self.mention(&item.sender);
                let noted = self.on((turn, day));
                noted.speaker = noted.speaker.or(sender);
                let recipients: Vec<_> = item.recipients.iter().filter_map(|person| self.mention(person)).collect();
                let people = sender.into_iter().chain(recipients);
                people.for_each(|who| self.concern((turn, day), who, Role::Recipient));
            }
            Record::Event(event) => {
                let day = match (place, event.time) {
                    (Place::Anchor(day) | Place::On(day), Some(time)) => {
                        self.touch((0, day), time, matches!(place, Place::Anchor(_)));
                        Some(day)
                    }
                    _ => self.current,
                };
                self.event(event, day);
            }
            Record::Rejected(_) => {}
        }
        if self.count > limit.saturating_mul(DAYS) { Err(RosterFull::Days) } else { Ok(()) }
    }

    fn event(&mut self, event: &super::EventRecord, day: Option<Date>) {
        let by = self.mention(&event.person);
        let invited: Vec<_> = event.invited.iter().filter_map(|person| self.mention(person)).collect();
        if let (true, Some(day), Some(_)) = (self.calendar.events, day, event.item_time()) {
            // As items of their own they would concern these people.
            let named = by.iter().map(|who| (*who, Role::Present));
            for (who, role) in named.chain(invited.iter().map(|who| (*who, Role::Recipient))) {
                self.concern((0, day), who, role);
            }
        }
        if event.kind != EventKind::Invited {
            return;
        }
        self.count += invited.len() as u64;
        let invited = invited.into_iter().map(|who| Invited { who, time: event.time, by });
        match day {
            Some(day) => self.on((0, day)).invited.extend(invited),
            None => self.early.extend(invited),
        }
    }

    fn on(&mut self, day: (usize, Date)) -> &mut Noted {
        self.noted.entry(day).or_insert_with(|| {
            self.count += 1;
            Noted::default()
        })
    }

    fn touch(&mut self, day: (usize, Date), time: Timestamp, anchor: bool) {
        let noted = self.on(day);
        noted.anchors += u64::from(anchor);
        noted.lines += 1;
        let (first, last) = noted.span.unwrap_or((time, time));
        noted.span = Some((first.min(time), last.max(time)));
    }

    fn concern(&mut self, day: (usize, Date), who: u32, role: Role) {
        let noted = self.on(day);
        if noted.seen.insert((who, role)) {
            noted.people.push((who, role));
            self.count += 1;
        }
    }

    /// The number of a person as mentioned; `None` for who has no identity.
    fn mention(&mut self, person: &Person) -> Option<u32> {
        let (im_id, email) = key(person);
        if im_id.is_none() && email.is_none() {
            return None;
        }
        // Neither is ever empty, so what is absent looks like nothing that is there.
        let both = [im_id.unwrap_or_default(), "\0", email.unwrap_or_default()].concat();
        if let Some(number) = self.index.get(&*both) {
            return Some(*number);
        }
        let number = u32::try_from(self.mentions.len()).ok()?;
        self.mentions.push(person.clone());
        self.index.insert(both.into(), number);
        // One `ImId` may go by any number of addresses.
        self.count += 1;
        Some(number)
    }

    /// The day of the first item of a turn that is not merely shown again, or else of the first.
    pub(super) fn first(&self, turn: usize) -> Option<Date> {
        self.first.get(&turn).or(self.first_again.get(&turn)).copied()
    }

    /// How many records of a turn have a time on a day that has a transcript; `None` where it has none.
    pub(super) fn lines(&self, turn: usize, day: Date) -> Option<u64> {
        self.noted.get(&(turn, day)).filter(|noted| noted.anchors > 0).map(|noted| noted.lines)
    }

    /// The first time on a day that has a transcript.
    pub(super) fn begins(&self, turn: usize, day: Date) -> Option<Timestamp> {
        self.noted.get(&(turn, day))?.span.map(|(first, _)| first)
    }

    /// The place of the first item of a day.
    pub(super) fn ordinal(&self, turn: usize, day: Date) -> u64 {
        self.noted.get(&(turn, day)).and_then(|noted| noted.ordinal).unwrap_or_default()
    }

    /// Who took part on a day, and who was there from when to when.
    pub(super) fn cast(&self, turn: usize, day: Date, attendance: &Attendance) -> Cast {
        let Some((noted, (first, last))) = self.noted.get(&(turn, day)).and_then(|noted| Some((noted, noted.span?)))
        else {
            return Cast::default();
        };
        // What was let in later concerns who was there between its first line and its last, not all day.
        let on_day = |time| self.calendar.day(time) == day && (turn == 0 || (first..=last).contains(&time));
        let stays = attendance.stays(first, on_day);
        let complete = |who: u32| attendance.complete(&self.mentions[who as usize]);
        let mut attended: BTreeMap<u32, Attended> = stays
            .into_iter()
            .map(|(who, stays)| (who, Attended { person: Arc::clone(attendance.person(who)), stays, invited: vec![] }))
            .collect();
        let participants = self.participants(noted, attendance, attended.keys().copied());
        // Where nothing was said anew, they stand with what was shown again.
        let early = self.early.iter().filter(|_| turn == 0 && self.first(turn) == Some(day));
        for invited in noted.invited.iter().chain(early) {
            let Some(number) = attendance.number(&self.mentions[invited.who as usize]) else { continue };
            let person = || Arc::clone(attendance.person(number));
            let attended =
                attended.entry(number).or_insert_with(|| Attended { person: person(), stays: vec![], invited: vec![] });
            attended.invited.push((invited.time, invited.by.map(complete)));
        }
        Cast { participants, attended: attended.into_values().collect() }
    }

    /// The first who spoke, those spoken to or speaking, and the silent; each once.
    fn participants(
        &self,
        noted: &Noted,
        attendance: &Attendance,
        there: impl Iterator<Item = u32>,
    ) -> Vec<Participant> {
        let mention = |who: u32| &self.mentions[who as usize];
        let named = || noted.people.iter().find(|(_, role)| *role == Role::Present).map(|(who, _)| *who);
        let speaker = noted.speaker.or_else(named);
        let sender = speaker.map_or_else(Default::default, |who| attendance.complete(mention(who)));
        let mut all = vec![Participant { role: Role::Sender, person: sender }];
        let mut known: HashSet<Option<u32>> = speaker.iter().map(|who| attendance.number(mention(*who))).collect();
        for wanted in [Role::Recipient, Role::Present] {
            for (who, _) in noted.people.iter().filter(|(_, role)| *role == wanted) {
                let new = known.insert(attendance.number(mention(*who)));
                // Who speaks under two addresses is both; who is named in passing need not be.
                if new || wanted == Role::Recipient {
                    all.push(Participant { role: wanted, person: attendance.complete(mention(*who)) });
                }
            }
        }
        let silent = there.filter(|number| !known.contains(&Some(*number)));
        all.extend(
            silent.map(|number| Participant { role: Role::Present, person: Arc::clone(attendance.person(number)) }),
        );
        drop_repeated(&mut all);
        all
    }
}

/// Who took part on one day.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The first who spoke, everyone who spoke or was spoken to, the silent.
    pub(super) participants: Vec<Participant>,
    /// Who was there and when, in order of first appearance.
    pub(super) attended: Vec<Attended>,
}

#[cfg(test)]
mod tests;
