//! Who takes part in a conversation, what is known of each, and who is in the room when (contract 6).
//!
//! A [`Roster`] is noted record by record; closed, it is an [`Attendance`] that answers. People are told apart by their
//! `ImId`; who has none, by the e-mail. An e-mail never finds an `ImId`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::transcript::Stay;
use super::{EventKind, ItemKind, ItemRecord, Participant, Person, Record, Role};

/// A conversation while it is being read.
#[derive(Debug, Default)]
pub struct Roster {
    index: Index,
    people: Vec<Noted>,
    events: Vec<Noticed>,
    /// The first and the last time that anything has.
    span: Option<(Timestamp, Timestamp)>,
}

/// More people, or more presence events, in one conversation than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterFull {
    /// Too many people.
    People,
    /// Too many events.
    Events,
    /// Too many people, those of each day counted anew.
    Days,
}

/// Finds people.
#[derive(Debug, Default)]
struct Index {
    by_im_id: HashMap<Box<str>, u32>,
    by_email: HashMap<Box<str>, u32>,
}

impl Index {
    fn find(&self, person: &Person) -> Option<u32> {
        match (&person.im_id, &person.email) {
            (Some(im_id), _) => self.by_im_id.get(im_id.folded()).copied(),
            (None, Some(email)) => self.by_email.get(email.folded()).copied(),
            (None, None) => None,
        }
    }

    fn insert(&mut self, person: &Person, number: u32) {
        match (&person.im_id, &person.email) {
            (Some(im_id), _) => self.by_im_id.insert(im_id.folded().into(), number),
            (None, Some(email)) => self.by_email.insert(email.folded().into(), number),
            (None, None) => None,
        };
    }
}

/// One person, in order of first appearance.
#[derive(Debug)]
struct Noted {
    person: Person,
    spoke: bool,
    entered: bool,
}

/// Coming or going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Entered,
    Left,
}

/// One event with a readable time, in document order.
#[derive(Debug, Clone, Copy)]
struct Noticed {
    time: Timestamp,
    who: u32,
    presence: Presence,
}

impl Roster {
    /// Notes everyone a record names: who came or went, who spoke (also in a rejected record), and who was spoken to.
    ///
    /// # Errors
    /// Where people or events are more than `limit`.
    pub fn note(&mut self, record: &Record, limit: u64) -> Result<(), RosterFull> {
        let time = match record {
            Record::Item(item) => Some(item.time),
            Record::Event(event) => event.time,
            Record::Rejected(_) => None,
        };
        if let Some(time) = time {
            let (first, last) = self.span.unwrap_or((time, time));
            self.span = Some((first.min(time), last.max(time)));
        }
        match record {
            Record::Event(event) => {
                let presence = match event.kind {
                    EventKind::Entered => Presence::Entered,
                    EventKind::Left => Presence::Left,
                    // They name people, and decide nobody's presence.
                    EventKind::Invited | EventKind::Disclaimer | EventKind::System => {
                        self.person(&event.person, limit)?;
                        return event.invited.iter().try_for_each(|invited| self.person(invited, limit).map(drop));
                    }
                };
                let Some(who) = self.person(&event.person, limit)? else { return Ok(()) };
                let Some(time) = event.time else { return Ok(()) };
                if self.events.len() as u64 >= limit {
                    return Err(RosterFull::Events);
                }
                self.events.push(Noticed { time, who, presence });
                self.people[who as usize].entered |= presence == Presence::Entered;
                Ok(())
            }
            Record::Item(item) => self.speech(&item.sender, &item.recipients, limit),
            Record::Rejected(rejected) => self.speech(&rejected.sender, &rejected.recipients, limit),
        }
    }

    fn speech(&mut self, sender: &Person, recipients: &[Person], limit: u64) -> Result<(), RosterFull> {
        if let Some(who) = self.person(sender, limit)? {
            self.people[who as usize].spoke = true;
        }
        recipients.iter().try_for_each(|recipient| self.person(recipient, limit).map(drop))
    }

    /// The number of a person, with what is said here taken where nothing was said before.
    fn person(&mut self, person: &Person, limit: u64) -> Result<Option<u32>, RosterFull> {
        if let Some(number) = self.index.find(person) {
            let noted = &mut self.people[number as usize].person;
            learn(&mut noted.email, person.email.as_ref());
            learn(&mut noted.name, person.name.as_ref());
            learn(&mut noted.company, person.company.as_ref());
            return Ok(Some(number));
        }
        if !person.has_identity() {
            return Ok(None);
        }
        let number = u32::try_from(self.people.len()).map_err(|_| RosterFull::People)?;
        if u64::from(number) >= limit {
            return Err(RosterFull::People);
        }
        self.index.insert(person, number);
        self.people.push(Noted { person: person.clone(), spoke: false, entered: false });
        Ok(Some(number))
    }

    /// The first and the last time that anything has.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Everything was noted.
    pub fn close(self) -> Attendance {
        self.close_with(&[])
    }

    /// Everything was noted, and these were there before.
    pub fn close_with(mut self, carried: &[Person]) -> Attendance {
        // Whom an earlier export was allowed to name, this one is.
        let there: HashSet<u32> =
            carried.iter().filter_map(|person| self.person(person, u64::MAX).ok().flatten()).collect();
        let mut events = self.events;
        // Stable: among equal times document order remains, so the later one is applied later.
        events.sort_by_key(|event| event.time);
        let mut first: Vec<Option<Presence>> = vec![None; self.people.len()];
        for event in &events {
            first[event.who as usize].get_or_insert(event.presence);
        }
        let from_start =
            |noted: &Noted, first: Option<Presence>| first == Some(Presence::Left) || (noted.spoke && !noted.entered);
        let start = (0u32..).zip(&self.people).zip(first);
        let start: Vec<bool> =
            start.map(|((number, noted), first)| there.contains(&number) || from_start(noted, first)).collect();
        let mut now = start.clone();
        let changes = events.into_iter().map(|event| {
            let after = event.presence == Presence::Entered;
            let before = std::mem::replace(&mut now[event.who as usize], after);
            Change { time: event.time, who: event.who, before, after }
        });
        let changes = changes.collect();
        let people = self.people.into_iter().map(|noted| Arc::new(noted.person)).collect();
        Attendance { index: self.index, people, start, changes }
    }
}

fn learn<T: Clone>(known: &mut Option<T>, said: Option<&T>) {
    if known.is_none() {
        *known = said.cloned();
    }
}

/// Who takes part in a conversation, complete.
#[derive(Debug)]
pub struct Attendance {
    index: Index,
    people: Vec<Arc<Person>>,
    /// Who was there before the first event.
    start: Vec<bool>,
    /// The events by time; among equal times in document order.
    changes: Vec<Change>,
}

/// One person's presence before and after an event.
#[derive(Debug, Clone, Copy)]
struct Change {
    time: Timestamp,
    who: u32,
    before: bool,
    after: bool,
}

impl Attendance {
    /// The person with what the conversation says elsewhere of that `ImId` where this mention leaves it out. Who has no
    /// `ImId` stays as mentioned.
    pub fn complete(&self, person: &Person) -> Arc<Person> {
        let known = self.index.find(person).map(|number| &self.people[number as usize]);
        match known {
            Some(known) if adds_nothing(person, known) && (person.im_id.is_some() || **known == *person) => {
                Arc::clone(known)
            }
            Some(known) if person.im_id.is_some() => Arc::new(Person {
                im_id: person.im_id.clone(),
                email: person.email.clone().or_else(|| known.email.clone()),
                name: person.name.clone().or_else(|| known.name.clone()),
                company: person.company.clone().or_else(|| known.company.clone()),
            }),
            _ => Arc::new(person.clone()),
        }
    }

    /// Who is there when all is over.
    pub fn staying(&self) -> Vec<Arc<Person>> {
        let mut present = self.start.clone();
        for change in &self.changes {
            present[change.who as usize] = change.after;
        }
        self.people.iter().zip(present).filter(|(_, present)| *present).map(|(person, _)| Arc::clone(person)).collect()
    }

    /// The number of a person, in order of first appearance.
    pub(super) fn number(&self, person: &Person) -> Option<u32> {
        self.index.find(person)
    }

    /// A person by number.
    pub(super) fn person(&self, number: u32) -> &Arc<Person> {
        &self.people[number as usize]
    }

    /// When each person was there on a day, by their number; only those who were. `first` is a time on that day.
    pub(super) fn stays(&self, first: Timestamp, on_day: impl Fn(Timestamp) -> bool) -> BTreeMap<u32, Vec<Stay>> {
        let mut stays: BTreeMap<u32, Vec<Stay>> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| on_day(change.time)) {
            let there = Stay { from: None, to: None };
            let mine = stays.entry(change.who).or_insert_with(|| if change.before { vec![there] } else { Vec::new() });
            match (change.before, change.after) {
                (false, true) => mine.push(Stay { from: Some(change.time), to: None }),
                (true, false) => match mine.last_mut().filter(|stay| stay.to.is_none()) {
                    Some(stay) => stay.to = Some(change.time),
                    None => mine.push(Stay { from: None, to: Some(change.time) }),
                },
                _ => {}
            }
        }
        let mut walk = self.walk();
        walk.move_to(first);
        let there = (0u32..).zip(&walk.present).filter(|(_, present)| **present);
        for (number, _) in there {
            stays.entry(number).or_insert_with(|| vec![Stay { from: None, to: None }]);
        }
        stays.retain(|_, stays| !stays.is_empty());
        stays
    }

    /// A walk through the conversation's time, for records in whatever order; neighbours in time cost next to nothing.
    pub fn walk(&self) -> Walk<'_> {
        Walk { attendance: self, present: self.start.clone(), applied: 0 }
    }
}

/// Whether a mention says nothing but what is known, letter for letter (identifiers compare without case elsewhere).
fn adds_nothing(said: &Person, known: &Person) -> bool {
    same(said.im_id.as_ref().map(super::ImId::as_str), known.im_id.as_ref().map(super::ImId::as_str))
        && same(said.email.as_ref().map(super::Email::as_str), known.email.as_ref().map(super::Email::as_str))
        && same(said.name.as_deref(), known.name.as_deref())
        && same(said.company.as_deref(), known.company.as_deref())
}

fn same(said: Option<&str>, known: Option<&str>) -> bool {
    said.is_none() || said == known
}

/// Someone's look at the attendance at one time after another.
#[derive(Debug)]
pub struct Walk<'a> {
    attendance: &'a Attendance,
    present: Vec<bool>,
    /// How many changes are applied to `present`.
    applied: usize,
}

impl<'a> Walk<'a> {
    /// Everyone present at `time` but one, in order of first appearance.
    pub fn present_at(&mut self, time: Timestamp, without: &Person) -> impl Iterator<Item = &'a Arc<Person>> {
        self.move_to(time);
        let without = self.attendance.index.find(without).map(|number| number as usize);
        let people = self.attendance.people.iter().enumerate().zip(&self.present);
        people
            .filter(move |((number, _), present)| **present && Some(*number) != without)
            .map(|((_, person), _)| person)
    }

    fn move_to(&mut self, time: Timestamp) {
        let changes = &self.attendance.changes;
        while let Some(change) = changes.get(self.applied).filter(|change| change.time <= time) {
            self.present[change.who as usize] = change.after;
            self.applied += 1;
        }
        while let Some(change) = changes[..self.applied].last().filter(|change| change.time > time) {
            self.present[change.who as usize] = change.before;
            self.applied -= 1;
        }
    }

    /// The item's participants: the sender, then the recipients it lists, or else everyone present; of an event both. No
    /// two have both the same `ImId` and the same e-mail.
    pub fn participants(&mut self, record: &ItemRecord) -> Vec<Participant> {
        let sender = Participant { role: Role::Sender, person: self.attendance.complete(&record.sender) };
        let mut all = vec![sender];
        let complete = |person| Participant { role: Role::Recipient, person: self.attendance.complete(person) };
        all.extend(record.recipients.iter().map(complete));
        if record.recipients.is_empty() || matches!(record.kind, ItemKind::Event(_)) {
            let present = self.present_at(record.time, &record.sender);
            all.extend(present.map(|person| Participant { role: Role::Present, person: Arc::clone(person) }));
        }
        // Of those merely present, the sender is left out, and the roster holds everyone else once.
        if !record.recipients.is_empty() {
            drop_repeated(&mut all);
        }
        all
    }
}

/// Keeps of participants with the same `ImId` and e-mail the first.
pub(super) fn drop_repeated(participants: &mut Vec<Participant>) {
    if participants.len() <= FEW {
        let mut index = 1;
        while index < participants.len() {
            let (before, rest) = participants.split_at(index);
            if before.iter().any(|other| key(&other.person) == key(&rest[0].person)) {
                participants.remove(index);
            } else {
                index += 1;
            }
        }
        return;
    }
    let people: Vec<Arc<Person>> = participants.iter().map(|participant| Arc::clone(&participant.person)).collect();
    let mut seen = HashSet::with_capacity(people.len());
    let mut fresh = people.iter().map(|person| seen.insert(key(person)));
    participants.retain(|_| fresh.next().unwrap_or(true));
}

/// Up to so many participants are compared each with each, which is faster than hashing them.
const FEW: usize = 16;

/// What makes two mentions the same participant: `ImId` and e-mail, folded.
pub(super) fn key(person: &Person) -> (Option<&str>, Option<&str>) {
    (person.im_id.as_ref().map(super::ImId::folded), person.email.as_ref().map(super::Email::folded))
}

#[cfg(test)]
mod tests;
