//! Exports that cannot be taken, and records that are no items: each is held or rejected with a reason an operator
//! understands, nothing of it is staged, the others go on, and it is settled by what mends its cause.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::firm::{Firm, Settings, export, file, message};
use support::gpg::Encrypt;

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

/// A good export with one message of this id.
fn one(id: &str) -> String {
    export(&message(id, AMY, &[JOE], "10 lots"))
}

/// An export that does not compress, so that its ciphertext is longer than one buffer of whatever reads it.
fn long(id: &str) -> String {
    let noise: Vec<_> = (0_u32..20_000).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
    let noise = noise.concat();
    export(&(message(id, AMY, &[JOE], "first") + &message("noise", AMY, &[JOE], &noise)))
}

/// Contract 8: held, with these words in its reason, and no item counted.
fn assert_held(report: &Value, name: &str, words: &[&str]) {
    let file = file(report, name);
    let reason = file["reason"].as_str().unwrap_or_default();
    println!("{name}: {reason}");
    assert_eq!(file["state"], "held", "{file:#}");
    assert_eq!(file["items"]["available"], 0);
    assert!(words.iter().all(|word| reason.contains(word)), "{name}: {words:?} are not in {reason:?}");
    assert!(!reason.contains('\n') && !reason.contains("10 lots"), "{reason}");
}

/// What every held file has in common: the good one beside them is staged, nothing else is; the report shows them; and
/// a second run leaves them alone, but does not forget them.
fn assert_all_held(firm: &Firm, expected: &[(&str, &[&str])]) {
    firm.deliver_export("zz-good.xml.pgp", &one("good"));
    let report = firm.ingest(3);
    assert_eq!(report["outcome"], "attention");
    assert_eq!(report["files"].as_array().unwrap().len(), expected.len() + 1);
    let shown = firm.run(&["report"]).expect(0).out;
    for (name, words) in expected {
        assert_held(&report, name, words);
        assert!(shown.contains(name) && shown.contains(file(&report, name)["reason"].as_str().unwrap()), "{shown}");
    }
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["good"]);
    let again = firm.ingest(3);
    assert_eq!(again["files"].as_array().unwrap().len(), 0, "{again:#}");
    assert_eq!(again["needs"]["held_files"], expected.len());
    assert_eq!(firm.placements().len(), 1);
    firm.run(&["verify"]).expect(0);
}

/// With `--retry`, everything held is tried again, and held again while nothing has changed.
fn assert_held_on_retry(firm: &Firm, files: usize) {
    let report = firm.run(&["ingest", "--retry", "--json"]).expect(3).json();
    assert_eq!(report["files"].as_array().unwrap().len(), files);
    assert!(report["files"].as_array().unwrap().iter().all(|file| file["state"] == "held"), "{report:#}");
}

#[test]
fn what_was_altered_or_cut_is_held() {
    let firm = Firm::new();
    let whole = firm.encrypt_bytes(long("lost").as_bytes());
    let armoured = firm.encrypt_how(&one("lost"), &Encrypt { armour: true, ..Encrypt::default() });
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let len = whole.len();
    let mut letter = armoured.clone();
    let middle = letter.len() / 2;
    letter[middle] = if letter[middle] == b'A' { b'B' } else { b'A' };
    let mut stolen = firm.encrypt(&one("lost"));
    stolen.extend(firm.encrypt(&one("lost too")));
    let files = [
        ("a-first-octet.pgp", flipped(0), vec![]),
        ("a-key-id.pgp", flipped(5), vec!["not encrypted to any of our keys"]),
        ("a-session-key.pgp", flipped(40), vec!["altered or damaged"]),
        ("a-early.pgp", flipped(200), vec!["altered or damaged"]),
        ("a-quarter.pgp", flipped(len / 4), vec!["altered or damaged"]),
        ("a-half.pgp", flipped(len / 2), vec!["altered or damaged"]),
        ("a-late.pgp", flipped(len - 30), vec!["altered or damaged"]),
        ("a-last-octet.pgp", flipped(len - 1), vec!["altered or damaged"]),
        ("a-armoured.pgp", letter, vec!["altered or damaged"]),
        ("c-in-head.pgp", whole[..30].to_vec(), vec!["cut short"]),
        ("c-half.pgp", whole[..len / 2].to_vec(), vec!["cut short"]),
        ("c-last-octet.pgp", whole[..len - 1].to_vec(), vec!["cut short"]),
        ("c-armoured.pgp", armoured[..armoured.len() / 2].to_vec(), vec!["cut short"]),
        ("d-two-in-one.pgp", stolen, vec!["data follows the end"]),
    ];
    for (name, bytes, _) in &files {
        firm.deliver(name, bytes);
    }
    assert_all_held(&firm, &files.each_ref().map(|(name, _, words)| (*name, words.as_slice())));
    assert_held_on_retry(&firm, files.len());
}

#[test]
fn what_is_not_encrypted_to_us_and_protected_is_held() {
    let firm = Firm::new();
    let gpg = &firm.gpg;
    let stranger = gpg.generate("Another firm <other@northern.example>", "");
    let xml = one("lost");
    let uncompressed = firm.encrypt_how(&xml, &Encrypt { compress: Some("none"), ..Encrypt::default() });
    let files = [
        ("bare.pgp", xml.clone().into_bytes(), vec!["not an OpenPGP message", "encrypted to our certificate"]),
        ("empty.pgp", Vec::new(), vec!["empty"]),
        (
            "foreign.pgp",
            gpg.encrypt(xml.as_bytes(), &Encrypt { recipients: &[&stranger], ..Encrypt::default() }),
            vec!["not encrypted to any of our keys", "keys show"],
        ),
        ("garbage.pgp", (0_u8..=250).map(|n| n.wrapping_mul(37) ^ 0x5a).collect(), vec!["not an OpenPGP message"]),
        (
            "hidden.pgp",
            gpg.encrypt(xml.as_bytes(), &Encrypt { hidden: &[&stranger], ..Encrypt::default() }),
            vec!["not encrypted to any of our keys", "hidden recipient"],
        ),
        ("key.asc", gpg.export(&stranger), vec!["not encrypted"]),
        ("literal.gpg", gpg.run(&["--store"], xml.as_bytes()), vec!["not encrypted"]),
        ("password.gpg", by_password(&firm, &xml), vec!["not encrypted to any of our keys", "a password"]),
        ("signed.asc", gpg.run(&["-u", &stranger, "--armor", "--sign"], xml.as_bytes()), vec!["not encrypted"]),
        ("signed.gpg", gpg.run(&["-u", &stranger, "--sign"], xml.as_bytes()), vec!["not encrypted"]),
        ("signed-clear.asc", gpg.run(&["-u", &stranger, "--clearsign"], xml.as_bytes()), vec!["not encrypted"]),
        ("unprotected.pgp", without_integrity(&uncompressed), vec!["without integrity protection"]),
    ];
    for (name, bytes, _) in &files {
        firm.deliver(name, bytes);
    }
    assert_all_held(&firm, &files.each_ref().map(|(name, _, words)| (*name, words.as_slice())));
    assert_held_on_retry(&firm, files.len());
}

fn by_password(firm: &Firm, xml: &str) -> Vec<u8> {
    firm.gpg.run(&["--passphrase", "secret", "--symmetric"], xml.as_bytes())
}

/// The same message with the container's tag 18 made 9, its version octet dropped: what `gpg --disable-mdc` wrote.
fn without_integrity(protected: &[u8]) -> Vec<u8> {
    let container = 2 + usize::from(protected[1]);
    assert_eq!((protected[0], protected[container]), (0x84, 0xd2), "recipient, container");
    assert!(protected[container + 1] > 191 && protected[container + 1] < 224, "a length of two octets");
    let body = &protected[container + 4..];
    let len = u16::try_from(body.len()).unwrap() - 192;
    let [high, low] = len.to_be_bytes();
    [&protected[..container], &[0xc9, high + 192, low], body].concat()
}

#[test]
fn what_is_no_whole_export_inside_is_held() {
    let firm = Firm::new();
    let xml = one("lost");
    let cut = &xml[..xml.find("10 lots").unwrap()];
    let (utf16, latin1) = (xml.encode_utf16().collect::<Vec<_>>(), xml.replace("10 lots", "10 lots f\u{fc}r"));
    let mut utf16_bytes = vec![0xff, 0xfe];
    utf16_bytes.extend(utf16.iter().flat_map(|unit| unit.to_le_bytes()));
    let latin1: Vec<u8> = latin1.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let doctype = format!("<!DOCTYPE IceChatExport [<!ENTITY x \"y\">]>\n{xml}");
    let declared = format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n{xml}");
    let inner_cut = xml.replace("</Message>", "");
    let files: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("another-kind.pgp", b"<FileDump/>".to_vec(), &["line 1", "FileDump", "IceChatExport"]),
        ("bad-utf8.pgp", latin1, &["line 1", "UTF-8"]),
        ("cut.pgp", cut.as_bytes().to_vec(), &["line 1", "cut off"]),
        ("doctype.pgp", doctype.into_bytes(), &["line 1", "DOCTYPE"]),
        ("latin1-declared.pgp", declared.into_bytes(), &["ISO-8859-1", "UTF-8"]),
        ("mismatched.pgp", inner_cut.into_bytes(), &["line 1", "Message"]),
        ("nothing.pgp", Vec::new(), &["no XML element"]),
        ("no-xml.pgp", b"Dear client, there was no trading today.".to_vec(), &["line 1"]),
        ("two-roots.pgp", format!("{xml}\n{xml}").into_bytes(), &["line 2", "second root"]),
        ("utf16.pgp", utf16_bytes, &["UTF-16", "UTF-8"]),
    ];
    for (name, bytes, _) in &files {
        firm.deliver(name, &firm.encrypt_bytes(bytes));
    }
    let expected: Vec<_> = files.iter().map(|(name, _, words)| (*name, *words)).collect();
    assert_all_held(&firm, &expected);
    assert_held_on_retry(&firm, files.len());
}

#[test]
fn signers_decide_who_is_believed() {
    let firm = Firm::new();
    let ice = firm.gpg.generate("ICE <exports@ice.example>", "");
    let stranger = firm.gpg.generate("Stranger <stranger@northern.example>", "");
    fs::write(firm.path("ice.asc"), firm.gpg.export(&ice)).unwrap();
    let strict = Settings { keys: "signers = [\"ice.asc\"]\n".to_owned(), ..Settings::default() };
    firm.configure(&strict);
    let signed =
        |id: &str, by: &str| firm.encrypt_how(&one(id), &Encrypt { sign_with: Some(by), ..Encrypt::default() });
    firm.deliver("stranger.pgp", &signed("by-stranger", &stranger));
    firm.deliver_export("unsigned.pgp", &one("by-nobody"));
    firm.deliver("right.pgp", &signed("by-ice", &ice));
    let report = firm.ingest(3);
    assert_held(&report, "unsigned.pgp", &["not signed", "keys.signers"]);
    assert_held(&report, "stranger.pgp", &["signed by", &stranger[24..], "keys.signers"]);
    let by = file(&report, "right.pgp")["signed_by"].as_str().unwrap();
    assert!(by.contains(&ice) && by.contains("ICE <exports@ice.example>"), "{by}");
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["by-ice"]);
    assert!(firm.run(&["report"]).expect(0).out.contains(&ice));
    assert_eq!(firm.ingest(3)["files"].as_array().unwrap().len(), 0);
    assert_held_on_retry(&firm, 2);

    // A further signer lets his in; no signers at all, everybody's.
    fs::write(firm.path("stranger.asc"), firm.gpg.export(&stranger)).unwrap();
    let both = Settings { keys: "signers = [\"ice.asc\", \"stranger.asc\"]\n".to_owned(), ..Settings::default() };
    firm.configure(&both);
    let report = firm.ingest(3);
    assert_eq!(file(&report, "stranger.pgp")["state"], "staged");
    assert_held(&report, "unsigned.pgp", &["not signed"]);
    firm.configure(&Settings::default());
    let report = firm.ingest(0);
    assert_eq!(file(&report, "unsigned.pgp")["signed_by"], "unsigned");
    assert_eq!(firm.placements().len(), 3);
    firm.run(&["verify"]).expect(0);
}

/// What was taken before signers were named stays taken, and can be replayed.
#[test]
fn signers_do_not_stand_in_the_way_of_a_replay() {
    let firm = Firm::new();
    let records = message("m-1", AMY, &[JOE], "hi")
        .replace("<RecipientEmail>", "<Recipient><ImId>ghost</ImId></Recipient><RecipientEmail>");
    firm.deliver_export("unsigned.pgp", &export(&records));
    assert_eq!(firm.ingest(3)["needs"]["unresolved"], 1);
    let ice = firm.gpg.generate("ICE <exports@ice.example>", "");
    fs::write(firm.path("ice.asc"), firm.gpg.export(&ice)).unwrap();
    firm.configure(&Settings { keys: "signers = [\"ice.asc\"]\n".to_owned(), ..Settings::default() });
    firm.map("new.csv", "ImId,Mailbox\nghost,wei@contoso.com\n");
    let report = firm.replay(0);
    assert_eq!(report["placements"]["staged"], 1, "{report:#}");
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_missing_key_that_is_added_lets_held_files_in() {
    let firm = Firm::new();
    let second = firm.gpg.generate("Our other key <us@contoso.com>", "");
    let foreign = firm.gpg.encrypt(one("late").as_bytes(), &Encrypt { recipients: &[&second], ..Encrypt::default() });
    firm.deliver("late.pgp", &foreign);
    assert_held(&firm.ingest(3), "late.pgp", &["not encrypted to any of our keys"]);
    // Gone from the site meanwhile: what was taken is kept here.
    fs::remove_file(firm.sshd.root().join("late.pgp")).unwrap();
    let key = firm.path("pgp-key-2");
    fs::write(&key, firm.gpg.export_secret(&second, "")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    firm.configure(&Settings { keys: "pgp = [\"pgp-key-2\", \"pgp-key\"]\n".to_owned(), ..Settings::default() });
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["late"]);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn limits_hold_and_raising_them_releases() {
    let firm = Firm::new();
    let limits = |more: &str| Settings { more: format!("[limits]\n{more}"), ..Settings::default() };
    let repeated = export(&message("bomb", AMY, &[JOE], &"a".repeat(400_000)));
    firm.deliver(
        "large.pgp",
        &firm.encrypt_how(&long("large"), &Encrypt { compress: Some("none"), ..Encrypt::default() }),
    );
    firm.deliver_export("repeated.pgp", &repeated);
    firm.configure(&limits("max_plaintext = \"100KiB\"\nmax_ratio = 20\n"));
    let report = firm.ingest(3);
    assert_held(&report, "large.pgp", &["limits.max_plaintext", "102400 bytes"]);
    // Too large first, whatever else it is.
    assert_held(&report, "repeated.pgp", &["limits.max_plaintext"]);
    firm.configure(&limits("max_plaintext = \"1MiB\"\nmax_ratio = 20\n"));
    let report = firm.ingest(3);
    assert_eq!(file(&report, "large.pgp")["state"], "staged");
    assert_held(&report, "repeated.pgp", &["limits.max_ratio", "20"]);
    assert_eq!(firm.ingest(3)["files"].as_array().unwrap().len(), 0);
    firm.configure(&limits("max_plaintext = \"1MiB\"\nmax_ratio = 10000\n"));
    let report = firm.ingest(0);
    assert_eq!(file(&report, "repeated.pgp")["state"], "staged");
    assert_eq!(firm.placements().len(), 3);
}

#[test]
fn another_profile_lets_held_files_in() {
    let firm = Firm::new();
    firm.deliver_export("chat.pgp", &one("m-1").replace("IceChatExport", "ChatDump"));
    assert_held(&firm.ingest(3), "chat.pgp", &["ChatDump", "IceChatExport"]);
    let profile = firm.run(&["profile", "show", "icechat"]).expect(0).out;
    fs::write(firm.path("ours.toml"), profile.replace("root = \"IceChatExport\"", "root = \"ChatDump\"")).unwrap();
    firm.configure(&Settings { more: "[export]\nprofile = \"ours.toml\"\n".to_owned(), ..Settings::default() });
    firm.ingest(0);
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["m-1"]);
}

#[test]
fn a_good_file_under_the_same_name_settles_a_held_one() {
    let firm = Firm::new();
    let good = firm.encrypt(&one("m-1"));
    firm.deliver("day.pgp", &good[..good.len() / 2]);
    assert_held(&firm.ingest(3), "day.pgp", &["cut short"]);
    firm.deliver("day.pgp", &good[..good.len() / 3]);
    let report = firm.ingest(3);
    assert_held(&report, "day.pgp", &["cut short"]);
    assert_eq!(report["needs"]["held_files"], 2);
    firm.deliver("day.pgp", &good);
    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(report["needs"]["held_files"], 0);
    firm.run(&["verify"]).expect(0);
}

/// The good file may have come under another name before: its coming again is the same answer.
#[test]
fn a_file_that_is_known_settles_a_held_one_of_its_name() {
    let firm = Firm::new();
    let good = firm.encrypt(&one("m-1"));
    firm.deliver("by-mail.pgp", &good);
    firm.deliver("day.pgp", &good[..good.len() / 2]);
    firm.ingest(3);
    firm.deliver("day.pgp", &good);
    let report = firm.ingest(0);
    assert_eq!(report["items"]["duplicate"], 1);
    assert_eq!(firm.placements().len(), 1);
}

/// A file delivered by hand is held by the same rules, and no other file's business.
#[test]
fn a_file_by_hand_is_held_alike() {
    let firm = Firm::new();
    let path = firm.path("by-hand.pgp");
    fs::write(&path, "<not encrypted/>").unwrap();
    fs::write(firm.path("good.pgp"), firm.encrypt(&one("m-1"))).unwrap();
    let (bad, good) = (path.to_str().unwrap(), firm.path("good.pgp"));
    let report = firm.run(&["ingest", "--json", bad, good.to_str().unwrap()]).expect(3).json();
    assert_held(&report, "by-hand.pgp", &["not an OpenPGP message"]);
    assert_eq!(firm.placements().len(), 1);
    // Given again, it is listed again with its reason, tried or not.
    let report = firm.run(&["ingest", "--json", bad]).expect(3).json();
    assert_held(&report, "by-hand.pgp", &["not an OpenPGP message"]);
}

#[test]
fn rejected_records_are_named_and_replayed_when_the_limit_is_raised() {
    let firm = Firm::new();
    let limit =
        |limit: &str| Settings { more: format!("[limits]\nmax_message = \"{limit}\"\n"), ..Settings::default() };
    firm.configure(&limit("2KiB"));
    let records = [
        message("m-1", AMY, &[JOE], "short"),
        message("m-2", AMY, &[JOE], &"long ".repeat(1000)),
        message("m-3", AMY, &[JOE], "no time").replace("<DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC>", ""),
        message("m-4", "", &[JOE], "no sender"),
        message("m-5", AMY, &["wei@elsewhere.example"], &"longer ".repeat(1000)),
        message("m-6", AMY, &[JOE], "after"),
    ];
    firm.deliver_export("day.pgp", &export(&records.join("\n")));
    let report = firm.ingest(3);
    let counts = |report: &Value| ["available", "staged", "rejected"].map(|key| report["items"][key].as_u64().unwrap());
    assert_eq!(counts(&report), [6, 2, 4]);
    let rejected = file(&report, "day.pgp")["rejected"].as_array().unwrap();
    println!("{rejected:#?}");
    let lines: Vec<_> = rejected.iter().map(|record| record["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
    for (record, word) in rejected.iter().zip(["limits.max_message", "time", "sender", "limits.max_message"]) {
        assert!(record["reason"].as_str().unwrap().contains(word), "{record}");
    }
    let shown = firm.run(&["report"]).expect(0).out;
    assert!(shown.contains("rejected: line 2: longer than limits.max_message (2048 bytes) (message)"), "{shown}");
    assert_eq!(firm.placements().len(), 2);

    // A replay under the same limits changes nothing; a second ingest of the same neither.
    assert_eq!(counts(&firm.replay(3)), [4, 0, 4]);
    firm.configure(&limit("6KiB"));
    assert_eq!(counts(&firm.replay(3)), [4, 1, 3]);
    firm.configure(&limit("64KiB"));
    assert_eq!(counts(&firm.replay(3)), [3, 1, 2]);
    assert_eq!(firm.placements().len(), 4);
    firm.run(&["verify"]).expect(0);

    // The limit lowered again takes nothing back.
    firm.configure(&limit("2KiB"));
    assert_eq!(counts(&firm.replay(3)), [2, 0, 2]);
    firm.run(&["verify"]).expect(0);
    assert_eq!(firm.placements().len(), 4);
}

/// What a raised limit let in is held while nobody has a mailbox, whatever the limit says later.
#[test]
fn a_record_let_in_by_a_raised_limit_stays_readable() {
    let firm = Firm::new();
    let limit =
        |limit: &str| Settings { more: format!("[limits]\nmax_message = \"{limit}\"\n"), ..Settings::default() };
    firm.configure(&limit("2KiB"));
    let long = message("m-1", "nils@northern.example", &[], &"long ".repeat(1000))
        .replace("<SenderEmail>", "<ImId>nils9</ImId><SenderEmail>");
    firm.deliver_export("day.pgp", &export(&long));
    assert_eq!(firm.ingest(3)["items"]["rejected"], 1);
    firm.configure(&limit("64KiB"));
    assert_eq!(firm.replay(3)["items"]["held"], 1);
    firm.configure(&limit("2KiB"));
    firm.map("new.csv", "ImId,Mailbox\nnils9,nils@contoso.com\n");
    assert_eq!(firm.replay(0)["items"]["staged"], 1);
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["m-1"]);
    firm.run(&["verify"]).expect(0);
}

/// Equal messages without MessageID are told apart by their order; one that was rejected for its size must not shift the
/// others when it is let in.
#[test]
fn a_rejected_record_let_in_does_not_shift_its_equals() {
    let firm = Firm::new();
    let limit =
        |limit: &str| Settings { more: format!("[limits]\nmax_message = \"{limit}\"\n"), ..Settings::default() };
    firm.configure(&limit("2KiB"));
    let ok = message("", AMY, &[JOE], "ok");
    let padded = ok.replace("<Content>", &format!("<Style>{}</Style><Content>", "x".repeat(4000)));
    let text = export(&format!("{ok}{padded}{ok}"));
    firm.deliver_export("day.pgp", &text);
    let report = firm.ingest(3);
    assert_eq!((&report["items"]["staged"], &report["items"]["rejected"]), (&2.into(), &1.into()));
    let before = firm.staged();
    firm.configure(&limit("64KiB"));
    let report = firm.replay(0);
    assert_eq!(report["items"]["staged"], 1, "{report:#}");
    let after = firm.staged();
    assert_eq!(after.len(), 6);
    assert!(before.iter().all(|(place, eml)| after.get(place) == Some(eml)));
    firm.run(&["verify"]).expect(0);
    // A re-issue under the raised limit finds all three known; and a mapping that makes replay open it again does no harm.
    firm.deliver_export("again.pgp", &text);
    assert_eq!(firm.ingest(0)["items"]["duplicate"], 3);
}
