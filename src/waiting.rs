//! What waits for the importer: the oldest commit of which an EML still stands in staging.
//!
//! The manifests say what was placed, staging whether it stands. To ask for all of it would take the longer the more
//! there is, so one asks for the oldest first, and only until something stands. What is gone does not come back, but by a
//! run that puts it there; so whoever asks again goes on where he was.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::{Config, Staging};
use crate::ledger::manifest::{Entries, Entry};
use crate::ledger::{Ledger, LedgerError, RunSign, Untaken};
use crate::stage::azure::Patience;
use crate::stage::view::View;
use crate::stage::{FOLDER, Spot, StageError, first_of};

/// How long an observer leaves a container alone that did not answer.
const REST: Duration = Duration::from_mins(1);

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
    pending: VecDeque<Spot>,
    /// Opened once it is needed.
    entries: Option<Entries>,
    /// Whether the manifest has no more.
    is_read: bool,
    /// So many are asked for the next time, if so many are allowed: where the first stand, no more is asked.
    width: usize,
}

impl Search {
    /// Begins with what stood when the ledger was told last.
    pub fn of(commit: Untaken) -> Self {
        let pending = commit.standing.as_deref().and_then(placement).into_iter().collect();
        Self { commit, pending, entries: None, is_read: false, width: 1 }
    }

    /// The commit that is searched.
    pub fn commit(&self) -> &Untaken {
        &self.commit
    }

    /// Asks for further placements, `most` of them at once, or reads one further line. `first_standing` says which of those
    /// it is given is the first that stands. What stands is asked for again the next time.
    ///
    /// # Errors
    /// Where manifest or staging cannot be read; the next step tries again.
    pub fn step(
        &mut self,
        ledger: &Ledger,
        most: usize,
        first_standing: impl Fn(&[Spot]) -> Result<Option<usize>, StageError>,
    ) -> Result<Step, WaitingError> {
        let width = self.width.min(most);
        if !self.pending.is_empty() && (self.pending.len() >= width || self.is_read) {
            let asked = self.pending.len().min(width);
            let standing = first_standing(&self.pending.make_contiguous()[..asked])?;
            self.pending.drain(..standing.unwrap_or(asked));
            self.width = self.width.saturating_mul(4);
            return Ok(match self.pending.front() {
                Some((mailbox, name)) if standing.is_some() => Step::Stands(format!("{mailbox}/{FOLDER}/{name}")),
                _ => Step::More,
            });
        }
        if self.is_read {
            return Ok(Step::Gone);
        }
        // Left out again where it cannot be read on: then it is read from its beginning.
        let mut entries = match self.entries.take() {
            Some(entries) => entries,
            None => self.commit.manifest.entries(ledger)?,
        };
        match entries.next().transpose()? {
            None => {
                self.is_read = true;
                return Ok(if self.pending.is_empty() { Step::Gone } else { Step::More });
            }
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
fn placement(path: &str) -> Option<Spot> {
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
    of: Option<(Staging, RunSign)>,
    /// Opened once it is needed.
    view: Option<View>,
    /// The last commit of those seen taken.
    after: i64,
    search: Option<Search>,
    /// A container that did not answer is left alone so long: whoever waits for it keeps others.
    rests_until: Option<Instant>,
}

impl Observer {
    /// How things stand, as far as can be seen until then. Where staging cannot be read, what it held is taken to stand.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn look(&mut self, ledger: &Ledger, config: &Config, until: Instant) -> Result<Waiting, LedgerError> {
        // A run may put things there once more.
        let of = Some((config.staging.clone(), ledger.run_sign()?));
        if self.of != of {
            *self = Self { of, ..Self::default() };
        }
        let view = match self.view.take() {
            Some(view) => Ok(view),
            None => View::of(config, Patience::Glance),
        };
        let found = self.search_on(ledger, view.as_ref(), until);
        self.view = view.ok();
        found
    }

    fn search_on(
        &mut self,
        ledger: &Ledger,
        view: Result<&View, &StageError>,
        until: Instant,
    ) -> Result<Waiting, LedgerError> {
        loop {
            let mut search = match self.search.take() {
                Some(search) => search,
                None => match ledger.next_untaken(self.after)? {
                    Some(commit) => Search::of(commit),
                    None => return self.say(ledger, None, false),
                },
            };
            let since = Some(search.commit().committed);
            let is_resting = self.rests_until.is_some_and(|until| Instant::now() < until);
            let Some(view) = view.ok().filter(|_| !is_resting) else {
                self.search = Some(search);
                return self.say(ledger, since, false);
            };
            match search.step(ledger, 1, |spots| first_of(spots, |mailbox, name| view.stands(mailbox, name))) {
                Ok(Step::Gone) => self.after = search.commit().manifest.seq,
                Err(error) if error.is_about_a_manifest() => self.after = search.commit().manifest.seq,
                Err(WaitingError::Ledger(error)) => return Err(error),
                Err(WaitingError::Stage(error)) => {
                    let is_far = matches!(error, StageError::Container(_));
                    self.rests_until = is_far.then(|| Instant::now() + REST);
                    self.search = Some(search);
                    return self.say(ledger, since, false);
                }
                Ok(Step::Stands(_)) => {
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
