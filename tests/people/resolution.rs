//! Who gets what: mapping, e-mail, list, externals and presence, through the whole program; and for random conversations
//! the placements of a slow, plain reference that is written from contract 5 and 6 and shares no code.

use crate::support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use icechatd::domain::Domain;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runner, TestRunner};
use serde_json::Value;
use support::archive::{Archive, cases};
use support::firm::{Firm, Settings, body, export, header, staged};

const MAPPING: &str = "ImId,Mailbox\namy1,amy@contoso.com\nleft1,gone@elsewhere.example\next1,external\n";

/// Each message's id, its sender's ImId, e-mail and company, and the mailbox that it goes to.
const SENDERS: &[(&str, &str, &str, &str, Option<&str>)] = &[
    ("mapping-first", "amy1", "joe@contoso.com", "", Some("amy@contoso.com")),
    ("case-and-space", " AMY1 ", "", "", Some("amy@contoso.com")),
    ("e-mail", "joe2", "Joe@Contoso.COM", "", Some("joe@contoso.com")),
    ("e-mail-alone", "", "joe@contoso.com", "", Some("joe@contoso.com")),
    ("invalid-target", "left1", "wei@contoso.com", "", Some("wei@contoso.com")),
    ("external-with-ours", "ext1", "dora@contoso.com", "", Some("dora@contoso.com")),
    ("foreign", "nils9", "nils@northern.example", "", None),
    ("subdomain", "sub1", "amy@sub.contoso.com", "", None),
    ("other-company", "otto1", "", "Northern LLP", None),
    ("nobody", "ghost1", "", "", None),
    ("malformed", "bad1", "amy adams@contoso.com", "", None),
    ("our-company", "hired1", "new@northern.example", "Contoso Ltd", None),
];

fn senders() -> String {
    let mut records = String::new();
    for (n, (id, im_id, email, company, _)) in SENDERS.iter().enumerate() {
        let user = format!("<User><ImId>{im_id}</ImId><CompanyName>{company}</CompanyName></User>");
        let time = format!("<DateTimeUTC>2026-11-19T13:00:{n:02}Z</DateTimeUTC>");
        write!(
            records,
            "<ParticipantEntered>{user}{time}</ParticipantEntered><Message><MessageID>{id}</MessageID><ImId>{im_id}</ImId>\
             <SenderEmail>{email}</SenderEmail><Recipient><ImId>ext9</ImId></Recipient>{time}<Content>hi</Content></Message>"
        )
        .unwrap();
    }
    export(&records)
}

fn settings(mapping: &str, mailboxes: &str) -> Settings {
    let mailboxes = format!("domains = [\"contoso.com\"]\ncompanies = [\"contoso ltd\"]\n{mailboxes}");
    Settings { mapping: mapping.to_owned(), mailboxes, ..Settings::default() }
}

fn placed(firm: &Firm) -> BTreeMap<String, String> {
    let one = |(id, boxes): (String, BTreeSet<String>)| (id, boxes.into_iter().collect::<Vec<_>>().join(" "));
    firm.placements().into_iter().map(one).collect()
}

fn expected(keep: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let found = SENDERS.iter().filter_map(|(id, .., mailbox)| Some(((*id).to_owned(), mailbox.as_ref()?.to_string())));
    found.filter(|(id, _)| keep(id)).collect()
}

fn unresolved(report: &Value) -> BTreeSet<String> {
    let word = |person: &Value| person["im_id"].as_str().or(person["email"].as_str()).unwrap_or_default().to_owned();
    report["unresolved"].as_array().unwrap().iter().map(word).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn mapping_first_then_the_e_mail_then_nobody() {
    let firm = Firm::with(&settings("", ""));
    firm.map("desk.csv", &format!("{MAPPING}ext9,EXTERNAL\n"));
    firm.deliver_export("day.pgp", &senders());
    let report = firm.ingest(3);
    assert_eq!(placed(&firm), expected(|_| true));
    assert_eq!(report["items"]["held"], 6);
    assert_eq!(unresolved(&report), set(&["ghost1", "bad1", "hired1"]));
    let csv = firm.run(&["mapping", "unresolved"]).expect(0).out;
    assert!(["ghost1", "bad1", "hired1"].iter().all(|who| csv.contains(who)), "{csv}");
    assert!(!csv.contains("nils9") && !csv.contains("otto1"), "{csv}");
    firm.run(&["verify"]).expect(0);
}

#[test]
fn without_automatic_only_the_mapping_counts() {
    let firm = Firm::with(&settings("automatic = false\n", ""));
    firm.map("desk.csv", &format!("{MAPPING}ext9,external\n"));
    firm.deliver_export("day.pgp", &senders());
    let report = firm.ingest(3);
    assert_eq!(placed(&firm), expected(|id| ["mapping-first", "case-and-space"].contains(&id)));
    let missing = ["joe2", "joe@contoso.com", "left1", "ghost1", "bad1", "hired1"];
    assert_eq!(unresolved(&report), set(&missing));
}

#[test]
fn with_a_list_an_alias_goes_to_its_primary_address_and_nobody_else_is_valid() {
    let firm = Firm::with(&settings("", "list = \"mailboxes.csv\"\n"));
    let list = "PrimarySmtpAddress,UserPrincipalName,EmailAddresses\n\
                Amy.Adams@contoso.com,amy@contoso.com,SMTP:Amy.Adams@contoso.com smtp:aa@contoso.com\n\
                joe@other.example,j@contoso.com,smtp:joe@contoso.com;SIP:x@contoso.com\n";
    fs::write(firm.path("mailboxes.csv"), list).unwrap();
    firm.map("desk.csv", &format!("{MAPPING}ext9,external\n"));
    firm.deliver_export("day.pgp", &senders());
    let report = firm.ingest(3);
    let amy = "amy.adams@contoso.com";
    let ours = [
        ("mapping-first", amy),
        ("case-and-space", amy),
        ("e-mail", "joe@other.example"),
        ("e-mail-alone", "joe@other.example"),
    ];
    assert_eq!(placed(&firm), ours.map(|(id, mailbox)| (id.to_owned(), mailbox.to_owned())).into());
    assert_eq!(unresolved(&report), set(&["left1", "ghost1", "bad1", "hired1"]));
}

/// An ImId that was given to someone else: the item's day in UTC decides whose it was, in a replay too.
#[test]
fn a_reassigned_im_id_hands_nothing_on() {
    let firm = Firm::new();
    let message = |id: &str, email: &str, time: &str| {
        format!(
            "<Message><MessageID>{id}</MessageID><ImId>Desk1</ImId><SenderEmail>{email}</SenderEmail>\
             <Recipient><ImId>ext9</ImId></Recipient><DateTimeUTC>{time}</DateTimeUTC><Content>hi</Content></Message>"
        )
    };
    // A conversation for each: within one, the first e-mail stands for what others leave out.
    let records: Vec<_> = [
        message("amy's last", "", "2026-04-01T01:30:00+02:00"),
        message("nobody's", "", "2026-04-01T00:00:00Z"),
        message("by e-mail", "wei@contoso.com", "2026-04-14T12:00:00Z"),
        message("joe's first", "wei@contoso.com", "2026-04-15T00:00:00Z"),
        message("outside", "", "2026-06-01T00:00:00Z"),
    ]
    .into();
    let dated = |more: &str| {
        format!(
            "ImId;Mailbox;ValidFrom;ValidTo\r\nDESK1;amy@contoso.com;;2026-03-31\r\n\
             desk1;joe@contoso.com;2026-04-15;2026-05-31\r\next9;external;;\r\n{more};;;\r\n"
        )
    };
    firm.map("desk.csv", &dated(""));
    firm.deliver_export("day.pgp", &export(&records.join("</Conversation><Conversation><RoomID>R2</RoomID>")));
    let report = firm.ingest(3);
    let found = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(id, who)| ((*id).to_owned(), format!("{who}@contoso.com")));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let first = [("amy's last", "amy"), ("by e-mail", "wei"), ("joe's first", "joe")];
    assert_eq!(placed(&firm), found(&first));
    assert_eq!((&report["items"]["held"], unresolved(&report)), (&2.into(), set(&["Desk1"])));

    // What overlaps is refused, and names both rows; the last good set stays.
    firm.map("desk.csv", &dated("desk1;wei@contoso.com;2026-05-31;\r\n"));
    let said = firm.run(&["mapping", "check", firm.path("mapping/desk.csv").to_str().unwrap()]).expect(1);
    assert!(
        said.out.contains("desk.csv:5: column 1 (ImId)") && said.out.contains("desk.csv:3 for some of the same days")
    );
    assert!(firm.run(&["replay"]).expect(3).err.contains("desk.csv:5"));

    // A period between the held items moves none of them; one that has one places that one alone.
    firm.map("desk.csv", &dated("desk1;wei@contoso.com;2026-04-05;2026-04-14\r\n"));
    firm.replay(3);
    assert_eq!(placed(&firm), found(&first));
    firm.map("desk.csv", &dated("desk1;dora@contoso.com;2026-04-01;2026-04-01\r\ndesk1;external;2026-06-01;\r\n"));
    let report = firm.replay(3);
    assert_eq!(placed(&firm), found(&[&first[..], &[("nobody's", "dora")]].concat()));
    assert_eq!(
        (&report["items"]["held"], unresolved(&report)),
        (&1.into(), set(&[])),
        "the last one is nobody of ours"
    );
    firm.run(&["verify"]).expect(0);
}

/// Without recipients, those who are present.
#[test]
fn who_is_present_decides_where_no_recipient_is_listed() {
    let firm = Firm::new();
    let event = |kind: &str, who: &str, time: &str| {
        format!(
            "<Participant{kind}><User><ImId>{who}</ImId><EmailAddress>{who}@contoso.com</EmailAddress></User>\
             <DateTimeUTC>2026-11-19T13:{time}Z</DateTimeUTC></Participant{kind}>"
        )
    };
    let message = |id: &str, who: &str, time: &str, to: &str| {
        format!(
            "<Message><MessageID>{id}</MessageID><ImId>{who}</ImId>{to}<DateTimeUTC>2026-11-19T13:{time}Z</DateTimeUTC>\
             <Content>hi</Content></Message>"
        )
    };
    let records = [
        event("Entered", "amy", "01:00"),
        message("alone", "amy", "01:30", ""),
        message("from-the-start", "amy", "02:00", ""),
        event("Left", "wei", "03:00"),
        message("gone", "amy", "03:00", ""),
        event("Entered", "joe", "04:00.500"),
        message("not-yet", "amy", "04:00.400", ""),
        message("just-in", "amy", "04:00.500", ""),
        event("Left", "amy", "05:00"),
        event("Entered", "amy", "05:00"),
        message("same-second", "joe", "05:00", ""),
        message("listed", "joe", "05:00", "<RecipientEmail>wei@contoso.com</RecipientEmail>"),
    ];
    firm.deliver_export("day.pgp", &export(&records.concat()));
    firm.ingest(0);
    let placements = firm.placements();
    let of = |id: &str| placements[id].iter().map(|mailbox| &mailbox[..3]).collect::<Vec<_>>().join(" ");
    assert_eq!(of("alone"), "amy wei");
    assert_eq!(of("from-the-start"), "amy wei");
    assert_eq!(of("gone"), "amy");
    assert_eq!(of("not-yet"), "amy");
    assert_eq!(of("just-in"), "amy joe");
    assert_eq!(of("same-second"), "amy joe");
    assert_eq!(of("listed"), "joe wei");
}

#[test]
fn a_bad_mapping_leaves_the_last_good_one_in_force() {
    let firm = Firm::new();
    firm.map("a.csv", "ImId,Mailbox\namy1,amy@contoso.com\n");
    firm.map("b.csv", "ImId,Mailbox\njoe2,joe@contoso.com\nwei3,no address\n");
    firm.deliver_export("1.pgp", &senders());
    let said = firm.run(&["ingest"]).expect(1);
    let lines: Vec<_> = said.err.lines().filter(|line| line.starts_with("icechatd:")).collect();
    println!("{lines:?}");
    assert!(lines.len() == 1 && lines[0].contains("b.csv:3") && lines[0].contains("Mailbox"), "{}", said.err);
    assert!(firm.staged().is_empty());

    firm.map("b.csv", "ImId,Mailbox\njoe2,wei@contoso.com\n");
    firm.ingest(3);
    let good = placed(&firm);
    assert_eq!((good["mapping-first"].as_str(), good["e-mail"].as_str()), ("amy@contoso.com", "wei@contoso.com"));
    // A contradiction, a cut file, a folder that is gone: the warning says so, and nothing changes.
    for (n, bad) in ["ImId,Mailbox\namy1,other@contoso.com\n", "ImId,Mailbox\njoe2", "ImId;Box\n"].iter().enumerate() {
        firm.map("b.csv", bad);
        let said = firm.run(&["ingest"]).expect(3);
        println!("{}", said.err);
        assert!(said.err.contains("b.csv:") && said.err.contains("last good one stays in force"), "{}", said.err);
        firm.deliver_export(&format!("after-{n}.pgp"), &senders().replace("<MessageID>", &format!("<MessageID>{n}-")));
        let said = firm.run(&["ingest"]).expect(3);
        assert!(said.err.contains("WARN"), "{}", said.err);
        let placed = placed(&firm);
        assert_eq!(placed.get(&format!("{n}-e-mail")).map(String::as_str), Some("wei@contoso.com"), "{}", said.err);
    }
    fs::rename(firm.path("mapping"), firm.path("elsewhere")).unwrap();
    firm.deliver_export("9.pgp", &senders().replace("<MessageID>", "<MessageID>9-"));
    let said = firm.run(&["ingest"]).expect(3);
    assert!(said.err.contains("mapping.directory cannot be read"), "{}", said.err);
    assert_eq!(placed(&firm)["9-e-mail"], "wei@contoso.com");
}

#[test]
fn replay_since_takes_what_was_received_on_or_after_the_day() {
    let firm = Firm::new();
    firm.deliver_export("day.pgp", &senders());
    firm.ingest(3);
    let before = firm.staged();
    firm.map("new.csv", "ImId,Mailbox\nghost1,amy@contoso.com\n");
    let day = |days: i64| {
        let date = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        date.saturating_add(jiff::Span::new().days(days)).to_string()
    };
    let replay = |since: &str| firm.run(&["replay", "--json", "--since", since]).expect(3).json();
    let report = replay(&day(1));
    assert_eq!((report["items"]["available"].as_u64(), firm.staged() == before), (Some(0), true));
    let report = replay(&day(-1));
    assert_eq!(report["items"]["staged"], 1);
    assert_eq!(placed(&firm)["nobody"], "amy@contoso.com");
    firm.run(&["replay", "--since", "yesterday"]).expect(2);
}

// The property: what may stand in an export and in the settings …

const EMAILS: [&str; 6] = [
    "amy@contoso.com",
    "Joe@Contoso.com",
    "wei@eu.contoso.com",
    "x@northern.example",
    "bad one@contoso.com",
    "alias@contoso.com",
];
const COMPANIES: [&str; 2] = ["Contoso Ltd", "Northern LLP"];

/// Someone at one place of the export: by ImId, e-mail or both.
#[derive(Debug, Clone, PartialEq)]
struct Mention {
    who: Option<usize>,
    capital: bool,
    email: Option<usize>,
    company: Option<usize>,
}

#[derive(Debug, Clone)]
enum Rec {
    Presence { entered: bool, person: Mention, time: i64 },
    Message { id: Option<u8>, sender: Mention, to: Vec<Mention>, time: i64, content: Option<u8>, offset: bool },
}

#[derive(Debug, Clone)]
struct Room {
    id: u8,
    records: Vec<Rec>,
}

#[derive(Debug, Clone)]
struct World {
    rooms: Vec<Room>,
    /// Of each ImId: nothing, `external`, or a mailbox.
    mapping: Vec<Option<&'static str>>,
    list: bool,
    domains: Vec<&'static str>,
    companies: bool,
    automatic: bool,
}

const LIST: &str = "PrimarySmtpAddress,EmailAddresses\namy@contoso.com,smtp:alias@contoso.com\nx@northern.example,\n";

fn mention(with_company: bool) -> impl Strategy<Value = Mention> {
    let who = prop::option::weighted(0.85, 0..5_usize);
    let company = prop::option::weighted(0.4, 0..COMPANIES.len());
    let company = company.prop_map(move |company| company.filter(|_| with_company));
    let email = prop::option::weighted(0.4, 0..EMAILS.len());
    (who, any::<bool>(), email, company).prop_map(|(who, capital, email, company)| match (who, email) {
        (None, None) => Mention { who: Some(0), capital, email, company },
        // A message names no company, so one given for an e-mail alone would depend on the place that is asked.
        (None, _) => Mention { who, capital, email, company: None },
        _ => Mention { who, capital, email, company },
    })
}

fn record() -> impl Strategy<Value = Rec> {
    let presence = (any::<bool>(), mention(true), 0..10_i64);
    let to = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(mention(false), 1..4)];
    let content = prop::option::weighted(0.9, 0..2_u8);
    let message = (prop::option::weighted(0.6, 0..3_u8), mention(false), to, 0..10_i64, content, any::<bool>());
    prop_oneof![
        presence.prop_map(|(entered, person, time)| Rec::Presence { entered, person, time }),
        message.prop_map(|(id, sender, to, time, content, offset)| Rec::Message {
            id,
            sender,
            to,
            time,
            content,
            offset
        }),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let room = (0..3_u8, prop::collection::vec(record(), 0..12)).prop_map(|(id, records)| Room { id, records });
    let target = prop_oneof![
        3 => Just(None),
        1 => Just(Some("external")),
        1 => Just(Some("mapped@contoso.com")),
        1 => Just(Some("Amy@contoso.com")),
        1 => Just(Some("alias@contoso.com")),
        1 => Just(Some("gone@elsewhere.example")),
    ];
    let domains = prop_oneof![
        Just(vec!["contoso.com"]),
        Just(vec!["eu.contoso.com", "contoso.com"]),
        Just(vec!["northern.example"]),
    ];
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8));
    (prop::collection::vec(room, 1..4), prop::collection::vec(target, 5), domains, flags).prop_map(
        |(rooms, mapping, domains, (list, companies, automatic))| World {
            rooms,
            mapping,
            list,
            domains,
            companies,
            automatic,
        },
    )
}

// … how it is written …

fn instant(half_seconds: i64, offset: bool) -> String {
    let (hour, zone) = if offset { (14, "+01:00") } else { (13, "Z") };
    format!("2026-11-19T{hour}:00:{:02}.{}{zone}", half_seconds / 2, half_seconds % 2 * 5)
}

fn im_id(mention: &Mention) -> String {
    let letter = if mention.capital { 'P' } else { 'p' };
    mention.who.map_or(String::new(), |who| format!("{letter}{who}"))
}

fn email(mention: &Mention) -> &'static str {
    mention.email.map_or("", |email| EMAILS[email])
}

fn xml(world: &World) -> String {
    let mut text = "<IceChatExport>".to_owned();
    for room in &world.rooms {
        write!(text, "<Conversation><RoomID>room {}</RoomID>", room.id).unwrap();
        room.records.iter().for_each(|record| write_record(&mut text, record));
        text += "</Conversation>";
    }
    text + "</IceChatExport>"
}

fn write_record(text: &mut String, record: &Rec) {
    match record {
        Rec::Presence { entered, person, time } => {
            let kind = if *entered { "ParticipantEntered" } else { "ParticipantLeft" };
            let company = person.company.map_or("", |company| COMPANIES[company]);
            write!(
                text,
                "<{kind}><User><ImId>{}</ImId><CompanyName>{company}</CompanyName><EmailAddress>{}</EmailAddress></User>\
                 <DateTimeUTC>{}</DateTimeUTC></{kind}>",
                im_id(person),
                email(person),
                instant(*time, false)
            )
            .unwrap();
        }
        Rec::Message { id, sender, to, time, content, offset } => {
            let id = id.map_or(String::new(), |id| format!("m{id}"));
            let content = content.map_or(String::new(), |n| format!("<Content>said {n}</Content>"));
            write!(text, "<Message><MessageID>{id}</MessageID>{content}<ImId>{}</ImId>", im_id(sender)).unwrap();
            for to in to {
                let (im_id, email) = (im_id(to), email(to));
                write!(text, "<Recipient><RecipientEmail>{email}</RecipientEmail><ImId>{im_id}</ImId></Recipient>")
                    .unwrap();
            }
            let (email, time) = (email(sender), instant(*time, *offset));
            write!(text, "<DateTimeUTC>{time}</DateTimeUTC><SenderEmail>{email}</SenderEmail></Message>").unwrap();
        }
    }
}

// … and what contract 5, 6 and 7 say of it, as slowly and plainly as they do.

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    im_id: Option<usize>,
    email: Option<String>,
    company: Option<usize>,
}

/// By what people are told apart: the ImId, and who has none, by the e-mail.
fn identity(mention: &Mention) -> Result<usize, String> {
    mention.who.ok_or_else(|| email(mention).to_lowercase())
}

fn named_in(record: &Rec) -> Vec<&Mention> {
    match record {
        Rec::Presence { person, .. } => vec![person],
        Rec::Message { sender, to, .. } => std::iter::once(sender).chain(to).collect(),
    }
}

fn mentions(room: &Room) -> Vec<&Mention> {
    room.records.iter().flat_map(named_in).collect()
}

fn complete(room: &Room, mention: &Mention) -> Who {
    let all = mentions(room);
    let same = |other: &&&Mention| mention.who.is_some() && other.who == mention.who;
    let first_email = all.iter().filter(same).find_map(|other| other.email);
    let first_company = all.iter().filter(same).find_map(|other| other.company);
    Who {
        im_id: mention.who,
        email: mention.email.or(first_email).map(|email| EMAILS[email].to_lowercase()),
        company: mention.company.or(first_company),
    }
}

fn is_present(room: &Room, who: &Mention, at: i64) -> bool {
    let is_it = |mention: &Mention| identity(mention) == identity(who);
    let events: Vec<(i64, bool)> = room
        .records
        .iter()
        .filter_map(|record| match record {
            Rec::Presence { entered, person, time } if is_it(person) => Some((*time, *entered)),
            _ => None,
        })
        .collect();
    let mut last: Option<(i64, bool)> = None;
    for event in events.iter().filter(|event| event.0 <= at) {
        if last.is_none_or(|last| event.0 >= last.0) {
            last = Some(*event);
        }
    }
    if let Some((_, entered)) = last {
        return entered;
    }
    let speaks = room.records.iter().any(|record| matches!(record, Rec::Message { sender, .. } if is_it(sender)));
    let ever_entered = events.iter().any(|(_, entered)| *entered);
    let mut earliest: Option<(i64, bool)> = None;
    for event in &events {
        if earliest.is_none_or(|earliest| event.0 < earliest.0) {
            earliest = Some(*event);
        }
    }
    (speaks && !ever_entered) || earliest.is_some_and(|(_, entered)| !entered)
}

fn participants(room: &Room, sender: &Mention, to: &[Mention], at: i64) -> Vec<Who> {
    let mut all = vec![complete(room, sender)];
    if !to.is_empty() {
        all.extend(to.iter().map(|to| complete(room, to)));
        return all;
    }
    let mut seen = vec![identity(sender)];
    for mention in mentions(room) {
        if !seen.contains(&identity(mention)) {
            seen.push(identity(mention));
            if is_present(room, mention, at) {
                // Of someone who is merely there, nothing but what the conversation says first.
                let bare = Mention { email: mention.email.filter(|_| mention.who.is_none()), ..mention.clone() };
                all.push(complete(room, &Mention { company: None, ..bare }));
            }
        }
    }
    all
}

enum Fate {
    Mailbox(String),
    External,
    Unresolved,
}

fn valid(world: &World, address: &str) -> Option<String> {
    let address = address.to_lowercase();
    if address.contains(' ') {
        return None;
    }
    if world.list {
        return match address.as_str() {
            "amy@contoso.com" | "alias@contoso.com" => Some("amy@contoso.com".to_owned()),
            "x@northern.example" => Some(address),
            _ => None,
        };
    }
    let domain = address.split('@').next_back().unwrap();
    world.domains.contains(&domain).then_some(address)
}

fn fate(world: &World, who: &Who) -> Fate {
    let target = who.im_id.and_then(|im_id| world.mapping[im_id]);
    let mapped = target.filter(|target| *target != "external").and_then(|target| valid(world, target));
    let by_email = || who.email.as_ref().filter(|_| world.automatic).and_then(|email| valid(world, email));
    if let Some(mailbox) = mapped.or_else(by_email) {
        return Fate::Mailbox(mailbox);
    }
    let ours = world.companies && who.company == Some(0);
    let outside = |email: &String| !world.domains.contains(&email.split('@').next_back().unwrap());
    let other_company = world.companies && who.company == Some(1);
    let external = match (target, &who.email) {
        (Some("external"), _) => true,
        _ if ours => false,
        (None, Some(email)) => outside(email),
        (Some(_), Some(_)) => false,
        (_, None) => other_company,
    };
    if external { Fate::External } else { Fate::Unresolved }
}

/// What one item is known by: room, message id, sender, time, content, and the number among equals without an id.
type Key = (u8, Option<u8>, Result<usize, String>, i64, u8, usize);

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    available: u64,
    rejected: u64,
    items: u64,
    held: u64,
    /// Of each item that was placed: room, message id, content and mailboxes.
    placed: Vec<(String, String, String, BTreeSet<String>)>,
    unresolved: BTreeSet<(String, String)>,
}

fn reference(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    let mut items: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    let mut equals: BTreeMap<Key, usize> = BTreeMap::new();
    for room in &world.rooms {
        for record in &room.records {
            let Rec::Message { id, sender, to, time, content, .. } = record else { continue };
            outcome.available += 1;
            let Some(content) = content else {
                outcome.rejected += 1;
                continue;
            };
            let mut key = (room.id, *id, identity(sender), *time, *content, 0);
            if id.is_none() {
                let number = equals.entry(key.clone()).or_default();
                key.5 = *number;
                *number += 1;
            }
            let mailboxes = items.entry(key).or_default();
            for who in participants(room, sender, to, *time) {
                match fate(world, &who) {
                    Fate::Mailbox(mailbox) => {
                        mailboxes.insert(mailbox);
                    }
                    Fate::External => {}
                    Fate::Unresolved => {
                        let im_id = who.im_id.map_or(String::new(), |im_id| format!("p{im_id}"));
                        outcome.unresolved.insert((im_id, who.email.unwrap_or_default()));
                    }
                }
            }
        }
    }
    outcome.items = items.len() as u64;
    for ((room, id, _, _, content, _), mailboxes) in items {
        if mailboxes.is_empty() {
            outcome.held += 1;
        } else {
            let id = id.map_or(String::new(), |id| format!("m{id}"));
            outcome.placed.push((format!("room {room}"), id, format!("said {content}"), mailboxes));
        }
    }
    outcome.placed.sort();
    outcome
}

fn by_the_program(archive: &mut Archive, world: &World) -> Outcome {
    archive.clear();
    let rows = world.mapping.iter().enumerate().filter_map(|(n, to)| Some(format!("p{n},{}\n", (*to)?)));
    archive.map(&format!("ImId,Mailbox\n{}", rows.collect::<String>()));
    let mailboxes = &mut archive.config.mailboxes;
    mailboxes.domains = world.domains.iter().map(|domain| Domain::parse(domain).unwrap()).collect();
    mailboxes.companies = if world.companies { vec!["contoso ltd".to_owned()] } else { Vec::new() };
    let list = archive.config.file.with_file_name("mailboxes.csv");
    fs::write(&list, LIST).unwrap();
    archive.config.mailboxes.list = world.list.then_some(list);
    archive.config.mapping.automatic = world.automatic;
    let finished = archive.ingest(&[xml(world)]);
    let report = icechatd::report::to_json(&finished.report);
    let count = |key: &str| report["items"][key].as_u64().unwrap();
    let mut items: BTreeMap<String, (String, String, String, BTreeSet<String>)> = BTreeMap::new();
    for ((mailbox, name), eml) in staged(&archive.staging()) {
        let of = |field: &str| header(&eml, field).unwrap_or_default();
        let said = body(&eml).lines().next().unwrap().to_owned();
        let item = items.entry(name);
        let item =
            item.or_insert_with(|| (of("X-ICE-Chat-Room-ID"), of("X-ICE-Chat-Message-ID"), said, BTreeSet::new()));
        item.3.insert(mailbox);
    }
    let mut placed: Vec<_> = items.into_values().collect();
    placed.sort();
    let folded = |person: &Value, key: &str| person[key].as_str().unwrap_or_default().to_lowercase();
    Outcome {
        available: count("available"),
        rejected: count("rejected"),
        items: count("staged") + count("held"),
        held: count("held"),
        placed,
        unresolved: report["unresolved"]
            .as_array()
            .unwrap()
            .iter()
            .map(|person| (folded(person, "im_id"), folded(person, "email")))
            .collect(),
    }
}

/// Any conversations under any rules: the program places exactly what the plain reference does.
#[test]
fn any_conversations_are_placed_as_the_reference_places_them() {
    let archive = RefCell::new(Archive::new());
    let runner = Runner { cases: cases(60), max_shrink_iters: 2000, failure_persistence: None, ..Runner::default() };
    TestRunner::new(runner)
        .run(&world(), |world| {
            let found = by_the_program(&mut archive.borrow_mut(), &world);
            prop_assert_eq!(found, reference(&world), "{}", xml(&world));
            Ok(())
        })
        .unwrap();
}
