//! The daemon's runs: when one is started, and what is noted when it ends.

use std::io;
use std::process::ExitStatus;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use super::Daemon;
use super::child::{Run, Work};
use super::pulse::Verdict;
use super::words::local;
use crate::cause::chain;
use crate::events;
use crate::exit_code::ExitCode;
use crate::ledger::{LedgerError, RunTrouble};
use crate::report;

/// How long somebody else's run, or a ledger that cannot be written, is waited for before the next look.
const IN_THE_WAY: SignedDuration = SignedDuration::from_mins(1);

impl Daemon {
    pub(super) fn start_what_is_due(&mut self) {
        let due = self.due(Timestamp::now());
        let due = self.say(due).flatten();
        if !self.tenant_is_asked(due.is_some()) {
            return;
        }
        if let Some(work) = due {
            self.start(work);
            self.show_status();
        }
    }

    fn due(&self, now: Timestamp) -> Result<Option<Work>, LedgerError> {
        if self.not_before.is_some_and(|until| now < until) {
            return Ok(None);
        }
        if self.next_replay(now)?.is_some_and(|at| at <= now) {
            return Ok(Some(Work::Replay));
        }
        let next = report::next_run(&self.ledger, &self.accepted.config, now, self.anew)?;
        Ok(next.filter(|next| next.at <= now).map(|_| Work::Ingest))
    }

    /// When a replay that is due may be made; none where none is.
    pub(super) fn next_replay(&self, now: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        report::next_replay(&self.ledger, now, self.anew)
    }

    fn start(&mut self, work: Work) {
        let verb = work.verb();
        info!("starting {verb}");
        let runs_before = self.ledger.runs_so_far();
        let Some(runs_before) = self.say(runs_before) else { return };
        match self.nursery.start(&[verb, "--in-force"], &self.accepted.text) {
            Ok(child) => {
                let config = &self.accepted.config;
                let patience = self.patience + config.site.settle;
                self.run = Some(Run::new(work, child, runs_before, &config.state.directory, patience));
            }
            Err(error) => self.note_failure(work, runs_before, &format!("could not be started: {error}")),
        }
    }

    /// Looks whether the run in flight gets on.
    pub(super) fn look_at_run(&mut self) {
        let Some(run) = &mut self.run else { return };
        let verb = run.work.verb();
        match run.look() {
            Verdict::Wait => {}
            Verdict::Terminate => warn!("{verb} has shown no progress for long and is told to stop"),
            Verdict::Kill => warn!("{verb} does not stop and is killed"),
            Verdict::Lost => error!(
                "{verb} was killed and does not end: the disk or file server under staging or state does not answer; mend \
                 that, or restart the machine"
            ),
        }
    }

    pub(super) fn run_ended(&mut self, ended: io::Result<ExitStatus>) {
        let Some(run) = self.run.take() else { return };
        if self.stopping {
            let closed =
                self.close("stopped before the end; the next run goes on from here", Some(RunTrouble::Stopped));
            self.say(closed);
            return;
        }
        let is = |code: ExitCode| ended.as_ref().is_ok_and(|status| status.code() == Some(code.code().into()));
        let verb = run.work.verb();
        if is(ExitCode::Complete) || is(ExitCode::Attention) {
            info!(message_id = events::RUN_DONE, "{verb} is done");
        } else if is(ExitCode::Busy) {
            let at = self.wait_a_little();
            info!("{verb} has to wait for a run that a person started; the next look is at {at}");
        } else {
            self.note_failure(run.work, run.runs_before, &how(&run, ended));
        }
    }

    /// Sees that the ledger knows of it, for it says when the next try is.
    fn note_failure(&mut self, work: Work, runs_before: i64, how: &str) {
        let verb = work.verb();
        let next = self.record_failure(work, runs_before, how).and_then(|()| self.next_try(work));
        let at = next.unwrap_or_else(|error| {
            self.complain(&chain(&error));
            Some(self.wait_a_little())
        });
        let at = at.map_or_else(|| "-".to_owned(), |at| local(at, &self.accepted.config.schedule.time_zone));
        warn!(message_id = events::RUN_FAILED, "{verb} {how}; see above, or icechatd report; the next try is at {at}");
    }

    fn record_failure(&self, work: Work, runs_before: i64, how: &str) -> Result<(), LedgerError> {
        self.close(&format!("the run {how}"), None)?;
        if self.ledger.runs_so_far()? == runs_before {
            let error = format!("the run could not begin: it {how}; the log holds its last words");
            let firm_code = &self.accepted.config.site.firm_code;
            self.ledger.note_run_not_begun(work.verb(), firm_code, &error, Timestamp::now())?;
        }
        Ok(())
    }

    fn next_try(&self, work: Work) -> Result<Option<Timestamp>, LedgerError> {
        let now = Timestamp::now();
        Ok(match work {
            Work::Replay => self.next_replay(now)?,
            Work::Ingest => report::next_run(&self.ledger, &self.accepted.config, now, self.anew)?.map(|next| next.at),
        })
    }

    /// Notes how a run ended that could not say so itself. While another one works it is that one's to say.
    fn close(&self, error: &str, trouble: Option<RunTrouble>) -> Result<(), LedgerError> {
        if let Ok(_lock) = self.work_lock() {
            self.ledger.close_unfinished_runs(error, trouble, Timestamp::now())?;
        }
        Ok(())
    }

    fn wait_a_little(&mut self) -> Timestamp {
        let at = Timestamp::now().checked_add(IN_THE_WAY).unwrap_or(Timestamp::MAX);
        self.not_before = Some(at);
        at
    }
}

fn how(run: &Run, ended: io::Result<ExitStatus>) -> String {
    match ended {
        _ if run.hung => "showed no progress for long and was ended".to_owned(),
        Ok(status) => format!("ended with {status}"),
        Err(error) => format!("could not be waited for: {error}"),
    }
}
