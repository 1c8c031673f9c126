//! An attachment's bytes, from the encrypted original that holds them: those that were too large for a mail, and any other
//! as long as its original is kept. Nothing is recorded, and nothing readable is left behind.

use std::fs::File;
use std::io::{self, Read, Write};

use super::IngestError;
use super::recorded::recorded_in;
use crate::archive::{self, ArchiveError, Bounds};
use crate::cause::chain;
use crate::decrypt::{self, Caps, Opener, SecretKeys, SurveyError};
use crate::digest::Sha256;
use crate::export::passes::{self, Grouping, Hold, ItemsError, Step, Turn};
use crate::export::{Body, FileData};
use crate::ledger::{FileRow, Ledger, Source, SourcePlace};

/// Writes the attachment with this digest; what is written is what the digest says.
///
/// # Errors
/// Where no attachment with it is known, no original that holds it is kept, or it cannot be read or written.
pub fn extract(ledger: &Ledger, keys: &SecretKeys, sha256: Sha256, out: &mut dyn Write) -> Result<(), IngestError> {
    let mut trouble = IngestError::NothingAsked(format!("no attachment with the SHA-256 {sha256} is known"));
    for source in ledger.attachment_sources(sha256)? {
        let name = &source.file.name;
        let Some(file) = ledger.open_original(source.file.sha256)? else {
            trouble = if ledger.original_removed(source.file.id)? {
                IngestError::original_not_kept(name)
            } else {
                IngestError::original_gone(name)
            };
            continue;
        };
        // It was within the limits when it was taken.
        let caps = Caps { max_plaintext: u64::MAX, max_ratio: u64::MAX };
        let opener = Opener { keys, signers: None, caps };
        let found = match &source.place {
            SourcePlace::Entry(entry) => of_archive(ledger, &file, &opener, &source, entry, sha256),
            SourcePlace::Record(ordinal) => of_export(ledger, &file, &opener, &source.file, *ordinal, sha256),
        };
        match found {
            Ok(mut bytes) => return io::copy(&mut bytes, out).map(drop).map_err(IngestError::Output),
            Err(error) if error.concerns_one_export() => trouble = error,
            Err(error) => return Err(error),
        }
    }
    Err(trouble)
}

fn of_archive(
    ledger: &Ledger,
    file: &File,
    opener: &Opener<'_>,
    source: &Source,
    entry: &str,
    sha256: Sha256,
) -> Result<Box<dyn Read>, IngestError> {
    let all = u64::MAX;
    let bounds = Bounds { max_entries: all, max_plaintext: all, max_ratio: all, encrypted: all, max_kept: all };
    let spool = ledger.spool();
    let read = decrypt::survey(file, opener, |plaintext| {
        archive::read(plaintext, &spool, bounds, &mut |name: &str| name == entry)
    });
    let refused = |error: SurveyError<ArchiveError>| IngestError::original(&source.file.name, &error);
    let contents = read.map_err(refused)?.0;
    let found = contents.entries.iter().find(|found| found.sha256 == sha256).and_then(|found| found.place);
    match (found, contents.kept) {
        (Some(place), Some(kept)) => Ok(Box::new(kept.reader_at(place))),
        _ => Err(not_there(&source.file)),
    }
}

fn of_export(
    ledger: &Ledger,
    file: &File,
    opener: &Opener<'_>,
    row: &FileRow,
    ordinal: u64,
    sha256: Sha256,
) -> Result<Box<dyn Read>, IngestError> {
    let (profile, shape) = recorded_in(ledger, row)?;
    let limits = shape.limits.for_reading();
    let grouping = Grouping { by_day: None, ..shape.grouping() };
    let surveyed = decrypt::survey(file, opener, |plaintext| {
        passes::survey(&profile, limits, Hold::default(), &grouping, &[], plaintext)
    });
    let (survey, proof) = surveyed.map_err(|error| IngestError::original(&row.name, &error))?;
    let mut found = None;
    let read = decrypt::reread(file, opener, &proof, |plaintext| {
        passes::items(&profile, limits, &survey, &grouping, Turn::ALL, plaintext, &mut |step| {
            if let Step::Item { ordinal: at, item } = step
                && at == ordinal
                && let Body::File(file) = item.record.body
                && let FileData::Inside(data) = file.data
                && Sha256::of(&data) == sha256
            {
                found = Some(data);
            }
            Ok::<(), std::fmt::Error>(())
        })
    });
    read.map_err(|error: SurveyError<ItemsError<std::fmt::Error>>| IngestError::Original {
        name: row.name.clone(),
        reason: chain(&error),
    })?;
    let data = found.ok_or_else(|| not_there(row))?;
    Ok(Box::new(io::Cursor::new(data)))
}

fn not_there(row: &FileRow) -> IngestError {
    let reason = "the attachment is not in it; see what icechatd verify says".to_owned();
    IngestError::Original { name: row.name.clone(), reason }
}
