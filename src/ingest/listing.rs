//! What an archive holds, by what an export may call it; and which archives have what an export names.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::{IngestError, Tools};
use crate::archive::base_of;
use crate::digest::Sha256;
use crate::export::files::FileKind;
use crate::export::identity::reference_key;
use crate::ledger::{EntryRow, FileRow};

/// The files of an archive.
#[derive(Debug)]
pub(super) struct Listing {
    entries: Vec<EntryRow>,
    /// By [`reference_key`]; none where two files are called the same and are not.
    by_key: HashMap<u64, Option<usize>>,
}

impl Listing {
    /// A file is found by its path in the archive; and by the last part of that, where no other file is called so.
    pub(super) fn new(entries: Vec<EntryRow>) -> Self {
        let mut by_key: HashMap<u64, Option<usize>> = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            by_key.insert(reference_key(&entry.name), Some(at));
        }
        let whole: BTreeSet<u64> = by_key.keys().copied().collect();
        for (at, entry) in entries.iter().enumerate() {
            let key = reference_key(base_of(&entry.name));
            if whole.contains(&key) {
                continue;
            }
            by_key
                .entry(key)
                .and_modify(|known| *known = known.filter(|other| entries[*other].sha256 == entry.sha256))
                .or_insert(Some(at));
        }
        Self { entries, by_key }
    }

    /// The place in the listing of the file that is called so.
    pub(super) fn find(&self, reference: &str) -> Option<usize> {
        let at = self.find_key(reference_key(reference))?;
        let name = &self.entries[at].name;
        (name == reference || base_of(name) == reference).then_some(at)
    }

    /// The place of the file that is called what this is the key of.
    pub(super) fn find_key(&self, key: u64) -> Option<usize> {
        self.by_key.get(&key).copied().flatten()
    }

    /// Whether a file is called what this is the key of.
    pub(super) fn has(&self, key: u64) -> bool {
        self.find_key(key).is_some()
    }

    pub(super) fn entry(&self, at: usize) -> &EntryRow {
        &self.entries[at]
    }
}

/// An archive that a dry run read: nothing of it is recorded.
#[derive(Debug)]
pub(super) struct Unrecorded {
    pub row: FileRow,
    pub path: PathBuf,
    pub listing: Arc<Listing>,
}

/// Which archives have what an export names.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// By the digests of their ciphertexts, in the order in which they are asked.
    pub archives: Vec<Sha256>,
    /// How much none of them has.
    pub missing: usize,
}

/// Asks the archives that go with an export, the newest first, for what it names.
pub(super) fn choose(
    tools: &Tools<'_>,
    row: &FileRow,
    references: &BTreeSet<u64>,
    unrecorded: &[Unrecorded],
) -> Result<Chosen, IngestError> {
    let mut chosen = Chosen::default();
    let mut open = references.clone();
    let mut ask = |sha256: Sha256, listing: &Listing| {
        let before = open.len();
        open.retain(|key| !listing.has(*key));
        if open.len() < before {
            chosen.archives.push(sha256);
        }
        open.is_empty()
    };
    if references.is_empty() {
        return Ok(chosen);
    }
    for archive in unrecorded.iter().rev().filter(|archive| belong_together(tools, &row.name, &archive.row.name)) {
        ask(archive.row.sha256, &archive.listing);
    }
    for archive in tools.ledger.archive_rows(false)? {
        if belong_together(tools, &row.name, &archive.name)
            && ask(archive.sha256, &Listing::new(tools.ledger.entries_of(archive.id)?))
        {
            break;
        }
    }
    chosen.missing = open.len();
    Ok(chosen)
}

/// Whether an export and an archive belong together, as today's profile has it.
pub(super) fn belong_together(tools: &Tools<'_>, export: &str, archive: &str) -> bool {
    let (export, archive) = (tools.inputs.profile.role(export), tools.inputs.profile.role(archive));
    export.kind == FileKind::Export && archive.kind == FileKind::Attachments && export.goes_with(&archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, text: &str) -> EntryRow {
        EntryRow { name: name.to_owned(), sha256: Sha256::of(text.as_bytes()), bytes: text.len() as u64 }
    }

    #[test]
    fn a_file_is_found_by_its_path_and_by_its_name_where_there_is_one() {
        let listing = Listing::new(vec![
            entry("F-1", "1"),
            entry("a/F-2", "2"),
            entry("a/twice", "same"),
            entry("b/twice", "same"),
            entry("a/other", "one"),
            entry("b/other", "another"),
            entry("c/F-1", "hidden behind the one without a folder"),
        ]);
        let found = |reference: &str| listing.find(reference).map(|at| listing.entry(at).name.as_str());
        assert_eq!(found("F-1"), Some("F-1"));
        assert_eq!((found("a/F-2"), found("F-2")), (Some("a/F-2"), Some("a/F-2")));
        assert_eq!(found("twice"), Some("a/twice"));
        assert_eq!((found("other"), found("b/other")), (None, Some("b/other")));
        assert_eq!((found("c/F-1"), found("a"), found("")), (Some("c/F-1"), None, None));
        assert!(listing.has(reference_key("F-2")) && !listing.has(reference_key("other")));
    }
}
