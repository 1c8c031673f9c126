//! Archives that came after the exports that name what is in them: each attachment that was missing becomes an item of its
//! own, which follows the one that names it and goes to whoever has that.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::days::{Parts, Seen};
use super::first::{Plan, admit};
use super::listing::{Listing, belong_together};
use super::original::{Numbered, Original, Surveyed};
use super::people::Tally;
use super::recorded;
use super::shape::Shape;
use super::stager::{Shaping, Stager, Wanted, Why};
use super::{IngestError, Tools, contested};
use crate::books::Books;
use crate::cause::chain;
use crate::config::Grouping;
use crate::digest::Sha256;
use crate::events;
use crate::ledger::manifest::Writer;
use crate::ledger::{Commit, FileRow, LedgerError};

/// Looks through the exports that miss something for what archives have that nobody asked yet.
pub(super) fn follow(tools: &Tools<'_>) -> Result<(), IngestError> {
    let mut archives = tools.ledger.archive_rows(true)?;
    archives.reverse();
    for archive in archives {
        let mut listing = None;
        let mut is_done = true;
        for row in tools.ledger.exports_that_miss()? {
            if !belong_together(tools, &row.name, &archive.name) {
                continue;
            }
            if listing.is_none() {
                listing = Some(Listing::new(tools.ledger.entries_of(archive.id)?));
            }
            let has = |reference: &String| listing.as_ref().is_some_and(|listing| listing.find(reference).is_some());
            if tools.ledger.missing_of(row.id)?.iter().any(has) {
                is_done &= settle(tools, &row, &archive, take(tools, &row, archive.sha256))?;
            }
        }
        if is_done {
            tools.ledger.note_looked(archive.id, (tools.clock)())?;
        }
    }
    Ok(())
}

/// What stands in the way of one export is a matter for a person, and must not keep the others. Whether nothing did.
fn settle(
    tools: &Tools<'_>,
    row: &FileRow,
    archive: &FileRow,
    taken: Result<Books, IngestError>,
) -> Result<bool, IngestError> {
    match taken {
        Ok(Books { items, placements, .. }) => {
            let (staged, held, placements) = (items.staged, items.held, placements.staged);
            let (file, archive) = (&row.name, &archive.name);
            let message_id = events::ATTACHMENTS_FOLLOWED;
            info!(message_id, file, archive, staged, held, placements, "attachments followed");
            super::ready::list_what_is_due(tools)?;
            Ok(true)
        }
        Err(error) if error.concerns_one_export() => {
            let reason = chain(&error);
            warn!(
                message_id = events::EXPORT_NOT_REPLAYED,
                file = row.name,
                "its attachments could not follow: {reason}"
            );
            tools.ledger.note_failed_replay(row, &reason, tools.run)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Stages what an archive has of an export's missing attachments, under the rules that were applied to the export: one that
/// an earlier run began is the same again.
fn take(tools: &Tools<'_>, row: &FileRow, archive: Sha256) -> Result<Books, IngestError> {
    let (profile, mut shape) = recorded::recorded(tools, row)?;
    let hex = archive.to_string();
    if !shape.later.contains(&hex) {
        shape.later.push(hex);
    }
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
    pass(tools, &plan, &original, &surveyed)
}

fn pass(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
) -> Result<Books, IngestError> {
    tools.scratch.clear()?;
    let turn = plan.shape.later.len() - 1;
    let manifest = Some(Writer::begin(tools.ledger.manifests(), &plan.row.name, plan.row.sha256)?);
    let shaping = Shaping { shape: plan.shape, rules: &plan.rules, before: None };
    let (books, people) = (Books::default(), Tally::default());
    let (seen, parts) = (Seen::default(), Parts::default());
    let mut stager = Stager { tools, surveyed, shaping, manifest, books, people, seen, parts };
    tools.watch.staging.begin(&plan.row.name, surveyed.survey.counts.available());
    original.each_later(tools, surveyed, |batch| {
        let wanted = tools.scratch.round(|| sort_out(tools, &mut stager, turn, batch))?;
        tools.scratch.round(|| stager.place(&wanted))?;
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
    commit(tools, plan, stager)
}

fn sort_out(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    turn: usize,
    batch: Vec<Numbered>,
) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::new();
    for numbered in batch {
        let Numbered::Item(item) = numbered else { continue };
        let is_of_this = item.later.as_ref().is_some_and(|later| later.turn == turn);
        if !is_of_this || stager.shaping.shape.skips(item.taken_at()) {
            continue;
        }
        stager.books.items.available += 1;
        wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
    }
    Ok(wanted)
}

fn commit(tools: &Tools<'_>, plan: &Plan<'_>, stager: Stager<'_>) -> Result<Books, IngestError> {
    let Some(manifest) = stager.manifest else { return Ok(stager.books) };
    if let Some(target) = tools.target {
        target.barrier()?;
    }
    let turn = plan.shape.later.len();
    let commit = Commit {
        file: plan.row,
        run: tools.run,
        rule_set: plan.rule_set,
        books: stager.books,
        unknown: "[]".to_owned(),
        events: BTreeMap::new(),
        date: None,
        export_firm: None,
        // Who stays was recorded at the first commit.
        staying: Vec::new(),
        manifest: manifest.finish(&format!("{}-attachments-{turn}", plan.row.sha256))?,
    };
    let shape: &Shape = plan.shape;
    let shape = serde_json::to_string(shape).map_err(IngestError::shape)?;
    tools.ledger.commit_later(tools.scratch, &commit, &shape, (tools.clock)())?;
    Ok(stager.books)
}
