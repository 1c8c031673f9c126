//! Each export's account: what its manifests say became of its records, compared with what the ledger knows of them, both
//! ways, so that neither can have one more, one less or another.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::digest::ItemId;
use crate::ledger::manifest::{Entry, Known};
use crate::ledger::{FileId, FileRow, FileState, Ledger, LedgerError};

/// Every committed export's.
pub(super) struct Accounts {
    all: BTreeMap<FileId, Account>,
    /// That of the manifest at hand.
    at: FileId,
    files: u64,
    /// Items that a manifest holds and the ledger does not any more: some later manifest must release each of them.
    released: HashSet<(i64, ItemId)>,
}

/// One export's.
struct Account {
    row: FileRow,
    manifests: u64,
    /// Records that its first manifest accounts for.
    first: u64,
    /// Items that it brought.
    items: u64,
    duplicates: u64,
    skipped: u64,
    /// Places of records that were no items when it was staged.
    rejected: BTreeSet<u64>,
    /// Whether one of its manifests cannot be read, so that nothing is to be said of its numbers.
    spoiled: bool,
}

impl Accounts {
    pub(super) fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let committed = ledger.files_in(FileState::Committed)?;
        let files = committed.len() as u64;
        let mut all = BTreeMap::new();
        for row in committed {
            // An archive has no items; what of it was staged, the manifests of exports say.
            if !ledger.is_archive(row.id)? {
                all.insert(row.id, Account::new(row));
            }
        }
        Ok(Self { all, at: FileId::default(), files, released: HashSet::new() })
    }

    /// How many files are committed.
    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// Takes up a manifest of this file; whether it may have one.
    pub(super) fn begin(&mut self, file: FileId) -> bool {
        self.at = file;
        let Some(account) = self.all.get_mut(&file) else { return false };
        account.manifests += 1;
        true
    }

    /// The manifest at hand cannot be read.
    pub(super) fn spoil(&mut self) {
        if let Some(account) = self.all.get_mut(&self.at) {
            account.spoiled = true;
        }
    }

    /// A line of the manifest at hand, and what of it the ledger does not have, or otherwise.
    pub(super) fn enter(&mut self, ledger: &Ledger, entry: &Entry) -> Result<Option<String>, LedgerError> {
        let Some(account) = self.all.get_mut(&self.at) else { return Ok(None) };
        account.count(entry);
        let (known, has_place) = match entry {
            Entry::Staged(placed) | Entry::Copied(placed) => (&placed.item, true),
            Entry::Held(placed) => (&placed.item, false),
            _ => return Ok(None),
        };
        let Some((id, (of, ordinal, is_held))) = recorded(ledger, known)? else {
            return Ok(Some(format!("item {} of {} is not in the ledger", known.id, account.row.name)));
        };
        if has_place && is_held {
            return Ok(Some(format!("item {} of {} is placed, and the ledger holds it", known.id, account.row.name)));
        }
        match entry {
            Entry::Held(_) if !is_held => drop(self.released.insert((known.time, id))),
            Entry::Copied(_) => drop(self.released.remove(&(known.time, id))),
            _ => {}
        }
        let brought = matches!(entry, Entry::Staged(_) | Entry::Held(_));
        let is_anothers = brought && (of, ordinal) != (self.at, known.n);
        Ok(is_anothers.then(|| format!("item {} of {} is another's in the ledger", known.id, account.row.name)))
    }

    /// What the accounts come to, compared with the ledger's books and rows.
    pub(super) fn faults(&self, ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
        let mut faults = Vec::new();
        let mut items = BTreeMap::new();
        for (file, all, held) in ledger.items_by_file()? {
            if self.all.contains_key(&file) {
                items.insert(file, (all, held));
            } else {
                faults.push(format!("the ledger has {all} items of a file that is not committed"));
            }
        }
        for (file, account) in &self.all {
            let (all, held) = items.get(file).copied().unwrap_or_default();
            faults.extend(account.faults(ledger, all, held)?);
        }
        for (_, id) in &self.released {
            faults.push(format!("item {id} was held, and no manifest says where it was placed since"));
        }
        faults.extend(ledger.held_without_people()?);
        Ok(faults)
    }
}

type Row = (FileId, u64, bool);

fn recorded(ledger: &Ledger, known: &Known) -> Result<Option<(ItemId, Row)>, LedgerError> {
    let Some(id) = ItemId::from_hex(&known.id) else { return Ok(None) };
    Ok(ledger.item(known.time, id)?.map(|row| (id, row)))
}

impl Account {
    fn new(row: FileRow) -> Self {
        let rejected = BTreeSet::new();
        Self { row, manifests: 0, first: 0, items: 0, duplicates: 0, skipped: 0, rejected, spoiled: false }
    }

    /// The first manifest of an export accounts for every record of it; later ones add what came since.
    fn count(&mut self, entry: &Entry) {
        let is_record = !matches!(entry, Entry::Header { .. } | Entry::Copied(_));
        self.first += u64::from(is_record && self.manifests == 1);
        match entry {
            Entry::Staged(_) | Entry::Held(_) => self.items += 1,
            Entry::Duplicate { .. } => self.duplicates += 1,
            Entry::Skipped(_) => self.skipped += 1,
            Entry::Rejected { n, .. } => drop(self.rejected.insert(*n)),
            Entry::Header { .. } | Entry::Copied(_) => {}
        }
    }

    fn faults(&self, ledger: &Ledger, all: u64, held: u64) -> Result<Vec<String>, LedgerError> {
        let (name, counts) = (&self.row.name, self.row.counts);
        let mut faults = Vec::new();
        if self.manifests == 0 {
            faults.push(format!("{name} is committed without a manifest"));
        }
        if all != counts.staged + counts.held || held != counts.held {
            faults.push(format!(
                "the ledger has {all} items of {name} ({held} held), its books say {} and {}",
                counts.staged + counts.held,
                counts.held
            ));
        }
        if !counts.balance() {
            faults.push(format!("the books of {name} do not balance"));
        }
        let rejected: BTreeSet<u64> = ledger.rejected_ordinals(self.row.id)?;
        if rejected.len() as u64 != counts.rejected {
            let (rows, books) = (rejected.len(), counts.rejected);
            faults.push(format!("the ledger has {rows} rejected records of {name}, its books say {books}"));
        }
        if self.manifests == 0 || self.spoiled {
            return Ok(faults);
        }
        // What the first commit accounted for, without what was added since.
        let first = (counts.available + self.row.merged).checked_sub(self.row.added);
        let numbers = [
            ("records, by its first commit", Some(self.first), first),
            ("items", Some(self.items), Some(all)),
            ("duplicates", Some(self.duplicates), Some(counts.duplicate)),
            ("skipped items", Some(self.skipped), Some(counts.skipped)),
        ];
        for (what, manifests, books) in numbers.into_iter().filter(|(_, manifests, books)| manifests != books) {
            let [manifests, books] = [manifests, books].map(Option::unwrap_or_default);
            faults.push(format!("the manifests of {name} have {manifests} {what}, the ledger {books}"));
        }
        if !rejected.is_subset(&self.rejected) {
            faults.push(format!("the ledger has rejected records of {name} that its manifests do not have"));
        }
        Ok(faults)
    }
}
