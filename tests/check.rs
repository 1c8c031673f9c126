//! `check`: what is said of a good set-up, and of each thing that may be wrong with one, against a real sshd.
#![cfg(test)]

pub mod support;

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
    for (name, text) in [
        ("connection", format!("127.0.0.1:{} answers", firm.sshd.port())),
        ("host key", "one of site.host_keys".to_owned()),
        ("login", format!("as {}", firm.sshd.user())),
        ("listing", "1 files match site.files".to_owned()),
        ("newest export", format!("day.xml.pgp is for our key {}", firm.recipient())),
        ("mapping", "0 ImIds".to_owned()),
        ("open matters", "nothing needs a person".to_owned()),
    ] {
        assert_eq!(line(&said, name, "ok"), text);
    }
    assert!(line(&said, "signers", "note").contains("can forge chat"));
    assert_eq!(lines(&said, "credential", "ok").len(), 2);
    let mode = |name: &str| firm.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("state"), mode("staging")), (0o700, 0o750));
    assert!(!firm.path("state/ledger.db").exists(), "a check records nothing");
    assert_eq!(fs::read_dir(firm.path("staging")).unwrap().count(), 0, "a check leaves nothing");

    let text = firm.run(&["check"]).expect(0).out;
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
    assert!(line(&check(&firm, 3), "listing", "note").contains("readme.txt"));
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
    assert!(line(&said, "pgp key", "warning").contains("make a new key and send it to ICE"));
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
