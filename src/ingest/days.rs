//! Transcripts on their way in: which one each follows, and whether every record of the export is in what was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::original::{Numbered, NumberedItem};
use super::stager::{Stager, Wanted, Why};
use super::{IngestError, LedgerError};
use crate::digest::{Hasher, ItemId};
use crate::export::passes::Grouping;
use crate::export::transcript::Transcript;
use crate::export::{Item, Room};
use crate::ledger::{Follows, RoomDay, Verdict};

/// What one pass read, counted apart from the books: they must agree with the survey, whatever became of each record.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Items and rejected records: a transcript is one.
    items: u64,
    /// The records that these are made of.
    records: u64,
    /// A sum over the places of those: the records of an export have each place once.
    places: u128,
}

impl Seen {
    pub(super) fn note(&mut self, numbered: &Numbered) {
        self.items += 1;
        match numbered {
            Numbered::Item(item) => item.ordinals().for_each(|place| self.record(place)),
            Numbered::Rejected { ordinal, .. } => self.record(*ordinal),
        }
    }

    fn record(&mut self, place: u64) {
        self.records += 1;
        self.places += square(place);
    }

    /// What the books have to account for.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Whether each of the records that the survey counted was read, once.
    pub(super) fn check(&self, name: &str, surveyed: u64, grouping: &Grouping) -> Result<(), IngestError> {
        // An event without a time takes a place, and is no item where it stands in a transcript.
        let has_gaps = grouping.events && grouping.by_day.is_some();
        if self.records == surveyed && (has_gaps || self.places == (0..surveyed).map(square).sum::<u128>()) {
            return Ok(());
        }
        let read = if self.records == surveyed { "others".to_owned() } else { self.records.to_string() };
        Err(IngestError::Miscounted { name: name.to_owned(), surveyed, read })
    }
}

/// Squares, so that two records that change places for two others are noticed too.
fn square(place: u64) -> u128 {
    u128::from(place) * u128::from(place)
}

/// The first part of each day of one conversation: none where that one is in the archive in no form that can be named.
#[derive(Debug, Default)]
pub(super) struct Parts {
    room: Option<Arc<Room>>,
    days: BTreeMap<Date, Option<ItemId>>,
}

impl Parts {
    fn first(&mut self, of: &Transcript) -> &mut Option<ItemId> {
        if !self.room.as_ref().is_some_and(|room| Arc::ptr_eq(room, &of.room)) {
            *self = Self { room: Some(Arc::clone(&of.room)), days: BTreeMap::new() };
        }
        self.days.entry(of.day).or_default()
    }
}

impl Stager<'_> {
    /// Says what a transcript follows. A further part follows its first one. A first part follows the first one of that room
    /// and day that there is. What was said before, by a run that did not come to its end, stays.
    pub(super) fn follow(&mut self, item: &mut NumberedItem, verdict: Verdict) -> Result<(), LedgerError> {
        let Item::Transcript(transcript) = &item.item else { return Ok(()) };
        let (scratch, ledger) = (self.tools.scratch, self.tools.ledger);
        let room_day = room_day(transcript);
        let is_new = matches!(verdict, Verdict::New { .. });
        let first = match transcript.part {
            1 => room_day.map_or(Ok(None), |of| scratch.first_transcript(of))?,
            _ => *self.parts.first(transcript),
        };
        if transcript.part == 1 {
            let is_known = scratch.is_known(item.time, item.id)?;
            *self.parts.first(transcript) = if is_known { Some(item.id) } else { first };
            if let Some(of) = room_day.filter(|_| is_new) {
                scratch.note_transcript(of, item.id, self.shaping.shape.knows_words())?;
            }
        }
        if is_new {
            item.follows = match ledger.followed(item.time, item.id)? {
                Some(recorded) => recorded,
                None => first,
            };
        }
        Ok(())
    }

    /// Records what new transcripts follow, before the first of them is written.
    pub(super) fn remember_followed(&self, wanted: &[Wanted]) -> Result<(), LedgerError> {
        if self.tools.is_dry() {
            return Ok(());
        }
        let new = wanted.iter().filter(|wanted| wanted.why == Why::New).map(|wanted| &wanted.item);
        let transcripts = new.filter(|item| matches!(item.item, Item::Transcript(_)));
        let all: Vec<Follows> =
            transcripts.map(|item| Follows { time: item.time, id: item.id, follows: item.follows }).collect();
        self.tools.ledger.note_followed(&all)
    }
}

/// Of a room without an id nobody can say which it was on another day.
pub(super) fn room_day(transcript: &Transcript) -> Option<RoomDay> {
    let mut hasher = Hasher::default();
    hasher.field(transcript.room.id.as_deref()?.as_bytes());
    let mut room = [0; 8];
    room.copy_from_slice(&hasher.finish().0[..8]);
    let day = transcript.day.since(Date::constant(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
    Some(RoomDay { day, room: u64::from_be_bytes(room) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(places: &[u64], surveyed: u64) -> Result<(), String> {
        let mut seen = Seen::default();
        for place in places {
            seen.record(*place);
        }
        seen.check("day.pgp", surveyed, &Grouping::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_record_is_read_once() {
        assert_eq!(check(&[0, 2, 1, 3], 4), Ok(()));
        assert_eq!(check(&[], 0), Ok(()));
        for (places, read) in
            [(&[0, 1, 2][..], "3"), (&[0, 1, 2, 3, 3], "5"), (&[0, 1, 1, 3], "others"), (&[1, 2, 3, 4], "others")]
        {
            let error = check(places, 4).unwrap_err();
            let says =
                format!("found 4 messages, attachments and rejected records, the second {read}: nothing of it is");
            assert!(error.contains(&says), "{error}");
        }
    }
}
