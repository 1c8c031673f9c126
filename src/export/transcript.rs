//! A conversation's day as one item: what happened in its room, in document order, with everyone who took part.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::identity::words_key;
use super::roster::drop_repeated;
use super::{Body, ChatItem, EventKind, EventRecord, ItemKind, ItemRecord, Participant, Person, Role, Room};

/// One conversation on one day, or a part of it: what becomes one EML where conversations are grouped.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// Where it was said.
    pub room: Arc<Room>,
    /// The day in the zone that the grouping names.
    pub day: Date,
    /// From 1; a transcript that would be too large for a mail continues in another part.
    pub part: u32,
    /// Whether another part follows.
    pub continues: bool,
    /// Its place among the export's items and rejected records, from 0: that of the first item among its lines. A part may
    /// hold nothing but events, where there is no end of them; its place is that of the day's first item, in another part.
    pub ordinal: u64,
    /// When the first of its lines that has a time was said.
    pub time: Timestamp,
    /// What happened, in document order; never empty.
    pub lines: Vec<Line>,
    /// Who was there and when, in order of first appearance; of part 1 of what was read at first only.
    pub attendance: Vec<Attended>,
    /// Who took part on that day: the first who spoke, as its sender; everyone who spoke or was spoken to; who was merely
    /// there. The same in all parts.
    pub participants: Vec<Participant>,
}

impl Transcript {
    /// What would be items of their own, in document order: the place of each among the export's items and rejected
    /// records, its record, and a digest of everyone whom it concerns.
    pub fn items(&self) -> impl Iterator<Item = (u64, Cow<'_, ItemRecord>, [u8; 16])> {
        self.lines.iter().filter_map(|line| match line {
            Line::Item(spoken) => Some((spoken.ordinal, Cow::Borrowed(&spoken.record), spoken.participants)),
            Line::Event(happened) => {
                let (ordinal, participants) = happened.item?;
                Some((ordinal, Cow::Owned(happened.record.as_item()?), participants))
            }
            Line::Unreadable { .. } => None,
        })
    }
}

impl Transcript {
    /// The words of disclaimers and of the system that are no items, each by its hash: what a later issue may have more of.
    pub fn words(&self) -> impl Iterator<Item = u64> {
        self.lines.iter().filter_map(|line| match line {
            Line::Event(happened) if happened.item.is_none() => words_key(&happened.record, &self.room),
            _ => None,
        })
    }

    /// Something said within it, as an item of its own for everyone who gets the transcript.
    pub fn item_of(&self, spoken: &Spoken) -> ChatItem {
        let of = |role, person: &Arc<Person>| Participant { role, person: Arc::clone(person) };
        let mut participants = vec![of(Role::Sender, &spoken.sender)];
        let others = self.participants.iter().map(|participant| of(Role::Present, &participant.person));
        participants.extend(spoken.recipients.iter().map(|person| of(Role::Recipient, person)).chain(others));
        drop_repeated(&mut participants);
        ChatItem { record: spoken.record.clone(), room: Arc::clone(&self.room), participants }
    }
}

impl EventRecord {
    /// When it happened, if it can be an item: where events are items as well, one without a time or without its words is
    /// rejected.
    pub fn item_time(&self) -> Option<Timestamp> {
        self.time.filter(|_| self.fault.is_none())
    }

    /// The event as an item of its own, where events are items as well and it can be one. A disclaimer's id stands for
    /// its words, not for this showing of them, so it is a detail here.
    pub fn as_item(&self) -> Option<ItemRecord> {
        let mut details = self.details.clone();
        let mut message_id = self.id.clone();
        if self.kind == EventKind::Disclaimer {
            details.get_or_insert_default().disclaimer = message_id.take();
        }
        Some(ItemRecord {
            kind: ItemKind::Event(self.kind),
            line: self.line,
            message_id,
            sender: self.person.clone(),
            recipients: self.invited.clone(),
            time: self.item_time()?,
            body: Body::Text(self.text.clone().unwrap_or_default()),
            details,
        })
    }
}

/// Something that stands in a transcript.
#[derive(Debug, Clone)]
pub enum Line {
    /// A message or an attachment.
    Item(Box<Spoken>),
    /// Someone came, went or was invited; a disclaimer; words of the system.
    Event(Box<Happened>),
    /// A record that was not whole. Its reason is left to the report, for it may be readable later.
    Unreadable {
        /// Its place among the export's items and rejected records, from 0.
        ordinal: u64,
        /// What it would have been.
        kind: ItemKind,
        /// The line of the export on which it begins, from 1.
        line: u64,
    },
}

impl Line {
    /// When it happened, where that is known.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Item(spoken) => Some(spoken.record.time),
            Self::Event(happened) => happened.record.time,
            Self::Unreadable { .. } => None,
        }
    }

    /// Its place among the export's items and rejected records, if it is an item.
    pub fn item_ordinal(&self) -> Option<u64> {
        match self {
            Self::Item(spoken) => Some(spoken.ordinal),
            Self::Event(happened) => happened.item.map(|(ordinal, _)| ordinal),
            Self::Unreadable { .. } => None,
        }
    }
}

/// A message or an attachment within a transcript.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// Its place among the export's items and rejected records, from 0.
    pub ordinal: u64,
    /// The record, its persons as the export wrote them.
    pub record: ItemRecord,
    /// The completed sender.
    pub sender: Arc<Person>,
    /// The completed recipients; nobody, where it was said to everyone there.
    pub recipients: Vec<Arc<Person>>,
    /// A digest of everyone whom it concerned, as of an item of its own.
    pub participants: [u8; 16],
}

/// An event within a transcript.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Where events are items as well: its place among the export's items and rejected records, and a digest of everyone
    /// whom it concerned, as of an item of its own. An event without a time has none.
    pub item: Option<(u64, [u8; 16])>,
    /// The record, its persons as the export wrote them.
    pub record: EventRecord,
    /// The completed person, where one is named.
    pub person: Option<Arc<Person>>,
    /// The completed invited.
    pub invited: Vec<Arc<Person>>,
}

/// When someone was in the room on the transcript's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attended {
    /// Who.
    pub person: Arc<Person>,
    /// From when to when, by time.
    pub stays: Vec<Stay>,
    /// When they were invited, and by whom if that is said.
    pub invited: Vec<(Option<Timestamp>, Option<Arc<Person>>)>,
}

/// Someone's stay in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// When they came; `None` who was there already when the day began or the conversation did.
    pub from: Option<Timestamp>,
    /// When they went; `None` who was still there.
    pub to: Option<Timestamp>,
}
