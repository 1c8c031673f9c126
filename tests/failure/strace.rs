//! A run under strace: its calls written down, one of them made the program's last, or one of them refused.
//!
//! strace delivers an injected SIGKILL when a call is entered, and the kernel then leaves the call out. So a program that is
//! killed at a call has done everything before it and nothing of it. What the calls before it changed is what was there
//! before the next one: whoever kills at each call that changes files has seen every state that such a death can leave,
//! "just after a call" included.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::firm::Said;

/// The calls by which a program changes files or makes them durable. strace may not know those that this processor has not,
/// hence the question mark.
const CHANGING: [&str; 30] = [
    "openat",
    "?open",
    "?creat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "?pwritev2",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "?truncate",
    "fallocate",
    "renameat",
    "renameat2",
    "?rename",
    "linkat",
    "?link",
    "unlinkat",
    "?unlink",
    "mkdirat",
    "?mkdir",
    "?rmdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "?symlink",
    "copy_file_range",
];

/// Those by which it finds and reads them.
const READING: [&str; 9] =
    ["read", "pread64", "getdents64", "?newfstatat", "statx", "?fstat", "fcntl", "flock", "statfs"];

/// One call of a run: which it was of its name, as strace counts them, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// The how manieth of this name in this thread.
    pub nth: usize,
    /// The rest of the line.
    pub words: String,
}

impl Call {
    /// Whether it may change a file: not if it opens one to read, or speaks to a terminal, a pipe or a socket.
    pub(crate) fn changes_files(&self) -> bool {
        match self.name.as_str() {
            "openat" | "open" => ["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|flag| self.words.contains(flag)),
            "write" | "writev" => self.place().is_some(),
            name => CHANGING.iter().any(|changing| changing.trim_start_matches('?') == name),
        }
    }

    /// Whether it is about something below this folder.
    pub(crate) fn is_below(&self, folder: &Path) -> bool {
        self.words.contains(folder.to_str().unwrap())
    }

    /// The open file that it is about.
    pub(crate) fn place(&self) -> Option<&str> {
        self.words.split(['<', '>']).nth(1).filter(|place| place.starts_with('/'))
    }

    /// What it makes durable, if it does.
    pub(crate) fn synced(&self) -> Option<&str> {
        self.place().filter(|_| ["fsync", "fdatasync", "syncfs"].contains(&self.name.as_str()))
    }

    /// As a call of its thread alone.
    pub(crate) fn aim(&self) -> Aim<'_> {
        Aim { name: &self.name, nth: self.nth, place: None }
    }
}

/// Which call is meant: the nth of this name in its thread, or in each thread that makes as many; at a place, of those there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim<'a> {
    pub name: &'a str,
    pub nth: usize,
    pub place: Option<&'a str>,
}

/// What is done to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Injection {
    /// SIGKILL in its place.
    Kill,
    /// This error in its place.
    Error(&'static str),
    /// This error in its place, and in that of every later call of its name.
    ErrorFromThereOn(&'static str),
}

/// The program under strace, which writes to `log`.
fn traced(program: &Command, log: &Path, calls: &[&str], more: &[String]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "32", "-e", "signal=none", "-o"]).arg(log);
    strace.arg("-e").arg(format!("trace={}", calls.join(","))).args(more);
    strace.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace
}

fn output(mut strace: Command) -> Output {
    strace.output().unwrap_or_else(|error| panic!("strace: {error}; .ci/setup tests installs it"))
}

/// Runs the program undisturbed, and says which calls it made.
pub(crate) fn record(program: &Command, log: &Path) -> (Said, Vec<Call>) {
    let all = [&CHANGING[..], &READING].concat();
    let said = Said::from(&output(traced(program, log, &all, &[])));
    (said, calls(log))
}

/// Runs the program with this done to one of its calls. What it said, and the calls it made: in a program that was killed,
/// the last is the one that it was killed at.
pub(crate) fn inject(program: &Command, log: &Path, aim: Aim<'_>, injection: Injection) -> (Said, Vec<Call>) {
    let Aim { name, nth, place } = aim;
    let what = match injection {
        Injection::Kill => format!("signal=KILL:when={nth}"),
        Injection::Error(error) => format!("error={error}:when={nth}"),
        Injection::ErrorFromThereOn(error) => format!("error={error}:when={nth}+"),
    };
    let mut more = vec!["-e".to_owned(), format!("inject={name}:{what}")];
    more.extend(place.iter().flat_map(|place| ["-P".to_owned(), (*place).to_owned()]));
    let said = Said::from(&output(traced(program, log, &[&CHANGING[..], &[name]].concat(), &more)));
    (said, calls(log))
}

fn calls(log: &Path) -> Vec<Call> {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
    let mut found: Vec<Call> = Vec::new();
    let mut made: HashMap<(u32, &str), usize> = HashMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, words)) = rest.trim_start().split_once('(') else { continue };
        let thread = thread.parse().unwrap();
        if name.starts_with('<') || name.starts_with('+') {
            continue;
        }
        let nth = made.entry((thread, name)).or_default();
        *nth += 1;
        found.push(Call { thread, name: name.to_owned(), nth: *nth, words: words.to_owned() });
    }
    found
}
