//! The verbs as a new operator meets them: help, wrong usage, facts for programs, the demo, and what each verb says.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::daemon::has_begun_staging;
use support::firm::{Firm, Said, export, header, message, sample, sample_export, staged};

const VERBS: [&[&str]; 25] = [
    &["demo"],
    &["run"],
    &["ingest"],
    &["check"],
    &["keys"],
    &["keys", "init"],
    &["keys", "show"],
    &["keys", "export"],
    &["mapping"],
    &["mapping", "check"],
    &["mapping", "template"],
    &["mapping", "unresolved"],
    &["mapping", "externals"],
    &["mapping", "history"],
    &["mapping", "accept"],
    &["profile"],
    &["profile", "list"],
    &["profile", "show"],
    &["profile", "lint"],
    &["profile", "infer"],
    &["status"],
    &["report"],
    &["replay"],
    &["verify"],
    &["completions"],
];

#[test]
fn every_verb_helps() {
    for verb in VERBS {
        let said = Said::to(&[verb, &["--help"]].concat()).expect(0);
        assert_eq!(said.err, "");
        assert!(said.out.contains(&format!("Usage: icechatd {}", verb.join(" "))), "{said:?}");
        assert!(said.out.contains("--config <FILE>"), "{said:?}");
        assert!(!said.out.contains("--in-force"), "a flag for the daemon alone is shown: {said:?}");
    }
    let said = Said::to(&["--help"]).expect(0);
    assert!(VERBS.iter().all(|verb| said.out.contains(verb[0])), "{said:?}");
}

#[test]
fn version_names_the_commit() {
    let head = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let said = Said::to(&["--version"]).expect(0).out;
    assert!(said.starts_with(concat!("icechatd ", env!("CARGO_PKG_VERSION"), " (")), "{said}");
    let commit = said.trim().rsplit_once('(').unwrap().1.trim_end_matches(')').to_owned();
    assert!(commit == "unknown commit" || commit.len() == 12, "{said}");
    // Outside of a checkout there is nothing to compare with.
    if let Some(head) = head.ok().filter(|head| head.status.success() && commit.len() == 12) {
        let known = Command::new("git").args(["cat-file", "-e", &commit]).status().unwrap();
        assert!(known.success(), "{commit} is no commit; HEAD is {head:?}");
    }
}

#[test]
fn wrong_usage_is_2() {
    let wrong: [&[&str]; 13] = [
        &[],
        &["frobnicate"],
        &["ingest", "--frobnicate"],
        &["ingest", "--dry-run", "--retry"],
        &["mapping"],
        &["mapping", "check"],
        &["keys", "export"],
        &["profile", "show"],
        &["replay", "--since", "yesterday"],
        &["restage", "--reason", "lost"],
        &["restage", "--mailbox", "amy@contoso.com"],
        &["demo", "--messages", "0"],
        &["demo", "--messages", "many"],
    ];
    for arguments in wrong {
        let said = Said::to(arguments).expect(2);
        assert_eq!(said.out, "", "{arguments:?}");
        assert!(!said.err.is_empty());
    }
}

#[test]
fn the_configuration_may_be_named_before_and_after_the_verb() {
    let firm = Firm::new();
    let config = firm.path("config.toml");
    let config = config.to_str().unwrap();
    for arguments in [
        ["-c", config, "status"].as_slice(),
        &["status", "-c", config],
        &["--config", config, "keys", "show"],
        &["keys", "--config", config, "show"],
        &["keys", "show", "-c", config],
    ] {
        Said::to(arguments).expect(0);
    }
    for verb in ["ingest", "run", "check", "status", "report", "replay", "verify"] {
        let said = Said::to(&[verb, "-c", "/nowhere/config.toml"]).expect(78);
        assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "{said:?}");
        assert!(said.err.starts_with("icechatd: /nowhere/config.toml"), "{said:?}");
    }
    for verb in ["init", "show"] {
        Said::to(&["keys", verb, "-c", "/nowhere/config.toml"]).expect(78);
    }
    Said::to(&["mapping", "unresolved", "-c", "/nowhere/config.toml"]).expect(78);
}

#[test]
fn facts_are_json_too() {
    let firm = Firm::of_the_samples();
    let csv = sample("mapping.csv");
    let handouts = firm.path("again");
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    let verbs: [(&[&str], i32); 18] = [
        (&["status"], 0),
        (&["ingest", "--dry-run"], 3),
        (&["ingest"], 3),
        (&["replay"], 3),
        (&["check"], 3),
        (&["report"], 0),
        (&["status"], 0),
        (&["restage", "--since", "2026-01-01", "--reason", "lost"], 0),
        (&["verify"], 0),
        (&["mapping", "unresolved"], 0),
        (&["mapping", "externals"], 0),
        (&["mapping", "history"], 0),
        (&["mapping", "accept"], 0),
        (&["mapping", "check", csv.to_str().unwrap()], 0),
        (&["profile", "list"], 0),
        (&["keys", "init"], 0),
        (&["keys", "show"], 0),
        (&["keys", "export", handouts.to_str().unwrap()], 0),
    ];
    for (verb, code) in verbs {
        let said = firm.run(&[verb, &["--json"]].concat()).expect(code).json();
        assert!(said.is_object() || said.is_array(), "{verb:?}: {said}");
        assert!(!firm.run(verb).expect(code).out.trim_start().starts_with(['{', '[']), "{verb:?} without --json");
    }
}

/// `icechatd VERB | head -1`: whoever stops reading has had enough.
#[test]
fn a_closed_standard_output_is_no_failure() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.run(&["ingest"]).expect(3);
    for verb in [
        ["report"].as_slice(),
        &["report", "--json"],
        &["status"],
        &["mapping", "template"],
        &["profile", "show", "icechat"],
    ] {
        let mut child = firm.command(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{verb:?}: {output:?}");
    }
}

fn demo(dir: &Path, messages: &str, code: i32) -> Said {
    Said::to(&["demo", "--dir", dir.to_str().unwrap(), "--messages", messages]).expect(code)
}

#[test]
fn the_demo_shows_the_whole_job_and_its_instructions_work() {
    let parent = tempfile::tempdir().unwrap();
    // A name that a shell would take apart.
    let dir = parent.path().join("it's a demo");
    let said = demo(&dir, "50", 0);
    assert!(said.out.contains("One item is held") && said.out.contains("dora.diaz@contoso.com"), "{said:?}");
    let before = staged(&dir.join("staging"));
    let items = |dir: &Path| {
        let all = staged(&dir.join("staging"));
        let ids = all.values().map(|eml| header(eml, "X-ICE-Chat-Item-ID").unwrap());
        ids.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(items(&dir), 49);

    // Exactly the lines that are shown, by a shell.
    let commands: Vec<&str> =
        said.out.lines().map(str::trim).filter(|line| line.starts_with("echo ") || line.ends_with(" replay")).collect();
    assert_eq!(commands.len(), 2, "{said:?}");
    let replayed = Command::new("sh").arg("-ec").arg(commands.join("\n")).output().unwrap();
    assert!(replayed.status.success(), "{replayed:?}");
    assert_eq!(items(&dir), 50);
    let after = staged(&dir.join("staging"));
    assert!(before.iter().all(|(place, eml)| after.get(place) == Some(eml)));
    assert!(after.keys().any(|(mailbox, _)| mailbox == "sam.new@contoso.com"));
    let config = dir.join("config.toml");
    let mapping: [&[&str]; 3] = [&["mapping", "unresolved"], &["mapping", "externals"], &["mapping", "history"]];
    for verb in [["status"].as_slice(), &["report"], &["verify"]].into_iter().chain(mapping) {
        Said::to(&[verb, &["-c", config.to_str().unwrap()]].concat()).expect(0);
    }

    // Again in the same place: all anew.
    demo(&dir, "3", 0);
    assert_eq!(items(&dir), 2);
}

#[test]
fn the_demo_takes_any_number_of_messages() {
    for messages in [1, 2, 3000] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("demo");
        let said = demo(&dir, &messages.to_string(), 0);
        assert!(
            said.out.contains(&format!("{messages} items available = {} staged + 1 held", messages - 1)),
            "{said:?}"
        );
        assert_eq!(staged(&dir.join("staging")).is_empty(), messages == 1);
    }
}

#[test]
fn the_demo_removes_nothing_that_it_did_not_make() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "mine").unwrap();
    let said = demo(dir.path(), "5", 1);
    assert!(said.err.contains("--dir"), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert_eq!(fs::read(dir.path().join("config.toml")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    demo(&dir.path().join("config.toml"), "5", 1);
    demo(&dir.path().join("missing/demo/\0"[..12].trim_end_matches('\0')), "5", 0);

    let empty = tempfile::tempdir().unwrap();
    fs::set_permissions(empty.path(), fs::Permissions::from_mode(0o770)).unwrap();
    demo(empty.path(), "5", 0);
    assert_eq!(
        empty.path().metadata().unwrap().permissions().mode() & 0o777,
        0o750,
        "only what is too much is taken away"
    );
    fs::write(empty.path().join("notes.txt"), "mine").unwrap();
    demo(empty.path(), "5", 0);
    assert_eq!(fs::read(empty.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn mappings_are_checked_without_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let template = write("template.csv", &Said::to(&["mapping", "template"]).expect(0).out);
    let said = Said::to(&["mapping", "check", &template]).expect(0);
    assert!(said.out.starts_with("ok: ") && !said.out.starts_with("ok: 0"), "{said:?}");

    let one = write("one.csv", "ImId,Mailbox\na1,amy@contoso.com\n");
    let two = write("two.csv", "ImId;Mailbox\nA1;joe@contoso.com\nb2;\n");
    Said::to(&["mapping", "check", &one]).expect(0);
    let said = Said::to(&["mapping", "check", &one, &two]).expect(1);
    assert!(said.out.contains("two.csv:2") && said.out.contains("two.csv:3"), "{said:?}");
    let facts = Said::to(&["mapping", "check", "--json", &one, &two]).expect(1).json();
    assert_eq!((&facts["valid"], facts["errors"].as_array().unwrap().len()), (&false.into(), 2));
    let said = Said::to(&["mapping", "check", "/nowhere/desk.csv"]).expect(1);
    assert!(said.err.contains("/nowhere/desk.csv") && said.out.is_empty(), "{said:?}");
}

#[test]
fn whoever_is_unresolved_can_be_filled_in_and_dropped() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    let nameless = export(&message("m-9", "typo@contoso.com", &["nils@northern.example"], "hello"));
    firm.deliver_export("nameless.xml.pgp", &nameless);
    firm.run(&["ingest"]).expect(3);
    let said = firm.run(&["mapping", "unresolved"]).expect(0);
    let rows: Vec<&str> = said.out.lines().collect();
    assert_eq!(rows.len(), 2, "{said:?}");
    assert!(rows[0].starts_with("ImId,Mailbox,") && rows[1].starts_with("ghost1,,"), "{said:?}");
    assert!(said.err.contains("fill in Mailbox") && said.err.contains("typo@contoso.com has no ImId"), "{said:?}");

    // The sample's own row for this ImId leads to nobody valid; one ImId has one mailbox.
    let desk = fs::read_to_string(sample("mapping.csv")).unwrap();
    let desk: String = desk.lines().filter(|row| !row.starts_with("ghost1")).flat_map(|row| [row, "\n"]).collect();
    firm.map("desk.csv", &desk);
    firm.map("unresolved.csv", &said.out.replace("ghost1,,", "ghost1,joe.baker@contoso.com,"));
    let report = firm.replay(3);
    assert_eq!(report["items"]["staged"], 1);
    let said = firm.run(&["mapping", "unresolved"]).expect(0);
    assert_eq!(said.out.lines().count(), 1, "{said:?}");

    let nobody = Firm::new();
    assert!(nobody.run(&["mapping", "unresolved"]).expect(0).err.contains("everybody of ours has a mailbox"));

    let strangers = "<Conversation><RoomID>R</RoomID><Message><MessageID>m</MessageID><ImId>ghost1</ImId>\
                     <SenderEmail>ghost@northern.example</SenderEmail><DateTimeUTC>2026-11-19T13:01:00Z</DateTimeUTC>\
                     <Content>c</Content></Message></Conversation>";
    nobody.deliver("s.pgp", &nobody.encrypt(&format!("<IceChatExport>{strangers}</IceChatExport>")));
    nobody.ingest(3);
    let said = nobody.run(&["mapping", "unresolved"]).expect(0).err;
    assert!(said.contains("items are held (1) whose people all look external"), "{said}");
}

#[test]
fn what_is_no_day_no_number_and_no_file_is_named_in_plain_words() {
    let firm = Firm::new();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["alert", "ack", "1", "--until", "soon"], 2, "no day; write it as in 2026-12-24"),
        (&["keys", "extend", "--until", "soon", "handout"], 2, "no day; write it as in 2026-12-24"),
        (&["alert", "ack", "one", "--until", "2099-01-01"], 2, "no number; icechatd alert list shows them"),
        (&["mapping", "check", "mapping"], 1, "mapping is a folder; name the files in it"),
    ];
    for (arguments, code, words) in cases {
        let said = firm.run(arguments).expect(code).err;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(firm.run(&["alert", "list"]).expect(0).err.contains("no daemon is running"));
}

#[test]
fn profiles_are_listed_shown_and_held_against_exports() {
    assert!(Said::to(&["profile", "list"]).expect(0).out.lines().any(|name| name == "icechat"));
    let shown = Said::to(&["profile", "show", "icechat"]).expect(0).out;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.toml");
    fs::write(&path, &shown).unwrap();
    assert_eq!(Said::to(&["profile", "show", path.to_str().unwrap()]).expect(0).out, shown);
    let said = Said::to(&["profile", "show", "nonsense"]).expect(1);
    assert!(said.err.contains("icechatd profile list"), "{said:?}");

    let firm = Firm::of_the_samples();
    let plain = sample("icechat.xml");
    let sealed = firm.path("icechat.xml.pgp");
    fs::write(&sealed, firm.encrypt(&sample_export())).unwrap();
    let of_plain = Said::to(&["profile", "lint", "--json", plain.to_str().unwrap()]).expect(0).json();
    assert_eq!(of_plain["items"], 5, "{of_plain:#}");
    assert_eq!(firm.run(&["profile", "lint", "--json", sealed.to_str().unwrap()]).expect(0).json(), of_plain);
    let text =
        firm.run(&["profile", "lint", "--profile", path.to_str().unwrap(), sealed.to_str().unwrap()]).expect(0).out;
    assert!(text.contains("items        5") && !text.contains("Done & filled"), "{text}");
    let cut = firm.path("cut.xml");
    fs::write(&cut, &sample_export()[..900]).unwrap();
    Said::to(&["profile", "lint", cut.to_str().unwrap()]).expect(1);
    Said::to(&["profile", "lint", "/nowhere/export.xml"]).expect(1);
    let said = Said::to(&["profile", "lint", sealed.to_str().unwrap(), "-c", "/nowhere/config.toml"]).expect(78);
    assert!(said.err.contains("/nowhere/config.toml"), "{said:?}");
}

#[test]
fn reports_are_found_by_name() {
    let firm = Firm::new();
    let said = firm.run(&["report"]).expect(1);
    assert!(said.err.contains("there is no record of a run"), "{said:?}");
    firm.deliver_export("1.xml.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    let first = firm.ingest(0);
    let second = firm.ingest(0);
    let name = first["run"].as_str().unwrap();
    assert_ne!(first["run"], second["run"]);
    assert_eq!(firm.run(&["report", "--json"]).expect(0).json()["run"], second["run"]);
    let again = firm.run(&["report", name, "--json"]).expect(0).json();
    assert_eq!((&again["files"], &again["items"]), (&first["files"], &first["items"]));
    assert!(firm.run(&["report", name]).expect(0).out.contains("1.xml.pgp  staged  2026-11-19"));
    let said = firm.run(&["report", "20010101T000000Z"]).expect(1);
    assert!(said.err.contains("20010101T000000Z"), "{said:?}");

    let listed = firm.run(&["report", "list", "--json"]).expect(0).json();
    let runs = listed["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[0]["run"], &runs[1]["run"]), (&first["run"], &second["run"]));
    assert_eq!((&runs[0]["items"], &runs[0]["placements"]), (&first["items"], &first["placements"]));
    assert_eq!((&runs[0]["files"], &runs[1]["files"]), (&1.into(), &0.into()));
    assert_eq!((&runs[0]["verb"], &runs[0]["outcome"]), (&first["verb"], &first["outcome"]));
    assert!(runs[0]["invoked_by"].is_string() && runs[0]["started"] == first["started"]);
    let text = firm.run(&["report", "list"]).expect(0).out;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with(name), "{text}");
    let later = firm.run(&["report", "list", "--since", "2999-01-01"]).expect(0).out;
    assert_eq!(later.trim(), "no run is recorded");
}

#[test]
fn keys_are_made_once_and_shown_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "[keys]\n").unwrap();
    let run = |arguments: &[&str]| Said::to(&[arguments, &["-c", config.to_str().unwrap()]].concat());
    let said = run(&["keys", "show"]).expect(1);
    assert!(said.err.contains("no credential ssh-key"), "{said:?}");
    let said = run(&["keys", "init"]).expect(0);
    assert_eq!(said.out.matches(": made: ").count(), 2, "{said:?}");
    let before = fs::read(dir.path().join("pgp-key")).unwrap();
    let said = run(&["keys", "init"]).expect(0);
    assert_eq!(said.out.matches(": kept as it is: ").count(), 2, "{said:?}");
    assert_eq!(fs::read(dir.path().join("pgp-key")).unwrap(), before);
    let shown = run(&["keys", "show"]).expect(0).out;
    assert!(shown.contains("ssh-ed25519 ") && shown.contains("expires "), "{shown}");
    assert!(!shown.contains("PRIVATE"), "{shown}");
    let handouts = dir.path().join("handouts");
    let said = run(&["keys", "export", handouts.to_str().unwrap()]).expect(0);
    assert!(
        said.err.contains("site.firm_code is not set") && said.err.contains("site.egress_ip is not set"),
        "{said:?}"
    );
    for name in ["ssh-public-key.pub", "pgp-public-key.asc", "egress-ip.txt", "README.txt"] {
        assert!(!fs::read_to_string(handouts.join(name)).unwrap().contains("PRIVATE"), "{name}");
    }
}

#[test]
fn status_says_how_things_stand_before_during_and_after_a_run() {
    let firm = Firm::new();
    let said = firm.run(&["status"]).expect(0);
    assert!(said.out.contains("last run   none yet") && said.out.contains("not running"), "{said:?}");
    assert!(!firm.path("state").exists(), "status makes nothing");
    let mut records = String::new();
    for number in 0..10_000 {
        records += &message(&format!("m-{number}"), "amy@contoso.com", &["joe@contoso.com"], "10 lots");
    }
    firm.deliver_export("large.xml.pgp", &export(&records));
    let mut run = firm.command(&["ingest"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !has_begun_staging(&firm.path("staging")) {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before it staged");
    }
    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!(facts["working"], true, "{facts:#}");
    assert_eq!(facts["in_flight"]["file"], "large.xml.pgp", "{facts:#}");
    assert_eq!(facts["in_flight"]["total"], 10_000, "{facts:#}");
    assert!(facts["in_flight"]["done"].as_u64().unwrap() < 10_000, "{facts:#}");
    assert!(firm.run(&["status"]).expect(0).out.contains("large.xml.pgp: "));
    let busy = firm.run(&["ingest"]).expect(75);
    assert!(busy.err.contains("another icechatd is working"), "{busy:?}");
    assert!(run.wait().unwrap().success());
    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!((&facts["working"], &facts["in_flight"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(facts["last_run"]["items"]["staged"], 10_000);
    assert!(firm.run(&["status"]).expect(0).out.contains("nothing needs a person"));
}

#[test]
fn what_is_neither_xml_nor_openpgp_needs_no_configuration_to_be_said() {
    let dir = tempfile::tempdir().unwrap();
    for content in ["", "hello"] {
        let path = dir.path().join("export");
        fs::write(&path, content).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_icechatd")).args(["profile", "lint"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("neither XML nor an OpenPGP message"));
    }
}

#[test]
fn names_from_outside_cannot_steer_a_terminal() {
    let firm = Firm::new();
    let name = "Eve\u{9b}31m\u{202e}Adams";
    let message = message("m-1", "nobody@contoso.com.", &[], "hi");
    let message = message.replace("<SenderEmail>", &format!("<ImId>{name}</ImId><SenderEmail>"));
    firm.deliver_export("1.xml.pgp", &export(&message));
    firm.run(&["ingest"]).expect(3);
    for verb in [["report"].as_slice(), &["mapping", "unresolved"]] {
        let said = firm.run(verb).expect(0);
        assert!(said.out.contains("Eve\u{fffd}31m\u{fffd}Adams"), "{}", said.out);
    }
}

#[test]
fn status_names_what_needs_a_person_after_later_runs_too() {
    let firm = Firm::new();
    firm.deliver("bad.pgp", b"garbage");
    firm.deliver_export("rejected.pgp", &export("<Message><ImId>amy</ImId></Message>"));
    firm.run(&["ingest"]).expect(3);
    firm.run(&["ingest"]).expect(3);
    let said = firm.run(&["status"]).expect(0);
    assert!(said.out.contains("bad.pgp: ") && said.out.contains("rejected.pgp line 1: "), "{}", said.out);
}
