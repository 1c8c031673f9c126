//! The first staging of one export: surveyed, recorded, staged, committed.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::attached::Attached;
use super::days::{Parts, Seen};
use super::held::hold;
use super::listing::{self, Unrecorded};
use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::people::Tally;
use super::placing::{Aside, Shaping};
use super::recorded::{self, number};
use super::shape::Shape;
use super::stager::{Stager, Wanted, Why};
use super::{IngestError, Tools, archives, carried, contested, days, doubtful, totals};
use crate::books::Books;
use crate::export::Item;
use crate::export::profile::Profile;
use crate::export::transcript::Transcript;
use crate::ledger::manifest::{Entry, Writer};
use crate::ledger::{Commit, FileReport, FileRow, Held, HeldIn, LedgerError, RuleSetId, Verdict, Waiting};
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
    /// An archive.
    Read(Box<FileReport>),
    Held {
        reason: String,
    },
    /// An archive of its attachments may still come.
    Waiting {
        reason: String,
    },
}

/// What is known of archives when an export is taken up.
#[derive(Clone, Copy)]
pub(super) struct Archives<'a> {
    /// Those that a dry run read.
    pub unrecorded: &'a [Unrecorded],
    /// Whether this run brings no more of them.
    pub all_came: bool,
}

/// Takes an export up under today's configuration. A fault of the export is no error: it is held and the others go on.
pub(super) fn take(tools: &Tools<'_>, plan: &Plan<'_>, archives: Archives<'_>) -> Result<Taken, IngestError> {
    let mut original = open(tools, plan)?;
    match carried::survey(tools, &original, &plan.row.name)? {
        Ok(surveyed) => {
            original.carried = carried::asked(plan.profile, &surveyed.survey);
            match totals::judge(tools, plan, archives, &surveyed)? {
                totals::Verdict::Good => begin(tools, plan, archives, &original, surveyed),
                totals::Verdict::Absent => match wait(tools, plan, archives, &surveyed)? {
                    Some(reason) => Ok(Taken::Waiting { reason }),
                    None => hold_until_told(tools, plan, "its control totals did not come".to_owned()),
                },
                totals::Verdict::Wrong(reason) => hold_until_told(tools, plan, reason),
            }
        }
        Err(error) => hold(tools, plan.row, &original.file, &error),
    }
}

/// Holds an export for its control totals. It is tried again in each run, for others may come.
fn hold_until_told(tools: &Tools<'_>, plan: &Plan<'_>, reason: String) -> Result<Taken, IngestError> {
    if !tools.is_dry() {
        let held = Held { reason: reason.clone(), local: true, under: tools.circumstances };
        tools.ledger.hold(plan.row, &held, tools.run)?;
    }
    Ok(Taken::Held { reason })
}

/// Stages an export, unless an archive of its attachments may still come.
fn begin(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    archives: Archives<'_>,
    original: &Original<'_>,
    mut surveyed: Surveyed,
) -> Result<Taken, IngestError> {
    let references = &surveyed.survey.references;
    let chosen = listing::choose(tools, plan.row, references, archives.unrecorded)?;
    if chosen.missing > 0
        && let Some(reason) = wait(tools, plan, archives, &surveyed)?
    {
        return Ok(Taken::Waiting { reason });
    }
    let mut shape = plan.shape.clone();
    shape.archives = chosen.archives.iter().map(ToString::to_string).collect();
    shape.carried = carried::keep(tools, &surveyed.survey.presence.carried)?;
    let plan = &Plan { shape: &shape, rules: Arc::clone(&plan.rules), ..*plan };
    if !tools.is_dry() {
        let profile = tools.ledger.keep_shape("profile", plan.profile.text().as_bytes())?;
        let shape = serde_json::to_string(plan.shape).map_err(IngestError::shape)?;
        let signed_by = surveyed.proof.signed_by();
        tools.ledger.begin_staging(plan.row, profile, &shape, signed_by, plan.rule_set)?;
    }
    surveyed.attached = Attached::open(tools, &shape, references, archives.unrecorded)?;
    stage(tools, plan, original, &surveyed).map(|report| Taken::Staged(Box::new(report)))
}

/// Why the export waits, if it does; that it does is recorded.
fn wait(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    archives: Archives<'_>,
    surveyed: &Surveyed,
) -> Result<Option<String>, IngestError> {
    let now = (tools.clock)();
    let came = if tools.is_dry() { now } else { tools.ledger.received(plan.row.id)? };
    let until = archives::wait_until(tools, came);
    if archives.all_came && until <= now {
        return Ok(None);
    }
    if !tools.is_dry() {
        let waiting = Waiting { until, archives: tools.ledger.archives()? };
        let date = surveyed.survey.header.date.or_else(|| plan.profile.date_in_name(&plan.row.name));
        tools.ledger.wait(plan.row.id, waiting, date)?;
    }
    Ok(Some(waits_until(plan.profile, until)))
}

pub(super) fn waits_until(profile: &Profile, until: Timestamp) -> String {
    let what = if profile.sidecar().is_empty() {
        "it names attachments that are in no archive so far; it waits for one"
    } else {
        "its control totals, or attachments that it names, did not come so far; it waits for them"
    };
    format!("{what} until {until} (attachments.wait)")
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
    let surveyed = original.survey_kept(tools, &row.name, &shape)?;
    stage(tools, &plan, &original, &surveyed).map(|report| Taken::Staged(Box::new(report)))
}

fn open<'a>(tools: &Tools<'a>, plan: &Plan<'a>) -> Result<Original<'a>, IngestError> {
    let file = match plan.spooled {
        Some(path) => File::open(path).map_err(|error| IngestError::open(path, error))?,
        None => {
            tools.ledger.open_original(plan.row.sha256)?.ok_or_else(|| IngestError::original_gone(&plan.row.name))?
        }
    };
    let limits = plan.shape.limits.for_reading();
    let late = plan.shape.let_in.clone();
    let (opener, grouping) = (tools.opener(), plan.shape.grouping());
    Ok(Original { file, opener, profile: plan.profile, limits, grouping, late, carried: None })
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
    place_all(tools, original, surveyed, &mut stager)?;
    stager.seen.check(&plan.row.name, records, &original.grouping)?;
    doubtful::settle(tools, plan, original, surveyed, &mut stager)?;
    if tools.scratch.contest_this_pass()? > 0 {
        contested::learn_from_others(tools, plan.row.id, plan.shape.grouping)?;
        extend(tools, plan, original, surveyed, &mut stager)?;
    }
    tools.watch.staging.end();
    stager.people.flush(tools)?;
    stager.books.items.available = stager.seen.items();
    if !stager.books.items.balance() {
        return Err(IngestError::Unbalanced { name: plan.row.name.clone(), items: stager.books.items });
    }
    commit(tools, plan, surveyed, stager)
}

/// Places batch by batch. Meanwhile those before are noted and the next one is sorted out: most of placing is the file
/// system's work, and waiting for it.
fn place_all<'a>(
    tools: &'a Tools<'a>,
    original: &Original<'_>,
    surveyed: &'a Surveyed,
    stager: &mut Stager<'a>,
) -> Result<(), IngestError> {
    // Transcripts are large: memory holds one batch of them.
    let goes_aside = tools.workers > 1 && original.grouping.by_day.is_none();
    std::thread::scope(|scope| {
        let mut aside = goes_aside.then(|| stager.placer().aside(scope));
        original.each_batch(tools, surveyed, |batch| {
            let records = batch.iter().map(Numbered::records).sum();
            let wanted = sort_out(tools, stager, batch)?;
            stager.remember_followed(&wanted)?;
            match &mut aside {
                None => stager.place(wanted)?,
                Some(aside) => aside.exchange(wanted)?.map_or(Ok(()), |done| stager.note_done(done))?,
            }
            tools.watch.staging.advance(records);
            Ok(())
        })?;
        aside.into_iter().flat_map(Aside::rest).try_for_each(|done| stager.note_done(done?))
    })
}

/// What a pass over an export begins with.
pub(super) fn stager<'a>(
    tools: &'a Tools<'a>,
    plan: &'a Plan<'a>,
    surveyed: &'a Surveyed,
) -> Result<Stager<'a>, IngestError> {
    let manifest = if tools.is_dry() {
        None
    } else {
        Some(Writer::begin(tools.ledger.manifests(), &plan.row.name, plan.row.sha256)?)
    };
    let (books, people) = (Books::default(), Tally::default());
    let (seen, parts) = (Seen::default(), Parts::default());
    let shaping = Shaping { shape: plan.shape, rules: &plan.rules, before: None };
    let file = plan.row.id;
    Ok(Stager { tools, file, surveyed, shaping, manifest, books, people, seen, parts, brought_by: None })
}

/// So many records are a round of the working tables: what a round changes of them, memory holds twice.
const ROUND: usize = 256;

/// Which records of a batch are new; the others are counted and put in the manifest.
fn sort_out(tools: &Tools<'_>, stager: &mut Stager<'_>, batch: Vec<Numbered>) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::with_capacity(batch.len());
    let mut batch = batch.into_iter();
    while batch.len() > 0 {
        tools.scratch.round(|| {
            batch.by_ref().take(ROUND).try_for_each(|numbered| sort_one_out(tools, stager, numbered, &mut wanted))
        })?;
    }
    Ok(wanted)
}

fn sort_one_out(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    numbered: Numbered,
    wanted: &mut Vec<Wanted>,
) -> Result<(), IngestError> {
    stager.seen.note(&numbered);
    match numbered {
        Numbered::Rejected { ordinal, record } => {
            stager.books.items.rejected += 1;
            tools.scratch.reject(ordinal, record.line, record.kind.as_str(), &record.reason)?;
            stager.write(&Entry::Rejected { n: ordinal, line: record.line, reason: record.reason })
        }
        Numbered::Item(mut item) => {
            number(tools, &mut item)?;
            wanted.extend(admit(tools, stager, item)?.map(|item| Wanted { item, why: Why::New }));
            Ok(())
        }
    }
}

/// The item, if it is new.
pub(super) fn admit(
    tools: &Tools<'_>,
    stager: &mut Stager<'_>,
    mut item: Box<NumberedItem>,
) -> Result<Option<Box<NumberedItem>>, IngestError> {
    if stager.shaping.shape.skips(item.taken_at()) {
        stager.books.items.skipped += 1;
        stager.write(&Entry::Skipped(item.known()))?;
        return Ok(None);
    }
    let verdict = match &item.item {
        Item::Chat(_) => tools.scratch.admit(&item.arrival())?,
        Item::Transcript(transcript) => tools.scratch.admit_transcript(&item.arrival(), &held_in(&item, transcript))?,
    };
    stager.follow(&mut item, verdict)?;
    stager.note_attachments(&item, verdict)?;
    match verdict {
        Verdict::New { changed } => {
            stager.books.changed += changed;
            Ok(Some(item))
        }
        Verdict::Duplicate { .. } => {
            stager.books.items.duplicate += 1;
            stager.write_duplicate(&item)?;
            Ok(None)
        }
        Verdict::Doubtful => Ok(None),
    }
}

/// What stands in a transcript, as far as it may be known.
pub(super) fn held_in<'a>(item: &'a NumberedItem, transcript: &Transcript) -> HeldIn<'a> {
    HeldIn { room_day: days::room_day(transcript), messages: &item.within, words: &item.words }
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
                if !stager.shaping.shape.skips(item.taken_at()) && tools.scratch.is_contested(item.time, item.id)? {
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
    let mut unknown = surveyed.survey.unknown.clone();
    unknown.extend(carried::gap(tools, plan.profile, plan.row)?.map(|gap| (gap, 1)));
    let unknown = recorded::unknown_json(&unknown);
    let events = recorded::events(&surveyed.survey.counts);
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
        events: events.clone(),
        unresolved: tools.scratch.unresolved()?,
        rejected: tools.scratch.rejected(&plan.row.name)?,
        attachments: tools.scratch.attachment_counts()?,
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
            events,
            date,
            export_firm: report.export_firm.clone(),
            staying: carried::staying(&surveyed.survey.presence)?,
            shape: plan.shape.with_aside(&surveyed.attached)?,
            manifest: manifest.finish(&format!("{}-0", plan.row.sha256))?,
        };
        tools.ledger.commit(tools.scratch, &commit, (tools.clock)())?;
    }
    Ok(report)
}
