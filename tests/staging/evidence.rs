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
    assert_eq!(whats, ["founded", "keys", "in-force", "in-force", "received", "commit"]);
    let commit = of_kind(&day, "commit")[0].clone();
    let file = &run["files"][0];
    assert_eq!((&commit["name"], &commit["sha256"]), (&file["name"], &file["sha256"]));
    assert_eq!((&commit["run"], &commit["verb"]), (&run["run"], &json!("ingest")));
    assert_eq!(commit["books"]["items"], file["items"]);
    assert_eq!(run["evidence"], json!({"link": 6, "hash": day[5]["hash"]}), "the report names the link");

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
    assert_eq!(now[..6], day[..], "what was linked stays");
    assert_eq!(faults(&firm, &["--deep"]), [""; 0]);
    let text = firm.run(&["evidence", "list"]).expect(0).out;
    let words = format!("put into staging once more (mailbox {AMY}): the importer lost it");
    assert!(text.contains(&words), "{text}");
    for words in [
        "the chain begins",
        "icechat.xml.pgp came: ",
        "mapping in force: 4 entries (4 new, 0 gone",
        "certificates in use: ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
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
    assert_eq!(faults(&firm, &[]), [""; 0]);
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

/// What is done to the chain itself, and what is said of it.
fn edits_of_the_chain(count: usize) -> Vec<(String, String)> {
    let said = |link: usize| format!("link {link} of the chain");
    vec![
        ("UPDATE chain SET line = replace(line, '\"by\":\"', '\"by\":\"x') WHERE seq = 2".to_owned(), said(2)),
        ("UPDATE chain SET hash = zeroblob(32) WHERE seq = 3".into(), said(3)),
        ("DELETE FROM chain WHERE seq = 3".into(), "link 3 of the chain is missing".into()),
        ("DELETE FROM chain WHERE seq IN (3, 4)".into(), "links 3 to 4 of the chain are missing".into()),
        (format!("DELETE FROM chain WHERE seq = {count}"), "no link of the chain does".into()),
        (
            "UPDATE chain SET seq = -1 WHERE seq = 2; UPDATE chain SET seq = 2 WHERE seq = 3; UPDATE chain SET seq = 3 WHERE seq = -1"
                .into(),
            "link 2 of the chain stands at another's place".into(),
        ),
        (
            format!("INSERT INTO chain (seq, line, hash) SELECT {count} + 1, line, hash FROM chain WHERE seq = 4"),
            said(count + 1),
        ),
        (format!("INSERT INTO chain (seq, line, hash) VALUES ({count} + 1, '[]', x'00')"), said(count + 1)),
        ("UPDATE chain SET seq = -5 WHERE seq = 3".into(), "link -5 of the chain is none".into()),
        ("UPDATE chain SET hash = x'00' WHERE seq = 3".into(), said(3)),
    ]
}

/// What is done to the other tables, and what is said of it.
const EDITS_OF_THE_TABLES: &[(&str, &str)] = &[
        ("UPDATE files SET date = '2020-01-01'", "the commit of icechat.xml.pgp"),
        ("UPDATE files SET signed_by = 'somebody'", "the commit of icechat.xml.pgp"),
        ("UPDATE files SET export_firm = 'EVIL'", "the commit of icechat.xml.pgp"),
        ("UPDATE files SET shape = json_set(shape, '$.footer', json('false'))", "the shape of icechat.xml.pgp"),
        ("UPDATE rule_sets SET settings = '{}' WHERE id = 1", "rule set 1 is not what was kept"),
        ("DELETE FROM file_rule_sets WHERE position = 1", "other rule sets than its manifests have"),
        ("UPDATE in_force SET digest = (SELECT digest FROM shapes WHERE kind = 'profile')", "in force is not the one"),
        ("UPDATE files SET duplicate = 7, skipped = 3, available = available + 10, added = added + 10", "have 0 duplicates"),
        (
            "INSERT INTO run_files SELECT run, 77, file, name, state, reason, available, staged, held, duplicate, rejected, skipped,
             5000, 0, changed, unknown, unresolved FROM run_files WHERE run = 1",
            "placements that no manifest accounts for",
        ),
        ("INSERT INTO items (time, id, file, ordinal, held, participants) VALUES (9, zeroblob(16), 9999, 0, 0, x'')", "not committed"),
        (
            "INSERT INTO items (time, id, file, ordinal, held, participants) VALUES (9, zeroblob(16), 1, 9, 0, x'');
             UPDATE files SET staged = staged + 1, available = available + 1, added = added + 1",
            "items, the ledger",
        ),
        ("INSERT INTO archives (file, entries, refused) VALUES (1, 0, 0)", "or an archive"),
        ("UPDATE files SET name = 'other'", "the receipt of other"),
        ("UPDATE files SET bytes = 1", "the receipt of icechat.xml.pgp"),
        ("UPDATE manifests SET committed = 5 WHERE seq = 1", "the commit of icechat.xml.pgp"),
        ("UPDATE manifests SET entries = entries + 1 WHERE seq = 2", "the commit of icechat.xml.pgp"),
        ("DELETE FROM manifests WHERE seq = 2", "tells of the commit of icechat.xml.pgp"),
        (
            "UPDATE manifests SET seq = 9 WHERE seq = 1; UPDATE manifests SET seq = 1 WHERE seq = 2; UPDATE manifests SET seq = 2 WHERE seq = 9",
            "where the chain has",
        ),
        ("UPDATE run_files SET staged = staged + 1 WHERE run = 1", "the commit of icechat.xml.pgp"),
        ("UPDATE runs SET invoked_by = 'nobody'", "the receipt of icechat.xml.pgp"),
        ("UPDATE versions SET put_by = 'nobody' WHERE id = 1", "(by nobody)"),
        ("UPDATE restagings SET reason = 'other'", "a restaging"),
        ("UPDATE files SET original_removed = 9", "the removal of the original of icechat.xml.pgp"),
        ("DELETE FROM certificates", "the certificates in the ledger are others"),
        ("UPDATE shapes SET deflated = x'00' WHERE kind = 'profile'", "the kept profile"),
        ("UPDATE files SET state = 'held'", "of a file that is not committed"),
        ("DELETE FROM rejected; UPDATE files SET rejected = rejected + 1, available = available + 1", "rejected records"),
];

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
    let tables = EDITS_OF_THE_TABLES.iter().map(|(sql, says)| ((*sql).to_owned(), (*says).to_owned()));
    for (sql, says) in edits_of_the_chain(count).into_iter().chain(tables) {
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
    for stranger in ["state/originals/stranger.pgp", "state/manifests/stranger.jsonl.gz"] {
        fs::write(firm.path(stranger), b"x").unwrap();
        let found = faults(&firm, &[]);
        assert!(found.len() == 1 && found[0].contains("stranger"), "{found:#?}");
        fs::remove_file(firm.path(stranger)).unwrap();
    }
}

/// What is held, and whom it concerns, cannot be made to look settled.
#[test]
fn what_is_held_cannot_be_made_to_look_settled() {
    let firm = firm_with_a_day();
    firm.deliver("bad.pgp", b"garbage");
    firm.ingest(3);
    let whole = fs::read(firm.path("state/ledger.db")).unwrap();
    for (sql, says) in [
        (
            "UPDATE items SET held = 0 WHERE held = 1; UPDATE files SET held = 0, staged = staged + 1 WHERE held = 1",
            "no manifest says where it was placed",
        ),
        ("DELETE FROM held_people", "whom held items lack a mailbox for"),
        ("DELETE FROM unplaced", "whom held items lack a mailbox for"),
        ("UPDATE files SET state = 'superseded', superseded_by = 99 WHERE state = 'held'", "took the place of bad.pgp"),
        ("UPDATE runs SET firm_code = firm_code; DELETE FROM files WHERE state = 'held'", "the receipt of bad.pgp"),
    ] {
        fs::write(firm.path("state/ledger.db"), &whole).unwrap();
        let connection = ledger(&firm);
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let found = faults(&firm, &[]);
        assert!(found.iter().any(|fault| fault.contains(says)), "{sql}: {says}: {found:#?}");
    }
    fs::write(firm.path("state/ledger.db"), &whole).unwrap();
    let digest = Sha256::of(b"garbage");
    fs::remove_file(firm.path(&format!("state/originals/{digest}.pgp"))).unwrap();
    assert!(faults(&firm, &[])[0].contains(&digest.to_string()));
}

/// A chain that somebody took away and had begun anew shows when that was, and a program from before it records nothing.
#[test]
fn a_chain_that_begins_anew_says_when_and_keeps_older_programs_out() {
    let firm = firm_with_a_day();
    let facts = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&facts["chain"]["from_before"], facts["chain"]["founded"].is_string()), (&json!(0), true));
    firm.rewrite_ledger("");
    let facts = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&facts["chain"]["from_before"], &facts["chain"]["links"]), (&json!(5), &json!(6)));
    assert!(firm.run(&["verify"]).expect(0).out.contains("the first 5 of them tell of what the ledger knew"));
    let old = ledger(&firm);
    for insert in [
        "INSERT INTO files (sha256, name, bytes, received, received_run, state) VALUES (zeroblob(32), 'x', 1, 1, 1, 'received')",
        "INSERT INTO manifests (file, run, rule_set, name, sha256, entries, committed) VALUES (1, 1, 1, 'x', zeroblob(32), 1, 1)",
        "INSERT INTO dismissals (file, kind, reason, dismissed_by, dismissed) VALUES (1, 'file', 'x', 'x', 1)",
    ] {
        let error = old.execute(insert, []).unwrap_err().to_string();
        assert!(error.contains("a newer icechatd has been here"), "{error}");
    }
    drop(old);
    ledger(&firm).pragma_update(None, "user_version", 9).unwrap();
    let said = firm.run(&["verify"]).expect(1);
    assert!(said.err.contains("there is nothing to verify before"), "{said:?}");
}

#[test]
fn evidence_that_is_not_all_there_is_handed_out_as_far_as_it_is() {
    let firm = firm_with_a_day();
    let manifest = manifests(&firm).remove(0);
    fs::remove_file(&manifest).unwrap();
    let folder = firm.path("evidence");
    let said = firm.run(&["evidence", "export", folder.to_str().unwrap()]).expect(1);
    assert!(said.err.contains(manifest.file_name().unwrap().to_str().unwrap()), "{said:?}");
    assert_eq!(fs::read_to_string(folder.join("chain.txt")).unwrap().lines().count(), links(&firm).len());
}

#[test]
fn a_deep_proof_without_keys_says_so_at_once() {
    let firm = firm_with_a_day();
    fs::rename(firm.path("pgp-key"), firm.path("elsewhere")).unwrap();
    let said = firm.run(&["verify", "--deep"]).expect(1);
    assert!(said.err.contains("pgp-key"), "{said:?}");
    firm.run(&["verify"]).expect(0);
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

/// A line of a manifest that says something else became of the item.
fn placeless(line: &str, state: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    line["state"] = state.into();
    let line = line.as_object_mut().unwrap();
    line.remove("eml");
    line.remove("mailboxes");
    serde_json::to_string(line).unwrap()
}

/// What is found, and how the manifest is altered.
type Forgery<'a> = (&'a str, Box<dyn Fn(&str) -> String>);

#[test]
fn what_was_forged_is_not_what_the_originals_give() {
    let swap = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}: {text}");
        text.replacen(from, to, 1)
    };
    let forgeries: [Forgery<'_>; 7] = [
        (
            "of which another outcome is recorded than was theirs: 1",
            Box::new(move |text| {
                let staged = text.lines().find(|line| line.contains("\"state\":\"staged\"")).unwrap();
                text.replacen(staged, &placeless(staged, "skipped"), 1)
            }),
        ),
        (
            "of which another outcome is recorded than was theirs: 1",
            Box::new(move |text| {
                let staged = text.lines().find(|line| line.contains("\"state\":\"staged\"")).unwrap();
                text.replacen(staged, &placeless(staged, "duplicate"), 1)
            }),
        ),
        (
            "items whose mailboxes are others than the recorded rules give: 1",
            Box::new(move |text| {
                // One of two mailboxes is left out.
                let staged = text.lines().find(|line| line.contains("\",\"dora.diaz@contoso.com\"")).unwrap();
                text.replacen(staged, &staged.replacen("\",\"dora.diaz@contoso.com\"", "\"", 1), 1)
            }),
        ),
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
    firm.rewrite_ledger("UPDATE files SET shape = json_set(shape, '$.eml_format', 99)");
    let said = firm.run(&["verify", "--deep"]).expect(0);
    assert!(said.out.contains("not comparable, of another EML format: icechat.xml.pgp"), "{said:?}");
    firm.rewrite_ledger("UPDATE files SET shape = json_set(shape, '$.eml_format', 1)");
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
