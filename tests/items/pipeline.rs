//! The daily job from a real site to staging: what is placed where, and what the books say.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use support::firm::{Firm, assert_balanced, body, export, header, message, sample, sample_export};
use support::gpg::Encrypt;

/// `expected-icechat.tsv`: MessageID, outcome, mailboxes.
fn expected() -> BTreeMap<String, BTreeSet<String>> {
    let table = fs::read_to_string(sample("expected-icechat.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[1] == "staged")
        .map(|row| (row[0].to_owned(), row[2].split(',').map(str::to_owned).collect()))
        .collect()
}

fn set(mailboxes: &[&str]) -> BTreeSet<String> {
    mailboxes.iter().map(|mailbox| (*mailbox).to_owned()).collect()
}

#[test]
fn the_samples_go_where_the_rules_say() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    let report = firm.ingest(3);
    assert_eq!(firm.placements(), expected());
    assert_eq!(report["items"]["available"], 5);
    assert_eq!(report["items"]["staged"], 4);
    assert_eq!(report["items"]["held"], 1);
    assert_eq!(report["placements"]["staged"], 7);
    assert_eq!(report["outcome"], "attention");
    assert_eq!(report["files"][0]["date"], "2026-11-19");
    assert_eq!(report["files"][0]["signed_by"], "unsigned");
    let unresolved = &report["unresolved"];
    assert_eq!(unresolved.as_array().unwrap().len(), 1, "{unresolved:#}");
    assert_eq!(unresolved[0]["im_id"], "ghost1");
    firm.run(&["verify"]).expect(0);
}

#[test]
fn what_is_staged_reads_back_as_it_was_said() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    let staged = firm.staged();
    let of = |id: &str| {
        let found = staged.values().find(|eml| header(eml, "X-ICE-Chat-Message-ID").as_deref() == Some(id));
        found.unwrap_or_else(|| panic!("{id} is not staged"))
    };
    assert!(body(of("m-1")).starts_with("Jan/Feb <roll> 2.25 bid & offered 2.50 – 10 lots\n-- \n"));
    assert!(body(of("m-2")).starts_with("Done & filled <10>.\nSecond line: Grüße, 価格 ✓\n-- \n"));
    assert_eq!(header(of("m-1"), "Subject").unwrap(), "ICE Chat: Gasoil & Jet [ROOM-1001]");
}

/// The whole way to the byte: what a release stages today, the next one must stage as well, or every re-issue doubles.
/// `ICECHATD_REGENERATE=1` writes the golden files anew.
#[test]
fn the_samples_emls_are_the_golden_ones() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    let staged = firm.staged();
    let mut names = BTreeSet::new();
    for ((mailbox, name), bytes) in &staged {
        let id = header(bytes, "X-ICE-Chat-Message-ID").unwrap();
        let golden = sample(&format!("staged/{id}.eml"));
        if std::env::var_os("ICECHATD_REGENERATE").is_some() {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, bytes).unwrap();
        }
        assert_eq!(bytes, &fs::read(&golden).unwrap(), "{id} in {mailbox}");
        names.insert(name.clone());
    }
    assert_eq!(
        names.iter().map(String::as_str).collect::<Vec<_>>(),
        include_str!("../fixtures/samples/staged/names.txt").lines().collect::<Vec<_>>()
    );
}

/// As a sender may encrypt: each gives the very same EMLs.
#[test]
fn any_way_of_encrypting_gives_the_same() {
    let reference = Firm::of_the_samples();
    reference.deliver_export("icechat.xml.pgp", &sample_export());
    reference.ingest(3);
    let firm = Firm::of_the_samples();
    let us = firm.recipient();
    let other = firm.gpg.generate("Somebody else <else@northern.example>", "");
    let both = [us.as_str(), other.as_str()];
    let hidden = [us.as_str()];
    let plain = Encrypt::default();
    for (name, how) in [
        ("zlib", Encrypt { compress: Some("zlib"), ..plain.clone() }),
        ("bzip2", Encrypt { compress: Some("bzip2"), ..plain.clone() }),
        ("none", Encrypt { compress: Some("none"), ..plain.clone() }),
        ("armoured", Encrypt { armour: true, ..plain.clone() }),
        ("several", Encrypt { recipients: &both, ..plain.clone() }),
        ("hidden", Encrypt { hidden: &hidden, ..plain.clone() }),
        ("signed", Encrypt { sign_with: Some(&other), ..plain.clone() }),
    ] {
        let _ = fs::remove_dir_all(firm.path("state"));
        let _ = fs::remove_dir_all(firm.path("staging"));
        firm.deliver("icechat.xml.pgp", &firm.encrypt_how(&sample_export(), &how));
        firm.ingest(3);
        assert_eq!(firm.staged(), reference.staged(), "{name}");
    }
}

#[test]
fn a_second_run_does_nothing() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    let staged = firm.staged();
    let report = firm.ingest(3);
    assert_eq!(report["files"].as_array().unwrap().len(), 0);
    assert_eq!(report["items"]["available"], 0);
    assert_eq!(firm.staged(), staged);
}

#[test]
fn the_same_content_under_another_name_is_all_duplicates() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("one.xml.pgp", &sample_export());
    firm.ingest(3);
    let staged = firm.staged();
    fs::copy(firm.sshd.root().join("one.xml.pgp"), firm.sshd.root().join("same-bytes.xml.pgp")).unwrap();
    firm.deliver_export("encrypted-again.xml.pgp", &sample_export());
    let report = firm.ingest(3);
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert_eq!(report["items"]["available"], 10);
    assert_eq!(report["items"]["duplicate"], 10);
    assert_eq!(report["placements"]["staged"], 0);
    assert_eq!(firm.staged(), staged);
}

#[test]
fn further_recipients_of_a_reissue_get_their_copies() {
    let firm = Firm::new();
    let (amy, joe, wei) = ("amy@contoso.com", "joe@contoso.com", "wei@contoso.com");
    firm.deliver_export("1.xml.pgp", &export(&message("m-1", amy, &[joe], "hello")));
    firm.ingest(0);
    let first = firm.staged();
    firm.deliver_export("2.xml.pgp", &export(&message("m-1", amy, &[joe, wei], "hello")));
    let report = firm.ingest(0);
    assert_eq!(report["items"]["duplicate"], 1);
    assert_eq!(report["placements"]["staged"], 1);
    assert_eq!(firm.placements()["m-1"], set(&[amy, joe, wei]));
    assert!(first.iter().all(|(place, eml)| firm.staged().get(place) == Some(eml)), "the first copies changed");
    firm.deliver_export("3.xml.pgp", &export(&message("m-1", amy, &[wei, joe], "hello")));
    let report = firm.ingest(0);
    assert_eq!(report["items"]["duplicate"], 1);
    assert_eq!(report["placements"]["staged"], 0);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn the_same_message_id_with_other_text_is_staged_and_reported() {
    let firm = Firm::new();
    let (amy, joe) = ("amy@contoso.com", "joe@contoso.com");
    firm.deliver_export("1.xml.pgp", &export(&message("m-1", amy, &[joe], "10 lots")));
    firm.ingest(0);
    firm.deliver_export("2.xml.pgp", &export(&message("m-1", amy, &[joe], "100 lots")));
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(report["changed"], 1);
    assert_eq!(firm.staged().len(), 4);
}

/// A correction may move a message over midnight; the same id days later is a vendor counting from 1 again.
#[test]
fn a_changed_message_is_one_of_the_same_day_or_the_next() {
    for (time, changed) in [("2026-11-18T23:59:59Z", 1), ("2026-11-20T00:00:01Z", 1), ("2026-11-22T13:00:00Z", 0)] {
        let firm = Firm::new();
        let said = message("m-1", "amy@contoso.com", &[], "hi");
        firm.deliver_export("1.xml.pgp", &export(&said));
        firm.ingest(0);
        firm.deliver_export("2.xml.pgp", &export(&said.replace("2026-11-19T13:00:00Z", time)));
        assert_eq!(firm.ingest(0)["changed"], changed, "{time}");
    }
}

#[test]
fn equal_messages_without_id_stay_two_and_an_id_in_two_rooms_is_two() {
    let firm = Firm::new();
    let (amy, joe) = ("amy@contoso.com", "joe@contoso.com");
    let same = message("", amy, &[joe], "ok");
    let text = export(&format!("{same}{same}"));
    firm.deliver_export("1.xml.pgp", &text);
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 2);
    assert_eq!(firm.staged().len(), 4);
    firm.deliver_export("2.xml.pgp", &text);
    assert_eq!(firm.ingest(0)["items"]["duplicate"], 2);

    let one = export(&message("m-1", amy, &[joe], "hi"));
    let two = one.replace("R-1", "R-2");
    firm.deliver_export("3.xml.pgp", &one);
    firm.deliver_export("4.xml.pgp", &two);
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 2);
    assert_eq!(report["changed"], 0);
}

#[test]
fn a_name_with_new_content_is_taken_again() {
    let firm = Firm::new();
    let (amy, joe) = ("amy@contoso.com", "joe@contoso.com");
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", amy, &[joe], "first")));
    firm.ingest(0);
    firm.deliver_export(
        "day.xml.pgp",
        &export(&(message("m-1", amy, &[joe], "first") + &message("m-2", amy, &[joe], "second"))),
    );
    let report = firm.ingest(0);
    assert_eq!((&report["items"]["staged"], &report["items"]["duplicate"]), (&1.into(), &1.into()));
}

#[test]
fn a_damaged_file_is_held_and_the_others_go_on() {
    let firm = Firm::new();
    let good = export(&message("m-1", "amy@contoso.com", &["joe@contoso.com"], "fine"));
    let mut bad = firm.encrypt(&export(&message("m-2", "amy@contoso.com", &[], "lost")));
    let middle = bad.len() - 20;
    bad[middle] ^= 1;
    firm.deliver("a-bad.xml.pgp", &bad);
    firm.deliver_export("b-good.xml.pgp", &good);
    let report = firm.ingest(3);
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    let held = files.iter().find(|file| file["name"] == "a-bad.xml.pgp").unwrap();
    assert_eq!(held["state"], "held");
    assert!(!held["reason"].as_str().unwrap().is_empty());
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["m-1"]);
    assert_eq!(firm.run(&["ingest"]).code, 3, "a held file stays a matter for a person");

    // The site replaces it by a good one of the same name: that settles the matter.
    firm.deliver_export("a-bad.xml.pgp", &export(&message("m-2", "amy@contoso.com", &[], "found")));
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 1);
}

#[test]
fn a_mapping_that_arrives_adds_what_was_missing_and_moves_nothing() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    let before = firm.staged();
    firm.map("new.csv", "ImId,Mailbox\nnils9,dora.diaz@contoso.com\n");
    // One ImId with two mailboxes would reject the set, so the row of the file before goes.
    let desk = fs::read_to_string(sample("mapping.csv")).unwrap();
    firm.map("desk.csv", &desk.replace("ghost1,nobody@contoso.com,Left the firm", "ghost1,joe.baker@contoso.com,Back"));
    let report = firm.replay(0);
    assert_eq!(report["items"]["available"], 1);
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(report["placements"]["staged"], 2);
    let mut expected = expected();
    expected.insert("m-4".to_owned(), set(&["joe.baker@contoso.com"]));
    expected.get_mut("m-5").unwrap().insert("dora.diaz@contoso.com".to_owned());
    assert_eq!(firm.placements(), expected);
    assert!(before.iter().all(|(place, eml)| firm.staged().get(place) == Some(eml)));

    // A later mapping moves an ImId: nothing that is staged moves with it.
    let staged = firm.staged();
    firm.map("desk.csv", &desk.replace("amy.adams@", "wei.chen@"));
    firm.replay(0);
    assert_eq!(firm.staged(), staged);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn local_files_are_taken_like_the_sites() {
    let firm = Firm::of_the_samples();
    let path = firm.path("by-hand.pgp");
    fs::write(&path, firm.encrypt(&sample_export())).unwrap();
    let report = firm.run(&["ingest", "--json", path.to_str().unwrap()]).expect(3).json();
    assert_balanced(&report);
    assert_eq!(firm.placements(), expected());
    assert_eq!(report["files"][0]["name"], "by-hand.pgp");
}

#[test]
fn a_dry_run_tells_and_leaves_nothing() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    let report = firm.run(&["ingest", "--dry-run", "--json"]).expect(3).json();
    assert_eq!(report["items"]["staged"], 4);
    assert_eq!(report["placements"]["staged"], 7);
    assert!(firm.staged().is_empty());
    firm.run(&["report"]).expect(1);
    firm.ingest(3);
    assert_eq!(firm.placements(), expected());
}
