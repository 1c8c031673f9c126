//! Control totals that come in a file of their own: an export that the profile knows such files for is staged only when
//! one has come that agrees with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tracing::info;

use super::first::{Archives, Plan, Taken};
use super::held::{Fault, hold};
use super::listing::Unrecorded;
use super::original::Surveyed;
use super::{IngestError, Tools, beside};
use crate::cause::chain;
use crate::decrypt;
use crate::events;
use crate::export::files::FileKind;
use crate::export::totals::{Told, compare};
use crate::ledger::FileRow;

/// Bytes of a file of control totals; the largest known are a few lines.
const MAX_TEXT: u64 = 1 << 20;

/// Why a file of control totals cannot be read.
#[derive(Debug, thiserror::Error)]
enum TotalsError {
    #[error("it is longer than {MAX_TEXT} bytes; is this a file of control totals?")]
    TooLong,
    #[error("it is not text in UTF-8; is this a file of control totals?")]
    NoText,
    #[error("reading the decrypted control totals")]
    Input(#[source] io::Error),
}

/// Reads control totals that came. They are recorded as an archive is, for they hold no item either; in a dry run they are
/// remembered.
pub(super) fn take(
    tools: &Tools<'_>,
    row: &FileRow,
    spooled: Option<&Path>,
    unrecorded: &mut Vec<Unrecorded>,
) -> Result<Taken, IngestError> {
    let file = beside::open(tools, row, spooled)?;
    let (_, proof) = match decrypt::survey(&file, &tools.opener(), |plaintext| text(plaintext)) {
        Ok(read) => read,
        Err(error) => return hold(tools, row, &file, &error),
    };
    info!(message_id = events::ARCHIVE_READ, file = row.name, sha256 = %row.sha256, "control totals read");
    let contents = beside::Contents { signed_by: proof.signed_by(), ..beside::Contents::default() };
    beside::keep(tools, row, spooled, unrecorded, contents)
}

impl Fault for TotalsError {}

/// What control totals say of an export.
pub(super) enum Verdict {
    /// They agree, or none are looked for.
    Good,
    /// None have come.
    Absent,
    /// They disagree, or cannot be read any more.
    Wrong(String),
}

/// Holds an export against the newest control totals that go with it.
pub(super) fn judge(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    archives: Archives<'_>,
    surveyed: &Surveyed,
) -> Result<Verdict, IngestError> {
    if plan.profile.sidecar().is_empty() {
        return Ok(Verdict::Good);
    }
    let goes_with = |row: &FileRow| {
        let (export, other) = (plan.profile.role(&plan.row.name), plan.profile.role(&row.name));
        other.kind == FileKind::Totals && export.goes_with(&other)
    };
    let here = archives.unrecorded.iter().rev().find(|one| goes_with(&one.row));
    let (row, file) = if let Some(one) = here {
        (one.row.clone(), File::open(&one.path).map_err(|error| IngestError::open(&one.path, error))?)
    } else {
        let Some(row) = tools.ledger.archive_rows(false)?.into_iter().find(goes_with) else {
            return Ok(Verdict::Absent);
        };
        let file = tools.ledger.open_original(row.sha256)?;
        let file = file.ok_or_else(|| IngestError::original_gone(&row.name))?;
        (row, file)
    };
    let told = match decrypt::survey(&file, &tools.opener(), |plaintext| text(plaintext)) {
        Ok((text, _)) => plan.profile.sidecar().read(&text),
        Err(error) => return Ok(Verdict::Wrong(format!("{}: {}", row.name, chain(&error)))),
    };
    Ok(compared(&told, surveyed, &row.name))
}

fn compared(told: &Told, surveyed: &Surveyed, name: &str) -> Verdict {
    match compare(told, &surveyed.survey.counted) {
        Ok(()) => Verdict::Good,
        Err(fault) => Verdict::Wrong(format!("{fault} (control totals: {name})")),
    }
}

fn text(mut plaintext: impl Read) -> Result<String, TotalsError> {
    let mut bytes = Vec::new();
    plaintext.by_ref().take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(TotalsError::Input)?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(TotalsError::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| TotalsError::NoText)
}
