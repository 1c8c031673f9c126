//! Items that several exports name people for: each of those people gets one copy, from the export that named them
//! first (contract 7). Rare, and therefore plain and serial.

use super::original::{Numbered, NumberedItem, Original};
use super::people::{keys_of, person_key};
use super::recorded::{self, number};
use super::stager::{Stager, render};
use super::{IngestError, Tools};
use crate::config::Grouping;
use crate::digest::ItemId;
use crate::export::Person;
use crate::ledger::manifest::{Entry, Placed};
use crate::ledger::{FileId, FileRow, LedgerError};
use crate::mailbox::Mailbox;
use crate::resolve::{Outcome, Rules};
use crate::stage::Placement;

/// Fills the working tables with whom earlier exports named for the contested items, all of them transcripts or all of them
/// messages, and which mailboxes have them.
pub(super) fn learn_from_others(tools: &Tools<'_>, file: FileId, what: Grouping) -> Result<(), IngestError> {
    for named in tools.scratch.named_by(file)? {
        learn_mailboxes(tools, named.file)?;
        if named.earlier {
            learn_people(tools, &tools.ledger.file(named.file)?, what)?;
        }
    }
    Ok(())
}

/// Which mailboxes an export's commits gave contested items to, by themselves or within a transcript; and held ones, which
/// no rule would tell.
pub(super) fn learn_mailboxes(tools: &Tools<'_>, file: FileId) -> Result<(), IngestError> {
    let within = tools.scratch.find_contested_within(file)? > 0;
    for manifest in tools.ledger.recorded_manifests(Some(file))? {
        tools.scratch.round(|| {
            manifest.read(&tools.ledger.manifests(), |entry| {
                let (Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed)) = &entry else {
                    return Ok(());
                };
                if placed.mailboxes.is_empty() {
                    return Ok(());
                }
                let id = ItemId::from_hex(&placed.item.id).ok_or_else(|| {
                    LedgerError::Damaged(format!("manifest {} has an item id that is none", manifest.finished.name))
                })?;
                if within {
                    for mailbox in &placed.mailboxes {
                        tools.scratch.give_within(placed.item.n, mailbox)?;
                    }
                }
                if matches!(entry, Entry::Held(_)) || tools.scratch.is_contested(placed.item.time, id)? {
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

/// Whom an earlier export named: a message that is contested has people of its own, also where that export has it within a
/// transcript; and a transcript that is contested is one there too. Where retention removed the original, nobody: then its
/// mailboxes alone decide.
fn learn_people(tools: &Tools<'_>, row: &FileRow, what: Grouping) -> Result<(), IngestError> {
    let (profile, shape) = recorded::recorded(tools, row)?;
    let Some(mut original) = Original::kept(tools, row, &profile, &shape)? else { return Ok(()) };
    if what == Grouping::Message {
        original.grouping.by_day = None;
    }
    let surveyed = original.survey_kept(tools, &row.name, &shape)?;
    let rules = recorded::load_rules(tools.ledger, &tools.ledger.rules_of(row.id)?)?;
    original.each_batch(tools, &surveyed, |mut batch| {
        tools.scratch.round(|| {
            for numbered in &mut batch {
                let Numbered::Item(item) = numbered else { continue };
                number(tools, item)?;
                // What was skipped there named nobody.
                if !shape.skips(item.item.time()) && tools.scratch.is_contested(item.time, item.id)? {
                    name_all(tools, item, &rules)?;
                }
            }
            Ok(())
        })
    })
}

pub(super) fn name_all(tools: &Tools<'_>, item: &NumberedItem, rules: &Rules) -> Result<(), LedgerError> {
    let mut key = String::new();
    let day = item.item.day();
    for person in item.item.people() {
        person_key(person, &mut key);
        tools.scratch.name(item.time, item.id, &key)?;
        if matches!(rules.resolve(person, day), Outcome::Mailbox(_)) {
            note_placed(tools, item, person)?;
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
        let (mut mailboxes, mut missing, mut has_place) = (Vec::new(), Vec::new(), false);
        for person in own {
            let outcome = self.shaping.rules.resolve(&person, item.item.day());
            self.people.add(&person, &outcome, item.time);
            let Outcome::Mailbox(mailbox) = outcome else {
                missing.push(person);
                continue;
            };
            has_place = true;
            note_placed(self.tools, item, &person)?;
            if scratch.give(item.time, item.id, mailbox.as_str())? {
                mailboxes.push(mailbox);
            }
        }
        self.people.flush_if_full(self.tools)?;
        if !missing.is_empty() {
            scratch.lack(item.time, item.id, keys_of(&missing))?;
        }
        if has_place { self.copy(file, item, &mailboxes) } else { Ok(()) }
    }

    /// As [`Stager::place_contested`], for a pass that has placed the items it took in already: of those it notes whom
    /// they name and who has them.
    pub(super) fn extend(&mut self, file: FileId, item: &NumberedItem) -> Result<(), IngestError> {
        let scratch = self.tools.scratch;
        if !scratch.first_named_here(file, item.time, item.id, item.ordinal)? {
            return self.place_contested(file, item);
        }
        name_all(self.tools, item, self.shaping.rules)?;
        let found = self.shaping.rules.mailboxes_of(&item.item);
        for mailbox in self.shaping.with_those_beside(found) {
            scratch.give(item.time, item.id, mailbox.as_str())?;
        }
        Ok(())
    }

    /// Whether an item names somebody whom no earlier naming of it did, and whose mailbox does not have it.
    pub(super) fn names_anybody_new(&self, item: &NumberedItem) -> Result<bool, IngestError> {
        let scratch = self.tools.scratch;
        let mut key = String::new();
        for person in item.item.people() {
            person_key(person, &mut key);
            let placed = placed_key(person).map_or(Ok(false), |key| scratch.is_named(item.time, item.id, &key))?;
            if placed || scratch.is_named(item.time, item.id, &key)? {
                continue;
            }
            match self.shaping.rules.resolve(person, item.item.day()) {
                Outcome::Mailbox(mailbox) if scratch.has(item.time, item.id, mailbox.as_str())? => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    fn own_people(&self, item: &NumberedItem, first: bool) -> Result<Vec<std::sync::Arc<Person>>, IngestError> {
        let mut own = Vec::new();
        let mut key = String::new();
        for person in item.item.people() {
            person_key(person, &mut key);
            let scratch = self.tools.scratch;
            let placed = placed_key(person);
            let placed = placed.map_or(Ok(false), |key| scratch.is_named(item.time, item.id, &key))?;
            if (scratch.name(item.time, item.id, &key)? && !placed) || first {
                own.push(std::sync::Arc::clone(person));
            }
        }
        Ok(own)
    }

    /// Gives the item to those who do not have it yet: nobody, where the catch-all's or journal's copy was theirs already.
    fn copy(&mut self, file: FileId, item: &NumberedItem, mailboxes: &[Mailbox]) -> Result<(), IngestError> {
        if mailboxes.is_empty() {
            let released = self.release(file, item)?;
            return if released { self.write(&Entry::Copied(Placed::nowhere(item.known()))) } else { Ok(()) };
        }
        let (eml, digest) = render(item, self.shaping.shape);
        self.stage_batch(&[Placement { name: &eml.name, bytes: &eml.bytes, mailboxes }])?;
        self.release(file, item)?;
        self.write(&Entry::Copied(Placed::new(item.known(), digest, mailboxes)))
    }

    /// An item that was held has a place now; if it is this export's own, taken in by this pass or an earlier one, then
    /// this pass has counted it as held. Whether it was held until now.
    fn release(&mut self, file: FileId, item: &NumberedItem) -> Result<bool, IngestError> {
        let (scratch, ledger) = (self.tools.scratch, self.tools.ledger);
        let here = scratch.held_here(item.time, item.id)?;
        let of = ledger.item(item.time, item.id)?.and_then(|(of, _, held)| held.then_some(of));
        let newly = scratch.release_item(item.time, item.id)? && (here || of.is_some());
        if newly && (here || of == Some(file)) {
            self.books.items.held -= 1;
            self.books.items.staged += 1;
        }
        Ok(newly)
    }
}
