//! Random items of the sort that breaks mail programs.

use icechatd::export::{Body, ChatItem, FileBody, FileData, ItemKind, Person, Role};
use proptest::prelude::*;

use super::cases;

/// Text that tries to become something else.
pub(crate) const ATTACKS: &[&str] = &[
    "x\r\nBcc: evil@evil.example",
    "x\nBcc: evil@evil.example",
    "x\rBcc: evil@evil.example",
    "x\r\n\r\nbody",
    "x\r\n .\r\n",
    "x\u{0}\u{b}\u{c}\u{85}\u{2028}\u{2029}Bcc: y@y.example",
    "a@contoso.com>, <evil@evil.example",
    "a@contoso.com, evil@evil.example",
    "\"a\" <evil@evil.example>",
    "a\" <evil@evil.example>, \"b",
    "a\\",
    "a\\\"",
    "(comment) a@contoso.com",
    "a@contoso.com (comment",
    "group: a@contoso.com;",
    "=?utf-8?B?Zm9vDQpCY2M6IHhAeS56?=",
    "=?utf-8?Q?a=0D=0ABcc=3A_x=40y.z?= b",
    "=?",
    "a =? b ?= c",
    "=?utf-8?Q?x?=@contoso.com",
    "--=_icechat_\r\n",
    "a@[127.0.0.1]",
    "\u{202e}gpj.exe",
    "\u{feff}\u{200b}x",
    "価格 =?utf-8?Q?x?= 価格",
];

const PIECES: &[&str] = &[
    " ",
    "  ",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{200b}",
    "\"",
    "\\",
    "(",
    ")",
    "<",
    ">",
    "@",
    ",",
    ";",
    ":",
    ".",
    "..",
    "%",
    "%41",
    "=",
    "=?",
    "?=",
    "?",
    "_",
    "/",
    "[",
    "]",
    "'",
    "--",
    "=_icechat_",
    "-- \r\n",
    "From ",
    "\n.\n",
    "Bcc: a@b.example\r\n",
    "=?utf-8?Q?x?=",
    "=?utf-8?B?aGk=?=",
    "é",
    "価",
    "e\u{301}",
    "👩‍👩‍👧",
    "\u{202e}",
    "\u{10ffff}",
    "a",
    "Z",
    "09",
    "amy@contoso.com",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345",
];

/// A short text of ordinary and hostile pieces.
pub(crate) fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        2 => "[a-zA-Z]{1,8}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

pub(crate) fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::collection::vec(line(), 0..12).prop_map(|lines| lines.concat()),
        1 => "[ -~\n\t]{0,300}",
        1 => "\\PC{0,200}",
    ]
}

fn person() -> impl Strategy<Value = Person> {
    let email = prop_oneof![Just(String::new()), line(), Just("amy.adams@contoso.com".to_owned())];
    let name = || prop_oneof![Just(String::new()), line()];
    (line(), email, name(), name()).prop_map(|(im_id, email, name, company)| {
        let person = cases::person(&im_id, &email, &name, &company);
        if person.has_identity() { person } else { cases::person("someone", &email, &name, &company) }
    })
}

fn body() -> impl Strategy<Value = Body> {
    let file = (proptest::option::of(line()), proptest::option::of(line()), any::<Vec<u8>>());
    prop_oneof![
        3 => content().prop_map(|content| Body::Text(content.into())),
        1 => file.prop_map(|(name, content_type, data)| Body::File(FileBody {
            name: name.map(Into::into),
            content_type: content_type.map(Into::into),
            reference: None,
            data: FileData::Inside(data),
        })),
    ]
}

pub(crate) fn item() -> impl Strategy<Value = ChatItem> {
    let people = proptest::collection::vec((person(), any::<bool>()), 0..6);
    let texts = (proptest::option::of(line()), proptest::option::of(line()), proptest::option::of(line()));
    (person(), people, body(), texts, 0..4_000_000_000_i64).prop_map(|(sender, people, body, texts, seconds)| {
        let roles: Vec<_> = people.iter().map(|(_, listed)| *listed).collect();
        let mut item = cases::item(sender, people.into_iter().map(|(person, _)| person).collect(), "");
        for (participant, listed) in item.participants[1..].iter_mut().zip(roles) {
            participant.role = if listed { Role::Recipient } else { Role::Present };
        }
        if matches!(body, Body::File(_)) {
            item.record.kind = ItemKind::Attachment;
        }
        item.record.body = body;
        item.record.time = jiff::Timestamp::from_second(seconds).expect("in range");
        item.record.message_id = texts.0.map(Into::into);
        item.room = cases::room(texts.1.as_deref(), texts.2.as_deref());
        item
    })
}
