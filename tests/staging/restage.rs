//! What an importer lost is put there again: the same files to the byte, from the kept originals and by the manifests
//! alone, whatever the configuration says by then; recorded with who and why.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use icechatd::digest::Sha256;
use rusqlite::Connection;
use serde_json::Value;
use support::daemon::has_begun_staging;
use support::firm::{Firm, Said, Settings, assert_balanced, export, file, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const DORA: &str = "dora@contoso.com";
const CATCH_ALL: &str = "unplaced@archive.contoso.com";
const JOURNAL: &str = "journal@archive.contoso.com";

type Staged = BTreeMap<(String, String), Vec<u8>>;

fn restage(firm: &Firm, what: &[&str], code: i32) -> Value {
    let said = firm.run(&[&["restage", "--reason", "disk died", "--json"], what].concat()).expect(code);
    let report = said.json();
    assert_balanced(&report);
    report
}

fn lose(firm: &Firm) {
    fs::remove_dir_all(firm.path("staging")).unwrap();
}

fn ledger(firm: &Firm) -> Connection {
    Connection::open(firm.path("state/ledger.db")).unwrap()
}

fn count(firm: &Firm, what: &str) -> u64 {
    ledger(firm).query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

/// What a ready list names, each once: by mailbox and file name its digest.
fn ready(firm: &Firm, run: &Value) -> BTreeMap<(String, String), String> {
    let list = firm.path("staging/.ready").join(format!("{}.jsonl", run.as_str().unwrap()));
    let mut found = BTreeMap::new();
    for line in fs::read_to_string(list).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| line[key].as_str().unwrap().to_owned();
        let (mailbox, name) = (word("mailbox"), word("path").rsplit('/').next().unwrap().to_owned());
        assert_eq!(word("path"), format!("{mailbox}/ICE Chat/{name}"));
        assert!(name.contains(&word("message_id")[1..33]), "{line}");
        assert!(found.insert((mailbox, name), word("sha256")).is_none(), "{line} twice");
    }
    found
}

fn digests(staged: &Staged) -> BTreeMap<(String, String), String> {
    staged.iter().map(|(key, bytes)| (key.clone(), Sha256::of(bytes).to_string())).collect()
}

fn only(staged: &Staged, is_wanted: impl Fn(&(String, String)) -> bool) -> Staged {
    staged.iter().filter(|(key, _)| is_wanted(key)).map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
}

/// Which inodes stand under which names, and since when.
fn standing(firm: &Firm, staged: &Staged) -> BTreeSet<(PathBuf, u64, i64, i64)> {
    let paths = staged.keys().map(|(mailbox, name)| firm.path("staging").join(mailbox).join("ICE Chat").join(name));
    paths
        .map(|path| {
            let found = fs::metadata(&path).unwrap();
            (path, found.ino(), found.mtime(), found.mtime_nsec())
        })
        .collect()
}

/// A message between people without e-mail.
fn between(id: &str, from: &str, to: &str) -> String {
    message(id, "", &[], "hi")
        .replace("<SenderEmail></SenderEmail>", &format!("<ImId>{from}</ImId><Recipient><ImId>{to}</ImId></Recipient>"))
}

/// A firm with all the ways in which an item is placed: at first, in catch-all and journal, by a re-issue, by a replay, by
/// a replay that lets in what was rejected. What stood after each of its three runs, and their names.
fn history() -> (Firm, [Value; 3], [Staged; 3]) {
    let keys = format!("domains = [\"contoso.com\"]\ncatch_all = \"{CATCH_ALL}\"\njournal = \"{JOURNAL}\"\n");
    let limits = "[limits]\nmax_message = \"1KiB\"\n".to_owned();
    let mut settings = Settings { mailboxes: keys, more: limits, ..Settings::default() };
    let firm = Firm::with(&settings);
    let equal = message("", AMY, &[JOE], "same");
    let long = message("", AMY, &[JOE], &"a".repeat(2000));
    let records = [message("m-1", AMY, &[JOE], "hi"), between("m-2", "ghost1", "ghost2")];
    firm.deliver_export(
        "first.pgp",
        &export(&[&records.concat(), &equal, &long, &equal, &long].map(String::as_str).concat()),
    );
    let first = firm.ingest(3);
    let after_first = firm.staged();
    let wider = message("m-1", AMY, &[JOE, DORA], "hi") + &message("m-3", JOE, &[AMY], "yes");
    firm.deliver_export("second.pgp", &export(&wider));
    let second = firm.ingest(3);
    let after_second = firm.staged();
    settings.more.clear();
    firm.configure(&settings);
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{DORA}\n"));
    let third = firm.replay(3);
    let after_third = firm.staged();
    assert_eq!((after_first.len(), after_second.len(), after_third.len()), (11, 15, 22));
    (firm, [&first, &second, &third].map(|report| report["run"].clone()), [after_first, after_second, after_third])
}

#[test]
fn what_was_lost_is_there_again() {
    let (firm, [first, _, third], [after_first, after_second, whole]) = history();
    let [first, third] = [&first, &third].map(|run| run.as_str().unwrap());
    // Nothing of today's settings may matter: no mapping, nobody's domain, another footer, narrow limits.
    let other = Settings {
        mailboxes: "domains = [\"northern.example\"]\n".to_owned(),
        more: "[eml]\nfooter = false\n[limits]\nmax_message = \"1KiB\"\n".to_owned(),
        ..Settings::default()
    };
    firm.configure(&other);
    fs::remove_file(firm.path("mapping/new.csv")).unwrap();
    let needs = || firm.run(&["status", "--json"]).expect(0).json()["needs"].clone();
    let before = needs();
    let versions = count(&firm, "versions");

    lose(&firm);
    let runs = count(&firm, "runs");
    let dry = restage(&firm, &["--since", "2026-01-01", "--dry-run"], 0);
    assert_eq!((&dry["placements"]["staged"], &dry["placements"]["existing"]), (&whole.len().into(), &0.into()));
    assert_eq!((&dry["run"], &dry["verb"]), (&"dry-run".into(), &"restage --dry-run".into()));
    assert!(!firm.path("staging").exists() && count(&firm, "runs") == runs && count(&firm, "restagings") == 0);

    let report = restage(&firm, &["--since", "2026-01-01"], 0);
    assert!(firm.staged() == whole);
    assert_eq!((&report["verb"], &report["outcome"]), (&"restage".into(), &"complete".into()));
    assert_eq!(report["placements"], serde_json::json!({"staged": whole.len(), "existing": 0}));
    assert_eq!((&report["items"]["available"], &report["items"]["duplicate"]), (&8.into(), &8.into()));
    assert_eq!(file(&report, "first.pgp")["rejected"], serde_json::json!([]));
    let restaging = &report["restaging"];
    assert_eq!((&restaging["reason"], &restaging["not_placed"]), (&"disk died".into(), &0.into()));
    assert!(!restaging["by"].as_str().unwrap().is_empty() && restaging["since"].as_str().is_some());
    assert_eq!(ready(&firm, &report["run"]), digests(&whole));
    let text = firm.run(&["report", report["run"].as_str().unwrap()]).expect(0).out;
    assert!(text.contains("because: disk died") && text.contains("asked for by "), "{text}");
    assert_eq!(firm.run(&["report", "--json"]).expect(0).json(), report);
    assert_eq!((needs(), count(&firm, "versions")), (before, versions));
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&verified["standing"], &verified["taken"]), (&whole.len().into(), &0.into()));

    // What still stands is left as it is, and is in the list as well.
    let (lost, kept) = (whole.keys().next().unwrap(), only(&whole, |key| key != whole.keys().next().unwrap()));
    let path = firm.path("staging").join(&lost.0).join("ICE Chat").join(&lost.1);
    fs::remove_file(&path).unwrap();
    ledger(&firm).execute("UPDATE manifests SET taken = 1", []).unwrap();
    let stood = standing(&firm, &kept);
    let dry = restage(&firm, &["--since", "2026-01-01", "--dry-run"], 0);
    assert_eq!(dry["placements"], serde_json::json!({"staged": 1, "existing": kept.len()}));
    assert!(!path.exists());
    let report = restage(&firm, &["--since", "2026-01-01"], 0);
    assert_eq!(report["placements"], serde_json::json!({"staged": 1, "existing": kept.len()}));
    assert!(firm.staged() == whole && standing(&firm, &kept) == stood);
    assert_eq!(ready(&firm, &report["run"]), digests(&whole));
    assert_eq!(count(&firm, "manifests WHERE taken IS NOT NULL OR listed IS NULL"), 0);

    parts_are_there_again(&firm, [first, third], [&after_first, &after_second, &whole]);
    // The next run does nothing of it again, and counts it nowhere.
    firm.configure(&Settings::default());
    let report = firm.ingest(3);
    assert_eq!((&report["items"]["available"], &report["placements"]["staged"]), (&0.into(), &0.into()));
}

/// One run of several; one mailbox, written as people write it; both; days.
fn parts_are_there_again(firm: &Firm, [first, third]: [&str; 2], [after_first, after_second, whole]: [&Staged; 3]) {
    lose(firm);
    restage(firm, &["--run", first], 0);
    assert!(firm.staged() == *after_first);
    lose(firm);
    ledger(firm).execute("UPDATE manifests SET taken = 1", []).unwrap();
    let report = restage(firm, &["--run", third], 0);
    let by_replay = only(whole, |key| !after_second.contains_key(key));
    assert!(firm.staged() == by_replay && ready(firm, &report["run"]) == digests(&by_replay));
    assert_eq!(count(firm, "manifests WHERE taken IS NULL"), 1, "the others are still taken");
    lose(firm);
    let report = restage(firm, &["--mailbox", "Joe@Contoso.COM"], 0);
    let joes = only(whole, |(mailbox, _)| mailbox == JOE);
    assert!(firm.staged() == joes && ready(firm, &report["run"]) == digests(&joes));
    lose(firm);
    restage(firm, &["--mailbox", CATCH_ALL, "--run", first], 0);
    assert!(firm.staged() == only(after_first, |(mailbox, _)| mailbox == CATCH_ALL) && !firm.staged().is_empty());
    lose(firm);
    let long_ago =
        format!("UPDATE manifests SET committed = 0 WHERE run = (SELECT id FROM runs WHERE name = '{first}')");
    firm.rewrite_ledger(&long_ago);
    restage(firm, &["--since", "2026-01-01"], 0);
    assert!(firm.staged() == only(whole, |key| !after_first.contains_key(key)));
    assert_eq!(firm.staged().len(), whole.len() - after_first.len());
    firm.run(&["verify"]).expect(0);
}

#[test]
fn what_cannot_be_meant_is_told_in_one_line() {
    let (firm, [first, ..], _) = history();
    let first = first.as_str().unwrap();
    let runs = count(&firm, "runs");
    let ask = |what: &[&str], code: i32| -> Said { firm.run(&[&["restage"], what].concat()).expect(code) };
    let because = ["--reason", "x"];
    for what in [&["--reason", "x"][..], &["--run", first], &["--run", first, "--reason", " "]] {
        ask(what, 2);
    }
    ask(&[&because[..], &["--mailbox", "amy"]].concat(), 2);
    ask(&[&because[..], &["--since", "yesterday"]].concat(), 2);
    for (what, word) in [
        (&["--run", "20000101T000000Z"][..], "there is no record of run 20000101T000000Z"),
        (&["--mailbox", "nobody@contoso.com"], "nothing was ever placed in nobody@contoso.com"),
        (&["--mailbox", DORA, "--run", first], "nothing was ever placed in dora@contoso.com by run"),
        (&["--since", "2099-01-01"], "nothing was ever placed since 2099-01-01"),
    ] {
        let said = ask(&[&because[..], what].concat(), 1);
        assert!(said.err.contains(word) && said.err.lines().count() == 1 && said.out.is_empty(), "{said:?}");
    }
    assert_eq!(count(&firm, "runs"), runs);
    let empty = Firm::new();
    let said = empty.run(&["restage", "--mailbox", AMY, "--reason", "x"]).expect(1);
    assert!(said.err.contains("there is no record of a run"), "{said:?}");
    let report = restage(&firm, &["--run", first], 0);
    let of_restaging = ask(&[&because[..], &["--run", report["run"].as_str().unwrap()]].concat(), 1);
    assert!(of_restaging.err.contains("nothing was ever placed by run"), "{of_restaging:?}");
}

fn original(firm: &Firm, name: &str) -> PathBuf {
    let sql = "SELECT lower(hex(sha256)) FROM files WHERE name = ?1";
    let digest: String = ledger(firm).query_row(sql, [name], |row| row.get(0)).unwrap();
    firm.path("state/originals").join(format!("{digest}.pgp"))
}

/// Rewrites the manifest of an export, whole by all that the ledger knows.
fn forge(firm: &Firm, name: &str, change: impl Fn(&str) -> String) {
    let sql = "SELECT m.name FROM manifests m JOIN files f ON f.id = m.file WHERE f.name = ?1";
    let manifest: String = ledger(firm).query_row(sql, [name], |row| row.get(0)).unwrap();
    let path = firm.path("state/manifests").join(&manifest);
    let mut text = String::new();
    GzDecoder::new(fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(change(&text).as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    fs::write(&path, &bytes).unwrap();
    let digest = Sha256::of(&bytes).0;
    ledger(firm).execute("UPDATE manifests SET sha256 = ?1 WHERE name = ?2", (digest, manifest)).unwrap();
}

/// Each trouble concerns the first export, or one item of it: the other one is put there all the same.
#[test]
fn what_cannot_be_made_again_is_told_and_keeps_nothing_else() {
    let firm = Firm::new();
    firm.deliver_export("one.pgp", &export(&(message("m-1", AMY, &[JOE], "a") + &message("m-2", AMY, &[JOE], "b"))));
    firm.deliver_export("two.pgp", &export(&message("m-3", AMY, &[JOE], "c")));
    firm.ingest(0);
    let whole = firm.staged();
    let id = |key: &str| {
        let is_it = |bytes: &Vec<u8>| support::firm::header(bytes, "X-ICE-Chat-Message-ID").unwrap() == key;
        whole.iter().find(|(_, bytes)| is_it(bytes)).unwrap().0.1.clone()
    };
    let second = only(&whole, |key| key.1 == id("m-3"));
    let everything = &["--since", "2026-01-01"];
    let kept = original(&firm, "one.pgp");
    let aside = firm.path("aside.pgp");
    fs::copy(&kept, &aside).unwrap();

    // Gone; what still stands of it is listed.
    fs::remove_file(&kept).unwrap();
    lose(&firm);
    let folder = firm.path("staging").join(AMY).join("ICE Chat");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(id("m-1")), &whole[&(AMY.to_owned(), id("m-1"))]).unwrap();
    let dry = restage(&firm, &[&everything[..], &["--dry-run"]].concat(), 3);
    assert_eq!((&dry["restaging"]["not_placed"], &dry["placements"]["staged"]), (&3.into(), &2.into()));
    let report = restage(&firm, everything, 3);
    assert_eq!((&report["outcome"], &report["restaging"]["not_placed"]), (&"attention".into(), &3.into()));
    assert_eq!(report["placements"], serde_json::json!({"staged": 2, "existing": 1}));
    let reason = file(&report, "one.pgp")["reason"].as_str().unwrap();
    assert!(reason.contains("it is gone") && reason.contains("3 placements could not be made"), "{reason}");
    assert_eq!(firm.staged().len(), 3);
    assert_eq!(ready(&firm, &report["run"]), digests(&firm.staged()));
    let text = firm.run(&["report"]).expect(0).out;
    assert!(text.contains("placements that could not be made again: 3"), "{text}");
    assert!(text.contains("not all of it put there again: "), "{text}");

    // Removed by retention; damaged.
    ledger(&firm).execute("UPDATE files SET original_removed = 1 WHERE name = 'one.pgp'", []).unwrap();
    lose(&firm);
    let report = restage(&firm, everything, 3);
    assert!(file(&report, "one.pgp")["reason"].as_str().unwrap().contains("retention removed it"), "{report:#}");
    assert!(firm.staged() == second);
    ledger(&firm).execute("UPDATE files SET original_removed = NULL", []).unwrap();
    let mut damaged = fs::read(&aside).unwrap();
    damaged[100] ^= 1;
    fs::write(&kept, damaged).unwrap();
    let report = restage(&firm, everything, 3);
    assert!(file(&report, "one.pgp")["reason"].as_str().unwrap().contains("is not what was committed"), "{report:#}");
    assert_eq!(firm.run(&["status", "--json"]).expect(0).json()["needs"]["failed_replays"], 0);
    fs::copy(&aside, &kept).unwrap();

    // Something else under an item's name is not overwritten.
    lose(&firm);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(id("m-1")), "other").unwrap();
    let report = restage(&firm, everything, 3);
    assert!(file(&report, "one.pgp")["reason"].as_str().unwrap().contains("with other content"), "{report:#}");
    assert_eq!(fs::read(folder.join(id("m-1"))).unwrap(), b"other");
    assert_eq!(only(&firm.staged(), |key| key.1 == id("m-3")), second);

    // Put right, it is whole.
    lose(&firm);
    restage(&firm, everything, 0);
    assert!(firm.staged() == whole);
    firm.run(&["verify"]).expect(0);
    let victim = id("m-1");
    forged_evidence_is_a_failure(&firm, &whole, &second, &victim);
}

fn forged_evidence_is_a_failure(firm: &Firm, whole: &Staged, second: &Staged, victim: &str) {
    let everything = &["--since", "2026-01-01"];
    // A manifest that is whole, and speaks of other bytes for one item: that one is not placed anywhere.
    let digest = Sha256::of(&whole[&(AMY.to_owned(), victim.to_owned())]).to_string();
    let other = Sha256::of(b"other").to_string();
    forge(firm, "one.pgp", |text| text.replace(&digest, &other));
    lose(firm);
    let said = firm.run(&[&["restage", "--reason", "x"], &everything[..]].concat()).expect(1);
    assert!(said.err.contains("the manifests of one.pgp have 1 items with other bytes"), "{said:?}");
    assert!(firm.staged() == only(whole, |key| key.1 != victim));
    let report = firm.run(&["report", "--json"]).expect(0).json();
    assert_eq!((&report["outcome"], &report["restaging"]["not_placed"]), (&"failed".into(), &2.into()));
    assert_eq!(ready(firm, &report["run"]), digests(&firm.staged()));
    forge(firm, "one.pgp", |text| text.replace(&other, &digest));

    // One that is not what was committed.
    ledger(firm).execute("UPDATE manifests SET sha256 = zeroblob(32) WHERE file = 1", []).unwrap();
    lose(firm);
    let said = firm.run(&["restage", "--reason", "x", "--mailbox", JOE]).expect(1);
    assert!(said.err.contains("is not what was committed"), "{said:?}");
    assert!(firm.staged() == only(second, |(mailbox, _)| mailbox == JOE));
}

fn many(name: &str, messages: usize) -> String {
    let records = (0..messages).map(|n| {
        let time = format!("2026-11-19T13:{:02}:{:02}Z", n / 60 % 60, n % 60);
        message(&format!("{name}-{n}"), AMY, &[JOE], "lots").replace("2026-11-19T13:00:00Z", &time)
    });
    export(&records.collect::<String>())
}

/// Ends the verb in the middle: staging has begun.
fn end_in_the_middle(firm: &Firm, verb: &[&str], kindly: bool, has_begun: impl Fn() -> bool) {
    let mut child = firm.command(verb).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !has_begun() {
        assert!(child.try_wait().unwrap().is_none(), "{verb:?} ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    if kindly {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
    } else {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Whatever ends it, the same command makes it whole; and what stands by then is in some list, whoever comes next.
#[test]
fn one_that_was_cut_short_is_made_whole_by_the_same_command() {
    support::in_memory();
    let firm = Firm::new();
    firm.deliver_export("day.pgp", &many("day", 10_000));
    let day = firm.ingest(0);
    let whole = firm.staged();
    let command = ["restage", "--run", day["run"].as_str().unwrap(), "--reason", "disk died"];
    let staging = firm.path("staging");
    lose(&firm);
    end_in_the_middle(&firm, &command, false, || has_begun_staging(&staging));
    let part: BTreeSet<_> =
        fs::read_dir(staging.join(AMY).join("ICE Chat")).unwrap().map(|eml| eml.unwrap().path()).collect();
    assert!(part.len() < whole.len() / 2);
    assert_eq!(fs::read_dir(staging.join(".ready")).unwrap().count(), 1, "hidden");
    firm.ingest(0);
    assert_eq!(ready(&firm, &day["run"]), digests(&whole), "the run that placed them has its list again");
    let killed =
        ledger(&firm).query_row("SELECT name FROM runs WHERE verb = 'restage'", [], |row| row.get::<_, String>(0));
    let report = firm.run(&["report", &killed.unwrap(), "--json"]).expect(0).json();
    assert!(report["error"].as_str().unwrap().contains("give the same command again"), "{report:#}");
    assert_eq!(report["restaging"]["reason"], "disk died");

    let stood = || fs::read_dir(staging.join(AMY).join("ICE Chat")).map_or(0, Iterator::count);
    let so_many = stood();
    end_in_the_middle(&firm, &command, true, || stood() > so_many);
    let report = firm.run(&["report", "--json"]).expect(0).json();
    assert!(report["error"].as_str().unwrap().contains("give the same command again"), "{report:#}");
    let report = firm.run(&[&command[..], &["--json"]].concat()).expect(0).json();
    assert!(report["placements"]["existing"].as_u64().unwrap() >= so_many as u64);
    assert!(firm.staged() == whole);
    assert_eq!(ready(&firm, &report["run"]), digests(&whole));

    // An export that was begun and not committed is none of its business.
    firm.deliver_export("next.pgp", &many("next", 10_000));
    lose(&firm);
    end_in_the_middle(&firm, &["ingest"], false, || has_begun_staging(&staging));
    lose(&firm);
    restage(&firm, &["--since", "2026-01-01"], 0);
    assert!(firm.staged() == whole);
    assert_eq!(firm.run(&["status", "--json"]).expect(0).json()["needs"]["unfinished_files"], 1);
    firm.ingest(0);
    assert_eq!(firm.staged().len(), whole.len() * 2);
    firm.run(&["verify"]).expect(0);
}
