//! A file that is held: why, in the ledger and in the report.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;

use super::first::Taken;
use super::{IngestError, Tools};
use crate::archive::ArchiveError;
use crate::books::{Books, Counts};
use crate::cause::chain;
use crate::decrypt::SurveyError;
use crate::export::fault::ExportError;
use crate::ledger::{AttachmentCounts, FileReport, FileRow, Held};

/// A fault of a file's content.
pub(super) trait Fault: Error + 'static {
    /// Whether it is none of the file's, but of this machine: then the file is tried again in any case (contract 8).
    fn is_local(&self) -> bool {
        false
    }
}

impl Fault for ExportError {}

impl Fault for ArchiveError {
    fn is_local(&self) -> bool {
        self.is_local()
    }
}

/// Holds a file that could not be authenticated, decrypted or read to its end.
pub(super) fn hold<E: Fault>(
    tools: &Tools<'_>,
    row: &FileRow,
    file: &File,
    error: &SurveyError<E>,
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

/// Why, in words for an operator.
fn reason<E: Fault>(tools: &Tools<'_>, file: &File, error: &SurveyError<E>) -> String {
    let retired = match error {
        // Both passes read at places of their own, so the file still stands at its beginning.
        SurveyError::Decrypt(refusal) => tools.inputs.retired_key_of(file, refusal),
        SurveyError::Content(_) => None,
    };
    retired.map_or_else(|| chain(error), |retired| chain(&retired))
}

/// The books of an export that was held: no items are counted.
pub(super) fn held_report(row: &FileRow, reason: &str) -> FileReport {
    FileReport {
        name: row.name.clone(),
        sha256: row.sha256,
        bytes: row.bytes,
        date: None,
        export_firm: None,
        state: "held".to_owned(),
        reason: Some(reason.to_owned()),
        dismissed: false,
        signed_by: None,
        books: Books { items: Counts::default(), ..Books::default() },
        unknown: "[]".to_owned(),
        events: BTreeMap::new(),
        unresolved: "[]".to_owned(),
        rejected: Vec::new(),
        attachments: AttachmentCounts::default(),
        supersedes: Vec::new(),
    }
}
