//! Attachments of items that other exports brought first. Whether one is in a mail says the export whose mails these are; what
//! only this one's archives have follows as an item of its own, to whomever either export names.

use super::original::NumberedItem;
use super::stager::Stager;
use crate::digest::ItemId;
use crate::export::Item;
use crate::ledger::{AttachmentRow, AttachmentState, LedgerError, Verdict};

impl Stager<'_> {
    /// Notes what became of an item's attachments, once it is known what became of the item.
    pub(super) fn note_attachments(&self, item: &NumberedItem, verdict: Verdict) -> Result<(), LedgerError> {
        for found in &item.attachments {
            match verdict {
                Verdict::New { .. } => self.tools.scratch.note_attachment(found)?,
                // An attachment that came later is known by its own bytes.
                Verdict::Duplicate { .. } if item.later.is_some() => self.tools.scratch.note_attachment(found)?,
                Verdict::Duplicate { .. } => self.note_known(found, record_of(item, found.ordinal))?,
                // It is settled at the end of the pass.
                Verdict::Doubtful => {}
            }
        }
        Ok(())
    }

    /// Notes an attachment of a record that an earlier item is.
    fn note_known(&self, found: &AttachmentRow, record: Option<(i64, ItemId)>) -> Result<(), LedgerError> {
        let (ledger, scratch) = (self.tools.ledger, self.tools.scratch);
        let owner = record.map_or(Ok(None), |(time, id)| ledger.item(time, id))?;
        // The pass's own, or of an earlier pass over this export, has been noted with the same archives.
        let Some((file, ordinal, _)) = owner.filter(|(file, ..)| *file != self.file) else {
            return scratch.note_attachment(found);
        };
        let (state, known) = ledger.attachment_at(file, ordinal)?.unwrap_or((AttachmentState::Missing, None));
        let in_a_mail = known.filter(|_| state != AttachmentState::Missing);
        match (in_a_mail, found.content, &found.archive) {
            (Some(known), Some((sha256, _)), _) if known == sha256 => {
                scratch.note_attachment(&AttachmentRow { state, ..found.clone() })
            }
            (_, Some(_), Some((archive, _))) => {
                scratch.note_attachment(&AttachmentRow { state: AttachmentState::Missing, ..found.clone() })?;
                scratch.note_following(self.file, *archive, found.ordinal)?;
                self.surveyed.attached.set_aside(found.ordinal);
                // Whom the first export names and this one does not have a right to it too.
                if in_a_mail.is_none() { scratch.note_following(file, *archive, ordinal) } else { Ok(()) }
            }
            (Some(_), None, _) => Ok(()),
            (None, None, _) | (_, Some(_), None) => scratch.note_attachment(found),
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
