//! The pipeline: one run, readable as a paragraph. The only room that knows all stages.
//!
//! A run takes the work lock, finishes what an earlier run left half done, takes up again what was held for reasons that
//! have changed, fetches what the site has that the ledger has not, and takes up each of those: survey, stage, commit.
//! Then it removes what it may, at the site and among the originals, notes what the importer took, and says how things
//! stand.

mod again;
mod archives;
mod attached;
mod batches;
mod beside;
mod carried;
mod contested;
mod days;
mod doubtful;
mod error;
mod extract;
mod first;
mod ground;
mod held;
mod known_elsewhere;
mod later;
mod listing;
mod original;
mod people;
mod placing;
mod proof;
mod ready;
mod recorded;
mod replay;
mod restage;
mod session;
mod shape;
mod sources;
mod stager;
mod taken;
mod totals;

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, Unit};
use tracing::info;

pub use self::error::IngestError;
pub use self::extract::extract;
pub use self::proof::{Proven, prove};
use self::recorded::circumstances;
pub use self::restage::restage;
use self::session::{Session, forget_rejections, remove_expired_originals, settle_replay};
use crate::cause::chain;
use crate::config::Config;
use crate::decrypt::{Caps, Opener};
use crate::digest::Sha256;
use crate::download::Progress;
use crate::durable::Disk;
use crate::events;
use crate::inputs::{self, Inputs, RulesFrom};
use crate::ledger::{
    FileReport, FileState, Ledger, LedgerError, Outcome, Restaging, RuleSetId, RunId, RunReport, RunTrouble, Scratch,
    invoked_by,
};
use crate::lock::Lock;
use crate::owner;
use crate::report::{self, Needs};
use crate::resolve::RuleSet;
use crate::stage::Target;

/// What a person or the daemon asks of a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Record and stage nothing.
    pub dry_run: bool,
    /// Take held files up again whatever held them.
    pub retry: bool,
    /// Local exports instead of the site's.
    pub files: Vec<PathBuf>,
    /// Where mapping and list come from.
    pub rules: RulesFrom,
}

/// Who is shown how far a run has come. Every part of a run that may take long tells one of them: who hears nothing for
/// long knows that the run hangs.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// New files at the site that are waited for until they stand still.
    pub settle: &'a dyn Progress,
    /// Bytes from the site.
    pub download: &'a dyn Progress,
    /// Bytes of an export that is read for the first time, decrypted.
    pub survey: &'a dyn Progress,
    /// Records to their places.
    pub staging: &'a dyn Progress,
}

/// One run's surroundings.
pub struct Job<'a> {
    /// The operator's settings.
    pub config: &'a Config,
    /// Keys and profile.
    pub inputs: &'a Inputs,
    /// What is asked.
    pub options: &'a Options,
    /// Who is shown.
    pub watch: Watch<'a>,
    /// Set to end the run at its next safe point.
    pub stop: &'a AtomicBool,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

/// How a run went.
#[derive(Debug)]
pub struct Finished {
    /// File by file.
    pub report: RunReport,
    /// What needs a person after it.
    pub needs: Needs,
    /// Why it failed, if it did.
    pub error: Option<IngestError>,
}

/// What every pass of one run needs.
pub(crate) struct Tools<'a> {
    config: &'a Config,
    inputs: &'a Inputs,
    ledger: &'a Ledger,
    scratch: &'a Scratch<'a>,
    /// None in a dry run.
    target: Option<&'a dyn Target>,
    watch: Watch<'a>,
    stop: &'a AtomicBool,
    clock: fn() -> Timestamp,
    workers: usize,
    run: RunId,
    /// What a held file's fate depended on.
    circumstances: Sha256,
    /// Whether a list could not be made: this run does not try again.
    list_failed: AtomicBool,
}

impl<'a> Tools<'a> {
    fn is_dry(&self) -> bool {
        self.target.is_none()
    }

    fn opener(&self) -> Opener<'a> {
        let limits = &self.config.limits;
        Opener {
            keys: &self.inputs.keys,
            signers: self.inputs.signers.as_ref(),
            caps: Caps { max_plaintext: limits.max_plaintext, max_ratio: limits.max_ratio },
        }
    }
}

/// One run, `ingest`. An export that had to be held is no failure; a run that failed after it was recorded says so in
/// what it returns.
///
/// # Errors
/// Where the run could not even be recorded: another one works, or the state folder cannot be used or is another firm's.
pub fn run(job: &Job<'_>) -> Result<Finished, IngestError> {
    in_run(job, "ingest", |tools| {
        let (rules, rule_set) = rules_of_run(tools, "ingest", job.options)?;
        let mut session = Session::new(tools, rules, rule_set);
        if !tools.is_dry() {
            session.finish_begun()?;
            session.take_waiting(job.options.retry)?;
        }
        let taken = if job.options.files.is_empty() {
            session.take_from_site(job.options.retry)
        } else {
            session.take_by_hand(&job.options.files, job.options.retry)
        };
        // Where the site cannot be reached, what is here need not wait for it.
        if !matches!(taken, Err(IngestError::Stopped)) {
            session.settle_attachments()?;
        }
        let trouble = taken?;
        if !tools.is_dry() {
            remove_expired_originals(tools)?;
            forget_rejections(tools)?;
        }
        let trouble = session.failed.or(trouble);
        trouble.map_or(Ok(Worked { reports: session.reports, restaging: None }), Err)
    })
}

/// One run, `replay`: only exports received on or after `since`, if asked.
///
/// # Errors
/// As [`run`].
pub fn replay(job: &Job<'_>, since: Option<Timestamp>) -> Result<Finished, IngestError> {
    in_run(job, "replay", |tools| {
        let (rules, rule_set) = rules_of_run(tools, "replay", job.options)?;
        let mut session = Session::new(tools, Arc::clone(&rules), rule_set);
        session.finish_begun()?;
        // One that was begun under other rules and cannot be finished yet waits: done under these as well, what it placed
        // before would be in no manifest.
        let begun: HashSet<_> = tools.ledger.replays_begun()?.into_iter().map(|(file, ..)| file).collect();
        for file in tools.ledger.replayable(since)?.into_iter().filter(|file| !begun.contains(file)) {
            if job.stop.load(Ordering::Relaxed) {
                return Err(IngestError::Stopped);
            }
            let row = tools.ledger.file(file)?;
            settle_replay(tools, &row, replay::replay(tools, &row, &rules, rule_set))?;
        }
        // Records that were let in may name what an archive has that came long ago.
        later::follow(tools)?;
        if since.is_none() {
            tools.ledger.note_replayed(&inputs::to_stored(&rules))?;
        }
        Ok(Worked { reports: session.reports, restaging: None })
    })
}

/// What a verb's work gave.
struct Worked {
    /// File by file, of a dry run; those of others are in the ledger.
    reports: Vec<FileReport>,
    /// What a restaging came to, by which alone it is judged.
    restaging: Option<Restaging>,
}

impl Worked {
    fn outcome(&self, needs: &Needs) -> Outcome {
        let is_done = self.restaging.as_ref().map_or(needs.is_clear(), |restaging| restaging.not_placed == 0);
        if is_done { Outcome::Complete } else { Outcome::Attention }
    }
}

/// What every run does before and after its work.
fn in_run(
    job: &Job<'_>,
    verb: &str,
    work: impl FnOnce(&Tools<'_>) -> Result<Worked, IngestError>,
) -> Result<Finished, IngestError> {
    let state = &job.config.state.directory;
    // Before anything is touched: a run must not even be recorded in another firm's ledger.
    owner::of_state(job.config)?;
    Disk::open_or_make(state, 0o700)?;
    let _lock = Lock::take(&state.join("work.lock"))?;
    let dry = job.options.dry_run;
    if !dry {
        owner::claim_state(job.config)?;
    }
    let ledger = if dry { Ledger::for_dry_run(state)? } else { Ledger::open(state)? };
    ledger.clear_spool()?;
    let at_site = verb == "ingest" && job.options.files.is_empty();
    let run =
        if dry { RunId::none() } else { ledger.begin_run(verb, at_site, &job.config.site.firm_code, (job.clock)())? };
    let started = (job.clock)();
    let worked = (|| {
        let target = ground::target(job, &ledger)?;
        let scratch = ledger.scratch()?;
        let tools = tools(job, &ledger, &scratch, target.as_deref(), run);
        if !dry {
            ledger.note_certificates(&recorded::certificates(job), started)?;
        }
        taken::note_taken(&tools);
        ready::list_what_is_new(&tools)?;
        ground::room(job)?;
        let worked = work(&tools);
        let listed = ready::list_what_is_new(&tools);
        taken::note_taken(&tools);
        let worked = worked?;
        listed.map(|()| worked)
    })();
    ledger.clear_spool()?;
    if dry {
        return dry_run_finished(job, &ledger, verb, started, worked?);
    }
    finish(job, &ledger, run, at_site, worked)
}

/// Records a run of the daemon's that had nothing to begin with, such as a key that cannot be read: nobody watches it, and
/// what failed must be seen in the ledger.
///
/// # Errors
/// Where state folder or ledger cannot be used, or are another firm's.
pub fn note_not_begun(config: &Config, verb: &str, error: &dyn Error, now: Timestamp) -> Result<(), IngestError> {
    owner::of_state(config)?;
    let ledger = Ledger::open(&config.state.directory)?;
    Ok(ledger.note_run_not_begun(verb, &config.site.firm_code, &chain(error), now)?)
}

fn tools<'a>(
    job: &Job<'a>,
    ledger: &'a Ledger,
    scratch: &'a Scratch<'a>,
    target: Option<&'a dyn Target>,
    run: RunId,
) -> Tools<'a> {
    Tools {
        config: job.config,
        inputs: job.inputs,
        ledger,
        scratch,
        target,
        watch: job.watch,
        stop: job.stop,
        clock: job.clock,
        workers: job.config.workers().get(),
        run,
        circumstances: circumstances(job),
        list_failed: AtomicBool::new(false),
    }
}

/// Mapping, list and settings of this run, kept in the ledger before anything is placed by them.
fn rules_of_run(tools: &Tools<'_>, verb: &str, options: &Options) -> Result<(Arc<RuleSet>, RuleSetId), IngestError> {
    let now = (tools.clock)();
    let (rules, good) = inputs::choose(tools.config, tools.ledger, options.rules)?;
    if tools.is_dry() {
        return Ok((Arc::new(rules), RuleSetId::none()));
    }
    let stored = inputs::to_stored(&rules);
    let put_by = format!("{} ({verb})", invoked_by());
    inputs::put_in_force(tools.config, tools.ledger, &good, &put_by, now)?;
    let ledger = tools.ledger;
    if ledger.files_in(FileState::Staging)?.is_empty() && ledger.replayable(None)?.is_empty() {
        // There is nothing that a replay could move; what this run takes is placed under these rules anyway.
        ledger.note_replayed(&stored)?;
    }
    let rule_set = tools.ledger.keep_rules(&stored, now)?;
    Ok((Arc::new(rules), rule_set))
}

fn finish(
    job: &Job<'_>,
    ledger: &Ledger,
    run: RunId,
    at_site: bool,
    worked: Result<Worked, IngestError>,
) -> Result<Finished, IngestError> {
    let now = (job.clock)();
    let needs = report::needs(ledger, job.config, now)?;
    let (outcome, error) = match worked {
        Ok(worked) => (worked.outcome(&needs), None),
        Err(error) => (Outcome::Failed, Some(error)),
    };
    let trouble = match &error {
        Some(error) => error.trouble(),
        None if at_site && !report::awaited_days(ledger, job.config, now)?.is_empty() => Some(RunTrouble::NoExport),
        None => None,
    };
    ledger.finish_run(run, outcome, error.as_ref().map(|error| chain(error)).as_deref(), trouble, now)?;
    let name = ledger.run_name(run)?;
    let report =
        ledger.run_report(Some(&name))?.ok_or_else(|| LedgerError::Damaged(format!("run {name} is not there")))?;
    if let Some(link) = &report.evidence {
        let hash = link.hash.to_string();
        info!(message_id = events::EVIDENCE_ADDED, link = link.seq, hash, "evidence of the run is in the chain");
    }
    Ok(Finished { report, needs, error })
}

fn dry_run_finished(
    job: &Job<'_>,
    ledger: &Ledger,
    verb: &str,
    started: Timestamp,
    worked: Worked,
) -> Result<Finished, IngestError> {
    let now = (job.clock)();
    let whole = |time: Timestamp| time.round(Unit::Second).unwrap_or(time);
    let mut needs = report::needs(ledger, job.config, now)?;
    for file in &worked.reports {
        needs.add_foreseen(file);
    }
    let outcome = worked.outcome(&needs);
    let report = RunReport {
        name: "dry-run".to_owned(),
        verb: format!("{verb} --dry-run"),
        firm_code: job.config.site.firm_code.clone(),
        // As the ledger has it of other runs.
        started: whole(started),
        finished: Some(whole(now)),
        outcome: Some(outcome.as_str().to_owned()),
        error: None,
        restaging: worked.restaging,
        evidence: None,
        files: worked.reports,
    };
    Ok(Finished { report, needs, error: None })
}
