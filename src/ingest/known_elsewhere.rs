//! Attachments of items that other exports brought first. Whether one is in a mail says the export whose mails these are; what
//! only this one's archives have follows as an item of its own, to whomever either export names.

use super::original::NumberedItem;
use super::stager::Stager;
use crate::digest::{ItemId, Sha256};
use crate::export::Item;
use crate::ledger::{AttachmentRow, AttachmentState, FileId, LedgerError, Verdict};

/// A record of another export, which brought the item first.
struct Owner {
    file: FileId,
    record: u64,
    state: AttachmentState,
    /// Of what is in its mail.
    in_a_mail: Option<Sha256>,
}

impl Stager<'_> {
    /// Notes what became of an item's attachments, once it is known what became of the item.
    pub(super) fn note_attachments(&self, item: &NumberedItem, verdict: Verdict) -> Result<(), LedgerError> {
        for found in &item.attachments {
            // An attachment that came later is known by its own bytes.
            let owner = if item.later.is_some() { None } else { self.owner(item, found.ordinal)? };
            match (verdict, owner) {
                // It is settled at the end of the pass.
                (Verdict::Doubtful, _) => {}
                (_, None) => self.tools.scratch.note_attachment(found)?,
                (Verdict::New { .. }, Some(owner)) => {
                    self.tools.scratch.note_attachment(found)?;
                    self.tell(found, &owner)?;
                }
                (Verdict::Duplicate { naming }, Some(owner)) => self.note_known(found, &owner, naming)?,
            }
        }
        Ok(())
    }

    /// Whose the record is; none where it is this export's own, of this pass or an earlier one.
    fn owner(&self, item: &NumberedItem, ordinal: u64) -> Result<Option<Owner>, LedgerError> {
        let ledger = self.tools.ledger;
        let owner = record_of(item, ordinal).map_or(Ok(None), |(time, id)| ledger.item(time, id))?;
        let Some((file, record, _)) = owner.filter(|(file, ..)| *file != self.file) else { return Ok(None) };
        let (state, known) = ledger.attachment_at(file, record)?.unwrap_or((AttachmentState::Missing, None));
        let in_a_mail = known.filter(|_| state != AttachmentState::Missing);
        Ok(Some(Owner { file, record, state, in_a_mail }))
    }

    /// Lets the owner have what it lacks: now, or when it comes for either.
    fn tell(&self, found: &AttachmentRow, owner: &Owner) -> Result<(), LedgerError> {
        let scratch = self.tools.scratch;
        match &found.archive {
            _ if owner.in_a_mail.is_some() => Ok(()),
            Some((archive, _)) => scratch.note_following(owner.file, *archive, owner.record),
            None => scratch.note_shared(found.ordinal, owner.file, owner.record),
        }
    }

    /// Notes an attachment of a record that is a duplicate.
    fn note_known(&self, found: &AttachmentRow, owner: &Owner, naming: bool) -> Result<(), LedgerError> {
        let scratch = self.tools.scratch;
        match (owner.in_a_mail, found.content, &found.archive) {
            (Some(known), Some((sha256, _)), _) if known == sha256 => {
                scratch.note_attachment(&AttachmentRow { state: owner.state, ..found.clone() })
            }
            (_, Some(_), Some((archive, _))) => {
                scratch.note_attachment(&AttachmentRow { state: AttachmentState::Missing, ..found.clone() })?;
                scratch.note_following(self.file, *archive, found.ordinal)?;
                self.surveyed.attached.set_aside(found.ordinal);
                self.tell(found, owner)
            }
            // It is missing in no mail, unless somebody gets one from here.
            (Some(_), None, _) if !naming => Ok(()),
            _ => {
                scratch.note_attachment(found)?;
                self.tell(found, owner)
            }
        }
    }
}

/// The time and id of the record at a place of the export.
fn record_of(item: &NumberedItem, ordinal: u64) -> Option<(i64, ItemId)> {
    match &item.item {
        Item::Chat(_) => Some((item.time, item.id)),
        Item::Transcript(_) => {
            let within = item.within.iter().find(|record| record.ordinal == ordinal);
            within.map(|record| (record.time, record.id))
        }
    }
}
