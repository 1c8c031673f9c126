//! What the ledger recorded, made usable again; and what a run's fate is recorded to have depended on.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::original::{Numbered, NumberedItem};
use super::shape::Shape;
use super::{IngestError, Job, Tools};
use crate::decrypt::Signers;
use crate::digest::{Hasher, ItemId, Sha256};
use crate::export::identity::{item_id, later_id, transcript_id};
use crate::export::passes::Counts;
use crate::export::profile::Profile;
use crate::export::time::utc_day;
use crate::export::{Email, ImId, Item, ItemRecord, Person, Room};
use crate::inputs;
use crate::ledger::{Certificate, CertificateKind, FileRow, Ledger, LedgerError, RuleSetId, Unplaced};
use crate::resolve::Rules;

/// Gives an item without MessageID its final id: equal ones are told apart by their order in the export. A transcript's
/// depends on those of the messages within it; it follows what it was recorded to follow.
pub(super) fn number(tools: &Tools<'_>, item: &mut NumberedItem) -> Result<(), LedgerError> {
    if item.later.is_some() {
        // It was numbered with the item that names it.
        return Ok(());
    }
    match &item.item {
        Item::Chat(chat) => item.id = final_id(tools, item.id, &chat.record, &chat.room)?,
        Item::Transcript(transcript) => {
            for (message, (_, record, _)) in item.within.iter_mut().zip(transcript.items()) {
                message.id = final_id(tools, message.id, &record, &transcript.room)?;
            }
            item.id =
                transcript_id(transcript, item.within.iter().map(|message| message.id), item.words.iter().copied());
            item.follows = tools.ledger.followed(item.time, item.id)?.flatten();
        }
    }
    item.let_go_of_what_is_too_large();
    Ok(())
}

/// Of a batch that was read for attachments which came later, these alone: each has its id by that of the record which names
/// it, and follows the item that holds that. `last` is what the batch before ended with.
pub(super) fn what_came_later(
    tools: &Tools<'_>,
    last: &mut Option<Box<NumberedItem>>,
    batch: Vec<Numbered>,
) -> Result<Vec<Numbered>, IngestError> {
    let mut later = Vec::new();
    for numbered in batch {
        let Numbered::Item(mut item) = numbered else { continue };
        let Some(came) = item.later else {
            number(tools, &mut item)?;
            *last = Some(item);
            continue;
        };
        let named = last.as_ref().and_then(|named| Some((named, named.id_of(came.of)?)));
        let (named, of) = named.ok_or_else(|| LedgerError::Damaged("an attachment without its item".to_owned()))?;
        item.id = later_id(of, came.sha256);
        item.follows = Some(named.id);
        later.push(Numbered::Item(item));
    }
    Ok(later)
}

fn final_id(tools: &Tools<'_>, id: ItemId, record: &ItemRecord, room: &Room) -> Result<ItemId, LedgerError> {
    if record.message_id.is_some() {
        return Ok(id);
    }
    // What is shown again is the same as before: it is counted among what is shown with it.
    let run = record.details.as_ref().and_then(|details| details.history);
    let before = tools.scratch.equal_before(run.map_or(id, |run| shown_again(id, run)))?;
    Ok(item_id(record, room, Some(before)))
}

fn shown_again(id: ItemId, run: u64) -> ItemId {
    let mut hasher = Hasher::default();
    hasher.field(&id.0);
    hasher.field(&run.to_be_bytes());
    hasher.finish().into()
}

/// What the ledger recorded of how an export is to be read and written.
pub(super) fn recorded(tools: &Tools<'_>, row: &FileRow) -> Result<(Profile, Shape), IngestError> {
    recorded_in(tools.ledger, row)
}

/// The same, outside a run.
pub(super) fn recorded_in(ledger: &Ledger, row: &FileRow) -> Result<(Profile, Shape), IngestError> {
    let damaged = |what: &str| LedgerError::Damaged(format!("{what} of {} is not recorded", row.name));
    let digest = row.profile.ok_or_else(|| damaged("the profile"))?;
    let text = String::from_utf8(ledger.shape(digest)?).map_err(|_| damaged("the profile"))?;
    let profile = Profile::recorded(&text).map_err(|_| damaged("a readable profile"))?;
    let shape = row.shape.as_deref().ok_or_else(|| damaged("the shape"))?;
    let shape: Shape = serde_json::from_str(shape).map_err(IngestError::shape)?;
    shape.check(&row.name)?;
    Ok((profile, shape))
}

pub(super) fn load_rules(ledger: &Ledger, ids: &[RuleSetId]) -> Result<Rules, IngestError> {
    let sets: Result<Vec<_>, IngestError> =
        ids.iter().map(|id| Ok(Arc::new(inputs::from_stored(&ledger.rules(*id)?)?))).collect();
    Ok(Rules(sets?))
}

pub(super) fn person_of(unplaced: &Unplaced) -> Person {
    Person {
        im_id: unplaced.im_id.as_deref().and_then(ImId::new),
        email: unplaced.email.as_deref().and_then(Email::new),
        name: unplaced.name.as_deref().map(Into::into),
        company: unplaced.company.as_deref().map(Into::into),
    }
}

/// The day, in UTC, of an item's time as the ledger keeps it: an instant that was one before.
pub(super) fn day_of(seconds: i64) -> Date {
    utc_day(Timestamp::from_second(seconds).unwrap_or_default())
}

/// The certificates that ICE may encrypt to, and those for the sign-in to Microsoft Entra; retired keys open old exports
/// only, so their end is nobody's matter.
pub(super) fn certificates(job: &Job<'_>) -> Vec<Certificate> {
    let all = job.inputs.keys.certificates().into_iter();
    let in_use = all.filter(|one| job.config.keys.pgp.iter().any(|credential| credential.name() == one.credential));
    let recorded = in_use.map(|one| Certificate {
        kind: CertificateKind::Pgp,
        fingerprint: one.fingerprint,
        credential: one.credential,
        expires: one.expires.and_then(|end| Timestamp::try_from(end).ok()),
    });
    let entra = inputs::entra_certificates(job.config).into_iter().map(|one| Certificate {
        kind: CertificateKind::Entra,
        fingerprint: one.thumbprint(),
        expires: Some(one.ends),
        credential: one.name,
    });
    recorded.chain(entra).collect()
}

/// What the attempt at a file depended on beside its bytes (contract 8): held ones are tried again when it changes.
pub(super) fn circumstances(job: &Job<'_>) -> Sha256 {
    let mut hasher = Hasher::default();
    for fingerprint in job.inputs.keys.fingerprints() {
        hasher.field(fingerprint.as_bytes());
    }
    hasher.field(b"signers");
    for fingerprint in job.inputs.signers.iter().flat_map(Signers::fingerprints) {
        hasher.field(fingerprint.as_bytes());
    }
    hasher.field(job.inputs.profile.text().as_bytes());
    let limits = &job.config.limits;
    for limit in
        [limits.max_plaintext, limits.max_ratio, limits.max_message, limits.max_attachment, limits.max_participants]
    {
        hasher.field(&limit.to_be_bytes());
    }
    hasher.field(&job.config.attachments.max_entries.to_be_bytes());
    hasher.field(crate::VERSION.as_bytes());
    hasher.finish()
}

pub(super) fn unknown_json(unknown: &[(String, u64)]) -> String {
    let list: Vec<_> = unknown.iter().map(|(path, count)| serde_json::json!({"path": path, "count": count})).collect();
    serde_json::Value::Array(list).to_string()
}

/// How often each kind of event happened that did.
pub(super) fn events(counts: &Counts) -> BTreeMap<String, u64> {
    let happened = counts.events.each().filter(|(_, count)| *count > 0);
    happened.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect()
}
