//! How a mail names its room: the subject that a person reads and the id by which mail clients thread a day.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::civil::Date;

use super::words::one_line;
use crate::digest::{Hasher, Sha256};
use crate::export::{Email, ImId, Participant, Person, Room};

/// The most characters of a person's name, where the room has none.
const PERSON_CHARS: usize = 80;

/// `ICE Chat: <room name> [<RoomID>]` on one line, neither of them cut.
pub(super) fn subject(room: &Room, participants: &[Participant]) -> String {
    let mut line = format!("ICE Chat: {}", name(room, participants));
    push_id(room, &mut line);
    line
}

/// The room's name, or else who is in it.
pub(super) fn name(room: &Room, participants: &[Participant]) -> String {
    let name = room.name.as_deref().map(one_line).unwrap_or_default();
    if !name.is_empty() {
        return name.into_owned();
    }
    let mut line = String::new();
    push_people(participants, &mut line);
    line
}

/// As [`subject`], and the same for all items of the room.
pub(super) fn topic(room: &Room) -> String {
    let name = room.name.as_deref().map(one_line).unwrap_or_default();
    let mut line = if name.is_empty() { "ICE Chat".to_owned() } else { format!("ICE Chat: {name}") };
    push_id(room, &mut line);
    line
}

fn push_id(room: &Room, line: &mut String) {
    let id = room.id.as_deref().map(one_line).unwrap_or_default();
    if !id.is_empty() {
        let _ = write!(line, " [{id}]");
    }
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
pub(super) fn shown_name(person: &Person) -> Cow<'_, str> {
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

/// The same for all items of a room on a day, whatever export brings them. A room is known by its id, else by its name,
/// else by who is in it.
pub(super) fn day_digest(room: &Room, participants: &[Participant], day: Date) -> Sha256 {
    let mut hasher = Hasher::default();
    match (&room.id, &room.name) {
        (Some(id), _) => push_fields("id", [&**id], &mut hasher),
        (None, Some(name)) => push_fields("name", [&**name], &mut hasher),
        (None, None) => push_fields("people", identities(participants), &mut hasher),
    }
    hasher.field(day.to_string().as_bytes());
    hasher.finish()
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
