//! Files among originals and manifests that the ledger does not name: somebody removed what named them, or put them there.

use std::collections::HashSet;
use std::path::Path;

use crate::durable::AtPath;
use crate::ledger::{Ledger, LedgerError};

/// Each of them, as a fault; hidden names are those of files in the making. Where a run works, was killed or failed, nothing is
/// said: it moves a file to its place before it records it, and the next run records the same one.
pub(super) fn strangers(ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
    if ledger.is_run_unfinished()? {
        return Ok(Vec::new());
    }
    let (originals, manifests) = ledger.kept_files()?;
    let mut strangers = Vec::new();
    for (folder, known) in [(ledger.originals(), originals), (ledger.manifests(), manifests)] {
        strangers.extend(unknown(&folder, &known)?);
    }
    Ok(strangers)
}

fn unknown(folder: &Path, known: &HashSet<String>) -> Result<Vec<String>, LedgerError> {
    let mut unknown = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(unknown),
        entries => entries.at(folder)?,
    };
    for entry in entries {
        let name = entry.at(folder)?.file_name();
        if name.to_str().is_none_or(|name| !known.contains(name) && !name.starts_with('.')) {
            unknown.push(format!("{} is named by nothing in the ledger", folder.join(name).display()));
        }
    }
    unknown.sort();
    Ok(unknown)
}
