//! How a mail names its room: the subject that a person reads and the id by which mail clients thread a day.

use std::borrow::Cow;
use std::fmt::Write;

use super::words::one_line;
use crate::digest::Hasher;
use crate::export::{ChatItem, Email, ImId, Participant, Person};

/// The most characters of a person's name, where the room has none.
const PERSON_CHARS: usize = 80;

/// `ICE Chat: <room name> [<RoomID>]` on one line, neither of them cut.
pub(super) fn subject(item: &ChatItem) -> String {
    let mut line = String::from("ICE Chat: ");
    let name = item.room.name.as_deref().map(one_line).unwrap_or_default();
    if name.is_empty() {
        push_people(&item.participants, &mut line);
    } else {
        line.push_str(&name);
    }
    let id = item.room.id.as_deref().map(one_line).unwrap_or_default();
    if !id.is_empty() {
        let _ = write!(line, " [{id}]");
    }
    line
}

fn push_people(participants: &[Participant], line: &mut String) {
    for (position, participant) in participants.iter().take(2).enumerate() {
        if position > 0 {
            line.push_str(", ");
        }
        push_shown(&shown_name(&participant.person), PERSON_CHARS, line);
    }
    if participants.len() > 2 {
        let _ = write!(line, " and {} more", participants.len() - 2);
    }
}

/// The name, else the `ImId`, else the e-mail; even an `ImId` may be nothing but control characters.
fn shown_name(person: &Person) -> Cow<'_, str> {
    let candidates =
        [person.name.as_deref(), person.im_id.as_ref().map(ImId::as_str), person.email.as_ref().map(Email::as_str)];
    candidates.into_iter().flatten().map(one_line).find(|line| !line.is_empty()).unwrap_or(Cow::Borrowed("(unnamed)"))
}

fn push_shown(text: &str, longest: usize, line: &mut String) {
    match text.char_indices().nth(longest) {
        None => line.push_str(text),
        Some((cut, _)) => {
            line.push_str(text[..cut].trim_end());
            line.push('…');
        }
    }
}

/// 32 hexadecimal digits, the same for all items of a room on a day in UTC, whatever export brings them. A room is known
/// by its id, else by its name, else by who is in it.
pub(super) fn day_id(item: &ChatItem) -> String {
    let mut hasher = Hasher::default();
    match (&item.room.id, &item.room.name) {
        (Some(id), _) => push_fields("id", [&**id], &mut hasher),
        (None, Some(name)) => push_fields("name", [&**name], &mut hasher),
        (None, None) => push_fields("people", identities(&item.participants), &mut hasher),
    }
    let day = item.record.day();
    hasher.field(day.to_string().as_bytes());
    hasher.finish().to_string()[..32].to_owned()
}

fn push_fields<'a>(kind: &str, values: impl IntoIterator<Item = &'a str>, hasher: &mut Hasher) {
    hasher.field(kind.as_bytes());
    for value in values {
        hasher.field(value.as_bytes());
    }
}

/// In order, so that it does not matter who of them speaks.
fn identities(participants: &[Participant]) -> Vec<&str> {
    let mut identities: Vec<&str> = participants.iter().map(|participant| identity(&participant.person)).collect();
    identities.sort_unstable();
    identities.dedup();
    identities
}

fn identity(person: &Person) -> &str {
    let im_id = person.im_id.as_ref().map(ImId::folded);
    im_id.or(person.email.as_ref().map(Email::folded)).unwrap_or_default()
}
