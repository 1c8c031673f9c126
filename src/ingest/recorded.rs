//! What the ledger recorded, made usable again; and what a run's fate is recorded to have depended on.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::original::NumberedItem;
use super::shape::Shape;
use super::{IngestError, Job, Tools};
use crate::decrypt::Signers;
use crate::digest::{Hasher, Sha256};
use crate::export::identity::item_id;
use crate::export::profile::Profile;
use crate::export::time::utc_day;
use crate::export::{Email, ImId, Person};
use crate::ledger::{FileRow, Ledger, LedgerError, RuleSetId, Unplaced};
use crate::resolve::Rules;

/// Gives an item without MessageID its final id: equal ones are told apart by their order in the export.
pub(super) fn number(tools: &Tools<'_>, item: &mut NumberedItem) -> Result<(), LedgerError> {
    if item.item.record.message_id.is_none() {
        let before = tools.scratch.equal_before(item.id)?;
        item.id = item_id(&item.item, Some(before));
    }
    Ok(())
}

/// What the ledger recorded of how an export is to be read and written.
pub(super) fn recorded(tools: &Tools<'_>, row: &FileRow) -> Result<(Profile, Shape), IngestError> {
    let damaged = |what: &str| LedgerError::Damaged(format!("{what} of {} is not recorded", row.name));
    let digest = row.profile.ok_or_else(|| damaged("the profile"))?;
    let text = String::from_utf8(tools.ledger.shape(digest)?).map_err(|_| damaged("the profile"))?;
    let profile = Profile::parse("recorded profile", &text).map_err(|_| damaged("a readable profile"))?;
    let shape = row.shape.as_deref().ok_or_else(|| damaged("the shape"))?;
    let shape: Shape = serde_json::from_str(shape).map_err(IngestError::shape)?;
    shape.check(&row.name)?;
    Ok((profile, shape))
}

pub(super) fn load_rules(ledger: &Ledger, ids: &[RuleSetId]) -> Result<Rules, IngestError> {
    let sets: Result<Vec<_>, IngestError> =
        ids.iter().map(|id| Ok(Arc::new(crate::inputs::from_stored(&ledger.rules(*id)?)?))).collect();
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
    hasher.field(crate::VERSION.as_bytes());
    hasher.finish()
}

pub(super) fn unknown_json(unknown: &[(String, u64)]) -> String {
    let list: Vec<_> = unknown.iter().map(|(path, count)| serde_json::json!({"path": path, "count": count})).collect();
    serde_json::Value::Array(list).to_string()
}
