//! The proof that ledger, chain, manifests and kept originals agree, and what still stands in staging (contract 1, `verify`).

mod account;
mod folders;

use std::path::PathBuf;

use serde::Serialize;

use self::account::Accounts;
use crate::config::Config;
use crate::digest::Sha256;
use crate::ledger::manifest::{Entry, Placed, digest_of};
use crate::ledger::{ChainCheck, FileRow, FileState, Ledger, LedgerError};
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
    /// Originals that were not there, and why not: retention may have removed them since.
    #[serde(skip)]
    missing: Vec<(FileRow, String)>,
    /// Files that nothing named: a run may have recorded them since.
    #[serde(skip)]
    strangers: Vec<PathBuf>,
}

/// Compares everything, as it was at one moment of the ledger, and looks for a hash of the chain that was noted elsewhere, if
/// there is one. It changes nothing and takes no lock.
///
/// # Errors
/// Where the ledger itself cannot be read.
pub fn verify(ledger: &Ledger, config: &Config, noted: Option<Sha256>) -> Result<Verified, LedgerError> {
    let mut found = ledger.at_one_moment(|| compare(ledger, config, noted))?;
    for (file, fault) in std::mem::take(&mut found.missing) {
        if ledger.original_removed(file.id)? {
            found.removed += 1;
        } else {
            found.faults.push(fault);
        }
    }
    let strangers = std::mem::take(&mut found.strangers);
    found.part(folders::still_strangers(ledger, strangers));
    Ok(found)
}

fn compare(ledger: &Ledger, config: &Config, noted: Option<Sha256>) -> Result<Verified, LedgerError> {
    let mut found = Verified::default();
    // Each for itself: what one of them cannot read does not hide what the others find.
    found.part(ledger.check_integrity().map(|()| Vec::new()));
    match ledger.check_chain(noted) {
        Ok(chain) => found.chain = chain,
        Err(error) => found.fault(&error),
    }
    found.faults.append(&mut found.chain.faults);
    found.part(ledger.altered_shapes());
    found.part(ledger.books_astray());
    match folders::strangers(ledger) {
        Ok(strangers) => found.strangers = strangers,
        Err(error) => found.fault(&error),
    }
    let mut staging = Standing { view: None, claims: Vec::new() };
    match View::of(config, Patience::Work) {
        Ok(view) => staging.view = Some(view),
        Err(error) => found.fault(&error),
    }
    for state in [FileState::Committed, FileState::Held, FileState::Received, FileState::Staging, FileState::Superseded]
    {
        for file in ledger.files_in(state)? {
            found.original(ledger, file)?;
        }
    }
    found.accounts(ledger, &mut staging)?;
    Ok(found)
}

/// What is compared with staging.
struct Standing {
    /// None where there is nothing that can be looked at.
    view: Option<View>,
    /// Not looked at yet.
    claims: Vec<Claim>,
}

impl Verified {
    fn fault(&mut self, error: &dyn std::error::Error) {
        self.faults.push(crate::cause::chain(error));
    }

    fn part(&mut self, faults: Result<Vec<String>, LedgerError>) {
        match faults {
            Ok(faults) => self.faults.extend(faults),
            Err(error) => self.fault(&error),
        }
    }

    fn original(&mut self, ledger: &Ledger, file: FileRow) -> Result<(), LedgerError> {
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
            Err(error) => self.missing.push((file, crate::cause::chain(&error))),
        }
        Ok(())
    }

    /// Every manifest in the order of the commits, so that an item is held before it is released.
    fn accounts(&mut self, ledger: &Ledger, staging: &mut Standing) -> Result<(), LedgerError> {
        let mut accounts = Accounts::of(ledger)?;
        self.files = accounts.files();
        for manifest in ledger.recorded_manifests(None)? {
            let name = &manifest.finished.name;
            if !accounts.begin(manifest.file) {
                self.faults.push(format!("manifest {name} is of a file that is not committed, or an archive"));
                continue;
            }
            let read = manifest.read(&ledger.manifests(), |entry| {
                self.faults.extend(accounts.enter(ledger, &entry)?);
                if let Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) = &entry {
                    self.placed(staging, placed);
                }
                Ok::<_, LedgerError>(())
            });
            self.look(staging);
            match read {
                Ok(()) => self.manifests += 1,
                Err(error) => {
                    accounts.spoil();
                    self.fault(&error);
                }
            }
        }
        self.faults.extend(accounts.faults(ledger)?);
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
}
