//! Transcripts as the second pass hands them over, short to write; and their mails read back.

use std::sync::Arc;

use icechatd::digest::{ItemId, Sha256};
use icechatd::eml::{FORMAT_VERSION, Identity, Shape, frame, measure, render};
use icechatd::export::transcript::{Attended, Happened, Line, Spoken, Stay, Transcript};
use icechatd::export::{
    Body, Details, EventKind, EventRecord, FileBody, FileData, Item, ItemKind, ItemRecord, Participant, Person, Role,
};
use icechatd::template::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cases::{person, room, shape};
use super::compare_with_files;
use super::intent;
use super::readers::{by_mail_parser, by_python};

fn amy() -> Person {
    person("adams17", "amy@contoso.com", "Amy Adams", "Contoso")
}

fn nils() -> Person {
    person("broker9", "nils@northern.example", "Nils Berg", "Northern Brokers")
}

fn wei(number: u32) -> Person {
    person(&format!("chen{number}"), "", "Wei Chen", "Contoso")
}

/// A time on the day of these tests.
fn at(clock: &str) -> Timestamp {
    format!("2026-11-19T{clock}Z").parse().expect("a time")
}

fn spoken(ordinal: u64, clock: &str, sender: Person, body: Body) -> Spoken {
    let kind = if matches!(body, Body::Text(_)) { ItemKind::Message } else { ItemKind::Attachment };
    let message_id = Some(format!("m-{ordinal}").into());
    let (line, time, recipients, details) = (10 + ordinal, at(clock), Vec::new(), None);
    let record = ItemRecord { kind, line, message_id, sender: sender.clone(), recipients, time, body, details };
    Spoken { ordinal, record, sender: Arc::new(sender), recipients: Vec::new(), participants: [0; 16] }
}

pub(crate) fn said(ordinal: u64, clock: &str, sender: Person, text: &str) -> Line {
    Line::Item(Box::new(spoken(ordinal, clock, sender, Body::Text(text.into()))))
}

fn said_to(ordinal: u64, clock: &str, sender: Person, to: Vec<Person>, text: &str) -> Line {
    let mut spoken = spoken(ordinal, clock, sender, Body::Text(text.into()));
    spoken.recipients = to.iter().cloned().map(Arc::new).collect();
    spoken.record.recipients = to;
    Line::Item(Box::new(spoken))
}

fn sent(ordinal: u64, clock: &str, sender: Person, name: &str, data: FileData) -> Line {
    let reference = Some("F-77".into());
    let file = FileBody { name: Some(name.into()), content_type: Some("application/pdf".into()), reference, data };
    Line::Item(Box::new(spoken(ordinal, clock, sender, Body::File(file))))
}

fn with(line: Line, change: impl FnOnce(&mut Details)) -> Line {
    let mut details = Details::default();
    change(&mut details);
    let details = Some(Box::new(details));
    match line {
        Line::Item(mut spoken) => {
            spoken.record.details = details;
            Line::Item(spoken)
        }
        Line::Event(mut happened) => {
            happened.record.details = details;
            Line::Event(happened)
        }
        line @ Line::Unreadable { .. } => line,
    }
}

fn event(kind: EventKind, clock: &str, who: Option<Person>, invited: Vec<Person>, text: &str, id: &str) -> Line {
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    let record = EventRecord {
        kind,
        line: 5,
        id: given(id),
        person: who.clone().unwrap_or_default(),
        invited: invited.clone(),
        time: (!clock.is_empty()).then(|| at(clock)),
        text: given(text),
        fault: None,
        details: None,
    };
    let invited = invited.into_iter().map(Arc::new).collect();
    Line::Event(Box::new(Happened { item: None, record, person: who.map(Arc::new), invited }))
}

/// A transcript of these lines; its participants are everyone named, each with the role.
pub(crate) fn transcript(people: Vec<(Role, Person)>, lines: Vec<Line>) -> Transcript {
    let participants =
        people.into_iter().map(|(role, person)| Participant { role, person: Arc::new(person) }).collect();
    let time = lines.iter().find_map(Line::time).expect("a line with a time");
    let ordinal = lines.iter().find_map(Line::item_ordinal).unwrap_or_default();
    Transcript {
        room: room(Some("ROOM-1001"), Some("Gasoil & Jet")),
        day: jiff::civil::date(2026, 11, 19),
        part: 1,
        continues: false,
        ordinal,
        time,
        lines,
        attendance: Vec::new(),
        participants,
    }
}

fn stay(person: Person, from: Option<&str>, to: Option<&str>) -> Attended {
    let stay = Stay { from: from.map(at), to: to.map(at) };
    Attended { person: Arc::new(person), stays: vec![stay], invited: Vec::new() }
}

/// A day with one of everything.
fn everything() -> Transcript {
    let disclaimer = "Northern Brokers is regulated.\nDo not rely on <anything>.";
    let big = FileData::Oversize { bytes: 30_000_000, sha256: Sha256::of(b"big") };
    let lines = vec![
        event(EventKind::Entered, "13:58:00", Some(amy()), vec![], "", ""),
        event(EventKind::Disclaimer, "13:59:00", Some(nils()), vec![], disclaimer, "D-1"),
        with(said(1, "14:00:00", nils(), "shown to who came later"), |details| details.history = Some(0)),
        with(
            said_to(2, "14:31:05.250", amy(), vec![nils()], "Jan/Feb <roll>  2.25 bid & offered\n\t2.50 – 10 lots"),
            |details| {
                details.disclaimer = Some("D-1".into());
                details.extra = vec![("InteractionType".into(), "C".into())];
            },
        ),
        Line::Unreadable { ordinal: 3, kind: ItemKind::Message, line: 88 },
        event(EventKind::Invited, "14:40:00", Some(amy()), vec![wei(1), wei(2)], "", ""),
        event(EventKind::Entered, "14:41:00", Some(wei(1)), vec![], "", ""),
        event(EventKind::System, "", None, vec![], "The room was renamed.\nBy nobody.", ""),
        event(EventKind::Disclaimer, "14:59:00", Some(nils()), vec![], disclaimer, "D-1"),
        sent(4, "15:00:00", nils(), "Größe.pdf", FileData::Found(b"%PDF-1".to_vec())),
        sent(5, "15:01:00", nils(), "Größe.pdf", FileData::Found(b"%PDF-2".to_vec())),
        sent(6, "15:02:00", wei(1), "Größe.pdf", FileData::Found(b"%PDF-1".to_vec())),
        sent(7, "15:03:00", nils(), "late.pdf", FileData::Missing),
        sent(8, "15:04:00", nils(), "big.pdf", big),
        with(
            said(9, "15:05:00", wei(2), "שלום \u{202e}abc\u{202c} 価格 ✓ 👨\u{200d}👩\u{200d}👧"),
            |details| {
                details.source = Some("<Message><X:Odd>1</X:Odd></Message>".into());
                details.disclaimer = Some("D-9".into());
            },
        ),
        said(10, "15:06:00", amy(), ""),
        event(EventKind::Left, "15:07:00", Some(nils()), vec![], "", ""),
    ];
    let people = vec![
        (Role::Sender, nils()),
        (Role::Recipient, amy()),
        (Role::Recipient, wei(1)),
        (Role::Recipient, wei(2)),
        (Role::Present, person("silent1", "", "", "")),
    ];
    let mut transcript = transcript(people, lines);
    let invited = |person: Person| (Some(at("14:40:00")), Some(Arc::new(person)));
    transcript.attendance = vec![
        stay(amy(), Some("13:58:00"), None),
        stay(nils(), None, Some("15:07:00")),
        Attended { invited: vec![invited(amy())], ..stay(wei(1), Some("14:41:00"), None) },
        Attended { invited: vec![invited(amy())], stays: vec![], person: Arc::new(wei(2)) },
        stay(person("silent1", "", "", ""), None, None),
    ];
    transcript
}

fn new_york(footer: bool) -> Shape {
    Shape { zone: TimeZone::get("America/New_York").expect("the zone"), ..shape(FORMAT_VERSION, footer) }
}

fn with_follows(part: u32, follows: Option<u8>) -> (Transcript, Option<ItemId>) {
    let lines = vec![said(20, "16:00:00", amy(), "and so on")];
    let mut transcript = transcript(vec![(Role::Sender, amy()), (Role::Recipient, nils())], lines);
    (transcript.part, transcript.continues) = (part, part == 2);
    (transcript, follows.map(|byte| ItemId([byte; 16])))
}

fn hostile_day() -> Transcript {
    let evil = "x\r\nBcc: evil@evil.example\r\n\r\n</td></tr></table><script>alert(1)</script><img src=http://evil.example/x> \u{202e}e";
    let mallory = person(evil, evil, evil, evil);
    let lines = vec![
        event(EventKind::System, "09:00:00", Some(mallory.clone()), vec![mallory.clone()], evil, evil),
        said_to(0, "09:01:00", mallory.clone(), vec![mallory.clone()], evil),
        said(
            1,
            "09:02:00",
            mallory.clone(),
            "fine\r\n09:03:00  Amy Adams (Contoso)\r\n    I agree\r\n-- \r\nRoom: forged",
        ),
        sent(2, "09:03:00", mallory.clone(), evil, FileData::Found(b"<script>".to_vec())),
        said(3, "09:04:00", mallory.clone(), &"W".repeat(2_000)),
        with(said(4, "09:05:00", mallory.clone(), evil), |details| {
            details.extra = vec![(evil.into(), evil.into())];
            details.disclaimer = Some(evil.into());
        }),
    ];
    let mut transcript = transcript(vec![(Role::Sender, mallory)], lines);
    transcript.room = room(Some(evil), Some(evil));
    transcript
}

pub(crate) fn crowd(size: u32) -> Transcript {
    let member =
        |n: u32| person(&format!("member{n}"), &format!("member{n}@contoso.com"), &format!("Member {n}"), "Contoso");
    let people = (0..size).map(|n| (if n == 0 { Role::Sender } else { Role::Present }, member(n)));
    let to: Vec<_> = (1..size).filter(|n| n % 40 != 7).map(member).collect();
    let lines = vec![
        said_to(0, "10:00:00", member(0), to, "to nearly all"),
        said_to(1, "10:01:00", member(1), vec![member(0)], "to one"),
    ];
    let mut transcript = transcript(people.collect(), lines);
    transcript.attendance = (0..size).map(|n| stay(member(n), (n % 3 == 0).then_some("09:00:00"), None)).collect();
    transcript
}

fn golden() -> Vec<(&'static str, Transcript, Option<ItemId>, Shape)> {
    let (second, follows) = with_follows(2, Some(0x11));
    let (again, before) = with_follows(1, Some(0x22));
    let (mut nowhere, _) = with_follows(1, None);
    nowhere.room = room(None, None);
    vec![
        ("everything", everything(), None, new_york(true)),
        ("everything-without-footer", everything(), None, shape(FORMAT_VERSION, false)),
        ("part-2", second, follows, shape(FORMAT_VERSION, true)),
        ("again", again, before, shape(FORMAT_VERSION, true)),
        ("room-without-name", nowhere, None, shape(FORMAT_VERSION, true)),
        ("hostile", hostile_day(), None, shape(FORMAT_VERSION, true)),
        ("crowd-300", crowd(300), None, shape(FORMAT_VERSION, true)),
    ]
}

const ID: ItemId = ItemId([0x5a; 16]);

fn rendered(transcript: &Transcript, follows: Option<ItemId>, shape: &Shape) -> Vec<u8> {
    let item = Item::Transcript(Box::new(transcript.clone()));
    let identity = Identity { id: ID, follows };
    let eml = render(&item, identity, shape);
    assert_eq!(eml, render(&item, identity, shape), "not deterministic");
    intent::check_bytes(&eml.bytes);
    let bound = frame(transcript) + transcript.lines.iter().map(measure).sum::<u64>();
    assert!(eml.bytes.len() as u64 <= bound, "{} bytes, measured as {bound}", eml.bytes.len());
    eml.bytes
}

#[test]
fn golden_transcripts_stand_and_both_readers_agree() {
    let (mut emls, mut seen) = (Vec::new(), Vec::new());
    for (case, transcript, follows, shape) in golden() {
        let bytes = rendered(&transcript, follows, &shape);
        seen.push(by_mail_parser(&bytes));
        if let Some(folder) = std::env::var_os("ICECHATD_SHOW") {
            let html = seen[seen.len() - 1].html.clone().expect("HTML");
            std::fs::write(std::path::Path::new(&folder).join(format!("{case}.html")), html).unwrap();
            let text = seen[seen.len() - 1].text.clone();
            std::fs::write(std::path::Path::new(&folder).join(format!("{case}.txt")), text).unwrap();
        }
        emls.push((case.to_owned(), bytes));
    }
    compare_with_files("transcripts", &emls);
    let (cases, bytes): (Vec<_>, Vec<_>) = emls.into_iter().unzip();
    for (case, (python, parser)) in cases.iter().zip(by_python(&bytes).into_iter().zip(seen)) {
        assert_eq!((python.text, python.html), (parser.text, parser.html), "{case}");
        assert_eq!((python.from, python.to, python.cc), (parser.from, parser.to, parser.cc), "{case}");
        assert_eq!((python.fields, python.files), (parser.fields, parser.files), "{case}");
    }
}

#[test]
fn a_name_cannot_look_like_what_nobody_said() {
    let star = person("a", "", "* System", "");
    let spaced = person("b", "", "\u{a0}* System", "");
    let people = vec![(Role::Sender, star.clone()), (Role::Recipient, spaced.clone())];
    let day = transcript(people, vec![said(0, "09:00:00", star, "one"), said(1, "09:01:00", spaced, "two")]);
    let text = |format: u32| by_mail_parser(&rendered(&day, None, &shape(format, true))).text;
    let spoofs = |text: &str| text.lines().filter(|line| line.contains("  * System")).count();
    assert_eq!(spoofs(&text(FORMAT_VERSION)), 0, "{}", text(FORMAT_VERSION));
    assert_eq!(text(FORMAT_VERSION).matches("[U+002A] System").count(), 2);
    // What stands was written so.
    assert!(spoofs(&text(2)) > 0 && !text(2).contains("[U+002A]"));
}

#[test]
fn an_imid_that_looks_like_an_address_is_not_whose_address_it_is() {
    let by_id = person("amy@contoso.com", "", "", "");
    let by_address = person("", "amy@contoso.com", "", "");
    let people = vec![(Role::Sender, by_id.clone()), (Role::Present, by_address.clone())];
    let mut day = transcript(people, vec![said(0, "09:00:00", by_id.clone(), "one")]);
    day.attendance = vec![stay(by_id, Some("08:00:00"), None), stay(by_address, None, Some("10:00:00"))];
    let text = by_mail_parser(&rendered(&day, None, &shape(FORMAT_VERSION, true))).text;
    for line in ["entered 08:00:00, present to the end", "already present, left 10:00:00"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
}

#[test]
fn words_that_could_not_be_read_leave_a_line() {
    let mut lines = vec![
        said(0, "09:00:00", amy(), "one"),
        event(EventKind::System, "09:01:00", None, vec![], "", ""),
        event(EventKind::Disclaimer, "09:02:00", Some(nils()), vec![], "", "D"),
    ];
    for line in &mut lines {
        let Line::Event(happened) = line else { continue };
        happened.record.fault = Some("the content is given twice with different values".into());
    }
    let day = transcript(vec![(Role::Sender, amy())], lines);
    let seen = by_mail_parser(&rendered(&day, None, &shape(FORMAT_VERSION, true)));
    for words in ["System: the words could not be read", "Northern Brokers): the words could not be read"] {
        assert!(seen.text.contains(words) && seen.html.as_ref().unwrap().contains(words), "{}", seen.text);
    }
}

#[test]
fn what_is_measured_is_enough_and_not_far_too_much() {
    let people = || vec![(Role::Sender, amy()), (Role::Recipient, nils())];
    for unit in
        ["x", "x y ", "é", "価", "👍", "&", "<\"", " ", "\t", "\n", "\r", "\0", "\u{202e}", "=", ".\n", "From \n"]
    {
        let text = unit.repeat(40_000 / unit.len());
        let data = FileData::Inside(text.clone().into_bytes());
        let disclaimer = event(EventKind::Disclaimer, "10:00:00", Some(amy()), vec![], &text, "D");
        let source = with(said(1, "10:00:00", amy(), "x"), |details| details.source = Some(text.clone().into()));
        let small = (0..300).map(|n| said_to(n, "10:00:00.123", amy(), vec![nils()], unit)).collect();
        let file = sent(1, "10:00:00", amy(), &"é".repeat(300), data);
        for lines in [vec![said(1, "10:00:00", amy(), &text)], vec![file], vec![source], vec![disclaimer], small] {
            let transcript = transcript(people(), lines);
            let bytes = rendered(&transcript, None, &new_york(true)).len() as u64;
            let bound = frame(&transcript) + transcript.lines.iter().map(measure).sum::<u64>();
            assert!(bound < bytes * 3 + 100_000, "{unit:?}: {bytes} bytes, measured as {bound}");
        }
    }
    // So much that what is allowed for names and fields does not matter.
    for unit in ["価", "\0"] {
        let lines = vec![said(1, "10:00:00", amy(), &unit.repeat(1_000_000 / unit.len()))];
        rendered(&transcript(people(), lines), None, &new_york(true));
    }
    // A line to many is as long as its numbers.
    let crowd = crowd(2_000);
    assert!(measure(&crowd.lines[0]) < 100_000);
}

#[test]
fn a_configuration_words_subjects_and_fields() {
    let template = |text: &str| Template::parse(text).unwrap();
    let everywhere = "{room}|{room_id}|{date}|{time}|{sender}|{kind}|{item_id}|{message_id}|{part}";
    let name = "X-A-Name-That-Is-Longer-Than-Any-Of-Our-Own";
    let shape = Shape {
        subject: Some(template(everywhere)),
        headers: vec![
            ("X-Archive".to_owned(), template("{{}} of {sender}")),
            (name.to_owned(), template("価格 {room}")),
            ("X-Nothing".to_owned(), template("{message_id}")),
        ],
        ..new_york(true)
    };
    let (second, follows) = with_follows(2, Some(0x11));
    let item = Item::Transcript(Box::new(second));
    let bytes = render(&item, Identity { id: ID, follows }, &shape).bytes;
    intent::check_bytes(&bytes);
    let seen = by_mail_parser(&bytes);
    let id = ID.to_string();
    assert_eq!(
        seen.fields["subject"],
        format!("Gasoil & Jet|ROOM-1001|2026-11-19|2026-11-19T16:00:00Z|Amy Adams|conversation|{id}||2")
    );
    assert_eq!(seen.fields["x-archive"], "{} of Amy Adams");
    assert_eq!(seen.fields[&name.to_lowercase()], "価格 Gasoil & Jet");
    assert!(!seen.fields.contains_key("x-nothing"));
    assert_eq!(by_python(&[bytes])[0].fields, seen.fields);
    // Hostile values make up nothing.
    for attack in super::hostile::ATTACKS {
        let mut chat = super::cases::message("x");
        chat.room = room(Some(attack), Some(attack));
        chat.record.message_id = Some((*attack).into());
        let bytes = render(&Item::Chat(chat), Identity { id: ID, follows: None }, &shape).bytes;
        intent::check_bytes(&bytes);
        assert_eq!(by_python(std::slice::from_ref(&bytes))[0].fields, by_mail_parser(&bytes).fields, "{attack:?}");
    }
}

#[test]
fn single_items_say_what_became_of_them() {
    let base = super::cases::attachment("late.pdf", "application/pdf", b"");
    let sha256 = Sha256::of(b"big");
    let with_data = |data| {
        let mut chat = base.clone();
        let Body::File(file) = &mut chat.record.body else { unreachable!("a file") };
        (file.reference, file.data) = (Some("F-77".into()), data);
        chat
    };
    let missing = "Attachment: late.pdf, file F-77, missing: no archive with it had come when this was taken in\n";
    let oversize = format!(
        "Attachment: late.pdf, 9 bytes, SHA-256 {sha256}, too large for this mail; whoever runs icechatd gets it by: \
         icechatd attachment {sha256}\n"
    );
    let found = format!(
        "Attachment: late.pdf, 3 bytes, SHA-256 {sha256}, which came after item {} was archived\n",
        "11".repeat(16)
    );
    let follows = Some(ItemId([0x11; 16]));
    let (mut texts, mut emls) = (Vec::new(), Vec::new());
    for (case, chat, follows, state, text) in [
        ("missing", with_data(FileData::Missing), None, "missing", missing.to_owned()),
        ("oversize", with_data(FileData::Oversize { bytes: 9, sha256 }), None, "oversize", oversize),
        ("came-later", with_data(FileData::Found(b"big".to_vec())), follows, "attached", found),
    ] {
        let bytes = render(&Item::Chat(chat), Identity { id: ID, follows }, &shape(FORMAT_VERSION, false)).bytes;
        intent::check_bytes(&bytes);
        let seen = by_mail_parser(&bytes);
        assert_eq!((&*seen.text, &*seen.fields["x-ice-chat-attachment"]), (&*text, state));
        assert_eq!(seen.files.len(), usize::from(state == "attached"));
        assert_eq!(seen.fields.contains_key("in-reply-to"), follows.is_some());
        texts.push(seen);
        emls.push((case.to_owned(), bytes));
    }
    compare_with_files("eml-2-items", &emls);
    let bytes: Vec<_> = emls.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(by_python(&bytes), texts);
}

#[test]
fn events_as_items_say_what_happened() {
    let (mut texts, mut emls) = (Vec::new(), Vec::new());
    for (kind, words, person, text) in [
        (EventKind::Entered, "Amy Adams (Contoso) entered the room\n", Some(amy()), ""),
        (EventKind::Left, "Amy Adams (Contoso) left the room\nbye\n", Some(amy()), "bye"),
        (EventKind::Invited, "Amy Adams (Contoso) invited Nils Berg (Northern Brokers)\n", Some(amy()), ""),
        (EventKind::Disclaimer, "Disclaimer:\nbe careful\n", None, "be careful"),
        (EventKind::System, "System:\nthe room was renamed\n", None, "the room was renamed"),
    ] {
        let invited = if kind == EventKind::Invited { vec![nils()] } else { vec![] };
        let Line::Event(happened) = event(kind, "10:00:00", person.clone(), invited.clone(), text, "D-1") else {
            unreachable!("an event")
        };
        let mut chat = super::cases::item(person.unwrap_or_default(), invited, "");
        chat.record = happened.record.as_item().unwrap();
        let bytes = render(&Item::Chat(chat), Identity { id: ID, follows: None }, &shape(FORMAT_VERSION, false)).bytes;
        intent::check_bytes(&bytes);
        let seen = by_mail_parser(&bytes);
        assert_eq!((&*seen.text, &*seen.fields["x-ice-chat-kind"]), (words, kind.as_str()));
        let id = if kind == EventKind::Disclaimer { "x-ice-chat-disclaimer" } else { "x-ice-chat-message-id" };
        assert_eq!(seen.fields[id], "D-1");
        texts.push(seen);
        emls.push((kind.as_str().to_owned(), bytes));
    }
    compare_with_files("eml-2-events", &emls);
    let bytes: Vec<_> = emls.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(by_python(&bytes), texts);
}

#[test]
fn what_few_records_have_stands_in_footer_and_fields() {
    let mut chat = super::cases::message("said before");
    chat.record.details = Some(Box::new(Details {
        history: Some(3),
        disclaimer: Some("D-1".into()),
        extra: vec![
            ("InteractionType".into(), "C".into()),
            ("Interaction Type!".into(), "価".into()),
            ("Room-ID".into(), "forged".into()),
        ],
        source: Some("<Message><Odd>1</Odd></Message>".into()),
    }));
    let bytes = render(&Item::Chat(chat), Identity { id: ID, follows: None }, &shape(FORMAT_VERSION, true)).bytes;
    intent::check_bytes(&bytes);
    let seen = by_mail_parser(&bytes);
    assert_eq!(seen.files[0].name, "source.xml");
    for (field, value) in [
        ("x-ice-chat-history", "shown again"),
        ("x-ice-chat-disclaimer", "D-1"),
        ("x-ice-chat-interactiontype", "C"),
        ("x-ice-chat-interaction-type", "価"),
        ("x-ice-chat-room-id", "ROOM-1001"),
    ] {
        assert_eq!(seen.fields[field], value);
    }
    assert!(seen.text.contains("\nField InteractionType: C\n") && seen.text.contains("\nField Room-ID: forged\n"));
    compare_with_files("eml-2-details", &[("details".to_owned(), bytes.clone())]);
    assert_eq!(by_python(&[bytes]), [seen]);
}
