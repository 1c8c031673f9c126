//! Mappings and mailbox lists cut at every byte, as a copy that broke off leaves them: the old set stays in force or the new
//! one comes into force, and nothing between. A cut behind a whole row leaves a whole, smaller file: no program can tell it from
//! one that a person made smaller, so it counts, and what it lacks is told as removed.

use crate::support;

use std::fs;
use std::sync::Arc;

use icechatd::inputs::{self, Found, Rejected, RulesFrom};
use icechatd::ledger::Ledger;
use icechatd::resolve::{MailboxList, Mapping};
use jiff::Timestamp;
use support::archive::Archive;
use support::firm::{Firm, Settings, export, message, staged};

const OLD: &str = "ImId,Mailbox\nadams17,amy@contoso.com\nbaker,joseph@contoso.com\n";

/// New mappings as people and programs write them. In each, cells stand last of which a part is good as well.
const NEW: [&str; 8] = [
    "ImId,Mailbox\nadams17,amy@contoso.com.example\nbaker,external\nchen,wei@contoso.com.example\n",
    "Mailbox,ImId\namy@contoso.com,adams17\njoe@contoso.com,baker99\n",
    "ImId;Mailbox;Desk\r\nadams17;amy@contoso.com;Gasoil\r\nbaker;\"joe@contoso.com\";\"two\r\nlines, 価\"\r\n",
    "\u{feff}ImId\tMailbox\nadams17\tamy@contoso.com\nbaker\tjoe@contoso.com\ndiaz\tdora@contoso.com\n",
    "ImId,Mailbox,ValidFrom,ValidTo\nadams17,amy@contoso.com,2026-01-01,2026-11-30\nadams17,joe@contoso.com,2026-12-01,\n",
    "\"ImId\",\"Mailbox\"\n\"adams17\",\"amy@contoso.com\"\n\"ba,\"\"ker\"\"\",\"joe@contoso.com\"\n",
    "#TYPE System.Object\r\nImId,Mailbox\r\nadams17,amy@contoso.com\r\n",
    "\n\nMailbox,Note,ImId\namy@contoso.com,,adams17\n\njoe@contoso.com,,baker\n",
];

const OLD_LIST: &str = "PrimarySmtpAddress\namy@contoso.com\njoe@contoso.com\n";

/// New lists likewise.
const NEW_LIST: [&str; 4] = [
    "PrimarySmtpAddress\namy@contoso.com\njoe@contoso.com.example\n",
    "DisplayName,PrimarySmtpAddress,UserPrincipalName,EmailAddresses\n\
     Amy,amy@contoso.com,amy@contoso.com,SMTP:amy@contoso.com smtp:a.adams@contoso.com smtp:a@contoso.com.example\n\
     Joe,joe@contoso.com,joe@contoso.com,SMTP:joe@contoso.com;smtp:joseph@contoso.com.example\n",
    "\u{feff}\"DisplayName\";\"PrimarySmtpAddress\"\r\n\"Adams; Amy\";\"amy@contoso.com\"\r\n\"B\";\"joe@contoso.com\"\r\n",
    "EmailAddresses,PrimarySmtpAddress\nsmtp:a@contoso.com,amy@contoso.com\n,wei@contoso.com.example\n",
];

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2], mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    mark.into_iter().chain(text.trim_start_matches('\u{feff}').encode_utf16()).flat_map(to_bytes).collect()
}

/// A text in every encoding in which a file may be.
fn encoded(text: &str) -> Vec<Vec<u8>> {
    vec![
        text.as_bytes().to_vec(),
        utf_16(text, u16::to_le_bytes, true),
        utf_16(text, u16::to_be_bytes, true),
        utf_16(text, u16::to_le_bytes, false),
    ]
}

/// What a cut that is taken for a file of its own must be: it ends with a row's line end.
fn ends_with_a_row(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(&[][..], |at| &bytes[..=at]);
    end.ends_with(b"\n") || end.ends_with(b"\r")
}

/// What became of a file that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Old,
    New,
    Smaller,
}

/// Judges a cut file: `set` is what would come into force, `whole` reads a file by itself.
fn judge<T: PartialEq + std::fmt::Debug>(
    set: Result<&Arc<T>, &Rejected>,
    cut: &[u8],
    whole: &T,
    old: &T,
    smaller: impl Fn(&T) -> bool,
) -> Outcome {
    match set {
        Err(rejected) => {
            let _: &Rejected = rejected;
            Outcome::Old
        }
        Ok(set) if **set == *whole => Outcome::New,
        Ok(set) if **set == *old => Outcome::Old,
        Ok(set) => {
            assert!(ends_with_a_row(cut), "in between: {set:?} of {:?}", String::from_utf8_lossy(cut));
            assert!(smaller(set), "says what the whole file does not: {set:?}");
            Outcome::Smaller
        }
    }
}

/// A firm in which the old mapping, and the old list, are in force.
fn with_old() -> (Archive, Ledger) {
    let mut archive = Archive::new();
    let folder = archive.config.mapping.directory.parent().unwrap().to_owned();
    archive.config.mailboxes.list = Some(folder.join("mailboxes.csv"));
    archive.map(OLD);
    fs::write(folder.join("mailboxes.csv"), OLD_LIST).unwrap();
    let ledger = Ledger::open(&archive.config.state.directory).unwrap();
    let found = inputs::find(&archive.config, Some(&ledger)).unwrap();
    inputs::put_in_force(&archive.config, &ledger, &found.good(), "the test", Timestamp::now()).unwrap();
    (archive, ledger)
}

fn found(archive: &Archive, ledger: &Ledger) -> Found {
    inputs::find(&archive.config, Some(ledger)).unwrap()
}

/// Each entry of a set, as the ledger has it.
fn lines(canonical: &[u8]) -> Vec<String> {
    String::from_utf8(canonical.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_mapping_cut_at_any_byte_is_the_old_one_or_the_new_one() {
    let (archive, ledger) = with_old();
    let parse = |bytes: &[u8]| Mapping::parse(&[("desk.csv".to_owned(), bytes.to_vec())]).unwrap().mapping;
    let old = parse(OLD.as_bytes());
    let file = archive.config.mapping.directory.join("desk.csv");
    let mut outcomes = [0, 0, 0];
    for new in NEW {
        for bytes in encoded(new) {
            let whole = parse(&bytes);
            assert_ne!(whole, old);
            for cut in (0..=bytes.len()).map(|len| &bytes[..len]) {
                fs::write(&file, cut).unwrap();
                let found = found(&archive, &ledger);
                let set = found.mapping.as_ref().map(|read| &read.set);
                let all = lines(&whole.canonical());
                // Of an ImId with periods, a smaller file may have fewer.
                let smaller = |set: &Mapping| {
                    lines(&set.canonical()).iter().all(|line| all.iter().any(|whole| whole.starts_with(line.as_str())))
                };
                let outcome = judge(set, cut, &whole, &old, smaller);
                assert!(cut.len() < bytes.len() || outcome == Outcome::New, "the whole file is not taken: {found:?}");
                outcomes[outcome as usize] += 1;
                say_where(set.err(), "desk.csv");
            }
        }
    }
    assert!(outcomes[0] > 1000 && outcomes[1] >= 32 && outcomes[2] < 200, "{outcomes:?}");
}

/// A reason names the file.
fn say_where(rejected: Option<&Rejected>, file: &str) {
    let folder = std::path::Path::new("/");
    for (name, reasons) in rejected.iter().flat_map(|rejected| rejected.by_file(folder)) {
        assert!(name == file && reasons.iter().all(|reason| reason.len() > 20), "{name}: {reasons:?}");
    }
}

#[test]
fn a_mailbox_list_cut_at_any_byte_is_the_old_one_or_the_new_one() {
    let (archive, ledger) = with_old();
    let parse = |bytes: &[u8]| MailboxList::parse("mailboxes.csv", bytes).unwrap().list;
    let old = parse(OLD_LIST.as_bytes());
    let file = archive.config.mailboxes.list.clone().unwrap();
    let mut outcomes = [0, 0, 0];
    for new in NEW_LIST {
        for bytes in encoded(new) {
            let whole = parse(&bytes);
            let all = lines(&whole.canonical());
            for cut in (0..=bytes.len()).map(|len| &bytes[..len]) {
                fs::write(&file, cut).unwrap();
                let found = found(&archive, &ledger);
                let set = found.list.as_ref().unwrap().as_ref().map(|read| &read.set);
                let smaller = |set: &MailboxList| lines(&set.canonical()).iter().all(|line| all.contains(line));
                let outcome = judge(set, cut, &whole, &old, smaller);
                let is_whole = whole == old || outcome == Outcome::New;
                assert!(cut.len() < bytes.len() || is_whole, "the whole file is not taken: {found:?}");
                outcomes[outcome as usize] += 1;
                say_where(set.err(), "mailboxes.csv");
            }
        }
    }
    assert!(outcomes[0] > 500 && outcomes[1] >= 12 && outcomes[2] < 100, "{outcomes:?}");
}

/// Where a file with its last row open is what a person means: as the first one, as what is in force already, and once it is
/// confirmed.
#[test]
fn an_open_last_row_counts_where_it_spoils_nothing() {
    let (archive, ledger) = with_old();
    archive.map(OLD.trim_end());
    assert!(found(&archive, &ledger).mapping.is_ok(), "the set in force is refused");
    let new = format!("{OLD}chen,wei@contoso.com");
    archive.map(&new);
    let found_new = found(&archive, &ledger);
    let rejected = found_new.mapping.as_ref().unwrap_err();
    let reasons = rejected.lines(inputs::Kind::Mapping);
    assert!(matches!(&reasons[..], [one] if one.starts_with("desk.csv: the last row has no line end")), "{reasons:?}");
    let rules = inputs::rules(&archive.config, &ledger, RulesFrom::Folder).unwrap();
    assert_eq!(rules.mapping.len(), 2, "the old one is not in force any more");
    // As `mapping accept` reads it: measured against nothing.
    assert_eq!(inputs::find(&archive.config, None).unwrap().mapping.unwrap().set.len(), 3);
    archive.map(&(new + "\n"));
    assert_eq!(found(&archive, &ledger).mapping.unwrap().set.len(), 3);

    // Beside an open file of which every row is in force, others may come; but where a row that is in force is gone, it may be
    // what was cut off.
    let other = archive.config.mapping.directory.join("other.csv");
    archive.map(OLD.trim_end());
    fs::write(&other, "ImId,Mailbox\nchen,wei@contoso.com\n").unwrap();
    assert_eq!(found(&archive, &ledger).mapping.unwrap().set.len(), 3);
    archive.map("ImId,Mailbox\nadams17,amy@contoso.com");
    assert!(found(&archive, &ledger).mapping.is_err());
}

/// The same as people meet it: whose chat it is does not change by half an address, and a person can confirm the file.
#[test]
fn half_an_address_moves_nobodys_chat() {
    let mailboxes = "domains = [\"contoso.com\", \"contoso.co\"]\n".to_owned();
    let firm = Firm::with(&Settings { mailboxes, ..Settings::default() });
    let from_newcomer = |id: &str| {
        let plain = message(id, "new@northern.example", &["nils@northern.example"], "hello");
        export(&plain.replace("<SenderEmail>", "<ImId>new1</ImId><SenderEmail>"))
    };
    let mailbox_of = |id: &str| firm.placements()[id].iter().cloned().collect::<Vec<_>>();
    firm.map("desk.csv", "ImId,Mailbox\nnew1,amy@contoso.com\n");
    firm.deliver_export("1.pgp", &from_newcomer("m-1"));
    firm.ingest(0);
    firm.map("desk.csv", "ImId,Mailbox\nother,joe@contoso.com\nnew1,amy@contoso.co");
    firm.deliver_export("2.pgp", &from_newcomer("m-2"));
    let said = firm.run(&["ingest"]).expect(0);
    assert!(said.err.contains("desk.csv: the last row has no line end"), "{said:?}");
    assert_eq!(
        (mailbox_of("m-1"), mailbox_of("m-2")),
        (vec!["amy@contoso.com".to_owned()], vec!["amy@contoso.com".to_owned()])
    );
    let said = firm.run(&["mapping", "check", firm.path("mapping/desk.csv").to_str().unwrap()]).expect(0);
    assert!(said.out.contains("warning: ") && said.out.contains("the last row has no line end"), "{said:?}");
    firm.run(&["mapping", "accept"]).expect(0);
    firm.deliver_export("3.pgp", &from_newcomer("m-3"));
    firm.ingest(0);
    assert_eq!(mailbox_of("m-3"), ["amy@contoso.co"]);
    assert_eq!(staged(&firm.path("staging")).len(), 3);
}
