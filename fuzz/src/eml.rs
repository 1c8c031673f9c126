//! Any bytes as an item: what is rendered of it is read back by another parser, and is what contract section 7 says, as
//! `tests/eml/intent.rs` spells it out.

use icechatd::digest::ItemId;
use icechatd::eml::{FORMAT_VERSION, Identity, file_name, render};
use icechatd::export::{Body, ChatItem, FileBody, FileData, Item, ItemKind, Person, Role};
use jiff::Timestamp;

#[path = "../../tests/eml/cases.rs"]
#[expect(dead_code, reason = "the tests of EMLs need more of it")]
mod cases;
#[path = "../../tests/eml/intent.rs"]
mod intent;
#[path = "../../tests/eml/readers.rs"]
#[expect(dead_code, reason = "the tests of EMLs need more of it")]
mod readers;

/// # Panics
/// Where the reader sees something else.
pub fn target(bytes: &[u8]) {
    let mut drawn = Draw(bytes);
    let footer = drawn.byte() & 1 == 1;
    let chat = item(&mut drawn);
    let id: ItemId = cases::id_of(&chat);
    let item = Item::Chat(chat.clone());
    let eml = render(&item, Identity { id, follows: None }, &cases::shape(FORMAT_VERSION, footer));
    assert_eq!(eml.name, file_name(chat.record.time, id));
    intent::check_bytes(&eml.bytes);
    let seen = readers::by_mail_parser(&eml.bytes);
    assert_eq!(seen, intent::intent(&chat, footer, FORMAT_VERSION), "{}", String::from_utf8_lossy(&eml.bytes));
}

/// Takes an item's parts from bytes; of what is missing, nothing.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn optional(&mut self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }
}

fn person(drawn: &mut Draw<'_>) -> Person {
    let [im_id, email, name, company] = std::array::from_fn(|_| drawn.text());
    let person = cases::person(&im_id, &email, &name, &company);
    if person.has_identity() { person } else { cases::person("someone", &email, &name, &company) }
}

fn item(drawn: &mut Draw<'_>) -> ChatItem {
    let sender = person(drawn);
    let people: Vec<_> = (0..drawn.byte() % 8).map(|_| (person(drawn), drawn.byte() & 1 == 1)).collect();
    let mut chat = cases::item(sender, people.iter().map(|(person, _)| person.clone()).collect(), "");
    for (participant, (_, listed)) in chat.participants[1..].iter_mut().zip(&people) {
        participant.role = if *listed { Role::Recipient } else { Role::Present };
    }
    chat.record.message_id = drawn.optional().map(Into::into);
    chat.room = cases::room(drawn.optional().as_deref(), drawn.optional().as_deref());
    let seconds = u32::from_be_bytes(std::array::from_fn(|_| drawn.byte()));
    chat.record.time = Timestamp::from_second(i64::from(seconds)).expect("in range");
    if drawn.byte() & 1 == 1 {
        chat.record.kind = ItemKind::Attachment;
        chat.record.body = Body::File(file(drawn));
    } else {
        // All that is left, so that long texts are within reach.
        chat.record.body = Body::Text(String::from_utf8_lossy(drawn.0).into());
    }
    chat
}

fn file(drawn: &mut Draw<'_>) -> FileBody {
    FileBody {
        name: drawn.optional().map(Into::into),
        content_type: drawn.optional().map(Into::into),
        reference: None,
        data: FileData::Inside(drawn.0.to_vec()),
    }
}
