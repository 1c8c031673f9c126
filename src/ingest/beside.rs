//! Files that come beside exports and hold no item, archives of attachments and control totals: recorded when they were read
//! to their end, or remembered in a dry run.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::first::Taken;
use super::held::held_report;
use super::listing::{Listing, Unrecorded};
use super::{IngestError, Tools};
use crate::ledger::{ArchiveRead, AttachmentCounts, EntryRow, FileReport, FileRow};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub entries: Vec<EntryRow>,
    /// The first of what is no file of a chat, and why; and how much there is.
    pub refused: Vec<(String, &'static str)>,
    pub refusals: u64,
    pub signed_by: Option<&'a str>,
}

/// The encrypted file.
pub(super) fn open(tools: &Tools<'_>, row: &FileRow, spooled: Option<&Path>) -> Result<File, IngestError> {
    match spooled {
        Some(path) => File::open(path).map_err(|error| IngestError::open(path, error)),
        None => tools.ledger.open_original(row.sha256)?.ok_or_else(|| IngestError::original_gone(&row.name)),
    }
}

pub(super) fn keep(
    tools: &Tools<'_>,
    row: &FileRow,
    spooled: Option<&Path>,
    unrecorded: &mut Vec<Unrecorded>,
    contents: Contents<'_>,
) -> Result<Taken, IngestError> {
    let Contents { entries, refused, refusals, signed_by } = contents;
    let report = FileReport {
        state: "read".to_owned(),
        reason: None,
        signed_by: signed_by.map(str::to_owned),
        attachments: AttachmentCounts { refused: refusals, ..AttachmentCounts::default() },
        ..held_report(row, "")
    };
    if let Some(path) = spooled {
        let listing = Arc::new(Listing::new(entries));
        unrecorded.push(Unrecorded { row: row.clone(), path: path.to_owned(), listing });
    } else {
        let read = ArchiveRead { entries: &entries, refused: &refused, refusals, signed_by };
        tools.ledger.commit_archive(row, &read, tools.run, (tools.clock)())?;
    }
    Ok(Taken::Read(Box::new(report)))
}
