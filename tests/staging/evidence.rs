//! The evidence: each change has its link, an auditor checks it without this program, and nothing of it can be altered,
//! removed, put in or moved unnoticed.

use crate::support;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use icechatd::digest::Sha256;
use rusqlite::Connection;
use serde_json::{Value, json};
use support::firm::{Firm, export, message, sample_export};

const AMY: &str = "amy.adams@contoso.com";
const OLA: &str = "ola@contoso.com";

/// A day with a duplicate, a rejected record, and an item that is in nobody's mailbox.
fn firm_with_a_day() -> Firm {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    firm
}

/// Gives the one who has no mailbox one.
fn map_the_ghost(firm: &Firm) {
    let mapping = fs::read_to_string(support::firm::sample("mapping.csv")).unwrap();
    firm.map("desk.csv", &mapping.replace("nobody@contoso.com", AMY));
}

fn ledger(firm: &Firm) -> Connection {
    Connection::open(firm.path("state/ledger.db")).unwrap()
}

fn links(firm: &Firm) -> Vec<Value> {
    firm.run(&["evidence", "list", "--json"]).expect(0).json()["links"].as_array().unwrap().clone()
}

fn of_kind<'a>(links: &'a [Value], what: &str) -> Vec<&'a Value> {
    links.iter().map(|link| &link["says"]).filter(|says| says["what"] == what).collect()
}

fn faults(firm: &Firm, arguments: &[&str]) -> Vec<String> {
    let said = firm.run(&[&["verify", "--json"], arguments].concat());
    let faults: Vec<String> = serde_json::from_value(said.json()["faults"].clone()).unwrap();
    assert_eq!(said.code, i32::from(!faults.is_empty()), "{faults:#?}");
    faults
}

#[test]
fn each_change_has_a_link_that_says_who_did_what_when_and_why() {
    let firm = firm_with_a_day();
    let day = links(&firm);
    let run = firm.run(&["report", "--json"]).expect(0).json();
    let whats: Vec<_> = day.iter().map(|link| link["says"]["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["keys", "in-force", "in-force", "received", "commit"]);
    let commit = of_kind(&day, "commit")[0].clone();
    let file = &run["files"][0];
    assert_eq!((&commit["name"], &commit["sha256"]), (&file["name"], &file["sha256"]));
    assert_eq!((&commit["run"], &commit["verb"]), (&run["run"], &json!("ingest")));
    assert_eq!(commit["books"]["items"], file["items"]);
    assert_eq!(run["evidence"], json!({"link": 5, "hash": day[4]["hash"]}), "the report names the link");

    // A replay, a dismissal, a restaging, another key.
    map_the_ghost(&firm);
    firm.replay(0);
    firm.run(&["restage", "--mailbox", AMY, "--reason", "the importer lost it"]).expect(0);
    let now = links(&firm);
    let replays: Vec<_> = of_kind(&now, "commit").into_iter().filter(|commit| commit["verb"] == "replay").collect();
    assert_eq!(replays.len(), 1, "{now:#?}");
    let restage = of_kind(&now, "restage")[0];
    assert_eq!((&restage["reason"], &restage["asked"]["mailbox"]), (&json!("the importer lost it"), &json!(AMY)));
    assert!(restage["by"].as_str().is_some_and(|by| !by.is_empty()));
    assert_eq!(of_kind(&now, "in-force").len(), 3, "the mapping is another one");
    assert_eq!(&now[..5], &day[..], "what was linked stays");
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
    let text = firm.run(&["evidence", "list"]).expect(0).out;
    assert!(text.contains("restage: ") && text.contains("reason the importer lost it"), "{text}");
    let since = firm.run(&["evidence", "list", "--since", "2099-01-01", "--json"]).expect(0).json();
    assert_eq!(since["links"], json!([]));
}

#[test]
fn a_dismissal_and_what_retention_removes_are_linked() {
    let firm = Firm::new();
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), config.replace("[state]\n", "[state]\noriginals_days = 1\n")).unwrap();
    firm.deliver_export("good.pgp", &export(&message("m-1", AMY, &[OLA], "hi")));
    firm.deliver("bad.pgp", b"garbage");
    firm.ingest(3);
    let held = firm.run(&["held", "list", "--json"]).json();
    let id = held["files"][0]["id"].as_str().unwrap();
    firm.run(&["held", "dismiss", id, "--reason", "a test file of the vendor's"]).expect(0);
    let dismissal = of_kind(&links(&firm), "dismissal")[0].clone();
    assert_eq!((&dismissal["matter"], &dismissal["name"]), (&json!("file"), &json!("bad.pgp")));
    assert_eq!(dismissal["reason"], "a test file of the vendor's");
    firm.rewrite_ledger("UPDATE files SET committed = committed - 3 * 86400 WHERE name = 'good.pgp'");
    firm.ingest(0);
    let removed = of_kind(&links(&firm), "retention")[0].clone();
    assert_eq!(removed["name"], "good.pgp");
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
    let facts = firm.run(&["verify", "--deep", "--json"]).expect(0).json();
    assert_eq!(facts["deep"]["without_original"], 1);
}

#[test]
fn the_manifest_says_why_an_item_was_held_or_a_duplicate() {
    let firm = Firm::of_the_samples();
    firm.deliver_export("1.pgp", &sample_export());
    firm.ingest(3);
    let manifest = manifests(&firm).remove(0);
    let first = unzip(&manifest);
    let held = first.lines().find(|line| line.contains(r#""state":"held""#)).unwrap();
    let held: Value = serde_json::from_str(held).unwrap();
    assert_eq!(held["lacks"].as_array().unwrap().len(), 2, "{held}");
    assert!(held["lacks"].as_array().unwrap().iter().any(|who| who == "ghost1 ghost@contoso.com"), "{held}");
    firm.deliver_export("2.pgp", &sample_export().replace("<IceChatExport", "<!-- again --><IceChatExport"));
    firm.ingest(3);
    let second = manifests(&firm).into_iter().find(|path| *path != manifest).unwrap();
    let of = manifest.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
    let second = unzip(&second);
    let duplicates: Vec<Value> = second.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(duplicates.iter().all(|line| line["state"] == "duplicate" && line["of"] == of), "{second}");
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
}

fn manifests(firm: &Firm) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(firm.path("state/manifests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn unzip(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn zip(text: &str) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap()
}

/// By the words of the README.txt that was handed out, with a shell and coreutils; and by a parser that shares no line with
/// this program.
#[test]
fn an_auditor_checks_what_was_handed_out_without_the_program() {
    let firm = firm_with_a_day();
    map_the_ghost(&firm);
    firm.replay(0);
    let folder = firm.path("evidence");
    let said = firm.run(&["evidence", "export", folder.to_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!((&said["links"], &said["manifests"]), (&json!(links(&firm).len()), &json!(2)));
    let head = said["head"].as_str().unwrap();
    let by_shell = |folder: &Path| {
        let readme = fs::read_to_string(folder.join("README.txt")).unwrap();
        let script: String =
            readme.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| line.to_owned() + "\n").collect();
        let done = Command::new("bash").arg("-c").arg(script).current_dir(folder).output().unwrap();
        (done.status.success(), String::from_utf8(done.stdout).unwrap())
    };
    let (is_good, said) = by_shell(&folder);
    assert!(is_good && said.contains(&format!("the newest hash: {head}")) && !said.contains("altered"), "{said}");
    assert_eq!(said.matches(": OK").count(), 2, "{said}");
    let checker = "import hashlib,sys\nbefore='0'*64\nfor line in open('chain.txt',newline='\\n'):\n h,text=line.rstrip('\\n').split(' ',1)\n \
                   before=hashlib.sha256((before+'\\n'+text).encode()).hexdigest()\n assert before==h\nprint(before)";
    let done = Command::new("python3").arg("-c").arg(checker).current_dir(&folder).output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap().trim(), head);
    assert!(firm.run(&["evidence", "export", folder.to_str().unwrap()]).expect(1).err.contains("is there already"));

    let chain = folder.join("chain.txt");
    let whole = fs::read_to_string(&chain).unwrap();
    fs::write(&chain, whole.replacen("\"by\":\"", "\"by\":\"not ", 1)).unwrap();
    assert!(by_shell(&folder).1.contains("altered: "));
    fs::write(&chain, &whole).unwrap();
    let manifest = fs::read_dir(folder.join("manifests")).unwrap().next().unwrap().unwrap().path();
    fs::write(manifest, b"other").unwrap();
    assert!(!by_shell(&folder).0);
}

/// Each of these is noticed, and named.
#[test]
fn whatever_is_altered_removed_put_in_or_moved_is_named() {
    let firm = firm_with_a_day();
    map_the_ghost(&firm);
    firm.replay(0);
    firm.run(&["restage", "--mailbox", AMY, "--reason", "lost"]).expect(0);
    let count = links(&firm).len();
    let whole = fs::read(firm.path("state/ledger.db")).unwrap();
    assert!(
        !firm.path("state/ledger.db-wal").exists() || fs::read(firm.path("state/ledger.db-wal")).unwrap().is_empty()
    );
    let (last, said) = (count.to_string(), |link: usize| format!("link {link} of the chain"));
    for (sql, says) in [
        // The chain itself.
        ("UPDATE chain SET line = replace(line, '\"by\":\"', '\"by\":\"x') WHERE seq = 2".to_owned(), said(2)),
        ("UPDATE chain SET hash = zeroblob(32) WHERE seq = 3".into(), said(3)),
        ("DELETE FROM chain WHERE seq = 3".into(), "link 3 of the chain is missing".into()),
        ("DELETE FROM chain WHERE seq IN (3, 4)".into(), "links 3 to 4 of the chain are missing".into()),
        (format!("DELETE FROM chain WHERE seq = {last}"), "no link of the chain does".into()),
        (
            "UPDATE chain SET seq = -1 WHERE seq = 2; UPDATE chain SET seq = 2 WHERE seq = 3; UPDATE chain SET seq = 3 WHERE seq = -1"
                .into(),
            "link 2 of the chain stands at another's place".into(),
        ),
        (
            format!("INSERT INTO chain (seq, line, hash) SELECT {count} + 1, line, hash FROM chain WHERE seq = 4"),
            said(count + 1),
        ),
        // What the tables say.
        ("UPDATE files SET name = 'other'".into(), "the receipt of other".into()),
        ("UPDATE files SET bytes = 1".into(), "the receipt of icechat.xml.pgp".into()),
        ("UPDATE manifests SET committed = 5 WHERE seq = 1".into(), "the commit of icechat.xml.pgp".into()),
        ("UPDATE manifests SET entries = entries + 1 WHERE seq = 2".into(), "the commit of icechat.xml.pgp".into()),
        ("DELETE FROM manifests WHERE seq = 2".into(), "tells of the commit of icechat.xml.pgp".into()),
        (
            "UPDATE manifests SET seq = 9 WHERE seq = 1; UPDATE manifests SET seq = 1 WHERE seq = 2; UPDATE manifests SET seq = 2 WHERE seq = 9"
                .into(),
            "where the chain has".into(),
        ),
        ("UPDATE run_files SET staged = staged + 1 WHERE run = 1".into(), "the commit of icechat.xml.pgp".into()),
        ("UPDATE runs SET invoked_by = 'nobody'".into(), "the receipt of icechat.xml.pgp".into()),
        ("UPDATE versions SET put_by = 'nobody' WHERE id = 1".into(), "(by nobody)".into()),
        ("UPDATE restagings SET reason = 'other'".into(), "a restaging".into()),
        ("UPDATE files SET original_removed = 9".into(), "the removal of the original of icechat.xml.pgp".into()),
        ("DELETE FROM certificates".into(), "the certificates in the ledger are others".into()),
        ("UPDATE shapes SET deflated = x'00' WHERE kind = 'profile'".into(), "the kept profile".into()),
        ("UPDATE files SET state = 'held'".into(), "which the ledger has as held".into()),
        ("DELETE FROM rejected; UPDATE files SET rejected = rejected + 1, available = available + 1".into(), "rejected records".into()),
    ] {
        fs::write(firm.path("state/ledger.db"), &whole).unwrap();
        let connection = ledger(&firm);
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        connection.execute_batch(&sql).unwrap();
        drop(connection);
        let found = faults(&firm, &[]);
        assert!(found.iter().any(|fault| fault.contains(&says)), "{sql}: {says}: {found:#?}");
    }
    fs::write(firm.path("state/ledger.db"), &whole).unwrap();
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
}

/// Every single line of a manifest, whatever becomes of it.
#[test]
fn no_line_of_a_manifest_can_be_touched() {
    let firm = firm_with_a_day();
    let manifest = manifests(&firm).remove(0);
    let whole = fs::read(&manifest).unwrap();
    let text = unzip(&manifest);
    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        let mut moved = lines.clone();
        moved.swap(at, (at + 1) % lines.len());
        let edited = text.replacen(lines[at], &lines[at].replacen('1', "2", 1), 1);
        for other in [join(&without), join(&twice), join(&moved), edited] {
            fs::remove_file(&manifest).unwrap();
            fs::write(&manifest, zip(&other)).unwrap();
            let found = faults(&firm, &[]);
            let name = manifest.file_name().unwrap().to_str().unwrap();
            assert!(other == text || found.iter().any(|fault| fault.contains(name)), "{at}: {found:#?}");
        }
    }
    fs::write(&manifest, whole).unwrap();
    assert_eq!(faults(&firm, &[]), [""; 0]);
}

/// Makes the chain agree with itself again, as somebody would who may write to the state folder and has read how it is hashed.
fn hash_anew(firm: &Firm) {
    let ledger = ledger(firm);
    let mut statement = ledger.prepare("SELECT seq, line FROM chain ORDER BY seq").unwrap();
    let links = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let links: Vec<(i64, String)> = links.map(Result::unwrap).collect();
    let mut before = "0".repeat(64);
    for (seq, line) in links {
        let hash = Sha256::of(format!("{before}\n{line}").as_bytes());
        ledger.execute("UPDATE chain SET hash = ?2 WHERE seq = ?1", (seq, hash.0)).unwrap();
        before = hash.to_string();
    }
}

/// Alters manifest, ledger and chain together, so that all of it agrees.
fn forge(firm: &Firm, alter: impl Fn(&str) -> String) {
    let manifest = manifests(firm).remove(0);
    let old = Sha256::of(&fs::read(&manifest).unwrap());
    let lines = |text: &str| text.lines().count() - 1;
    let text = unzip(&manifest);
    let altered = alter(&text);
    let forged = zip(&altered);
    fs::remove_file(&manifest).unwrap();
    fs::write(&manifest, &forged).unwrap();
    let (new, entries, before) = (Sha256::of(&forged), lines(&altered), lines(&text));
    let sql = format!(
        "UPDATE manifests SET sha256 = x'{new}', entries = {entries} WHERE seq = 1;
         UPDATE chain SET line = replace(replace(line, '{old}', '{new}'), '\"entries\":{before},', '\"entries\":{entries},')
         WHERE line LIKE '%\"commit\"%'"
    );
    ledger(firm).execute_batch(&sql).unwrap();
    hash_anew(firm);
}

#[test]
fn a_hash_that_was_noted_elsewhere_shows_what_was_forged_since() {
    let firm = firm_with_a_day();
    let head = firm.run(&["verify", "--json"]).expect(0).json()["chain"]["head"].as_str().unwrap().to_owned();
    firm.deliver_export("more.pgp", &export(&message("m-9", AMY, &[OLA], "hi")));
    firm.ingest(3);
    assert_eq!(faults(&firm, &["--head", &head]), [""; 0], "what came since is no fault");
    hash_anew(&firm);
    assert_eq!(faults(&firm, &["--head", &head]), [""; 0], "nothing was altered");
    let sql = "UPDATE versions SET put_by = 'nobody';
               UPDATE chain SET line = json_set(line, '$.by', 'nobody') WHERE line LIKE '%\"in-force\"%'";
    ledger(&firm).execute_batch(sql).unwrap();
    hash_anew(&firm);
    assert_eq!(faults(&firm, &[]), [""; 0], "by itself it agrees");
    let found = faults(&firm, &["--head", &head]);
    assert!(found.len() == 1 && found[0].contains(&head), "{found:#?}");
    assert_eq!(firm.run(&["verify", "--head", "12"]).code, 2);
}

/// What is found, and how the manifest is altered.
type Forgery<'a> = (&'a str, Box<dyn Fn(&str) -> String>);

#[test]
fn what_was_forged_is_not_what_the_originals_give() {
    let swap = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}: {text}");
        text.replacen(from, to, 1)
    };
    let forgeries: [Forgery<'_>; 4] = [
        (
            "items with other bytes than were placed: 1",
            Box::new(move |text| {
                let digest = text.split("\"eml\":\"").nth(1).unwrap()[..64].to_owned();
                swap(text, &digest, &"0".repeat(64))
            }),
        ),
        (
            "items whose mailboxes are others than the recorded rules give: 1",
            Box::new(move |text| swap(text, "\"mailboxes\":[\"", "\"mailboxes\":[\"boss@contoso.com\",\"")),
        ),
        (
            "records that no manifest accounts for: 1",
            Box::new(|text| {
                let staged = text.lines().find(|line| line.contains("\"state\":\"staged\"")).unwrap().to_owned() + "\n";
                text.replacen(&staged, "", 1)
            }),
        ),
        (
            "account for records that its original does not have: 1",
            Box::new(|text| {
                let staged = text.lines().find(|line| line.contains("\"state\":\"staged\"")).unwrap();
                let forged = staged.replacen("\"n\":", "\"n\":77", 1);
                format!("{text}{forged}\n")
            }),
        ),
    ];
    for (says, alter) in forgeries {
        let firm = firm_with_a_day();
        forge(&firm, alter);
        let found = faults(&firm, &["--deep"]);
        assert!(found.iter().any(|fault| fault.contains(says)), "{says}: {found:#?}");
    }
}

#[test]
fn mails_of_another_format_are_named_as_not_comparable() {
    let firm = firm_with_a_day();
    let facts = firm.run(&["verify", "--deep", "--json"]).expect(0).json();
    assert_eq!(
        (&facts["deep"]["exports"], &facts["deep"]["records"], &facts["deep"]["emls"]),
        (&json!(1), &json!(5), &json!(4))
    );
    ledger(&firm).execute("UPDATE files SET shape = json_set(shape, '$.eml_format', 99)", []).unwrap();
    let said = firm.run(&["verify", "--deep"]).expect(0);
    assert!(said.out.contains("not comparable, of another EML format: icechat.xml.pgp"), "{said:?}");
    ledger(&firm).execute("UPDATE files SET shape = json_set(shape, '$.eml_format', 1)", []).unwrap();
    let found = faults(&firm, &["--deep"]);
    assert!(found.is_empty() || found.iter().any(|fault| fault.contains("other bytes")), "{found:#?}");
}

/// A deep proof is for the quiet hours, but nobody need wait for it: it goes on beside a run, and changes nothing.
#[test]
fn a_deep_proof_changes_nothing_and_takes_no_lock() {
    let firm = firm_with_a_day();
    let _lock = icechatd::lock::Lock::take(&firm.path("state/work.lock")).unwrap();
    let before = fs::read(firm.path("state/ledger.db")).unwrap();
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
    assert!(fs::read(firm.path("state/ledger.db")).unwrap() == before);
    assert_eq!(fs::read_dir(firm.path("state/spool")).unwrap().count(), 0);
    fs::remove_dir_all(firm.path("staging")).unwrap();
    assert_eq!(faults(&firm, &["--deep"]), [""; 0], "what the importer took is rendered from the original");
    assert!(!firm.path("staging").exists());
}
