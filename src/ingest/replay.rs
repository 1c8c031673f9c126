//! Replay: what could not be placed before and now can, from the kept originals (contract 6).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::first::{Plan, admit, extend};
use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::people::Tally;
use super::recorded::{self, number};
use super::shape::RecordedLimits;
use super::stager::{Shaping, Stager, Wanted, Why};
use super::{IngestError, Tools, contested};
use crate::books::Books;
use crate::ledger::manifest::Writer;
use crate::ledger::{Commit, FileId, FileRow, LedgerError, RuleSetId};
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
    let surveyed =
        original.survey(&row.name, tools.watch.survey).map_err(|error| IngestError::original(&row.name, &error))?;
    let rejected: BTreeSet<u64> = tools.ledger.rejected_ordinals(row.id)?;
    if surveyed.survey.counts.rejected < rejected.len() as u64 {
        original.late.push(rejected.clone());
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
        contested::learn_from_others(tools, file)?;
    }
    let expected = plan.row.counts.held + rejected.len() as u64;
    let mut rejected = Rejected { before: rejected, unnumbered: BTreeSet::new() };
    let manifest = Some(Writer::begin(tools.ledger.manifests(), &plan.row.name, plan.row.sha256)?);
    let (books, people) = (Books::default(), Tally::default());
    let shaping = Shaping { shape: plan.shape, rules: &plan.rules, before: Some(before) };
    let mut stager = Stager { tools, surveyed, shaping, manifest, books, people };
    tools.watch.staging.begin(&plan.row.name, surveyed.survey.counts.available());
    original.each_batch(tools, surveyed, |batch| {
        let records = batch.len() as u64;
        let wanted = tools.scratch.round(|| sort_out(tools, &mut stager, file, &mut rejected, batch))?;
        tools.scratch.round(|| stager.place(&wanted))?;
        tools.watch.staging.advance(records);
        Ok(())
    })?;
    if tools.scratch.contest_this_pass()? > 0 {
        contested::learn_from_others(tools, file)?;
        extend(tools, plan, original, surveyed, &mut stager)?;
    }
    tools.watch.staging.end();
    stager.people.flush(tools)?;
    stager.books.items.available = expected;
    if !stager.books.items.balance() {
        return Err(IngestError::Unbalanced { name: plan.row.name.clone(), items: stager.books.items });
    }
    commit(tools, plan, stager, rejected, position)
}

/// The export's records that were rejected when this replay began.
struct Rejected {
    before: BTreeSet<u64>,
    /// Those of them without MessageID that it lets in.
    unnumbered: BTreeSet<u64>,
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
        match numbered {
            Numbered::Rejected { ordinal, .. } => {
                stager.books.items.rejected += u64::from(rejected.before.contains(&ordinal));
            }
            Numbered::Item(mut item) => {
                number(tools, &mut item)?;
                if rejected.before.contains(&item.ordinal) {
                    tools.scratch.accept(item.ordinal)?;
                    if item.item.record.message_id.is_none() {
                        rejected.unnumbered.insert(item.ordinal);
                    }
                    wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
                } else if !stager.shaping.shape.skips(item.item.record.time) {
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
        // Not in the ledger, though this export is: a record that was rejected and has since changed its place can be
        // no such thing, for the bytes are authentic.
        return Err(LedgerError::Damaged(format!("item {} of a committed export is not recorded", item.id)).into());
    };
    let is_own = first == file && ordinal == item.ordinal;
    if tools.scratch.is_contested(item.time, item.id)? {
        stager.books.items.held += u64::from(is_own && held);
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

fn commit(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    stager: Stager<'_>,
    rejected: Rejected,
    position: usize,
) -> Result<Books, IngestError> {
    let Some(manifest) = stager.manifest else { return Ok(stager.books) };
    if let Some(target) = tools.target {
        target.barrier()?;
    }
    let commit = Commit {
        file: plan.row,
        run: tools.run,
        rule_set: plan.rule_set,
        books: stager.books,
        unknown: "[]".to_owned(),
        date: None,
        export_firm: None,
        manifest: manifest.finish(&format!("{}-{position}", plan.row.sha256))?,
    };
    let mut shape = plan.shape.clone();
    shape.let_in.extend(Some(rejected.unnumbered).filter(|let_in| !let_in.is_empty()));
    let shape = serde_json::to_string(&shape).map_err(IngestError::shape)?;
    tools.ledger.commit_replay(tools.scratch, &commit, &shape, (tools.clock)())?;
    Ok(stager.books)
}
