//! Replay: what could not be placed before and now can, from the kept originals (contract 6).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::first::{Plan, admit, extend, stager};
use super::later::further;
use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::recorded::{self, number};
use super::shape::RecordedLimits;
use super::stager::{Stager, Wanted, Why};
use super::{IngestError, Tools, contested, doubtful};
use crate::books::{Books, Placements};
use crate::ledger::{Extent, FileId, FileRow, LedgerError, RuleSetId};
use crate::resolve::{Outcome, RuleSet, Rules};

/// Opens the export if anyone in it may have a mailbox now, or a record may be read now; else lists what it still
/// holds. Whether its original was needed and is gone.
pub(super) fn replay(
    tools: &Tools<'_>,
    row: &FileRow,
    rules: &Arc<RuleSet>,
    rule_set: RuleSetId,
) -> Result<Replayed, IngestError> {
    // Where retention took the original there is nothing to try again with. A replay that failed is tried again in any
    // case: only that takes its reason away.
    let is_gone = tools.ledger.original_removed(row.id)?;
    let is_open = !is_gone && (row.reason.is_some() || !tools.ledger.rejected_of(row.id)?.is_empty());
    if !is_open && !anyone_resolves(tools, row.id, rules, is_gone)? {
        if row.counts.held > 0 {
            tools.ledger.note_unmoved(row, tools.run)?;
        }
        return Ok(Replayed::Unmoved);
    }
    finish(tools, row, rule_set, &RecordedLimits::of(&tools.config.limits))
}

/// What a replay did with one export.
#[derive(Debug)]
pub(super) enum Replayed {
    Unmoved,
    Done(Books),
    OriginalGone,
}

/// Whether a participant without a mailbox has one now, on any day of the items that lack it; the others are seen as the
/// rules in force see them. Of an original that is gone nobody external becomes ours: nothing could be done about it.
fn anyone_resolves(tools: &Tools<'_>, file: FileId, rules: &RuleSet, is_gone: bool) -> Result<bool, IngestError> {
    for unplaced in tools.ledger.unplaced_of(file)? {
        let [first, last] = [unplaced.first_seen, unplaced.last_seen].map(recorded::day_of);
        let external = match rules.resolve_between(&recorded::person_of(&unplaced), first, last) {
            Outcome::Mailbox(_) => return Ok(true),
            Outcome::External => true,
            Outcome::Unresolved => is_gone && unplaced.external,
        };
        if external != unplaced.external {
            tools.ledger.reclassify(file, &unplaced.key, external)?;
        }
    }
    Ok(false)
}

/// Does a replay; one that an earlier run began and did not finish, with exactly the rules and limits of that run.
pub(super) fn finish(
    tools: &Tools<'_>,
    row: &FileRow,
    rule_set: RuleSetId,
    limits: &RecordedLimits,
) -> Result<Replayed, IngestError> {
    let (profile, mut shape) = recorded::recorded(tools, row)?;
    // What could be read once must be readable again, so the wider limit of then and now counts.
    shape.limits = shape.limits.widened(limits);
    let before = tools.ledger.rules_of(row.id)?;
    let mut all = before.clone();
    if !all.contains(&rule_set) {
        all.push(rule_set);
    }
    let before = recorded::load_rules(tools.ledger, &before)?;
    // The rules of now come last, though they were applied before: whoever has no mailbox is what they say.
    let mut applied = all.clone();
    if applied.last() != Some(&rule_set) {
        applied.push(rule_set);
    }
    let rules = Arc::new(recorded::load_rules(tools.ledger, &applied)?);
    let plan = Plan { row, profile: &profile, shape: &shape, rules, rule_set, spooled: None };
    let Some(mut original) = Original::kept(tools, row, &profile, &shape)? else { return Ok(Replayed::OriginalGone) };
    let mut surveyed = original.survey_kept(tools, &row.name, &shape)?;
    let rejected: BTreeSet<u64> = tools.ledger.rejected_ordinals(row.id)?;
    if surveyed.survey.counts.rejected < rejected.len() as u64 {
        original.late.push(rejected.clone());
        // Who took part on which day of a streamed conversation is known by the turn that has the day's records.
        surveyed = original.survey_kept(tools, &row.name, &shape)?;
    }
    let recorded = serde_json::to_string(limits).map_err(IngestError::shape)?;
    tools.ledger.begin_replay(row.id, rule_set, &recorded)?;
    let position = all.len() + tools.ledger.recorded_manifests(Some(row.id))?.len();
    let books = pass(tools, &plan, &original, &surveyed, &before, rejected, position)?;
    Ok(Replayed::Done(books))
}

fn pass(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
    before: &Rules,
    rejected: BTreeSet<u64>,
    position: usize,
) -> Result<Books, IngestError> {
    tools.scratch.clear()?;
    let file = plan.row.id;
    let contested = tools.scratch.contest_file(file)? > 0;
    if contested || plan.shape.catch_all.is_some() {
        contested::learn_mailboxes(tools, file)?;
    }
    if contested {
        contested::learn_from_others(tools, file, plan.shape.grouping)?;
    }
    let expected = plan.row.counts.held + rejected.len() as u64;
    let mut rejected = Rejected { before: rejected, let_in: BTreeSet::new(), accepted: 0, merged: 0, added: 0 };
    let mut stager = stager(tools, plan, surveyed)?;
    stager.shaping.before = Some(before);
    // Counted before any of them is placed: whoever a duplicate names may come before the item in the export.
    stager.books.items.held = tools.scratch.contested_and_held(file)?;
    tools.watch.staging.begin(&plan.row.name, surveyed.survey.counts.available());
    original.each_batch(tools, surveyed, |batch| {
        let records = batch.iter().map(Numbered::records).sum();
        let wanted = tools.scratch.round(|| sort_out(tools, &mut stager, file, &mut rejected, batch))?;
        stager.remember_followed(&wanted)?;
        stager.place(wanted)?;
        tools.watch.staging.advance(records);
        Ok(())
    })?;
    stager.seen.check(&plan.row.name, surveyed.survey.counts.available(), &original.grouping)?;
    doubtful::settle(tools, plan, original, surveyed, &mut stager)?;
    if tools.scratch.contest_this_pass()? > 0 {
        contested::learn_from_others(tools, file, plan.shape.grouping)?;
        extend(tools, plan, original, surveyed, &mut stager)?;
    }
    tools.watch.staging.end();
    stager.people.flush(tools)?;
    stager.books.items.available = expected - rejected.merged + rejected.added;
    if !stager.books.items.balance() {
        return Err(IngestError::Unbalanced { name: plan.row.name.clone(), items: stager.books.items });
    }
    commit(tools, plan, stager, rejected, position)
}

/// The export's records that were rejected when this replay began.
struct Rejected {
    before: BTreeSet<u64>,
    /// Those of them that it lets in and that are to be read in a turn of their own ever after: without MessageID, or in a
    /// transcript.
    let_in: BTreeSet<u64>,
    /// How many it lets in.
    accepted: u64,
    /// How many of these share a transcript with another of them.
    merged: u64,
    /// Attachments of those it lets in, where their archives came before.
    added: u64,
}

impl Rejected {
    fn let_in(&mut self, tools: &Tools<'_>, item: &NumberedItem) -> Result<(), LedgerError> {
        let mut records = 0;
        for ordinal in item.ordinals() {
            tools.scratch.accept(ordinal)?;
            records += 1;
            if item.lacks_message_id() || !item.within.is_empty() {
                self.let_in.insert(ordinal);
            }
        }
        self.accepted += records;
        self.merged += records - 1;
        Ok(())
    }
}

/// Which records of a batch this export has to place: its own items, and records that were rejected before.
fn sort_out(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    file: FileId,
    rejected: &mut Rejected,
    batch: Vec<Numbered>,
) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::new();
    for numbered in batch {
        stager.seen.note(&numbered);
        match numbered {
            Numbered::Rejected { ordinal, .. } => {
                stager.books.items.rejected += u64::from(rejected.before.contains(&ordinal));
            }
            Numbered::Item(mut item) => {
                number(tools, &mut item)?;
                if item.later.is_some_and(|later| rejected.before.contains(&later.of)) {
                    if stager.shaping.shape.skips(item.taken_at()) {
                        continue;
                    }
                    // What a record names that is let in only now may have come long ago.
                    rejected.added += 1;
                    wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
                } else if item.ordinals().next().is_some_and(|first| rejected.before.contains(&first)) {
                    rejected.let_in(tools, &item)?;
                    wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
                } else if !stager.shaping.shape.skips(item.taken_at()) {
                    wanted.extend(own(tools, stager, file, item)?);
                }
            }
        }
    }
    Ok(wanted)
}

/// The item, if it is this export's own and nobody else's too; contested ones are placed at once.
fn own(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    file: FileId,
    item: Box<NumberedItem>,
) -> Result<Option<Wanted>, IngestError> {
    let Some((first, ordinal, held)) = tools.ledger.item(item.time, item.id)? else {
        is_known_within(tools, &item)?;
        return Ok(None);
    };
    let is_own = first == file && ordinal == item.ordinal;
    if tools.scratch.is_contested(item.time, item.id)? {
        stager.place_contested(file, &item)?;
        return Ok(None);
    }
    if !is_own {
        return Ok(None);
    }
    let catch_all = stager.shaping.shape.catch_all.as_ref();
    let caught = catch_all.map_or(Ok(false), |mailbox| tools.scratch.has(item.time, item.id, mailbox.as_str()))?;
    Ok(Some(Wanted { item, why: Why::Again { held, caught } }))
}

/// A transcript that said nothing new is not in the ledger, but each message of it is. Anything else of a committed export
/// is: a record that was rejected and has since changed its place can be no such thing, for the bytes are authentic.
fn is_known_within(tools: &Tools<'_>, item: &NumberedItem) -> Result<(), LedgerError> {
    for message in &item.within {
        if tools.ledger.item(message.time, message.id)?.is_none() {
            return Err(LedgerError::Damaged(format!("item {} of a committed export is not recorded", message.id)));
        }
    }
    if item.within.is_empty() {
        return Err(LedgerError::Damaged(format!("item {} of a committed export is not recorded", item.id)));
    }
    Ok(())
}

fn commit(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    stager: Stager<'_>,
    rejected: Rejected,
    position: usize,
) -> Result<Books, IngestError> {
    let Some(manifest) = stager.manifest else { return Ok(stager.books) };
    let newest = plan.rules.0.last().ok_or_else(|| LedgerError::Damaged("a replay without rules".to_owned()))?;
    if rejected.accepted == 0
        && stager.books.placements == Placements::default()
        && stager.books.items.staged == 0
        && !anyone_resolves(tools, plan.row.id, newest, false)?
    {
        // Each change of a mapping, a list or a tenant would else leave a set of rules with every export that has a record
        // which nobody can read.
        manifest.abandon()?;
        tools.ledger.end_unmoved(plan.row, tools.run)?;
        return Ok(stager.books);
    }
    if let Some(target) = tools.target {
        target.barrier()?;
    }
    let manifest = manifest.finish(&format!("{}-{position}", plan.row.sha256))?;
    let mut shape = plan.shape.clone();
    shape.let_in.extend(Some(rejected.let_in).filter(|let_in| !let_in.is_empty()));
    shape.aside = stager.surveyed.attached.aside();
    let commit = further(tools, plan, stager.books, &shape, manifest)?;
    let extent = Extent { merged: rejected.merged, added: rejected.added };
    tools.ledger.commit_replay(tools.scratch, &commit, extent, (tools.clock)())?;
    Ok(stager.books)
}
