//! Archives of attachments: read once to their end when they come, so that what is in them is known; and, when nobody can
//! be expected to ask for more, what in them nobody named.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::attached::entry_row;
use super::first::Taken;
use super::held::hold;
use super::listing::{Unrecorded, belong_together};
use super::{IngestError, Tools, beside};
use crate::archive::{self, Bounds};
use crate::decrypt;
use crate::events;
use crate::ledger::{FileRow, FileState};

/// Reads an archive that came. A fault of it is no error: it is held and the others go on. In a dry run it is remembered.
pub(super) fn take(
    tools: &Tools<'_>,
    row: &FileRow,
    spooled: Option<&Path>,
    unrecorded: &mut Vec<Unrecorded>,
) -> Result<Taken, IngestError> {
    let file = beside::open(tools, row, spooled)?;
    tools.watch.survey.begin(&row.name, 0);
    let read = decrypt::survey(&file, &tools.opener(), |plaintext| {
        let plaintext = super::original::Counted { inner: plaintext, progress: tools.watch.survey };
        archive::read(plaintext, &tools.ledger.spool(), bounds(tools, row), &mut |_| false)
    });
    tools.watch.survey.end();
    let (contents, proof) = match read {
        Ok(read) => read,
        Err(error) => return hold(tools, row, &file, &error),
    };
    let (refusals, signed_by) = (contents.refusals, proof.signed_by());
    let refused = contents.refused.into_iter().map(|refused| (refused.name, refused.why.as_str())).collect();
    let entries: Vec<_> = contents.entries.into_iter().map(entry_row).collect();
    log(row, entries.len(), refusals, signed_by);
    beside::keep(tools, row, spooled, unrecorded, beside::Contents { entries, refused, refusals, signed_by })
}

fn log(row: &FileRow, files: usize, refused: u64, signed_by: Option<&str>) {
    let signed_by = signed_by.unwrap_or("unsigned");
    info!(message_id = events::ARCHIVE_READ, file = row.name, sha256 = %row.sha256, files, refused, signed_by, "archive read");
    if refused > 0 {
        warn!(file = row.name, refused, "the archive holds what is no file of a chat; see icechatd report");
    }
}

fn bounds(tools: &Tools<'_>, row: &FileRow) -> Bounds {
    let limits = &tools.config.limits;
    Bounds {
        max_entries: tools.config.attachments.max_entries,
        max_plaintext: limits.max_plaintext,
        max_ratio: limits.max_ratio,
        encrypted: row.bytes,
        max_kept: 0,
    }
}

/// Until when an export waits for an archive.
pub(super) fn wait_until(tools: &Tools<'_>, came: Timestamp) -> Timestamp {
    let wait = SignedDuration::try_from(tools.config.attachments.wait).unwrap_or(SignedDuration::MAX);
    came.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What no export names of an archive is an orphan once each export that goes with it is staged, or could have been.
pub(super) fn settle(tools: &Tools<'_>) -> Result<(), IngestError> {
    let open = tools.ledger.archives_to_settle()?;
    if open.is_empty() {
        return Ok(());
    }
    let now = (tools.clock)();
    let mut to_come = Vec::new();
    for state in [FileState::Received, FileState::Staging, FileState::Held] {
        to_come.extend(tools.ledger.files_in(state)?);
    }
    let staged = tools.ledger.files_in(FileState::Committed)?;
    for (archive, came) in open {
        let goes_with = |row: &FileRow| belong_together(tools, &row.name, &archive.name);
        let is_named = !to_come.iter().any(goes_with) && staged.iter().any(goes_with);
        if is_named || wait_until(tools, came) <= now {
            let orphans = tools.ledger.settle_archive(archive.id, now)?;
            if orphans > 0 {
                warn!(
                    file = archive.name,
                    orphans, "the archive holds files that no export names; see icechatd report"
                );
            }
        }
    }
    Ok(())
}
