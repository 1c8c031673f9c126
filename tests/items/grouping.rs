//! Conversations grouped by day across the program: who gets which transcript, what is known already and what follows what,
//! whatever comes again, is replayed, is killed in between or is grouped otherwise by then.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use icechatd::config::Grouping;
use icechatd::report::totals;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runner, TestRunner};
use rusqlite::Connection;
use serde_json::{Value, json};
use support::archive::{Archive, cases};
use support::firm::{Firm, Settings, assert_balanced, body, export, file, header, staged};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const WEI: &str = "wei@contoso.com";
const DORA: &str = "dora@contoso.com";
const NILS: &str = "nils@northern.example";
const OLA: &str = "ola@northern.example";
const CATCH_ALL: &str = "unplaced@contoso.com";
const JOURNAL: &str = "journal@archive.contoso.com";

type Staged = BTreeMap<(String, String), Vec<u8>>;

fn settings(eml: &str) -> Settings {
    Settings { more: format!("[eml]\n{eml}\n"), ..Settings::default() }
}

fn by_conversation() -> Settings {
    settings("grouping = \"conversation\"")
}

fn firm() -> Firm {
    Firm::with(&by_conversation())
}

/// A message at this time of 19 November, by and to people whose `ImId`s are their addresses.
fn said(id: &str, from: &str, to: &[&str], at: &str, text: &str) -> String {
    let recipient =
        |to: &&str| format!("<Recipient><ImId>{to}</ImId><RecipientEmail>{to}</RecipientEmail></Recipient>");
    let to: String = to.iter().map(recipient).collect();
    let id = if id.is_empty() { String::new() } else { format!("<MessageID>{id}</MessageID>") };
    format!(
        "<Message>{id}<ImId>{from}</ImId><SenderEmail>{from}</SenderEmail>{to}<DateTimeUTC>{}</DateTimeUTC>\
         <Content>{text}</Content></Message>",
        time(at)
    )
}

/// `13:00` is of 19 November; anything longer is a whole time.
fn time(at: &str) -> String {
    if at.len() == 5 { format!("2026-11-19T{at}:00Z") } else { at.to_owned() }
}

fn came(who: &str, at: &str) -> String {
    presence("ParticipantEntered", who, at)
}

fn went(who: &str, at: &str) -> String {
    presence("ParticipantLeft", who, at)
}

fn presence(kind: &str, who: &str, at: &str) -> String {
    let user = format!("<User><ImId>{who}</ImId><EmailAddress>{who}</EmailAddress></User>");
    format!("<{kind}>{user}<DateTimeUTC>{}</DateTimeUTC></{kind}>", time(at))
}

/// An export of several rooms.
fn rooms(rooms: &[(&str, String)]) -> String {
    let rooms: Vec<String> = rooms
        .iter()
        .map(|(id, records)| format!("<Conversation><RoomID>{id}</RoomID>{records}</Conversation>"))
        .collect();
    let rooms = rooms.concat();
    format!("<IceChatExport firmCode=\"ACME\" date=\"2026-11-19\">{rooms}</IceChatExport>")
}

fn items(report: &Value) -> [u64; 5] {
    ["available", "staged", "held", "duplicate", "rejected"].map(|key| report["items"][key].as_u64().unwrap())
}

fn placed(report: &Value) -> u64 {
    report["placements"]["staged"].as_u64().unwrap()
}

fn mailboxes(firm: &Firm) -> BTreeSet<String> {
    firm.staged().into_keys().map(|(mailbox, _)| mailbox).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The texts of these that the mails of a mailbox hold, mail by mail in the order of their names.
fn read(firm: &Firm, mailbox: &str, texts: &[&str]) -> Vec<Vec<String>> {
    let mails = firm.staged().into_iter().filter(|((whose, _), _)| whose == mailbox);
    let found = mails.map(|(_, eml)| {
        let body = body(&eml);
        texts.iter().filter(|text| body.contains(**text)).map(|text| (*text).to_owned()).collect()
    });
    let mut found: Vec<Vec<String>> = found.collect();
    found.sort();
    found
}

/// By its Message-ID, to which other mail an EML refers as the one before it.
fn followed(firm: &Firm) -> BTreeMap<String, Option<String>> {
    let of = |eml: &[u8], field: &str| header(eml, field);
    firm.staged().into_values().map(|eml| (of(&eml, "Message-ID").unwrap(), of(&eml, "In-Reply-To"))).collect()
}

fn ledger(firm: &Firm) -> Connection {
    Connection::open(firm.path("state/ledger.db")).unwrap()
}

fn lose(firm: &Firm) {
    fs::remove_dir_all(firm.path("staging")).unwrap();
}

/// All that was ever placed is put there again, byte for byte.
fn assert_restaged(firm: &Firm) {
    let staged = firm.staged();
    lose(firm);
    firm.run(&["restage", "--since", "2020-01-01", "--reason", "disk died", "--json"]).expect(0);
    assert!(firm.staged() == staged, "{:#?} {:#?}", firm.staged().keys(), staged.keys());
    firm.run(&["verify"]).expect(0);
}

fn restage_all(firm: &Firm) {
    firm.run(&["verify"]).expect(0);
    assert_restaged(firm);
}

#[test]
fn everybody_who_took_part_gets_each_day_of_each_conversation() {
    let firm = firm();
    let desk = came(WEI, "08:00")
        + &said("m-1", AMY, &[JOE], "09:00", "first")
        + &said("m-2", NILS, &[AMY], "10:00", "second")
        + &went(WEI, "11:00")
        + &said("m-3", JOE, &[AMY], "2026-11-20T09:00:00Z", "third");
    let other = said("m-4", DORA, &[NILS], "12:00", "fourth");
    firm.deliver_export("day.pgp", &rooms(&[("R-1", desk), ("R-2", other)]));
    let dry = firm.run(&["ingest", "--dry-run", "--json"]).expect(0).json();
    let report = firm.ingest(0);
    assert_eq!(items(&report), [3, 3, 0, 0, 0]);
    assert_eq!((&dry["items"], &dry["placements"]), (&report["items"], &report["placements"]));
    assert_eq!(placed(&report), 3 + 2 + 1);
    let texts = ["first", "second", "third", "fourth"];
    for who in [AMY, JOE] {
        assert_eq!(read(&firm, who, &texts), [vec!["first", "second"], vec!["third"]]);
    }
    assert_eq!(read(&firm, WEI, &texts), [["first", "second"]], "who was there and silent");
    assert_eq!(read(&firm, DORA, &texts), [["fourth"]]);
    assert_eq!(items(&firm.ingest(0)), [0, 0, 0, 0, 0]);
    restage_all(&firm);
}

/// The day is that of `schedule.time_zone`, and stays so for what is committed.
#[test]
fn the_day_is_the_configured_zones() {
    let zone = |zone: &str| Settings {
        more: format!("[eml]\ngrouping = \"conversation\"\n[schedule]\ntime_zone = \"{zone}\"\n"),
        ..Settings::default()
    };
    let firm = Firm::with(&zone("America/New_York"));
    let records = said("m-1", AMY, &[JOE], "23:00", "evening")
        + &said("m-2", AMY, &[JOE], "2026-11-20T04:00:00Z", "late")
        + &said("m-3", AMY, &[JOE], "2026-11-20T05:00:00Z", "next");
    firm.deliver_export("day.pgp", &export(&(records + &said("m-4", NILS, &[AMY], "23:30", "held"))));
    assert_eq!(items(&firm.ingest(0)), [2, 2, 0, 0, 0]);
    assert_eq!(read(&firm, JOE, &["evening", "late", "next"]), [vec!["evening", "late"], vec!["next"]]);
    firm.configure(&zone("UTC"));
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},{DORA}\n"));
    // Who speaks without entering was there from the start, and so on the next day too.
    assert_eq!(placed(&firm.replay(0)), 2);
    let texts = ["evening", "late", "next", "held"];
    assert_eq!(read(&firm, DORA, &texts), [vec!["evening", "late", "held"], vec!["next"]]);
    restage_all(&firm);
}

#[test]
fn a_transcript_without_a_mailbox_is_held_and_replayed_as_one() {
    let firm = firm();
    let records = said("m-1", NILS, &[OLA], "13:00", "first") + &said("m-2", OLA, &[NILS], "13:05", "second");
    firm.deliver_export("day.pgp", &export(&records));
    let report = firm.ingest(3);
    assert_eq!((items(&report), &report["needs"]["held_items"]), ([1, 0, 1, 0, 0], &1.into()));
    assert!(firm.staged().is_empty());
    firm.run(&["verify"]).expect(0);
    firm.map("ola.csv", &format!("ImId,Mailbox\n{OLA},{AMY}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), placed(&report)), ([1, 1, 0, 0, 0], 1));
    let first = firm.staged().into_values().next().unwrap();
    firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{JOE}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), placed(&report)), ([0, 0, 0, 0, 0], 1));
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE]));
    assert!(firm.staged().into_values().all(|eml| eml == first), "the same to the byte");
    assert_eq!(read(&firm, JOE, &["first", "second"]), [["first", "second"]]);
    restage_all(&firm);
}

#[test]
fn catch_all_and_journal_get_transcripts_as_they_get_messages() {
    let beside = format!("domains = [\"contoso.com\"]\ncatch_all = \"{CATCH_ALL}\"\njournal = \"{JOURNAL}\"\n");
    let firm = Firm::with(&Settings { mailboxes: beside, ..by_conversation() });
    let desk = said("m-1", AMY, &[JOE], "13:00", "ours");
    let held = said("m-2", NILS, &[OLA], "13:00", "theirs") + &said("m-3", NILS, &[OLA], "13:01", "too");
    firm.deliver_export("day.pgp", &rooms(&[("R-1", desk), ("R-2", held)]));
    let report = firm.ingest(3);
    assert_eq!((items(&report), placed(&report)), ([2, 1, 1, 0, 0], 5));
    assert_eq!(read(&firm, CATCH_ALL, &["ours", "theirs", "too"]), [["theirs", "too"]]);
    assert_eq!(firm.staged().keys().filter(|(mailbox, _)| mailbox == JOURNAL).count(), 2);
    restage_all(&firm);
    firm.map("ola.csv", &format!("ImId,Mailbox\n{OLA},{WEI}\n{NILS},{CATCH_ALL}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), placed(&report)), ([1, 1, 0, 0, 0], 1), "the catch-all's copy is Nils's now");
    restage_all(&firm);
}

#[test]
fn a_day_that_comes_again_with_more_in_it_follows_the_first() {
    let firm = firm();
    let first = said("m-1", AMY, &[JOE], "13:00", "first");
    let second = said("m-2", JOE, &[AMY, NILS], "13:05", "second");
    firm.deliver_export("1.pgp", &export(&first));
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0, 0]);
    firm.deliver_export("2.pgp", &export(&(first.clone() + &second)));
    let report = firm.ingest(0);
    assert_eq!((items(&report), placed(&report)), ([1, 1, 0, 0, 0], 2));
    // Another with more still follows the first, not the one in between.
    firm.deliver_export("3.pgp", &export(&(first.clone() + &second + &said("m-3", AMY, &[JOE], "13:06", "third"))));
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0, 0]);
    let follows = followed(&firm);
    let firsts: Vec<&String> = follows.iter().filter(|(_, of)| of.is_none()).map(|(id, _)| id).collect();
    assert_eq!((follows.len(), firsts.len()), (3, 1), "{follows:#?}");
    assert!(follows.values().flatten().all(|of| of == firsts[0]), "{follows:#?}");
    // What was followed is what was recorded, whatever the ledger would say of a new one.
    ledger(&firm).execute("DELETE FROM transcripts", []).unwrap();
    firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{WEI}\n"));
    let before = firm.staged();
    assert_eq!(placed(&firm.replay(0)), 2);
    for ((mailbox, name), eml) in firm.staged().into_iter().filter(|((mailbox, _), _)| mailbox == WEI) {
        assert_eq!(before.get(&(AMY.to_owned(), name)), Some(&eml), "{mailbox}");
    }
    restage_all(&firm);
}

/// What the system or a firm said, which is no item.
fn words(kind: &str, text: &str, at: &str) -> String {
    let time = if at.is_empty() { String::new() } else { format!("<DateTimeUTC>{}</DateTimeUTC>", time(at)) };
    format!("<{kind}>{time}<Content>{text}</Content></{kind}>")
}

#[test]
fn a_day_that_comes_again_with_more_words_of_the_system_is_new() {
    let firm = firm();
    let message = said("m-1", AMY, &[JOE], "13:00", "first");
    let closing = words("SystemMessage", "The room closes at five.", "13:01");
    let days = [
        ("1.pgp", message.clone() + &closing, [1, 1, 0, 0, 0]),
        ("2.pgp", message.clone() + &closing + &words("Disclaimer", "Nothing here is advice.", ""), [1, 1, 0, 0, 0]),
        ("3.pgp", message.clone() + &closing, [1, 0, 0, 1, 0]),
        ("4.pgp", message.clone(), [1, 0, 0, 1, 0]),
        ("5.pgp", message.clone() + &words("SystemMessage", "The room closes at six.", "13:01"), [1, 1, 0, 0, 0]),
        // Who came and went is no word of anybody.
        ("6.pgp", message.clone() + &closing + &came(JOE, "12:00"), [1, 0, 0, 1, 0]),
    ];
    for (name, day, expected) in days {
        firm.deliver_export(name, &export(&day).replace("date=", &format!("{} date=", " ".repeat(name.len()))));
        assert_eq!(items(&firm.ingest(0)), expected, "{name}");
    }
    let follows = followed(&firm);
    assert_eq!((follows.len(), follows.values().flatten().count()), (3, 2), "{follows:#?}");
    // What an earlier program archived, of whose words nobody knows, is judged by its messages alone.
    ledger(&firm).execute_batch("DELETE FROM words; UPDATE transcripts SET words = 0").unwrap();
    firm.deliver_export("7.pgp", &export(&(message.clone() + &words("SystemMessage", "The room is closed.", "13:01"))));
    assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0]);
    assert_eq!(
        read(&firm, JOE, &["advice", "at five", "at six"]),
        [vec!["advice", "at five"], vec!["at five"], vec!["at six"]]
    );
    restage_all(&firm);
}

/// What limits let in later changes nothing of what a transcript is known by.
#[test]
fn words_are_the_same_under_every_limit() {
    for events in ["", "events = true\n"] {
        let limited = |bytes: &str| {
            settings(&format!("grouping = \"conversation\"\n{events}[limits]\nmax_message = \"{bytes}\""))
        };
        let firm = Firm::with(&limited("1KiB"));
        let long = |id: &str| said(id, AMY, &[JOE, NILS], "13:02", &"x".repeat(3000));
        let day = said("m-1", AMY, &[JOE, NILS], "13:00", "first")
            + &words("SystemMessage", &"The room closes. ".repeat(200), "13:01")
            + &words("SystemMessage", &"no end ".repeat(200_000), "13:01")
            + &long("m-2");
        firm.deliver_export("1.pgp", &export(&day));
        firm.ingest(3);
        firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{WEI}\n"));
        firm.configure(&limited("16MiB"));
        let code = if events.is_empty() { 0 } else { 3 };
        firm.replay(code);
        let theirs = read(&firm, WEI, &["first", "The room closes."]);
        assert!(theirs.contains(&vec!["first".to_owned(), "The room closes.".to_owned()]), "{events}: {theirs:?}");
        assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI]));
        firm.ingest(code);
        restage_all(&firm);
    }
}

#[test]
fn words_make_no_old_day_new_where_it_was_archived_as_messages() {
    let firm = Firm::with(&settings("grouping = \"message\""));
    let day = said("m-1", AMY, &[JOE], "13:00", "first") + &words("SystemMessage", "The room closes.", "13:01");
    firm.deliver_export("1.pgp", &export(&day));
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0, 0]);
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), config.replace("\"message\"", "\"conversation\"")).unwrap();
    firm.deliver_export("2.pgp", &export(&format!(" {day}")));
    assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0]);
}

/// A run that was killed had recorded what its transcripts follow: whatever is committed before the next one finishes the
/// export, the EMLs that stand already are the ones that it makes.
#[test]
fn what_a_killed_run_followed_is_followed_ever_after() {
    let firm = firm();
    let first = said("m-1", AMY, &[JOE], "13:00", "first");
    firm.deliver_export("1.pgp", &export(&first));
    firm.ingest(0);
    firm.deliver_export("2.pgp", &export(&(first + &said("m-2", JOE, &[AMY], "13:05", "second"))));
    assert_eq!(placed(&firm.ingest(0)), 2);
    let staged = firm.staged();
    let as_before_the_commit = "
        DELETE FROM items WHERE file = 2; DELETE FROM manifests WHERE file = 2; DELETE FROM run_files WHERE file = 2;
        DELETE FROM file_events WHERE file = 2; DELETE FROM unplaced WHERE file = 2;
        UPDATE files SET state = 'staging', committed = NULL WHERE id = 2;
        UPDATE transcripts SET id = zeroblob(16)";
    firm.rewrite_ledger(as_before_the_commit);
    let report = firm.ingest(0);
    assert_eq!((items(&report), &report["placements"]["existing"]), ([1, 1, 0, 0, 0], &2.into()), "{report:#}");
    assert!(firm.staged() == staged);
    restage_all(&firm);
}

#[test]
fn a_day_that_comes_again_with_nothing_new_is_known() {
    let firm = firm();
    let [first, second, third] = [("m-1", "13:00"), ("m-2", "13:05"), ("", "13:06")]
        .map(|(id, at)| said(id, AMY, &[JOE, NILS], at, &format!("words at {at}")));
    let whole = [&first[..], &second, &third, &third].concat();
    firm.deliver_export("1.pgp", &export(&whole));
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0, 0]);
    firm.deliver_export("2.pgp", &export(&format!(" {whole}")));
    assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0], "the same");
    for (name, part) in
        [("3.pgp", [&first[..], &third].concat()), ("4.pgp", second.clone()), ("5.pgp", [&third[..], &third].concat())]
    {
        firm.deliver_export(name, &export(&part));
        let report = firm.ingest(0);
        assert_eq!((items(&report), placed(&report)), ([1, 0, 0, 1, 0], 0), "a part of it: {name}");
    }
    // In two halves, and the same message without an id once more than before.
    firm.deliver_export("6.pgp", &rooms(&[("R-1", first), ("R-1", [&third[..], &third, &third].concat())]));
    assert_eq!(items(&firm.ingest(0)), [2, 1, 0, 1, 0]);
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},{DORA}\n"));
    assert_eq!(placed(&firm.replay(0)), 2);
    restage_all(&firm);
}

#[test]
fn others_whom_a_day_that_comes_again_names_get_their_copies() {
    let firm = firm();
    let day = |silent: &str| came(silent, "12:00") + &said("m-1", AMY, &[JOE], "13:00", "first");
    firm.deliver_export("1.pgp", &export(&day(NILS)));
    assert_eq!(placed(&firm.ingest(0)), 2);
    firm.deliver_export("2.pgp", &export(&day(WEI)));
    let report = firm.ingest(0);
    assert_eq!((items(&report), placed(&report)), ([1, 0, 0, 1, 0], 1));
    assert_eq!(read(&firm, WEI, &["first"]), [["first"]]);
    firm.deliver_export("3.pgp", &export(&(day(WEI) + " ")));
    assert_eq!(placed(&firm.ingest(0)), 0);
    firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{DORA}\n"));
    assert_eq!(placed(&firm.replay(0)), 1);
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI, DORA]));
    restage_all(&firm);
}

/// Where an export cuts a conversation elsewhere, its messages name fewer people, in other combinations: nobody new.
#[test]
fn a_day_that_names_known_people_in_other_combinations_is_known() {
    for before in ["message", "conversation"] {
        let firm = Firm::with(&settings(&format!("grouping = \"{before}\"")));
        let second = said("m-2", JOE, &[], "13:05", "second");
        let whole = came(WEI, "12:00") + &came(NILS, "12:00") + &said("m-1", AMY, &[], "13:00", "first") + &second;
        firm.deliver_export("1.pgp", &export(&whole));
        assert_eq!(items(&firm.ingest(0))[2], 0);
        let staged = firm.staged();
        firm.configure(&by_conversation());
        for (name, day) in [("2.pgp", second.clone()), ("3.pgp", came(NILS, "12:00") + &second)] {
            firm.deliver_export(name, &export(&day));
            assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0], "{name}, {before}");
        }
        // Twice in one export, once with somebody new, who is then known.
        firm.deliver_export("4.pgp", &rooms(&[("R-1", second.clone()), ("R-1", came(DORA, "12:00") + &second)]));
        assert_eq!(items(&firm.ingest(0)), [2, 1, 0, 1, 0], "{before}");
        assert_eq!(read(&firm, DORA, &["first", "second"]), [["second"]]);
        assert_eq!(read(&firm, WEI, &["first", "second"]).len(), staged.keys().filter(|(who, _)| who == WEI).count());
        firm.deliver_export("5.pgp", &export(&(came(DORA, "12:01") + &came(WEI, "12:01") + &second)));
        assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0], "{before}");
        firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},nils@contoso.com\n"));
        firm.replay(0);
        restage_all(&firm);
    }
}

/// Part 2 follows part 1, and so do all further ones; the parts of a day that comes again follow their own.
#[test]
fn parts_follow_their_first_one() {
    let firm = Firm::with(&settings("grouping = \"conversation\"\nmax_size = \"64KiB\""));
    let day = |count: usize| {
        let said = |n| {
            said(&format!("m-{n}"), AMY, &[JOE], &format!("13:{:02}", n / 10), &format!("{n} {}", "x".repeat(2000)))
        };
        export(&(0..count).map(said).collect::<String>())
    };
    firm.deliver_export("1.pgp", &day(100));
    let parts = items(&firm.ingest(0))[1];
    assert!(parts >= 3, "{parts}");
    let follows = followed(&firm);
    assert_eq!(follows.values().flatten().count() as u64, parts - 1, "{follows:#?}");
    assert_eq!(follows.values().flatten().collect::<BTreeSet<_>>().len(), 1);
    let first = follows.iter().find(|(_, of)| of.is_none()).map(|(id, _)| id.clone()).unwrap();
    firm.deliver_export("2.pgp", &day(110));
    let report = firm.ingest(0);
    let [available, staged, _, duplicate, _] = items(&report);
    assert!(staged > 0 && duplicate > 0, "whole parts were known: {report:#}");
    assert_eq!(available, staged + duplicate);
    assert_eq!(followed(&firm).values().flatten().collect::<BTreeSet<_>>(), BTreeSet::from([&first]));
    restage_all(&firm);
}

#[test]
fn a_change_of_grouping_stages_no_old_day_again() {
    for (before, after) in [("message", "conversation"), ("conversation", "message")] {
        let grouping = |grouping: &str| settings(&format!("grouping = \"{grouping}\""));
        let firm = Firm::with(&grouping(before));
        let old = came(NILS, "12:00")
            + &said("m-1", AMY, &[JOE], "13:00", "first")
            + &said("", JOE, &[AMY], "13:01", "second")
            + &said("", JOE, &[AMY], "13:01", "second")
            + &said("m-3", OLA, &[], "13:02", "third");
        firm.deliver_export("1.pgp", &export(&old));
        let staged = items(&firm.ingest(0))[1];
        assert_eq!(staged, if before == "message" { 4 } else { 1 });
        let before_it = firm.staged();
        firm.configure(&grouping(after));
        firm.deliver_export("2.pgp", &export(&format!(" {old}")));
        let report = firm.ingest(0);
        assert_eq!(items(&report)[3], if after == "message" { 4 } else { 1 }, "{report:#}");
        assert_eq!(firm.staged(), before_it, "{before} to {after}");
        assert_eq!(placed(&firm.replay(0)), 0);
        // With new words in it.
        firm.deliver_export("3.pgp", &export(&(old.clone() + &said("m-4", AMY, &[JOE], "13:03", "fourth"))));
        firm.ingest(0);
        let new: Vec<_> = firm.staged().into_iter().filter(|(key, _)| !before_it.contains_key(key)).collect();
        let names: BTreeSet<_> = new.iter().map(|((_, name), _)| name).collect();
        assert_eq!(names.len(), 1, "one item, {before} to {after}");
        let words = ["first", "second", "third", "fourth"].map(|word| body(&new[0].1).contains(word));
        assert_eq!(words, [after == "conversation", after == "conversation", after == "conversation", true]);
        // Under the grouping of its first commit, whatever is asked for now.
        firm.map("ola.csv", &format!("ImId,Mailbox\n{OLA},{WEI}\n"));
        firm.replay(0);
        assert_eq!(read(&firm, WEI, &["third"]), vec![["third"]; if after == "message" { 1 } else { 2 }]);
        restage_all(&firm);
    }
}

/// First within a transcript, then by itself for others: they get the message, and nobody who has the transcript does.
#[test]
fn a_message_of_a_transcript_that_names_others_by_itself() {
    let firm = firm();
    let message = |to: &[&str]| said("m-1", AMY, to, "13:00", "first");
    let second = said("m-2", JOE, &[AMY, DORA], "13:01", "second");
    firm.deliver_export("1.pgp", &export(&(message(&[JOE, NILS]) + &second)));
    assert_eq!(placed(&firm.ingest(0)), 3);
    firm.configure(&settings("grouping = \"message\""));
    firm.deliver_export("2.pgp", &export(&message(&[JOE, WEI, NILS, OLA])));
    let report = firm.ingest(0);
    assert_eq!((items(&report), placed(&report)), ([1, 0, 0, 1, 0], 1));
    assert_eq!(read(&firm, WEI, &["first", "second"]), [["first"]]);
    // Nils was named by the transcript's export first; Ola's mailbox is Dora's, who has the transcript.
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},nils@contoso.com\n{OLA},{DORA}\n"));
    assert_eq!(placed(&firm.replay(0)), 1);
    assert_eq!(read(&firm, "nils@contoso.com", &["first", "second"]), [["first", "second"]]);
    restage_all(&firm);
}

/// A transcript that is known and names others says so of its messages too: by themselves they are known for them.
#[test]
fn whom_a_known_transcript_names_has_its_messages() {
    let firm = firm();
    for (name, to, copies) in [("1.pgp", &[JOE][..], 2), ("2.pgp", &[JOE, WEI], 1)] {
        firm.deliver_export(name, &export(&said("m-1", AMY, to, "13:00", "first")));
        assert_eq!(placed(&firm.ingest(0)), copies);
    }
    firm.configure(&Settings::default());
    firm.deliver_export("3.pgp", &export(&said("m-1", AMY, &[WEI, JOE], "13:00", "first")));
    let report = firm.ingest(0);
    assert_eq!((items(&report), placed(&report)), ([1, 0, 0, 1, 0], 0));
    firm.deliver_export("4.pgp", &export(&said("m-1", AMY, &[WEI, DORA], "13:00", "first")));
    assert_eq!(placed(&firm.ingest(0)), 1);
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI, DORA]));
    restage_all(&firm);
}

/// First by itself, then within a transcript that names others: nothing says it to them but the transcript, which is new.
#[test]
fn messages_that_a_transcript_names_others_for() {
    let firm = Firm::new();
    let message = |to: &[&str]| said("m-1", AMY, to, "13:00", "first");
    firm.deliver_export("1.pgp", &export(&message(&[JOE, NILS])));
    assert_eq!(placed(&firm.ingest(0)), 2);
    firm.configure(&by_conversation());
    firm.deliver_export("2.pgp", &export(&message(&[JOE, WEI])));
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0, 0]);
    assert_eq!(read(&firm, WEI, &["first"]), [["first"]]);
    // By itself again, for those whom the transcript named: known. For Ola it is news.
    firm.configure(&Settings::default());
    firm.deliver_export("3.pgp", &export(&message(&[JOE, WEI])).replace("date=", " date="));
    let report = firm.ingest(0);
    assert_eq!((items(&report), placed(&report)), ([1, 0, 0, 1, 0], 0));
    firm.deliver_export("4.pgp", &export(&message(&[WEI, DORA])));
    assert_eq!(placed(&firm.ingest(0)), 1);
    assert_eq!(read(&firm, DORA, &["first"]), [["first"]]);
    firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},nils@contoso.com\n"));
    assert_eq!(placed(&firm.replay(0)), 1);
    restage_all(&firm);
}

/// Records that were too large become a transcript of their own when a replay lets them in, and the first stays as it is.
#[test]
fn records_that_are_let_in_later_follow_as_their_own_transcript() {
    let limited = |bytes: &str| Settings {
        more: format!("[eml]\ngrouping = \"conversation\"\n[limits]\nmax_message = \"{bytes}\"\n"),
        ..Settings::default()
    };
    let firm = Firm::with(&limited("2KiB"));
    let long = |id: &str, at: &str, kib: usize, text: &str| {
        said(id, AMY, &[JOE], at, &format!("{text} {}", "x".repeat(kib << 10)))
    };
    let records = long("m-1", "13:00", 3, "early")
        + &said("m-2", JOE, &[AMY], "13:01", "short")
        + &long("", "13:02", 3, "late")
        + &long("", "13:02", 3, "late")
        + &long("m-4", "13:03", 9, "longest")
        + &said("m-5", NILS, &[OLA], "13:04", "end");
    let day = export(&records);
    firm.deliver_export("1.pgp", &day);
    assert_eq!(items(&firm.ingest(3)), [5, 1, 0, 0, 4]);
    let texts = ["early", "short", "late", "longest", "end"];
    assert_eq!(read(&firm, AMY, &texts), [["short", "end"]]);
    let first = firm.staged();
    assert_eq!(items(&firm.replay(3)), [4, 0, 0, 0, 4]);
    for (limit, code, expected) in [("4KiB", 3, [2, 1, 0, 0, 1]), ("16KiB", 0, [1, 1, 0, 0, 0])] {
        firm.configure(&limited(limit));
        let report = firm.replay(code);
        assert_eq!((items(&report), placed(&report)), (expected, 2), "{limit}");
        restage_all(&firm);
    }
    assert_eq!(read(&firm, JOE, &texts), [vec!["early", "late"], vec!["longest"], vec!["short", "end"]]);
    assert!(first.iter().all(|(key, eml)| firm.staged().get(key) == Some(eml)), "the first stays as it was");
    let follows = followed(&firm);
    assert_eq!(follows.values().flatten().count(), 2, "{follows:#?}");
    firm.map("ola.csv", &format!("ImId,Mailbox\n{OLA},{WEI}\n"));
    assert_eq!(placed(&firm.replay(0)), 1);
    assert_eq!(read(&firm, WEI, &texts), [["short", "end"]], "those who only took part in the first");
    // Byte for byte again, and the same day once more: both know all of it.
    fs::copy(firm.sshd.root().join("1.pgp"), firm.sshd.root().join("2.pgp")).unwrap();
    assert_eq!(items(&firm.ingest(0)), [3, 0, 0, 3, 0]);
    firm.deliver_export("3.pgp", &day.replace("date=", " date="));
    assert_eq!(items(&firm.ingest(0)), [1, 0, 0, 1, 0]);
    restage_all(&firm);
}

fn with_events() -> String {
    came(AMY, "12:00") + &came(JOE, "12:01") + &said("m-1", AMY, &[], "13:00", "first") + &went(JOE, "14:00")
}

#[test]
fn events_are_counted_by_kind() {
    for grouping in ["message", "conversation"] {
        let firm = Firm::with(&settings(&format!("grouping = \"{grouping}\"")));
        firm.deliver_export("1.pgp", &export(&with_events()));
        firm.deliver_export("2.pgp", &rooms(&[("R-2", came(WEI, "12:00") + &said("m-2", WEI, &[], "12:30", "alone"))]));
        let dry = firm.run(&["ingest", "--dry-run", "--json"]).expect(0).json();
        let report = firm.ingest(0);
        assert_eq!(items(&report), [2, 2, 0, 0, 0]);
        assert_eq!(report["events"], json!({"entered": 3, "left": 1}));
        assert_eq!(dry["events"], report["events"]);
        assert_eq!(file(&report, "1.pgp")["events"], json!({"entered": 2, "left": 1}));
        assert_eq!(file(&report, "2.pgp")["events"], json!({"entered": 1}));
        let said = firm.run(&["report"]).expect(0).out;
        assert!(said.contains("events: 2 entered, 1 left"), "{said}");
        assert_eq!(firm.ingest(0)["events"], json!({}));
    }
}

#[test]
fn events_are_items_where_they_are_asked_for() {
    let firm = Firm::with(&settings("events = true"));
    let timeless = came(JOE, "").replace("<DateTimeUTC></DateTimeUTC>", "");
    firm.deliver_export("1.pgp", &export(&(with_events() + &timeless)));
    let report = firm.ingest(3);
    assert_eq!(items(&report), [5, 4, 0, 0, 1]);
    assert_eq!(report["events"], json!({"entered": 3, "left": 1}));
    assert_eq!(firm.staged().into_keys().filter(|(mailbox, _)| mailbox == AMY).count(), 4);
    restage_all(&firm);
    // What was taken in stays what it was; what comes again is known, its events are news where they were none.
    firm.configure(&Settings::default());
    assert_eq!(items(&firm.replay(3)), [1, 0, 0, 0, 1]);
    firm.deliver_export("2.pgp", &export(&format!(" {}", with_events())));
    assert_eq!(items(&firm.ingest(3)), [1, 0, 0, 1, 0]);
    restage_all(&firm);
}

/// What is shown again to who comes later has the id of what it repeats: known, and for nobody new. What was never seen is
/// new, and marked.
#[test]
fn history_is_known_where_it_was_seen() {
    let profile = |eml: &str| {
        let site = "settle = \"0s\"\nfiles = [\"*.gpg\"]\n".to_owned();
        Settings { more: format!("[export]\nprofile = \"bloomberg-ib\"\n[eml]\n{eml}\n"), site, ..Settings::default() }
    };
    let person = |who: &str| {
        format!(
            "<User><LoginName>{who}</LoginName><CorporateEmailAddress>{who}@contoso.com</CorporateEmailAddress></User>"
        )
    };
    let record = |kind: &str, who: &str, at: i64, text: &str| {
        let content = if text.is_empty() { String::new() } else { format!("<Content>{text}</Content>") };
        format!("<{kind}>{}<DateTimeUTC>{at}</DateTimeUTC>{content}</{kind}>", person(who))
    };
    let dump = |records: &[String]| {
        let records = records.concat();
        format!("<FileDump><Conversation><RoomID>P-1</RoomID>{records}</Conversation></FileDump>")
    };
    let (first, second) = (1_795_093_200, 1_795_093_200 + 86_400);
    let came = |who: &str, at: i64| record("ParticipantEntered", who, at, "");
    let twice = record("Message", "amy", first + 10, "twice");
    let shown = twice.replace("Message>", "History>");
    let unseen = record("History", "joe", first + 5, "never seen");
    let later = |at: i64| record("Message", "joe", second + at, "later");
    for (grouping, counts) in [
        ("message", [[2, 2, 0, 0, 0], [5, 1, 0, 4, 0], [6, 2, 0, 4, 0]]),
        ("conversation", [[1, 1, 0, 0, 0], [2, 1, 0, 1, 0], [2, 2, 0, 0, 0]]),
    ] {
        let firm = Firm::with(&profile(&format!("grouping = \"{grouping}\"")));
        let day = [came("amy", first), came("joe", first), twice.clone(), twice.clone()];
        firm.deliver("f1.ib19.261119.xml.gpg", &firm.encrypt(&dump(&day)));
        assert_eq!(items(&firm.ingest(0)), counts[0]);
        let again = [&shown, &shown, &came("wei", second + 60), &shown, &shown].map(String::as_str).concat();
        let next = [came("amy", second), came("joe", second), later(1), again.clone()];
        firm.deliver("f1.ib19.261120.xml.gpg", &firm.encrypt(&dump(&next)));
        assert_eq!(items(&firm.ingest(0)), counts[1], "{grouping}");
        let next = [came("amy", second), came("joe", second), later(2), again, unseen.clone()];
        firm.deliver("f1.ib19.261121.xml.gpg", &firm.encrypt(&dump(&next)));
        assert_eq!(items(&firm.ingest(0)), counts[2], "{grouping}");
        let marked: Vec<_> = firm.staged().into_values().filter(|eml| body(eml).contains("never seen")).collect();
        assert!(!marked.is_empty());
        for eml in marked {
            let words = if grouping == "message" { header(&eml, "X-ICE-Chat-History") } else { Some(body(&eml)) };
            assert!(words.is_some_and(|words| grouping == "message" || words.contains("history")));
        }
        restage_all(&firm);
    }
}

/// What an earlier program committed has a shape without any of the keys of today.
#[test]
fn an_export_of_an_earlier_program_is_replayed_as_it_was() {
    let firm = Firm::new();
    firm.deliver_export("1.pgp", &export(&said("m-1", AMY, &[NILS], "13:00", "first")));
    firm.ingest(0);
    let shape: String = ledger(&firm).query_row("SELECT shape FROM files", [], |row| row.get(0)).unwrap();
    let mut shape: Value = serde_json::from_str(&shape).unwrap();
    let old = ["eml_format", "footer", "grouping", "limits", "not_before", "time_zone"];
    shape.as_object_mut().unwrap().retain(|key, _| old.contains(&key.as_str()));
    shape["eml_format"] = 1.into();
    shape["limits"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| ["max_message", "max_attachment", "max_participants"].contains(&key.as_str()));
    ledger(&firm).execute("UPDATE files SET shape = ?1", [shape.to_string()]).unwrap();
    firm.configure(&by_conversation());
    firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{JOE}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), placed(&report)), ([0, 0, 0, 0, 0], 1));
    let eml = firm.staged().into_iter().find(|((mailbox, _), _)| mailbox == JOE).unwrap().1;
    assert_eq!(header(&eml, "Thread-Topic"), None, "format 1 has none");
    assert!(body(&eml).contains("first"));
}

fn random(below: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let number = RandomState::new().build_hasher().finish();
    Duration::from_micros(number % u64::try_from(below.as_micros()).unwrap().max(1))
}

/// Many rooms, two days each, again with more in them.
fn busy(again: bool) -> String {
    let room = |room: usize| {
        let said = |n: usize| {
            let at = format!("2026-11-{}T13:{:02}:{:02}Z", 19 + n / 20, room % 60, n % 60);
            said(&format!("{room}-{n}"), AMY, &[JOE, NILS], &at, &format!("{n} lots"))
        };
        (0..if again { 25 } else { 24 }).map(said).collect::<String>()
    };
    let names: Vec<String> = (0..120).map(|n| format!("R-{n}")).collect();
    rooms(&names.iter().enumerate().map(|(n, name)| (name.as_str(), room(n))).collect::<Vec<_>>())
}

fn kill(firm: &Firm, verb: &str, after: Duration) {
    let mut child = firm.command(&[verb]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn whenever_it_is_killed_the_next_run_stages_the_same() {
    let (quiet, killed) = (firm(), firm());
    for (name, again) in [("1.pgp", false), ("2.pgp", true)] {
        let export = busy(again);
        quiet.deliver_export(name, &export);
        killed.deliver_export(name, &export);
        let begun = Instant::now();
        let report = quiet.ingest(0);
        let takes = begun.elapsed();
        assert_eq!(items(&report)[0], 240);
        for _ in 0..cases(3) {
            kill(&killed, "ingest", random(takes));
        }
        let report = killed.run(&["ingest", "--json"]).expect(0).json();
        assert_balanced(&report);
        let (quiet, killed): (Staged, Staged) = (quiet.staged(), killed.staged());
        assert!(quiet == killed, "{} and {}", quiet.len(), killed.len());
    }
    for firm in [&quiet, &killed] {
        firm.map("nils.csv", &format!("ImId,Mailbox\n{NILS},{WEI}\n"));
    }
    let begun = Instant::now();
    quiet.replay(0);
    for _ in 0..cases(3) {
        kill(&killed, "replay", random(begun.elapsed()));
    }
    killed.run(&["replay"]).expect(0);
    assert!(quiet.staged() == killed.staged());
    killed.run(&["verify"]).expect(0);
}

/// The most memory that a program held, in KiB, asked until it ended.
fn peak_memory(child: &mut std::process::Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim_end_matches("kB").trim().parse().ok());
        peak = peak.max(now.unwrap_or(0));
        sleep(Duration::from_millis(2));
    }
    peak
}

/// One room with so many messages in one day; the environment variable `GROUPING_MEMORY_MESSAGES` asks for others.
#[test]
fn a_busy_room_streams() {
    let messages = std::env::var("GROUPING_MEMORY_MESSAGES").map_or(20_000, |count| count.parse().unwrap());
    let firm = firm();
    let said = |n: usize| {
        let at = format!("2026-11-19T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60);
        said(&format!("m-{n}"), [AMY, JOE, WEI][n % 3], &[], &at, &format!("{n} lots of something at a price {n}"))
    };
    let people: String = (0..50).map(|n| came(&format!("silent{n}@contoso.com"), "00:00")).collect();
    let records: String = (0..messages).map(said).collect();
    firm.deliver_export("day.pgp", &export(&(people + &records)));
    let mut child = firm.command(&["ingest"]).stdout(Stdio::null()).spawn().unwrap();
    let peak = peak_memory(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    println!("{messages} messages: {peak} KiB");
    assert!(peak < 96 << 10, "{peak} KiB");
    let parts = firm.staged().into_keys().filter(|(mailbox, _)| mailbox == AMY).count();
    println!("{parts} parts");
}

const PEOPLE: usize = 5;
const WORDS: usize = 4;

/// A day of the one room: who was there and silent, and which of four messages it has, each with whom it lists.
#[derive(Debug, Clone)]
struct Day {
    silent: BTreeSet<usize>,
    messages: Vec<(usize, BTreeSet<usize>)>,
}

#[derive(Debug, Clone)]
enum Op {
    /// From now on so many people have mailboxes.
    Map(usize),
    Group(bool),
    Ingest(Vec<Day>),
    Replay,
}

fn op() -> impl Strategy<Value = Op> {
    let message = (0..WORDS, prop::collection::btree_set(0..PEOPLE, 0..3));
    let silent = prop::collection::btree_set(0..PEOPLE, 0..2);
    let day = (silent, prop::collection::vec(message, 1..4)).prop_map(|(silent, messages)| Day { silent, messages });
    prop_oneof![
        1 => (0..=PEOPLE).prop_map(Op::Map),
        2 => any::<bool>().prop_map(Op::Group),
        4 => prop::collection::vec(day, 1..3).prop_map(Op::Ingest),
        1 => Just(Op::Replay),
    ]
}

impl Day {
    fn xml(&self) -> String {
        let person = |n: usize| format!("<ImId>p{n}</ImId>");
        let came = |n: &usize| {
            format!(
                "<ParticipantEntered><User>{}</User><DateTimeUTC>{}</DateTimeUTC></ParticipantEntered>",
                person(*n),
                time("12:00")
            )
        };
        let said = |(word, to): &(usize, BTreeSet<usize>)| {
            let to: Vec<String> = to.iter().map(|n| format!("<Recipient>{}</Recipient>", person(*n))).collect();
            let to = to.concat();
            let (sender, at) = (person(word % PEOPLE), time(&format!("13:0{word}")));
            format!(
                "<Message><MessageID>{word}</MessageID>{sender}{to}<DateTimeUTC>{at}</DateTimeUTC><Content>word{word}.\
                 </Content></Message>"
            )
        };
        let records = self.silent.iter().map(came).chain(self.messages.iter().map(said));
        export(&records.collect::<String>())
    }

    /// Whom each message is for. Who speaks without entering was there from the start.
    fn named(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let speakers: BTreeSet<usize> = self.messages.iter().map(|(word, _)| word % PEOPLE).collect();
        let present: BTreeSet<usize> = self.silent.union(&speakers).copied().collect();
        self.messages.iter().flat_map(move |(word, to)| {
            let to = if to.is_empty() { present.clone() } else { to.clone() };
            to.into_iter().chain([word % PEOPLE]).map(move |person| (*word, person))
        })
    }
}

fn try_history(archive: &mut Archive, ops: &[Op]) {
    archive.clear();
    archive.map("ImId,Mailbox\n");
    archive.config.eml.grouping = Grouping::Message;
    let (mut mapped, mut days, mut groupings) = (0, Vec::new(), Vec::new());
    let map = |archive: &Archive, count: usize| {
        let rows: Vec<String> = (0..count).map(|n| format!("p{n},box{n}@contoso.com\n")).collect();
        let rows = rows.concat();
        archive.map(&format!("ImId,Mailbox\n{rows}"));
    };
    for op in ops {
        match op {
            Op::Map(count) => {
                mapped = mapped.max(*count);
                map(archive, mapped);
            }
            Op::Group(by_day) => {
                archive.config.eml.grouping = if *by_day { Grouping::Conversation } else { Grouping::Message };
            }
            Op::Ingest(some) => {
                archive.ingest(&some.iter().map(Day::xml).collect::<Vec<_>>());
                days.extend(some.iter().cloned());
                groupings.push(archive.config.eml.grouping);
                groupings.dedup();
            }
            Op::Replay => drop(archive.replay()),
        }
        assert!(days.is_empty() || archive.faults().is_empty(), "{:?}", archive.faults());
    }
    map(archive, PEOPLE);
    archive.replay();
    let found = staged(&archive.staging());
    for (word, person) in days.iter().flat_map(Day::named) {
        let (mailbox, words) = (format!("box{person}@contoso.com"), format!("word{word}."));
        let has = found.iter().any(|((whose, _), eml)| *whose == mailbox && body(eml).contains(&words));
        assert!(has, "person {person} was to have {words}");
    }
    // Where a transcript came to be for others' sake, who has its messages one by one may get it too, once.
    for is_first in [groupings.len() > 1, false] {
        for grouping in [Grouping::Conversation, Grouping::Message] {
            archive.config.eml.grouping = grouping;
            for day in &days {
                let books = totals(&archive.ingest(&[day.xml()]).report);
                assert_eq!(books.items.staged, 0, "{grouping:?}: {day:?} once more");
                assert!(is_first || books.placements.staged == 0, "{grouping:?}: {day:?} once more");
            }
        }
    }
    assert_eq!(archive.faults(), [""; 0]);
}

/// However days come again, in parts, for others, under this grouping and that: everybody has what they were named for, and
/// what was seen once is known under both. `ICECHATD_CASES` asks for more.
#[test]
fn any_history_gives_everybody_their_words_and_nothing_again() {
    let archive = std::cell::RefCell::new(Archive::new());
    let config = Runner { cases: cases(8), failure_persistence: None, ..Runner::default() };
    let history = prop::collection::vec(op(), 2..10);
    let tried = TestRunner::new(config).run(&history, |ops| {
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| try_history(&mut archive.borrow_mut(), &ops)));
        outcome.map_err(|panic| {
            let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            TestCaseError::fail(words)
        })
    });
    tried.unwrap();
}
