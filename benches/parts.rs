//! What each part of a run costs alone: it says which part made an end-to-end figure worse, and it shows a change within
//! one part that the noise of disk and keys would hide. Nothing here touches a disk.

#![cfg(test)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use icechatd::domain::Domain;
use icechatd::eml::{self, FORMAT_VERSION, Identity, Shape};
use icechatd::export::identity::{item_id, message_key, participants_digest};
use icechatd::export::passes::{self, Grouping, Hold, Step, Survey, Turn};
use icechatd::export::profile::Profile;
use icechatd::export::reader::ReadLimits;
use icechatd::export::{ChatItem, Email, ImId, Item, Person};
use icechatd::resolve::{MailboxList, Mapping, RuleSet, Rules};
use jiff::civil::date;
use jiff::tz::TimeZone;

const LIMITS: ReadLimits = ReadLimits { max_message: 1 << 20, max_attachment: 25 << 20, max_participants: 10_000 };
/// Messages of the export: some two megabytes, more than a processor keeps close and still read in milliseconds.
const MESSAGES: usize = 4000;
/// Messages of a conversation.
const LENGTH: usize = 40;
/// A large firm's mapping.
const MAPPED: usize = 100_000;
/// A large firm's list; two addresses each.
const LISTED: usize = 300_000;

/// An export as it usually is: indented, some people come first, each message lists everybody it went to.
fn export() -> String {
    let rooms = (0..MESSAGES / LENGTH).flat_map(|room| {
        let people = [0, 13, 26, 39].map(|person| format!("trader{}", (room * 7 + person) % 500));
        let head =
            format!("  <Conversation>\n    <RoomID>ROOM-{room}</RoomID>\n    <RoomName>Gasoil &amp; Jet</RoomName>\n");
        let entered = people.each_ref().map(|name| entered(name));
        let messages = (0..LENGTH).map(move |number| message(room, number, &people));
        std::iter::once(head).chain(entered).chain(messages).chain(["  </Conversation>\n".to_owned()])
    });
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<IceChatExport firmCode=\"ACME\" date=\"2026-11-19\">\n";
    std::iter::once(head.to_owned()).chain(rooms).chain(["</IceChatExport>\n".to_owned()]).collect()
}

fn entered(name: &str) -> String {
    format!(
        "    <ParticipantEntered>\n      <User><ImId>{name}</ImId><FirstName>Amy</FirstName><LastName>Adams</LastName>\
         <CompanyName>Contoso</CompanyName><EmailAddress>{name}@contoso.com</EmailAddress></User>\n      \
         <DateTimeUTC>2026-11-19T08:00:05Z</DateTimeUTC>\n    </ParticipantEntered>\n"
    )
}

fn message(room: usize, number: usize, people: &[String]) -> String {
    let (sender, minute) = (&people[number % people.len()], number % 60);
    let to = people.iter().filter(|name| *name != sender).map(|name| {
        format!("      <Recipient><ImId>{name}</ImId><RecipientEmail>{name}@contoso.com</RecipientEmail></Recipient>\n")
    });
    let to: Vec<String> = to.collect();
    format!(
        "    <Message>\n      <MessageID>m-{room}-{number}</MessageID>\n      \
         <ImId>{sender}</ImId><SenderEmail>{sender}@contoso.com</SenderEmail>\n{to}      \
         <DateTimeUTC>2026-11-19T13:{minute:02}:00Z</DateTimeUTC>\n      \
         <Content>Jan/Feb &lt;roll&gt; 2.25 bid, 2.50 offered – {number} lots</Content>\n    </Message>\n",
        to = to.concat()
    )
}

fn survey(profile: &Profile, xml: &str) -> Survey {
    passes::survey(profile, LIMITS, Hold::default(), &Grouping::default(), &[] as &[BTreeSet<u64>], xml.as_bytes())
        .unwrap()
}

/// The second pass, which hands each item to `take`.
fn items(profile: &Profile, survey: &Survey, xml: &str, mut take: impl FnMut(ChatItem)) {
    let mut sink = |step| {
        if let Step::Item { item, .. } = step {
            take(item);
        }
        Ok::<(), Infallible>(())
    };
    passes::items(profile, LIMITS, survey, &Grouping::default(), Turn::ALL, xml.as_bytes(), &mut sink).unwrap();
}

fn mapping() -> String {
    let rows = (0..MAPPED).map(|row| format!("trader{row},mapped{row}@contoso.com,Gasoil\n"));
    std::iter::once("ImId,Mailbox,Desk\n".to_owned()).chain(rows).collect()
}

fn mailboxes() -> String {
    let rows = (0..LISTED).map(|row| {
        let name = if row < MAPPED { "mapped" } else { "first.last" };
        let address = format!("{name}{row}@contoso.com");
        format!("\"Amy Adams {row}\",\"{address}\",\"{address}\",\"SMTP:{address} smtp:a{row}@contoso.com\"\n")
    });
    let header = "\"DisplayName\",\"PrimarySmtpAddress\",\"UserPrincipalName\",\"EmailAddresses\"\n".to_owned();
    std::iter::once(header).chain(rows).collect()
}

fn read_mapping(files: &[(String, Vec<u8>)]) -> Mapping {
    Mapping::parse(files).unwrap().mapping
}

fn person(im_id: &str, email: &str) -> Person {
    Person { im_id: ImId::new(im_id), email: Email::new(email), ..Person::default() }
}

fn parts_of_an_export(criterion: &mut Criterion) {
    let (profile, xml) = (Profile::builtin("icechat").unwrap(), export());
    let surveyed = survey(&profile, &xml);
    let mut group = criterion.benchmark_group("export");
    group.throughput(Throughput::Bytes(xml.len() as u64));
    group.bench_function("survey", |bencher| bencher.iter(|| survey(&profile, black_box(&xml))));
    group.bench_function("items", |bencher| {
        bencher.iter(|| items(&profile, &surveyed, black_box(&xml), |item| drop(black_box(item))));
    });
    group.finish();
}

fn one_item(criterion: &mut Criterion) {
    let (profile, xml) = (Profile::builtin("icechat").unwrap(), export());
    let mut first = None;
    items(&profile, &survey(&profile, &xml), &xml, |item| first = first.take().or(Some(item)));
    let chat = first.unwrap();
    let known_by = |chat: &ChatItem| {
        let id = item_id(&chat.record, &chat.room, None);
        (id, participants_digest(&chat.participants), message_key(&chat.record, &chat.room))
    };
    let identity = Identity { id: known_by(&chat).0, follows: None };
    criterion.bench_function("item/identity", |bencher| bencher.iter(|| known_by(black_box(&chat))));
    let shape = Shape { format: FORMAT_VERSION, footer: true, zone: TimeZone::UTC, subject: None, headers: Vec::new() };
    let item = Item::Chat(chat);
    criterion.bench_function("item/render", |bencher| {
        bencher.iter(|| eml::render(black_box(&item), identity, &shape));
    });
}

fn resolving(criterion: &mut Criterion) {
    let files = [("mapping.csv".to_owned(), mapping().into_bytes())];
    let list = MailboxList::parse("mailboxes.csv", mailboxes().as_bytes()).unwrap().list;
    let rules = Rules(vec![Arc::new(RuleSet {
        mapping: Arc::new(read_mapping(&files)),
        list: Some(Arc::new(list)),
        directory: None,
        domains: Domain::parse("contoso.com").into_iter().collect(),
        companies: vec!["Contoso".to_owned()],
        automatic: true,
    })]);
    let day = date(2026, 11, 19);
    for (name, someone) in [
        ("resolve/by mapping", person("Trader4711", "")),
        ("resolve/by e-mail", person("unknown9", "First.Last222222@contoso.com")),
        ("resolve/external", person("broker9", "nils@northern.example")),
    ] {
        criterion.bench_function(name, |bencher| bencher.iter(|| rules.resolve(black_box(&someone), day)));
    }
}

fn loading(criterion: &mut Criterion) {
    let (files, list) = ([("mapping.csv".to_owned(), mapping().into_bytes())], mailboxes());
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("mapping", |bencher| bencher.iter_with_large_drop(|| read_mapping(black_box(&files))));
    group.bench_function("mailboxes", |bencher| {
        bencher.iter_with_large_drop(|| MailboxList::parse("mailboxes.csv", black_box(list.as_bytes())).unwrap());
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parts_of_an_export(&mut criterion);
    one_item(&mut criterion);
    resolving(&mut criterion);
    loading(&mut criterion);
    criterion.final_summary();
}
