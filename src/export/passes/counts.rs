//! How much an export holds, counted by both passes.

use super::Grouping;
use crate::export::{EventKind, EventRecord, ItemKind, ItemRecord, Record};

/// How much an export holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Conversations.
    pub conversations: u64,
    /// Messages that become items, or lines of a transcript.
    pub messages: u64,
    /// Attachments that become items, or lines of a transcript.
    pub attachments: u64,
    /// Events that become items, or lines that count as such; none unless events are items.
    pub event_items: u64,
    /// Messages and attachments that are rejected; where events are items, also those that cannot be one.
    pub rejected: u64,
    /// All events, whether or not they become items.
    pub events: EventCounts,
}

impl Counts {
    /// The records that should have become items or lines of a transcript.
    pub fn records(&self) -> u64 {
        self.messages + self.attachments + self.event_items
    }

    /// Records that take a place in the export: each becomes an item, a line of a transcript, or is rejected.
    pub fn available(&self) -> u64 {
        self.records() + self.rejected
    }

    pub(super) fn count(&mut self, record: &Record, grouping: &Grouping) {
        match record {
            Record::Item(ItemRecord { kind: ItemKind::Message, .. }) => self.messages += 1,
            Record::Item(ItemRecord { kind: ItemKind::Attachment, .. }) => self.attachments += 1,
            Record::Item(ItemRecord { kind: ItemKind::Event(_), .. }) => self.event_items += 1,
            Record::Rejected(_) => self.rejected += 1,
            Record::Event(event) => self.event(event, grouping),
        }
    }

    fn event(&mut self, event: &EventRecord, grouping: &Grouping) {
        self.events.add(event.kind, 1);
        if grouping.events {
            self.event_items += u64::from(event.item_time().is_some());
            self.rejected += u64::from(event.item_time().is_none());
        }
    }
}

/// Events by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounts([u64; EventKind::ALL.len()]);

impl EventCounts {
    /// How many of a kind there are.
    pub fn of(&self, kind: EventKind) -> u64 {
        self.0[kind as usize]
    }

    /// Counts further ones.
    pub fn add(&mut self, kind: EventKind, number: u64) {
        self.0[kind as usize] += number;
    }

    /// Each kind with its number, in the order of reports.
    pub fn each(&self) -> impl Iterator<Item = (EventKind, u64)> {
        EventKind::ALL.into_iter().zip(self.0)
    }
}
