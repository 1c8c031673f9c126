//! What changes an id and what does not; and one id written down, since ids are for ever.

use std::sync::Arc;

use super::*;
use crate::export::testing::item;
use crate::export::{ChatItem, ImId, Participant, Role, Room};

fn chat(fields: &str) -> ChatItem {
    let record = item(fields);
    let room = Arc::new(Room { id: Some("R".into()), name: None });
    let participants = vec![Participant { role: Role::Sender, person: Arc::new(record.sender.clone()) }];
    ChatItem { record, room, participants }
}

/// The id of an item rather than of its parts.
fn item_id(item: &ChatItem, ordinal: Option<u32>) -> ItemId {
    super::item_id(&item.record, &item.room, ordinal)
}

fn message_key(item: &ChatItem) -> Option<u64> {
    super::message_key(&item.record, &item.room)
}

fn message(extra: &str) -> ChatItem {
    chat(&format!("<Message><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC><Content>x</Content>{extra}</Message>"))
}

#[test]
fn an_id_once_given_stays() {
    // Checked by hand: each field after its length as eight bytes, big endian.
    let bytes = b"\0\0\0\0\0\0\0\x07message\0\0\0\0\0\0\0\x01R\0\0\0\0\0\0\0\x01m\0\0\0\0\0\0\0\x06imid:a\
                  \0\0\0\0\0\0\0\x141970-01-01T00:00:05Z\0\0\0\0\0\0\0\x01x";
    let expected = ItemId::from(Sha256::of(bytes));
    assert_eq!(item_id(&message("<MessageID>m</MessageID>"), None), expected);
    assert_eq!(
        item_id(&message("<MessageID>m</MessageID>"), Some(3)),
        expected,
        "the ordinal counts without an id only"
    );
    assert_ne!(item_id(&message(""), Some(0)), item_id(&message(""), Some(1)));
    assert_eq!(item_id(&message(""), Some(0)), item_id(&message(""), None));
}

#[test]
fn nothing_else_is_in_it() {
    let plain = item_id(&message(""), None);
    let more = "<SenderEmail>a@x</SenderEmail><Recipient><ImId>b</ImId></Recipient><ImId>A</ImId>";
    assert_eq!(item_id(&message(more), None), plain);
    let renamed = ChatItem { room: Arc::new(Room { id: Some("R".into()), name: Some("N".into()) }), ..message("") };
    assert_eq!(item_id(&renamed, None), plain);
    let mut completed = message("");
    let person = Person { im_id: ImId::new("a"), name: Some("Amy".into()), ..Person::default() };
    completed.participants[0].person = Arc::new(person);
    assert_eq!(item_id(&completed, None), plain);
}

#[test]
fn everything_that_is_in_it_changes_it() {
    let base = "<Message><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC><Content>x</Content></Message>";
    let file =
        "<Attachment><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC><FileName>f</FileName><Data>QQ==</Data></Attachment>";
    let variants = [
        base.to_owned(),
        base.replace('x', "y"),
        base.replace(">5<", ">5.1<"),
        base.replace(">5<", ">5.01<"),
        base.replace("<ImId>a</ImId>", "<ImId>b</ImId>"),
        base.replace("<ImId>a</ImId>", "<SenderEmail>a</SenderEmail>"),
        base.replace("<ImId>", "<MessageID>m</MessageID><ImId>"),
        file.to_owned(),
        file.replace("QQ", "Qg"),
        file.replace(">f<", ">g<"),
        file.replace("<Data>", "<ContentType>f</ContentType><Data>"),
        file.replace("FileName", "ContentType"),
    ];
    let mut ids: Vec<_> = variants.iter().map(|xml| item_id(&chat(xml), None)).collect();
    ids.push(item_id(&ChatItem { room: Arc::new(Room::default()), ..chat(base) }, None));
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(item_id(&chat(&base.replace(">5<", ">1970-01-01T01:00:05.0+01:00<")), None), ids[0]);
}

#[test]
fn the_participants_digest_is_that_of_a_set() {
    let named = |keys: &[&str]| {
        let participants = keys.iter().map(|key| {
            let person = Person { im_id: ImId::new(key), ..Person::default() };
            Participant { role: Role::Recipient, person: Arc::new(person) }
        });
        participants.collect::<Vec<_>>()
    };
    let digest = participants_digest(&named(&["a", "b"]));
    assert_eq!(participants_digest(&named(&["B", "a", "A"])), digest);
    assert_ne!(participants_digest(&named(&["a", "c"])), digest);
    assert_ne!(participants_digest(&named(&["ab"])), digest);
}

#[test]
fn a_message_key_is_of_room_and_message_id() {
    assert_eq!(message_key(&message("")), None);
    let key = message_key(&message("<MessageID>m</MessageID>"));
    assert!(key.is_some());
    let other = ChatItem { room: Arc::new(Room::default()), ..message("<MessageID>m</MessageID>") };
    assert_ne!(message_key(&other), key);
}
