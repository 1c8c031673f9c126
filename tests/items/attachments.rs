//! Attachments: inside an export and in archives that come before it, with it, after it or never; what operators see of
//! each; and that none of their bytes ever lies readable anywhere but in an EML.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Instant;

use data_encoding::BASE64;
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::{Value, json};
use support::archive::cases;
use support::firm::{Firm, Settings, body, file, header, message};
use support::planted::keep_secret;

/// The built-in profile, with attachments by file id and with file names that say what belongs together.
fn profile() -> String {
    let icechat = include_str!("../../src/export/profiles/icechat.toml");
    let with_id =
        icechat.replace("file_name     = \"FileName\"", "file_id       = \"FileID\"\nfile_name     = \"FileName\"");
    assert_ne!(icechat, with_id);
    format!(
        "{with_id}\n[[file]]\nkind = \"export\"\nname = \"{{firm}}.{{date:%y%m%d}}*.xml\"\n\
         [[file]]\nkind = \"attachments\"\nname = [\"{{firm}}.att.{{date:%y%m%d}}*.tar.gz\", \"{{firm}}.att.{{date:%y%m%d}}*.zip\"]\n"
    )
}

fn firm_with(more: &str) -> Firm {
    let more = format!("[export]\nprofile = \"./with-files.toml\"\n{more}");
    let firm = Firm::with(&Settings { more, ..Settings::default() });
    fs::write(firm.path("with-files.toml"), profile()).unwrap();
    firm
}

/// A firm whose exports wait for their archives, longer than any test.
fn patient() -> Firm {
    firm_with("[attachments]\nwait = \"4h\"\n")
}

/// A firm whose exports do not wait.
fn hasty() -> Firm {
    firm_with("[attachments]\nwait = \"0s\"\n")
}

/// An attachment in an archive, named by its id.
fn named(id: &str, reference: &str) -> String {
    attachment(id, &format!("<FileID>{reference}</FileID><FileName>{reference}.bin</FileName>"))
}

/// An attachment inside the export.
fn inside(id: &str, data: &[u8]) -> String {
    attachment(id, &format!("<FileName>{id}.bin</FileName><Data>{}</Data>", BASE64.encode(data)))
}

fn attachment(id: &str, what: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("<MessageID>{id}</MessageID>") };
    format!(
        "<Attachment>{id}<SenderEmail>amy@contoso.com</SenderEmail><RecipientEmail>joe@contoso.com</RecipientEmail>\
         <DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC>{what}</Attachment>"
    )
}

fn export(records: &[String]) -> String {
    support::firm::export(&records.concat())
}

/// Bytes that nobody may find on the disk.
fn canary(name: &str) -> Vec<u8> {
    let text = format!("the heron in {name} stands on one leg 5512");
    keep_secret(&text);
    keep_secret(&BASE64.encode(text.as_bytes())[..40]);
    text.into_bytes()
}

fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut tar = tar::Builder::new(encoder);
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn deliver(firm: &Firm, name: &str, archive: &[u8]) {
    firm.deliver(name, &firm.encrypt_bytes(archive));
}

/// The files in the mails of one mailbox, each with the message id of its mail.
fn attached(firm: &Firm, mailbox: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for ((_, name), bytes) in firm.staged().iter().filter(|((of, _), _)| of == mailbox) {
        let mail = MessageParser::default().parse(bytes).unwrap();
        let id = header(bytes, "X-ICE-Chat-Message-ID").unwrap_or_else(|| name.clone());
        let files = found.entry(id).or_default();
        for part in mail.attachments() {
            assert!(part.attachment_name().is_some());
            files.push(part.contents().to_vec());
        }
    }
    found
}

fn counts(present: u64, missing: u64, oversize: u64, orphan: u64, refused: u64) -> Value {
    json!({"present": present, "missing": missing, "oversize": oversize, "orphan": orphan, "refused": refused})
}

fn state(report: &Value, name: &str) -> String {
    file(report, name)["state"].as_str().unwrap().to_owned()
}

#[test]
fn an_attachment_is_where_its_item_is_from_whichever_place_it_came() {
    let (one, two, three) = (canary("one"), canary("two"), canary("three"));
    let firm = patient();
    let records = [
        message("m", "amy@contoso.com", &["joe@contoso.com"], "see"),
        inside("i", &one),
        named("t", "F-1"),
        named("z", "F-2"),
    ];
    // The site lists the export first.
    firm.deliver_export("acme.261119.xml.pgp", &export(&records));
    deliver(&firm, "acme.att.261119-1.tar.gz.pgp", &tar_gz(&[("./some/folder/F-1", &two)]));
    deliver(&firm, "acme.att.261119-2.zip.pgp", &zip(&[("F-2", &three)]));
    let dry = firm.run(&["ingest", "--dry-run", "--json"]).expect(0).json();
    let report = firm.ingest(0);
    for report in [&dry, &report] {
        assert_eq!(report["attachments"], counts(3, 0, 0, 0, 0), "{report:#}");
        assert_eq!(report["items"]["staged"], 4);
        assert_eq!(state(report, "acme.261119.xml.pgp"), "staged");
        assert_eq!(state(report, "acme.att.261119-1.tar.gz.pgp"), "read");
    }
    for mailbox in ["amy@contoso.com", "joe@contoso.com"] {
        let expected = [("i", vec![one.clone()]), ("m", vec![]), ("t", vec![two.clone()]), ("z", vec![three.clone()])];
        assert_eq!(attached(&firm, mailbox), expected.map(|(id, files)| (id.to_owned(), files)).into());
    }
    firm.run(&["verify"]).expect(0);
    assert_eq!(firm.ingest(0)["files"], json!([]));
}

#[test]
fn an_archive_that_is_there_first_is_asked_by_the_run_that_brings_the_export() {
    let bytes = canary("early");
    let firm = patient();
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", &bytes)]));
    // That of another day has another file of the same name.
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &canary("other day"))]));
    firm.ingest(0);
    assert!(firm.staged().is_empty());
    firm.deliver_export("ACME.261119.xml.pgp", &export(&[named("a", "F-1")]));
    let report = firm.ingest(0);
    assert_eq!(report["attachments"], counts(1, 0, 0, 0, 0));
    assert_eq!(attached(&firm, "joe@contoso.com")["a"], [bytes]);
}

#[test]
fn an_export_waits_for_its_archive_and_is_nobodys_matter_meanwhile() {
    let (one, two) = (canary("first part"), canary("second part"));
    let firm = patient();
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1"), named("b", "F-2")]));
    for _ in 0..2 {
        let report = firm.ingest(0);
        assert_eq!(
            (state(&report, "acme.261119.xml.pgp"), report["outcome"].as_str()),
            ("waiting".into(), Some("complete"))
        );
        let reason = report["files"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("it waits for one until 20") && reason.contains("attachments.wait"), "{reason}");
        assert!(firm.staged().is_empty());
    }
    let text = firm.run(&["report"]).expect(0).out;
    assert!(text.contains("waits: it names"), "{text}");
    let status = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["needs"]["unfinished_files"], 0);
    // Half of it is not enough.
    deliver(&firm, "acme.att.261119-1.tar.gz.pgp", &tar_gz(&[("F-1", &one)]));
    let report = firm.ingest(0);
    assert_eq!(state(&report, "acme.261119.xml.pgp"), "waiting");
    deliver(&firm, "acme.att.261119-2.tar.gz.pgp", &tar_gz(&[("F-2", &two)]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(2, 0, 0, 0, 0));
    assert_eq!(attached(&firm, "joe@contoso.com"), [("a".into(), vec![one]), ("b".into(), vec![two])].into());
    assert_eq!(firm.ingest(0)["files"], json!([]));
}

#[test]
fn what_does_not_come_is_missing_and_follows_when_it_does() {
    let (one, two) = (canary("late one"), canary("late two"));
    let firm = hasty();
    let outside = "<RecipientEmail>joe@contoso.com</RecipientEmail><Recipient><ImId>nils9</ImId></Recipient>";
    let records = [named("a", "F-1"), named("", "F-2"), named("", "F-2"), named("c", "F-3")]
        .map(|record| record.replace("<RecipientEmail>joe@contoso.com</RecipientEmail>", outside));
    firm.deliver_export("acme.261119.xml.pgp", &export(&records));
    let report = firm.ingest(3);
    assert_eq!(report["attachments"], counts(0, 4, 0, 0, 0));
    assert!(attached(&firm, "joe@contoso.com").values().all(Vec::is_empty));
    let first = firm.staged();
    assert_eq!(first.len(), 8);

    deliver(&firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&[("F-1", &one), ("F-2", &two)]));
    let report = firm.ingest(3);
    let follows = &file(&report, "acme.261119.xml.pgp");
    assert_eq!((&follows["items"]["available"], &follows["items"]["staged"]), (&json!(3), &json!(3)), "{report:#}");
    assert_eq!(follows["attachments"], counts(3, 1, 0, 0, 0));
    let now = firm.staged();
    assert!(first.iter().all(|(key, bytes)| now.get(key) == Some(bytes)), "what stood there was changed");
    assert_eq!(now.len(), 8 + 6);
    let mut files: Vec<Vec<u8>> = attached(&firm, "joe@contoso.com").into_values().flatten().collect();
    files.sort();
    let mut expected = vec![one, two.clone(), two];
    expected.sort();
    assert_eq!(files, expected);
    firm.run(&["verify"]).expect(0);
    assert_eq!(firm.ingest(3)["files"], json!([]), "it follows once");

    // Whoever gets a mailbox later gets both, and what was placed can be placed again.
    firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
    let report = firm.replay(0);
    assert_eq!(report["placements"]["staged"], 7, "{report:#}");
    let theirs: Vec<_> = firm
        .staged()
        .into_iter()
        .filter(|((of, _), _)| of == "dora@contoso.com")
        .map(|((_, name), bytes)| (name, bytes))
        .collect();
    let joes: Vec<_> = now
        .iter()
        .filter(|((of, _), _)| of == "joe@contoso.com")
        .map(|((_, name), bytes)| (name.clone(), bytes.clone()))
        .collect();
    assert_eq!(theirs, joes);
    let all = firm.staged();
    fs::remove_dir_all(firm.path("staging/dora@contoso.com")).unwrap();
    fs::remove_dir_all(firm.path("staging/joe@contoso.com")).unwrap();
    firm.run(&["restage", "--since", "2026-01-01", "--reason", "lost"]).expect(0);
    assert!(firm.staged() == all);
    firm.run(&["verify"]).expect(0);

    // A third archive brings the rest.
    let three = canary("very late");
    deliver(&firm, "acme.att.261119-b.zip.pgp", &zip(&[("F-3", &three), ("F-1", b"another, that comes too late")]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["items"]["staged"], 1);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(4, 0, 0, 0, 0));
    assert_eq!(file(&report, "acme.att.261119-b.zip.pgp")["attachments"], counts(0, 0, 0, 1, 0));
    assert_eq!(attached(&firm, "dora@contoso.com").into_values().flatten().filter(|bytes| *bytes == three).count(), 1);
    firm.run(&["verify"]).expect(0);
}

/// As [`named`], for these.
fn named_to(id: &str, reference: &str, to: &[&str]) -> String {
    let to: Vec<String> = to.iter().map(|to| format!("<RecipientEmail>{to}</RecipientEmail>")).collect();
    let to = to.concat();
    named(id, reference).replace("<RecipientEmail>joe@contoso.com</RecipientEmail>", &to)
}

/// How often each mailbox has a file.
fn has(firm: &Firm, bytes: &[u8]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (mailbox, _) in firm.staged().into_keys() {
        let files = attached(firm, &mailbox);
        found.insert(mailbox, files.into_values().flatten().filter(|file| file == bytes).count());
    }
    found
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(mailbox, count)| (mailbox.replace("@contoso.com", ""), count))
        .collect()
}

fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

fn restage_all(firm: &Firm) {
    let all = firm.staged();
    fs::remove_dir_all(firm.path("staging")).unwrap();
    firm.run(&["restage", "--since", "2020-01-01", "--reason", "lost"]).expect(0);
    assert!(firm.staged() == all);
    firm.run(&["verify"]).expect(0);
}

const BOTH_GROUPINGS: [&str; 2] = ["message", "conversation"];

/// Of a message that two exports carry, only the archive of the second has the attachment.
#[test]
fn what_only_the_archive_of_a_later_issue_has_follows_to_everybody() {
    for grouping in BOTH_GROUPINGS {
        let bytes = canary(&format!("issue by {grouping}"));
        let firm = firm_with(&format!("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"{grouping}\"\n"));
        firm.deliver_export(
            "acme.261119.xml.pgp",
            &export(&[named_to("a", "F-1", &["joe@contoso.com", "zoe@contoso.com"])]),
        );
        firm.ingest(0);
        let first = firm.staged();
        deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &bytes)]));
        firm.deliver_export(
            "acme.261120.xml.pgp",
            &export(&[named_to("a", "F-1", &["joe@contoso.com", "dora@contoso.com"])]),
        );
        let report = firm.ingest(0);
        assert_eq!(has(&firm, &bytes), once(&["amy", "dora", "joe", "zoe"]), "{grouping}: {report:#}");
        assert_eq!(file(&report, "acme.att.261120.zip.pgp")["attachments"], counts(0, 0, 0, 0, 0));
        let alerts = firm.run(&["alert", "list", "--json"]).out;
        assert!(!alerts.contains("attachment_missing"), "{alerts}");
        assert!(first.iter().all(|(key, bytes)| firm.staged().get(key) == Some(bytes)), "what stood there was changed");
        assert_eq!(firm.ingest(0)["files"], json!([]), "it follows once");
        restage_all(&firm);
        // Once more, byte for byte otherwise, with an archive of its own that has the same.
        deliver(&firm, "acme.att.261121.zip.pgp", &zip(&[("b/F-1", &bytes)]));
        firm.deliver_export(
            "acme.261121.xml.pgp",
            &export(&[named_to("a", "F-1", &["joe@contoso.com"]), String::new()]),
        );
        let report = firm.ingest(0);
        assert_eq!(report["placements"]["staged"], 0, "{report:#}");
        assert_eq!(file(&report, "acme.att.261121.zip.pgp")["attachments"], counts(0, 0, 0, 0, 0));
        restage_all(&firm);
    }
}

/// Of a message that two exports carry, the second has no archive, or one with something else under the same name.
#[test]
fn what_a_mail_has_is_not_missing_in_a_later_issue() {
    for grouping in BOTH_GROUPINGS {
        let (bytes, other) = (canary(&format!("in a mail by {grouping}")), canary(&format!("other by {grouping}")));
        let firm = firm_with(&format!("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"{grouping}\"\n"));
        deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", &bytes)]));
        firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1")]));
        firm.ingest(0);
        firm.deliver_export("acme.261120.xml.pgp", &export(&[named("a", "F-1")]));
        let report = firm.ingest(0);
        assert_eq!(report["attachments"], counts(0, 0, 0, 0, 0), "{report:#}");
        // What comes for the second now brings nothing again.
        deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &bytes)]));
        assert_eq!(firm.ingest(0)["placements"]["staged"], 0);
        assert_eq!(has(&firm, &bytes), once(&["amy", "joe"]));
        // Another file under the same name is not lost.
        deliver(&firm, "acme.att.261121.zip.pgp", &zip(&[("F-1", &other)]));
        firm.deliver_export("acme.261121.xml.pgp", &export(&[named("a", "F-1")]));
        let report = firm.ingest(0);
        assert_eq!(has(&firm, &other), once(&["amy", "joe"]), "{report:#}");
        assert_eq!(has(&firm, &bytes), once(&["amy", "joe"]));
        restage_all(&firm);
    }
}

/// The second issue names known people in another combination: whether its transcript is known is settled late.
#[test]
fn a_transcript_in_doubt_lets_its_attachments_follow_as_well() {
    let bytes = canary("in doubt");
    let firm = firm_with("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"conversation\"\n");
    let other = message("m", "amy@contoso.com", &["zoe@contoso.com"], "hello");
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named_to("a", "F-1", &["joe@contoso.com"]), other]));
    firm.ingest(0);
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &bytes)]));
    let part = named_to("a", "F-1", &["joe@contoso.com", "zoe@contoso.com"]);
    firm.deliver_export("acme.261120.xml.pgp", &export(&[part]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261120.xml.pgp")["items"]["duplicate"], 1, "{report:#}");
    assert_eq!(has(&firm, &bytes), once(&["amy", "joe", "zoe"]));
    restage_all(&firm);
}

#[test]
fn one_archive_gives_to_one_export_by_and_by() {
    let (one, two) = (canary("by and by, one"), canary("by and by, two"));
    let firm = hasty();
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1"), named("b", "F-2")]));
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &one), ("F-2", &two)]));
    firm.ingest(0);
    for (name, record) in [("acme.261120-1.xml.pgp", named("a", "F-1")), ("acme.261120-2.xml.pgp", named("b", "F-2"))] {
        firm.deliver_export(name, &export(&[record]));
        let report = firm.ingest(0);
        let first = file(&report, "acme.261119.xml.pgp");
        assert_eq!((&first["items"]["available"], &first["items"]["staged"]), (&json!(1), &json!(1)), "{report:#}");
    }
    assert_eq!((has(&firm, &one), has(&firm, &two)), (once(&["amy", "joe"]), once(&["amy", "joe"])));
    restage_all(&firm);
}

/// Two archives of one export come in one run, each with a part of what it misses.
#[test]
fn what_comes_late_in_two_archives_follows_from_both() {
    for grouping in BOTH_GROUPINGS {
        let (one, two) = (canary(&format!("late one by {grouping}")), canary(&format!("late two by {grouping}")));
        let firm = firm_with(&format!("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"{grouping}\"\n"));
        let outside = "<RecipientEmail>joe@contoso.com</RecipientEmail><Recipient><ImId>nils9</ImId></Recipient>";
        let records = [named("a", "F-1"), named("b", "F-2")]
            .map(|record| record.replace("<RecipientEmail>joe@contoso.com</RecipientEmail>", outside));
        firm.deliver_export("acme.261119.xml.pgp", &export(&records));
        firm.ingest(3);
        deliver(&firm, "acme.att.261119-1.zip.pgp", &zip(&[("F-1", &one)]));
        deliver(&firm, "acme.att.261119-2.zip.pgp", &zip(&[("F-2", &two)]));
        firm.ingest(3);
        restage_all(&firm);
        firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
        firm.replay(0);
        for bytes in [&one, &two] {
            assert_eq!(has(&firm, bytes), once(&["amy", "dora", "joe"]), "{grouping}");
        }
        restage_all(&firm);
    }
}

/// The archive that belongs to one of two exports alone comes when both have been taken in without it.
#[test]
fn what_comes_late_for_one_issue_follows_the_other_as_well() {
    for day in ["261119", "261120"] {
        let bytes = canary(&format!("late for one on {day}"));
        let firm = hasty();
        firm.deliver_export(
            "acme.261119.xml.pgp",
            &export(&[named_to("a", "F-1", &["joe@contoso.com", "zoe@contoso.com"])]),
        );
        firm.deliver_export(
            "acme.261120.xml.pgp",
            &export(&[named_to("a", "F-1", &["joe@contoso.com", "dora@contoso.com"])]),
        );
        firm.ingest(0);
        deliver(&firm, &format!("acme.att.{day}.zip.pgp"), &zip(&[("F-1", &bytes)]));
        let report = firm.ingest(0);
        assert_eq!(has(&firm, &bytes), once(&["amy", "dora", "joe", "zoe"]), "{day}: {report:#}");
        assert_eq!(firm.ingest(0)["files"], json!([]));
        restage_all(&firm);
    }
}

/// A transcript that is issued again with more in it has the attachment; whom only the first names gets it too.
#[test]
fn what_a_new_issue_of_a_day_has_follows_the_first() {
    let bytes = canary("new issue");
    let firm = firm_with("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"conversation\"\n");
    firm.deliver_export(
        "acme.261119.xml.pgp",
        &export(&[named_to("a", "F-1", &["joe@contoso.com", "zoe@contoso.com"])]),
    );
    firm.ingest(0);
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &bytes)]));
    let more = message("m", "amy@contoso.com", &["joe@contoso.com"], "and more");
    firm.deliver_export("acme.261120.xml.pgp", &export(&[named_to("a", "F-1", &["joe@contoso.com"]), more]));
    firm.ingest(0);
    let has = has(&firm, &bytes);
    assert_eq!(has.keys().collect::<Vec<_>>(), ["amy", "joe", "zoe"], "{has:?}");
    restage_all(&firm);
}

/// Somebody new gets a mail in which the attachment is missing: that is told, and it follows.
#[test]
fn a_copy_without_its_attachment_is_told_and_followed() {
    let bytes = canary("copy without");
    let firm = hasty();
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", &bytes)]));
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named_to("a", "F-1", &["joe@contoso.com"])]));
    firm.ingest(0);
    firm.deliver_export(
        "acme.261120.xml.pgp",
        &export(&[named_to("a", "F-1", &["joe@contoso.com", "dora@contoso.com"])]),
    );
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261120.xml.pgp")["attachments"], counts(0, 1, 0, 0, 0), "{report:#}");
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-1", &bytes)]));
    firm.ingest(0);
    assert_eq!(has(&firm, &bytes)["dora"], 1);
    restage_all(&firm);
}

/// A doubtful room beside one that is new, and one whose attachment follows: each is noted once.
#[test]
fn what_is_in_no_doubt_is_not_noted_again_when_doubts_are_settled() {
    let room = |id: &str, records: &[String]| {
        format!("<Conversation><RoomID>{id}</RoomID>{}</Conversation>", records.concat())
    };
    let rooms = |rooms: &[String]| format!("<IceChatExport firmCode=\"ACME\">{}</IceChatExport>", rooms.concat());
    let (new, known) = (canary("new room"), canary("known room"));
    let firm = firm_with("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"conversation\"\n");
    let hello = |id: &str, to: &str| message(id, "amy@contoso.com", &[to], "hello");
    let (one, two) = (hello("m-1", "joe@contoso.com"), hello("m-2", "zoe@contoso.com"));
    let (file_a, file_b) = (named_to("a", "F-A", &["joe@contoso.com"]), named_to("b", "F-B", &["joe@contoso.com"]));
    let first = [room("D", &[one.clone(), two]), room("N", std::slice::from_ref(&file_a)), room("K", &[file_b])];
    firm.deliver_export("acme.261119.xml.pgp", &rooms(&first));
    firm.ingest(0);
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-A", &new), ("F-B", &known)]));
    let doubt = one.replace("</RecipientEmail>", "</RecipientEmail><RecipientEmail>zoe@contoso.com</RecipientEmail>");
    let again = [
        room("D", &[doubt]),
        room("N", &[file_a, hello("m-3", "joe@contoso.com")]),
        room("K", &[named_to("b", "F-B", &["joe@contoso.com", "dora@contoso.com"])]),
    ];
    firm.deliver_export("acme.261120.xml.pgp", &rooms(&again));
    let report = firm.ingest(0);
    assert_eq!(has(&firm, &known), once(&["amy", "dora", "joe"]), "{report:#}");
    assert!(has(&firm, &new).contains_key("joe"));
    restage_all(&firm);
}

#[test]
fn an_attachment_that_two_issues_miss_reaches_whom_each_names() {
    let bytes = canary("two issues");
    let firm = hasty();
    firm.deliver_export("acme.261119-1.xml.pgp", &export(&[named_to("a", "F-1", &["joe@contoso.com"])]));
    firm.deliver_export("acme.261119-2.xml.pgp", &export(&[named_to("a", "F-1", &["zoe@contoso.com"])]));
    firm.ingest(0);
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", &bytes)]));
    firm.ingest(0);
    assert_eq!(has(&firm, &bytes), once(&["amy", "joe", "zoe"]));
    restage_all(&firm);
}

#[test]
fn a_record_that_a_replay_lets_in_finds_the_archive_that_came_long_ago() {
    let bytes = canary("let in");
    let limited = |size: &str| format!("[attachments]\nwait = \"0s\"\n[limits]\nmax_message = \"{size}\"\n");
    let firm = firm_with(&limited("1KiB"));
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", &bytes)]));
    let long =
        named("a", "F-1").replace("<FileName>", &format!("<ContentType>{}</ContentType><FileName>", "x".repeat(2000)));
    firm.deliver_export(
        "acme.261119.xml.pgp",
        &export(&[message("m", "amy@contoso.com", &["joe@contoso.com"], "see"), long]),
    );
    let report = firm.ingest(3);
    assert_eq!(report["items"]["rejected"], 1);
    firm_config(&firm, "max_message = \"1KiB\"", "max_message = \"8KiB\"");
    let report = firm.replay(0);
    assert_eq!(has(&firm, &bytes), once(&["amy", "joe"]), "{report:#}");
    restage_all(&firm);
}

/// An export of which a record needs an archive that retention removed is staged all the same.
#[test]
fn an_archive_that_retention_took_is_not_asked() {
    let firm = hasty();
    firm_config(&firm, "directory = \"state\"", "directory = \"state\"\noriginals_days = 30");
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", b"gone")]));
    firm.ingest(0);
    age(&firm);
    firm.ingest(0);
    assert_eq!(originals(&firm), 0);
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1")]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(0, 1, 0, 0, 0), "{report:#}");
}

/// What an export was staged with stays as long as the export does, whatever became of its attachments' rows.
#[test]
fn an_archive_in_use_is_kept_from_before_the_first_mail_on() {
    let firm = hasty();
    firm_config(&firm, "directory = \"state\"", "directory = \"state\"\noriginals_days = 30");
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&[("F-1", b"in use")]));
    let held = named("a", "F-1").replace("@contoso.com", "@northern.example");
    firm.deliver_export("acme.261119.xml.pgp", &export(&[held]));
    firm.ingest(3);
    age(&firm);
    // As it is between the beginning of the staging and its commit.
    let ledger = rusqlite::Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.execute_batch("DELETE FROM attachments").unwrap();
    firm.ingest(3);
    assert_eq!(originals(&firm), 2);
}

#[test]
fn what_a_mail_names_is_extracted_whatever_the_profile_is_by_then() {
    let firm = hasty();
    firm.deliver_export("acme.261119.xml.pgp", &export(&[inside("i", b"sealed inside")]));
    firm.ingest(0);
    let profile = fs::read_to_string(firm.path("with-files.toml")).unwrap();
    fs::write(firm.path("with-files.toml"), format!("guesses = [\"this\"]\n{profile}")).unwrap();
    let said = firm.run(&["ingest"]).expect(78);
    assert!(said.err.contains("1 of its guesses is not decided yet"), "{}", said.err);
    let digest = icechatd::digest::Sha256::of(b"sealed inside").to_string();
    assert_eq!(firm.command(&["attachment", &digest]).output().unwrap().stdout, b"sealed inside");
}

/// The mail whose text has this.
fn saying(firm: &Firm, mailbox: &str, text: &str) -> Vec<Vec<u8>> {
    let staged = firm.staged().into_iter().filter(|((of, _), _)| of == mailbox).map(|(_, bytes)| bytes);
    staged.filter(|bytes| body(bytes).contains(text)).collect()
}

#[test]
fn a_transcript_has_its_attachments_and_what_comes_later_follows_it() {
    let (one, two, three) = (canary("transcript"), canary("late transcript"), [9; 3000]);
    let firm =
        firm_with("[attachments]\nwait = \"0s\"\n[eml]\ngrouping = \"conversation\"\nmax_attachment = \"1KiB\"\n");
    let records = [
        message("m", "amy@contoso.com", &["zoe@contoso.com"], "have a look"),
        named("a", "F-1"),
        named("", "F-2"),
        named("", "F-2"),
        inside("i", &three),
        inside("", &three),
    ];
    firm.deliver_export("acme.261119.xml.pgp", &export(&records));
    deliver(&firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&[("F-1", &one)]));
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(1, 2, 2, 0, 0));
    let first = firm.staged();
    assert_eq!(first.len(), 3);
    let whole = saying(&firm, "zoe@contoso.com", "have a look");
    assert!(attached(&firm, "zoe@contoso.com").into_values().flatten().eq([one]));
    assert!(body(&whole[0]).contains(&icechatd::digest::Sha256::of(&three).to_string()));

    deliver(&firm, "acme.att.261119-b.zip.pgp", &zip(&[("F-2", &two)]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["items"]["staged"], 2);
    let transcript = header(&whole[0], "Message-ID").unwrap();
    for mailbox in ["amy@contoso.com", "joe@contoso.com", "zoe@contoso.com"] {
        let now: Vec<_> =
            firm.staged().into_iter().filter(|(key, _)| key.0 == mailbox && !first.contains_key(key)).collect();
        assert_eq!(now.len(), 2, "{mailbox} has the transcript, and what follows it");
        for (_, bytes) in &now {
            let mail = MessageParser::default().parse(bytes).unwrap();
            assert_eq!(mail.in_reply_to().as_text(), Some(transcript.as_str()));
            assert_eq!(
                mail.attachments().map(|part| part.contents().to_vec()).collect::<Vec<_>>(),
                std::slice::from_ref(&two)
            );
        }
    }
    firm.run(&["verify"]).expect(0);
    let all = firm.staged();
    fs::remove_dir_all(firm.path("staging/zoe@contoso.com")).unwrap();
    firm.run(&["restage", "--since", "2026-01-01", "--reason", "lost"]).expect(0);
    assert!(firm.staged() == all);
    // The same day under the other grouping brings nothing new.
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), text.replace("\"conversation\"", "\"message\"")).unwrap();
    firm.deliver_export("acme.261119-again.xml.pgp", &export(&records));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119-again.xml.pgp")["items"]["duplicate"], 6);
    assert!(firm.staged() == all);
}

#[test]
fn a_transcript_continues_where_its_attachments_make_it_too_large() {
    let files: Vec<(String, Vec<u8>)> = (0..6_u8).map(|n| (format!("F-{n}"), vec![n; 30_000])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let records: Vec<String> = (0..6).map(|n| named(&format!("m{n}"), &format!("F-{n}"))).collect();
    let firm = firm_with("[eml]\ngrouping = \"conversation\"\nmax_size = \"100KiB\"\n");
    firm.deliver_export("acme.261119.xml.pgp", &export(&records));
    deliver(&firm, "acme.att.261119.zip.pgp", &zip(&files));
    firm.ingest(0);
    let staged: Vec<Vec<u8>> =
        firm.staged().into_iter().filter(|((of, _), _)| of == "joe@contoso.com").map(|(_, bytes)| bytes).collect();
    assert!((3..=6).contains(&staged.len()), "{}", staged.len());
    for bytes in &staged {
        assert!(bytes.len() <= 100 << 10, "{}", bytes.len());
    }
    assert_eq!(attached(&firm, "joe@contoso.com").into_values().flatten().count(), 6);
}

#[test]
fn what_nobody_names_is_an_orphan() {
    let firm = patient();
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1")]));
    let bytes = canary("orphanage");
    deliver(&firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&[("F-1", b"wanted"), ("F-2", &bytes), ("F-3", b"x")]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.att.261119.tar.gz.pgp")["attachments"], counts(0, 0, 0, 2, 0));
    assert_eq!(report["attachments"], counts(1, 0, 0, 2, 0));
    assert!(firm.run(&["report"]).expect(0).out.contains("attachments: 2 named by no export"));
    // An export that comes later still finds it.
    firm.deliver_export("acme.261119-b.xml.pgp", &export(&[named("b", "F-2")]));
    firm.ingest(0);
    assert_eq!(attached(&firm, "joe@contoso.com")["b"], [bytes]);
    // Before an export came, and while it may, nothing is one.
    deliver(&firm, "acme.att.261120.zip.pgp", &zip(&[("F-9", b"?")]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.att.261120.zip.pgp")["attachments"], counts(0, 0, 0, 0, 0));
}

#[test]
fn what_is_too_large_for_a_mail_is_named_and_extracted_by_its_digest() {
    let firm = firm_with("[attachments]\nwait = \"0s\"\n[eml]\nmax_attachment = \"1KiB\"\n");
    let large = [&canary("large")[..], &[b'.'; 2000]].concat();
    let larger = [&canary("larger")[..], &vec![b'.'; 70_000]].concat();
    let fits = canary("small");
    firm.deliver_export(
        "acme.261119.xml.pgp",
        &export(&[inside("in", &large), named("out", "F-1"), named("ok", "F-2"), named("late", "F-3")]),
    );
    deliver(&firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&[("a/F-1", &larger), ("F-2", &fits)]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(1, 1, 2, 0, 0));
    deliver(&firm, "acme.att.261119-b.zip.pgp", &zip(&[("F-3", &larger[1..])]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(1, 0, 3, 0, 0));
    let staged = firm.staged();
    for (id, bytes) in [("in", &large[..]), ("out", &larger), ("late", &larger[1..])] {
        let digest = icechatd::digest::Sha256::of(bytes).to_string();
        let mails: Vec<_> =
            staged.values().filter(|eml| header(eml, "X-ICE-Chat-Message-ID").as_deref() == Some(id)).collect();
        let naming = mails.iter().filter(|eml| body(eml).contains(&digest)).count();
        assert_eq!(naming, 2, "{id}: its digest is in the mail");
        let got = firm.command(&["attachment", &digest]).output().unwrap();
        assert!(got.status.success(), "{got:?}");
        assert!(got.stdout == bytes, "{id}");
    }
    assert!(attached(&firm, "joe@contoso.com").values().flatten().eq([&fits]));
    // What is in a mail is found as well.
    let digest = icechatd::digest::Sha256::of(&fits).to_string();
    let out = firm.path("out.bin");
    firm.run(&["attachment", &digest.to_uppercase(), "--output", out.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read(&out).unwrap(), fits);
    let said = firm.run(&["attachment", &digest, "--output", out.to_str().unwrap()]).expect(1);
    assert!(said.err.contains("out.bin"), "{}", said.err);
    let said = firm.run(&["attachment", &"0".repeat(64)]).expect(1);
    assert!(said.err.contains("no attachment"), "{}", said.err);
    firm.run(&["attachment", "nonsense"]).expect(2);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_hostile_archive_harms_nobody_but_itself() {
    let firm = firm_with("[attachments]\nwait = \"0s\"\nmax_entries = 20\n[limits]\nmax_ratio = 100\n");
    let many: Vec<String> = (0..21).map(|n| format!("e{n}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b"1"[..])).collect();
    let whole = tar_gz(&[("F-1", &canary("hostile"))]);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a", whole[..whole.len() - 9].to_vec(), "damaged"),
        ("b", b"no archive at all".to_vec(), "neither a tar"),
        ("c", tar_gz(&many), "attachments.max_entries"),
        ("d", zip(&many), "attachments.max_entries"),
        ("e", tar_gz(&[("bomb", &vec![0; 8 << 20])]), "limits.max_ratio"),
        ("f", zip(&[("bomb", &vec![0; 8 << 20])]), "limits.max_ratio"),
    ];
    for (name, bytes, _) in &cases {
        deliver(&firm, &format!("acme.att.261119-{name}.tar.gz.pgp"), bytes);
    }
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "F-1", "/etc/passwd").unwrap();
    let mut up = tar::Header::new_gnu();
    up.as_old_mut().name[..14].copy_from_slice(b"../../../F-100");
    up.set_size(2);
    up.set_cksum();
    tar.append(&up, &b"up"[..]).unwrap();
    let refused = tar.into_inner().unwrap().finish().unwrap();
    deliver(&firm, "acme.att.261119-g.tar.gz.pgp", &refused);
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1"), named("b", "../../../F-100")]));
    let report = firm.ingest(3);
    for (name, _, why) in &cases {
        let name = format!("acme.att.261119-{name}.tar.gz.pgp");
        let reason = file(&report, &name)["reason"].as_str().unwrap().to_owned();
        assert_eq!((state(&report, &name).as_str(), reason.contains(why)), ("held", true), "{name}: {reason}");
    }
    assert_eq!(file(&report, "acme.att.261119-g.tar.gz.pgp")["attachments"], counts(0, 0, 0, 0, 2));
    assert_eq!(file(&report, "acme.261119.xml.pgp")["attachments"], counts(0, 2, 0, 0, 0));
    assert!(!firm.path("../../../F-100").exists());
    // What a limit held is taken when that is raised.
    let raised = firm_config(&firm, "max_entries = 20", "max_entries = 30");
    let report = firm.ingest(3);
    assert_eq!(state(&report, "acme.att.261119-c.tar.gz.pgp"), "read", "{raised}");
    firm.run(&["verify"]).expect(0);
}

fn firm_config(firm: &Firm, from: &str, to: &str) -> String {
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    assert!(text.contains(from));
    let text = text.replace(from, to);
    fs::write(firm.path("config.toml"), &text).unwrap();
    text
}

/// Makes the ledger believe that everything came and was committed long ago.
fn age(firm: &Firm) {
    firm.rewrite_ledger("UPDATE files SET committed = 1000, received = 1000");
}

fn originals(firm: &Firm) -> usize {
    fs::read_dir(firm.path("state/originals")).unwrap().count()
}

#[test]
fn retention_keeps_what_a_mail_says_is_kept() {
    let firm = firm_with("[attachments]\nwait = \"0s\"\n[eml]\nmax_attachment = \"1KiB\"\n");
    firm_config(&firm, "directory = \"state\"", "directory = \"state\"\noriginals_days = 30");
    let large = [7; 3000];
    // One whose bytes are all in its mails goes, with its archive; the archive after the export.
    firm.deliver_export("acme.261101.xml.pgp", &export(&[named("a", "F-1")]));
    deliver(&firm, "acme.att.261101.zip.pgp", &zip(&[("F-1", b"small"), ("orphan", b"?")]));
    firm.ingest(0);
    assert_eq!(originals(&firm), 2);
    age(&firm);
    firm.ingest(0);
    firm.ingest(0);
    assert_eq!(originals(&firm), 0);
    // Too large for the mail, in the export or in the archive: the one that has it stays.
    firm.deliver_export("acme.261102.xml.pgp", &export(&[inside("b", &large)]));
    firm.deliver_export("acme.261103.xml.pgp", &export(&[named("c", "F-1")]));
    deliver(&firm, "acme.att.261103.zip.pgp", &zip(&[("F-1", &large)]));
    // What is missing may still come.
    firm.deliver_export("acme.261104.xml.pgp", &export(&[named("d", "F-1")]));
    firm.ingest(0);
    age(&firm);
    firm.ingest(0);
    firm.ingest(0);
    assert_eq!(originals(&firm), 3);
    let digest = icechatd::digest::Sha256::of(&large).to_string();
    assert!(firm.command(&["attachment", &digest]).output().unwrap().stdout == large);
    deliver(&firm, "acme.att.261104.zip.pgp", &zip(&[("F-1", b"at last")]));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261104.xml.pgp")["items"]["staged"], 1);
    age(&firm);
    firm.ingest(0);
    firm.ingest(0);
    assert_eq!(originals(&firm), 2);
    firm.run(&["verify"]).expect(0);
}

/// Looks through the files without a name that a process has open.
fn look_through_unnamed(process: u32) {
    let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else { return };
    for file in open.flatten().map(|entry| entry.path()) {
        let is_unnamed = fs::read_link(&file).is_ok_and(|target| target.to_string_lossy().ends_with("(deleted)"));
        // It may be closed by now.
        let Some(bytes) = is_unnamed.then(|| fs::read(&file).ok()).flatten() else { continue };
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("the heron in"), "{} bytes lie readable without a name", bytes.len());
        println!("looked through {} bytes without a name", bytes.len());
    }
}

#[test]
fn whenever_it_is_killed_the_attachments_are_there_in_the_end() {
    let files: Vec<(String, Vec<u8>)> = (0..400)
        .map(|n| (format!("F-{n}"), [canary("the killed one"), format!(" {n} ").repeat(2000).into_bytes()].concat()))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let records: Vec<String> = (0..400).map(|n| named(&format!("m{n}"), &format!("F-{n}"))).collect();
    let begin = |firm: &Firm| firm.deliver_export("acme.261119.xml.pgp", &export(&records));
    let first = |firm: &Firm| deliver(firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&files[..200]));
    let then = |firm: &Firm| deliver(firm, "acme.att.261119-b.zip.pgp", &zip(&files[200..]));
    let (quiet, firm) = (hasty(), hasty());
    for steps in [&[&begin as &dyn Fn(&Firm), &first][..], &[&then]] {
        for step in steps {
            step(&quiet);
        }
        let start = Instant::now();
        quiet.ingest(0);
        let takes = start.elapsed();
        for step in steps {
            step(&firm);
        }
        for round in 0..cases(3) {
            let mut child = firm.command(&["ingest"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(takes * (2 * round + 3) / (2 * cases(3) + 4));
            // While it works, and after it was killed, nothing readable lies in the state folder, nor in a file of it that
            // has no name.
            look_through_unnamed(child.id());
            support::planted::look_through_state(&firm.path("state"));
            child.kill().unwrap();
            child.wait().unwrap();
            support::planted::look_through_state(&firm.path("state"));
        }
        firm.run(&["ingest"]).expect(0);
        assert!(firm.staged() == quiet.staged());
    }
    assert_eq!(firm.staged().len(), 2 * 600);
    let spool = fs::read_dir(firm.path("state/spool")).unwrap().count();
    assert_eq!(spool, 0);
    firm.run(&["verify"]).expect(0);
}

/// The built-in profile, with control totals that come in a file beside each export.
fn counted() -> Firm {
    let more = "[export]\nprofile = \"./counted.toml\"\n[attachments]\nwait = \"4h\"\n".to_owned();
    let firm = Firm::with(&Settings { more, ..Settings::default() });
    let profile = format!(
        "{}\n[[file]]\nkind = \"export\"\nname = \"{{firm}}.{{date:%y%m%d}}.xml\"\n\
         [[file]]\nkind = \"totals\"\nname = \"{{firm}}.{{date:%y%m%d}}.txt\"\n\
         [totals.sidecar]\nmessages = \"Messages: {{count}}\"\n",
        include_str!("../../src/export/profiles/icechat.toml")
    );
    fs::write(firm.path("counted.toml"), profile).unwrap();
    firm
}

#[test]
fn an_export_is_staged_when_its_control_totals_agree_and_not_before() {
    let firm = counted();
    let two = export(&[
        message("m-1", "amy@contoso.com", &["joe@contoso.com"], "one"),
        message("m-2", "amy@contoso.com", &["joe@contoso.com"], "two"),
    ]);
    firm.deliver_export("acme.261119.xml.pgp", &two);
    let report = firm.ingest(0);
    assert_eq!(state(&report, "acme.261119.xml.pgp"), "waiting");
    let reason = report["files"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("its control totals") && reason.contains("attachments.wait"), "{reason}");

    // Those of another day say nothing of this one.
    deliver(&firm, "acme.261118.txt.pgp", b"Messages: 2\n");
    let report = firm.ingest(0);
    assert_eq!(state(&report, "acme.261118.txt.pgp"), "read");
    assert_eq!(state(&report, "acme.261119.xml.pgp"), "waiting");

    // What disagrees holds it, whole; what agrees lets it in.
    deliver(&firm, "acme.261119.txt.pgp", b"Messages: 3\n");
    let report = firm.ingest(3);
    let held = file(&report, "acme.261119.xml.pgp");
    assert_eq!(held["state"], "held");
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.contains('3') && reason.contains('2') && reason.contains("acme.261119.txt.pgp"), "{reason}");
    assert!(firm.staged().is_empty());
    deliver(&firm, "acme.261119.txt.gpg", b"messages:  2\r\n");
    let report = firm.ingest(0);
    assert_eq!(file(&report, "acme.261119.xml.pgp")["items"]["staged"], 2);

    // The same in one run, in whatever order the site lists them; nothing is asked twice.
    deliver(&firm, "acme.261120.txt.pgp", b"Messages: 1\n");
    firm.deliver_export(
        "acme.261120.xml.pgp",
        &export(&[message("m-3", "amy@contoso.com", &["joe@contoso.com"], "three")]),
    );
    let dry = firm.run(&["ingest", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(file(&dry, "acme.261120.xml.pgp")["items"]["staged"], 1);
    assert_eq!(file(&firm.ingest(0), "acme.261120.xml.pgp")["items"]["staged"], 1);
    assert_eq!(firm.ingest(0)["files"], json!([]));
}

#[test]
fn an_export_whose_control_totals_never_come_is_held() {
    let firm = counted();
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), config.replace("wait = \"4h\"", "wait = \"0s\"")).unwrap();
    firm.deliver_export(
        "acme.261119.xml.pgp",
        &export(&[message("m-1", "amy@contoso.com", &["joe@contoso.com"], "one")]),
    );
    for _ in 0..2 {
        let report = firm.ingest(3);
        let held = file(&report, "acme.261119.xml.pgp");
        assert_eq!((&held["state"], &held["reason"]), (&json!("held"), &json!("its control totals did not come")));
    }
    deliver(&firm, "acme.261119.txt.pgp", b"\xff\xfe no text");
    let report = firm.ingest(3);
    assert!(file(&report, "acme.261119.txt.pgp")["reason"].as_str().unwrap().contains("not text in UTF-8"));
    deliver(&firm, "acme.261119.txt.asc", b"Messages: 1\n");
    assert_eq!(file(&firm.ingest(3), "acme.261119.xml.pgp")["items"]["staged"], 1);
}

/// What is held is another pass's matter: an archive that comes late neither forgets whom it concerns nor asks again about what
/// a person decided.
#[test]
fn what_comes_late_forgets_nothing_about_what_is_held() {
    let firm = hasty();
    let lacking = message("m-h", "who@contoso.com.", &["whose@contoso.com."], "for nobody");
    firm.deliver_export("acme.261119.xml.pgp", &export(&[named("a", "F-1"), named("b", "F-2"), lacking]));
    firm.ingest(3);
    let held = || firm.run(&["held", "list", "--json"]).json()["items"].clone();
    let before = held();
    assert_eq!(before[0]["items"][0]["participants"].as_array().map(Vec::len), Some(2), "{before:#}");
    deliver(&firm, "acme.att.261119.tar.gz.pgp", &tar_gz(&[("F-1", b"came late")]));
    firm.ingest(3);
    assert_eq!(held(), before);
    firm.run(&["verify", "--deep"]).expect(0);

    let id = before[0]["id"].as_str().unwrap();
    firm.run(&["held", "dismiss", id, "--reason", "a test of the vendor's"]).expect(0);
    deliver(&firm, "acme.att.261120.tar.gz.pgp", &tar_gz(&[("F-2", b"came later")]));
    firm.ingest(0);
    let needs = firm.run(&["status", "--json"]).expect(0).json()["needs"].clone();
    assert_eq!((&needs["held_items"], &needs["unresolved"]), (&json!(0), &json!(0)));
    firm.run(&["verify", "--deep"]).expect(0);
}
