//! The text of a mail, and how an attachment is named: what a person reads and what eDiscovery indexes.

use std::borrow::Cow;
use std::fmt::Write;

use super::Shape;
use super::address::display_name;
use super::room::shown_name;
use super::words::{looks_encoded, one_line};
use crate::digest::{ItemId, Sha256};
use crate::export::{Body, ChatItem, Email, EventKind, FileBody, FileData, ImId, ItemKind, Participant, Person, Role};

/// The most characters of a file name in a parameter: file systems take 255 bytes, and readers' limits are unknown.
const FILE_NAME_CHARS: usize = 120;

/// The Content, or a line that names the file or says what happened, ended by a line end; then the footer where it is
/// wanted. CRLF throughout.
pub(super) fn text(item: &ChatItem, follows: Option<ItemId>, shape: &Shape) -> String {
    let mut text = String::with_capacity(512 + 96 * item.participants.len());
    match &item.record.body {
        Body::Text(content) => {
            push_event(item, &mut text);
            push_lines(content, &mut text);
        }
        Body::File(file) => {
            let digest = match &file.data {
                FileData::Inside(content) | FileData::Found(content) => Some(Sha256::of(content)),
                FileData::Awaited | FileData::Oversize { .. } | FileData::Missing => None,
            };
            text.push_str(&file_words(file, digest));
            if let Some(follows) = follows {
                let _ = write!(text, ", which came after item {follows} was archived");
            }
        }
    }
    text.push_str("\r\n");
    if shape.footer {
        push_footer(item, follows, shape.format, &mut text);
    }
    text
}

/// What happened, in a line of its own where words follow; nothing before what was said.
fn push_event(item: &ChatItem, text: &mut String) {
    let ItemKind::Event(kind) = item.record.kind else { return };
    let who = item.sender().has_identity().then(|| shown(item.sender()));
    let who = who.as_deref();
    let named = who.unwrap_or("Someone");
    let sentence = match kind {
        EventKind::Entered => format!("{named} entered the room"),
        EventKind::Left => format!("{named} left the room"),
        EventKind::Invited => {
            let invited = item.participants.iter().filter(|participant| participant.role == Role::Recipient);
            let invited: Vec<_> = invited.map(|participant| shown(&participant.person)).collect();
            let invited = if invited.is_empty() { "somebody".to_owned() } else { invited.join(", ") };
            format!("{named} invited {invited}")
        }
        EventKind::Disclaimer => who.map_or("Disclaimer:".to_owned(), |who| format!("Disclaimer of {who}:")),
        EventKind::System => who.map_or("System:".to_owned(), |who| format!("System, about {who}:")),
    };
    text.push_str(&sentence);
    if matches!(&item.record.body, Body::Text(content) if !content.is_empty()) {
        text.push_str("\r\n");
    }
}

/// The name and company, else whatever there is.
fn shown(person: &Person) -> String {
    let name = display_name(person);
    if name.is_empty() { shown_name(person).into_owned() } else { name }
}

/// LF, CRLF and a lone CR all become CRLF: RFC 5322 allows neither of the others, and readers differ about them.
fn push_lines(content: &str, text: &mut String) {
    let mut rest = content;
    while let Some(at) = rest.find(['\r', '\n']) {
        let (line, end) = rest.split_at(at);
        text.push_str(line);
        text.push_str("\r\n");
        rest = end.strip_prefix("\r\n").unwrap_or(&end[1..]);
    }
    text.push_str(rest);
}

/// What file it is and what became of it; `digest` of one that is at hand.
pub(super) fn file_words(file: &FileBody, digest: Option<Sha256>) -> String {
    let shown = |text: Option<&str>| text.map(one_line).filter(|text| !text.is_empty()).map(Cow::into_owned);
    let name = shown(file.name.as_deref()).unwrap_or_else(|| "(without a name)".to_owned());
    match (&file.data, digest) {
        (FileData::Inside(content) | FileData::Found(content), digest) => {
            let digest = digest.unwrap_or_else(|| Sha256::of(content));
            format!("Attachment: {name}, {} bytes, SHA-256 {digest}", content.len())
        }
        (FileData::Oversize { bytes, sha256 }, _) => format!(
            "Attachment: {name}, {bytes} bytes, SHA-256 {sha256}, too large for this mail; \
             whoever runs icechatd gets it by: icechatd attachment {sha256}"
        ),
        (FileData::Awaited | FileData::Missing, _) => {
            let reference = shown(file.reference.as_deref()).map_or(String::new(), |by| format!(", file {by}"));
            format!("Attachment: {name}{reference}, missing: no archive with it had come when this was taken in")
        }
    }
}

/// One fact a line, so that no value can look like another's.
fn push_footer(item: &ChatItem, follows: Option<ItemId>, format: u32, text: &mut String) {
    text.push_str("-- \r\n");
    let sender = item.sender();
    push_fact("Room", item.room.name.as_deref(), text);
    push_fact("Room ID", item.room.id.as_deref(), text);
    push_fact("Message ID", item.record.message_id.as_deref(), text);
    push_fact("Sender ImId", sender.im_id.as_ref().map(ImId::as_str), text);
    push_fact("Sender company", sender.company.as_deref(), text);
    for participant in &item.participants {
        push_participant(participant, text);
    }
    if format >= 2 {
        push_details(item, follows, text);
    }
    let _ = write!(text, "Time (UTC): {}\r\n", item.record.time);
}

/// What few items have. A field that the profile keeps cannot look like another fact.
fn push_details(item: &ChatItem, follows: Option<ItemId>, text: &mut String) {
    if let Some(details) = &item.record.details {
        push_fact("Disclaimer", details.disclaimer.as_deref(), text);
        push_fact("History", details.history.map(|_| "a message from before, shown again"), text);
        for (label, value) in &details.extra {
            push_fact(&format!("Field {}", one_line(label)), Some(value), text);
        }
        push_fact("Source", details.source.as_ref().map(|_| "source.xml, the record as the export has it"), text);
    }
    push_fact("Follows item", follows.map(|id| id.to_string()).as_deref(), text);
}

fn push_fact(label: &str, value: Option<&str>, text: &mut String) {
    let value = value.map(one_line).unwrap_or_default();
    if !value.is_empty() {
        let _ = write!(text, "{label}: {value}\r\n");
    }
}

/// `Recipient: Amy Adams (Contoso), ImId adams17, amy@contoso.com`, the e-mail as the export gives it.
fn push_participant(participant: &Participant, text: &mut String) {
    let person = &participant.person;
    text.push_str(match participant.role {
        Role::Sender => "Sender:",
        Role::Recipient => "Recipient:",
        Role::Present => "Present:",
    });
    let name = display_name(person);
    let im_id = person.im_id.as_ref().map(ImId::as_str).map(one_line).unwrap_or_default();
    let email = person.email.as_ref().map(Email::as_str).map(one_line).unwrap_or_default();
    let mut separator = " ";
    for (label, value) in [("", &*name), ("ImId ", &*im_id), ("", &*email)] {
        if !value.is_empty() {
            text.extend([separator, label, value]);
            separator = ", ";
        }
    }
    text.push_str("\r\n");
}

/// Whether the text holds what 7bit must not (RFC 2045 section 2.7: control characters) or what transports and mail
/// stores are known to change (RFC 2049 section 3: a line of one dot, a line that begins with `From `).
pub(super) fn needs_base64(text: &str) -> bool {
    // The first without an early end, which makes it many bytes at once.
    text.bytes().fold(false, |found, byte| found | (byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')))
        || text.split_inclusive('\n').any(|line| line.starts_with("From ") || line == ".\r\n")
}

/// A name that can do no harm where it is saved: no path, no control characters, not endless, not empty. The text names
/// the original.
pub(super) fn parameter_name(original: Option<&str>) -> String {
    let line = original.map(one_line).unwrap_or_default();
    let last = line.rsplit(['/', '\\']).map(str::trim).find(|part| !part.is_empty()).unwrap_or_default();
    if last.is_empty() || last.bytes().all(|byte| byte == b'.') {
        return "attachment".to_owned();
    }
    let shown = shorten(last);
    // The builder quotes ASCII names, and readers decode what looks like an encoded word even there.
    if looks_encoded(&shown) { shown.replace("=?", "=_") } else { shown }
}

/// How much of an extended parameter stands on a line, which may have 998 characters (RFC 5322 section 2.1.1).
const PIECE: usize = 900;

/// An extended parameter (RFC 2231 section 4); in pieces where it is too long for a line (section 3). No letter is cut in two:
/// there are readers that decode each piece by itself.
pub(super) fn extended(parameter: &str, value: &str) -> String {
    let mut pieces = vec![String::new()];
    for letter in value.chars() {
        let encoded = percent_encoded(letter.encode_utf8(&mut [0; 4]));
        match pieces.last_mut() {
            Some(piece) if piece.len() + encoded.len() <= PIECE => piece.push_str(&encoded),
            _ => pieces.push(encoded),
        }
    }
    if let [whole] = &pieces[..] {
        return format!("{parameter}*=UTF-8''{whole}");
    }
    let charset = |number: usize| if number == 0 { "UTF-8''" } else { "" };
    let numbered = pieces.iter().enumerate();
    let pieces = numbered.map(|(number, piece)| format!("{parameter}*{number}*={}{piece}", charset(number)));
    pieces.collect::<Vec<_>>().join("; ")
}

/// RFC 5987 says which characters may stand as they are.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The end of a name is what says its type.
fn shorten(name: &str) -> String {
    match name.char_indices().rev().nth(FILE_NAME_CHARS - 1) {
        Some((cut, _)) if cut > 0 => format!("…{}", &name[cut..]),
        _ => name.to_owned(),
    }
}

/// The claimed type where it is one (RFC 6838 section 4.2) that a base64 part may bear: `multipart` and `message` may
/// not (RFC 2045 section 6.4), and readers would open them. Its parameters are left out.
pub(super) fn media_type(claimed: Option<&str>) -> &str {
    let claimed = claimed.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let known = claimed.split_once('/').is_some_and(|(kind, subtype)| {
        let composite = ["multipart", "message"].iter().any(|composite| kind.eq_ignore_ascii_case(composite));
        is_restricted_name(kind) && is_restricted_name(subtype) && !composite
    });
    if known { claimed } else { "application/octet-stream" }
}

fn is_restricted_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    name.len() <= 127 && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(rest)
}
