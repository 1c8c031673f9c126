//! What upsets the order of things: originals that rot, configuration that changes under a run that died, retention, a
//! clock that was wrong. Nothing is lost over it, and nothing passes in silence.

use crate::support;

use std::fs;

use rusqlite::Connection;
use support::firm::{Firm, Settings, assert_balanced, export, message};
use support::gpg::Encrypt;

const AMY: &str = "amy@contoso.com";
const OLA: &str = "ola@partner.example";

fn originals(firm: &Firm) -> Vec<std::path::PathBuf> {
    fs::read_dir(firm.path("state/originals")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn ledger(firm: &Firm) -> Connection {
    Connection::open(firm.path("state/ledger.db")).unwrap()
}

/// Ola is nobody's matter until a mapping names her; then her copies need the original.
#[test]
fn a_replay_that_cannot_read_its_original_is_a_matter_for_a_person_until_it_can() {
    let firm = Firm::new();
    let text = message("m-1", AMY, &[OLA], "hello")
        .replace("<RecipientEmail>", "<Recipient><ImId>ola</ImId><RecipientEmail>")
        .replace("</RecipientEmail>", "</RecipientEmail></Recipient>");
    firm.deliver_export("day.xml.pgp", &export(&text));
    firm.ingest(0);
    let path = originals(&firm).remove(0);
    let whole = fs::read(&path).unwrap();
    for damaged in [Some(b"rotten".as_slice()), None] {
        match damaged {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        firm.map("desk.csv", "ImId,Mailbox\nola,ola@contoso.com\n");
        let report = firm.replay(3);
        let reason = report["files"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("day.xml.pgp cannot be read again"), "{reason}");
        assert_eq!(report["needs"]["failed_replays"], 1);
        firm.run(&["verify"]).expect(1);
        assert_eq!(firm.run(&["ingest"]).code, 3);
    }
    // The same bytes from anybody's hand put it right.
    let again = firm.path("again.pgp");
    fs::write(&again, whole).unwrap();
    firm.run(&["ingest", again.to_str().unwrap()]).expect(3);
    let report = firm.replay(0);
    assert_eq!(report["placements"]["staged"], 1);
    assert_eq!(firm.placements()["m-1"].len(), 2);
    firm.run(&["verify"]).expect(0);
}

/// A run that died is finished with what it recorded: neither new signers nor lower caps stop it half way.
#[test]
fn a_half_staged_export_is_finished_whatever_the_configuration_says_by_then() {
    let undisturbed = Firm::of_the_samples();
    let sample = support::firm::sample_export();
    undisturbed.deliver_export("icechat.xml.pgp", &sample);
    undisturbed.ingest(3);

    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample);
    firm.ingest(3);
    // As if the machine had died just before the commit.
    firm.rewrite_ledger(
        "DELETE FROM items; DELETE FROM message_keys; DELETE FROM unplaced; DELETE FROM manifests;
         DELETE FROM run_files; UPDATE files SET state = 'staging', committed = NULL;",
    );
    let stranger = firm.gpg.generate("Stranger <stranger@example.com>", "");
    fs::write(firm.path("signer.asc"), firm.gpg.export(&stranger)).unwrap();
    firm.configure(&Settings {
        keys: "signers = [\"signer.asc\"]\n".to_owned(),
        mailboxes: "domains = [\"other.example\"]\n".to_owned(),
        more: "[eml]\nfooter = false\n[limits]\nmax_plaintext = \"10B\"\n".to_owned(),
        ..Settings::default()
    });
    firm.map("desk.csv", "ImId,Mailbox\n");
    let report = firm.ingest(3);
    assert_eq!(report["items"]["available"], 5, "{report:#}");
    assert_eq!(report["files"][0]["signed_by"], "unsigned");
    assert_eq!(firm.staged(), undisturbed.staged());
    firm.run(&["verify"]).expect(0);
}

#[test]
fn retention_removes_only_what_nothing_needs() {
    let firm = Firm::new();
    let old = Settings { more: "originals_days = 30\n".to_owned(), ..Settings::default() };
    firm.configure(&old);
    firm.deliver_export("1-done.xml.pgp", &export(&message("m-1", AMY, &[OLA], "all placed")));
    firm.deliver_export("2-held.xml.pgp", &export(&message("m-2", OLA, &["nils@partner.example"], "nobody of ours")));
    firm.deliver_export(
        "3-names-more.xml.pgp",
        &export(&message("m-2", OLA, &["nils@partner.example", "x@partner.example"], "nobody of ours")),
    );
    firm.deliver_export("4-unresolved.xml.pgp", &export(&message("m-4", AMY, &["who@contoso.com."], "malformed")));
    firm.deliver_export(
        "5-rejected.xml.pgp",
        &export(&format!("{}<Message><ImId>a</ImId></Message>", message("m-5", AMY, &[OLA], "x"))),
    );
    firm.ingest(3);
    assert_eq!(originals(&firm).len(), 5);
    firm.ingest(3);
    assert_eq!(originals(&firm).len(), 5, "nothing is old enough");
    ledger(&firm).execute("UPDATE files SET committed = committed - 31 * 86400", []).unwrap();
    firm.ingest(3);
    let gone: Vec<String> = ledger(&firm)
        .prepare("SELECT name FROM files WHERE original_removed IS NOT NULL")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(gone, ["1-done.xml.pgp"]);
    assert_eq!(originals(&firm).len(), 4);
    firm.run(&["verify"]).expect(0);
    // What retention removed is not brought back by the site's copy.
    firm.deliver("1-again.xml.pgp", &fs::read(firm.sshd.root().join("1-done.xml.pgp")).unwrap());
    firm.ingest(3);
    assert_eq!(originals(&firm).len(), 4);
}

#[test]
fn an_unreadable_file_by_hand_keeps_no_other() {
    let firm = Firm::new();
    for name in ["a", "c"] {
        fs::write(firm.path(name), firm.encrypt(&export(&message(name, AMY, &[], "hi")))).unwrap();
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| firm.path(name).to_str().unwrap().to_owned());
    let said = firm.run(&["ingest", "--json", &a, &b, &c]).expect(1);
    assert!(said.err.contains("/b: No such file"), "{}", said.err);
    let report = said.json();
    assert_balanced(&report);
    assert_eq!(report["outcome"], "failed");
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["a", "c"]);
}

/// A file that a person brings says nothing of another that bore its name; a file at the site does.
#[test]
fn only_the_site_settles_a_held_file_and_the_report_says_which() {
    let firm = Firm::new();
    let (monday, tuesday) = (firm.path("monday"), firm.path("tuesday"));
    let good = firm.encrypt(&export(&message("m-1", AMY, &[], "good")));
    for (folder, bytes) in [(&monday, b"garbage".as_slice()), (&tuesday, &good)] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("export.pgp"), bytes).unwrap();
    }
    firm.run(&["ingest", monday.join("export.pgp").to_str().unwrap()]).expect(3);
    firm.run(&["ingest", tuesday.join("export.pgp").to_str().unwrap()]).expect(3);

    let firm = Firm::new();
    firm.deliver("export.pgp", b"garbage");
    let held = firm.ingest(3)["files"][0]["sha256"].clone();
    firm.deliver_export("export.pgp", &export(&message("m-1", AMY, &[], "good")));
    let report = firm.ingest(0);
    assert_eq!(report["files"][0]["supersedes"][0], held);
}

/// The mapping moved Pat between two exports, and the second gives Pat an e-mail as well: Pat was named already.
#[test]
fn a_reissue_that_adds_an_email_names_nobody_new() {
    let firm = Firm::new();
    let of = |email: &str| {
        let recipient = format!("<Recipient><ImId>pat</ImId>{email}</Recipient>");
        export(&message("m-1", AMY, &[], "hi").replace("<DateTimeUTC>", &format!("{recipient}<DateTimeUTC>")))
    };
    firm.map("desk.csv", "ImId,Mailbox\npat,pat@contoso.com\n");
    firm.deliver_export("1.xml.pgp", &of(""));
    firm.ingest(0);
    let staged = firm.staged();
    firm.map("desk.csv", "ImId,Mailbox\npat,other@contoso.com\n");
    firm.deliver_export("2.xml.pgp", &of("<RecipientEmail>pat@contoso.com</RecipientEmail>"));
    firm.ingest(0);
    assert_eq!(firm.staged(), staged);
}

/// A dry run of several exports, the second of which names others for a held item of the first.
#[test]
fn a_dry_run_of_several_exports_keeps_its_books() {
    let firm = Firm::new();
    let paths: Vec<String> = [
        export(&message("m-1", OLA, &["nils@partner.example"], "hi")),
        export(&(message("m-0", AMY, &[], "other") + &message("m-1", OLA, &["nils@partner.example", AMY], "hi"))),
    ]
    .iter()
    .enumerate()
    .map(|(number, xml)| {
        let path = firm.path(&format!("{number}.pgp"));
        fs::write(&path, firm.encrypt_how(xml, &Encrypt::default())).unwrap();
        path.to_str().unwrap().to_owned()
    })
    .collect();
    let report = firm.run(&["ingest", "--dry-run", "--json", &paths[0], &paths[1]]).expect(3).json();
    assert_balanced(&report);
    assert_eq!(report["items"]["available"], 3);
    assert_eq!((&report["items"]["held"], &report["items"]["duplicate"]), (&1.into(), &1.into()));
}

/// A clock that once ran ahead keeps no later run away.
#[test]
fn a_run_in_the_future_counts_for_nothing() {
    let firm = Firm::new();
    firm.ingest(0);
    ledger(&firm).execute("UPDATE runs SET started = started + 864000", []).unwrap();
    let read = icechatd::ledger::Ledger::read(&firm.path("state")).unwrap().unwrap();
    let now = jiff::Timestamp::now();
    assert_eq!(read.last_done_at_site(now).unwrap(), None);
}

/// What an export skipped named nobody: a later one that brings the item gives everyone their copies.
#[test]
fn whom_a_skipped_item_named_still_gets_a_copy() {
    let (joe, pat, wei) = ("joe@contoso.com", "pat@contoso.com", "wei@contoso.com");
    let early = |to: &[&str]| message("m-x", AMY, to, "early").replace("2026-11-19T", "2026-11-18T");
    let firm = Firm::new();
    let from_the_19th = "settle = \"0s\"\ninitial_date = \"2026-11-19\"\n".to_owned();
    firm.configure(&Settings { site: from_the_19th, ..Settings::default() });
    firm.deliver_export("1.xml.pgp", &export(&(early(&[pat]) + &message("m-y", AMY, &[joe], "late"))));
    assert_eq!(firm.ingest(0)["items"]["skipped"], 1);
    firm.configure(&Settings::default());
    let again = early(&[joe]) + &early(&[joe, pat]) + &message("m-y", AMY, &[joe, wei], "late");
    firm.deliver_export("2.xml.pgp", &export(&again));
    firm.ingest(0);
    let placements = firm.placements();
    assert_eq!(placements["m-x"].iter().map(String::as_str).collect::<Vec<_>>(), [AMY, joe, pat]);
    assert_eq!(placements["m-y"].iter().map(String::as_str).collect::<Vec<_>>(), [AMY, joe, wei]);
}
