//! A run's work, export by export: what was begun, what waited, what is new.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use tracing::{info, warn};

use super::first::{self, Archives, Plan, Taken};
use super::listing::Unrecorded;
use super::ready;
use super::replay::{self, Replayed};
use super::shape::{RecordedLimits, Shape};
use super::{IngestError, Tools, archives, carried, held, later, totals};
use crate::books::Books;
use crate::cause::chain;
use crate::config::Config;
use crate::digest::Sha256;
use crate::events;
use crate::export::files::FileKind;
use crate::ledger::{FileReport, FileRow, FileState, RuleSetId};
use crate::resolve::{RuleSet, Rules};

/// A run's work, file by file.
pub(super) struct Session<'a> {
    pub tools: &'a Tools<'a>,
    pub rules: Arc<RuleSet>,
    pub rule_set: RuleSetId,
    /// Taken up by this run already, or listed.
    pub touched: HashSet<Sha256>,
    pub reports: Vec<FileReport>,
    /// Archives that a dry run read.
    unrecorded: Vec<Unrecorded>,
    /// Exports whose attachments are not all there, with where they lie in a dry run.
    waiting: Vec<(FileRow, Option<PathBuf>)>,
    /// Why the run has failed, though the other exports went on: books that do not balance.
    pub failed: Option<IngestError>,
}

impl<'a> Session<'a> {
    pub(super) fn new(tools: &'a Tools<'a>, rules: Arc<RuleSet>, rule_set: RuleSetId) -> Self {
        let (touched, reports) = (HashSet::new(), Vec::new());
        Self { tools, rules, rule_set, touched, reports, unrecorded: Vec::new(), waiting: Vec::new(), failed: None }
    }
}

impl Session<'_> {
    /// What an earlier run began is finished first, so that nothing new is placed beside it.
    pub(super) fn finish_begun(&mut self) -> Result<(), IngestError> {
        for row in self.tools.ledger.files_in(FileState::Staging)? {
            self.touched.insert(row.sha256);
            let taken = first::finish(self.tools, &row);
            self.settle(&row, taken)?;
        }
        for (file, rule_set, limits) in self.tools.ledger.replays_begun()? {
            let row = self.tools.ledger.file(file)?;
            let limits: RecordedLimits = serde_json::from_str(&limits).map_err(IngestError::shape)?;
            let settled = settle_replay(self.tools, &row, replay::finish(self.tools, &row, rule_set, &limits));
            settled.or_else(|error| self.fail(error))?;
        }
        later::follow(self.tools)
    }

    /// What concerns one export alone must not keep the others: it stays begun, is listed as held, and is tried again.
    fn settle(&mut self, row: &FileRow, taken: Result<Taken, IngestError>) -> Result<(), IngestError> {
        match taken {
            Ok(taken) => {
                self.log(row, taken);
                ready::list_what_is_due(self.tools)?;
            }
            Err(error) if error.concerns_one_export() || error.is_about_the_books() => {
                let reason = chain(&error);
                if !self.tools.is_dry() {
                    // It waits for nothing any more: it is a matter for a person.
                    self.tools.ledger.end_waiting(row.id)?;
                    self.tools.ledger.note_held(row, &reason, self.tools.run)?;
                }
                self.log(row, Taken::Held { reason });
                if error.is_about_the_books() {
                    self.fail(error)?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Books that do not balance make the run a failed one (contract 8). They are one export's, and keep no other.
    fn fail(&mut self, error: IngestError) -> Result<(), IngestError> {
        if !error.is_about_the_books() {
            return Err(error);
        }
        self.failed.get_or_insert(error);
        Ok(())
    }

    /// What was received and not taken up, and what was held for reasons that are others now.
    pub(super) fn take_waiting(&mut self, retry: bool) -> Result<(), IngestError> {
        let mut rows = self.tools.ledger.files_in(FileState::Received)?;
        for row in self.tools.ledger.files_in(FileState::Held)? {
            if self.is_worth_another_try(&row, retry)? {
                rows.push(row);
            }
        }
        rows.sort_by_cached_key(|row| self.turn(&row.name));
        rows.iter().try_for_each(|row| self.take(row, None))
    }

    /// Archives are read before the exports that name what is in them, and exports in the order of the days that their names
    /// say.
    pub(super) fn turn(&self, name: &str) -> (bool, Option<Date>) {
        let profile = &self.tools.inputs.profile;
        (profile.role(name).kind == FileKind::Export, profile.date_in_name(name))
    }

    /// What a person dismissed is left alone until a person asks for it.
    pub(super) fn is_worth_another_try(&self, row: &FileRow, retry: bool) -> Result<bool, IngestError> {
        let is_other = row.held_local || row.held_under != Some(self.tools.circumstances);
        Ok(retry || (is_other && !self.tools.ledger.is_file_dismissed(row.id)?))
    }

    /// Takes up a file that lies among the originals, or in the spool in a dry run.
    pub(super) fn take(&mut self, row: &FileRow, spooled: Option<&Path>) -> Result<(), IngestError> {
        if !self.touched.insert(row.sha256) {
            return Ok(());
        }
        let taken = match self.tools.inputs.profile.role(&row.name).kind {
            FileKind::Attachments => archives::take(self.tools, row, spooled, &mut self.unrecorded),
            FileKind::Totals => totals::take(self.tools, row, spooled, &mut self.unrecorded),
            FileKind::Export if self.is_for_later(row)? => {
                self.waiting.push((row.clone(), spooled.map(Path::to_owned)));
                return Ok(());
            }
            FileKind::Export => self.take_export(row, spooled, false),
        };
        if matches!(taken, Ok(Taken::Waiting { .. })) {
            self.waiting.push((row.clone(), spooled.map(Path::to_owned)));
            return Ok(());
        }
        self.settle(row, taken)
    }

    /// What waited before this run, and what needs control totals, is looked at when all that this run brings is there.
    fn is_for_later(&self, row: &FileRow) -> Result<bool, IngestError> {
        let needs_totals = !self.tools.inputs.profile.sidecar().is_empty();
        Ok(needs_totals || (!self.tools.is_dry() && self.tools.ledger.waiting(row.id)?.is_some()))
    }

    fn take_export(&self, row: &FileRow, spooled: Option<&Path>, all_came: bool) -> Result<Taken, IngestError> {
        let shape = Shape::of(self.tools.config);
        let rules = Arc::new(Rules(vec![Arc::clone(&self.rules)]));
        let profile = &self.tools.inputs.profile;
        if let Some(reason) = carried::waits(self.tools, profile, row)? {
            return Ok(Taken::Waiting { reason });
        }
        let plan = Plan { row, profile, shape: &shape, rules, rule_set: self.rule_set, spooled };
        first::take(self.tools, &plan, Archives { unrecorded: &self.unrecorded, all_came })
    }

    /// All archives of this run are there: exports that waited for one are staged, or wait on; what came after its export
    /// follows it; and what nobody named is an orphan.
    pub(super) fn settle_attachments(&mut self) -> Result<(), IngestError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_cached_key(|(row, _)| self.turn(&row.name));
        for (row, spooled) in waiting {
            let taken = match self.waits_on(&row)? {
                Some(reason) => Ok(Taken::Waiting { reason }),
                None => self.take_export(&row, spooled.as_deref(), true),
            };
            if let (Ok(Taken::Waiting { reason }), false) = (&taken, self.tools.is_dry()) {
                self.tools.ledger.note_waiting(&row, reason, self.tools.run)?;
            }
            self.settle(&row, taken)?;
        }
        if self.tools.is_dry() {
            return Ok(());
        }
        later::follow(self.tools)?;
        archives::settle(self.tools)
    }

    /// Why an export waits on that need not be read again: no archive came, and it is not time yet.
    fn waits_on(&self, row: &FileRow) -> Result<Option<String>, IngestError> {
        if self.tools.is_dry() {
            return Ok(None);
        }
        let Some(waiting) = self.tools.ledger.waiting(row.id)? else { return Ok(None) };
        if let Some(reason) = carried::waits(self.tools, &self.tools.inputs.profile, row)? {
            return Ok(Some(reason));
        }
        let is_same = waiting.until > (self.tools.clock)() && waiting.archives == self.tools.ledger.archives()?;
        Ok(is_same.then(|| first::waits_until(&self.tools.inputs.profile, waiting.until)))
    }

    fn log(&mut self, row: &FileRow, taken: Taken) {
        let report = match taken {
            Taken::Staged(report) => {
                log_staged(self.tools.config, &report);
                *report
            }
            Taken::Read(report) => *report,
            Taken::Waiting { reason } => {
                info!(message_id = events::EXPORT_WAITS, file = row.name, sha256 = %row.sha256, "waits: {reason}");
                FileReport { state: "waiting".to_owned(), ..held::held_report(row, &reason) }
            }
            Taken::Held { reason } => {
                warn!(message_id = events::EXPORT_HELD, file = row.name, sha256 = %row.sha256, "held: {reason}");
                held::held_report(row, &reason)
            }
        };
        self.reports.push(report);
    }
}

fn log_staged(config: &Config, report: &FileReport) {
    let Books { items, placements, changed } = report.books;
    info!(
        message_id = events::EXPORT_TAKEN,
        file = report.name,
        sha256 = %report.sha256,
        available = items.available,
        staged = items.staged,
        held = items.held,
        duplicate = items.duplicate,
        rejected = items.rejected,
        skipped = items.skipped,
        placements = placements.staged,
        existing = placements.existing,
        changed,
        signed_by = report.signed_by.as_deref().unwrap_or("unsigned"),
        "export taken"
    );
    if report.unknown != "[]" {
        warn!(file = report.name, "the export holds elements that the profile does not name; see icechatd report");
    }
    if let Some(firm) = report.export_firm.as_ref().filter(|firm| **firm != config.site.firm_code) {
        warn!(file = report.name, "the export says it is for firm {firm:?}, not {:?}", config.site.firm_code);
    }
}

/// What stands in the way of one export's replay is a matter for a person, and must not keep the others.
pub(super) fn settle_replay(
    tools: &Tools<'_>,
    row: &FileRow,
    replayed: Result<Replayed, IngestError>,
) -> Result<(), IngestError> {
    let replayed = match replayed {
        Ok(Replayed::OriginalGone) if tools.ledger.original_removed(row.id)? => {
            Err(IngestError::original_removed(&row.name))
        }
        Ok(Replayed::OriginalGone) => Err(IngestError::original_gone(&row.name)),
        other => other,
    };
    match replayed {
        Ok(Replayed::Unmoved | Replayed::OriginalGone) => {}
        Ok(Replayed::Done(Books { items, placements, .. })) => {
            let (staged, held, placements) = (items.staged, items.held, placements.staged);
            info!(message_id = events::EXPORT_REPLAYED, file = row.name, staged, held, placements, "export replayed");
            ready::list_what_is_due(tools)?;
        }
        Err(error) if error.concerns_one_export() => {
            let reason = chain(&error);
            warn!(message_id = events::EXPORT_NOT_REPLAYED, file = row.name, "not replayed: {reason}");
            tools.ledger.note_failed_replay(row, &reason, tools.run)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Retention: originals that nothing needs any more (contract 4).
pub(super) fn remove_expired_originals(tools: &Tools<'_>) -> Result<(), IngestError> {
    let days = tools.config.state.originals_days;
    if days == 0 {
        return Ok(());
    }
    tools.ledger.finish_removals()?;
    let now = (tools.clock)();
    for row in tools.ledger.originals_to_remove(days_before(now, days))? {
        tools.ledger.remove_original(&row, now)?;
        info!(file = row.name, sha256 = %row.sha256, "original removed after {days} days");
    }
    Ok(())
}

/// Retention: what was wrong with operators' files that have long been mended.
pub(super) fn forget_rejections(tools: &Tools<'_>) -> Result<(), IngestError> {
    let days = tools.config.state.rejected_days;
    if days > 0 {
        tools.ledger.forget_rejections(days_before((tools.clock)(), days))?;
    }
    Ok(())
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let before = now.as_second() - i64::from(days) * 86_400;
    Timestamp::from_second(before).unwrap_or(Timestamp::MIN)
}
