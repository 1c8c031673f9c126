//! Mailboxes beside the participants': the catch-all gets what would be held, the journal gets every item. Neither is
//! anybody's: what only they have is held and reported, and gets its proper place later; nothing is staged twice.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use icechatd::ledger::Ledger;
use icechatd::ledger::manifest::Entry;
use rusqlite::Connection;
use support::daemon::has_begun_staging;
use support::firm::{Firm, Settings, export, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const CATCH_ALL: &str = "unplaced@archive.contoso.com";
const JOURNAL: &str = "journal@archive.contoso.com";

fn beside(keys: &str) -> Settings {
    Settings { mailboxes: format!("domains = [\"contoso.com\"]\n{keys}"), ..Settings::default() }
}

fn both() -> Settings {
    beside(&format!("catch_all = \"{CATCH_ALL}\"\njournal = \"{JOURNAL}\"\n"))
}

/// A message of somebody without e-mail to such others.
fn between(id: &str, from: &str, to: &[&str]) -> String {
    let recipients: Vec<_> = to.iter().map(|to| format!("<Recipient><ImId>{to}</ImId></Recipient>")).collect();
    let recipients = recipients.concat();
    message(id, "", &[], "hi").replace("<SenderEmail></SenderEmail>", &format!("<ImId>{from}</ImId>{recipients}"))
}

fn set(mailboxes: &[&str]) -> BTreeSet<String> {
    mailboxes.iter().map(|mailbox| (*mailbox).to_owned()).collect()
}

/// An importer takes everything: what appears afterwards was staged anew.
fn import(firm: &Firm) {
    fs::remove_dir_all(firm.path("staging")).unwrap();
}

/// The mailboxes that the evidence gives a held item.
fn evidence(firm: &Firm) -> Vec<Vec<String>> {
    let ledger = Ledger::read(&firm.path("state")).unwrap().unwrap();
    let mut held = Vec::new();
    for manifest in ledger.recorded_manifests(None).unwrap() {
        let read = manifest.read(&ledger.manifests(), |entry| {
            if let Entry::Held(placed) = entry {
                held.push(placed.mailboxes);
            }
            Ok::<_, icechatd::ledger::LedgerError>(())
        });
        read.unwrap();
    }
    held
}

#[test]
fn what_only_they_have_is_held_until_it_has_its_place() {
    let firm = Firm::with(&both());
    let records = message("m-1", AMY, &[JOE], "hi") + &between("m-2", "ghost1", &["ghost2"]);
    firm.deliver_export("day.pgp", &export(&records));
    let dry = firm.run(&["ingest", "--dry-run", "--json"]).expect(3).json();
    let report = firm.ingest(3);
    assert_eq!((&report["items"]["staged"], &report["items"]["held"]), (&1.into(), &1.into()));
    assert_eq!(report["placements"]["staged"], 5, "copies are placements");
    assert_eq!(dry["placements"], report["placements"]);
    assert_eq!(report["needs"]["held_items"], 1);
    let placements = firm.placements();
    assert_eq!(placements["m-1"], set(&[AMY, JOE, JOURNAL]));
    assert_eq!(placements["m-2"], set(&[CATCH_ALL, JOURNAL]));
    assert_eq!(evidence(&firm), [[JOURNAL, CATCH_ALL]]);
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&verified["placements"], &verified["standing"]), (&5.into(), &5.into()));
    assert_eq!(
        firm.run(&["held", "list", "--json"]).expect(0).json()["items"][0]["items"].as_array().unwrap().len(),
        1
    );

    import(&firm);
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{JOE}\n"));
    let report = firm.replay(3);
    assert_eq!((&report["items"]["staged"], &report["placements"]["staged"]), (&1.into(), &1.into()));
    assert_eq!(firm.placements(), [("m-2".to_owned(), set(&[JOE]))].into());
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{JOE}\nghost2,{AMY}\n"));
    firm.replay(0);
    assert_eq!(firm.placements()["m-2"], set(&[AMY, JOE]));
    firm.run(&["verify"]).expect(0);
}

/// A copy that is damaged in the catch-all is found, as any other is.
#[test]
fn a_copy_of_a_held_item_is_verified() {
    let firm = Firm::with(&both());
    firm.deliver_export("day.pgp", &export(&between("m-1", "ghost1", &["ghost2"])));
    firm.ingest(3);
    let folder = firm.path("staging").join(CATCH_ALL).join("ICE Chat");
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"other").unwrap();
    let faults = firm.run(&["verify"]).expect(1).out;
    assert!(faults.contains("is not what was placed there"), "{faults}");
}

/// Who reads the catch-all may take part in chats: a copy there is theirs, and the item is not held any more.
#[test]
fn somebodys_own_mailbox_may_be_the_catch_all_or_journal() {
    for keys in [format!("catch_all = \"{AMY}\"\n"), format!("journal = \"{AMY}\"\n")] {
        let firm = Firm::with(&beside(&keys));
        let records = between("m-1", "ghost1", &["ghost2"]) + &message("m-2", AMY, &[JOE], "hi");
        firm.deliver_export("day.pgp", &export(&records));
        assert_eq!(firm.ingest(3)["placements"]["staged"], 3);
        assert_eq!(firm.placements()["m-2"], set(&[AMY, JOE]));
        import(&firm);
        firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{AMY}\n"));
        let report = firm.replay(3);
        assert_eq!((&report["items"]["staged"], &report["placements"]["staged"]), (&1.into(), &0.into()), "{keys}");
        assert_eq!(report["needs"]["held_items"], 0);
        assert!(firm.staged().is_empty(), "{keys}");
        firm.run(&["verify"]).expect(0);
        // One that was never held has no copy there, so its new participant gets theirs.
        firm.deliver_export(
            "next.pgp",
            &export(
                &message("m-3", JOE, &[], "hi")
                    .replace("<DateTimeUTC>", "<Recipient><ImId>ghost3</ImId></Recipient><DateTimeUTC>"),
            ),
        );
        firm.ingest(3);
        import(&firm);
        firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{AMY}\nghost2,{JOE}\nghost3,{AMY}\n"));
        firm.replay(0);
        let placements = firm.placements();
        assert_eq!(placements["m-1"], set(&[JOE]));
        assert_eq!(
            placements.get("m-3").cloned().unwrap_or_default().len(),
            usize::from(keys.starts_with("catch_all"))
        );
        firm.run(&["verify"]).expect(0);
    }
}

/// The same by a re-issue that names whoever reads the catch-all.
#[test]
fn a_reissue_that_names_the_catch_alls_owner_releases_the_item() {
    let firm = Firm::with(&beside(&format!("catch_all = \"{AMY}\"\n")));
    let record = between("m-1", "ghost1", &["ghost2"]);
    firm.deliver_export("1.pgp", &export(&record));
    assert_eq!(firm.ingest(3)["needs"]["held_items"], 1);
    import(&firm);
    let named = format!("<RecipientEmail>{AMY}</RecipientEmail><DateTimeUTC>");
    firm.deliver_export("2.pgp", &export(&record.replace("<DateTimeUTC>", &named)));
    let report = firm.ingest(3);
    assert_eq!((&report["items"]["duplicate"], &report["placements"]["staged"]), (&1.into(), &0.into()));
    assert_eq!((&report["needs"]["held_items"], &report["needs"]["unresolved"]), (&0.into(), &2.into()));
    assert!(firm.staged().is_empty());
    firm.run(&["verify"]).expect(0);
    assert_eq!(firm.replay(3)["items"]["available"], 0);
}

/// What came before is not sent to a journal that comes later, not even by a replay; nor is a duplicate.
#[test]
fn each_item_has_the_journal_of_the_export_that_brought_it() {
    let firm = Firm::new();
    let day = export(&(between("m-1", "ghost1", &["ghost2"]) + &message("m-2", AMY, &[], "hi")));
    firm.deliver_export("1.pgp", &day);
    firm.ingest(3);
    firm.configure(&both());
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{JOE}\n"));
    firm.replay(3);
    firm.deliver_export("2.pgp", &day.replace("date=\"2026-11-19\"", "date=\"2026-11-20\""));
    assert_eq!(firm.ingest(3)["items"]["duplicate"], 2);
    assert_eq!(firm.placements()["m-1"], set(&[JOE]));
    firm.deliver_export("3.pgp", &export(&between("m-3", "ghost2", &["ghost2"])));
    firm.ingest(3);
    // Another journal: what a replay places is not sent there either.
    firm.configure(&beside("journal = \"second@archive.contoso.com\"\n"));
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{JOE}\nghost2,{AMY}\n"));
    firm.replay(0);
    assert_eq!(firm.placements()["m-3"], set(&[AMY, CATCH_ALL, JOURNAL]));
    firm.run(&["verify"]).expect(0);
}

/// A record that a replay lets in is an item then, with the journal and catch-all of its export.
#[test]
fn a_record_that_is_let_in_later_gets_its_copies_then() {
    let mut narrow = both();
    narrow.more = "[limits]\nmax_message = \"1KiB\"\n".to_owned();
    let firm = Firm::with(&narrow);
    let long = between("long", "ghost1", &["ghost2"]).replace(">hi<", &format!(">{}<", "a".repeat(2000)));
    firm.deliver_export("day.pgp", &export(&(message("m-1", AMY, &[AMY], "hi") + &long)));
    assert_eq!(firm.ingest(3)["items"]["rejected"], 1);
    firm.configure(&Settings::default());
    let report = firm.replay(3);
    assert_eq!((&report["items"]["held"], &report["placements"]["staged"]), (&1.into(), &2.into()));
    assert_eq!(firm.placements()["long"], set(&[CATCH_ALL, JOURNAL]));
    import(&firm);
    firm.map("new.csv", &format!("ImId,Mailbox\nghost1,{JOE}\n"));
    firm.replay(3);
    assert_eq!(firm.placements(), [("long".to_owned(), set(&[JOE]))].into());
    firm.run(&["verify"]).expect(0);
}

/// Each third message is between people who get a mailbox later.
fn many() -> String {
    let records = (0..6_000).map(|n| {
        let people = if n % 3 == 0 { ("ghost1", "ghost2") } else { ("amy", "ghost2") };
        let time = format!("2026-11-19T13:{:02}:{:02}Z", n / 60 % 60, n % 60);
        let record = between(&n.to_string(), people.0, &[people.1]);
        record.replace("2026-11-19T13:00:00Z", &time)
    });
    export(&records.collect::<String>())
}

/// Whom the ledger has seen, and when.
fn people(firm: &Firm) -> Vec<(String, Option<String>, i64, i64)> {
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    let sql = "SELECT person, mailbox, first_seen, last_seen FROM people
               UNION ALL SELECT 'captured', mailbox, first_seen, last_seen FROM captured ORDER BY 1, 2";
    let mut statement = ledger.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Kills the verb in the middle: staging has begun, and nothing of it is committed.
fn kill_in_the_middle(firm: &Firm, verb: &str, has_begun: impl Fn() -> bool) {
    let mut child = firm.command(&[verb]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !has_begun() {
        assert!(child.try_wait().unwrap().is_none(), "{verb} ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A run dies half way; by the next the configuration names neither. What was begun is finished with what was recorded:
/// the same files, to the byte, as where nothing happened.
#[test]
fn a_run_that_died_is_finished_with_the_catch_all_and_journal_it_began_with() {
    support::in_memory();
    let (quiet, firm) = (Firm::with(&both()), Firm::with(&both()));
    for firm in [&quiet, &firm] {
        firm.map("desk.csv", &format!("ImId,Mailbox\namy,{AMY}\n"));
        firm.deliver_export("day.pgp", &many());
    }
    let report = quiet.ingest(3);
    assert_eq!(report["placements"]["staged"], 2_000 * 2 + 4_000 * 2);
    quiet.configure(&Settings::default());

    kill_in_the_middle(&firm, "ingest", || has_begun_staging(&firm.path("staging")));
    firm.configure(&Settings::default());
    let report = firm.ingest(3);
    assert_eq!(report["items"]["held"], 2_000, "it had not been committed");
    assert!(firm.staged() == quiet.staged());
    assert_eq!(people(&firm), people(&quiet));
    firm.run(&["verify"]).expect(0);

    let later = format!("ImId,Mailbox\namy,{AMY}\nghost1,{JOE}\nghost2,{CATCH_ALL}\n");
    // Ghost2 is given the catch-all's address as a valid user: half of the copies stand there already.
    let valid = beside("").mailboxes.replace("\"contoso.com\"", "\"contoso.com\", \"archive.contoso.com\"");
    for firm in [&quiet, &firm] {
        firm.configure(&Settings { mailboxes: valid.clone(), ..Settings::default() });
        firm.map("desk.csv", &later);
    }
    let report = quiet.replay(0);
    assert_eq!(report["placements"]["staged"], 2_000 + 4_000);
    let joes = firm.path("staging").join(JOE);
    kill_in_the_middle(&firm, "replay", || joes.exists());
    firm.configure(&Settings::default());
    firm.map("desk.csv", "ImId,Mailbox\n");
    firm.run(&["ingest"]);
    assert!(firm.staged() == quiet.staged());
    assert_eq!(people(&firm), people(&quiet));
    firm.run(&["verify"]).expect(0);
}
