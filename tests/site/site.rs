//! What stands in the way of a run, and what a run does at the site: one clear line each, the right exit code, and
//! nothing staged, changed or removed that should not be.

use crate::support;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use support::firm::{Firm, Said, Settings, export, message};
use support::sshd::{fingerprint, keygen};

fn one(id: &str) -> String {
    export(&message(id, "amy@contoso.com", &["joe@contoso.com"], "hi"))
}

/// A firm with one export waiting at its site.
fn firm() -> Firm {
    let firm = Firm::new();
    firm.deliver_export("day.pgp", &one("m-1"));
    firm
}

/// Changes the configuration as an operator's editor does.
fn edit(firm: &Firm, from: &str, to: &str) {
    let file = firm.path("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// The one line that says what went wrong; beside it there are log lines only, and nothing was staged.
fn complaint(firm: &Firm, arguments: &[&str], code: i32) -> String {
    let said = firm.run(arguments).expect(code);
    assert!(firm.staged().is_empty());
    the_line(&said)
}

fn the_line(said: &Said) -> String {
    let is_log = |line: &&str| line.starts_with("20") && (line.contains(" INFO ") || line.contains(" WARN "));
    let others: Vec<_> = said.err.lines().filter(|line| !is_log(line)).collect();
    assert!(others.len() == 1 && others[0].starts_with("icechatd: "), "{}", said.err);
    println!("{}", others[0]);
    others[0].to_owned()
}

fn assert_words(line: &str, words: &[&str]) {
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not in {line:?}");
}

#[test]
fn a_site_with_another_host_key_is_refused_before_any_login() {
    let firm = firm();
    let other = firm.path("other");
    keygen(&other, &["-t", "ed25519"], "");
    let (ours, pinned) = (firm.sshd.host_key_fingerprint().to_owned(), fingerprint(&firm.path("other.pub")));
    edit(&firm, &ours, &pinned);
    let line = complaint(&firm, &["ingest"], 1);
    assert_words(&line, &["host key refused", &ours, &pinned, "site.host_keys"]);
    let log = firm.sshd.log();
    assert!(log.contains("Connection from"), "{log}");
    for word in ["Accepted", "Failed", "publickey", "userauth", "Postponed"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    // Pinned right, the same run succeeds: nothing was left behind that would hinder it.
    edit(&firm, &pinned, &ours);
    firm.ingest(0);
    assert_eq!(firm.placements().len(), 1);
}

#[test]
fn a_key_that_the_site_does_not_know_is_a_refused_login() {
    let firm = firm();
    fs::remove_file(firm.path("ssh-key")).unwrap();
    keygen(&firm.path("ssh-key"), &["-t", "ed25519"], "");
    let line = complaint(&firm, &["ingest"], 1);
    assert_words(&line, &["login as", firm.sshd.user(), "refused", "site.firm_code", "keys show"]);
    assert!(!firm.sshd.log().contains("Accepted"));
    let run = firm.run(&["report", "--json"]).expect(0).json();
    assert_eq!((run["outcome"].as_str(), run["error"].as_str().is_some()), (Some("failed"), true));
}

#[test]
fn what_the_settings_name_wrongly_is_named() {
    let firm = firm();
    let root = firm.sshd.root().display().to_string();
    edit(&firm, &root, "/no/such/folder");
    assert_words(&complaint(&firm, &["ingest"], 1), &["site.directory", "/no/such/folder", "does not exist"]);
    edit(&firm, "/no/such/folder", &root);
    edit(&firm, "settle = \"0s\"\n", "settle = \"0s\"\nsource_address = \"203.0.113.7\"\n");
    assert_words(&complaint(&firm, &["ingest"], 1), &["site.source_address", "203.0.113.7"]);
    edit(&firm, "source_address = \"203.0.113.7\"\n", "");
    fs::rename(firm.path("pgp-key"), firm.path("pgp-key.away")).unwrap();
    assert_words(&complaint(&firm, &["ingest"], 1), &["pgp-key", "keys.pgp"]);
    fs::rename(firm.path("pgp-key.away"), firm.path("pgp-key")).unwrap();
    fs::rename(firm.path("ssh-key"), firm.path("ssh-key.away")).unwrap();
    assert_words(&complaint(&firm, &["ingest"], 1), &["ssh-key", "keys.ssh"]);
    fs::rename(firm.path("ssh-key.away"), firm.path("ssh-key")).unwrap();
    edit(&firm, "[state]", "[export]\nprofile = \"bloomberg\"\n[state]");
    assert_words(&complaint(&firm, &["ingest"], 1), &["export.profile", "bloomberg", "profile list"]);
    edit(&firm, "profile = \"bloomberg\"", "profile = \"icechat\"");
    firm.ingest(0);
    assert_eq!(firm.placements().len(), 1);
}

#[test]
fn a_site_that_is_down_or_has_no_name_is_tried_a_few_times() {
    let (mut down, nameless) = (firm(), firm());
    down.sshd.stop();
    edit(&nameless, "host = \"127.0.0.1\"", "host = \"no-such-host.invalid\"");
    let lines = thread::scope(|scope| {
        let [a, b] = [&down, &nameless].map(|firm| scope.spawn(move || complaint(firm, &["ingest"], 1)));
        [a.join().unwrap(), b.join().unwrap()]
    });
    let port = format!("127.0.0.1:{}", down.sshd.port());
    assert_words(&lines[0], &["cannot connect", &port, "site.host", "refused"]);
    assert_words(&lines[1], &["no-such-host.invalid", "cannot be resolved", "site.host", "DNS"]);
}

#[test]
fn a_configuration_that_is_wrong_is_exit_code_78() {
    let firm = firm();
    let file = firm.path("config.toml");
    let good = fs::read_to_string(&file).unwrap();
    let port = format!("port = {}", firm.sshd.port());
    for (from, to, line, words) in [
        (port.as_str(), "prot = 22", 3, &["site.prot", "unknown key"][..]),
        (port.as_str(), "port = \"x\"", 3, &["site.port"]),
        ("settle = \"0s\"", "settle = \"soon\"", 7, &["site.settle"]),
        ("[site]\n", "[site\n", 1, &["not TOML"]),
        ("domains = [\"contoso.com\"]\n", "", 11, &["mailboxes.domains", "missing"]),
    ] {
        edit(&firm, from, to);
        for verb in ["ingest", "replay", "report", "check"] {
            let said = complaint(&firm, &[verb], 78);
            assert_words(&said, &[&format!("{}:{line}: ", file.display())]);
            assert_words(&said, words);
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(!firm.path("state").exists());
    let missing = complaint(&firm, &["ingest", "--config", "/no/such.toml"], 78);
    assert_words(&missing, &["/no/such.toml", "no such configuration file"]);
    firm.run(&["ingest", "--no-such-option"]).expect(2);
}

#[test]
fn while_another_instance_works_nothing_is_begun() {
    let firm = firm();
    fs::create_dir(firm.path("state")).unwrap();
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(firm.path("state/work.lock"))
        .args(["sh", "-c", "echo locked; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut locked = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut locked).unwrap();
    for verb in ["ingest", "replay"] {
        let line = complaint(&firm, &[verb], 75);
        assert_words(&line, &["another icechatd is working", "icechatd status"]);
    }
    assert!(!firm.path("state/ledger.db").exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    firm.ingest(0);
    assert_eq!(firm.placements().len(), 1);
}

#[test]
fn a_newer_programs_ledger_is_left_alone() {
    let firm = firm();
    firm.ingest(0);
    fs::remove_dir_all(firm.path("staging")).unwrap();
    let ledger = firm.path("state/ledger.db");
    rusqlite::Connection::open(&ledger).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&ledger).unwrap();
    firm.deliver_export("next.pgp", &one("m-2"));
    for verb in ["ingest", "replay", "report", "status", "verify"] {
        assert_words(&complaint(&firm, &[verb], 1), &["schema 99", "newer icechatd", "nothing was changed"]);
    }
    assert!(fs::read(&ledger).unwrap() == before);
}

fn at_site(firm: &Firm) -> Vec<String> {
    let names = fs::read_dir(firm.sshd.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn deleting() -> Settings {
    Settings { site: "settle = \"0s\"\nafter = \"delete\"\n".to_owned(), ..Settings::default() }
}

#[test]
fn what_is_committed_is_removed_from_the_site_and_nothing_else() {
    let firm = firm();
    firm.configure(&deleting());
    firm.deliver("held.pgp", b"no export");
    firm.deliver("notes.txt", b"of no concern");
    firm.run(&["ingest", "--dry-run"]).expect(3);
    assert_eq!(at_site(&firm), ["day.pgp", "held.pgp", "notes.txt"]);
    firm.ingest(3);
    assert_eq!(at_site(&firm), ["held.pgp", "notes.txt"]);
    // What an earlier run committed, but could not remove any more, goes as well; so does what is known already.
    firm.configure(&Settings::default());
    firm.deliver_export("late.pgp", &one("m-2"));
    firm.ingest(3);
    fs::copy(firm.sshd.root().join("late.pgp"), firm.sshd.root().join("same.pgp")).unwrap();
    assert_eq!(at_site(&firm), ["held.pgp", "late.pgp", "notes.txt", "same.pgp"]);
    firm.configure(&deleting());
    firm.ingest(3);
    assert_eq!(at_site(&firm), ["held.pgp", "notes.txt"]);
    firm.deliver_export("held.pgp", &one("m-3"));
    firm.ingest(0);
    assert_eq!(at_site(&firm), ["notes.txt"]);
    assert_eq!(firm.placements().len(), 3);
}

#[test]
fn what_changed_at_the_site_meanwhile_stays_there() {
    let firm = Firm::new();
    firm.configure(&deleting());
    let many: String = (0..5000).map(|n| message(&format!("m-{n}"), "amy@contoso.com", &[], "hi")).collect();
    firm.deliver_export("day.pgp", &export(&many));
    let (staging, site) = (firm.path("staging/amy@contoso.com"), firm.sshd.root().join("day.pgp"));
    let next = firm.encrypt(&one("next"));
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            // It is fetched once it is being staged.
            while !staging.exists() {
                thread::sleep(Duration::from_millis(1));
            }
            fs::write(site, next).unwrap();
        });
        firm.run(&["ingest", "--json"]).expect(0)
    });
    assert!(report.err.contains("not removed from the site: it is another file by now"), "{}", report.err);
    assert_eq!(report.json()["items"]["staged"], 5000);
    assert_eq!(at_site(&firm), ["day.pgp"]);
    assert_eq!(firm.ingest(0)["items"]["staged"], 1);
    assert!(at_site(&firm).is_empty());
}

/// An upload that takes a while is waited for, and taken whole.
#[test]
fn a_file_that_still_grows_is_waited_for() {
    let firm = Firm::new();
    firm.configure(&Settings { site: "settle = \"2s\"\n".to_owned(), ..Settings::default() });
    let whole = firm.encrypt(&one("m-1"));
    firm.deliver("day.pgp", &whole[..50]);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let mut upload = OpenOptions::new().append(true).open(firm.sshd.root().join("day.pgp")).unwrap();
            for piece in whole[50..].chunks(100) {
                thread::sleep(Duration::from_millis(700));
                upload.write_all(piece).unwrap();
            }
        });
        firm.ingest(0)
    });
    assert_eq!(report["files"].as_array().unwrap().len(), 1);
    assert_eq!(report["files"][0]["bytes"], whole.len());
    assert_eq!(firm.placements().len(), 1);
}
