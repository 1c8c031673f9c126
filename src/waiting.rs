//! What waits for the importer: the oldest commit of which an EML still stands in staging.
//!
//! The manifests say what was placed, staging whether it stands. To ask for all of it would take the longer the more
//! there is, so one asks for the oldest first, and only until something stands. What is gone does not come back, but by a
//! run that puts it there; so whoever asks again goes on where he was.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use crate::ledger::manifest::{Entries, Entry};
use crate::ledger::{Ledger, LedgerError, RunSign, Untaken};
use crate::stage::local::stands;
use crate::stage::{FOLDER, StageError};

/// Why it cannot be said whether something stands.
#[derive(Debug, thiserror::Error)]
pub enum WaitingError {
    /// The manifest, or the ledger itself.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Staging.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl WaitingError {
    /// Whether it is about one manifest alone, which `verify` reports.
    pub fn is_about_a_manifest(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::Damaged(_) | LedgerError::File(_)))
    }
}

/// How far a search has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This stands, as a path from the staging folder on.
    Stands(String),
    /// Nothing of the commit does.
    Gone,
    /// There is more to ask for.
    More,
}

/// The search for the first placement of a commit that stands.
#[derive(Debug)]
pub struct Search {
    commit: Untaken,
    /// Placements that were not seen gone, mailbox and name: of the item that the manifest's reader has come to, and before
    /// anything is read, the one that stood when somebody asked last.
    pending: VecDeque<(String, String)>,
    /// Opened once it is needed.
    entries: Option<Entries>,
}

impl Search {
    /// Begins with what stood when the ledger was told last.
    pub fn of(commit: Untaken) -> Self {
        let pending = commit.standing.as_deref().and_then(placement).into_iter().collect();
        Self { commit, pending, entries: None }
    }

    /// The commit that is searched.
    pub fn commit(&self) -> &Untaken {
        &self.commit
    }

    /// Asks for one further placement, or reads one further line. What stands is asked for again the next time.
    ///
    /// # Errors
    /// Where manifest or staging cannot be read; the next step tries again.
    pub fn step(
        &mut self,
        ledger: &Ledger,
        stands: impl Fn(&str, &str) -> Result<bool, StageError>,
    ) -> Result<Step, WaitingError> {
        if let Some((mailbox, name)) = self.pending.front() {
            if stands(mailbox, name)? {
                return Ok(Step::Stands(format!("{mailbox}/{FOLDER}/{name}")));
            }
            self.pending.pop_front();
            return Ok(Step::More);
        }
        // Left out again where it cannot be read on: then it is read from its beginning.
        let mut entries = match self.entries.take() {
            Some(entries) => entries,
            None => self.commit.manifest.entries(ledger)?,
        };
        match entries.next().transpose()? {
            None => return Ok(Step::Gone),
            Some(Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed)) => {
                let name = placed.name();
                self.pending.extend(placed.mailboxes.into_iter().map(|mailbox| (mailbox, name.clone())));
            }
            Some(_) => {}
        }
        self.entries = Some(entries);
        Ok(Step::More)
    }
}

/// Mailbox and name of a path as [`Step::Stands`] has it.
fn placement(path: &str) -> Option<(String, String)> {
    let (mailbox, rest) = path.split_once('/')?;
    let name = rest.strip_prefix(FOLDER)?.strip_prefix('/')?;
    Some((mailbox.to_owned(), name.to_owned()))
}

/// How things stand with the importer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// When the oldest EML that still stands was committed; none if none stands.
    pub since: Option<Timestamp>,
    /// Whether there was no time to find it: then it is no older than that, and may be gone.
    pub is_unfinished: bool,
    /// Commits of which something may still stand; the newer ones are not asked for.
    pub commits: u64,
}

/// Somebody who asks again and again, who may only look, and who has little time each time.
#[derive(Debug, Default)]
pub struct Observer {
    /// What it remembers holds as long as these do.
    of: Option<(PathBuf, RunSign)>,
    /// The last commit of those seen taken.
    after: i64,
    search: Option<Search>,
}

impl Observer {
    /// How things stand, as far as can be seen until then. Where staging cannot be read, what it held is taken to stand.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn look(&mut self, ledger: &Ledger, staging: &Path, until: Instant) -> Result<Waiting, LedgerError> {
        // A run may put things there once more.
        let of = Some((staging.to_owned(), ledger.run_sign()?));
        if self.of != of {
            *self = Self { of, ..Self::default() };
        }
        loop {
            let mut search = match self.search.take() {
                Some(search) => search,
                None => match ledger.next_untaken(self.after)? {
                    Some(commit) => Search::of(commit),
                    None => return self.say(ledger, None, false),
                },
            };
            let since = Some(search.commit().committed);
            match search.step(ledger, |mailbox, name| stands(staging, mailbox, name)) {
                Ok(Step::Gone) => self.after = search.commit().manifest.seq,
                Err(error) if error.is_about_a_manifest() => self.after = search.commit().manifest.seq,
                Err(WaitingError::Ledger(error)) => return Err(error),
                Ok(Step::Stands(_)) | Err(WaitingError::Stage(_)) => {
                    self.search = Some(search);
                    return self.say(ledger, since, false);
                }
                Ok(Step::More) if Instant::now() >= until => {
                    self.search = Some(search);
                    return self.say(ledger, since, true);
                }
                Ok(Step::More) => self.search = Some(search),
            }
        }
    }

    fn say(&self, ledger: &Ledger, since: Option<Timestamp>, is_unfinished: bool) -> Result<Waiting, LedgerError> {
        Ok(Waiting { since, is_unfinished, commits: ledger.untaken_after(self.after)? })
    }
}
