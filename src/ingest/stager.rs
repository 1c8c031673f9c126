//! From a batch of items to their places: resolve and render on all cores, stage, then note what became of each.

use std::collections::HashMap;
use std::sync::Arc;

use super::original::{NumberedItem, Surveyed};
use super::shape::Shape;
use super::{IngestError, Tools};
use crate::books::Books;
use crate::digest::{ItemId, Sha256};
use crate::eml::{self, Eml};
use crate::export::{ChatItem, Person};
use crate::ledger::Unplaced;
use crate::ledger::manifest::{Entry, Known, Placed, Writer};
use crate::mailbox::Mailbox;
use crate::resolve::{Outcome, Rules};
use crate::stage::{Placement, in_parallel};

/// People without a mailbox are added up in memory up to this many, then in the working tables.
const TALLIED_PEOPLE: usize = 10_000;

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
    pub surveyed: &'a Surveyed,
    pub shaping: Shaping<'a>,
    /// None in a dry run.
    pub manifest: Option<Writer>,
    pub books: Books,
    pub unplaced: Tally,
}

/// What resolving and rendering gave.
struct Prepared {
    mailboxes: Vec<Mailbox>,
    eml: Option<(Eml, Sha256)>,
    missing: Vec<(Arc<Person>, bool)>,
}

impl Shaping<'_> {
    fn prepare(&self, wanted: &Wanted) -> Prepared {
        let item = &wanted.item.item;
        let mut mailboxes = Vec::new();
        let mut missing = Vec::new();
        for participant in &item.participants {
            match self.rules.resolve(&participant.person) {
                Outcome::Mailbox(mailbox) if !mailboxes.contains(&mailbox) => mailboxes.push(mailbox),
                Outcome::Mailbox(_) => {}
                Outcome::External => missing.push((Arc::clone(&participant.person), true)),
                Outcome::Unresolved => missing.push((Arc::clone(&participant.person), false)),
            }
        }
        if let Some(before) = self.before.filter(|_| matches!(wanted.why, Why::Again { .. })) {
            let standing = before.mailboxes_of(item);
            mailboxes.retain(|mailbox| !standing.contains(mailbox));
        }
        let eml = (!mailboxes.is_empty()).then(|| render(item, wanted.item.id, self.shape));
        Prepared { mailboxes, eml, missing }
    }
}

impl Stager<'_> {
    /// Places what can be placed; the rest is held.
    pub(super) fn place(&mut self, wanted: &[Wanted]) -> Result<(), IngestError> {
        let (workers, shaping) = (self.tools.workers, self.shaping);
        let prepared: Vec<Prepared> = in_parallel(workers, wanted, |part| {
            Ok::<_, IngestError>(part.iter().map(|wanted| shaping.prepare(wanted)).collect::<Vec<_>>())
        })?
        .into_iter()
        .flatten()
        .collect();
        self.stage(&prepared)?;
        for (wanted, prepared) in wanted.iter().zip(prepared) {
            self.note(wanted, prepared)?;
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
        match self.tools.target {
            Some(target) if !batch.is_empty() => {
                self.books.placements += target.stage(batch, &self.surveyed.proof)?;
            }
            Some(_) => {}
            None => {
                let copies: usize = batch.iter().map(|placement| placement.mailboxes.len()).sum();
                self.books.placements.staged += copies as u64;
            }
        }
        Ok(())
    }

    fn note(&mut self, wanted: &Wanted, prepared: Prepared) -> Result<(), IngestError> {
        let NumberedItem { time, id, .. } = *wanted.item;
        for (person, external) in &prepared.missing {
            self.unplaced.add(person, *external, time, self.tools)?;
        }
        let known = wanted.item.known();
        match (prepared.eml, wanted.why) {
            (Some((_, digest)), why) => {
                if why == (Why::Again { held: true }) {
                    self.tools.scratch.release_item(time, id)?;
                }
                self.books.items.staged += u64::from(why != Why::Again { held: false });
                let placed = Placed::new(known, digest, &prepared.mailboxes);
                self.write(&if why == Why::New { Entry::Staged(placed) } else { Entry::Copied(placed) })
            }
            (None, Why::New) => {
                self.tools.scratch.hold_item(time, id)?;
                self.books.items.held += 1;
                self.write(&Entry::Held(known))
            }
            (None, Why::Again { held }) => {
                self.books.items.held += u64::from(held);
                Ok(())
            }
        }
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), IngestError> {
        if let Some(manifest) = &mut self.manifest {
            manifest.write(entry)?;
        }
        Ok(())
    }
}

/// The EML of an item, and its digest for the evidence.
pub(super) fn render(item: &ChatItem, id: ItemId, shape: &Shape) -> (Eml, Sha256) {
    let eml = eml::render(item, id, shape.eml());
    let digest = Sha256::of(&eml.bytes);
    (eml, digest)
}

impl NumberedItem {
    pub(super) fn known(&self) -> Known {
        Known { n: self.ordinal, time: self.time, id: self.id.to_string() }
    }
}

impl Placed {
    pub(super) fn new(item: Known, digest: Sha256, mailboxes: &[Mailbox]) -> Self {
        let mailboxes = mailboxes.iter().map(|mailbox| mailbox.as_str().to_owned()).collect();
        Self { item, eml: digest.to_string(), mailboxes }
    }
}

/// What distinguishes a participant within an export: folded ImId and e-mail. Neither holds a control character after
/// the separator that could make two of them one, for both were trimmed.
pub(super) fn person_key(person: &Person, key: &mut String) {
    key.clear();
    key.push_str(person.im_id.as_ref().map_or("", |im_id| im_id.folded()));
    key.push('\u{1f}');
    key.push_str(person.email.as_ref().map_or("", |email| email.folded()));
}

/// Participants without a mailbox, added up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    people: HashMap<String, Unplaced>,
    key: String,
}

impl Tally {
    pub(super) fn add(
        &mut self,
        person: &Person,
        external: bool,
        time: i64,
        tools: &Tools<'_>,
    ) -> Result<(), IngestError> {
        person_key(person, &mut self.key);
        if let Some(known) = self.people.get_mut(self.key.as_str()) {
            if known.external && !external {
                // One conversation says less of them than another: what cannot be told is taken for ours.
                known.external = false;
                known.company = person.company.as_deref().map(str::to_owned);
            }
            known.items += 1;
            known.first_seen = known.first_seen.min(time);
            known.last_seen = known.last_seen.max(time);
            return Ok(());
        }
        if self.people.len() >= TALLIED_PEOPLE {
            self.flush(tools)?;
        }
        let unplaced = Unplaced {
            key: self.key.clone(),
            im_id: person.im_id.as_ref().map(|im_id| im_id.as_str().to_owned()),
            email: person.email.as_ref().map(|email| email.as_str().to_owned()),
            name: person.name.as_deref().map(str::to_owned),
            company: person.company.as_deref().map(str::to_owned),
            external,
            items: 1,
            first_seen: time,
            last_seen: time,
        };
        self.people.insert(self.key.clone(), unplaced);
        Ok(())
    }

    pub(super) fn flush(&mut self, tools: &Tools<'_>) -> Result<(), IngestError> {
        for (_, person) in self.people.drain() {
            tools.scratch.add_unplaced(&person)?;
        }
        Ok(())
    }
}
