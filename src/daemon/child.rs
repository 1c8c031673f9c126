//! The daemon's children: short-lived, each a verb of this same program, with the configuration that the daemon has in
//! force. Their memory, their faults and their keys end with them.

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::pulse::{Pulse, Verdict};
use crate::config::ConfigText;
use crate::in_flight::Sign;

/// A run's verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Ingest,
    Replay,
}

impl Work {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Replay => "replay",
        }
    }
}

/// How children are started.
pub(super) struct Nursery {
    /// This program.
    pub program: PathBuf,
    /// Where the configuration stands that is handed over.
    pub config_file: PathBuf,
    /// Flags that make a child log as this program does.
    pub log: Vec<String>,
}

impl Nursery {
    /// Starts a verb. What stands in the configuration file meanwhile is none of the child's business.
    pub(super) fn start(&self, verb: &[&str], config: &ConfigText) -> io::Result<Child> {
        let text = serde_json::to_vec(config)?;
        let mut process = Command::new(&self.program)
            .arg("--config")
            .arg(&self.config_file)
            .arg("--config-on-stdin")
            .args(&self.log)
            .args(verb)
            // What a child told systemd would count as ours.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = process.stdin.take() {
            // Beside everything else: a child that does not read must not stop the daemon. It says itself what it lacks.
            tokio::spawn(async move { stdin.write_all(&text).await });
        }
        Ok(Child { process, since: Instant::now() })
    }
}

/// A child at work; killed when dropped.
pub(super) struct Child {
    process: tokio::process::Child,
    since: Instant,
}

impl Child {
    /// Since it was started.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    pub(super) fn send(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended this instant.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The end of a child that may not be there: then it never comes.
pub(super) async fn end_of(child: Option<&mut Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.ended().await,
        None => pending().await,
    }
}

/// A run at work.
pub(super) struct Run {
    pub work: Work,
    pub child: Child,
    /// By the clock, for people.
    pub began: Timestamp,
    /// The runs that the ledger knew when it was started.
    pub runs_before: i64,
    /// When it hung, if it does.
    pub hung: bool,
    /// Whether systemd may be told that all is well.
    pub lives: bool,
    state: PathBuf,
    pulse: Pulse<Sign>,
}

impl Run {
    pub(super) fn new(work: Work, child: Child, runs_before: i64, state: &Path, patience: Duration) -> Self {
        let pulse = Pulse::new(patience, Sign::of(state));
        Self {
            work,
            child,
            began: Timestamp::now(),
            runs_before,
            hung: false,
            lives: true,
            state: state.to_owned(),
            pulse,
        }
    }

    /// Asks it to go to its next safe point.
    pub(super) fn ask_to_stop(&mut self) {
        self.pulse.asked(self.child.age());
        self.child.send(Signal::TERM);
    }

    /// Looks whether it gets on, and does what follows.
    pub(super) fn look(&mut self) -> Verdict {
        let verdict = self.pulse.feel(Sign::of(&self.state), self.child.age());
        match verdict {
            Verdict::Wait => {}
            Verdict::Terminate => {
                self.hung = true;
                self.child.send(Signal::TERM);
            }
            Verdict::Kill => self.child.send(Signal::KILL),
            Verdict::Lost => self.lives = false,
        }
        verdict
    }
}
