//! The long-lived supervisor: it waits for the schedule, starts each run as a child of its own, and puts operators'
//! mappings in force. It holds no key and no chat; those live in the children, as long as a run works.
//!
//! What is to be done is asked of the ledger each time, never remembered: whatever ends daemon, child or machine, the
//! next look finds the same work.

mod backoff;
mod error_files;
mod hints;
mod rules;

use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::{error, info, warn};

use self::backoff::Backoff;
use self::hints::Hints;
use self::rules::OperatorFiles;
use crate::cause::chain;
use crate::config::{Config, ConfigError};
use crate::durable::{Disk, PathError};
use crate::exit_code::ExitCode;
use crate::ledger::{Ledger, LedgerError};
use crate::lock::{Lock, LockError};
use crate::metrics::{self, Vitals};
use crate::{events, report, schedule};

/// Between two looks at the operators' files, unless a hint brings the next one forward.
const LOOK: Duration = Duration::from_secs(3);
/// Between two signs of life while a run works.
const ALIVE: Duration = Duration::from_secs(10);

/// Why the daemon could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another daemon.
    #[error("a daemon runs already on {0}; stop it first (systemctl stop icechatd)")]
    Running(String),
    /// The lock.
    #[error(transparent)]
    Lock(LockError),
    /// The state folder.
    #[error("the state folder cannot be used")]
    State(#[from] PathError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The waker.
    #[error("the clock that wakes the daemon could not be started")]
    Waker(#[from] JobSchedulerError),
    /// The system.
    #[error("the daemon could not be started")]
    System(#[from] std::io::Error),
}

/// Waits, starts runs (which log as the flags `log` say), until SIGTERM or SIGINT. A run in flight is asked to stop at its next safe point and waited for.
///
/// # Errors
/// Where the daemon cannot start; nothing that happens to a run ends it.
pub fn run(config_file: &Path, log: Vec<String>) -> Result<(), DaemonError> {
    let config = Config::load(config_file)?;
    let state = &config.state.directory;
    Disk::open_or_make(state, 0o700)?;
    let _lock = Lock::take(&state.join("daemon.lock")).map_err(|error| match error {
        LockError::Busy(folder) => DaemonError::Running(folder),
        error @ LockError::File(_) => DaemonError::Lock(error),
    })?;
    let ledger = Ledger::open(state)?;
    let vitals = Vitals::new(&config);
    serve_metrics(&config, &vitals);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = std::env::current_exe()?;
    let daemon = Daemon {
        config,
        ledger,
        program,
        log,
        vitals,
        files: OperatorFiles::default(),
        hints: Hints::default(),
        ingest: Backoff::default(),
        replay: Backoff::default(),
        complaint: String::new(),
    };
    runtime.block_on(daemon.watch())
}

/// An address that is taken keeps nobody from archiving.
fn serve_metrics(config: &Config, vitals: &Vitals) {
    let Some(address) = config.metrics else { return };
    match metrics::serve(address, vitals.clone()) {
        Ok(()) => info!("metrics are served at http://{address}/metrics"),
        Err(error) => warn!(
            message_id = events::METRICS_NOT_SERVED,
            "metrics cannot be served at {address}: {error}; free the port or change metrics.listen, then restart the daemon"
        ),
    }
}

/// What a child is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Ingest,
    Replay,
}

impl Work {
    fn verb(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Replay => "replay",
        }
    }
}

struct Daemon {
    config: Config,
    ledger: Ledger,
    program: PathBuf,
    /// Flags that make a child log as this program does.
    log: Vec<String>,
    vitals: Vitals,
    files: OperatorFiles,
    hints: Hints,
    ingest: Backoff,
    replay: Backoff,
    /// The last thing that was complained about: what stays wrong is not said every few seconds.
    complaint: String,
}

impl Daemon {
    async fn watch(mut self) -> Result<(), DaemonError> {
        let mut stop =
            Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        let (mut waker, mut minutes) = start_waker().await?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        notify(&[NotifyState::Ready]);
        info!(message_id = events::DAEMON_STARTED, firm_code = self.config.site.firm_code, "daemon started");
        self.show_status();
        loop {
            self.hints.listen(&self.config);
            let minute = tokio::select! {
                Some(()) = minutes.recv() => true,
                _ = looks.tick() => false,
                () = self.hints.next() => {
                    looks.reset();
                    false
                }
                () = stop.asked() => break,
            };
            notify(&[NotifyState::Watchdog]);
            self.vitals.turned(Instant::now());
            let work = self.next_work();
            if let Some(work) = work
                && self.work(work, &mut stop).await
            {
                break;
            }
            if minute || work.is_some() {
                self.show_status();
            }
        }
        notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        info!(message_id = events::DAEMON_STOPPED, "daemon stopped");
        // The process ends here, and the waker with it.
        let _ = waker.shutdown().await;
        Ok(())
    }

    /// What is to be done now, if anything. What cannot be looked at is said, and looked at again the next time.
    fn next_work(&mut self) -> Option<Work> {
        let now = Timestamp::now();
        let due = match self.files.look(&self.config, &self.ledger, now) {
            Ok(came_into_force) => {
                if came_into_force {
                    self.ingest = Backoff::default();
                    self.replay = Backoff::default();
                }
                if self.files.are_settled() { self.due(now) } else { Ok(None) }
            }
            Err(error) => {
                self.complain(&format!("the mapping could not be put in force: {}", chain(&error)));
                self.due(now)
            }
        };
        due.unwrap_or_else(|error| {
            self.complain(&chain(&error));
            None
        })
    }

    fn due(&self, now: Timestamp) -> Result<Option<Work>, LedgerError> {
        if self.replay.allows(now) && self.ledger.replay_due()? {
            return Ok(Some(Work::Replay));
        }
        let is_due = schedule::is_due(&self.config.schedule, now, self.ledger.last_done_at_site(now)?);
        Ok((is_due && self.ingest.allows(now)).then_some(Work::Ingest))
    }

    fn complain(&mut self, line: &str) {
        if self.complaint != line {
            error!("{line}");
            line.clone_into(&mut self.complaint);
        }
    }

    /// Runs a child to its end, or to its next safe point when asked to stop. Whether the daemon shall stop.
    async fn work(&mut self, work: Work, stop: &mut Stop) -> bool {
        let verb = work.verb();
        info!("starting {verb}");
        notify(&[NotifyState::Status(&format!("{verb} works since {}; icechatd status shows more", now_in_seconds()))]);
        let mut child = match self.start(verb) {
            Ok(child) => child,
            Err(error) => {
                self.note_failure(work, &format!("could not be started: {error}"));
                return false;
            }
        };
        let mut alive = interval(ALIVE);
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                () = stop.asked(), if !stopping => {
                    stopping = true;
                    notify(&[NotifyState::Stopping, NotifyState::Status("stopping: the run goes to its next safe point")]);
                    ask_to_stop(&child);
                }
                _ = alive.tick() => {
                    notify(&[NotifyState::Watchdog]);
                    self.vitals.turned(Instant::now());
                }
            }
        };
        match ended {
            _ if stopping => {}
            Ok(status) => self.note_end(work, status),
            Err(error) => self.note_failure(work, &format!("could not be waited for: {error}")),
        }
        stopping
    }

    fn start(&self, verb: &str) -> std::io::Result<Child> {
        Command::new(&self.program)
            .arg("--config")
            .arg(&self.config.file)
            .args(&self.log)
            .args([verb, "--in-force"])
            // What a child told systemd would count as ours.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    fn note_end(&mut self, work: Work, status: ExitStatus) {
        let is = |code: ExitCode| status.code() == Some(code.code().into());
        if is(ExitCode::Complete) || is(ExitCode::Attention) {
            info!(message_id = events::RUN_DONE, "{} is done", work.verb());
            *self.backoff(work) = Backoff::default();
        } else if is(ExitCode::Busy) {
            let at = self.backoff(work).once_more(Timestamp::now());
            info!("{} has to wait for a run that a person started; the next look is at {at}", work.verb());
        } else {
            self.note_failure(work, &format!("ended with {status}; see above, or icechatd report"));
        }
    }

    fn note_failure(&mut self, work: Work, what: &str) {
        let at = self.backoff(work).failed(Timestamp::now());
        warn!(message_id = events::RUN_FAILED, "{} {what}; the next try is at {at}", work.verb());
    }

    fn backoff(&mut self, work: Work) -> &mut Backoff {
        match work {
            Work::Ingest => &mut self.ingest,
            Work::Replay => &mut self.replay,
        }
    }

    /// One true sentence for `systemctl status`.
    fn show_status(&self) {
        let text = self.status().unwrap_or_else(|error| format!("the ledger cannot be read: {}", chain(&error)));
        notify(&[NotifyState::Status(&text)]);
    }

    fn status(&self) -> Result<String, LedgerError> {
        let now = Timestamp::now();
        let mut parts = vec![match self.ledger.run_report(None)? {
            Some(run) => format!("last run {}: {}", run.name, run.outcome.as_deref().unwrap_or("not finished")),
            None => "no run yet".to_owned(),
        }];
        if !report::needs(&self.ledger, &self.config, now)?.is_clear() {
            parts.push("something needs a person: icechatd status".to_owned());
        }
        if self.files.are_rejected() {
            parts.push("the mapping or mailbox list in the folder is rejected: icechatd check".to_owned());
        }
        for (name, backoff) in [("ingest", &self.ingest), ("replay", &self.replay)] {
            parts.extend(backoff.until().map(|at| format!("{name} failed, next try {at}")));
        }
        parts.extend(schedule::next_slot(&self.config.schedule, now).map(|next| format!("next run {next}")));
        Ok(parts.join("; "))
    }
}

/// Asked by systemd or at a terminal to end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn asked(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            // Neither can be told any more: only the end of the process is left.
            else => pending().await,
        }
    }
}

/// The scheduler library wakes the daemon each minute, and nothing more: whether a run is due is decided from the
/// ledger, because a zoned job of the library keeps the offset of the day it was created.
async fn start_waker() -> Result<(JobScheduler, mpsc::Receiver<()>), DaemonError> {
    let (sender, minutes) = mpsc::channel(1);
    let waker = JobScheduler::new().await?;
    let job = Job::new("0 * * * * *", move |_, _| {
        // A full channel means that a wake is waiting already.
        let _ = sender.try_send(());
    })?;
    waker.add(job).await?;
    waker.start().await?;
    Ok((waker, minutes))
}

fn ask_to_stop(child: &Child) {
    info!("stopping: the run in flight goes to its next safe point");
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended this instant.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn now_in_seconds() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Tells systemd, where it listens.
fn notify(states: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
