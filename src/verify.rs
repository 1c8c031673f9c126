//! The proof that ledger, chain, manifests and kept originals agree, and what still stands in staging (contract 1, `verify`).

use serde::Serialize;

use crate::config::Config;
use crate::digest::{ItemId, Sha256};
use crate::ledger::manifest::{Entry, Placed, digest_of};
use crate::ledger::{ChainCheck, FileId, FileRow, FileState, Ledger, LedgerError};
use crate::stage::azure::Patience;
use crate::stage::view::{Claim, Found, View};

/// Placements that are looked at together: a container is asked for several at once.
const TOGETHER: usize = 1024;

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Committed exports.
    pub files: u64,
    /// Manifests read and found as committed.
    pub manifests: u64,
    /// Items that the manifests give a place.
    pub items: u64,
    /// Placements the manifests speak of.
    pub placements: u64,
    /// Of those, standing in staging as they were placed.
    pub standing: u64,
    /// Of those, no longer there: the importer took them.
    pub taken: u64,
    /// Originals found as they came.
    pub originals: u64,
    /// Originals that retention removed.
    pub removed: u64,
    /// The chain: how long it is, and the hash of its newest link.
    pub chain: ChainCheck,
    /// What does not agree; empty if all does.
    pub faults: Vec<String>,
}

/// Compares everything, as it was at one moment of the ledger, and looks for a hash of the chain that was noted elsewhere, if
/// there is one. It changes nothing and takes no lock.
///
/// # Errors
/// Where the ledger itself cannot be read.
pub fn verify(ledger: &Ledger, config: &Config, noted: Option<Sha256>) -> Result<Verified, LedgerError> {
    ledger.at_one_moment(|| compare(ledger, config, noted))
}

fn compare(ledger: &Ledger, config: &Config, noted: Option<Sha256>) -> Result<Verified, LedgerError> {
    let mut found = Verified::default();
    if let Err(error) = ledger.check_integrity() {
        found.fault(&error);
    }
    found.chain = ledger.check_chain(noted)?;
    found.faults.append(&mut found.chain.faults);
    found.faults.extend(ledger.altered_shapes()?);
    found.faults.extend(ledger.manifests_astray()?);
    let mut staging = Standing { view: None, claims: Vec::new() };
    match View::of(config, Patience::Work) {
        Ok(view) => staging.view = Some(view),
        Err(error) => found.fault(&error),
    }
    for state in [FileState::Committed, FileState::Held, FileState::Received, FileState::Staging] {
        for file in ledger.files_in(state)? {
            found.original(ledger, &file)?;
            if state == FileState::Committed {
                found.file(ledger, &mut staging, &file)?;
            }
        }
    }
    found.items_recorded(ledger)?;
    Ok(found)
}

/// What is compared with staging.
struct Standing {
    /// None where there is nothing that can be looked at.
    view: Option<View>,
    /// Not looked at yet.
    claims: Vec<Claim>,
}

/// How many records an export's first commit accounted for.
fn first_extent(file: &FileRow) -> u64 {
    file.counts.available + file.merged - file.added
}

impl Verified {
    fn fault(&mut self, error: &dyn std::error::Error) {
        self.faults.push(crate::cause::chain(error));
    }

    fn original(&mut self, ledger: &Ledger, file: &FileRow) -> Result<(), LedgerError> {
        if ledger.original_removed(file.id)? {
            self.removed += 1;
            return Ok(());
        }
        match digest_of(&ledger.original(file.sha256)) {
            Ok(digest) if digest == file.sha256 => self.originals += 1,
            Ok(_) => self.faults.push(format!(
                "the original of {} was changed ({}); give the export again (icechatd ingest FILE) to put it right",
                file.name, file.sha256
            )),
            Err(error) => self.fault(&error),
        }
        Ok(())
    }

    /// The first manifest of an export accounts for every record of it; later ones add copies.
    fn file(&mut self, ledger: &Ledger, staging: &mut Standing, file: &FileRow) -> Result<(), LedgerError> {
        self.files += 1;
        if ledger.is_archive(file.id)? {
            // It has no items; what of it was staged, the manifests of exports say.
            return Ok(());
        }
        let manifests = ledger.recorded_manifests(Some(file.id))?;
        if manifests.is_empty() {
            self.faults.push(format!("{} is committed without a manifest", file.name));
        }
        for (index, manifest) in manifests.iter().enumerate() {
            let mut records = 0;
            let read = manifest.read(ledger, |entry| {
                records += u64::from(!matches!(entry, Entry::Header { .. } | Entry::Copied(_)));
                self.recorded(ledger, file, &entry)?;
                if let Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) = &entry {
                    self.placed(staging, placed);
                }
                Ok::<_, LedgerError>(())
            });
            self.look(staging);
            match read {
                Ok(()) if index == 0 && records != first_extent(file) => self.faults.push(format!(
                    "the manifest of {} has {records} records, the ledger {}",
                    file.name,
                    first_extent(file)
                )),
                Ok(()) => self.manifests += 1,
                Err(error) => self.fault(&error),
            }
        }
        Ok(())
    }

    /// An item that a manifest gives a place, or holds, is in the ledger, and not with another outcome.
    fn recorded(&mut self, ledger: &Ledger, file: &FileRow, entry: &Entry) -> Result<(), LedgerError> {
        let (known, has_place) = match entry {
            Entry::Staged(placed) | Entry::Copied(placed) => (&placed.item, true),
            Entry::Held(placed) => (&placed.item, false),
            _ => return Ok(()),
        };
        let item = match ItemId::from_hex(&known.id) {
            Some(id) => ledger.item(known.time, id)?,
            None => None,
        };
        match item {
            None => self.faults.push(format!("item {} of {} is not in the ledger", known.id, file.name)),
            Some((_, _, true)) if has_place => {
                self.faults.push(format!("item {} of {} is placed, and the ledger holds it", known.id, file.name));
            }
            Some((of, ordinal, _)) if matches!(entry, Entry::Staged(_) | Entry::Held(_)) => {
                if (of, ordinal) != (file.id, known.n) {
                    self.faults.push(format!("item {} of {} is another's in the ledger", known.id, file.name));
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn placed(&mut self, staging: &mut Standing, placed: &Placed) {
        self.items += u64::from(!placed.mailboxes.is_empty());
        let name = placed.name();
        for mailbox in &placed.mailboxes {
            self.placements += 1;
            staging.claims.push(Claim { mailbox: mailbox.clone(), name: name.clone(), eml: placed.eml.clone() });
        }
        if staging.claims.len() >= TOGETHER {
            self.look(staging);
        }
    }

    /// A container that does not answer is one fault, and not asked again.
    fn look(&mut self, staging: &mut Standing) {
        let claims = std::mem::take(&mut staging.claims);
        let Some(view) = &mut staging.view else { return };
        let found = view.compare(&claims).or_else(|error| {
            self.fault(&error);
            if view.without_container() { view.compare(&claims) } else { Ok(Vec::new()) }
        });
        for found in found.into_iter().flatten() {
            match found {
                Found::Gone => self.taken += 1,
                Found::Stands { .. } => self.standing += 1,
                Found::Other(place) => self.faults.push(format!("{place} is not what was placed there")),
                Found::Unseen(error) => self.fault(&error),
            }
        }
    }

    /// The items of each export in the ledger: as many as it staged and holds.
    fn items_recorded(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let recorded = ledger.items_by_file()?;
        let of =
            |id: FileId| recorded.iter().find(|(file, ..)| *file == id).map_or((0, 0), |(_, all, held)| (*all, *held));
        for file in ledger.files_in(FileState::Committed)? {
            let (all, held) = of(file.id);
            let counts = file.counts;
            if all != counts.staged + counts.held || held != counts.held {
                self.faults.push(format!(
                    "the ledger has {all} items of {} ({held} held), its books say {} and {}",
                    file.name,
                    counts.staged + counts.held,
                    counts.held
                ));
            }
            let rejected = ledger.rejected_of(file.id)?.len() as u64;
            if rejected != counts.rejected {
                self.faults.push(format!(
                    "the ledger has {rejected} rejected records of {}, its books say {}",
                    file.name, counts.rejected
                ));
            }
            if !counts.balance() {
                self.faults.push(format!("the books of {} do not balance", file.name));
            }
        }
        Ok(())
    }
}
