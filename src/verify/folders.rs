//! Files among originals and manifests that the ledger does not name: somebody removed what named them, or put them there, or a
//! run was cut off before it recorded them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::durable::AtPath;
use crate::ledger::{Ledger, LedgerError};

/// Those that the ledger does not name as it is now. Hidden names are those of files in the making.
pub(super) fn strangers(ledger: &Ledger) -> Result<Vec<PathBuf>, LedgerError> {
    let (originals, manifests) = ledger.kept_files()?;
    let mut strangers = Vec::new();
    for (folder, known) in [(ledger.originals(), originals), (ledger.manifests(), manifests)] {
        strangers.extend(unknown(&folder, &known)?);
    }
    Ok(strangers)
}

/// Those that are still there and still not named, each as a fault: a run moves a file to its place before it records it. Where
/// one works, was killed or failed, nothing is said, for the next one mostly records the same.
pub(super) fn still_strangers(ledger: &Ledger, seen: Vec<PathBuf>) -> Result<Vec<String>, LedgerError> {
    if seen.is_empty() || ledger.is_run_unfinished()? {
        return Ok(Vec::new());
    }
    let now: HashSet<PathBuf> = strangers(ledger)?.into_iter().collect();
    let still = seen.into_iter().filter(|path| now.contains(path));
    Ok(still
        .map(|path| {
            let path = path.display();
            format!(
                "{path} is named by nothing in the ledger; if a run was cut off, it may have left it: an original is taken in by \
                 icechatd ingest {path}, a manifest can be moved elsewhere"
            )
        })
        .collect())
}

fn unknown(folder: &Path, known: &HashSet<String>) -> Result<Vec<PathBuf>, LedgerError> {
    let mut unknown = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(unknown),
        entries => entries.at(folder)?,
    };
    for entry in entries {
        let name = entry.at(folder)?.file_name();
        if name.to_str().is_none_or(|name| !known.contains(name) && !name.starts_with('.')) {
            unknown.push(folder.join(name));
        }
    }
    unknown.sort();
    Ok(unknown)
}
