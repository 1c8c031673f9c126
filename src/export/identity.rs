//! By what an item is known (contract 7): nothing but what the export itself says of it, so that the same item has the
//! same id in every export that carries it.

use super::roster::key;
use super::transcript::Transcript;
use super::{Body, EventKind, EventRecord, FileData, ItemKind, ItemRecord, Participant, Person, Room};
use crate::digest::{Hasher, ItemId, Sha256};

/// The item's id. `ordinal` tells otherwise equal items of one export apart; it counts from 0 and only where the export
/// gives no message id.
///
/// Fields, each with its length: kind, room id, message id, sender, time, content (of an attachment: file name, content
/// type, data; or, of one that is in an archive, by what the export names it: whether the archive came must not change the
/// id; of an event, whom it concerns beside its sender), and the ordinal where the message id is absent. What is absent counts as empty; none of these is empty
/// when present. The sender is `imid:` and the `ImId` folded, or `mail:` and the e-mail folded; as the record gives it, so
/// that what another export says elsewhere of the same person changes nothing. The time is RFC 3339 in UTC with as many
/// fraction digits as it has.
pub fn item_id(record: &ItemRecord, room: &Room, ordinal: Option<u32>) -> ItemId {
    let mut hasher = Hasher::default();
    hasher.field(record.kind.as_str().as_bytes());
    hasher.field(room.id.as_deref().unwrap_or_default().as_bytes());
    hasher.field(record.message_id.as_deref().unwrap_or_default().as_bytes());
    hasher.field(sender(&record.sender).as_bytes());
    hasher.field(record.time.to_string().as_bytes());
    match &record.body {
        Body::Text(text) => hasher.field(text.as_bytes()),
        Body::File(file) => {
            hasher.field(file.name.as_deref().unwrap_or_default().as_bytes());
            hasher.field(file.content_type.as_deref().unwrap_or_default().as_bytes());
            match (&file.reference, &file.data) {
                (None, FileData::Inside(data)) => hasher.field(data),
                (reference, _) => {
                    hasher.field(b"reference");
                    hasher.field(reference.as_deref().unwrap_or_default().as_bytes());
                }
            }
        }
    }
    if matches!(record.kind, ItemKind::Event(_)) {
        // An invitation says who with whom it invites.
        for person in &record.recipients {
            hasher.field(sender(person).as_bytes());
        }
    }
    if record.message_id.is_none() {
        hasher.field(&ordinal.unwrap_or_default().to_be_bytes());
    }
    hasher.finish().into()
}

/// The id of an attachment that came after the item which names it: over that item's own id, which says kind, room, sender,
/// time, name and type, and the SHA-256 of its bytes.
pub fn later_id(of: ItemId, sha256: Sha256) -> ItemId {
    let mut hasher = Hasher::default();
    hasher.field(b"attachment of");
    hasher.field(&of.0);
    hasher.field(&sha256.0);
    hasher.finish().into()
}

/// What an export names in an archive, short enough to keep of each: two that are the same are so for certain only when
/// the names are.
pub fn reference_key(reference: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::of(reference.as_bytes()).0[..8]);
    u64::from_be_bytes(first)
}

/// A transcript's id, by what it holds: the same lines in the same room are the same transcript in every export.
///
/// Fields, each with its length: `conversation`, room id, the time of the first line, the part, and the ids of its messages,
/// attachments and events in document order; after these, the hashes of words that are no items, where it has some.
pub fn transcript_id(
    transcript: &Transcript,
    contents: impl IntoIterator<Item = ItemId>,
    words: impl IntoIterator<Item = u64>,
) -> ItemId {
    let mut hasher = Hasher::default();
    hasher.field(b"conversation");
    hasher.field(transcript.room.id.as_deref().unwrap_or_default().as_bytes());
    hasher.field(transcript.time.to_string().as_bytes());
    hasher.field(&transcript.part.to_be_bytes());
    for id in contents {
        hasher.field(&id.0);
    }
    for key in words {
        hasher.field(&key.to_be_bytes());
    }
    hasher.finish().into()
}

/// A hash of a disclaimer's or the system's words, of whom they are, and when and where they were shown; `None` for other
/// events, and where there are none.
pub fn words_key(event: &EventRecord, room: &Room) -> Option<u64> {
    let text = event.text.as_deref()?;
    if !matches!(event.kind, EventKind::Disclaimer | EventKind::System) {
        return None;
    }
    let time = event.time.map_or(String::new(), |time| time.to_string());
    let person = sender(&event.person);
    let mut hasher = Hasher::default();
    for field in [event.kind.as_str(), room.id.as_deref().unwrap_or_default(), &person, &time, text] {
        hasher.field(field.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finish().0[..8]);
    Some(u64::from_be_bytes(first))
}

fn sender(person: &Person) -> String {
    match key(person) {
        (Some(im_id), _) => format!("imid:{im_id}"),
        (None, email) => format!("mail:{}", email.unwrap_or_default()),
    }
}

/// A digest of whom the item concerns, roles and names aside: with it a duplicate that names others is noticed.
pub fn participants_digest(participants: &[Participant]) -> [u8; 16] {
    let mut keys: Vec<_> = participants.iter().map(|participant| key(&participant.person)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut hasher = Hasher::default();
    for (im_id, email) in keys {
        hasher.field(im_id.unwrap_or_default().as_bytes());
        hasher.field(email.unwrap_or_default().as_bytes());
    }
    half(hasher.finish())
}

/// A hash of room and message id: two items with the same key and different ids are one message that was changed. `None`
/// where there is no message id.
pub fn message_key(record: &ItemRecord, room: &Room) -> Option<u64> {
    let message_id = record.message_id.as_deref()?;
    Some(message_hash(room.id.as_deref(), message_id))
}

pub(super) fn message_hash(room: Option<&str>, message_id: &str) -> u64 {
    let mut hasher = Hasher::default();
    hasher.field(room.unwrap_or_default().as_bytes());
    hasher.field(message_id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finish().0[..8]);
    u64::from_be_bytes(first)
}

fn half(digest: Sha256) -> [u8; 16] {
    ItemId::from(digest).0
}

#[cfg(test)]
mod tests;
