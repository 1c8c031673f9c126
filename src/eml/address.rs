//! People as mailboxes in a header field (RFC 5322 section 3.4).
//!
//! An e-mail stands as the export gives it or not at all. Whoever has none that a reader would take gets an address under
//! `icechat.invalid`, made so that two identities never share one.

use std::fmt::Write;

use super::DOMAIN;
use super::words::{FOLD, looks_encoded, one_line, push_phrase};
use crate::digest::Sha256;
use crate::export::{Email, ImId, Person};

/// The longest local part: with `Cc: <` and the domain it stays within RFC 5322's 998 bytes a line.
const LOCAL_PART: usize = 900;
/// What is kept of a longer one, before `%-` and half a SHA-256 of the whole.
const LOCAL_PREFIX: usize = LOCAL_PART - 34;
/// Bytes that nearly every mailbox takes at most.
const USUAL: usize = 96;

/// One person as a field's value.
pub(super) fn one(person: &Person) -> String {
    let mut value = String::with_capacity(USUAL);
    push_mailbox(person, &mut value);
    value
}

/// People as a field's value, each on a line of its own; `None` for nobody.
pub(super) fn list<'a>(people: impl Iterator<Item = &'a Person>) -> Option<String> {
    let mut value = String::new();
    for person in people {
        value.reserve(USUAL);
        if !value.is_empty() {
            value.push(',');
            value.push_str(FOLD);
        }
        push_mailbox(person, &mut value);
    }
    (!value.is_empty()).then_some(value)
}

/// `First Last (Company)`, whichever of the two there is; may be empty.
pub(super) fn display_name(person: &Person) -> String {
    let name = person.name.as_deref().map(one_line).unwrap_or_default();
    let company = person.company.as_deref().map(one_line).unwrap_or_default();
    match (name.is_empty(), company.is_empty()) {
        (false, false) => format!("{name} ({company})"),
        (true, _) => company.into_owned(),
        (_, true) => name.into_owned(),
    }
}

fn push_mailbox(person: &Person, out: &mut String) {
    push_phrase(&display_name(person), out);
    out.push('<');
    match &person.email {
        Some(email) if is_well_formed(email.as_str()) => out.push_str(email.as_str()),
        email => {
            let email = email.as_ref().map(Email::as_str);
            push_local_part(person.im_id.as_ref().map(ImId::as_str).or(email).unwrap_or_default(), out);
            out.extend(["@", DOMAIN]);
        }
    }
    out.push('>');
}

/// Contract 6's form of a mailbox, and nothing that a reader would decode.
fn is_well_formed(email: &str) -> bool {
    email.split_once('@').is_some_and(|(local, domain)| {
        email.len() <= 254 && is_local_part(local) && domain.split('.').all(is_label) && !looks_encoded(local)
    })
}

fn is_local_part(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(|byte| is_atext(byte) && byte != b'/'))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 5322 section 3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// The identity with what is no atom text percent-encoded. One too long for a line keeps its beginning; `%-`, which
/// encodes nothing, and a digest keep it apart from all others. `%` alone stands for nothing at all.
fn push_local_part(identity: &str, out: &mut String) {
    let start = out.len();
    let bytes = identity.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if stands_for_itself(bytes, at) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        if out.len() - start > LOCAL_PART {
            return shorten(identity, start, out);
        }
    }
    if identity.is_empty() {
        out.push('%');
    }
}

fn stands_for_itself(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    match bytes[at] {
        b'.' => before.is_some_and(|&before| before != b'.') && at + 1 < bytes.len(),
        b'%' => false,
        b'?' => before != Some(&b'='),
        byte => is_atext(byte),
    }
}

fn shorten(identity: &str, start: usize, out: &mut String) {
    let cut = start + LOCAL_PREFIX;
    // Not between a percent sign and its digits.
    let cut = out[..cut].rfind('%').filter(|percent| percent + 3 > cut).unwrap_or(cut);
    out.truncate(cut);
    let _ = write!(out, "%-{}", &Sha256::of(identity.as_bytes()).to_string()[..32]);
}
