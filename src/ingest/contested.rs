//! Items that several exports name people for: each of those people gets one copy, from the export that named them
//! first (contract 7). Rare, and therefore plain and serial.

use super::original::{Numbered, NumberedItem, Original};
use super::recorded::{self, number};
use super::stager::{Stager, person_key, render};
use super::{IngestError, Tools};
use crate::digest::ItemId;
use crate::export::Person;
use crate::ledger::manifest::{Entry, Placed};
use crate::ledger::{FileId, FileRow, LedgerError};
use crate::mailbox::Mailbox;
use crate::resolve::{Outcome, Rules};
use crate::stage::Placement;

/// Fills the working tables with whom earlier exports named for the contested items, and which mailboxes have them.
pub(super) fn learn_from_others(tools: &Tools<'_>, file: FileId) -> Result<(), IngestError> {
    for named in tools.scratch.named_by(file)? {
        learn_mailboxes(tools, named.file)?;
        if named.earlier {
            learn_people(tools, &tools.ledger.file(named.file)?)?;
        }
    }
    Ok(())
}

/// Which mailboxes an export's commits gave contested items to.
pub(super) fn learn_mailboxes(tools: &Tools<'_>, file: FileId) -> Result<(), IngestError> {
    for manifest in tools.ledger.recorded_manifests(Some(file))? {
        tools.scratch.round(|| {
            manifest.read(tools.ledger, |entry| {
                let (Entry::Staged(placed) | Entry::Copied(placed)) = entry else { return Ok(()) };
                let id = ItemId::from_hex(&placed.item.id).ok_or_else(|| {
                    LedgerError::Damaged(format!("manifest {} has an item id that is none", manifest.finished.name))
                })?;
                if tools.scratch.is_contested(placed.item.time, id)? {
                    for mailbox in &placed.mailboxes {
                        tools.scratch.give(placed.item.time, id, mailbox)?;
                    }
                }
                Ok::<_, LedgerError>(())
            })
        })?;
    }
    Ok(())
}

/// Whom an earlier export named. Where retention removed its original, nobody: then its mailboxes alone decide.
fn learn_people(tools: &Tools<'_>, row: &FileRow) -> Result<(), IngestError> {
    let (profile, shape) = recorded::recorded(tools, row)?;
    let Some(original) = Original::kept(tools, row, &profile, &shape)? else { return Ok(()) };
    let surveyed = original.survey().map_err(|error| IngestError::original(&row.name, &error))?;
    let rules = recorded::load_rules(tools.ledger, &tools.ledger.rules_of(row.id)?)?;
    original.each_batch(tools, &surveyed, |mut batch| {
        tools.scratch.round(|| {
            for numbered in &mut batch {
                let Numbered::Item(item) = numbered else { continue };
                number(tools, item)?;
                // What was skipped there named nobody.
                if !shape.skips(item.item.record.time) && tools.scratch.is_contested(item.time, item.id)? {
                    name_all(tools, item, &rules)?;
                }
            }
            Ok(())
        })
    })
}

fn name_all(tools: &Tools<'_>, item: &NumberedItem, rules: &Rules) -> Result<(), LedgerError> {
    let mut key = String::new();
    for participant in &item.item.participants {
        person_key(&participant.person, &mut key);
        tools.scratch.name(item.time, item.id, &key)?;
        if matches!(rules.resolve(&participant.person), Outcome::Mailbox(_)) {
            note_placed(tools, item, &participant.person)?;
        }
    }
    Ok(())
}

/// Notes that someone's copy was placed: a later export that gives their `ImId` another e-mail names nobody new.
fn note_placed(tools: &Tools<'_>, item: &NumberedItem, person: &Person) -> Result<(), LedgerError> {
    match placed_key(person) {
        Some(key) => tools.scratch.name(item.time, item.id, &key).map(drop),
        None => Ok(()),
    }
}

/// Distinct from every key of a person: those begin with an `ImId` or the separator.
fn placed_key(person: &Person) -> Option<String> {
    person.im_id.as_ref().map(|im_id| format!("\u{1e}{}", im_id.folded()))
}

impl Stager<'_> {
    /// Places a contested item for the participants that nobody named before this export, in the mailboxes that do not
    /// have it. Of an item's first naming, all participants are this export's own.
    pub(super) fn place_contested(&mut self, file: FileId, item: &NumberedItem) -> Result<(), IngestError> {
        let scratch = self.tools.scratch;
        let first = scratch.first_named_here(file, item.time, item.id, item.ordinal)?;
        let own = self.own_people(item, first)?;
        let mut mailboxes = Vec::new();
        for person in own {
            match self.shaping.rules.resolve(&person) {
                Outcome::Mailbox(mailbox) => {
                    note_placed(self.tools, item, &person)?;
                    if scratch.give(item.time, item.id, mailbox.as_str())? {
                        mailboxes.push(mailbox);
                    }
                }
                Outcome::External => self.unplaced.add(&person, true, item.time, self.tools)?,
                Outcome::Unresolved => self.unplaced.add(&person, false, item.time, self.tools)?,
            }
        }
        if mailboxes.is_empty() { Ok(()) } else { self.copy(file, item, &mailboxes) }
    }

    /// As [`Stager::place_contested`], for a pass that has placed the items it took in already: of those it notes whom
    /// they name and who has them.
    pub(super) fn extend(&mut self, file: FileId, item: &NumberedItem) -> Result<(), IngestError> {
        let scratch = self.tools.scratch;
        if !scratch.first_named_here(file, item.time, item.id, item.ordinal)? {
            return self.place_contested(file, item);
        }
        name_all(self.tools, item, self.shaping.rules)?;
        for mailbox in self.shaping.rules.mailboxes_of(&item.item) {
            scratch.give(item.time, item.id, mailbox.as_str())?;
        }
        Ok(())
    }

    fn own_people(&self, item: &NumberedItem, first: bool) -> Result<Vec<std::sync::Arc<Person>>, IngestError> {
        let mut own = Vec::new();
        let mut key = String::new();
        for participant in &item.item.participants {
            person_key(&participant.person, &mut key);
            let scratch = self.tools.scratch;
            let placed = placed_key(&participant.person);
            let placed = placed.map_or(Ok(false), |key| scratch.is_named(item.time, item.id, &key))?;
            if (scratch.name(item.time, item.id, &key)? && !placed) || first {
                own.push(std::sync::Arc::clone(&participant.person));
            }
        }
        Ok(own)
    }

    fn copy(&mut self, file: FileId, item: &NumberedItem, mailboxes: &[Mailbox]) -> Result<(), IngestError> {
        let (eml, digest) = render(&item.item, item.id, self.shaping.shape);
        self.stage_batch(&[Placement { name: &eml.name, bytes: &eml.bytes, mailboxes }])?;
        self.release(file, item)?;
        self.write(&Entry::Copied(Placed::new(item.known(), digest, mailboxes)))
    }

    /// An item that was held has a place now; if it is this export's own, taken in by this pass or an earlier one, then
    /// this pass has counted it as held.
    fn release(&mut self, file: FileId, item: &NumberedItem) -> Result<(), IngestError> {
        let (scratch, ledger) = (self.tools.scratch, self.tools.ledger);
        let was_held = scratch.held_here(item.time, item.id)?
            || ledger.item(item.time, item.id)?.is_some_and(|(of, _, held)| held && of == file);
        if scratch.release_item(item.time, item.id)? && was_held {
            self.books.items.held -= 1;
            self.books.items.staged += 1;
        }
        Ok(())
    }
}
