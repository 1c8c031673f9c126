//! `icechatd run` as systemd runs it: with a socket that it reports to, stopped by SIGTERM.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::firm::Firm;
use super::planted;

/// A running daemon; stopped when dropped.
pub struct Daemon {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
    state: PathBuf,
}

impl Daemon {
    /// Starts the firm's daemon.
    pub fn start(firm: &Firm) -> Self {
        Self::start_with(firm, &[])
    }

    /// The same with further arguments of `run`.
    pub fn start_with(firm: &Firm, arguments: &[&str]) -> Self {
        let socket = bind(firm);
        let daemon = Self::spawn(firm, arguments);
        let heard = Arc::clone(&daemon.said);
        thread::spawn(move || listen(&socket, &heard));
        daemon
    }

    /// The same with a service manager that does not read what it is told.
    pub fn start_unheard(firm: &Firm) -> (Self, UnixDatagram) {
        let socket = bind(firm);
        (Self::spawn(firm, &[]), socket)
    }

    fn spawn(firm: &Firm, arguments: &[&str]) -> Self {
        let log = firm.path("daemon.log");
        let mut command = firm.command(&["run"]);
        command.args(arguments).env("NOTIFY_SOCKET", firm.path("notify")).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        Self { child, said: Arc::default(), log, state: firm.path("state") }
    }

    /// What it told systemd so far, each assignment by itself.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// The last sentence that it told systemd of itself.
    pub fn status(&self) -> String {
        self.said().iter().rfind(|word| word.starts_with("STATUS=")).unwrap().clone()
    }

    /// What daemon and children logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How often a text stands in the log.
    pub fn logged(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// Waits until it has told systemd something that begins so.
    pub fn wait_for_word(&self, beginning: &str) {
        self.wait_until(beginning, || self.said().iter().any(|word| word.starts_with(beginning)));
    }

    /// Waits until something is so.
    pub fn wait_until(&self, what: &str, so: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < end, "not so: {what}: {:#?}\n{}", self.said(), self.log());
            sleep(STEP);
        }
    }

    /// Waits until a text stands in the log so often.
    pub fn wait_for_log(&self, text: &str, times: usize) {
        self.wait_until(text, || self.logged(text) >= times);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal, as `kill -NAME` names it.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it started and that are there still.
    pub fn children(&self) -> Vec<String> {
        let found = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// SIGTERM to its child as well, as systemd sends it with `KillMode=control-group`: the child gets two.
    pub fn stop_all(&mut self) -> (i32, Duration) {
        let parent = self.child.id().to_string();
        assert!(Command::new("pkill").args(["-TERM", "-P", &parent]).status().unwrap().success(), "no child works");
        self.stop()
    }

    /// SIGTERM, as `systemctl stop` sends it; the exit code, and how long it took.
    pub fn stop(&mut self) -> (i32, Duration) {
        let begun = Instant::now();
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), begun.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop();
        }
        // A test that has failed already has said enough.
        if !thread::panicking() {
            planted::look_through("the daemon's log", &self.log());
            planted::look_through("the daemon's words to systemd", &self.said().join("\n"));
            planted::look_through_state(&self.state);
        }
    }
}

fn bind(firm: &Firm) -> UnixDatagram {
    let path = firm.path("notify");
    let _ = fs::remove_file(&path);
    UnixDatagram::bind(&path).unwrap()
}

/// As systemd does, at once: whoever reports to a socket that nobody reads waits in the end. Ends with the test.
fn listen(socket: &UnixDatagram, heard: &Mutex<Vec<String>>) {
    let mut message = [0; 4096];
    while let Ok(length) = socket.recv(&mut message) {
        let text = std::str::from_utf8(&message[..length]).unwrap();
        heard.lock().unwrap().extend(text.lines().map(str::to_owned));
    }
}

/// A schedule whose slot was between two and three hours ago and whose deadline is as far ahead, whatever time it is: in a
/// zone where it is noon.
pub fn around_now() -> (String, Date) {
    let hour = i64::from(Timestamp::now().to_zoned(TimeZone::UTC).hour());
    // POSIX counts westward.
    let zone = format!("Etc/GMT{:+}", hour - 12);
    let today = Timestamp::now().in_tz(&zone).unwrap().date();
    let schedule =
        format!("[schedule]\nat = \"10:00\"\ndeadline = \"15:00\"\ndays = \"daily\"\ntime_zone = \"{zone}\"\n");
    (schedule, today)
}

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(50);

/// Whether any EML stands in a staging folder yet; it may be written to meanwhile.
pub fn has_begun_staging(staging: &Path) -> bool {
    let mailboxes = fs::read_dir(staging).into_iter().flatten().flatten();
    mailboxes
        .filter(|mailbox| !mailbox.file_name().as_encoded_bytes().starts_with(b"."))
        .any(|mailbox| fs::read_dir(mailbox.path().join("ICE Chat")).is_ok_and(|mut emls| emls.next().is_some()))
}
