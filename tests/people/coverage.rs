//! Who is missing from capture, and the facts it stands on: whom exports named, with which mailbox, and when; and what is
//! recorded of our certificates for those who hold no key.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use icechatd::ledger::Ledger;
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};
use support::firm::{Firm, Settings, export, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const WEI: &str = "wei@contoso.com";

fn day(ago: i64) -> Timestamp {
    let seconds = Timestamp::now().as_second() - ago * 86_400;
    Timestamp::from_second(seconds).unwrap()
}

/// A message of so many days ago.
fn said(id: &str, from: &str, to: &[&str], ago: i64) -> String {
    message(id, from, to, "hi").replace("2026-11-19T13:00:00Z", &day(ago).to_string())
}

fn absent(firm: &Firm, days: &str) -> Value {
    firm.run(&["report", "coverage", "--days", days, "--json"]).expect(0).json()["absent"].clone()
}

#[test]
fn staff_of_the_list_with_no_item_for_a_while() {
    let mailboxes =
        "domains = [\"contoso.com\"]\nlist = \"mailboxes.csv\"\njournal = \"journal@contoso.com\"\n".to_owned();
    let firm = Firm::with(&Settings { mailboxes, ..Settings::default() });
    let list = format!(
        "PrimarySmtpAddress,EmailAddresses\n{AMY},smtp:adams@contoso.com\n{JOE},\n{WEI},\ndora@contoso.com,\n\
         journal@contoso.com,\n"
    );
    fs::write(firm.path("mailboxes.csv"), list).unwrap();
    let nobody = firm.run(&["report", "coverage"]).expect(0);
    assert_eq!(nobody.out.lines().count(), 5, "nothing was ever seen: {nobody:?}");
    let records = [said("1", "adams@contoso.com", &["x@partner.example"], 1), said("2", JOE, &[WEI], 15)];
    firm.deliver_export("day.pgp", &export(&(records.concat() + &said("3", WEI, &["x@partner.example"], 13))));
    firm.ingest(0);
    let joes = day(15).to_string()[..10].to_owned();
    assert_eq!(
        absent(&firm, "14"),
        json!([{"mailbox": "dora@contoso.com", "last_seen": null}, {"mailbox": JOE, "last_seen": joes}])
    );
    let said_text = firm.run(&["report", "coverage"]).expect(0);
    assert_eq!(said_text.out, format!("Mailbox,LastSeen\r\ndora@contoso.com,never\r\n{JOE},{joes}\r\n"));
    assert!(said_text.err.contains("2 of 4 people had no item for 14 days"), "{}", said_text.err);
    assert_eq!(absent(&firm, "10").as_array().unwrap().len(), 3);
    assert_eq!(absent(&firm, "30").as_array().unwrap().len(), 1);
    firm.run(&["report", "coverage", "--days", "0"]).expect(2);
    // Beside it, the report of a run is what it was.
    let run = firm.run(&["report", "--json"]).expect(0).json()["run"].as_str().unwrap().to_owned();
    assert!(firm.run(&["report", &run]).expect(0).out.contains("day.pgp"));
    firm.run(&["report", &run, "coverage"]).expect(2);
    assert!(firm.run(&["report", "--help"]).expect(0).out.contains("coverage"));
}

#[test]
fn without_a_list_the_staff_of_the_mapping() {
    let firm = Firm::new();
    firm.map(
        "desk.csv",
        &format!("ImId,Mailbox\namy1,{AMY}\namy2,{AMY}\njoe1,{JOE}\nx1,external\ny1,y@elsewhere.example\n"),
    );
    firm.deliver_export("day.pgp", &export(&said("1", AMY, &["x@partner.example"], 0)));
    firm.ingest(0);
    let facts = firm.run(&["report", "coverage", "--json"]).expect(0).json();
    assert_eq!(facts, json!({"days": 14, "people": 2, "absent": [{"mailbox": JOE, "last_seen": null}]}));
    // Whoever is not placed any more is missing from then on, though still named.
    firm.map("desk.csv", &format!("ImId,Mailbox\namy1,{AMY}\njoe1,{JOE}\n"));
    let two = said("2", "", &["x@partner.example"], 9).replace("<SenderEmail></SenderEmail>", "<ImId>joe1</ImId>");
    firm.deliver_export("2.pgp", &export(&two));
    firm.ingest(0);
    firm.map("desk.csv", &format!("ImId,Mailbox\namy1,{AMY}\nother,{JOE}\n"));
    firm.deliver_export(
        "3.pgp",
        &export(&two.replace(">2<", ">3<").replace(&day(9).to_string()[..10], &day(1).to_string()[..10])),
    );
    firm.ingest(3);
    let seen = day(9).to_string()[..10].to_owned();
    assert_eq!(absent(&firm, "5"), json!([{"mailbox": JOE, "last_seen": seen}]));
}

/// One row for everybody, with what the newest item says of them, whatever the order in which exports come.
#[test]
fn everybody_whom_exports_name_is_known() {
    let firm = Firm::new();
    let entered = |time: &str, company: &str| {
        format!(
            "<ParticipantEntered><User><ImId>Otto.7</ImId><FirstName>Otto</FirstName><CompanyName>{company}</CompanyName>\
             </User><DateTimeUTC>{time}</DateTimeUTC></ParticipantEntered>"
        )
    };
    let chat = |id: &str, day: &str, company: &str| {
        let time = format!("2026-11-{day}T13:00:00Z");
        let with_otto = "<Recipient><ImId>OTTO.7</ImId></Recipient><DateTimeUTC>";
        let message = message(id, AMY, &[], "hi").replace("2026-11-19T13:00:00Z", &time);
        export(&(entered(&time, company) + &message.replace("<DateTimeUTC>", with_otto)))
    };
    firm.deliver_export("1.pgp", &chat("1", "18", "Northern"));
    firm.ingest(3);
    firm.deliver_export("2.pgp", &chat("2", "17", "Old Northern"));
    firm.ingest(3);
    let row = |person: &str| {
        let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
        let sql = "SELECT coalesce(im_id, email), name, company, mailbox, first_seen, last_seen FROM people WHERE person = ?1";
        let day = |seconds: i64| Timestamp::from_second(seconds).unwrap().to_string()[8..10].to_owned();
        ledger
            .query_row(sql, [person], |row| {
                let words: [Option<String>; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((words.map(Option::unwrap_or_default), day(row.get(4)?), day(row.get(5)?)))
            })
            .unwrap()
    };
    let words = |words: [&str; 4]| words.map(str::to_owned);
    assert_eq!(row("otto.7\u{1f}"), (words(["OTTO.7", "Otto", "Northern", ""]), "17".into(), "18".into()));
    assert_eq!(row("\u{1f}amy@contoso.com"), (words([AMY, "", "", AMY]), "17".into(), "18".into()));
    firm.map("new.csv", &format!("ImId,Mailbox\notto.7,{JOE}\n"));
    firm.replay(0);
    assert_eq!(row("otto.7\u{1f}"), (words(["OTTO.7", "Otto", "Northern", JOE]), "17".into(), "18".into()));
}

/// Each run records which of our certificates are in use and when they end, and forgets those that are not.
#[test]
fn the_last_run_says_when_our_certificates_end() {
    let firm = Firm::new();
    firm.ingest(0);
    let certificates = || Ledger::read(&firm.path("state")).unwrap().unwrap().certificates().unwrap();
    let shown = firm.run(&["keys", "show", "--json"]).expect(0).json()["pgp"][0].clone();
    let one = certificates();
    assert_eq!((one.len(), one[0].credential.as_str()), (1, "pgp-key"));
    assert_eq!(one[0].fingerprint, shown["fingerprint"].as_str().unwrap());
    assert_eq!(one[0].expires.unwrap().to_string(), shown["expires"].as_str().unwrap());
    let other = firm.gpg.generate("Without an end <us@contoso.com>", "");
    let key = firm.path("pgp-key-2");
    fs::write(&key, firm.gpg.export_secret(&other, "")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    firm.configure(&Settings { keys: "pgp = [\"pgp-key-2\"]\n".to_owned(), ..Settings::default() });
    firm.ingest(0);
    let two = certificates();
    assert_eq!((two.len(), two[0].fingerprint.as_str(), two[0].credential.as_str()), (1, other.as_str(), "pgp-key-2"));
}
