//! Random conversations, from the export to the mails: every message stands in exactly the transcripts it belongs to, and
//! nothing else does. `ICECHATD_CONVERSATIONS` says how many are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;

use icechatd::digest::{ItemId, Sha256};
use icechatd::eml::{FORMAT_VERSION, Identity, Shape, frame, measure, render};
use icechatd::export::passes::{ByDay, Counts, Grouping, Hold, Step, Turn, items, survey};
use icechatd::export::profile::Profile;
use icechatd::export::reader::ReadLimits;
use icechatd::export::transcript::{Line, Transcript};
use icechatd::export::{Item, Participant};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::cases::shape;
use super::hostile;
use super::readers::{by_mail_parser, by_python};

const LIMITS: ReadLimits = ReadLimits { max_message: 1 << 20, max_attachment: 1 << 20, max_participants: 10_000 };
const STREAMED: Hold = Hold { bytes: 0, records: 0 };
const PEOPLE: [&str; 6] = ["ann", "Bob", "cid", "dee", "eve", "fay"];
/// Three days in New York, the second of them 25 hours long.
const START: i64 = 1_793_419_200;
const LENGTH: i64 = 73 * 3600;

#[derive(Debug, Clone)]
enum Happening {
    Said { who: usize, to: Vec<usize>, time: Option<i64>, text: String, again: bool },
    Came { who: usize, entered: bool, time: Option<i64> },
}

impl Happening {
    fn time(&self) -> Option<i64> {
        match self {
            Self::Said { time, .. } | Self::Came { time, .. } => *time,
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let time = || prop::option::weighted(0.9, START..START + LENGTH);
    let who = || 0..PEOPLE.len();
    prop_oneof![
        3 => (who(), prop::collection::vec(who(), 0..3), time(), hostile::content(), prop::bool::weighted(0.2))
            .prop_map(|(who, to, time, text, again)| Happening::Said { who, to, time, text, again }),
        1 => (who(), any::<bool>(), time()).prop_map(|(who, entered, time)| Happening::Came { who, entered, time }),
    ]
}

/// An export of these conversations; each message says its number first and last.
fn export(conversations: &[Vec<Happening>]) -> String {
    let mut xml = String::from("<IceChatExport>");
    let mut number = 0;
    for (room, happenings) in conversations.iter().enumerate() {
        write!(xml, "<Conversation><RoomID>room-{room}</RoomID>").unwrap();
        for happening in happenings {
            let time = happening.time().map_or(String::new(), |time| format!("<DateTimeUTC>{time}</DateTimeUTC>"));
            match happening {
                Happening::Said { who, to, text, again, .. } => {
                    let (who, tag) = (PEOPLE[*who], if *again { "History" } else { "Message" });
                    write!(xml, "<{tag}><MessageID>m{number}</MessageID><ImId>{who}</ImId>").unwrap();
                    for to in to {
                        write!(xml, "<Recipient><ImId>{}</ImId></Recipient>", PEOPLE[*to]).unwrap();
                    }
                    let allowed =
                        |c: &char| matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..) && !"<&>".contains(*c);
                    let text: String = text.chars().filter(allowed).collect();
                    write!(xml, "{time}<Content>«{number}» {text} «/{number}»</Content></{tag}>").unwrap();
                    number += 1;
                }
                Happening::Came { who, entered, .. } => {
                    let kind = if *entered { "Entered" } else { "Left" };
                    let who = PEOPLE[*who];
                    write!(xml, "<Participant{kind}><User><ImId>{who}</ImId></User>{time}</Participant{kind}>")
                        .unwrap();
                }
            }
        }
        xml.push_str("</Conversation>");
    }
    xml + "</IceChatExport>"
}

fn zone() -> TimeZone {
    TimeZone::get("America/New_York").unwrap()
}

fn day(time: i64) -> Date {
    Timestamp::from_second(time).unwrap().to_zoned(zone()).date()
}

fn grouping(max_size: u64, events: bool) -> Grouping {
    Grouping {
        by_day: Some(ByDay { zone: zone(), max_size, words: true, attached: Arc::default(), measure, frame }),
        events,
    }
}

/// The built-in profile, with messages that are shown again.
fn profile() -> Profile {
    let history = "[[record]]\nkind = \"history\"\npath = \"History\"\nmessage_id = \"MessageID\"\n\
                   time = \"DateTimeUTC\"\ncontent = \"Content\"\n[record.person]\nim_id = \"ImId\"\n\
                   [[record.recipient]]\npath = \"Recipient\"\nperson = { im_id = \"ImId\" }\n";
    let text = Profile::builtin("icechat").unwrap().text().to_owned();
    Profile::parse("test", &format!("{text}\n{history}")).unwrap()
}

struct Cut<'a>(&'a [u8], usize);

impl Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let size = self.1.min(into.len());
        self.0.read(&mut into[..size])
    }
}

/// All turns of an export.
fn steps(xml: &str, grouping: &Grouping, hold: Hold, late: &[BTreeSet<u64>], cut: usize) -> (Counts, Vec<Step>) {
    let profile = profile();
    let survey = survey(&profile, LIMITS, hold, grouping, late, Cut(xml.as_bytes(), cut)).unwrap();
    let mut steps = Vec::new();
    for number in 0..=late.len() {
        let mut sink = |step| -> Result<(), Infallible> {
            steps.push(step);
            Ok(())
        };
        let input = Cut(xml.as_bytes(), cut);
        let counts = items(&profile, LIMITS, &survey, grouping, Turn { late, number }, input, &mut sink).unwrap();
        assert_eq!(counts, survey.counts);
    }
    (survey.counts, steps)
}

fn transcripts(steps: &[Step]) -> Vec<&Transcript> {
    steps.iter().filter_map(|step| if let Step::Transcript(one) = step { Some(&**one) } else { None }).collect()
}

/// Which numbers stand in a text, in order: what is between a message's two.
fn numbers(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for piece in text.split('«').skip(1) {
        let Some((number, _)) = piece.split_once('»') else { continue };
        if let Ok(number) = number.parse() {
            found.push(number);
        }
    }
    found
}

/// What stands between a message's two numbers, in a text of which `plain` undoes what the form does to it.
fn between(form: &str, number: usize, plain: impl Fn(&str) -> String) -> String {
    let after = form.split_once(&format!("«{number}»")).unwrap().1;
    plain(after.split_once(&format!("«/{number}»")).unwrap().0)
}

fn of_text(text: &str) -> String {
    text.replace("\n    ", "\n")
}

fn of_html(html: &str) -> String {
    let spaced = html.replace("<br>\n", "\n").replace("&nbsp;", " ");
    let marks = spaced.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    marks.replace("&amp;", "&")
}

/// The text of each message that anybody sees as it is, by its number.
fn plain_texts(conversations: &[Vec<Happening>]) -> BTreeMap<usize, String> {
    let texts = conversations.iter().flatten().filter_map(|one| match one {
        Happening::Said { text, .. } => Some(text),
        Happening::Came { .. } => None,
    });
    let plain = |text: &str| text.chars().all(|c| matches!(c, '\n' | ' '..='~') && !"<&>".contains(c));
    texts.enumerate().filter(|(_, text)| plain(text)).map(|(at, text)| (at, format!(" {text} "))).collect()
}

/// The room and day of each message that has a time.
fn expected(conversations: &[Vec<Happening>]) -> BTreeMap<usize, (String, Date)> {
    let said = |(room, happenings): (usize, &Vec<Happening>)| {
        let said = happenings.iter().filter(|one| matches!(one, Happening::Said { .. }));
        said.map(move |one| (room, one.time())).collect::<Vec<_>>()
    };
    let messages = conversations.iter().enumerate().flat_map(said).enumerate();
    messages.filter_map(|(number, (room, time))| Some((number, (format!("room-{room}"), day(time?))))).collect()
}

fn new_york() -> Shape {
    Shape { zone: zone(), ..shape(FORMAT_VERSION, true) }
}

fn mail(transcript: &Transcript) -> (Vec<u8>, String, String) {
    let item = Item::Transcript(Box::new(transcript.clone()));
    let bytes = render(&item, Identity { id: ItemId([1; 16]), follows: None }, &new_york()).bytes;
    let seen = by_mail_parser(&bytes);
    (bytes, seen.text, seen.html.unwrap())
}

/// Every message in its transcripts, once, in both forms; every mail within its bound.
fn check_mails(conversations: &[Vec<Happening>], steps: &[Step], max_size: u64) {
    let (expected, plain) = (expected(conversations), plain_texts(conversations));
    let mut found: Vec<usize> = Vec::new();
    for transcript in transcripts(steps) {
        let (bytes, text, html) = mail(transcript);
        let here = numbers(&text);
        assert_eq!(here, numbers(&html), "text and HTML differ");
        assert_eq!(here.len(), transcript.lines.iter().filter(|line| matches!(line, Line::Item(_))).count());
        for number in &here {
            let place = (transcript.room.id.clone().unwrap().into(), transcript.day);
            assert_eq!(expected.get(number), Some(&place), "message {number}");
            if let Some(plain) = plain.get(number) {
                assert_eq!(&between(&text, *number, of_text), plain);
                assert_eq!(&between(&html, *number, of_html), plain);
            }
        }
        found.extend(here);
        let bare = Transcript { lines: vec![], ..transcript.clone() };
        let measured: u64 = transcript.lines.iter().map(measure).sum();
        assert!(bytes.len() as u64 <= frame(&bare) + measured, "{} bytes", bytes.len());
        let room = max_size.saturating_sub(frame(&bare)).max(max_size / 4);
        assert!(measured <= room || transcript.lines.len() == 1, "{measured} of {room}");
    }
    found.sort_unstable();
    assert_eq!(found, expected.into_keys().collect::<Vec<_>>());
}

/// The parts of each day follow one another, and say so.
fn check_parts(steps: &[Step]) {
    let mut by_day: BTreeMap<_, Vec<&Transcript>> = BTreeMap::new();
    for transcript in transcripts(steps) {
        by_day.entry((transcript.room.id.clone(), transcript.day)).or_default().push(transcript);
    }
    for parts in by_day.values() {
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(part.part as usize, at + 1);
            assert_eq!(part.continues, at + 1 < parts.len());
            assert!(at == 0 || part.attendance.is_empty());
            assert_eq!(part.participants, parts[0].participants);
            assert!(!part.lines.is_empty());
        }
        for part in parts {
            let first = part.lines.iter().find_map(Line::item_ordinal);
            assert!(first.is_none_or(|first| first == part.ordinal));
        }
    }
}

/// Each place of the export once: in a transcript or rejected.
fn check_places(counts: &Counts, steps: &[Step]) {
    let mut places: Vec<u64> = Vec::new();
    for step in steps {
        match step {
            Step::Transcript(transcript) => places.extend(transcript.items().map(|(place, ..)| place)),
            Step::Rejected { ordinal, .. } | Step::Item { ordinal, .. } => places.push(*ordinal),
        }
    }
    places.sort_unstable();
    assert_eq!(places, (0..counts.available()).collect::<Vec<_>>());
}

/// What is no message stands there too: an event on a day that has a message, what has no time beside a message.
fn check_others(conversations: &[Vec<Happening>], steps: &[Step]) {
    for (room, happenings) in conversations.iter().enumerate() {
        let id: Box<str> = format!("room-{room}").into();
        let days: BTreeSet<Date> = happenings
            .iter()
            .filter(|one| matches!(one, Happening::Said { .. }))
            .filter_map(|one| one.time().map(day))
            .collect();
        let stands = |one: &&Happening| match one {
            Happening::Came { time, .. } => !days.is_empty() && time.is_none_or(|time| days.contains(&day(time))),
            Happening::Said { time, .. } => time.is_none() && !days.is_empty(),
        };
        let lines = transcripts(steps).into_iter().filter(|one| one.room.id.as_ref() == Some(&id));
        let others = lines.flat_map(|one| &one.lines).filter(|line| !matches!(line, Line::Item(_))).count();
        assert_eq!(others, happenings.iter().filter(stands).count());
    }
}

/// Whom a message concerns, its transcript concerns; and nobody whom the conversation does not name.
fn check_participants(xml: &str, steps: &[Step]) {
    let key = |one: &Participant| one.person.im_id.as_ref().unwrap().folded().to_owned();
    let (_, messages) = steps_of_messages(xml);
    for transcript in transcripts(steps) {
        let named: Vec<String> = transcript.participants.iter().map(key).collect();
        let distinct: BTreeSet<&String> = named.iter().collect();
        assert_eq!(distinct.len(), named.len(), "someone twice");
        for (place, record, _) in transcript.items() {
            let message = messages.get(&place).unwrap();
            assert!(message.participants.iter().all(|one| named.contains(&key(one))), "{place} {record:?}");
            assert_eq!(record.message_id, message.record.message_id);
        }
    }
}

fn steps_of_messages(xml: &str) -> (Counts, BTreeMap<u64, icechatd::export::ChatItem>) {
    let (counts, steps) = steps(xml, &Grouping::default(), Hold::default(), &[], usize::MAX);
    let items = steps.into_iter().filter_map(|step| match step {
        Step::Item { ordinal, item } => Some((ordinal, item)),
        _ => None,
    });
    (counts, items.collect())
}

fn cases() -> u32 {
    std::env::var("ICECHATD_CONVERSATIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(96)
}

fn conversations() -> impl Strategy<Value = Vec<Vec<Happening>>> {
    let conversation =
        (prop::collection::vec(happening(), 0..20), any::<bool>()).prop_map(|(mut happenings, sorted)| {
            if sorted {
                happenings.sort_by_key(Happening::time);
            }
            happenings
        });
    prop::collection::vec(conversation, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn every_message_stands_in_exactly_its_transcripts(
        conversations in conversations(),
        max_size in prop_oneof![Just(10 << 20), 20_000u64..60_000],
        cut in 1usize..200,
    ) {
        let xml = export(&conversations);
        for hold in [Hold::default(), STREAMED] {
            let (counts, steps) = steps(&xml, &grouping(max_size, false), hold, &[], usize::MAX);
            check_mails(&conversations, &steps, max_size);
            check_parts(&steps);
            check_places(&counts, &steps);
            check_others(&conversations, &steps);
            check_participants(&xml, &steps);
            let (_, again) = self::steps(&xml, &grouping(max_size, false), hold, &[], cut);
            prop_assert_eq!(format!("{steps:?}"), format!("{again:?}"), "another cut, another result");
        }
    }

    #[test]
    fn what_is_let_in_later_stands_apart(
        conversations in conversations(),
        late in prop::collection::btree_set(0u64..40, 0..8),
        events: bool,
    ) {
        let xml = export(&conversations);
        for hold in [Hold::default(), STREAMED] {
            let (counts, messages) = steps_of_messages(&xml);
            let late: BTreeSet<u64> = if events { BTreeSet::new() } else { late.iter().copied().filter(|place| messages.contains_key(place)).collect() };
            let late = [late];
            let (now, all) = steps(&xml, &grouping(10 << 20, events), hold, &late, usize::MAX);
            prop_assert!(events || now == counts);
            if !events {
                check_mails(&conversations, &all, 10 << 20);
            }
            check_places(&now, &all);
            let unreadable = transcripts(&all).into_iter().flat_map(|one| &one.lines).filter(|line| {
                matches!(line, Line::Unreadable { ordinal, .. } if late[0].contains(ordinal))
            });
            prop_assert!(unreadable.count() <= late[0].len());
        }
    }

    /// Where days come one after the other, holding a conversation or streaming it gives the same.
    #[test]
    fn held_and_streamed_agree(
        mut happenings in prop::collection::vec(happening(), 0..25),
        max_size in prop_oneof![Just(10 << 20), 20_000u64..60_000],
        events: bool,
    ) {
        happenings.sort_by_key(|one| one.time().unwrap_or(START));
        for happening in &mut happenings {
            if let Happening::Said { time: Some(time), again: true, .. } = happening {
                *time -= 5 * 86_400;
            }
        }
        let xml = export(&[happenings]);
        let (_, held) = steps(&xml, &grouping(max_size, events), Hold::default(), &[], usize::MAX);
        let (_, streamed) = steps(&xml, &grouping(max_size, events), STREAMED, &[], usize::MAX);
        let shown = |steps: &[Step]| transcripts(steps).iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
        prop_assert_eq!(shown(&held), shown(&streamed));
    }
}

/// A day of 100,000 messages of 200 people, made while it is read.
struct Room {
    next: u32,
    piece: Vec<u8>,
}

impl Room {
    fn piece(&mut self) -> Option<String> {
        let at = self.next;
        self.next += 1;
        let person = |at: u32| format!("trader{}", at % 200);
        let time = START + i64::from(at) * 8 / 10;
        match at {
            0 => Some("<IceChatExport><Conversation><RoomID>R</RoomID>".to_owned()),
            1..=100_000 => Some(format!(
                "<Message><MessageID>m{at}</MessageID><ImId>{}</ImId><Recipient><ImId>{}</ImId></Recipient>\
                 <DateTimeUTC>{time}</DateTimeUTC><Content>«{at}» Jan/Feb roll 2.25 bid, offered at 2.50, 10 lots</Content></Message>",
                person(at),
                person(at / 7 + 1)
            )),
            100_001 => Some("</Conversation></IceChatExport>".to_owned()),
            _ => None,
        }
    }
}

impl Read for Room {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.piece().unwrap_or_default().into_bytes();
        }
        let size = self.piece.len().min(into.len());
        into[..size].copy_from_slice(&self.piece[..size]);
        self.piece.drain(..size);
        Ok(size)
    }
}

/// `cargo test --test eml day_of_100_000 -- --ignored --nocapture`, alone, so that the peak is its own.
#[test]
#[ignore = "measures"]
fn a_day_of_100_000_messages_streams() {
    let (profile, grouping) = (Profile::builtin("icechat").unwrap(), grouping(10 << 20, false));
    let room = || Room { next: 0, piece: Vec::new() };
    let start = std::time::Instant::now();
    let survey = survey(&profile, LIMITS, Hold::default(), &grouping, &[], room()).unwrap();
    println!("survey {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let (mut parts, mut messages, mut bytes) = (0, 0, 0);
    let mut sink = |step| -> Result<(), Infallible> {
        let Step::Transcript(transcript) = step else { panic!("rejected") };
        parts += 1;
        assert_eq!(transcript.part, parts);
        messages += transcript.lines.len();
        let item = Item::Transcript(transcript);
        let eml = render(&item, Identity { id: ItemId([1; 16]), follows: None }, &new_york());
        assert!(eml.bytes.len() <= 10 << 20);
        bytes += eml.bytes.len();
        Ok(())
    };
    items(&profile, LIMITS, &survey, &grouping, Turn::ALL, room(), &mut sink).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{messages} messages in {parts} parts of {bytes} bytes in {:?}; {peak}", start.elapsed());
    assert_eq!(messages, 100_000);
    let kibibytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kibibytes < 96 * 1024, "{peak}");
}

fn rendered(step: Step, shape: &Shape) -> Option<(String, Vec<u8>)> {
    let item = match step {
        Step::Item { item, .. } => Item::Chat(item),
        Step::Transcript(transcript) => Item::Transcript(transcript),
        Step::Rejected { .. } => return None,
    };
    let name = match &item {
        Item::Chat(item) => format!("{}-{}", item.record.kind.as_str(), item.record.line),
        Item::Transcript(one) => format!("{}-{}-{}", one.room.id.as_deref().unwrap_or("room"), one.day, one.part),
    };
    let id = Sha256::of(name.as_bytes()).into();
    Some((name, render(&item, Identity { id, follows: None }, shape).bytes))
}

/// The examples of both built-in profiles, by both groupings, as golden mails.
#[test]
fn the_examples_of_both_profiles_in_both_groupings() {
    let icechat = include_str!("../fixtures/samples/icechat.xml");
    let bloomberg = include_str!("../fixtures/profiles/bloomberg-ib/f848135.ib19.261119.xml");
    let shape = new_york();
    let mut emls = Vec::new();
    for (profile, xml) in [("icechat", icechat), ("bloomberg-ib", bloomberg)] {
        let built_in = Profile::builtin(profile).unwrap();
        let messages = Grouping { by_day: None, events: true };
        for (word, grouping) in [("message", messages), ("conversation", grouping(10 << 20, false))] {
            let survey = survey(&built_in, LIMITS, Hold::default(), &grouping, &[], xml.as_bytes()).unwrap();
            let mut sink = |step| -> Result<(), Infallible> {
                emls.extend(rendered(step, &shape).map(|(name, eml)| (format!("{profile}-{word}-{name}"), eml)));
                Ok(())
            };
            items(&built_in, LIMITS, &survey, &grouping, Turn::ALL, xml.as_bytes(), &mut sink).unwrap();
        }
    }
    super::compare_with_files("examples", &emls);
    let (_, bytes): (Vec<_>, Vec<_>) = emls.into_iter().unzip();
    let seen: Vec<_> = bytes.iter().map(|eml| by_mail_parser(eml)).collect();
    assert_eq!(by_python(&bytes), seen);
}
