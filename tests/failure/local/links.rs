//! Links, pipes and folders that somebody planted where the program reads or writes lead nowhere: nothing outside is read,
//! changed or given another mode, nobody waits for ever, and what stands in the way is named.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{all, bring};
use crate::support;
use crate::support::firm::{Firm, Said, staged};

/// What is planted, in place of whatever is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// A link to a copy outside of what stood there, which would do as well.
    Link,
    /// A second name of a file outside.
    HardLink,
    Pipe,
    Folder,
}
use Plant::{Folder, HardLink, Link, Pipe};

/// What the program makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It fails, and names it.
    Named,
    /// What came is held because of it, which names it.
    Held,
    /// It is not what it was planted for, or goes: the verb does what it does without it.
    Harmless,
    /// One or the other, as `SQLite` decides.
    Either,
}
use Then::{Either, Harmless, Held, Named};

const INGEST: &[&str] = &["ingest", "day-2.pgp"];
const VERIFY: &[&str] = &["verify"];
const REPLAY: &[&str] = &["replay"];
const STATUS: &[&str] = &["status"];

/// EML, ORIGINAL and MANIFEST are those of the export that is ingested, KEPT and RECORDED those of the one before.
const PLANTS: &[(&str, Plant, &[&str], Then)] = &[
    ("staging/amy@contoso.com", Link, INGEST, Named),
    ("staging/amy@contoso.com/ICE Chat", Link, INGEST, Named),
    ("staging/.incoming", Link, INGEST, Named),
    ("staging/.ready", Link, INGEST, Named),
    ("staging/.owner", Link, INGEST, Named),
    ("staging/.owner", Pipe, INGEST, Named),
    ("staging/amy@contoso.com/ICE Chat/EML", Link, INGEST, Named),
    ("staging/amy@contoso.com/ICE Chat/EML", HardLink, INGEST, Held),
    ("staging/amy@contoso.com/ICE Chat/EML", Pipe, INGEST, Named),
    ("staging/amy@contoso.com/ICE Chat/EML", Folder, INGEST, Named),
    ("staging/amy@contoso.com/ICE Chat/STANDING", Link, VERIFY, Named),
    ("staging/amy@contoso.com/ICE Chat/STANDING", Pipe, VERIFY, Named),
    ("state/originals/ORIGINAL", Link, INGEST, Harmless),
    ("state/originals/ORIGINAL", HardLink, INGEST, Harmless),
    ("state/originals/ORIGINAL", Folder, INGEST, Named),
    ("state/originals/KEPT", Link, VERIFY, Named),
    ("state/originals/KEPT", Pipe, VERIFY, Named),
    ("state/originals/KEPT", Folder, VERIFY, Named),
    ("state/originals/KEPT", Link, REPLAY, Named),
    ("state/originals/KEPT", Pipe, REPLAY, Named),
    ("state/manifests/MANIFEST", Link, INGEST, Harmless),
    ("state/manifests/.manifest.tmp", Link, INGEST, Harmless),
    ("state/manifests/.manifest.tmp", Pipe, INGEST, Harmless),
    ("state/manifests/RECORDED", Link, VERIFY, Named),
    ("state/manifests/RECORDED", Pipe, VERIFY, Named),
    ("state/spool/scratch.db", Link, INGEST, Harmless),
    ("state/spool/scratch.db", HardLink, INGEST, Harmless),
    ("state/spool/scratch.db", Folder, INGEST, Named),
    ("state/spool/download-1-0", Link, INGEST, Harmless),
    ("state/work.lock", Link, INGEST, Named),
    ("state/daemon.lock", Link, &["run"], Named),
    ("state/ledger.db", Link, INGEST, Named),
    ("state/ledger.db", Link, VERIFY, Named),
    ("state/ledger.db", Link, STATUS, Named),
    ("state/ledger.db", Pipe, INGEST, Named),
    ("state/ledger.db", Pipe, STATUS, Named),
    ("state/ledger.db-wal", Link, INGEST, Either),
    ("state/ledger.db-shm", Link, INGEST, Either),
    ("state/ledger.db-journal", Link, INGEST, Either),
    ("state/firm", Link, INGEST, Named),
    ("state/firm", Pipe, INGEST, Named),
    ("state/in-flight.json", Link, INGEST, Harmless),
    ("state/.in-flight.json", Link, INGEST, Harmless),
    ("state/.in-flight.json", HardLink, INGEST, Harmless),
    ("state/.in-flight.json", Pipe, INGEST, Harmless),
    ("mapping/planted.csv", Link, REPLAY, Harmless),
    ("mapping/planted.csv", Pipe, REPLAY, Harmless),
];

/// A firm with one export taken and another waiting, and what all is called.
struct Ground {
    firm: Firm,
    names: Vec<(&'static str, String)>,
    /// What stands in the end, each without anything planted.
    before: usize,
    after: usize,
}

impl Ground {
    fn new() -> Self {
        support::in_memory();
        let firm = Firm::new();
        let first = bring(&firm, 1);
        firm.run(&["ingest", first.to_str().unwrap()]).expect(3);
        let second = bring(&firm, 2);
        let twin = copy(firm.dir.path());
        say(twin.path(), INGEST).expect(3);
        let new = |folder: &str| {
            let (old, all) = (names(&firm.path(folder)), names(&twin.path().join(folder)));
            all.into_iter().find(|name| !old.contains(name)).unwrap()
        };
        let chat = "staging/amy@contoso.com/ICE Chat";
        let old = |folder: &str| names(&firm.path(folder)).remove(0);
        let names = vec![
            ("EML", new(chat)),
            ("STANDING", old(chat)),
            ("ORIGINAL", new("state/originals")),
            ("KEPT", old("state/originals")),
            ("MANIFEST", new("state/manifests")),
            ("RECORDED", old("state/manifests")),
        ];
        let (before, after) = (staged(&firm.path("staging")).len(), staged(&twin.path().join("staging")).len());
        assert!(second.exists() && after > before);
        Self { firm, names, before, after }
    }

    fn path(&self, pattern: &str) -> String {
        let (folder, last) = pattern.rsplit_once('/').unwrap();
        let name = self.names.iter().find(|(word, _)| *word == last).map_or(last, |(_, name)| name);
        format!("{folder}/{name}")
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn copy(folder: &Path) -> tempfile::TempDir {
    let twin = tempfile::tempdir().unwrap();
    let from = format!("{}/.", folder.display());
    assert!(Command::new("cp").arg("-a").arg(from).arg(twin.path()).status().unwrap().success());
    twin
}

/// No verb here takes long; who waits for a pipe is killed.
fn say(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "60", env!("CARGO_BIN_EXE_icechatd"), "--config"]).arg(folder.join("config.toml"));
    Said::from(&command.args(arguments).env_remove("CREDENTIALS_DIRECTORY").current_dir(folder).output().unwrap())
}

/// What can be said of everything outside without opening a file of it: whose it is, its mode, and when it was read or written
/// last.
fn facts(outside: &Path, may_be_read: bool) -> Vec<(PathBuf, [i64; 8])> {
    let of = |path: PathBuf| {
        let found = path.symlink_metadata().unwrap();
        // Looking for what lies in a folder reads it.
        let read = if may_be_read || found.is_dir() { 0 } else { found.atime() };
        let (size, inode) = (found.size().cast_signed(), found.ino().cast_signed());
        let [mode, user, group] = [found.mode(), found.uid(), found.gid()].map(i64::from);
        (path, [mode, user, group, size, inode, read, found.mtime(), found.mtime_nsec()])
    };
    all(outside).into_iter().map(of).collect()
}

fn contents(outside: &Path) -> Vec<Vec<u8>> {
    all(outside).into_iter().map(|path| fs::read(path).unwrap_or_default()).collect()
}

/// Has everything read long ago for the last time: whoever reads it from now on is noticed, as most file systems are mounted.
fn age(outside: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in all(outside) {
        fs::File::open(path).unwrap().set_times(FileTimes::new().set_accessed(long_ago)).unwrap();
    }
}

/// Puts it there; what stood there lies outside then.
fn plant(what: Plant, at: &Path, outside: &Path) {
    let copy = outside.join("copy");
    if at.exists() {
        assert!(Command::new("cp").arg("-a").arg(at).arg(&copy).status().unwrap().success());
        assert!(Command::new("rm").arg("-r").arg(at).status().unwrap().success());
    } else {
        fs::write(&copy, "ImId,Mailbox\nnils9,mallory@contoso.com\n").unwrap();
    }
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    match what {
        Link => symlink(&copy, at).unwrap(),
        HardLink => fs::hard_link(&copy, at).unwrap(),
        Pipe => assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
        Folder => {
            fs::create_dir(at).unwrap();
            fs::write(at.join("inside"), "not ours").unwrap();
        }
    }
}

#[test]
fn what_is_planted_leads_nowhere() {
    let ground = Ground::new();
    let mut wrong = Vec::new();
    for (pattern, what, verb, then) in PLANTS {
        let tried = std::panic::catch_unwind(|| try_one(&ground, pattern, *what, verb, *then));
        if let Err(cause) = tried {
            let cause = cause.downcast::<String>().map_or_else(|_| "see above".to_owned(), |text| *text);
            wrong.push(format!("{what:?} at {pattern}, {verb:?}: {cause}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn try_one(ground: &Ground, pattern: &str, what: Plant, verb: &[&str], then: Then) {
    let folder = copy(ground.firm.dir.path());
    let outside = tempfile::tempdir().unwrap();
    let path = ground.path(pattern);
    plant(what, &folder.path().join(&path), outside.path());
    if verb == REPLAY && pattern.starts_with("state/") {
        fs::write(folder.path().join("mapping/new.csv"), "ImId,Mailbox\nnils9,dora@contoso.com\n").unwrap();
    }
    let held = contents(outside.path());
    age(outside.path());
    // What has a name within is no longer outside, and may be looked at.
    let is_within = what == HardLink;
    let known = facts(outside.path(), is_within);
    let said = say(folder.path(), verb);
    assert_eq!(facts(outside.path(), is_within), known, "outside was touched: {said:#?}");
    assert_eq!(contents(outside.path()), held, "outside was changed: {said:#?}");
    let name = path.rsplit_once('/').unwrap().1;
    let is_named = said.code == 1 && (said.err.contains(name) || said.out.contains(name));
    let is_done = [0, 3].contains(&said.code) && said.err.lines().all(|line| !line.contains("ERROR"));
    match then {
        Named => assert!(is_named, "not named: {said:#?}"),
        Held => assert!(said.code == 3 && said.err.contains("held") && said.err.contains(name), "{said:#?}"),
        Harmless => assert!(is_done, "not done: {said:#?}"),
        Either => assert!([1, 3].contains(&said.code), "{said:#?}"),
    }
    if then == Harmless {
        let wanted = if verb == INGEST { ground.after } else { ground.before };
        assert_eq!(staged(&folder.path().join("staging")).len(), wanted);
    }
}
