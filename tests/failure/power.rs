//! The power goes: what was not synced is lost, in whole or in part. Each run is recorded at its system calls; then the disk
//! is made as it may look when the power went before any of them, and the same run is started there again. At once nothing
//! may be visible that is not whole, and in the end all is as if nothing had happened.
//!
//! By itself a test takes a sample. `ICECHATD_CASES=1000000` takes every call with every loss; `ICECHATD_SEED` is another
//! number to draw by.

mod call;
mod model;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use icechatd::digest::Sha256;
use icechatd::ledger::manifest::Entry;
use icechatd::ledger::{FileState, Ledger};
use serde_json::Value;

use self::model::{Chance, Disk, Loss, Recording};
use self::record::record;
use crate::support;
use crate::support::archive::cases;
use crate::support::firm::{Firm, Said, Settings, assert_balanced, export, message, staged};
use crate::support::planted;

/// With each call, beside the losses that are always tried.
const DRAWS: u64 = 4;

type Staged = BTreeMap<(String, String), Vec<u8>>;

/// What a run that nothing disturbs leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    code: i32,
    staged: Staged,
    /// What a person is asked for afterwards.
    needs: Value,
    /// The EMLs that ready lists name.
    listed: BTreeSet<String>,
}

/// A run that the power may interrupt.
#[derive(Clone)]
struct Scene {
    name: &'static str,
    arguments: Vec<String>,
    recording: Recording,
    whole: Outcome,
    /// What an importer took before it, or lost: committed, and standing no more.
    taken: BTreeSet<PathBuf>,
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
    command.arg("--config").arg(folder.join("config.toml")).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
    command
}

fn say(folder: &Path, arguments: &[&str]) -> Said {
    Said::from(&program(folder, arguments).output().unwrap())
}

/// One call at a time, so that a record of the same run is nearly the same.
fn firm() -> Firm {
    support::in_memory();
    let more = "originals_days = 30\n[limits]\nworkers = 1\n".to_owned();
    let firm = Firm::with(&Settings { more, ..Settings::default() });
    planted::keep_secrets_of(firm.dir.path());
    fs::write(firm.path("first.pgp"), firm.encrypt(&first())).unwrap();
    fs::write(firm.path("second.pgp"), firm.encrypt(&second())).unwrap();
    firm
}

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const WEI: &str = "wei@contoso.com";

/// An item in three mailboxes, one in two, and one that is held until somebody is mapped; what is no item is rejected.
fn first() -> String {
    let held = message("m-3", "ola@northern.example", &["otto@northern.example"], "3 lots")
        .replace("<DateTimeUTC>", "<Recipient><ImId>nils9</ImId></Recipient><DateTimeUTC>");
    let messages = [message("m-1", AMY, &[JOE, WEI], "1 lot"), message("m-2", AMY, &[JOE], "2 lots"), held];
    export(&format!("{}<Message><ImId>amy</ImId></Message>", messages.concat()))
}

/// An item again, one that was changed meanwhile, and a new one.
fn second() -> String {
    let changed = message("m-2", AMY, &[JOE], "20 lots");
    export(&[message("m-1", AMY, &[JOE, WEI], "1 lot"), changed, message("m-4", WEI, &[AMY], "4 lots")].concat())
}

/// Records a run, and goes on from where it ends.
fn scene(firm: &Firm, name: &'static str, arguments: &[&str]) -> Scene {
    let folder = firm.dir.path();
    let taken = committed(&firm.path("state")).into_keys().filter(|eml| !folder.join(eml).exists()).collect();
    let (recording, output) = record(folder, &program(folder, arguments));
    let said = Said::from(&output);
    let whole = outcome(folder, &said);
    println!("{name}: {} calls, {} changes", recording.calls.len(), recording.changes.len());
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Scene { name, arguments, recording, whole, taken }
}

/// The EMLs that a ledger says are staged, each with its digest; every manifest is read to its end, which proves it.
fn committed(state: &Path) -> BTreeMap<PathBuf, String> {
    let Some(ledger) = Ledger::read(state).unwrap() else { return BTreeMap::new() };
    let manifests = ledger.recorded_manifests(None).unwrap();
    let entries = manifests.iter().flat_map(|manifest| manifest.entries(&ledger).unwrap()).map(|entry| entry.unwrap());
    let placed = entries.filter_map(|entry| match entry {
        Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) => Some(placed),
        _ => None,
    });
    let place = |mailbox: &String, name: &str| Path::new("staging").join(mailbox).join("ICE Chat").join(name);
    placed
        .flat_map(|placed| {
            let (name, eml) = (placed.name(), placed.eml);
            placed.mailboxes.into_iter().map(move |mailbox| (place(&mailbox, &name), eml.clone()))
        })
        .collect()
}

fn outcome(folder: &Path, said: &Said) -> Outcome {
    assert!([0, 3].contains(&said.code), "{said:#?}");
    assert_balanced(&said.json());
    assert_clean(folder);
    say(folder, &["verify"]).expect(0);
    let needs = said.json()["needs"].clone();
    Outcome { code: said.code, staged: staged(&folder.join("staging")), needs, listed: listed(folder) }
}

fn assert_same(found: &Outcome, whole: &Outcome) {
    assert_eq!((found.code, &found.needs, &found.listed), (whole.code, &whole.needs, &whole.listed));
    assert!(found.staged.keys().eq(whole.staged.keys()), "{:?}\n{:?}", found.staged.keys(), whole.staged.keys());
    found.staged.iter().for_each(|(path, eml)| assert!(*eml == whole.staged[path], "{path:?}"));
}

/// No file of a run that was cut off is left.
fn assert_clean(folder: &Path) {
    let disk = Disk::scan(folder);
    let known = ["daemon.lock", "firm", "ledger.db", "work.lock"];
    for path in disk.files("state").keys() {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).skip(1).collect();
        let is_known = match *parts {
            [name] => known.contains(&name),
            ["originals", name] => name.len() == 68 && Path::new(name).extension().is_some_and(|kind| kind == "pgp"),
            ["manifests", name] => name.ends_with(".jsonl.gz") && !name.starts_with('.'),
            _ => false,
        };
        assert!(is_known, "{} was left behind", path.display());
    }
    // The rest of staging is looked through when it is read.
    let hidden = fs::read_dir(folder.join("staging")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut hidden = hidden.filter(|name| name.as_encoded_bytes().starts_with(b"."));
    assert!(hidden.all(|name| [".incoming", ".owner", ".ready"].iter().any(|known| name == *known)));
}

/// What the ready lists name, each line of them whole.
fn listed(folder: &Path) -> BTreeSet<String> {
    let Ok(lists) = fs::read_dir(folder.join("staging/.ready")) else { return BTreeSet::new() };
    let texts = lists.map(|list| fs::read_to_string(list.unwrap().path()).unwrap());
    texts.flat_map(|text| lines(&text)).map(|line| line["path"].as_str().unwrap().to_owned()).collect()
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What an importer and an auditor may see as soon as the machine is up again, before anything runs.
fn assert_nothing_half_is_visible(disk: &Disk, whole: &Staged) {
    for (path, node) in disk.files("staging") {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        match parts[1..] {
            [mailbox, "ICE Chat", name] if !name.starts_with('.') => {
                let key = (mailbox.to_owned(), name.to_owned());
                assert!(whole.get(&key).is_some_and(|eml| eml == disk.bytes(node)), "{} is not whole", path.display());
            }
            [".ready", name] if !name.starts_with('.') => {
                let text = String::from_utf8(disk.bytes(node).to_vec()).unwrap();
                assert!(!text.is_empty(), "{name} is empty");
                for line in lines(&text) {
                    let eml = Path::new("staging").join(line["path"].as_str().unwrap());
                    assert!(disk.at(&eml).is_some(), "{name} names {}, which is lost", eml.display());
                }
            }
            _ => {}
        }
    }
}

fn assert_the_ledger_says_no_more_than_the_disk_holds(disk: &Disk, scene: &Scene, probe: &Path) {
    disk.write_to(probe, &["state"]);
    let state = probe.join("state");
    for (path, digest) in committed(&state).into_iter().filter(|(path, _)| !scene.taken.contains(path)) {
        let node = disk.at(&path).unwrap_or_else(|| panic!("{} is committed and lost", path.display()));
        assert_eq!(Sha256::of(disk.bytes(node)).to_string(), digest, "{}", path.display());
    }
    let Some(ledger) = Ledger::read(&state).unwrap() else { return };
    for of in [FileState::Received, FileState::Staging, FileState::Committed, FileState::Held] {
        for file in ledger.files_in(of).unwrap() {
            let bytes = fs::read(ledger.original(file.sha256)).ok();
            let is_whole = bytes.is_some_and(|bytes| Sha256::of(&bytes) == file.sha256);
            assert!(is_whole || ledger.original_removed(file.id).unwrap(), "the original of {} is lost", file.name);
        }
    }
}

/// A folder like the firm's, with this disk.
fn restarted(firm: &Firm, disk: &Disk) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.toml", "ssh-key", "pgp-key", "first.pgp", "second.pgp"] {
        fs::copy(firm.path(name), folder.path().join(name)).unwrap();
    }
    fs::create_dir(folder.path().join("mapping")).unwrap();
    for entry in fs::read_dir(firm.path("mapping")).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), folder.path().join("mapping").join(entry.file_name())).unwrap();
    }
    disk.write_to(folder.path(), &["state", "staging"]);
    folder
}

/// The power went here: what is seen at once, and what the same run makes of it.
fn restart(firm: &Firm, scene: &Scene, disk: &Disk) {
    let probe = tempfile::tempdir().unwrap();
    assert_nothing_half_is_visible(disk, &scene.whole.staged);
    assert_the_ledger_says_no_more_than_the_disk_holds(disk, scene, probe.path());
    let folder = restarted(firm, disk);
    let arguments: Vec<&str> = scene.arguments.iter().map(String::as_str).collect();
    let said = say(folder.path(), &arguments);
    let found = outcome(folder.path(), &said);
    assert_same(&found, &scene.whole);
}

/// Every way in which the power may go, as far as it is told apart here.
fn cuts(recording: &Recording) -> Vec<(usize, Loss)> {
    let draws = (0..DRAWS).map(|draw| Loss::Some(seed().wrapping_add(draw)));
    let losses: Vec<Loss> =
        [Loss::All, Loss::Nothing, Loss::Bytes, Loss::BytesForZeros].into_iter().chain(draws).collect();
    (0..=recording.calls.len()).flat_map(|call| losses.iter().map(move |loss| (call, *loss))).collect()
}

/// Of cuts that leave the same disk, the first.
fn that_differ(recording: &Recording, mut cuts: Vec<(usize, Loss)>) -> Vec<(usize, Loss)> {
    let mut seen = HashSet::new();
    cuts.retain(|&(call, loss)| seen.insert(recording.cut(call, loss).fingerprint()));
    cuts
}

fn seed() -> u64 {
    std::env::var("ICECHATD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

/// So many of them, no two the same.
fn sample<T>(mut all: Vec<T>, wanted: u32) -> Vec<T> {
    let mut chance = Chance::new(seed());
    while all.len() > usize::try_from(wanted).unwrap() {
        let out = chance.below(all.len());
        all.swap_remove(out);
    }
    all
}

/// Tries cuts of a scene, on every core.
fn try_cuts(firm: &Firm, scene: &Scene, cuts: &[(usize, Loss)]) -> Vec<String> {
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(&(call, loss)) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let disk = scene.recording.cut(call, loss);
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| restart(firm, scene, &disk)));
            if let Err(cause) = tried {
                let cause = cause.downcast::<String>().map_or_else(|_| "see above".to_owned(), |text| *text);
                let before = scene.recording.calls.get(call).map_or("the end", String::as_str);
                let fault = format!("{}: {loss:?} lost before call {call}, {before}: {cause}", scene.name);
                faults.lock().unwrap().push(fault);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    faults.into_inner().unwrap()
}

fn try_scene(firm: &Firm, scene: &Scene, wanted: u32) {
    let begun = std::time::Instant::now();
    let all = cuts(&scene.recording);
    let count = all.len();
    let cuts = that_differ(&scene.recording, sample(all, wanted));
    let faults = try_cuts(firm, scene, &cuts);
    println!("{}: {} disks of {count} cuts in {:?}, {} faults", scene.name, cuts.len(), begun.elapsed(), faults.len());
    for fault in &faults {
        println!("{fault}");
    }
    assert!(faults.is_empty(), "{} faults; the first: {}", faults.len(), faults[0]);
}

/// The firm's days, one after the other.
#[test]
fn whatever_was_not_synced_may_be_lost() {
    let firm = firm();
    let path = |name: &str| firm.path(name).to_str().unwrap().to_owned();
    let first = scene(&firm, "first ingest", &["ingest", "--json", &path("first.pgp")]);
    try_scene(&firm, &first, cases(40));
    try_scene(&firm, &scene(&firm, "second ingest", &["ingest", "--json", &path("second.pgp")]), cases(16));
    firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
    try_scene(&firm, &scene(&firm, "replay", &["replay", "--json"]), cases(16));
    fs::remove_dir_all(firm.path("staging")).unwrap();
    let restage = ["restage", "--json", "--since", "2026-01-01", "--reason", "its disk died"];
    try_scene(&firm, &scene(&firm, "restage", &restage), cases(12));
    firm.rewrite_ledger("UPDATE files SET received = received - 40 * 86400, committed = committed - 40 * 86400");
    try_scene(&firm, &scene(&firm, "retention", &["ingest", "--json", &path("second.pgp")]), cases(12));
    assert_eq!(fs::read_dir(firm.path("state/originals")).unwrap().count(), 1, "retention removed nothing");
}

/// Who only looks gets an answer as well, before any run has come again: where a cut made the first run's database a half one.
#[test]
fn a_ledger_that_was_being_made_holds_nothing_yet() {
    let firm = firm();
    let folder = firm.dir.path();
    let arguments = ["ingest", "--json", firm.path("first.pgp").to_str().unwrap()].map(str::to_owned);
    let (recording, _) = record(folder, &program(folder, &arguments.each_ref().map(String::as_str)));
    let is_made = |call: &String| call.starts_with("unlink") && call.contains("ledger.db-journal");
    let call = recording.calls.iter().position(is_made).unwrap();
    let folder = restarted(&firm, &recording.cut(call, Loss::Nothing));
    for verb in ["status", "report", "verify", "replay"] {
        let said = say(folder.path(), &[verb]);
        assert!(!said.err.contains("readonly"), "{verb}: {said:#?}");
    }
}

/// The power goes again while the next run mends what it did the first time. Of these there are too many to try them all.
#[test]
fn and_again_while_the_next_run_mends_it() {
    let firm = firm();
    let first = scene(&firm, "first ingest", &["ingest", "--json", firm.path("first.pgp").to_str().unwrap()]);
    let arguments: Vec<&str> = first.arguments.iter().map(String::as_str).collect();
    for (call, loss) in sample(cuts(&first.recording), cases(2).min(20)) {
        let folder = restarted(&firm, &first.recording.cut(call, loss));
        let (recording, output) = record(folder.path(), &program(folder.path(), &arguments));
        assert_same(&outcome(folder.path(), &Said::from(&output)), &first.whole);
        let again = Scene { name: "ingest after a cut", recording, ..first.clone() };
        try_scene(&firm, &again, cases(8).min(200));
    }
}
