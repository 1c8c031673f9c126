//! A run that puts there again what was placed once, because an importer lost it.
//!
//! It goes by manifests alone. So exports and replays that an earlier run began and did not commit are left to the next
//! ingest: no manifest speaks of them, and what finishes them are rules, of which this run asks nothing.

use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::again::{Put, put_again};
use super::held::held_report;
use super::{Finished, IngestError, Job, Tools, Worked, in_run};
use crate::cause::chain;
use crate::config::Config;
use crate::events;
use crate::ledger::manifest::{Entry, Recorded};
use crate::ledger::{Asked, FileReport, FileRow, Ledger, LedgerError, Restaging, invoked_by};
use crate::stage::ready::ReadyList;

/// One run, `restage`, for this reason. It is judged by what it was asked: one that put all of it there is complete,
/// whatever else waits for a person.
///
/// # Errors
/// As [`super::run`]; and where nothing that is asked for was ever placed.
pub fn restage(job: &Job<'_>, asked: &Asked, reason: &str) -> Result<Finished, IngestError> {
    find_any(job.config, asked)?;
    in_run(job, "restage", |tools| {
        if !tools.is_dry() {
            tools.ledger.note_restaging(tools.run, asked, reason)?;
        }
        let mut work = Work { tools, asked, reports: Vec::new(), not_placed: 0, failed: None };
        match work.all() {
            Err(IngestError::Stopped) => Err(IngestError::RestagingStopped),
            done => done,
        }?;
        let Work { reports, not_placed, failed, .. } = work;
        let by = invoked_by();
        let restaging = Restaging { by, reason: reason.to_owned(), asked: asked.clone(), not_placed };
        failed.map_or(Ok(Worked { reports, restaging: Some(restaging) }), Err)
    })
}

/// Whether anything that is asked for was ever placed: a name that is mistyped is told before anything is recorded.
fn find_any(config: &Config, asked: &Asked) -> Result<(), IngestError> {
    let state = &config.state.directory;
    let no_record =
        |what: &str| IngestError::NothingAsked(format!("there is no record of {what} in {}", state.display()));
    let Some(ledger) = Ledger::read(state)? else { return Err(no_record("a run")) };
    if let Some(run) = &asked.run
        && ledger.run_by_name(run)?.is_none()
    {
        return Err(no_record(&format!("run {run}")));
    }
    if ledger.manifests_asked_for(asked)?.iter().any(|manifest| has_any(&ledger, manifest, asked)) {
        return Ok(());
    }
    let mailbox = asked.mailbox.iter().map(|mailbox| format!(" in {mailbox}"));
    let run = asked.run.iter().map(|run| format!(" by run {run}"));
    let since = asked.since.iter().map(|since| format!(" since {since}"));
    let what: String = mailbox.chain(run).chain(since).collect();
    Err(IngestError::NothingAsked(format!("nothing was ever placed{what}, so there is nothing to put there again")))
}

/// Ends the reading of a manifest.
enum Read {
    Found,
    Failed,
}

impl From<LedgerError> for Read {
    fn from(_: LedgerError) -> Self {
        Self::Failed
    }
}

/// One that cannot be read may have some: the run says what is wrong with it.
fn has_any(ledger: &Ledger, manifest: &Recorded, asked: &Asked) -> bool {
    let read = manifest.read(&ledger.manifests(), |entry| match entry {
        Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed)
            if placed.mailboxes.iter().any(|mailbox| asked.concerns(mailbox)) =>
        {
            Err(Read::Found)
        }
        _ => Ok(()),
    });
    matches!(read, Err(Read::Found | Read::Failed))
}

/// A restaging, export by export.
struct Work<'a> {
    tools: &'a Tools<'a>,
    asked: &'a Asked,
    /// Of a dry run.
    reports: Vec<FileReport>,
    not_placed: u64,
    /// The first thing for which the run has failed, though the other exports went on.
    failed: Option<IngestError>,
}

impl Work<'_> {
    fn all(&mut self) -> Result<(), IngestError> {
        let tools = self.tools;
        let name = if tools.is_dry() { String::new() } else { tools.ledger.run_name(tools.run)? };
        let mut list = tools.target.map(|target| target.begin_list(&name)).transpose()?;
        let manifests = tools.ledger.manifests_asked_for(self.asked)?;
        let mut listed = Vec::new();
        for of_file in manifests.chunk_by(|one, next| one.file == next.file) {
            if tools.stop.load(Ordering::Relaxed) {
                return Err(IngestError::Stopped);
            }
            if self.file(of_file, list.as_deref_mut())? {
                listed.extend_from_slice(of_file);
            }
        }
        if let Some(list) = list {
            list.publish()?;
        }
        if !listed.is_empty() {
            tools.ledger.note_listed_again(&listed, (tools.clock)())?;
        }
        Ok(())
    }

    /// One export; whether all that stands of it is in the list.
    fn file(&mut self, of_file: &[Recorded], list: Option<&mut (dyn ReadyList + '_)>) -> Result<bool, IngestError> {
        let tools = self.tools;
        let Some(first) = of_file.first() else { return Ok(false) };
        let row = tools.ledger.file(first.file)?;
        let Some(put) = put_again(tools, &row, of_file, self.asked, list)? else { return Ok(false) };
        let Put { books, not_placed, trouble, begun } = put;
        let reason = trouble.as_ref().map(|error| reason(error, not_placed));
        let (placements, existing) = (books.placements.staged, books.placements.existing);
        if let Some(reason) = &reason {
            warn!(message_id = events::EXPORT_NOT_RESTAGED, file = row.name, "not put there again: {reason}");
        } else if !tools.is_dry() {
            let file = &row.name;
            info!(message_id = events::EXPORT_RESTAGED, file, placements, existing, "export put there again");
        }
        self.not_placed += not_placed;
        // Of a batch that was refused half way something stands that the list does not name: the list of the run that placed
        // it first will.
        let is_listed = begun && trouble.is_none();
        if tools.is_dry() {
            self.reports.push(foreseen(&row, books, reason));
        } else {
            tools.ledger.note_restaged(tools.run, &row, &books, reason.as_deref(), not_placed)?;
        }
        // What an original that is gone cannot give any more is told; evidence that does not agree is a failure.
        self.failed = self.failed.take().or(trouble.filter(|error| !is_for_a_person(error)));
        Ok(is_listed)
    }
}

fn is_for_a_person(error: &IngestError) -> bool {
    error.concerns_one_export() && !matches!(error, IngestError::NotTheSame { .. })
}

fn reason(error: &IngestError, not_placed: u64) -> String {
    match not_placed {
        0 => chain(error),
        1 => format!("{}; 1 placement could not be made", chain(error)),
        count => format!("{}; {count} placements could not be made", chain(error)),
    }
}

fn foreseen(row: &FileRow, books: crate::books::Books, reason: Option<String>) -> FileReport {
    let signed_by = row.signed_by.clone();
    FileReport { state: "staged".to_owned(), reason, signed_by, books, ..held_report(row, "") }
}
