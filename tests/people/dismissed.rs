//! `held`: what is held is listed with an ID, a person's decision ends the asking, and nothing else changes: what was
//! dismissed is still placed, read or tried again as far as the verb's words say.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::firm::{Firm, Settings, export, file, message};
use support::gpg::Encrypt;

const AMY: &str = "amy@contoso.com";
const OLA: &str = "ola@partner.example";
const PLANTED: &str = "sell all of it at 10";

/// A message from one `ImId` to others, none of whom has an e-mail.
fn between(id: &str, from: &str, to: &[&str]) -> String {
    let recipients: Vec<_> = to.iter().map(|to| format!("<Recipient><ImId>{to}</ImId></Recipient>")).collect();
    let recipients = recipients.concat();
    message(id, "", &[], PLANTED).replace("<SenderEmail></SenderEmail>", &format!("<ImId>{from}</ImId>{recipients}"))
}

/// A file of no use, an item between two people nobody knows, one of them in a staged item too, and a rejected record.
fn firm() -> Firm {
    let firm = Firm::new();
    firm.deliver("1-bad.pgp", b"garbage");
    let records = [
        between("m-1", "ghost1", &["ghost2"]),
        between("m-2", "ghost1", &["ghost1"]),
        message("m-3", AMY, &[OLA], PLANTED),
        format!("<Message><ImId>amy</ImId><Content>{PLANTED}</Content></Message>"),
    ];
    firm.deliver_export("2-day.pgp", &export(&records.concat()));
    firm
}

fn held(firm: &Firm) -> Value {
    firm.run(&["held", "list", "--json"]).expect(0).json()
}

fn item_ids(firm: &Firm) -> Vec<String> {
    let exports = held(firm)["items"].as_array().unwrap().clone();
    let items = exports.iter().flat_map(|export| export["items"].as_array().unwrap());
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn needs(firm: &Firm) -> Value {
    firm.run(&["status", "--json"]).expect(0).json()["needs"].clone()
}

fn dismiss(firm: &Firm, ids: &[&str]) -> String {
    let arguments = [&["held", "dismiss"], ids, &["--reason", "tested with the vendor"]].concat();
    firm.run(&arguments).expect(0).out
}

#[test]
fn what_is_held_is_listed_with_why_and_whom_and_never_what_was_said() {
    let firm = firm();
    assert_eq!(firm.run(&["held", "list"]).expect(0).out.trim(), "nothing is held that needs a person");
    firm.ingest(3);
    let (facts, said) = (held(&firm), firm.run(&["held", "list"]).expect(0).out);
    println!("{said}\n{facts:#}");
    let bad = &facts["files"][0];
    assert_eq!(bad["id"], format!("file:{}", &bad["sha256"].as_str().unwrap()[..12]));
    assert!(said.contains(bad["id"].as_str().unwrap()) && said.contains("1-bad.pgp"));
    assert!(said.contains(bad["reason"].as_str().unwrap()));
    let export = &facts["items"][0];
    assert_eq!((&export["export"], &export["date"]), (&"2-day.pgp".into(), &"2026-11-19".into()));
    let people = |item: &Value| {
        let names =
            item["participants"].as_array().unwrap().iter().map(|who| who["im_id"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let circles: BTreeSet<_> = export["items"].as_array().unwrap().iter().map(people).collect();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(circles, [set(&["ghost1"]), set(&["ghost1", "ghost2"])].into());
    let record = &facts["records"][0];
    assert_eq!(record["id"], format!("record:{}:3", &export["sha256"].as_str().unwrap()[..12]));
    assert!(said.contains("ghost2") && said.contains(record["reason"].as_str().unwrap()), "{said}");
    assert!(!said.contains(PLANTED) && !facts.to_string().contains(PLANTED));
}

/// A person decided about whom they were shown; somebody whom a later export names beside them was not.
#[test]
fn whom_a_later_export_names_is_asked_about() {
    let firm = Firm::new();
    firm.deliver_export("1-day.pgp", &export(&between("m-1", "ghost1", &["ghost2"])));
    firm.ingest(3);
    dismiss(&firm, &[&item_ids(&firm)[0]]);
    assert_eq!(needs(&firm)["unresolved"], 0);
    // The ledger's times are whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    firm.deliver_export("2-again.pgp", &export(&between("m-1", "ghost1", &["ghost2", "late1"])));
    let report = firm.ingest(3);
    let needs = &report["needs"];
    assert_eq!((&needs["held_items"], &needs["unresolved"]), (&0.into(), &1.into()), "{report:#}");
}

/// One after the other, and exit code 3 ends with the last. What is dismissed is recorded with who, when and why.
#[test]
fn dismissing_ends_the_asking() {
    let firm = firm();
    let report = firm.ingest(3);
    assert_eq!(report["needs"]["held_items"], 2);
    assert_eq!(report["needs"]["unresolved"], 2);
    let facts = held(&firm);
    let (bad, record) = (facts["files"][0]["id"].as_str().unwrap(), facts["records"][0]["id"].as_str().unwrap());
    let said = dismiss(&firm, &[bad]);
    assert!(said.contains(&format!("dismissed {bad}")) && said.contains("still needs a person"), "{said}");
    let ids = item_ids(&firm);
    dismiss(&firm, &[&ids[0]]);
    let left = needs(&firm);
    assert_eq!((&left["held_files"], &left["held_items"]), (&0.into(), &1.into()));
    // Whichever was dismissed: ghost1 is in the other one too.
    assert!(left["unresolved"].as_u64().unwrap() >= 1);
    dismiss(&firm, &[&ids[1]]);
    let left = needs(&firm);
    assert_eq!((&left["held_items"], &left["unresolved"]), (&0.into(), &0.into()));
    let matters = firm.run(&["status", "--json"]).expect(0).json()["matters"].clone();
    assert_eq!(matters.as_array().unwrap().len(), 1, "the record: {matters:#}");
    let said = dismiss(&firm, &[record]);
    assert!(said.contains("nothing needs a person any more"), "{said}");
    let first = firm.run(&["report", report["run"].as_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!(file(&first, "1-bad.pgp")["dismissed"], true);
    assert_eq!(file(&first, "2-day.pgp")["rejected"][0]["dismissed"], true);
    firm.ingest(0);
    assert!(firm.run(&["status"]).expect(0).out.contains("nothing needs a person"));
    assert!(firm.run(&["held", "list"]).expect(0).out.contains("nothing is held"));
    firm.run(&["verify"]).expect(0);

    let dismissed = firm.run(&["held", "list", "--dismissed", "--json"]).expect(0).json();
    assert_eq!(dismissed.as_array().unwrap().len(), 4);
    for one in dismissed.as_array().unwrap() {
        assert_eq!((&one["reason"], &one["held"]), (&"tested with the vendor".into(), &true.into()));
        assert!(!one["by"].as_str().unwrap().is_empty() && one["at"].as_str().unwrap().ends_with('Z'));
    }
    let shown = firm.run(&["held", "list", "--dismissed"]).expect(0).out;
    assert!(shown.contains(bad) && shown.contains(record) && shown.contains("tested with the vendor"), "{shown}");
}

#[test]
fn ids_may_be_cut_short_and_name_all_of_an_export() {
    let firm = firm();
    assert!(firm.run(&["held", "dismiss", "file:00", "--reason", "x"]).expect(1).err.contains("nothing is held"));
    firm.ingest(3);
    let ids = item_ids(&firm);
    let export = held(&firm)["items"][0]["id"].as_str().unwrap().to_owned();
    let refused = |id: &str| {
        let said = firm.run(&["held", "dismiss", id, "--reason", "x"]).expect(1);
        assert_eq!((said.err.lines().count(), said.out.as_str()), (1, ""), "{said:?}");
        said.err
    };
    assert!(refused("item:ffffffffffffffffffffffffffffffff").contains("no held file, item or record"));
    for nonsense in ["", "item:", "items:", "file", "record:12", &format!("{export}:1"), "m-1", "2-day.pgp"] {
        assert!(refused(nonsense).contains("icechatd held list"), "{nonsense}");
    }
    // All or none: a good ID beside a bad one.
    firm.run(&["held", "dismiss", &ids[0], "item:0000", "--reason", "x"]).expect(1);
    assert_eq!(item_ids(&firm).len(), 2);
    firm.run(&["held", "dismiss", &ids[0]]).expect(2);
    firm.run(&["held", "dismiss", &ids[0], "--reason", "  "]).expect(2);
    firm.run(&["held", "dismiss", "--reason", "x"]).expect(2);
    let short = ids[0]["item:".len()..][..12].to_ascii_uppercase();
    assert!(dismiss(&firm, &[&short]).contains(&format!("dismissed {}", ids[0])));
    assert!(dismiss(&firm, &[&ids[0]]).contains("was dismissed already"));
    assert!(dismiss(&firm, &[&export]).contains("1 of them"));
    assert!(dismiss(&firm, &[&export]).contains("was dismissed already"));
    let said = firm.run(&["held", "dismiss", &export, "--reason", "x", "--json"]).expect(0).json();
    assert_eq!((&said["already"][0], said["dismissed"].as_array().unwrap().len()), (&export.as_str().into(), 0));
    assert!(item_ids(&firm).is_empty());
}

/// Contract 2: while another instance works, nothing is decided.
#[test]
fn it_waits_its_turn() {
    let firm = firm();
    firm.ingest(3);
    let ids = item_ids(&firm);
    let lock = icechatd::lock::Lock::take(&firm.path("state/work.lock")).unwrap();
    let said = firm.run(&["held", "dismiss", &ids[0], "--reason", "x"]).expect(75);
    assert!(said.err.contains("another icechatd is working"), "{}", said.err);
    drop(lock);
    assert_eq!(item_ids(&firm), ids);
    dismiss(&firm, &[&ids[0]]);
}

/// Dismissed is the asking, not the archive: a mapping places the item, and its other participant is asked about no more.
#[test]
fn a_dismissed_item_is_still_placed() {
    let firm = Firm::new();
    firm.deliver_export("day.pgp", &export(&between("m-1", "ghost1", &["ghost2"])));
    firm.ingest(3);
    dismiss(&firm, &[&item_ids(&firm)[0]]);
    firm.ingest(0);
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{AMY}\n"));
    let report = firm.replay(0);
    assert_eq!((&report["items"]["staged"], &report["placements"]["staged"]), (&1.into(), &1.into()));
    assert_eq!(firm.placements()["m-1"], [AMY.to_owned()].into());
    assert_eq!(firm.run(&["held", "list", "--dismissed", "--json"]).expect(0).json()[0]["held"], false);
    firm.run(&["verify"]).expect(0);
    // Who lacks a mailbox for an item that nobody dismissed is asked about as ever.
    firm.deliver_export("next.pgp", &export(&between("m-2", "ghost1", &["ghost2"])));
    assert_eq!(firm.ingest(3)["needs"]["unresolved"], 1);
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{AMY}\nghost2,joe@contoso.com\n"));
    assert_eq!(firm.replay(0)["placements"]["staged"], 2);
    firm.run(&["verify"]).expect(0);
}

/// A key that opens it is added: the dismissed file is left alone until a person asks for it.
#[test]
fn a_dismissed_file_is_tried_again_only_when_asked_for() {
    let firm = Firm::new();
    let second = firm.gpg.generate("Our other key <us@contoso.com>", "");
    let late = export(&message("late", AMY, &[], "hi"));
    firm.deliver(
        "late.pgp",
        &firm.gpg.encrypt(late.as_bytes(), &Encrypt { recipients: &[&second], ..Encrypt::default() }),
    );
    firm.ingest(3);
    dismiss(&firm, &[held(&firm)["files"][0]["id"].as_str().unwrap()]);
    let key = firm.path("pgp-key-2");
    fs::write(&key, firm.gpg.export_secret(&second, "")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let both = Settings { keys: "pgp = [\"pgp-key-2\", \"pgp-key\"]\n".to_owned(), ..Settings::default() };
    firm.configure(&both);
    assert_eq!(firm.ingest(0)["files"].as_array().unwrap().len(), 0);
    // By another name it is listed as what it is, and still not tried.
    firm.deliver("again.pgp", &fs::read(firm.sshd.root().join("late.pgp")).unwrap());
    assert_eq!(firm.ingest(0)["files"][0]["state"], "held");
    let report = firm.run(&["ingest", "--retry", "--json"]).expect(0).json();
    assert_eq!(report["items"]["staged"], 1, "{report:#}");
    assert_eq!(firm.run(&["held", "list", "--dismissed", "--json"]).expect(0).json()[0]["held"], false);
    firm.run(&["verify"]).expect(0);
}

/// A limit is raised: the dismissed record becomes an item all the same.
#[test]
fn a_dismissed_record_is_still_tried_by_a_replay() {
    let firm = Firm::with(&Settings { more: "[limits]\nmax_message = \"1KiB\"\n".to_owned(), ..Settings::default() });
    firm.deliver_export("day.pgp", &export(&message("long", AMY, &[], &"a".repeat(2000))));
    let report = firm.ingest(3);
    assert_eq!(file(&report, "day.pgp")["items"]["rejected"], 1);
    dismiss(&firm, &[held(&firm)["records"][0]["id"].as_str().unwrap()]);
    firm.ingest(0);
    firm.configure(&Settings::default());
    assert_eq!(firm.replay(0)["items"]["staged"], 1);
    firm.run(&["verify"]).expect(0);
}

/// Contract 4: an original stays while something in it is held and not dismissed; afterwards nothing asks for it.
#[test]
fn retention_honours_a_dismissal() {
    let firm = Firm::with(&Settings { more: "originals_days = 30\n".to_owned(), ..Settings::default() });
    let bad = "<Message><ImId>amy</ImId></Message>";
    firm.deliver_export("1-held.pgp", &export(&between("m-1", "ghost1", &["ghost2"])));
    firm.deliver_export("2-rejected.pgp", &export(&format!("{}{bad}", message("m-2", AMY, &[OLA], "hi"))));
    firm.deliver_export(
        "3-lacking.pgp",
        &export(
            &between("m-3", "ghost1", &[])
                .replace("<DateTimeUTC>", &format!("<RecipientEmail>{AMY}</RecipientEmail><DateTimeUTC>")),
        ),
    );
    firm.deliver("4-bad.pgp", b"garbage");
    firm.ingest(3);
    firm.rewrite_ledger("UPDATE files SET received = received - 31 * 86400, committed = committed - 31 * 86400");
    let originals = || fs::read_dir(firm.path("state/originals")).unwrap().count();
    firm.ingest(3);
    assert_eq!(originals(), 4);
    let facts = held(&firm);
    let id = |of: &Value| of["id"].as_str().unwrap().to_owned();
    dismiss(&firm, &[&id(&facts["items"][0]), &id(&facts["records"][0]), &id(&facts["files"][0])]);
    firm.ingest(3);
    // A file that was never taken keeps its original, and so does whoever still lacks a mailbox.
    assert_eq!(originals(), 2);
    assert_eq!(firm.replay(3)["files"].as_array().unwrap().len(), 1, "the held item is listed, and nothing failed");
    assert_eq!(needs(&firm)["failed_replays"], 0);
    firm.run(&["verify"]).expect(0);
}
