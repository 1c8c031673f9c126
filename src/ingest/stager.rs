//! From a batch of items to their places: resolve and render on all cores, stage, then note what became of each.

use super::days::{Parts, Seen};
use super::original::{NumberedItem, Surveyed};
use super::people::{Tally, keys_of, names_of};
use super::placing::{Done, Placer, Prepared, Shaping};
use super::shape::Shape;
use super::{IngestError, Tools};
use crate::books::Books;
use crate::digest::Sha256;
use crate::eml::{self, Eml};
use crate::export::Item;
use crate::ledger::FileId;
use crate::ledger::manifest::{Entry, Known, Placed, Writer};
use crate::mailbox::Mailbox;
use crate::stage::Placement;

/// An item that is to be placed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub item: Box<NumberedItem>,
    pub why: Why,
}

/// Why an item is to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// This pass took it in.
    New,
    /// It is in the ledger; a rule set has come since.
    Again {
        /// It has no mailbox yet.
        held: bool,
        /// It has a copy in the catch-all.
        caught: bool,
    },
}

/// What a pass over one export places and notes.
pub(super) struct Stager<'a> {
    pub tools: &'a Tools<'a>,
    /// The export.
    pub file: FileId,
    pub surveyed: &'a Surveyed,
    pub shaping: Shaping<'a>,
    /// None in a dry run.
    pub manifest: Option<Writer>,
    pub books: Books,
    /// Whom its items name.
    pub people: Tally,
    /// What the pass read.
    pub seen: Seen,
    /// Of the conversation at hand, the first part of each day.
    pub parts: Parts,
    /// The export that brought the last duplicate first.
    pub brought_by: Option<(FileId, String)>,
}

impl<'a> Stager<'a> {
    /// Who places what it wants placed.
    pub(super) fn placer(&self) -> Placer<'a> {
        let Tools { target, workers, watch, .. } = *self.tools;
        Placer { target, workers, proof: &self.surveyed.proof, progress: watch.staging, shaping: self.shaping }
    }

    /// Places what can be placed; the rest is held.
    pub(super) fn place(&mut self, wanted: Vec<Wanted>) -> Result<(), IngestError> {
        let done = self.placer().place(wanted)?;
        self.note_done(done)
    }

    pub(super) fn stage_batch(&mut self, batch: &[Placement<'_>]) -> Result<(), IngestError> {
        self.books.placements += self.placer().stage_batch(batch)?;
        Ok(())
    }

    /// Notes a batch that was placed, as a round of the working tables.
    pub(super) fn note_done(&mut self, done: Done) -> Result<(), IngestError> {
        for people in done.people {
            self.people.absorb(people);
        }
        self.books.placements += done.placements;
        self.tools.scratch.round(|| {
            self.people.flush_if_full(self.tools)?;
            let mut noted = done.wanted.iter().zip(&done.prepared);
            noted.try_for_each(|(wanted, prepared)| self.note(wanted, prepared))
        })
    }

    fn note(&mut self, wanted: &Wanted, prepared: &Prepared) -> Result<(), IngestError> {
        let NumberedItem { time, id, .. } = *wanted.item;
        if !prepared.has_place || self.is_dismissed(wanted, prepared)? {
            self.tools.scratch.lack(time, id, keys_of(&prepared.missing))?;
        }
        let known = wanted.item.known();
        let placed = match &prepared.eml {
            Some((_, digest)) => Placed::new(known, *digest, &prepared.mailboxes),
            None => Placed::nowhere(known),
        };
        match (wanted.why, prepared.has_place) {
            (Why::New, true) => {
                self.books.items.staged += 1;
                self.write(&Entry::Staged(placed))
            }
            (Why::New, false) => {
                self.tools.scratch.hold_item(time, id)?;
                self.books.items.held += 1;
                self.write(&Entry::Held(Placed { lacks: names_of(&prepared.missing), ..placed }))
            }
            (Why::Again { held: true, .. }, true) => {
                self.tools.scratch.release_item(time, id)?;
                self.books.items.staged += 1;
                self.write(&Entry::Copied(placed))
            }
            (Why::Again { held: true, .. }, false) => {
                self.books.items.held += 1;
                Ok(())
            }
            (Why::Again { held: false, .. }, _) if placed.mailboxes.is_empty() => Ok(()),
            (Why::Again { held: false, .. }, _) => self.write(&Entry::Copied(placed)),
        }
    }

    /// Whether a person decided that nobody need be asked about the item any more; that stays so when it is placed.
    fn is_dismissed(&self, wanted: &Wanted, prepared: &Prepared) -> Result<bool, IngestError> {
        if wanted.why == Why::New || prepared.missing.is_empty() {
            return Ok(false);
        }
        Ok(self.tools.ledger.is_item_dismissed(wanted.item.time, wanted.item.id)?)
    }

    /// Says of a duplicate which export brought it first.
    pub(super) fn write_duplicate(&mut self, item: &NumberedItem) -> Result<(), IngestError> {
        if self.manifest.is_none() {
            return Ok(());
        }
        let first =
            self.tools.ledger.item(item.time, item.id)?.map(|(file, ..)| file).filter(|file| *file != self.file);
        let of = first.map(|file| self.digest_of(file)).transpose()?;
        self.write(&Entry::Duplicate { item: item.known(), of })
    }

    /// Duplicates of one export mostly come from one other.
    fn digest_of(&mut self, file: FileId) -> Result<String, IngestError> {
        if self.brought_by.as_ref().is_none_or(|(known, _)| *known != file) {
            self.brought_by = Some((file, self.tools.ledger.file(file)?.sha256.to_string()));
        }
        Ok(self.brought_by.as_ref().map(|(_, digest)| digest.clone()).unwrap_or_default())
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), IngestError> {
        if let Some(manifest) = &mut self.manifest {
            manifest.write(entry)?;
        }
        Ok(())
    }
}

/// The EML of an item, and its digest for the evidence.
pub(super) fn render(item: &NumberedItem, shape: &Shape) -> (Eml, Sha256) {
    let identity = eml::Identity { id: item.id, follows: item.follows };
    let eml = eml::render(&item.item, identity, shape.eml());
    let digest = Sha256::of(&eml.bytes);
    (eml, digest)
}

impl NumberedItem {
    /// Whether only its place among equal ones tells it apart.
    pub(super) fn lacks_message_id(&self) -> bool {
        matches!(&self.item, Item::Chat(chat) if chat.record.message_id.is_none())
    }

    pub(super) fn known(&self) -> Known {
        Known { n: self.ordinal, time: self.time, id: self.id.to_string() }
    }
}

impl Placed {
    pub(super) fn new(item: Known, digest: Sha256, mailboxes: &[Mailbox]) -> Self {
        let mailboxes = mailboxes.iter().map(|mailbox| mailbox.as_str().to_owned()).collect();
        Self { item, eml: digest.to_string(), mailboxes, lacks: Vec::new() }
    }

    /// No copy was made, or none was needed.
    pub(super) fn nowhere(item: Known) -> Self {
        Self { item, eml: String::new(), mailboxes: Vec::new(), lacks: Vec::new() }
    }
}
