//! By what an item is known (contract 7): nothing but what the export itself says of it, so that the same item has the
//! same id in every export that carries it.

use super::roster::key;
use super::{Body, ChatItem, Person};
use crate::digest::{Hasher, ItemId, Sha256};

/// The item's id. `ordinal` tells otherwise equal items of one export apart; it counts from 0 and only where the export
/// gives no message id.
///
/// Fields, each with its length: kind, room id, message id, sender, time, content (of an attachment: file name, content
/// type, data), and the ordinal where the message id is absent. What is absent counts as empty; none of these is empty
/// when present. The sender is `imid:` and the `ImId` folded, or `mail:` and the e-mail folded; as the record gives it, so
/// that what another export says elsewhere of the same person changes nothing. The time is RFC 3339 in UTC with as many
/// fraction digits as it has.
pub fn item_id(item: &ChatItem, ordinal: Option<u32>) -> ItemId {
    let record = &item.record;
    let mut hasher = Hasher::default();
    hasher.field(record.kind.as_str().as_bytes());
    hasher.field(item.room.id.as_deref().unwrap_or_default().as_bytes());
    hasher.field(record.message_id.as_deref().unwrap_or_default().as_bytes());
    hasher.field(sender(&record.sender).as_bytes());
    hasher.field(record.time.to_string().as_bytes());
    match &record.body {
        Body::Text(text) => hasher.field(text.as_bytes()),
        Body::File { name, content_type, data } => {
            hasher.field(name.as_deref().unwrap_or_default().as_bytes());
            hasher.field(content_type.as_deref().unwrap_or_default().as_bytes());
            hasher.field(data);
        }
    }
    if record.message_id.is_none() {
        hasher.field(&ordinal.unwrap_or_default().to_be_bytes());
    }
    hasher.finish().into()
}

fn sender(person: &Person) -> String {
    match key(person) {
        (Some(im_id), _) => format!("imid:{im_id}"),
        (None, email) => format!("mail:{}", email.unwrap_or_default()),
    }
}

/// A digest of whom the item concerns, roles and names aside: with it a duplicate that names others is noticed.
pub fn participants_digest(item: &ChatItem) -> [u8; 16] {
    let mut keys: Vec<_> = item.participants.iter().map(|participant| key(&participant.person)).collect();
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
pub fn message_key(item: &ChatItem) -> Option<u64> {
    let message_id = item.record.message_id.as_deref()?;
    Some(message_hash(item.room.id.as_deref(), message_id))
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
