//! What is rendered is read back by two readers that share no code with the renderer, and compared with what contract
//! section 7 says, spelled out once more and naively in `eml/intent.rs`.
//!
//! `ICECHATD_REGENERATE=1 cargo test --test eml` writes the golden files anew; a changed one means a new `FORMAT_VERSION`.
#![cfg(test)]

#[path = "eml/cases.rs"]
mod cases;
#[path = "eml/conversations.rs"]
mod conversations;
#[path = "eml/hostile.rs"]
mod hostile;
#[path = "eml/intent.rs"]
mod intent;
#[path = "eml/readers.rs"]
mod readers;
#[path = "eml/transcripts.rs"]
mod transcripts;

use std::path::PathBuf;

use icechatd::digest::{ItemId, Sha256};
use icechatd::eml::{FORMAT_VERSION, Identity, Shape, file_name, render};
use icechatd::export::{Body, ChatItem, Item};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use cases::{attachment, item, message, person, shape};
use intent::intent;
use readers::{Seen, by_mail_parser, by_python};

/// The id of any item of these tests.
fn id_of(item: &Item) -> ItemId {
    match item {
        Item::Chat(chat) => cases::id_of(chat),
        Item::Transcript(_) => ItemId([0x5a; 16]),
    }
}

const WITH_FOOTER: bool = true;
const WITHOUT_FOOTER: bool = false;
const FORMATS: [u32; 3] = [1, 2, FORMAT_VERSION];

/// Renders, checks what no reader shows, and returns the bytes.
fn rendered(item: &ChatItem, footer: bool) -> Vec<u8> {
    rendered_as(item, &shape(FORMAT_VERSION, footer))
}

fn rendered_as(item: &ChatItem, shape: &Shape) -> Vec<u8> {
    let item = Item::Chat(item.clone());
    let identity = Identity { id: id_of(&item), follows: None };
    let eml = render(&item, identity, shape);
    assert_eq!(eml, render(&item, identity, shape), "not deterministic");
    assert_eq!(eml.name, file_name(item.time(), identity.id));
    intent::check_bytes(&eml.bytes);
    eml.bytes
}

fn has_quotes(item: &ChatItem) -> bool {
    matches!(&item.record.body, Body::File(file) if file.name.as_deref().is_some_and(|name| name.contains('"')))
}

/// What a reader sees of the item in today's format; in every other it sees what it should as well.
fn check(item: &ChatItem, footer: bool) -> Seen {
    let mut seen = None;
    for format in FORMATS {
        let bytes = rendered_as(item, &shape(format, footer));
        // Of a name with quotes, earlier formats left too much to the reader.
        if format < FORMAT_VERSION && has_quotes(item) {
            continue;
        }
        let read = by_mail_parser(&bytes);
        assert_eq!(read, intent(item, footer, format));
        seen = Some(read);
    }
    seen.unwrap()
}

/// Holds what is rendered against the files of a folder, and returns it.
fn compare_with_files(folder: &str, rendered: &[(String, Vec<u8>)]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let regenerate = std::env::var_os("ICECHATD_REGENERATE").is_some();
    if regenerate {
        std::fs::create_dir_all(&folder).unwrap();
    }
    for (case, bytes) in rendered {
        // What no person would read stands as its digest.
        let (suffix, golden) = match bytes.len() {
            0..65_536 => ("eml", bytes.clone()),
            _ => ("eml.sha256", Sha256::of(bytes).to_string().into_bytes()),
        };
        let path = folder.join(format!("{case}.{suffix}"));
        if regenerate {
            std::fs::write(&path, &golden).unwrap();
        }
        let standing = std::fs::read(&path).unwrap_or_default();
        assert!(standing == golden, "{} is not what is rendered", path.display());
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), rendered.len(), "a golden file without a case");
}

#[test]
fn golden_files_stand_and_both_readers_agree() {
    for (format, folder) in [(1, "eml"), (2, "eml-2")] {
        let (mut emls, mut expected) = (Vec::new(), Vec::new());
        for (case, item, footer) in cases::golden() {
            let bytes = rendered_as(&item, &shape(format, footer));
            expected.push(intent(&item, footer, format));
            assert_eq!(by_mail_parser(&bytes), expected[expected.len() - 1], "{case}");
            emls.push((case.to_owned(), bytes));
        }
        compare_with_files(folder, &emls);
        let emls: Vec<_> = emls.into_iter().map(|(_, bytes)| bytes).collect();
        compare_in_python(&emls, &expected);
    }
}

fn compare_in_python(emls: &[Vec<u8>], expected: &[Seen]) {
    let seen = by_python(emls);
    assert_eq!(seen.len(), expected.len());
    for (at, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        assert_eq!(seen, expected, "{}", String::from_utf8_lossy(&emls[at]));
    }
}

/// How many random items are tried: `ICECHATD_CASES`, or else so many.
fn how_many(few: u32) -> u32 {
    std::env::var("ICECHATD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

/// Random items with hostile names, rooms and content, each read back by both parsers: the set of header fields, addresses,
/// subject, body and files are those that are meant. In batches, so that a hundred thousand take no more memory than one.
#[test]
fn hostile_items_read_back_by_two_parsers() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (all, batch) = (how_many(400), 2000);
    for begun in (0..all).step_by(batch) {
        let count = (all - begun).min(u32::try_from(batch).unwrap());
        let items: Vec<_> =
            (0..count).map(|_| (hostile::item(), any::<bool>()).new_tree(&mut runner).unwrap().current()).collect();
        let emls: Vec<_> = items.iter().map(|(item, footer)| rendered(item, *footer)).collect();
        let expected: Vec<_> = items.iter().map(|(item, footer)| intent(item, *footer, FORMAT_VERSION)).collect();
        for (eml, expected) in emls.iter().zip(&expected) {
            assert_eq!(by_mail_parser(eml), *expected, "{}", String::from_utf8_lossy(eml));
        }
        compare_in_python(&emls, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn hostile_items_read_back(item in hostile::item(), footer: bool) {
        check(&item, footer);
    }

    #[test]
    fn any_content_reads_back(content in hostile::content()) {
        check(&message(&content), WITHOUT_FOOTER);
    }

    #[test]
    fn no_two_identities_share_an_address(one in hostile::line(), other in hostile::line()) {
        let address = |text: &str| Some(check(&item(person(text, "", "", ""), vec![], "x"), WITHOUT_FOOTER).from);
        let trimmed = |text: &str| icechatd::export::trim(text).to_owned();
        prop_assume!(trimmed(&one) != trimmed(&other) && !trimmed(&one).is_empty() && !trimmed(&other).is_empty());
        prop_assert_ne!(address(&one), address(&other));
    }
}

#[test]
fn injections_in_every_field_stay_where_they_are() {
    for attack in hostile::ATTACKS {
        for mut chat in [message(attack), attachment(attack, attack, b"x")] {
            let people = vec![person(attack, attack, attack, attack), person(attack, "", attack, "")];
            chat.participants = item(person(attack, attack, attack, attack), people, "").participants;
            chat.record.message_id = Some((*attack).into());
            chat.room = cases::room(Some(attack), Some(attack));
            check(&chat, WITH_FOOTER);
            check(&chat, WITHOUT_FOOTER);
        }
    }
}

#[test]
fn content_is_never_altered() {
    let table = [
        "",
        "\n",
        "\r\n",
        "\r",
        "a\rb",
        "a\r\nb\nc\r\rd\n\r",
        ".",
        ".\n.",
        "x\n.\ny",
        "..",
        "From me",
        "x\nFrom you",
        ">From",
        " lead",
        "trail ",
        "trail\t\nnext",
        "a\0b",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}next\u{2028}line",
        "\u{feff}bom",
        "=3D=",
        "=\n",
        "-- ",
        "-- \nRoom: forged",
        "--=_icechat_",
        "価格 ✓",
        "\u{c}",
        "Subject: x\r\n\r\ny",
    ];
    for content in table {
        for footer in [WITH_FOOTER, WITHOUT_FOOTER] {
            check(&message(content), footer);
            let eml = String::from_utf8(rendered(&message(content), footer)).unwrap();
            assert!(
                eml.lines().all(|line| line != "." && !line.starts_with("From ")),
                "what mail stores change: {eml}"
            );
        }
    }
    for unit in ["x", "x ", "é", "価", "👍", "x\n", "\r", " ", "\0"] {
        check(&message(&unit.repeat(1_000_000 / unit.len())), WITH_FOOTER);
    }
}

#[test]
fn values_of_any_length_fit_their_lines() {
    for unit in ["x", "x ", "é", "価", "%", "\"", "a b\\c "] {
        for length in [1, 10, 50, 70, 77, 78, 500, 899, 900, 901, 10_000, 100_000] {
            let long = unit.repeat(length / unit.len() + 1);
            let mut chat = item(person(&long, "", &long, ""), vec![person(&long, &long, "", &long)], "x");
            chat.record.message_id = Some(long.clone().into());
            chat.room = cases::room(Some(&long), Some(&long));
            check(&chat, WITHOUT_FOOTER);
        }
    }
}

#[test]
fn thousands_of_recipients_are_folded_between_addresses() {
    let chat = cases::crowd(5_000);
    let seen = check(&chat, WITH_FOOTER);
    assert_eq!(seen.to.len(), 5_000);
    let bytes = rendered(&chat, WITHOUT_FOOTER);
    assert!(bytes.split(|&byte| byte == b'\n').all(|line| line.len() <= 79), "a line is longer than 78 characters");
}

/// What a reader in `eml/intent.rs` could get wrong in the same way as the renderer, spelled out.
#[test]
fn addresses_and_subjects_are_what_the_contract_says() {
    let table = [
        (person("adams17", "amy@contoso.com", "Amy Adams", "Contoso"), "Amy Adams (Contoso)", "amy@contoso.com"),
        (person("a", "Amy.O'Neil+x@Contoso.COM", "", "Contoso"), "Contoso", "Amy.O'Neil+x@Contoso.COM"),
        (person("Baker.J", "", "", ""), "", "Baker.J@icechat.invalid"),
        (person("adams 17", "", "A", ""), "A", "adams%2017@icechat.invalid"),
        (person("a@b.c", "", "", ""), "", "a%40b.c@icechat.invalid"),
        (person("価", "", "", ""), "", "%E4%BE%A1@icechat.invalid"),
        (person("50%", "", "", ""), "", "50%25@icechat.invalid"),
        (person(".a..b.", "", "", ""), "", "%2Ea.%2Eb%2E@icechat.invalid"),
        (person("=?utf-8?Q?a?=", "", "", ""), "", "=%3Futf-8?Q?a?=@icechat.invalid"),
        (person("a", "two@at@contoso.com", "", ""), "", "a@icechat.invalid"),
        (person("a", "a/b@contoso.com", "", ""), "", "a@icechat.invalid"),
        (person("a", "a@-contoso.com", "", ""), "", "a@icechat.invalid"),
        (person("a", "a@contoso..com", "", ""), "", "a@icechat.invalid"),
        (person("a", "ä@contoso.com", "", ""), "", "a@icechat.invalid"),
        (person("", "Amy <amy@contoso.com>", "", ""), "", "Amy%20%3Camy%40contoso.com%3E@icechat.invalid"),
    ];
    for (who, name, address) in table {
        let seen = check(&item(who, vec![], "x"), WITHOUT_FOOTER);
        assert_eq!(seen.from, [(name.to_owned(), address.to_owned())]);
    }
    let people = |more: usize| (0..more).map(|n| person(&format!("im{n}"), "", "", "")).collect::<Vec<_>>();
    let table = [
        (Some("ROOM-1"), Some("Gasoil & Jet"), 1, "ICE Chat: Gasoil & Jet [ROOM-1]"),
        (None, Some("Gasoil\r\n & Jet"), 1, "ICE Chat: Gasoil & Jet"),
        (Some("ROOM-1"), Some(" \r\n"), 0, "ICE Chat: Amy Adams [ROOM-1]"),
        (Some("ROOM-1"), None, 1, "ICE Chat: Amy Adams, im0 [ROOM-1]"),
        (None, None, 4, "ICE Chat: Amy Adams, im0 and 3 more"),
    ];
    for (id, name, more, subject) in table {
        let mut chat = item(person("a", "", "Amy Adams", "Contoso"), people(more), "x");
        chat.room = cases::room(id, name);
        assert_eq!(check(&chat, WITHOUT_FOOTER).fields["subject"], subject);
    }
}

#[test]
fn a_room_has_one_thread_a_day() {
    let thread = |id, name, time: &str, people| {
        let mut chat = item(person("a", "", "", ""), people, "x");
        (chat.room, chat.record.time) = (cases::room(id, name), time.parse().unwrap());
        check(&chat, WITHOUT_FOOTER).fields["references"].clone()
    };
    let first = thread(Some("R"), None, "2026-11-19T00:00:00Z", vec![]);
    assert_eq!(first, thread(Some("R"), Some("renamed"), "2026-11-19T23:59:59.9Z", vec![person("b", "", "", "")]));
    assert_ne!(first, thread(Some("R"), None, "2026-11-20T00:00:00Z", vec![]));
    assert_ne!(first, thread(Some("r"), None, "2026-11-19T00:00:00Z", vec![]));
    assert_ne!(first, thread(None, Some("R"), "2026-11-19T00:00:00Z", vec![]));
    let pair = vec![person("B", "", "", ""), person("c", "", "", "")];
    let again = vec![person("c", "", "", ""), person("b", "", "", "")];
    assert_eq!(thread(None, None, "2026-11-19T00:00:00Z", pair), thread(None, None, "2026-11-19T01:00:00Z", again));
}

/// Found by chance: folded at the space before the hyphens, within its quotes.
const LONG_WITH_QUOTES: &str = "a b c d e f g h i j k l m n o p q r s t u v w x y z --(aaaaA\"..--\"";

#[test]
fn attachments_do_no_harm_and_lose_nothing() {
    let table = [
        ("report.pdf", "report.pdf", "application/pdf", "application/pdf"),
        ("../../etc/passwd", "passwd", "text/plain; charset=utf-16", "text/plain"),
        ("C:\\x\\y.doc", "y.doc", "APPLICATION/MSWORD", "application/msword"),
        ("say \"hi\".txt", "say \"hi\".txt", "text", "application/octet-stream"),
        (LONG_WITH_QUOTES, LONG_WITH_QUOTES, "", "application/octet-stream"),
        ("a\r\nBcc: x@y.z.txt", "a Bcc: x@y.z.txt", "text/html\r\nX-Evil: 1", "application/octet-stream"),
        ("Größe 価.xlsx", "Größe 価.xlsx", "multipart/mixed; boundary=x", "application/octet-stream"),
        ("=?utf-8?Q?evil?=.exe", "=_utf-8?Q?evil?=.exe", "Message/RFC822", "application/octet-stream"),
        ("..", "attachment", "/", "application/octet-stream"),
        ("/\\/", "attachment", "", "application/octet-stream"),
        ("", "attachment", "image/svg+xml", "image/svg+xml"),
    ];
    let every_byte: Vec<u8> = (0..=255).cycle().take(5_000).chain(*b"\r\n--=_icechat_\nFrom x\n.\n").collect();
    for (name, shown, claimed, media_type) in table {
        for data in [&[][..], b"one\ntwo\r\n", &every_byte] {
            let seen = check(&attachment(name, claimed, data), WITH_FOOTER);
            assert_eq!((&*seen.files[0].name, &*seen.files[0].media_type), (shown, media_type));
        }
    }
    let long = format!("{}.pdf", "é".repeat(5_000));
    let name = check(&attachment(&long, "application/pdf", b"x"), WITH_FOOTER).files[0].name.clone();
    assert!(name.len() < 255 && name.ends_with("é.pdf"), "{name}");
}

#[test]
fn names_and_dates_are_whole_seconds_in_utc() {
    let id = ItemId([0xab; 16]);
    let table = [
        ("2026-11-19T14:01:00.999999999+01:00", "20261119T130100Z", Some("1795093260")),
        ("1969-12-31T23:59:59.5Z", "19691231T235959Z", Some("-1")),
        ("9999-12-30T22:00:00Z", "99991230T220000Z", Some("253402207200")),
        // RFC 5322 has no year before 1900, and readers guess.
        ("0000-01-01T00:00:00Z", "00000101T000000Z", None),
        ("-000001-12-31T23:59:59Z", "00000101T000000Z", None),
    ];
    for (time, name, seconds) in table {
        let mut chat = message("x");
        chat.record.time = time.parse().unwrap();
        assert_eq!(file_name(chat.record.time, id), format!("{name}-{}.eml", "ab".repeat(16)));
        rendered(&chat, WITH_FOOTER);
        if let Some(seconds) = seconds {
            assert_eq!(check(&chat, WITH_FOOTER).fields["date"], seconds);
        }
    }
}

#[test]
fn bytes_depend_on_nothing_but_item_and_shape() {
    assert_eq!(FORMAT_VERSION, 3, "the golden files belong to versions 1 to 3");
    let with = |id: u8| Identity { id: ItemId([id; 16]), follows: None };
    let chat = Item::Chat(message("secret"));
    let eml = render(&chat, with(1), &shape(2, true));
    assert!(!format!("{eml:?}").contains("secret"));
    assert_ne!(eml.bytes, render(&chat, with(2), &shape(2, true)).bytes);
}

/// Not a promise, a look: `cargo test --release --test eml speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    for (case, item, footer) in cases::golden() {
        let rounds = if case.contains("large") || case.contains("crowd") { 20 } else { 20_000 };
        let (item, shape) = (Item::Chat(item), shape(FORMAT_VERSION, footer));
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(render(&item, Identity { id: ItemId([1; 16]), follows: None }, &shape));
        }
        println!("{case}: {:?}", start.elapsed() / rounds);
    }
}
