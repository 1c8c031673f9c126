//! From a batch of items to their places: resolve and render on all cores, stage, then note what became of each.

use std::sync::Arc;

use super::days::{Parts, Seen};
use super::original::{NumberedItem, Surveyed};
use super::people::{Tally, keys_of, names_of};
use super::shape::Shape;
use super::{IngestError, Tools};
use crate::books::Books;
use crate::digest::Sha256;
use crate::eml::{self, Eml};
use crate::export::{Item, Person};
use crate::ledger::FileId;
use crate::ledger::manifest::{Entry, Known, Placed, Writer};
use crate::mailbox::Mailbox;
use crate::resolve::{Outcome, Rules};
use crate::stage::{Placement, in_parallel, parts};

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

/// All that decides where an item goes and what its EML looks like: shared by the threads that work it out.
#[derive(Clone, Copy)]
pub(super) struct Shaping<'a> {
    pub shape: &'a Shape,
    /// Every rule set applied to the export, in order, the newest included.
    pub rules: &'a Rules,
    /// Those that were applied before, whose placements stand.
    pub before: Option<&'a Rules>,
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

/// What resolving and rendering gave.
struct Prepared {
    /// Whether a participant has a mailbox.
    has_place: bool,
    /// Who gets a copy by this pass.
    mailboxes: Vec<Mailbox>,
    eml: Option<(Eml, Sha256)>,
    missing: Vec<Arc<Person>>,
}

impl Shaping<'_> {
    fn prepare(&self, wanted: &Wanted, people: &mut Tally) -> Prepared {
        let item = &wanted.item.item;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let day = item.day();
        for person in item.people() {
            let outcome = self.rules.resolve(person, day);
            people.add(person, &outcome, wanted.item.time);
            match outcome {
                Outcome::Mailbox(mailbox) if !found.contains(&mailbox) => found.push(mailbox),
                Outcome::Mailbox(_) => {}
                Outcome::External | Outcome::Unresolved => missing.push(Arc::clone(person)),
            }
        }
        let has_place = !found.is_empty();
        let mailboxes = match wanted.why {
            Why::New => self.with_those_beside(found),
            Why::Again { caught, .. } => self.without_standing(found, item, caught),
        };
        let eml = (!mailboxes.is_empty()).then(|| render(&wanted.item, self.shape));
        Prepared { has_place, mailboxes, eml, missing }
    }

    /// The participants' mailboxes, and who else gets a copy of an item that is taken in.
    pub(super) fn with_those_beside(&self, mut found: Vec<Mailbox>) -> Vec<Mailbox> {
        for mailbox in self.shape.beside(found.is_empty()) {
            if !found.contains(mailbox) {
                found.push(mailbox.clone());
            }
        }
        found
    }

    /// The participants' mailboxes that do not have the item from an earlier pass.
    fn without_standing(&self, mut found: Vec<Mailbox>, item: &Item, caught: bool) -> Vec<Mailbox> {
        if found.is_empty() {
            return found;
        }
        let standing = self.before.map_or(Vec::new(), |before| before.mailboxes_of(item));
        found
            .retain(|mailbox| !standing.contains(mailbox) && self.shape.beside(caught).all(|beside| beside != mailbox));
        found
    }
}

impl Stager<'_> {
    /// Places what can be placed; the rest is held.
    pub(super) fn place(&mut self, wanted: &[Wanted]) -> Result<(), IngestError> {
        let (workers, shaping) = (self.tools.workers, self.shaping);
        let parts = in_parallel(workers, wanted, |part| {
            let mut people = Tally::default();
            let prepared: Vec<_> = part.iter().map(|wanted| shaping.prepare(wanted, &mut people)).collect();
            Ok::<_, IngestError>((prepared, people))
        })?;
        let mut prepared = Vec::with_capacity(wanted.len());
        for (part, people) in parts {
            prepared.extend(part);
            self.people.absorb(people);
        }
        self.people.flush_if_full(self.tools)?;
        self.stage(&prepared)?;
        for (wanted, prepared) in wanted.iter().zip(prepared) {
            self.note(wanted, &prepared)?;
        }
        Ok(())
    }

    fn stage(&mut self, prepared: &[Prepared]) -> Result<(), IngestError> {
        let batch: Vec<Placement<'_>> = prepared
            .iter()
            .filter_map(|prepared| {
                let (eml, _) = prepared.eml.as_ref()?;
                Some(Placement { name: &eml.name, bytes: &eml.bytes, mailboxes: &prepared.mailboxes })
            })
            .collect();
        self.stage_batch(&batch)
    }

    pub(super) fn stage_batch(&mut self, batch: &[Placement<'_>]) -> Result<(), IngestError> {
        let Some(target) = self.tools.target else {
            let copies: usize = batch.iter().map(|placement| placement.mailboxes.len()).sum();
            self.books.placements.staged += copies as u64;
            return Ok(());
        };
        for part in parts(batch, target.most()) {
            self.books.placements += target.stage(part, &self.surveyed.proof)?;
            self.tools.watch.staging.advance(0);
        }
        Ok(())
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
