//! XML without measure: deep, endless, giant, with entities, with a million of whatever there can be many of. Each is refused
//! with its place and its reason, or read, in memory that does not grow with it; and of what is refused nothing is staged.
//!
//! `ICECHATD_CASES` says how many of each there are; a million by hand.

use crate::support;

use std::fmt::Write;

use support::archive::{Archive, cases};
use support::firm::{message, staged};
use support::measured::Measured;

/// What becomes of an export.
enum End {
    /// It is held, and the reason has these words.
    Held(&'static str),
    /// It is taken, with so many items rejected.
    Taken(u64),
}
use End::{Held, Taken};

/// Limits that are reached soon.
const LIMITS: &str = "max_message = \"256KiB\"\nmax_attachment = \"256KiB\"\nmax_participants = 5000";

fn room(records: &str) -> String {
    format!("<IceChatExport><Conversation><RoomID>R</RoomID>{records}</Conversation></IceChatExport>")
}

/// So many of what `each` writes.
fn many(count: u32, each: impl Fn(&mut String, u32) -> std::fmt::Result) -> String {
    let mut text = String::new();
    for number in 0..count {
        each(&mut text, number).unwrap();
    }
    text
}

fn entered(text: &mut String, number: u32) -> std::fmt::Result {
    write!(
        text,
        "<ParticipantEntered><User><ImId>p{number}</ImId></User><DateTimeUTC>5</DateTimeUTC></ParticipantEntered>"
    )
}

/// A message whose parts are as they are given.
fn said(inside: &str) -> String {
    format!("<Message><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC>{inside}</Message>")
}

/// Each export with its name, and what must become of it. `n` is how many.
fn exports(n: u32) -> Vec<(&'static str, String, End)> {
    let long = "x".repeat(n as usize * 8);
    let laughs = many(9, |text, n| write!(text, "<!ENTITY l{} \"{}\">", n + 1, format!("&l{n};").repeat(10)));
    let laughs = format!("<!DOCTYPE lol [<!ENTITY l0 \"lol\">{laughs}]>{}", room(&said("<Content>&l9;</Content>")));
    let outside = format!(
        "<!DOCTYPE x [<!ENTITY secret SYSTEM \"file:///etc/passwd\">]>{}",
        room(&said("<Content>&secret;</Content>"))
    );
    // Whole before the fault: a message that must not be staged because of what follows.
    let first = message("m-1", "amy@contoso.com", &["joe@contoso.com"], "hello");
    let after = |fault: &str| format!("<IceChatExport><Conversation><RoomID>R</RoomID>{first}{fault}");
    let attributes = many(n, |text, n| write!(text, " a{n}=\"1\""));
    let recipients = many(n, |text, n| write!(text, "<Recipient><ImId>r{n}</ImId></Recipient>"));
    let elements = many(n, |text, n| write!(text, "<e{n}/>"));
    let rooms = many(n, |text, n| write!(text, "<Conversation><RoomID>R{n}</RoomID></Conversation>"));
    let nested = "<a>".repeat(n as usize);
    vec![
        ("deep", after(&nested), Held("nested deeper than 128")),
        ("deep-whole", after(&(nested + &"</a>".repeat(n as usize))), Held("nested deeper than 128")),
        (
            "endless-text",
            after(&format!("<Message><Content>{long}")),
            Held("the file ends inside the element \"Content\""),
        ),
        ("endless-comment", after(&format!("<!--{long}")), Held("the file ends inside the markup")),
        ("endless-cdata", after(&format!("<![CDATA[{long}")), Held("the file ends inside the markup")),
        ("endless-instruction", after(&format!("<?x {long}")), Held("a tag is longer than 65536 bytes")),
        ("giant-content", room(&said(&format!("<Content>{long}</Content>"))), Taken(1)),
        (
            "giant-data",
            room(&format!(
                "<Attachment><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC><Data>{long}{long}</Data></Attachment>"
            )),
            Taken(1),
        ),
        ("giant-attribute", after(&format!("<Message a=\"{long}\"/>")), Held("a tag is longer than 65536 bytes")),
        ("giant-name", after(&format!("<{long}/>")), Held("a tag is longer than 65536 bytes")),
        (
            "giant-room-id",
            format!("<IceChatExport><Conversation><RoomID>{long}</RoomID>"),
            Held("room id is longer than 65536"),
        ),
        ("giant-reference", after(&format!("<a>&{long};</a>")), Held("an ampersand begins no")),
        ("attributes", after(&format!("<Message{attributes}/>")), Held("a tag is longer than 65536 bytes")),
        ("entities", laughs, Held("line 1, column 1: a DOCTYPE is not accepted")),
        ("entity-outside", outside, Held("line 1, column 1: a DOCTYPE is not accepted")),
        ("entity-undefined", after(&said("<Content>&lol;</Content>")), Held("a reference to an entity")),
        ("participants", after(&many(n, entered)), Held("limits.max_participants")),
        ("recipients", after(&said(&recipients)), Held("limits.max_participants")),
        ("elements", room(&elements), Taken(0)),
        ("rooms", format!("<IceChatExport>{rooms}</IceChatExport>"), Taken(0)),
        ("text-around", room(&long), Taken(0)),
    ]
}

#[test]
fn xml_without_measure_is_refused_in_bounded_time_and_memory() {
    let archive = Archive::new();
    archive.limit(LIMITS);
    let sealed = |xml: &str| archive.seal(xml);
    let quiet = archive.measure(&[("sample.pgp", sealed(&support::firm::sample_export()))]);
    let placed = staged(&archive.staging());
    let exports = exports(cases(40_000));
    let bytes: usize = exports.iter().map(|(_, xml, _)| xml.len()).sum();
    let files: Vec<_> = exports.iter().map(|(name, xml, _)| (format!("{name}.pgp"), sealed(xml))).collect();
    let named: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let seen = archive.measure(&named);
    println!(
        "{bytes} bytes in {} exports: {} ms, {} KiB; a sample: {} KiB",
        exports.len(),
        seen.milliseconds,
        seen.peak,
        quiet.peak
    );
    assert_eq!(seen.code, 3, "{seen:#?}");
    for (name, _, end) in &exports {
        check(name, end, &seen);
    }
    // All of them one after the other, and the largest is far larger than this.
    assert!(seen.peak < quiet.peak + (32 << 10), "{} KiB, otherwise {}", seen.peak, quiet.peak);
    assert_eq!(staged(&archive.staging()), placed, "something of them is staged");
}

fn check(name: &str, end: &End, seen: &Measured) {
    let files = seen.report["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["name"] == format!("{name}.pgp")).unwrap();
    match end {
        Held(words) => {
            let reason = file["reason"].as_str().unwrap_or_default();
            assert!(file["state"] == "held" && reason.contains(words), "{name}: {file:#}");
            assert!(reason.contains("line 1, column ") && reason.len() < 400, "{name}: {reason}");
        }
        Taken(rejected) => {
            let is_taken = file["state"] == "staged" && file["items"]["rejected"] == *rejected;
            assert!(is_taken && file["items"]["available"] == *rejected, "{name}: {file:#}");
        }
    }
}
