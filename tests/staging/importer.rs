//! An importer that knows nothing but the page on staging (`tests/support/importer.py`) takes what runs commit, while runs
//! and importer are killed at random moments: each EML is taken once, none before its commit, and none is left.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use icechatd::config::Config;
use icechatd::digest::Sha256;
use icechatd::ledger::manifest::{Entry, Recorded};
use icechatd::ledger::{Ledger, LedgerError};
use icechatd::waiting::Observer;
use rusqlite::Connection;
use serde_json::Value;
use support::archive::cases;
use support::firm::{Firm, Settings, message};

const EXPORTS: usize = 3;
const MESSAGES: usize = 150;
/// Each message is Amy's to Joe and Dora.
const MAILBOXES: usize = 3;

/// Mailbox and file name.
type Name = (String, String);

/// The export of one room, whose messages are no other's.
fn room(name: &str) -> String {
    let records: String = (0..MESSAGES)
        .map(|n| message(&format!("{name}-{n}"), "amy@contoso.com", &["joe@contoso.com", "dora@contoso.com"], "lots"))
        .collect();
    format!(
        "<IceChatExport firmCode=\"ACME\" date=\"2026-11-19\"><Conversation><RoomID>{name}</RoomID>{records}</Conversation>\
         </IceChatExport>"
    )
}

fn random(below: Duration) -> Duration {
    let number = RandomState::new().build_hasher().finish();
    Duration::from_micros(number % u64::try_from(below.as_micros()).unwrap())
}

/// The importer at work.
struct Importer {
    staging: PathBuf,
    archive: PathBuf,
    child: Child,
    kills: usize,
}

impl Importer {
    fn start(firm: &Firm) -> Self {
        let (staging, archive) = (firm.path("staging"), firm.path("archive"));
        fs::create_dir_all(archive.join("mail")).unwrap();
        let child = Self::spawn(&staging, &archive);
        Self { staging, archive, child, kills: 0 }
    }

    fn spawn(staging: &Path, archive: &Path) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/importer.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(staging).arg(archive).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn assert_works(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.end();
        }
    }

    /// Kills it, wherever it is, and starts it again.
    fn kill(&mut self) {
        self.assert_works();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.kills += 1;
        self.child = Self::spawn(&self.staging, &self.archive);
    }

    /// Has it take what is left and end; it must have found nothing wrong.
    fn end(&mut self) {
        fs::write(self.archive.join("stop"), "").unwrap();
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut said).unwrap();
        assert!(status.success(), "{said}");
        fs::remove_file(self.archive.join("stop")).unwrap();
    }

    /// What it has taken, with the SHA-256 of what it got.
    fn taken(&self) -> BTreeMap<Name, String> {
        let mut taken = BTreeMap::new();
        for mailbox in fs::read_dir(self.archive.join("mail")).unwrap().map(Result::unwrap) {
            for file in fs::read_dir(mailbox.path()).unwrap().map(Result::unwrap) {
                let name = file.file_name().into_string().unwrap();
                // What it was writing when it was killed.
                if file.path().extension().is_some_and(|suffix| suffix == "eml") {
                    let key = (mailbox.file_name().into_string().unwrap(), name);
                    taken.insert(key, Sha256::of(&fs::read(file.path()).unwrap()).to_string());
                }
            }
        }
        taken
    }

    /// How often a name stood again that it had taken.
    fn again(&self) -> usize {
        fs::read_to_string(self.archive.join("again")).unwrap_or_default().lines().count()
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        // It has ended already, but where a test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What committed manifests name; no placement is named twice.
fn committed(firm: &Firm) -> BTreeMap<Name, String> {
    let mut named = BTreeMap::new();
    let Some(ledger) = Ledger::read(&firm.path("state")).unwrap() else { return named };
    for manifest in ledger.recorded_manifests(None).unwrap() {
        read(&ledger, &manifest, &mut named);
    }
    named
}

fn read(ledger: &Ledger, manifest: &Recorded, named: &mut BTreeMap<Name, String>) {
    let visit = |entry| {
        if let Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) = entry {
            for mailbox in &placed.mailboxes {
                let before = named.insert((mailbox.clone(), placed.name()), placed.eml.clone());
                assert!(before.is_none(), "{placed:?}");
            }
        }
        Ok::<_, LedgerError>(())
    };
    manifest.read(&ledger.manifests(), visit).unwrap();
}

/// What lies among the ready lists, oldest first: a second run of the same second has a number after its name.
fn ready(firm: &Firm) -> Vec<String> {
    let Ok(entries) = fs::read_dir(firm.path("staging/.ready")) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_by(|one, other| one.trim_end_matches(".jsonl").cmp(other.trim_end_matches(".jsonl")));
    names
}

/// The number that a question to the ledger gives.
fn asked(firm: &Firm, sql: &str) -> i64 {
    Connection::open(firm.path("state/ledger.db")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn start(firm: &Firm, arguments: &[&str]) -> Child {
    firm.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn each_eml_is_taken_once_whoever_is_killed() {
    support::in_memory();
    let quiet = Firm::new();
    deliver(&quiet, "quiet");
    let begun = Instant::now();
    quiet.ingest(0);
    let takes = begun.elapsed();
    for round in 0..cases(2) {
        undisturbed_in_the_end(takes, &format!("round-{round}"));
    }
}

fn deliver(firm: &Firm, stem: &str) {
    for n in 0..EXPORTS {
        firm.deliver_export(&format!("{stem}-{n}.pgp"), &room(&format!("{stem}-{n}")));
    }
}

fn undisturbed_in_the_end(duration: Duration, stem: &str) {
    let firm = Firm::new();
    deliver(&firm, stem);
    let mut importer = Importer::start(&firm);
    let (mut kills, mut commits) = (0, Vec::new());
    // Long enough that some runs come to their end among the kills.
    for _ in 0..40 {
        let after = random(duration);
        let mut run = start(&firm, &["ingest"]);
        sleep(after / 2);
        if kills % 2 == 0 {
            importer.kill();
        }
        sleep(after / 2);
        let ended = run.try_wait().unwrap().is_some();
        // SIGKILL: nothing of the program's own has a say in it.
        run.kill().unwrap();
        run.wait().unwrap();
        importer.assert_works();
        // Nobody commits meanwhile, so what is taken now was committed when it was taken.
        let (taken, named) = (importer.taken(), committed(&firm));
        for (name, sha256) in &taken {
            assert_eq!(
                named.get(name),
                Some(sha256),
                "{name:?} was taken and is not committed; killed after {after:?}"
            );
        }
        commits.push(asked_commits(&firm));
        kills += usize::from(!ended);
        if ended && named.len() == EXPORTS * MESSAGES * MAILBOXES {
            break;
        }
    }
    println!("{stem} ({duration:?}): killed {kills} runs and {} importers; commits {commits:?}", importer.kills);
    firm.run(&["ingest"]).expect(0);
    importer.end();
    let (taken, named) = (importer.taken(), committed(&firm));
    assert_eq!(named.len(), EXPORTS * MESSAGES * MAILBOXES);
    assert!(taken == named, "{} taken, {} committed", taken.len(), named.len());
    assert!(importer.again() <= importer.kills, "{} names came again", importer.again());
    // Nothing but folders is left, and what the program keeps under names that begin with a dot.
    assert!(firm.staged().is_empty());
    assert!(!ready(&firm).is_empty() || asked(&firm, "SELECT count(*) FROM manifests WHERE taken IS NULL") == 0);
    firm.ingest(0);
    assert!(ready(&firm).is_empty(), "{:?}", ready(&firm));
    assert_eq!(asked(&firm, "SELECT count(*) FROM manifests WHERE taken IS NULL OR listed IS NULL"), 0);
    firm.run(&["verify"]).expect(0);
}

fn asked_commits(firm: &Firm) -> i64 {
    let has_ledger = Ledger::read(&firm.path("state")).unwrap().is_some();
    if has_ledger { asked(firm, "SELECT count(*) FROM manifests") } else { 0 }
}

/// As an importer that takes everything.
fn take_all(firm: &Firm) {
    for (mailbox, name) in firm.staged().into_keys() {
        fs::remove_file(firm.path("staging").join(mailbox).join("ICE Chat").join(name)).unwrap();
    }
}

#[test]
fn a_list_goes_when_nothing_that_it_names_stands() {
    let firm = Firm::new();
    firm.deliver_export("first.pgp", &room("first"));
    firm.ingest(0);
    firm.deliver_export("second.pgp", &room("second"));
    firm.ingest(0);
    let both = ready(&firm);
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(asked(&firm, "SELECT count(*) FROM manifests WHERE taken IS NULL AND standing IS NOT NULL"), 2);
    // All but one of the first: its list stays.
    let first = listed(&firm, both.first().unwrap());
    for path in &first[1..] {
        fs::remove_file(firm.path("staging").join(path)).unwrap();
    }
    firm.ingest(0);
    assert_eq!(ready(&firm), both);
    fs::remove_file(firm.path("staging").join(&first[0])).unwrap();
    // A dry run notes nothing.
    firm.run(&["ingest", "--dry-run"]).expect(0);
    assert_eq!(ready(&firm), both);
    firm.ingest(0);
    assert_eq!(ready(&firm), both[1..]);
    assert_eq!(asked(&firm, "SELECT count(*) FROM manifests WHERE taken IS NULL"), 1);
    // An importer that removes its empty folders as well.
    fs::remove_dir_all(firm.path("staging/amy@contoso.com")).unwrap();
    firm.replay(0);
    assert_eq!(ready(&firm).len(), 1);
    take_all(&firm);
    firm.replay(0);
    assert!(ready(&firm).is_empty());
    assert_eq!(asked(&firm, "SELECT count(*) FROM manifests WHERE taken IS NULL"), 0);
}

#[test]
fn a_list_stays_for_the_last_commit_of_its_run() {
    let firm = Firm::new();
    for (name, mailbox) in [("one", "ann@contoso.com"), ("two", "bob@contoso.com")] {
        let room = room(name).replace("amy@contoso.com", mailbox);
        firm.deliver_export(&format!("{name}.pgp"), &room);
    }
    firm.ingest(0);
    let list = ready(&firm);
    assert_eq!((list.len(), asked(&firm, "SELECT count(*) FROM manifests")), (1, 2));
    let seq = asked(&firm, "SELECT max(seq) FROM manifests");
    let ledger = Ledger::read(&firm.path("state")).unwrap().unwrap();
    let mut newest = BTreeMap::new();
    read(&ledger, ledger.recorded_manifests(None).unwrap().last().unwrap(), &mut newest);
    for (mailbox, name) in newest.into_keys() {
        fs::remove_file(firm.path("staging").join(mailbox).join("ICE Chat").join(name)).unwrap();
    }
    firm.ingest(0);
    assert_eq!(ready(&firm), list, "the other commit's files stand");
    assert_eq!(asked(&firm, "SELECT seq FROM manifests WHERE taken IS NOT NULL"), seq);
    take_all(&firm);
    firm.ingest(0);
    assert!(ready(&firm).is_empty());
}

/// Who has no time sees a bound, and in the end the truth.
#[test]
fn an_observer_goes_on_where_it_was() {
    let firm = Firm::new();
    for name in ["older", "newer"] {
        firm.deliver_export(&format!("{name}.pgp"), &room(name));
        firm.ingest(0);
    }
    let ledger = Ledger::read(&firm.path("state")).unwrap().unwrap();
    let config = Config::load(&firm.path("config.toml")).unwrap();
    let mut observer = Observer::default();
    let look = |observer: &mut Observer| observer.look(&ledger, &config, Instant::now()).unwrap();
    let first = look(&mut observer);
    assert!(first.since.is_some() && !first.is_unfinished && first.commits == 2, "{first:?}");
    take_all(&firm);
    let mut looks = 0;
    loop {
        let now = look(&mut observer);
        if !now.is_unfinished {
            assert_eq!((now.since, now.commits), (None, 0));
            break;
        }
        assert!(now.since.is_some() && now.commits > 0, "{now:?}");
        looks += 1;
    }
    assert!(looks > 2 * MESSAGES * MAILBOXES, "{looks}");
    // With time, at once.
    let whole = Observer::default().look(&ledger, &config, Instant::now() + Duration::from_mins(1)).unwrap();
    assert!(whole.since.is_none() && !whole.is_unfinished, "{whole:?}");
}

/// The paths that a list names.
fn listed(firm: &Firm, list: &str) -> Vec<String> {
    let text = fs::read_to_string(firm.path("staging/.ready").join(list)).unwrap();
    let of = |line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
    text.lines().map(of).collect()
}

#[test]
fn a_manifest_that_cannot_be_read_stops_no_run() {
    let firm = Firm::new();
    for name in ["gone", "damaged", "good"] {
        firm.deliver_export(&format!("{name}.pgp"), &room(name));
        firm.ingest(0);
    }
    let ledger = Ledger::read(&firm.path("state")).unwrap().unwrap();
    let manifests = ledger.recorded_manifests(None).unwrap();
    let path = |n: usize| ledger.manifests().join(&manifests[n].finished.name);
    take_all(&firm);
    fs::remove_file(path(0)).unwrap();
    // A whole manifest, but not the one that was committed: what it says is not to be believed.
    fs::copy(path(2), path(1)).unwrap();
    let said = firm.run(&["ingest"]).expect(0);
    assert!(!said.err.contains("not noted"), "{said:?}");
    assert_eq!(ready(&firm).len(), 2);
    assert_eq!(asked(&firm, "SELECT group_concat(seq) = '1,2' FROM manifests WHERE taken IS NULL"), 1);
}

#[test]
fn what_cannot_be_seen_is_no_failure_of_the_run() {
    let firm = Firm::new();
    firm.deliver_export("unseen.pgp", &room("unseen"));
    firm.ingest(0);
    // A file where the folder should be: whether the EML stands behind it nobody can say.
    fs::rename(firm.path("staging/amy@contoso.com"), firm.path("elsewhere")).unwrap();
    fs::write(firm.path("staging/amy@contoso.com"), "").unwrap();
    let said = firm.run(&["ingest"]).expect(0);
    assert!(said.err.contains("what the importer took is not noted"), "{said:?}");
    assert_eq!(ready(&firm).len(), 1);
    fs::remove_file(firm.path("staging/amy@contoso.com")).unwrap();
    fs::rename(firm.path("elsewhere"), firm.path("staging/amy@contoso.com")).unwrap();
    let said = firm.run(&["ingest"]).expect(0);
    assert!(!said.err.contains("not noted"), "{said:?}");
}

#[test]
fn status_says_since_when_something_waits() {
    let firm = Firm::new();
    let status = |json: bool| {
        let said = firm.run(if json { &["status", "--json"] } else { &["status"] }).expect(0);
        if json { said.json()["importer"].clone() } else { Value::String(said.out) }
    };
    assert_eq!(status(true), Value::Null);
    firm.deliver_export("old.pgp", &room("old"));
    firm.ingest(0);
    firm.deliver_export("new.pgp", &room("new"));
    firm.ingest(0);
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.execute("UPDATE manifests SET committed = 1795093260 WHERE seq = 1", []).unwrap();
    let told = status(true);
    assert_eq!(told["oldest_eml"], "2026-11-19T13:01:00Z");
    assert_eq!((told["is_lower_bound"].as_bool(), told["commits"].as_u64()), (Some(false), Some(2)));
    let text = status(false);
    assert!(
        text.as_str().unwrap().contains("importer   has EMLs to take, the oldest since 2026-11-19 13:01 UTC\n"),
        "{text}"
    );
    for path in listed(&firm, ready(&firm).first().unwrap()) {
        fs::remove_file(firm.path("staging").join(path)).unwrap();
    }
    let told = status(true);
    assert_ne!(told["oldest_eml"], "2026-11-19T13:01:00Z");
    assert_eq!(told["commits"], 1);
    take_all(&firm);
    assert_eq!(status(true), Value::Null);
    assert!(!status(false).as_str().unwrap().contains("importer"));
}

fn change(firm: &Firm, sql: &str) {
    assert!(Connection::open(firm.path("state/ledger.db")).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
}

/// What the importer is not told of it may not take, and nothing else makes room.
#[test]
fn a_full_disk_keeps_no_list_away() {
    let firm = Firm::with(&Settings { staging: "min_free = \"1KiB\"\n".to_owned(), ..Settings::default() });
    firm.deliver_export("day.pgp", &room("day"));
    firm.ingest(0);
    let list = ready(&firm);
    change(&firm, "UPDATE manifests SET listed = NULL");
    fs::remove_file(firm.path("staging/.ready").join(&list[0])).unwrap();
    firm.configure(&Settings { staging: "min_free = \"1EiB\"\n".to_owned(), ..Settings::default() });
    firm.run(&["ingest"]).expect(1);
    assert_eq!(ready(&firm), list);
    take_all(&firm);
    firm.run(&["ingest"]).expect(1);
    assert!(ready(&firm).is_empty(), "and what was taken is noted");
}

/// A ledger from before there were lists says that all is listed.
#[test]
fn what_stood_there_before_an_update_gets_a_list_then() {
    let firm = Firm::new();
    for name in ["taken", "standing"] {
        firm.deliver_export(&format!("{name}.pgp"), &room(name));
        firm.ingest(0);
    }
    let lists = ready(&firm);
    for path in listed(&firm, &lists[0]) {
        fs::remove_file(firm.path("staging").join(path)).unwrap();
    }
    change(&firm, "UPDATE manifests SET listed = 0, standing = NULL, taken = NULL");
    fs::remove_dir_all(firm.path("staging/.ready")).unwrap();
    firm.ingest(0);
    assert_eq!(ready(&firm), lists[1..]);
    firm.ingest(0);
    assert_eq!(ready(&firm), lists[1..]);
}

/// Whoever copies the importer of the page gets one that works.
#[test]
fn the_importer_of_the_page_takes_all_and_tells_what_it_cannot_read() {
    let page = fs::read_to_string("docs/operations.md").unwrap();
    let (_, script) = page.split_once("<!-- importer -->\n```python\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let import = "(Path(sys.argv[2]) / message_id.strip('<>')).write_bytes(eml)";
    assert!(script.contains("raise NotImplementedError"));
    let firm = Firm::new();
    let (archive, program) = (firm.path("archive"), firm.path("importer.py"));
    fs::create_dir(&archive).unwrap();
    fs::write(&program, script.replace("raise NotImplementedError", import)).unwrap();
    let take = || {
        let mut command = Command::new("python3");
        command.arg(&program).arg(firm.path("staging")).arg(&archive).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(take(), Some(1), "there is no staging folder");
    firm.deliver_export("day.pgp", &room("day"));
    firm.ingest(0);
    let items: BTreeSet<Vec<u8>> = firm.staged().into_values().collect();
    assert_eq!(take(), Some(0));
    assert!(firm.staged().is_empty());
    let taken = fs::read_dir(&archive).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    assert_eq!(taken.collect::<BTreeSet<_>>(), items);
    assert_eq!(take(), Some(0));
}
