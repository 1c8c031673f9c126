//! The long-lived supervisor: it waits for the schedule, starts each run as a child of its own, puts operators' mappings
//! in force, and has what needs a person told. It holds no key and no chat; those live in the children, as long as one
//! works. (One exception: where metrics are served and a container is staged to, the page's look at what waits there is the
//! daemon's own, with the container's credential.)
//!
//! What is to be done is asked of the ledger each time, never remembered: whatever ends daemon, child or machine, the
//! next look finds the same work, and a daemon that is restarted again and again asks the site no more often than one
//! that is not.

mod accepted;
mod child;
mod complaints;
mod error;
mod error_files;
mod hints;
mod pulse;
mod rules;
mod runs;
mod signals;
mod systemd;
mod tenant;
mod waker;
mod words;

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use self::accepted::Accepted;
use self::child::{Child, Nursery, Run, end_of};
use self::complaints::Complaints;
pub use self::error::DaemonError;
use self::hints::Hints;
use self::rules::OperatorFiles;
use self::signals::{Asked, Signals};
use self::systemd::Systemd;
use self::tenant::Asking;
use self::waker::Waker;
use self::words::Known;
use crate::alert;
use crate::cause::chain;
use crate::config::Config;
use crate::durable::Disk;
use crate::in_flight::InFlight;
use crate::ledger::{CONFIGURATION, Ledger, LedgerError};
use crate::lock::{Lock, LockError, is_held};
use crate::metrics::{self, Vitals};
use crate::{events, owner, schedule};

/// In the state folder: held as long as a daemon runs.
const LOCK: &str = "daemon.lock";
/// Between two looks at the operators' files and at the run in flight, unless a hint brings the next one forward.
const LOOK: Duration = Duration::from_secs(3);
/// How long the daemon waits for somebody else's transaction: it has a watchdog to feed, and looks again soon.
const LEDGER_WAIT: Duration = Duration::from_secs(5);
/// The waker follows the clock: where that was set back, nothing wakes until it has caught up. Alerts are not left unseen
/// for longer than this.
const WAKER_SLEEPS: Duration = Duration::from_mins(2);
/// What has not been delivered by then is tried again by the next child.
const DELIVERY: Duration = Duration::from_mins(5);

/// Waits, starts runs, until SIGTERM or SIGINT. A run in flight is asked to stop at its next safe point and waited for. One
/// that shows no progress for `patience`, beyond `site.settle`, is ended. Children log as the flags `log` say.
///
/// # Errors
/// Where the daemon cannot start; nothing that happens to a run ends it.
pub fn run(config_file: &Path, patience: Duration, log: Vec<String>) -> Result<(), DaemonError> {
    let accepted = Accepted::read(config_file)?;
    let state = &accepted.config.state.directory;
    owner::of_state(&accepted.config)?;
    Disk::open_or_make(state, 0o700)?;
    let _lock = Lock::take(&state.join(LOCK)).map_err(|error| match error {
        LockError::Busy(folder) => DaemonError::Running(folder),
        error @ LockError::File(_) => DaemonError::Lock(error),
    })?;
    accepted.publish()?;
    let ledger = Ledger::open(state)?;
    ledger.wait_at_most(LEDGER_WAIT)?;
    ledger.note_mended(CONFIGURATION, Timestamp::now())?;
    let vitals = Vitals::new(&accepted.config);
    serve_metrics(&accepted.config, &vitals);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nursery = Nursery { program: std::env::current_exe()?, config_file: accepted.config.file.clone(), log };
    let daemon = Daemon {
        accepted,
        ledger,
        nursery,
        patience,
        systemd: Systemd::find(),
        vitals,
        files: OperatorFiles::default(),
        hints: Hints::default(),
        run: None,
        delivery: None,
        asking: Asking::default(),
        stopping: false,
        anew: None,
        not_before: None,
        swept: None,
        complaints: Complaints::default(),
        alerts_sought: Instant::now(),
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

/// The configuration that a daemon on this state folder has in force, as it stood in this file when it was read.
pub fn configuration_in_force(state: &Path, file: &Path) -> Option<Config> {
    is_held(&state.join(LOCK)).then(|| Accepted::published(state, file)).flatten()
}

struct Daemon {
    accepted: Accepted,
    ledger: Ledger,
    nursery: Nursery,
    patience: Duration,
    systemd: Systemd,
    vitals: Vitals,
    files: OperatorFiles,
    hints: Hints,
    run: Option<Run>,
    /// The child that sends what people are to be told.
    delivery: Option<Child>,
    /// The child that asks for the tenant's users.
    asking: Asking,
    stopping: bool,
    /// When configuration or mapping changed last, which may have mended what failed before.
    anew: Option<Timestamp>,
    /// Until then somebody else is in the way.
    not_before: Option<Timestamp>,
    /// The day on which the spool was swept last.
    swept: Option<Date>,
    complaints: Complaints,
    /// When alerts were looked for last.
    alerts_sought: Instant,
}

/// What the daemon wakes for.
enum Event {
    Asked(Asked),
    RunEnded(std::io::Result<std::process::ExitStatus>),
    Delivered(std::io::Result<std::process::ExitStatus>),
    TenantAnswered(std::io::Result<std::process::ExitStatus>),
    Minute,
    Look,
}

impl Daemon {
    async fn watch(mut self) -> Result<(), DaemonError> {
        let mut signals = Signals::listen()?;
        let mut waker = Waker::start().await?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.sweep();
        self.look_for_alerts();
        self.systemd.ready();
        info!(message_id = events::DAEMON_STARTED, firm_code = self.accepted.config.site.firm_code, "daemon started");
        self.show_status();
        while !self.stopping || self.run.is_some() {
            self.hints.listen(&self.accepted.config);
            let run = self.run.as_mut().map(|run| &mut run.child);
            let event = tokio::select! {
                asked = signals.next() => Event::Asked(asked),
                ended = end_of(run) => Event::RunEnded(ended),
                ended = end_of(self.delivery.as_mut()) => Event::Delivered(ended),
                ended = end_of(self.asking.child.as_mut()) => Event::TenantAnswered(ended),
                () = waker.minute() => Event::Minute,
                () = self.hints.next() => {
                    looks.reset();
                    Event::Look
                }
                _ = looks.tick() => Event::Look,
            };
            self.meet(event);
        }
        info!(message_id = events::DAEMON_STOPPED, "daemon stopped");
        self.systemd.finish();
        waker.stop().await;
        Ok(())
    }

    fn meet(&mut self, event: Event) {
        match event {
            Event::Asked(Asked::Stop) => self.stop(),
            Event::Asked(Asked::Reload) => self.reload(),
            Event::RunEnded(ended) => {
                self.run_ended(ended);
                self.look_for_alerts();
                self.show_status();
            }
            Event::Delivered(ended) => self.delivered(ended),
            Event::TenantAnswered(ended) => self.tenant_answered(ended),
            Event::Minute => self.minute(),
            Event::Look => self.look(),
        }
    }

    fn minute(&mut self) {
        self.sweep();
        self.look_for_alerts();
        self.show_status();
    }

    /// The turn of the loop that everything else hangs on. That it comes is what the watchdog is told; not, though, while
    /// a run hangs that cannot even be killed.
    fn look(&mut self) {
        self.vitals.turned(Instant::now());
        self.look_at_run();
        if self.run.as_ref().is_none_or(|run| run.lives) {
            self.systemd.alive();
        }
        if self.delivery.as_ref().is_some_and(|delivery| delivery.age() > DELIVERY) {
            warn!("alerts were not delivered within {} minutes; they are tried again", DELIVERY.as_secs() / 60);
            self.delivery = None;
        }
        if self.alerts_sought.elapsed() > WAKER_SLEEPS {
            self.minute();
        }
        let is_settled = self.look_at_files();
        if !self.stopping && self.run.is_none() && is_settled {
            self.start_what_is_due();
        }
    }

    /// Whether runs may start. What cannot be looked at is said, and looked at again the next time.
    fn look_at_files(&mut self) -> bool {
        let now = Timestamp::now();
        match self.files.look(&self.accepted.config, &self.ledger, now) {
            Ok(came_into_force) => {
                if came_into_force {
                    self.anew = Some(now);
                }
                self.files.are_settled()
            }
            Err(error) => {
                self.complain(&format!("the mapping could not be put in force: {}", chain(&error)));
                true
            }
        }
    }

    /// Goes to a safe state. A second request changes nothing: the first is on its way.
    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        // What it had not sent is sent after the next start.
        self.delivery = None;
        self.asking.child = None;
        match &mut self.run {
            Some(run) => {
                info!("stopping: the run in flight goes to its next safe point");
                self.systemd.stopping("stopping: the run goes to its next safe point");
                run.ask_to_stop();
            }
            None => self.systemd.stopping("stopping"),
        }
    }

    /// Reads the configuration again. A run in flight goes on with what it began with.
    fn reload(&mut self) {
        if self.stopping {
            return;
        }
        self.systemd.reloading();
        let now = Timestamp::now();
        let noted = match self.accepted.read_again() {
            Ok(again) => {
                let how = if again.text == self.accepted.text { "unchanged" } else { "the new one is in force" };
                info!("configuration read again: {how}");
                self.accepted = again;
                self.vitals.reconfigure(&self.accepted.config);
                self.anew = Some(now);
                if let Err(error) = self.accepted.publish() {
                    self.complain(&format!("icechatd status may show another configuration: {}", chain(&error)));
                }
                self.ledger.note_mended(CONFIGURATION, now).map(drop)
            }
            Err(what) => {
                error!(
                    message_id = events::CONFIGURATION_REJECTED,
                    "the configuration is rejected, the one before stays in force: {what}"
                );
                self.ledger.note_rejected(CONFIGURATION, &[what], now)
            }
        };
        self.say(noted);
        self.systemd.ready();
        self.look_for_alerts();
        self.show_status();
    }

    /// Brings alerts up to date, and sends what is to be told.
    fn look_for_alerts(&mut self) {
        self.alerts_sought = Instant::now();
        let now = Timestamp::now();
        let looked = alert::look(&self.ledger, &self.accepted.config, now);
        self.say(looked);
        if self.stopping || self.delivery.is_some() || !self.has_notices_due(now) {
            return;
        }
        match self.nursery.start(&["alert", "deliver"], &self.accepted.text) {
            Ok(child) => self.delivery = Some(child),
            Err(error) => self.complain(&format!("alerts cannot be delivered: {error}")),
        }
    }

    /// Whether anything is to be sent now.
    fn has_notices_due(&mut self, now: Timestamp) -> bool {
        let due = self.ledger.notices_due(now);
        self.say(due).unwrap_or(false)
    }

    fn delivered(&mut self, ended: std::io::Result<std::process::ExitStatus>) {
        self.delivery = None;
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => warn!("alerts were not all delivered ({status}); they are tried again"),
            Err(error) => warn!("the delivery of alerts could not be waited for: {error}"),
        }
    }

    /// Removes what killed runs left in the spool: at the start and once a day, unless a run works, whose it may be.
    fn sweep(&mut self) {
        let today = schedule::local_day(&self.accepted.config.schedule, Timestamp::now());
        if self.swept == Some(today) || self.run.is_some() {
            return;
        }
        if let Ok(_lock) = self.work_lock() {
            let swept = self.ledger.clear_spool();
            self.say(swept);
            self.swept = Some(today);
        }
    }

    fn work_lock(&self) -> Result<Lock, LockError> {
        Lock::take(&self.accepted.config.state.directory.join("work.lock"))
    }

    fn say<T>(&mut self, result: Result<T, LedgerError>) -> Option<T> {
        result.map_err(|error| self.complain(&chain(&error))).ok()
    }

    fn complain(&mut self, line: &str) {
        self.complaints.note(line);
    }

    /// One true sentence for `systemctl status`.
    fn show_status(&self) {
        if self.stopping {
            return;
        }
        let sentence = self.status().unwrap_or_else(|error| format!("the ledger cannot be read: {}", chain(&error)));
        self.systemd.status(&sentence);
    }

    fn status(&self) -> Result<String, LedgerError> {
        let (config, now) = (&self.accepted.config, Timestamp::now());
        if let Some(run) = &self.run {
            let since = words::local(run.began, &config.schedule.time_zone);
            let how_far = InFlight::read(&config.state.directory).map(|run| format!(": {run}")).unwrap_or_default();
            return Ok(format!("{} works since {since}{how_far}", run.work.verb()));
        }
        let known = Known {
            anew: self.anew,
            replay: self.next_replay(now)?.filter(|at| *at > now),
            mapping_is_rejected: self.files.are_rejected(),
        };
        words::sentence(&self.ledger, config, &known, now)
    }
}
