//! How it logs: text for people, JSON and journal fields for programs, an id for each event worth a rule, and never a word
//! of chat, a secret, or what a library has to say.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use icechatd::events;
use serde_json::Value;
use support::daemon::Daemon;
use support::firm::{Firm, body, export, file, message};
use support::planted;

const AMY: &str = "amy@contoso.com";

fn firm_with_an_export() -> Firm {
    let firm = Firm::new();
    firm.deliver_export("day.pgp", &export(&message("m-1", AMY, &["joe@contoso.com"], "hello")));
    firm
}

fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn with_id<'a>(lines: &'a [Value], id: &str) -> &'a Value {
    lines.iter().find(|line| line["message_id"] == id).unwrap_or_else(|| panic!("{id} is not in {lines:#?}"))
}

#[test]
fn text_is_for_people() {
    let firm = firm_with_an_export();
    let said = firm.run(&["ingest"]).expect(0);
    let line = said.err.lines().find(|line| line.contains("export taken")).unwrap();
    let (time, rest) = line.split_once("  INFO ").unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
    assert!(rest.starts_with("export taken file=\"day.pgp\" sha256="), "{line}");
    assert!(rest.ends_with(" changed=0 signed_by=\"unsigned\""), "{line}");
    assert!(!said.err.contains("message_id") && !said.err.contains('\u{1b}'), "{}", said.err);
}

#[test]
fn json_has_the_fields_and_an_id() {
    let firm = firm_with_an_export();
    let said = firm.run(&["ingest", "--log-format", "json"]).expect(0);
    let lines = lines_of_json(&said.err);
    let taken = with_id(&lines, events::EXPORT_TAKEN);
    assert_eq!((&taken["level"], &taken["message"]), (&"INFO".into(), &"export taken".into()));
    assert_eq!((&taken["file"], &taken["staged"]), (&"day.pgp".into(), &1.into()));
    assert!(taken["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    // Who keeps the log elsewhere keeps the newest hash of the chain.
    let added = with_id(&lines, events::EVIDENCE_ADDED);
    let evidence = firm.run(&["report", "--json"]).expect(0).json()["evidence"].clone();
    assert_eq!((&added["link"], &added["hash"]), (&evidence["link"], &evidence["hash"]));
}

#[test]
fn a_failure_is_a_line_of_the_same_form() {
    let firm = Firm::new();
    fs::write(firm.path("config.toml"), "nonsense = 1\n").unwrap();
    let said = firm.run(&["--log-format=json", "status"]).expect(78);
    let lines = lines_of_json(&said.err);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = with_id(&lines, events::CONFIGURATION_REJECTED);
    assert!(line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("nonsense"), "{line}");
    let said = firm.run(&["status"]).expect(78);
    assert!(said.err.starts_with("icechatd: "), "{}", said.err);
}

#[test]
fn the_daemons_children_log_as_it_does() {
    let firm = firm_with_an_export();
    firm.deliver("broken.pgp", b"not an export");
    let mut daemon = Daemon::start_with(&firm, &["--log-format", "json", "--log-level", "debug"]);
    daemon.wait_for_log(events::RUN_DONE, 1);
    daemon.stop();
    let lines = lines_of_json(&daemon.log());
    for id in
        [events::DAEMON_STARTED, events::EXPORT_TAKEN, events::EXPORT_HELD, events::RUN_DONE, events::DAEMON_STOPPED]
    {
        with_id(&lines, id);
    }
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "the child's level is the daemon's: {lines:#?}");
}

#[test]
fn a_level_leaves_out_what_is_less_grave() {
    let firm = firm_with_an_export();
    firm.deliver("broken.pgp", b"not an export");
    let said = firm.run(&["--log-level", "warn", "ingest"]).expect(3);
    assert!(said.err.contains(" WARN held: ") && !said.err.contains(" INFO "), "{}", said.err);
    firm.run(&["--log-level", "loud", "ingest"]).expect(2);
}

/// Libraries print packets and header fields at their levels: none of them is heard, even at the most verbose, and
/// whatever the environment asks for.
#[test]
fn no_library_is_heard_at_the_most_verbose() {
    let firm = firm_with_an_export();
    let mut command = firm.command(&["--log-format=json", "--log-level=debug", "ingest"]);
    let said = support::firm::Said::from(&command.env("RUST_LOG", "trace").output().unwrap()).expect(0);
    let lines = lines_of_json(&said.err);
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "{lines:#?}");
    for line in &lines {
        assert!(line["target"].as_str().unwrap().starts_with("icechatd"), "{line}");
    }
}

/// A fake journal: what is sent to its socket, entry by entry. `None` where the kernel lets nobody have a `/run` of their
/// own, where the real socket's path is.
fn in_journal(firm: &Firm, arguments: &[&str], journal: bool, stream: Option<&str>) -> Option<(Vec<Entry>, String)> {
    let socket = firm.path("journal");
    let listener = UnixDatagram::bind(&socket).unwrap();
    let mount = if journal {
        "touch /run/systemd/journal/socket; mount --bind \"$0\" /run/systemd/journal/socket; "
    } else {
        ""
    };
    let script = format!("set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; {mount}exec \"$@\"");
    let own_run = ["-rm", "sh", "-c"];
    let probe =
        Command::new("unshare").args(own_run).args(["mount -t tmpfs tmpfs /run"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: nobody may have a /run of their own here");
        return None;
    }
    let inner = firm.command(arguments);
    let log = File::create(firm.path("stderr")).unwrap();
    let own = log.metadata().map(|found| format!("{}:{}", found.dev(), found.ino())).unwrap();
    let mut command = Command::new("unshare");
    command.args(own_run).arg(script).arg(&socket).arg(inner.get_program()).args(inner.get_args());
    command.env_remove("CREDENTIALS_DIRECTORY").env("JOURNAL_STREAM", stream.unwrap_or(&own));
    let (sender, entries) = mpsc::channel();
    thread::spawn(move || {
        let mut datagram = vec![0; 1 << 18];
        // The test's end is this thread's.
        while let Ok(length) = listener.recv(&mut datagram) {
            let _ = sender.send(Entry::parse(&datagram[..length]));
        }
    });
    assert!(
        command.stdout(Stdio::null()).stderr(log).status().unwrap().code().is_some_and(|code| code == 0 || code == 78)
    );
    let mut found = Vec::new();
    while let Ok(entry) = entries.recv_timeout(Duration::from_millis(300)) {
        found.push(entry);
    }
    let text = fs::read_to_string(firm.path("stderr")).unwrap();
    planted::look_through("standard error", &text);
    planted::look_through("the journal", &format!("{found:?}"));
    Some((found, text))
}

/// A journal entry's fields.
#[derive(Debug)]
struct Entry(BTreeMap<String, String>);

impl Entry {
    /// As systemd's native protocol has it: `KEY=value`, or `KEY`, a length in eight bytes and as much.
    fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let line = std::str::from_utf8(&bytes[..end]).unwrap();
            bytes = &bytes[end + 1..];
            if let Some((key, value)) = line.split_once('=') {
                fields.insert(key.to_owned(), value.to_owned());
            } else {
                let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
                fields.insert(line.to_owned(), String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
                bytes = &bytes[9 + length..];
            }
        }
        Self(fields)
    }

    fn of<'a>(entries: &'a [Self], id: &str) -> &'a BTreeMap<String, String> {
        let found = entries.iter().find(|entry| entry.0.get("MESSAGE_ID").is_some_and(|found| found == id));
        &found.unwrap_or_else(|| panic!("{id} is not in {entries:#?}")).0
    }
}

#[test]
fn under_systemd_the_journal_gets_the_fields() {
    let firm = firm_with_an_export();
    let Some((entries, text)) = in_journal(&firm, &["ingest"], true, None) else { return };
    let taken = Entry::of(&entries, events::EXPORT_TAKEN);
    for (field, value) in [
        ("MESSAGE", "export taken"),
        ("SYSLOG_IDENTIFIER", "icechatd"),
        ("PRIORITY", "6"),
        ("FILE", "day.pgp"),
        ("STAGED", "1"),
    ] {
        assert_eq!(taken.get(field).map(String::as_str), Some(value), "{taken:#?}");
    }
    assert_eq!(text, "", "nothing is said twice");
}

#[test]
fn a_failure_is_in_the_journal_as_grave_as_it_is() {
    let firm = Firm::new();
    fs::write(firm.path("config.toml"), "nonsense = 1\n").unwrap();
    let Some((entries, text)) = in_journal(&firm, &["status"], true, None) else { return };
    assert_eq!(Entry::of(&entries, events::CONFIGURATION_REJECTED)["PRIORITY"], "3");
    assert_eq!(text, "");
}

#[test]
fn whose_standard_error_is_another_file_is_not_in_the_journal() {
    let firm = firm_with_an_export();
    let Some((entries, text)) = in_journal(&firm, &["ingest"], true, Some("8:1")) else { return };
    assert!(entries.is_empty() && text.contains("export taken"), "{entries:?} {text}");
}

#[test]
fn a_format_that_is_asked_for_overrides_what_systemd_says() {
    let firm = firm_with_an_export();
    let Some((entries, text)) = in_journal(&firm, &["ingest", "--log-format=text"], true, None) else { return };
    assert!(entries.is_empty() && text.contains("export taken"), "{entries:?} {text}");
    let other = firm_with_an_export();
    let asked = in_journal(&other, &["ingest", "--log-format=journald"], true, Some("8:1")).unwrap();
    Entry::of(&asked.0, events::EXPORT_TAKEN);
}

#[test]
fn without_a_journal_the_log_is_text() {
    let firm = firm_with_an_export();
    let Some((entries, text)) = in_journal(&firm, &["ingest"], false, None) else { return };
    assert!(entries.is_empty() && text.contains("export taken") && !text.contains("journal"), "{entries:?} {text}");
    let asked = in_journal(&firm_with_an_export(), &["ingest", "--log-format=journald"], false, None).unwrap().1;
    assert!(asked.contains("the journal does not listen on this machine") && asked.contains("export taken"), "{asked}");
}

/// All of this crate's sources, or all documents.
fn texts(folder: &str, suffix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == suffix) {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Every 128-bit id between these marks.
fn ids(text: &str, mark: char) -> BTreeSet<String> {
    let is_id = |word: &&str| word.len() == 32 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split(mark).filter(is_id).map(str::to_owned).collect()
}

#[test]
fn the_page_lists_every_id_and_no_other() {
    let sources = texts("src", "rs");
    let code: Vec<String> = sources.iter().flat_map(|(_, text)| ids(text, '"')).collect();
    let distinct: BTreeSet<String> = code.iter().cloned().collect();
    assert!(distinct.len() >= 10 && distinct.len() == code.len(), "an id stands for two events: {code:?}");
    let documented: BTreeSet<String> = texts("docs", "md").iter().flat_map(|(_, text)| ids(text, '`')).collect();
    assert_eq!(distinct, documented, "the ids in the code, and those of docs/");
}

#[test]
fn every_event_is_logged_somewhere() {
    let sources = texts("src", "rs");
    let own = sources.iter().find(|(path, _)| path.ends_with("src/events.rs")).unwrap();
    for name in own.1.split("pub const ").skip(1).map(|rest| rest.split(':').next().unwrap()) {
        let logged = sources.iter().any(|(_, text)| text.contains(&format!("message_id = events::{name}")));
        assert!(logged, "nobody logs {name}");
    }
}

/// The search that all tests make can find something: the text is really planted, the secrets are really known.
#[test]
fn what_is_planted_would_be_found() {
    let firm = firm_with_an_export();
    let report = firm.ingest(0);
    assert_eq!(file(&report, "day.pgp")["items"]["staged"], 1);
    let staged = firm.staged();
    assert_eq!(staged.len(), 2);
    assert!(staged.values().all(|eml| body(eml).starts_with(&format!("hello {}", planted::CHAT))), "{staged:?}");
    let fails = |look: &dyn Fn()| catch_unwind(AssertUnwindSafe(look)).is_err();
    assert!(fails(&|| planted::look_through("a log", &format!("he said: {}.", planted::CHAT))));
    for key in ["ssh-key", "pgp-key"] {
        let text = fs::read_to_string(firm.path(key)).unwrap();
        let line = text.lines().rfind(|line| line.len() > 40).unwrap();
        assert!(fails(&|| planted::look_through("a log", &format!("the key is {line}"))), "{key}");
    }
    planted::look_through_state(&firm.path("state"));
    fs::write(firm.path("state/spool/left"), planted::CHAT).unwrap();
    assert!(fails(&|| planted::look_through_state(&firm.path("state"))));
}

/// Each credential that a configuration may name is a secret of its firm.
#[test]
fn every_credential_is_known_as_a_secret() {
    let more = "[alerts]\nwebhook = \"hook\"\nping = \"beat\"\n[mail]\nserver = \"localhost\"\nuser = \"u\"\n\
                password = \"mail-pass\"\nfrom = \"a@contoso.com\"\nto = \"b@contoso.com\"\n";
    let settings = support::firm::Settings {
        more: more.to_owned(),
        keys: "passphrases = [\"phrase\"]\n".to_owned(),
        ..support::firm::Settings::default()
    };
    let firm = Firm::new();
    firm.configure(&settings);
    fs::write(firm.path("hook"), "https://hooks.example/services/T0000001/verysecrettoken\n").unwrap();
    fs::write(firm.path("beat"), "https://beat.example/ping?token=anothersecrettoken").unwrap();
    fs::write(firm.path("mail-pass"), "swordfish swordfish").unwrap();
    fs::write(firm.path("phrase"), "open sesame please").unwrap();
    firm.command(&["status"]);
    for secret in ["verysecrettoken", "anothersecrettoken", "swordfish swordfish", "open sesame please"] {
        let said = format!("error: {secret} was refused");
        assert!(catch_unwind(|| planted::look_through("a log", &said)).is_err(), "{secret}");
    }
}
