//! `check`: what is said of a good set-up, and of each thing that may be wrong with one, against a real sshd.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::firm::{Firm, Said, export, message};
use support::sshd::{SshdOptions, keygen};

/// The texts of all lines with this name and level.
fn lines(said: &Value, name: &str, level: &str) -> Vec<String> {
    let all = said["checks"].as_array().unwrap().iter();
    let found = all.filter(|line| line["name"] == name && line["level"] == level);
    found.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// The one line with this name and level.
fn line(said: &Value, name: &str, level: &str) -> String {
    let found = lines(said, name, level);
    assert_eq!(found.len(), 1, "{name} {level}: {said:#}");
    found[0].clone()
}

fn check(firm: &Firm, code: i32) -> Value {
    firm.run(&["check", "--json"]).expect(code).json()
}

/// Replaces text in the configuration.
fn edit(firm: &Firm, from: &str, to: &str) {
    let path = firm.path("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_good_set_up_passes_and_folders_are_made() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    let said = check(&firm, 0);
    let pin = firm.sshd.host_key_fingerprint();
    for (name, text) in [
        ("address", "127.0.0.1".to_owned()),
        ("connection", format!("127.0.0.1:{} answers", firm.sshd.port())),
        ("host key", format!("the site offers {pin}; site.host_keys has {pin}")),
        ("login", format!("as {}", firm.sshd.user())),
        ("newest export", format!("day.xml.pgp is for our key {}", firm.recipient())),
        ("open matters", "nothing needs a person".to_owned()),
        ("mailboxes", "any address of mailboxes.domains".to_owned()),
    ] {
        assert_eq!(line(&said, name, "ok"), text);
    }
    for (name, text) in [
        ("listing", "1 file matches site.files: day.xml.pgp; the newest of "),
        ("mapping", "0 ImIds in 0 files; not in force yet"),
        ("schedule", "next run "),
        ("staging space", "there is no run yet to compare with"),
        ("state space", "there is no run yet to compare with"),
    ] {
        assert!(line(&said, name, "ok").contains(text), "{said:#}");
    }
    assert!(line(&said, "schedule", "ok").ends_with("06:30 UTC"), "{said:#}");
    assert!(line(&said, "staging", "ok").ends_with("staging: can be written, hard links are possible"));
    assert_eq!(line(&said, "alerts", "note"), "nobody is told of what needs a person; see [alerts] and [mail]");
    for credential in lines(&said, "credential", "ok") {
        let owner = if rustix::process::geteuid().is_root() { "root" } else { "this user" };
        assert!(credential.ends_with(&format!("-key, mode 0600, of {owner}")), "{credential}");
    }
    assert!(line(&said, "signers", "note").contains("can forge chat"));
    assert_eq!(lines(&said, "credential", "ok").len(), 2);
    let mode = |name: &str| firm.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("state"), mode("staging")), (0o700, 0o750));
    assert!(!firm.path("state/ledger.db").exists(), "a check records nothing");
    assert_eq!(fs::read_dir(firm.path("staging")).unwrap().count(), 0, "a check leaves nothing");

    let text = firm.run(&["check"]).expect(0).out;
    let (text, verdict) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(verdict, "nothing to mend");
    assert_eq!(text.lines().count(), said["checks"].as_array().unwrap().len());
    assert!(text.lines().all(|line| line.starts_with("ok ") || line.starts_with("note ")), "{text}");
}

#[test]
fn offline_the_site_is_not_asked() {
    let mut firm = Firm::new();
    firm.sshd.stop();
    let said = firm.run(&["check", "--offline", "--json"]).expect(0).json();
    assert_eq!(line(&said, "site", "note"), "not asked (--offline)");
    let said = check(&firm, 1);
    assert_eq!(line(&said, "address", "ok"), "127.0.0.1");
    assert!(line(&said, "connection", "failure").contains("cannot connect; check site.host"));
    assert!(lines(&said, "login", "ok").is_empty());
}

#[test]
fn without_a_pinned_key_the_offered_one_is_shown_and_no_login_tried() {
    for pins in ["host_keys = []\n", ""] {
        let firm = Firm::new();
        let pin = format!("host_keys = [\"{}\"]\n", firm.sshd.host_key_fingerprint());
        edit(&firm, &pin, pins);
        let said = check(&firm, 1);
        assert!(
            line(&said, "host key", "failure")
                .contains(&format!("site.host_keys = [\"{}\"]", firm.sshd.host_key_fingerprint()))
        );
        assert!(!firm.sshd.log().contains("userauth"), "{}", firm.sshd.log());
        assert!(!firm.sshd.log().contains("Accepted"), "{}", firm.sshd.log());
        firm.run(&["ingest"]).expect(78);
    }
}

#[test]
fn another_host_key_is_shown_beside_the_pinned_one() {
    let firm = Firm::new();
    let pinned = format!("SHA256:{}", "A".repeat(43));
    edit(&firm, firm.sshd.host_key_fingerprint(), &pinned);
    let said = check(&firm, 1);
    let text = line(&said, "host key", "failure");
    assert!(text.contains(&pinned) && text.contains(firm.sshd.host_key_fingerprint()), "{text}");
    assert!(lines(&said, "connection", "ok").len() == 1 && lines(&said, "login", "ok").is_empty());
    assert!(!firm.sshd.log().contains("Accepted"), "{}", firm.sshd.log());
}

#[test]
fn a_login_that_is_refused_is_told_from_a_folder_that_is_missing() {
    let firm = Firm::new();
    fs::remove_file(firm.path("ssh-key")).unwrap();
    keygen(&firm.path("ssh-key"), SshdOptions::default().client_key, "");
    let said = check(&firm, 1);
    let text = line(&said, "login", "failure");
    assert!(text.contains("login as") && text.contains("keys show"), "{text}");
    assert!(line(&said, "not tried", "note").starts_with("listing, newest export: "), "{said:#}");
    let text = firm.run(&["check"]).expect(1).out;
    assert!(text.ends_with("\n1 failure: a run would fail; mend it and check again\n"), "{text}");
    assert_eq!(lines(&said, "host key", "ok").len(), 1);

    let firm = Firm::new();
    edit(&firm, "/site\"", "/elsewhere\"");
    let said = check(&firm, 1);
    assert!(line(&said, "listing", "failure").contains("elsewhere` does not exist at the site"));
    assert_eq!(lines(&said, "login", "ok").len(), 1);
}

#[test]
fn an_export_for_somebody_else_is_noticed_before_a_run() {
    let firm = Firm::new();
    let other = firm.gpg.generate("Else <else@northern.example>", "");
    let how = support::gpg::Encrypt { recipients: &[&other], ..Default::default() };
    firm.deliver("day.xml.pgp", &firm.encrypt_how("<IceChatExport/>", &how));
    let said = check(&firm, 3);
    assert!(
        line(&said, "newest export", "warning").contains("day.xml.pgp would be held: not encrypted to any of our keys")
    );
    fs::write(firm.sshd.root().join("day.xml.pgp"), "").unwrap();
    assert!(line(&check(&firm, 3), "newest export", "warning").contains("the file is empty"));
    fs::write(firm.sshd.root().join("readme.txt"), "").unwrap();
    assert_eq!(line(&check(&firm, 3), "listing", "note"), "1 does not match and is left alone: readme.txt");
}

/// A file that nobody takes must be loud if it may be an export, by its name or by what it is.
#[test]
fn a_file_that_may_be_an_export_under_another_name_is_a_warning() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    fs::copy(firm.sshd.root().join("day.xml.pgp"), firm.sshd.root().join("day-2")).unwrap();
    for name in ["day.zip", "day.XML", "notes", "readme.txt"] {
        fs::write(firm.sshd.root().join(name), "text").unwrap();
    }
    let said = check(&firm, 3);
    let warning = line(&said, "listing", "warning");
    for name in ["day-2", "day.zip", "day.XML"] {
        assert!(warning.contains(name), "{warning}");
    }
    assert!(warning.starts_with("3 do not match site.files and are not taken, but may be an export"), "{warning}");
    let note = line(&said, "listing", "note");
    assert!(note.contains("notes") && note.contains("readme.txt") && note.starts_with("2 do not"), "{note}");
}

#[test]
fn what_the_site_offers_stands_beside_what_is_pinned() {
    let firm = Firm::new();
    let (pin, other) = (firm.sshd.host_key_fingerprint(), format!("SHA256:{}", "A".repeat(43)));
    edit(&firm, &format!("[\"{pin}\"]"), &format!("[\"{other}\", \"{pin}\"]"));
    edit(&firm, "[keys]\n", "source_address = \"127.0.0.1\"\n[keys]\n");
    let said = check(&firm, 0);
    let text = format!("the site offers {pin}; site.host_keys has {pin}, and beside it {other}");
    assert_eq!(line(&said, "host key", "ok"), text);
    assert!(line(&said, "connection", "ok").ends_with("answers to us at 127.0.0.1"));
    assert_eq!(line(&said, "listing", "note"), "no file matches site.files yet");

    edit(&firm, "\"127.0.0.1\"\n[keys]", "\"192.0.2.1\"\n[keys]");
    let said = check(&firm, 1);
    assert!(line(&said, "connection", "failure").contains("source_address 192.0.2.1"), "{said:#}");
    assert_eq!(lines(&said, "address", "ok").len(), 1);

    edit(&firm, "host = \"127.0.0.1\"", "host = \"nowhere.invalid\"");
    let said = check(&firm, 1);
    assert!(line(&said, "address", "failure").contains("cannot be resolved; check site.host"), "{said:#}");
    assert!(lines(&said, "connection", "failure").is_empty());
}

fn set_age(path: &std::path::Path, days: i64) {
    let seconds = jiff::Timestamp::now().as_second() - days * 86_400;
    let status = std::process::Command::new("touch").arg("-d").arg(format!("@{seconds}")).arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn mapping_and_list_say_their_age_and_since_when_they_are_in_force() {
    let firm = Firm::of_the_samples();
    firm.run(&["ingest"]).expect(0);
    set_age(&firm.path("mapping/desk.csv"), 40);
    set_age(&firm.path("mailboxes.csv"), 30);
    let said = check(&firm, 0);
    let mapping = line(&said, "mapping", "ok");
    assert!(mapping.contains("in 1 file, changed ") && mapping.contains("(40 days ago); in force since "), "{mapping}");
    assert!(mapping.ends_with("(today)"), "{mapping}");
    let list = line(&said, "mailboxes", "ok");
    assert!(list.contains("(30 days ago); in force since"), "{list}");
    set_age(&firm.path("mailboxes.csv"), 31);
    let list = line(&check(&firm, 3), "mailboxes", "warning");
    assert!(list.contains("older than 30 days: people join and leave"), "{list}");
}

#[test]
fn mailboxes_of_the_configuration_are_valid_users_or_worth_a_warning() {
    let firm = Firm::of_the_samples();
    let list = fs::read_to_string(firm.path("mailboxes.csv")).unwrap();
    let amy = list.split(['"', ',', ';', '\n']).find(|cell| cell.contains('@')).unwrap();
    let mailboxes = format!("[mailboxes]\njournal = \"{amy}\"\ncatch_all = \"nobody@contoso.com\"\n");
    edit(&firm, "[mailboxes]\n", &mailboxes);
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "mailboxes", "warning").contains("nobody@contoso.com is not in mailboxes.list"), "{said:#}");
    assert!(lines(&said, "mailboxes", "ok").iter().any(|line| line.starts_with("mailboxes.journal: ")), "{said:#}");
    edit(&firm, "list = \"mailboxes.csv\"\n", "");
    firm.run(&["check", "--offline", "--json"]).expect(0);
    edit(&firm, "nobody@contoso.com", "nobody@elsewhere.com");
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "mailboxes", "warning").contains("of any of mailboxes.domains"), "{said:#}");
}

/// The ledger of a firm, to say of its past what would take long to live through.
fn ledger(firm: &Firm, sql: &str) {
    let connection = rusqlite::Connection::open(firm.path("state/ledger.db")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn too_little_room_for_runs_like_the_last_is_a_warning() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    firm.run(&["ingest"]).expect(0);
    let said = check(&firm, 0);
    let text = line(&said, "staging space", "ok");
    assert!(
        text.contains("free; 10 runs like the largest of the last take up to") && text.ends_with(" files"),
        "{text}"
    );
    ledger(&firm, "UPDATE files SET bytes = 1000000000000000");
    let said = check(&firm, 3);
    for name in ["staging space", "state space"] {
        assert!(line(&said, name, "warning").ends_with("make room, or give it a larger disk"), "{said:#}");
    }
}

#[test]
fn a_clock_behind_what_was_recorded_or_behind_the_site_is_a_warning() {
    let firm = Firm::new();
    firm.run(&["ingest"]).expect(0);
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    set_age(&firm.sshd.root().join("day.xml.pgp"), -2);
    let said = check(&firm, 3);
    assert!(line(&said, "clock", "warning").contains("day.xml.pgp at the site is of "), "{said:#}");
    fs::remove_file(firm.sshd.root().join("day.xml.pgp")).unwrap();
    ledger(&firm, "UPDATE runs SET finished = finished + 7200");
    let said = check(&firm, 3);
    assert!(line(&said, "clock", "warning").contains("a run has recorded"), "{said:#}");
}

#[test]
fn who_is_told_and_what_is_wrong_with_it() {
    let firm = Firm::new();
    fs::write(firm.path("hook"), "https://hooks.example/secret-part\n").unwrap();
    fs::set_permissions(firm.path("hook"), fs::Permissions::from_mode(0o600)).unwrap();
    edit(
        &firm,
        "[state]\n",
        "[alerts]\nwebhook = \"hook\"\n[mail]\nserver = \"mx.contoso.com\"\nfrom = \"i@contoso.com\"\nto = \"a@contoso.com\"\n\
         [state]\n",
    );
    let said = firm.run(&["check", "--offline", "--json"]).expect(0);
    assert!(!said.out.contains("secret-part"), "{said:?}");
    assert_eq!(line(&said.json(), "alerts", "ok"), "webhook; mail to a@contoso.com by mx.contoso.com");
    fs::write(firm.path("hook"), "secret-part\n").unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(3);
    assert!(!said.out.contains("secret-part"), "{said:?}");
    assert!(line(&said.json(), "alerts", "warning").contains("alerts.webhook: holds no web address"));
    fs::remove_file(firm.path("hook")).unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "credential", "warning").contains("alerts.webhook: no credential hook"), "{said:#}");
}

#[test]
fn holidays_that_are_over_are_a_note() {
    let firm = Firm::new();
    edit(&firm, "[state]\n", "[schedule]\nholidays = \"holidays\"\ntime_zone = \"Europe/Berlin\"\n[state]\n");
    fs::write(firm.path("holidays"), "2024-12-25\n2024-12-26\n").unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(0).json();
    assert!(line(&said, "holidays", "note").contains("the last day in schedule.holidays is 2024-12-26"), "{said:#}");
    assert!(line(&said, "schedule", "ok").ends_with("(Europe/Berlin)"), "{said:#}");
    fs::write(firm.path("holidays"), "2024-12-25\n2999-12-26\n").unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(0).json();
    assert!(lines(&said, "holidays", "note").is_empty());
}

#[test]
fn a_retired_key_is_checked_like_the_others_but_for_its_end() {
    let firm = Firm::new();
    fs::copy(firm.path("pgp-key"), firm.path("old-key")).unwrap();
    edit(&firm, "[keys]\n", "[keys]\nretired = [\"old-key\"]\n");
    let said = firm.run(&["check", "--offline", "--json"]).expect(0).json();
    assert!(line(&said, "retired key", "ok").ends_with("opens kept originals alone"), "{said:#}");
    fs::write(firm.path("old-key"), "no key").unwrap();
    firm.run(&["check", "--offline", "--json"]).expect(1);
    fs::remove_file(firm.path("old-key")).unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(1).json();
    assert!(line(&said, "credential", "failure").contains("keys.retired: no credential old-key"), "{said:#}");
}

/// Whoever owns a key can replace it. Only root can give one away to try.
#[test]
fn a_credential_of_somebody_else_is_worth_a_warning() {
    let firm = Firm::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(firm.path("ssh-key"), Some(65_534), None).unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    let text = line(&said, "credential", "warning");
    assert!(text.contains("mode 0600, of user 65534, who could replace it"), "{text}");
}

#[test]
fn a_bad_mapping_costs_what_a_run_would_make_of_it() {
    let firm = Firm::new();
    firm.map("desk.csv", "ImId,Mailbox\nadams17,\n");
    let said = firm.run(&["check", "--offline", "--json"]).expect(1).json();
    assert!(line(&said, "mapping", "failure").contains("desk.csv:2"));

    firm.map("desk.csv", "ImId,Mailbox\nadams17,amy@contoso.com\n");
    firm.run(&["ingest"]).expect(0);
    firm.map("desk.csv", "ImId,Mailbox\nadams17,\n");
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    let text = line(&said, "mapping", "warning");
    assert!(text.contains("desk.csv:2") && text.ends_with("runs go on with the last good set, of 1 ImIds"), "{text}");
}

#[test]
fn keys_that_end_soon_are_worth_a_warning_unless_another_outlives_them() {
    let firm = Firm::new();
    let short = |name: &str, validity: &str| {
        firm.gpg.run(&["--passphrase", "", "--quick-gen-key", name, "future-default", "default", validity], b"");
        let path = firm.path(name);
        fs::write(&path, firm.gpg.export_secret(name, "")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    short("old-key", "20d");
    edit(&firm, "[keys]\n", "[keys]\npgp = [\"old-key\"]\n");
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "pgp key", "warning").contains("icechatd keys extend DIR"));
    edit(&firm, "pgp = [\"old-key\"]", "pgp = [\"pgp-key\", \"old-key\"]");
    let said = firm.run(&["check", "--offline", "--json"]).expect(0).json();
    assert_eq!(lines(&said, "pgp key", "ok").len(), 2);
}

#[test]
fn what_is_missing_is_said_once() {
    let firm = Firm::new();
    fs::remove_file(firm.path("pgp-key")).unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(1).json();
    let failures: Vec<_> =
        said["checks"].as_array().unwrap().iter().filter(|line| line["level"] == "failure").collect();
    assert_eq!(failures.len(), 1, "{said:#}");
    assert!(line(&said, "credential", "failure").contains("keys.pgp: no credential pgp-key"));
}

#[test]
fn an_exposed_key_is_worth_a_warning_and_a_staging_that_cannot_be_made_is_a_failure() {
    let firm = Firm::new();
    fs::set_permissions(firm.path("ssh-key"), fs::Permissions::from_mode(0o640)).unwrap();
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "credential", "warning").contains("chmod 600"));
    edit(&firm, "local = \"staging\"", "local = \"missing/staging\"");
    let said = firm.run(&["check", "--offline", "--json"]).expect(1).json();
    assert!(line(&said, "staging", "failure").contains("missing/staging"));
}

#[test]
fn open_matters_are_warnings() {
    let firm = Firm::new();
    firm.deliver("bad.pgp", b"no PGP message");
    firm.run(&["ingest"]).expect(3);
    let said = firm.run(&["check", "--offline", "--json"]).expect(3).json();
    assert!(line(&said, "open matters", "warning").contains("1 file held"));
}

#[test]
fn a_bad_configuration_is_one_line_and_78() {
    let firm = Firm::new();
    edit(&firm, "firm_code", "firm_cod");
    let said = firm.run(&["check"]).expect(78);
    assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "{said:?}");
    assert!(said.err.contains("firm_cod"), "{said:?}");
    let said = Said::to(&["check", "-c", "/nowhere/config.toml"]).expect(78);
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

/// Who installs the package finds the example as the configuration, and changes what it says of the firm.
#[test]
fn the_shipped_example_passes_offline() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let example = fs::read_to_string("docs/config.example.toml").unwrap();
    let here = example.replace("/var/lib/icechatd/", &format!("{}/", dir.path().display()));
    assert_ne!(here, example);
    fs::write(path("config.toml"), here).unwrap();
    fs::create_dir(path("mapping")).unwrap();
    let config = path("config.toml").display().to_string();
    Said::to(&["-c", &config, "keys", "init"]).expect(0);
    fs::write(path("mapping/desk.csv"), Said::to(&["mapping", "template"]).expect(0).out).unwrap();
    let said = Said::to(&["-c", &config, "check", "--offline", "--json"]).expect(0).json();
    let bad: Vec<_> = said["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["level"] != "ok" && line["level"] != "note")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
