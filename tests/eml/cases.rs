//! Items as the reader would hand them over, short to write.

use std::sync::Arc;

use icechatd::digest::{ItemId, Sha256};
use icechatd::eml::Shape;
use icechatd::export::{
    Body, ChatItem, Email, FileBody, FileData, ImId, ItemKind, ItemRecord, Participant, Person, Role, Room,
};
use jiff::tz::TimeZone;

/// A plain shape.
pub(crate) fn shape(format: u32, footer: bool) -> Shape {
    Shape { format, footer, zone: TimeZone::UTC, subject: None, headers: Vec::new() }
}

/// A person; an empty text is an absent one.
pub(crate) fn person(im_id: &str, email: &str, name: &str, company: &str) -> Person {
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    Person { im_id: ImId::new(im_id), email: Email::new(email), name: given(name), company: given(company) }
}

pub(crate) fn room(id: Option<&str>, name: Option<&str>) -> Arc<Room> {
    Arc::new(Room { id: id.map(Into::into), name: name.map(Into::into) })
}

/// A message in a room with an id and a name, its further participants recipients.
pub(crate) fn item(sender: Person, recipients: Vec<Person>, content: &str) -> ChatItem {
    let participant = |role, person: &Person| Participant { role, person: Arc::new(person.clone()) };
    let mut participants = vec![participant(Role::Sender, &sender)];
    participants.extend(recipients.iter().map(|recipient| participant(Role::Recipient, recipient)));
    let record = ItemRecord {
        kind: ItemKind::Message,
        line: 1,
        message_id: Some("m-1".into()),
        sender,
        recipients,
        time: "2026-11-19T13:01:00Z".parse().expect("a time"),
        body: Body::Text(content.into()),
        details: None,
    };
    ChatItem { record, room: room(Some("ROOM-1001"), Some("Gasoil & Jet")), participants }
}

fn amy() -> Person {
    person("adams17", "amy@contoso.com", "Amy Adams", "Contoso")
}

fn nils() -> Person {
    person("broker9", "nils@northern.example", "Nils Berg", "Northern Brokers")
}

pub(crate) fn message(content: &str) -> ChatItem {
    item(amy(), vec![nils()], content)
}

pub(crate) fn attachment(name: &str, content_type: &str, data: &[u8]) -> ChatItem {
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    let mut item = message("");
    item.record.kind = ItemKind::Attachment;
    item.record.body = Body::File(FileBody {
        name: given(name),
        content_type: given(content_type),
        reference: None,
        data: FileData::Inside(data.to_vec()),
    });
    item
}

/// Many recipients, some without a name, some with a foreign one.
pub(crate) fn crowd(size: usize) -> ChatItem {
    let member = |n| match n % 3 {
        0 => person(&format!("member{n}"), &format!("member{n}@contoso.com"), &format!("Member {n}"), "Contoso"),
        1 => person(&format!("member{n}"), "", "", ""),
        _ => person(&format!("member {n}"), "", &format!("Jürgen Ångström {n}"), "Größenwahn & Söhne"),
    };
    item(amy(), (0..size).map(member).collect(), "hello all")
}

/// Any id will do, as long as it is the item's own and stays what it is when the model gets a field.
pub(crate) fn id_of(item: &ChatItem) -> ItemId {
    let content = match &item.record.body {
        Body::Text(content) => content.as_bytes(),
        Body::File(FileBody { data: FileData::Inside(data) | FileData::Found(data), .. }) => data,
        Body::File(file) => file.reference.as_deref().unwrap_or_default().as_bytes(),
    };
    Sha256::of(&[content, item.record.time.to_string().as_bytes()].concat()).into()
}

fn with_present(mut item: ChatItem) -> ChatItem {
    for participant in &mut item.participants[1..] {
        participant.role = Role::Present;
    }
    item
}

fn at(mut item: ChatItem, message_id: &str, time: &str) -> ChatItem {
    item.record.message_id = Some(message_id.into());
    item.record.time = time.parse().expect("a time");
    item
}

fn inside(mut item: ChatItem, room: Arc<Room>) -> ChatItem {
    item.room = room;
    item
}

/// The five messages of the contract's example export.
fn samples() -> [(&'static str, ChatItem); 5] {
    let wei = [person("chen_trading", "wei.chen@contoso.com", "", ""), person("CHEN_TRADING", "", "", "")];
    let baker = person("Baker.J", "someone.else@contoso.com", "", "");
    let dora = person("newhire5", "d.diaz@contoso.com", "", "");
    let ghost = person("ghost1", "ghost@contoso.com", "", "");
    let m1 = message("Jan/Feb <roll> 2.25 bid & offered 2.50 – 10 lots");
    let m2 = item(baker, vec![amy(), nils(), dora.clone()], "Done & filled <10>.\nSecond line: Grüße, 価格 ✓");
    let m3 = item(dora, vec![person("", "amy@contoso.com", "", "")], "hello from the new desk");
    let m4 = item(ghost, vec![person("", "nils@northern.example", "", "")], "nobody of ours has a mailbox here");
    let m5 = item(person("nils9", "nils@northern.example", "", ""), wei.into(), "same mailbox twice is one placement");
    [
        ("sample-1", at(m1, "m-1", "2026-11-19T13:01:00Z")),
        ("sample-2", at(with_present(m2), "m-2", "2026-11-19T13:02:05Z")),
        ("sample-3", at(m3, "m-3", "2026-11-19T13:04:00Z")),
        ("sample-4", inside(at(m4, "m-4", "2026-11-19T15:00:00Z"), room(Some("ROOM-1002"), None))),
        ("sample-5", inside(at(m5, "m-5", "2026-11-19T15:00:01Z"), room(Some("ROOM-1002"), None))),
    ]
}

/// Cases that both formats have, and whether with a footer.
pub(crate) fn golden() -> Vec<(&'static str, ChatItem, bool)> {
    let (footer, bare) = (true, false);
    let mut cases: Vec<_> = samples().into_iter().map(|(case, item)| (case, item, footer)).collect();
    let evil = "x\r\nBcc: evil@evil.example\r\n\r\n\"<b@c>\", =?utf-8?Q?d?= \\ \u{202e}e";
    let mut nowhere = inside(item(person("", "not an address", "", ""), vec![], "text"), room(None, None));
    nowhere.record.message_id = None;
    cases.extend([
        ("plain-without-footer", message("hello"), bare),
        ("empty", message(""), footer),
        ("empty-without-footer", message(""), bare),
        ("control-characters", message("bell \u{7}, null \0\n.\nFrom here on"), footer),
        ("nowhere", nowhere, footer),
        ("room-without-name", inside(crowd(5), room(Some("ROOM-2"), None)), footer),
        ("room-with-long-name", inside(message("x"), room(Some("価"), Some(&"Öl ".repeat(100)))), footer),
        (
            "hostile",
            inside(
                item(person(evil, evil, evil, evil), vec![person(evil, "", evil, "")], evil),
                room(Some(evil), Some(evil)),
            ),
            footer,
        ),
        ("attachment", attachment("Größe.csv", "text/csv", b"a;b\n1;2\n"), footer),
        ("attachment-hostile", attachment("../\"x\r\n: y\".exe", "multipart/mixed", b"--=_icechat_"), bare),
        ("crowd-40", crowd(40), footer),
        ("crowd-3000", with_present(crowd(3_000)), footer),
        ("large-1-mb", message(&"a long line without an end ".repeat(40_000)), footer),
    ]);
    cases
}
