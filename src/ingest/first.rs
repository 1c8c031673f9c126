//! The first staging of one export: surveyed, recorded, staged, committed.

use std::path::Path;
use std::sync::Arc;

use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::people::Tally;
use super::recorded::{self, number};
use super::shape::Shape;
use super::stager::{Shaping, Stager, Wanted, Why};
use super::{IngestError, Tools, contested};
use crate::books::{Books, Counts};
use crate::cause::chain;
use crate::decrypt::SurveyError;
use crate::export::fault::ExportError;
use crate::export::profile::Profile;
use crate::ledger::manifest::{Entry, Writer};
use crate::ledger::{Arrival, Commit, FileReport, FileRow, Held, LedgerError, RuleSetId, Verdict};
use crate::resolve::Rules;

/// Everything by which one export is staged.
pub(super) struct Plan<'a> {
    pub row: &'a FileRow,
    pub profile: &'a Profile,
    pub shape: &'a Shape,
    pub rules: Arc<Rules>,
    pub rule_set: RuleSetId,
    /// Where the ciphertext lies, if not among the originals: in a dry run.
    pub spooled: Option<&'a Path>,
}

/// What became of an export that was taken up.
#[derive(Debug)]
pub(super) enum Taken {
    Staged(Box<FileReport>),
    Held { reason: String },
}

/// Takes an export up under today's configuration. A fault of the export is no error: it is held and the others go on.
pub(super) fn take(tools: &Tools<'_>, plan: &Plan<'_>) -> Result<Taken, IngestError> {
    let original = open(tools, plan)?;
    match original.survey(&plan.row.name, tools.watch.survey) {
        Ok(surveyed) => {
            if !tools.is_dry() {
                let profile = tools.ledger.keep_shape("profile", plan.profile.text().as_bytes())?;
                let shape = serde_json::to_string(plan.shape).map_err(IngestError::shape)?;
                let signed_by = surveyed.proof.signed_by();
                tools.ledger.begin_staging(plan.row, profile, &shape, signed_by, plan.rule_set)?;
            }
            stage(tools, plan, &original, &surveyed).map(|report| Taken::Staged(Box::new(report)))
        }
        Err(error) => {
            let reason = reason(tools, &original, &error);
            if !tools.is_dry() {
                let local = matches!(&error, SurveyError::Decrypt(error) if error.is_local());
                let held = Held { reason: reason.clone(), local, under: tools.circumstances };
                tools.ledger.hold(plan.row, &held, tools.run)?;
            }
            Ok(Taken::Held { reason })
        }
    }
}

/// Finishes an export that an earlier run began, with exactly what that run recorded.
pub(super) fn finish(tools: &Tools<'_>, row: &FileRow) -> Result<Taken, IngestError> {
    let (profile, shape) = recorded::recorded(tools, row)?;
    let ids = tools.ledger.rules_of(row.id)?;
    let Some(&rule_set) = ids.last() else {
        return Err(LedgerError::Damaged(format!("{} is being staged without rules", row.name)).into());
    };
    let rules = Arc::new(recorded::load_rules(tools.ledger, &ids)?);
    let plan = Plan { row, profile: &profile, shape: &shape, rules, rule_set, spooled: None };
    let Some(original) = Original::kept(tools, row, &profile, &shape)? else {
        return Err(IngestError::original_gone(&row.name));
    };
    let surveyed =
        original.survey(&row.name, tools.watch.survey).map_err(|error| IngestError::original(&row.name, &error))?;
    stage(tools, &plan, &original, &surveyed).map(|report| Taken::Staged(Box::new(report)))
}

fn open<'a>(tools: &Tools<'a>, plan: &Plan<'a>) -> Result<Original<'a>, IngestError> {
    let file = match plan.spooled {
        Some(path) => std::fs::File::open(path).map_err(|error| IngestError::open(path, error))?,
        None => {
            tools.ledger.open_original(plan.row.sha256)?.ok_or_else(|| IngestError::original_gone(&plan.row.name))?
        }
    };
    let limits = plan.shape.limits.for_reading();
    let late = plan.shape.let_in.clone();
    Ok(Original { file, opener: tools.opener(), profile: plan.profile, limits, late })
}

fn reason(tools: &Tools<'_>, original: &Original<'_>, error: &SurveyError<ExportError>) -> String {
    let retired = match error {
        // Both passes read at places of their own, so the file still stands at its beginning.
        SurveyError::Decrypt(refusal) => tools.inputs.retired_key_of(&original.file, refusal),
        SurveyError::Content(_) => None,
    };
    retired.map_or_else(|| chain(error), |retired| chain(&retired))
}

/// The second pass and the commit. When it returns, the books balance and the ledger says what the disk holds.
fn stage(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
) -> Result<FileReport, IngestError> {
    if tools.is_dry() {
        tools.scratch.next_of_dry_run()?;
    } else {
        tools.scratch.clear()?;
    }
    let mut stager = stager(tools, plan, surveyed)?;
    let records = surveyed.survey.counts.available();
    tools.watch.staging.begin(&plan.row.name, records);
    original.each_batch(tools, surveyed, |batch| {
        let records = batch.len() as u64;
        let wanted = tools.scratch.round(|| sort_out(tools, &mut stager, batch))?;
        tools.scratch.round(|| stager.place(&wanted))?;
        tools.watch.staging.advance(records);
        Ok(())
    })?;
    if tools.scratch.contest_this_pass()? > 0 {
        contested::learn_from_others(tools, plan.row.id)?;
        extend(tools, plan, original, surveyed, &mut stager)?;
    }
    tools.watch.staging.end();
    stager.people.flush(tools)?;
    stager.books.items.available = records;
    if !stager.books.items.balance() {
        return Err(IngestError::Unbalanced { name: plan.row.name.clone(), items: stager.books.items });
    }
    commit(tools, plan, surveyed, stager)
}

fn stager<'a>(tools: &'a Tools<'a>, plan: &'a Plan<'a>, surveyed: &'a Surveyed) -> Result<Stager<'a>, IngestError> {
    let manifest = if tools.is_dry() {
        None
    } else {
        Some(Writer::begin(tools.ledger.manifests(), &plan.row.name, plan.row.sha256)?)
    };
    let (books, people) = (Books::default(), Tally::default());
    let shaping = Shaping { shape: plan.shape, rules: &plan.rules, before: None };
    Ok(Stager { tools, surveyed, shaping, manifest, books, people })
}

/// Which records of a batch are new; the others are counted and put in the manifest.
fn sort_out(tools: &Tools<'_>, stager: &mut Stager<'_>, batch: Vec<Numbered>) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::with_capacity(batch.len());
    for numbered in batch {
        match numbered {
            Numbered::Rejected { ordinal, record } => {
                stager.books.items.rejected += 1;
                tools.scratch.reject(ordinal, record.line, record.kind.as_str(), &record.reason)?;
                stager.write(&Entry::Rejected { n: ordinal, line: record.line, reason: record.reason })?;
            }
            Numbered::Item(mut item) => {
                number(tools, &mut item)?;
                if let Some(item) = admit(tools, stager, item)? {
                    wanted.push(Wanted { item, why: Why::New });
                }
            }
        }
    }
    Ok(wanted)
}

/// The item, if it is new.
pub(super) fn admit(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    item: Box<NumberedItem>,
) -> Result<Option<Box<NumberedItem>>, IngestError> {
    if stager.shaping.shape.skips(item.item.record.time) {
        stager.books.items.skipped += 1;
        stager.write(&Entry::Skipped(item.known()))?;
        return Ok(None);
    }
    let arrival = Arrival {
        time: item.time,
        id: item.id,
        ordinal: item.ordinal,
        participants: item.participants,
        message_key: item.message_key,
    };
    match tools.scratch.admit(&arrival)? {
        Verdict::New { changed } => {
            stager.books.changed += u64::from(changed);
            Ok(Some(item))
        }
        Verdict::Duplicate { .. } => {
            stager.books.items.duplicate += 1;
            stager.write(&Entry::Duplicate(item.known()))?;
            Ok(None)
        }
    }
}

/// A further pass for duplicates that name people whom no earlier naming of the item did.
pub(super) fn extend(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
    stager: &mut Stager<'_>,
) -> Result<(), IngestError> {
    original.each_batch(tools, surveyed, |batch| {
        tools.scratch.round(|| {
            for numbered in batch {
                let Numbered::Item(mut item) = numbered else { continue };
                number(tools, &mut item)?;
                if !stager.shaping.shape.skips(item.item.record.time)
                    && tools.scratch.is_contested(item.time, item.id)?
                {
                    stager.extend(plan.row.id, &item)?;
                }
            }
            Ok(())
        })
    })
}

fn commit(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    surveyed: &Surveyed,
    stager: Stager<'_>,
) -> Result<FileReport, IngestError> {
    let header = &surveyed.survey.header;
    let date = header.date.or_else(|| plan.profile.date_in_name(&plan.row.name));
    let unknown = recorded::unknown_json(&surveyed.survey.unknown);
    let report = FileReport {
        name: plan.row.name.clone(),
        sha256: plan.row.sha256,
        bytes: plan.row.bytes,
        date: date.map(|date| date.to_string()),
        export_firm: header.firm_code.clone(),
        state: "staged".to_owned(),
        reason: None,
        dismissed: false,
        // Of an export that an earlier run began, that run's survey knows: signers may have changed since.
        signed_by: plan.row.signed_by.clone().or_else(|| surveyed.proof.signed_by().map(str::to_owned)),
        books: stager.books,
        unknown: unknown.clone(),
        unresolved: tools.scratch.unresolved()?,
        rejected: tools.scratch.rejected(&plan.row.name)?,
        supersedes: Vec::new(),
    };
    if let Some(manifest) = stager.manifest {
        if let Some(target) = tools.target {
            target.barrier()?;
        }
        let commit = Commit {
            file: plan.row,
            run: tools.run,
            rule_set: plan.rule_set,
            books: stager.books,
            unknown,
            date,
            export_firm: report.export_firm.clone(),
            manifest: manifest.finish(&format!("{}-0", plan.row.sha256))?,
        };
        tools.ledger.commit(tools.scratch, &commit, (tools.clock)())?;
    }
    Ok(report)
}

/// The books of an export that was held: no items are counted.
pub(super) fn held_report(row: &FileRow, reason: &str) -> FileReport {
    FileReport {
        name: row.name.clone(),
        sha256: row.sha256,
        bytes: row.bytes,
        date: None,
        export_firm: None,
        state: "held".to_owned(),
        reason: Some(reason.to_owned()),
        dismissed: false,
        signed_by: None,
        books: Books { items: Counts::default(), ..Books::default() },
        unknown: "[]".to_owned(),
        unresolved: "[]".to_owned(),
        rejected: Vec::new(),
        supersedes: Vec::new(),
    }
}
