//! A small firm with something before it, something to do, and what must come of it, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::strace::{self, Call};
use crate::support;
use crate::support::firm::{Firm, Settings, assert_balanced, export, message};

/// What stands on disk, and what the program says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Staging, without its ready lists.
    pub staging: BTreeMap<PathBuf, Entry>,
    /// The lines of all ready lists: which run's they are depends on which run died.
    pub listed: BTreeSet<String>,
    /// Names and modes in the state folder.
    pub state: BTreeMap<PathBuf, u32>,
    /// What lies at the site.
    pub site: BTreeSet<String>,
    /// `verify --deep --json`, without the chain.
    pub verified: Value,
    /// What `status --json` says that needs a person.
    pub needs: Value,
    /// Items by what became of them, in all runs.
    pub books: BTreeMap<&'static str, u64>,
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    /// None of a folder; an EML is ASCII.
    text: Option<String>,
    /// The names of the same file, this one among them.
    names: BTreeSet<PathBuf>,
}

/// A firm, what it asks of the program, and what comes of that where nothing happens.
pub(crate) struct Scene {
    pub firm: Firm,
    pub name: &'static str,
    arguments: Vec<String>,
    /// State, staging and site as they were before.
    before: TempDir,
    /// Where strace writes to.
    pub log: PathBuf,
    /// The exit code where nothing happens.
    pub code: i32,
    pub quiet: Outcome,
    /// The calls of a run to which nothing happens.
    pub calls: Vec<Call>,
}

/// What is put back before each case.
const PARTS: [&str; 3] = ["state", "staging", "site"];

impl Scene {
    /// Exports that a person gives by hand, to a program that never ran here.
    pub(crate) fn first() -> Self {
        let firm = firm("");
        write(&firm, "day.pgp", &day());
        write(&firm, "next.pgp", &next_day());
        let files = ["day.pgp", "next.pgp"].map(|name| firm.path(name).to_str().unwrap().to_owned());
        Self::of("first", firm, &["ingest", &files[0], &files[1]])
    }

    /// The same with EMLs that are larger than anything else, of words that hardly get smaller.
    pub(crate) fn large() -> Self {
        let firm = firm("");
        let mut word = 1_u64;
        let mut words = || {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{word:016x} ")
        };
        let text: String = (0..60_000).map(|_| words()).collect();
        let records: String =
            ["1", "2"].map(|id| message(id, "amy@contoso.com", &["joe@contoso.com"], &format!("{id} {text}"))).concat();
        write(&firm, "large.pgp", &export(&records));
        let file = firm.path("large.pgp").to_str().unwrap().to_owned();
        Self::of("large", firm, &["ingest", &file])
    }

    /// As many as make two batches, for a program that does several things at once. Each call of it is another run's.
    pub(crate) fn by_several_workers() -> Self {
        let people = ["amy@contoso.com", "joe@contoso.com", "dora@contoso.com"];
        let records = (0..1300).map(|number: usize| {
            let (from, to) = (people[number % 3], people[(number + 1 + number / 3 % 2) % 3]);
            message(&number.to_string(), from, &[to], &format!("word {number}"))
        });
        let firm = Firm::with(&Settings { more: "[limits]\nworkers = 4\n".to_owned(), ..settings("") });
        write(&firm, "day.pgp", &day());
        write(&firm, "much.pgp", &export(&records.collect::<String>()));
        let files = ["day.pgp", "much.pgp"].map(|name| firm.path(name).to_str().unwrap().to_owned());
        Self::of("several", firm, &["ingest", &files[0], &files[1]])
    }

    /// The same from the site, whose copies are removed.
    pub(crate) fn from_the_site() -> Self {
        let settings = settings("");
        let site = format!("{}after = \"delete\"\n", settings.site);
        let firm = Firm::with(&Settings { site, ..settings });
        firm.deliver_export("day.pgp", &day());
        firm.deliver_export("next.pgp", &next_day());
        Self::of("site", firm, &["ingest"])
    }

    /// What was held gets its places.
    pub(crate) fn replay() -> Self {
        let firm = with_a_day("");
        firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
        Self::of("replay", firm, &["replay"])
    }

    /// Part of what was staged is put there again.
    pub(crate) fn restage() -> Self {
        let firm = with_a_day("");
        fs::remove_dir_all(firm.path("staging/joe@contoso.com")).unwrap();
        Self::of("restage", firm, &["restage", "--since", "2020-01-01", "--reason", "lost"])
    }

    /// An original is old enough to go when the next export comes.
    pub(crate) fn retention() -> Self {
        let firm = with_a_day("originals_days = 10\n");
        firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
        firm.replay(3);
        let held = firm.run(&["held", "list", "--json"]).expect(0).json();
        for item in held["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap();
            firm.run(&["held", "dismiss", id, "--reason", "nobody of ours"]).expect(0);
        }
        let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
        ledger.execute("UPDATE files SET committed = committed - 20 * 86400", []).unwrap();
        drop(ledger);
        write(&firm, "next.pgp", &next_day());
        let next = firm.path("next.pgp").to_str().unwrap().to_owned();
        Self::of("retention", firm, &["ingest", &next])
    }

    fn of(name: &'static str, firm: Firm, arguments: &[&str]) -> Self {
        let before = tempfile::tempdir().unwrap();
        for part in PARTS {
            copy(&part_of(&firm, part), &before.path().join(part));
        }
        let log = firm.path("strace.log");
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (said, calls) = strace::record(&firm.command(&words(&arguments)), &log);
        let quiet = Outcome::of(&firm);
        let scene = Self { firm, name, arguments, before, log, code: said.code, quiet, calls };
        assert!([0, 3].contains(&scene.code), "{name}: {said:#?}");
        assert_eq!(scene.quiet.verified["faults"], serde_json::json!([]), "{name}");
        scene
    }

    /// Puts everything back to what was before.
    pub(crate) fn again(&self) {
        for part in PARTS {
            let place = part_of(&self.firm, part);
            let _ = fs::remove_dir_all(&place);
            copy(&self.before.path().join(part), &place);
        }
    }

    /// The same, as words.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        words(&self.arguments)
    }

    /// What is asked of the program.
    pub(crate) fn command(&self) -> Command {
        self.firm.command(&words(&self.arguments))
    }

    /// Asks for the same once more, undisturbed: it ends as if nothing had happened, and so does everything.
    pub(crate) fn recover(&self, when: &str) {
        let said = self.firm.run(&words(&self.arguments));
        assert_eq!(said.code, self.code, "{} {when}: {said:#?}", self.name);
        self.assert_as_undisturbed(when);
    }

    /// Everything is as if nothing had happened.
    pub(crate) fn assert_as_undisturbed(&self, when: &str) {
        let now = self.assert_same_books_and_staging(when);
        assert_eq!(now.needs, self.quiet.needs, "{} {when}", self.name);
    }

    /// The same, but for what needs a person, where that depends on what day it is.
    pub(crate) fn assert_same_books_and_staging(&self, when: &str) -> Outcome {
        let now = Outcome::of(&self.firm);
        let Self { quiet, name, .. } = self;
        assert_eq!(now.state, quiet.state, "state; {name} {when}");
        assert!(now.staging.keys().eq(quiet.staging.keys()), "{:#?}; {name} {when}", now.staging.keys());
        for (path, entry) in &now.staging {
            entry.assert_like(&quiet.staging[path], &format!("{}; {name} {when}", path.display()));
        }
        assert_eq!(now.listed, quiet.listed, "ready lists; {name} {when}");
        assert_eq!(now.site, quiet.site, "{name} {when}");
        assert_eq!(now.verified, quiet.verified, "{name} {when}");
        assert_eq!(now.books, quiet.books, "{name} {when}");
        now
    }

    /// At any moment: what stands under a final name is whole, what a ready list names was placed, and ledger and disk agree.
    pub(crate) fn assert_sound(&self, when: &str) {
        for (path, entry) in walk(&self.firm.path("staging")) {
            let is_final = entry.text.is_some() && !path.iter().any(|part| part.to_str().unwrap().starts_with('.'));
            let whole = self.quiet.staging.get(&path).map(|quiet| (&quiet.text, quiet.mode));
            assert!(!is_final || whole == Some((&entry.text, entry.mode)), "{path:?}; {} {when}", self.name);
        }
        let verified = self.firm.run(&["verify", "--json"]);
        assert_eq!(verified.code, 0, "{} {when}: {verified:#?}", self.name);
    }
}

impl Entry {
    /// The same, but that a name which stood already when the program died may be a file of its own: what died with it is
    /// written anew, and what stands is never replaced.
    fn assert_like(&self, quiet: &Self, what: &str) {
        assert_eq!((self.mode, &self.text), (quiet.mode, &quiet.text), "{what}");
        assert!(self.names.is_subset(&quiet.names), "{what}: one file for {:?}", self.names);
    }
}

impl Outcome {
    fn of(firm: &Firm) -> Self {
        let staging = walk(&firm.path("staging"));
        let lists: Vec<_> = staging.keys().filter(|path| path.starts_with(".ready")).cloned().collect();
        let listed = lists
            .iter()
            .filter_map(|list| staging[list].text.as_deref())
            .flat_map(str::lines)
            .map(str::to_owned)
            .collect();
        let state = walk(&firm.path("state")).into_iter().map(|(path, entry)| (path, entry.mode)).collect();
        let site = fs::read_dir(firm.sshd.root()).unwrap();
        let site = site.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut verified = firm.run(&["verify", "--deep", "--json"]).json();
        // Its links have the times at which runs were made, and as many as there were.
        verified.as_object_mut().unwrap().remove("chain");
        Self {
            staging: staging.into_iter().filter(|(path, _)| !lists.contains(path)).map(without_owner).collect(),
            listed,
            state,
            site,
            verified,
            needs: firm.run(&["status", "--json"]).expect(0).json()["needs"].clone(),
            books: books(firm),
        }
    }
}

/// The mark names the ledger, whose id is chance.
fn without_owner((path, mut entry): (PathBuf, Entry)) -> (PathBuf, Entry) {
    if path == Path::new(".owner") {
        entry.text = Some(String::new());
    }
    (path, entry)
}

/// The books of all runs together, each of which must balance. What a run died over is in a later run's. How often an item
/// is in them as held or as a duplicate depends on whether the run that died had committed it.
fn books(firm: &Firm) -> BTreeMap<&'static str, u64> {
    let runs = firm.run(&["report", "list", "--json"]).expect(0).json();
    let mut books = BTreeMap::new();
    for run in runs["runs"].as_array().unwrap() {
        let report = firm.run(&["report", run["run"].as_str().unwrap(), "--json"]).expect(0).json();
        assert_balanced(&report);
        for key in ["staged", "rejected", "skipped"] {
            *books.entry(key).or_default() += report["items"][key].as_u64().unwrap();
        }
    }
    books
}

fn walk(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut inodes: BTreeMap<u64, BTreeSet<PathBuf>> = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let now = fs::symlink_metadata(&path).unwrap();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            inodes.entry(now.ino()).or_default().insert(relative.clone());
            let text = now.is_file().then(|| String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
            if now.is_dir() {
                folders.push(path);
            }
            let mode = now.permissions().mode();
            found.insert(relative, (now.ino(), Entry { mode, text, names: BTreeSet::new() }));
        }
    }
    let named =
        |(path, (inode, entry)): (PathBuf, (u64, Entry))| (path, Entry { names: inodes[&inode].clone(), ..entry });
    found.into_iter().map(named).collect()
}

/// With modes, times and links.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.exists() {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    }
}

fn part_of(firm: &Firm, part: &str) -> PathBuf {
    if part == "site" { firm.sshd.root() } else { firm.path(part) }
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

pub(crate) fn settings(state: &str) -> Settings {
    Settings { more: format!("{state}[limits]\nworkers = 1\n"), ..Settings::default() }
}

pub(crate) fn firm(state: &str) -> Firm {
    support::in_memory();
    Firm::with(&settings(state))
}

/// A firm that has taken a day in.
pub(crate) fn with_a_day(state: &str) -> Firm {
    let firm = firm(state);
    write(&firm, "day.pgp", &day());
    firm.run(&["ingest", firm.path("day.pgp").to_str().unwrap()]).expect(3);
    firm
}

pub(crate) fn write(firm: &Firm, name: &str, xml: &str) {
    fs::write(firm.path(name), firm.encrypt(xml)).unwrap();
}

/// Of four messages one is between outsiders, and one waits for a mapping.
pub(crate) fn day() -> String {
    let nils = "<Message><MessageID>4</MessageID><SenderEmail>ola@northern.example</SenderEmail><Recipient><ImId>nils9</ImId>\
                </Recipient><DateTimeUTC>2026-11-19T14:00:00Z</DateTimeUTC><Content>four</Content></Message>";
    export(&format!(
        "{}{}{}{nils}",
        message("1", "amy@contoso.com", &["joe@contoso.com"], "one"),
        message("2", "joe@contoso.com", &["amy@contoso.com", "eve@northern.example"], "two"),
        message("3", "ola@northern.example", &["otto@northern.example"], "three"),
    ))
}

/// One message is the day's before, one is new.
pub(crate) fn next_day() -> String {
    export(&format!(
        "{}{}",
        message("1", "amy@contoso.com", &["joe@contoso.com"], "one"),
        message("5", "amy@contoso.com", &["dora@contoso.com"], "five"),
    ))
}

pub(crate) fn random(below: usize) -> usize {
    usize::try_from(RandomState::new().build_hasher().finish() % below as u64).unwrap()
}

/// So many of them by chance, each kind as likely as any other; all of them, if there are no more.
pub(crate) fn some_of<T: Clone, K: Ord>(all: &[T], most: u32, kind: impl Fn(&T) -> K) -> Vec<T> {
    let most = most as usize;
    if most >= all.len() {
        return all.to_vec();
    }
    let mut kinds: BTreeMap<K, Vec<&T>> = BTreeMap::new();
    for one in all {
        kinds.entry(kind(one)).or_default().push(one);
    }
    let kinds: Vec<Vec<&T>> = kinds.into_values().collect();
    let one_of = |kind: &[&T]| kind[random(kind.len())].clone();
    (0..most).map(|_| one_of(&kinds[random(kinds.len())])).collect()
}
