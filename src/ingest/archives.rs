//! Archives of attachments: read once to their end when they come, so that what is in them is known; and, when nobody can
//! be expected to ask for more, what in them nobody named.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::attached::entry_row;
use super::first::{Taken, held_report, reason};
use super::listing::{Listing, Unrecorded, belong_together};
use super::{IngestError, Tools};
use crate::archive::{self, ArchiveError, Bounds, Contents};
use crate::decrypt::{self, SurveyError};
use crate::events;
use crate::ledger::{ArchiveRead, AttachmentCounts, EntryRow, FileReport, FileRow, FileState, Held};

/// Reads an archive that came. A fault of it is no error: it is held and the others go on. In a dry run it is remembered.
pub(super) fn take(
    tools: &Tools<'_>,
    row: &FileRow,
    spooled: Option<&Path>,
    unrecorded: &mut Vec<Unrecorded>,
) -> Result<Taken, IngestError> {
    let file = match spooled {
        Some(path) => File::open(path).map_err(|error| IngestError::open(path, error))?,
        None => tools.ledger.open_original(row.sha256)?.ok_or_else(|| IngestError::original_gone(&row.name))?,
    };
    tools.watch.survey.begin(&row.name, 0);
    let read = decrypt::survey(&file, &tools.opener(), |plaintext| {
        let plaintext = super::original::Counted { inner: plaintext, progress: tools.watch.survey };
        archive::read(plaintext, &tools.ledger.spool(), bounds(tools, row), &mut |_| false)
    });
    tools.watch.survey.end();
    match read {
        Ok((contents, proof)) => keep(tools, row, spooled, unrecorded, contents, proof.signed_by()),
        Err(error) => hold(tools, row, &file, &error),
    }
}

fn hold(
    tools: &Tools<'_>,
    row: &FileRow,
    file: &File,
    error: &SurveyError<ArchiveError>,
) -> Result<Taken, IngestError> {
    let reason = reason(tools, file, error);
    if !tools.is_dry() {
        let local = match error {
            SurveyError::Decrypt(error) => error.is_local(),
            SurveyError::Content(error) => error.is_local(),
        };
        let held = Held { reason: reason.clone(), local, under: tools.circumstances };
        tools.ledger.hold(row, &held, tools.run)?;
    }
    Ok(Taken::Held { reason })
}

fn keep(
    tools: &Tools<'_>,
    row: &FileRow,
    spooled: Option<&Path>,
    unrecorded: &mut Vec<Unrecorded>,
    contents: Contents,
    signed_by: Option<&str>,
) -> Result<Taken, IngestError> {
    let refused: Vec<_> = contents.refused.into_iter().map(|refused| (refused.name, refused.why.as_str())).collect();
    let entries: Vec<EntryRow> = contents.entries.into_iter().map(entry_row).collect();
    log(row, entries.len(), contents.refusals, signed_by);
    let report = FileReport {
        state: "read".to_owned(),
        reason: None,
        signed_by: signed_by.map(str::to_owned),
        attachments: AttachmentCounts { refused: contents.refusals, ..AttachmentCounts::default() },
        ..held_report(row, "")
    };
    if let Some(path) = spooled {
        let listing = Arc::new(Listing::new(entries));
        unrecorded.push(Unrecorded { row: row.clone(), path: path.to_owned(), listing });
    } else {
        let read = ArchiveRead { entries: &entries, refused: &refused, refusals: contents.refusals, signed_by };
        tools.ledger.commit_archive(row, &read, tools.run, (tools.clock)())?;
    }
    Ok(Taken::Read(Box::new(report)))
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
