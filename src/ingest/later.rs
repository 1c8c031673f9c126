//! Archives that came after the exports that name what is in them: each attachment that was missing becomes an item of its
//! own, which follows the one that names it and goes to whoever has that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{info, warn};

use super::first::{Plan, admit, stager};
use super::listing::{Listing, belong_together};
use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::recorded;
use super::shape::Shape;
use super::stager::{Stager, Wanted, Why};
use super::{IngestError, Tools, contested};
use crate::books::Books;
use crate::cause::chain;
use crate::config::Grouping;
use crate::events;
use crate::ledger::manifest::Finished;
use crate::ledger::{Commit, FileId, FileRow, LedgerError};

/// Stages what is known to follow, and what archives that nobody asked yet have of what exports miss.
pub(super) fn follow(tools: &Tools<'_>) -> Result<(), IngestError> {
    look(tools)?;
    for following in tools.ledger.following()? {
        // As it is by now: what followed before is in its shape.
        let (row, archive) = (tools.ledger.file(following.file)?, tools.ledger.file(following.archive)?);
        settle(tools, &row, &archive, take(tools, &row, &archive, following.records.as_ref()))?;
    }
    Ok(())
}

/// Looks through the exports that miss something for what archives have that nobody asked yet. It is recorded before any of it
/// is staged.
fn look(tools: &Tools<'_>) -> Result<(), IngestError> {
    let mut archives = tools.ledger.archive_rows(true)?;
    archives.reverse();
    for archive in archives {
        let mut listing = None;
        let mut given = Vec::new();
        for row in tools.ledger.exports_that_miss()? {
            if !belong_together(tools, &row.name, &archive.name) {
                continue;
            }
            if listing.is_none() {
                listing = Some(Listing::new(tools.ledger.entries_of(archive.id)?));
            }
            let has = |reference: &str| listing.as_ref().is_some_and(|listing| listing.find(reference).is_some());
            let mut missing = tools.ledger.missing_of(row.id)?;
            missing.retain(|(_, reference)| has(reference));
            if !missing.is_empty() {
                given.push((row.id, missing.into_iter().map(|(record, _)| record).collect()));
            }
        }
        tools.ledger.note_looked(archive.id, &given, (tools.clock)())?;
    }
    Ok(())
}

/// What stands in the way of one export is a matter for a person, and must not keep the others: it is tried again.
fn settle(
    tools: &Tools<'_>,
    row: &FileRow,
    archive: &FileRow,
    taken: Result<Books, IngestError>,
) -> Result<(), IngestError> {
    match taken {
        Ok(Books { items, placements, .. }) => {
            let (staged, held, placements) = (items.staged, items.held, placements.staged);
            let (file, archive) = (&row.name, &archive.name);
            let message_id = events::ATTACHMENTS_FOLLOWED;
            info!(message_id, file, archive, staged, held, placements, "attachments followed");
            super::ready::list_what_is_due(tools)
        }
        Err(error) if error.concerns_one_export() => {
            let reason = chain(&error);
            warn!(
                message_id = events::EXPORT_NOT_REPLAYED,
                file = row.name,
                "its attachments could not follow: {reason}"
            );
            Ok(tools.ledger.note_failed_replay(row, &reason, tools.run)?)
        }
        Err(error) => Err(error),
    }
}

/// Which attachments follow by this pass.
struct Asked<'a> {
    archive: FileId,
    /// Its turn among the archives that came later, from 0.
    turn: usize,
    records: Option<&'a BTreeSet<u64>>,
}

impl Asked<'_> {
    fn has(&self, item: &NumberedItem) -> bool {
        item.later.is_some_and(|later| {
            later.turn == self.turn && self.records.is_none_or(|records| records.contains(&later.of))
        })
    }
}

/// Stages what an archive has of an export's missing attachments, under the rules that were applied to the export: one that
/// an earlier run began is the same again.
fn take(
    tools: &Tools<'_>,
    row: &FileRow,
    archive: &FileRow,
    records: Option<&BTreeSet<u64>>,
) -> Result<Books, IngestError> {
    let (profile, mut shape) = recorded::recorded(tools, row)?;
    let turn = shape.follow(&archive.sha256.to_string(), records);
    let ids = tools.ledger.rules_of(row.id)?;
    let Some(&rule_set) = ids.last() else {
        return Err(LedgerError::Damaged(format!("{} was staged without rules", row.name)).into());
    };
    let rules = Arc::new(recorded::load_rules(tools.ledger, &ids)?);
    let Some(original) = Original::kept(tools, row, &profile, &shape)? else {
        return Err(if tools.ledger.original_removed(row.id)? {
            IngestError::original_removed(&row.name)
        } else {
            IngestError::original_gone(&row.name)
        });
    };
    let surveyed = original.survey_kept(tools, &row.name, &shape)?;
    let plan = Plan { row, profile: &profile, shape: &shape, rules, rule_set, spooled: None };
    pass(tools, &plan, &original, &surveyed, &Asked { archive: archive.id, turn, records })
}

fn pass(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
    asked: &Asked<'_>,
) -> Result<Books, IngestError> {
    tools.scratch.clear()?;
    let mut stager = stager(tools, plan, surveyed)?;
    tools.watch.staging.begin(&plan.row.name, surveyed.survey.counts.available());
    original.each_later(tools, surveyed, |batch| {
        let wanted = tools.scratch.round(|| sort_out(tools, &mut stager, asked, batch))?;
        stager.place(wanted)?;
        Ok(())
    })?;
    // Of several issues of an export, each may name people whom the others do not.
    if tools.scratch.contest_this_pass()? > 0 {
        contested::learn_from_others(tools, plan.row.id, Grouping::Message)?;
        original.each_later(tools, surveyed, |batch| {
            tools.scratch.round(|| {
                for numbered in batch {
                    let Numbered::Item(item) = numbered else { continue };
                    if !stager.shaping.shape.skips(item.taken_at()) && tools.scratch.is_contested(item.time, item.id)? {
                        stager.extend(plan.row.id, &item)?;
                    }
                }
                Ok(())
            })
        })?;
    }
    tools.watch.staging.end();
    stager.people.flush(tools)?;
    if !stager.books.items.balance() {
        return Err(IngestError::Unbalanced { name: plan.row.name.clone(), items: stager.books.items });
    }
    commit(tools, plan, stager, asked.archive)
}

fn sort_out(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    asked: &Asked<'_>,
    batch: Vec<Numbered>,
) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::new();
    for numbered in batch {
        let Numbered::Item(item) = numbered else { continue };
        if !asked.has(&item) || stager.shaping.shape.skips(item.taken_at()) {
            continue;
        }
        stager.books.items.available += 1;
        wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
    }
    Ok(wanted)
}

fn commit(tools: &Tools<'_>, plan: &Plan<'_>, stager: Stager<'_>, archive: FileId) -> Result<Books, IngestError> {
    let Some(manifest) = stager.manifest else { return Ok(stager.books) };
    if let Some(target) = tools.target {
        target.barrier()?;
    }
    let number = tools.ledger.recorded_manifests(Some(plan.row.id))?.len();
    let manifest = manifest.finish(&format!("{}-attachments-{number}", plan.row.sha256))?;
    let commit = further(tools, plan, stager.books, plan.shape, manifest)?;
    tools.ledger.commit_later(tools.scratch, &commit, archive, (tools.clock)())?;
    Ok(stager.books)
}

/// A commit after an export's first one, which said of the export itself what there is to say; with the shape as it is now.
pub(super) fn further<'a>(
    tools: &Tools<'_>,
    plan: &Plan<'a>,
    books: Books,
    shape: &Shape,
    manifest: Finished,
) -> Result<Commit<'a>, IngestError> {
    Ok(Commit {
        file: plan.row,
        run: tools.run,
        rule_set: plan.rule_set,
        books,
        unknown: "[]".to_owned(),
        events: BTreeMap::new(),
        date: None,
        export_firm: None,
        staying: Vec::new(),
        shape: Some(serde_json::to_string(shape).map_err(IngestError::shape)?),
        manifest,
    })
}
