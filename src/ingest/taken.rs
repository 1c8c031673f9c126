//! What the importer has taken whole is noted, and its ready list goes. Each run does so after its work.

use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::{IngestError, Tools};
use crate::cause::chain;
use crate::ledger::Untaken;
use crate::stage::Target;
use crate::waiting::{Search, Step, WaitingError};

/// So many commits that were not noted as taken are no daily business.
const MANY: u64 = 200;
/// So many are asked for at once, where nothing stood so far: a container is far away.
const AT_ONCE: usize = 512;
/// As progress shows it.
const SHOWN: &str = "what the importer took";

/// Notes which commits have nothing standing any more. A failure is no failure of the run, whose work is done and
/// recorded: what was not noted is looked at again by the next one.
pub(super) fn note_taken(tools: &Tools<'_>) {
    let Some(target) = tools.target else { return };
    let progress = tools.watch.staging;
    if let Err(error) = note(tools, target) {
        warn!("what the importer took is not noted, the next run looks again: {}", chain(&error));
    }
    progress.end();
}

/// Oldest first, each only until something of it stands; what was noted is never looked at again. So a run that follows
/// years of exports has no more to ask than the first.
fn note(tools: &Tools<'_>, target: &dyn Target) -> Result<(), IngestError> {
    let ledger = tools.ledger;
    let mut after = 0;
    let commits = ledger.untaken_after(after)?;
    if commits > 0 {
        tools.watch.staging.begin(SHOWN, commits);
    }
    if commits > MANY {
        info!("looking which of {commits} commits the importer has taken; after an update this takes its time, once");
    }
    while let Some(commit) = ledger.next_untaken(after)? {
        after = commit.manifest.seq;
        tools.watch.staging.advance(1);
        // What the importer was not told of it cannot have taken.
        if !commit.is_listed {
            continue;
        }
        let mut search = Search::of(commit);
        let found = loop {
            if tools.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            tools.watch.staging.advance(0);
            match search.step(ledger, AT_ONCE, |spots| target.first_standing(spots)) {
                Ok(Step::More) => {}
                Err(error) if !error.is_about_a_manifest() => return Err(error.into()),
                other => break other,
            }
        };
        settle(tools, target, search.commit(), found.ok())?;
    }
    Ok(())
}

/// A manifest that cannot be read keeps nothing: `verify` reports it.
fn settle(tools: &Tools<'_>, target: &dyn Target, commit: &Untaken, found: Option<Step>) -> Result<(), IngestError> {
    match found {
        Some(Step::Stands(path)) if commit.standing.as_ref() != Some(&path) => {
            tools.ledger.note_standing(commit, &path)?;
        }
        Some(Step::Gone) => {
            // The list first: once all is noted nobody looks for it any more.
            for run in tools.ledger.lists_spent_with(commit)? {
                target.remove_list(&run)?;
            }
            tools.ledger.note_taken(commit, (tools.clock)())?;
        }
        _ => {}
    }
    Ok(())
}

impl From<WaitingError> for IngestError {
    fn from(error: WaitingError) -> Self {
        match error {
            WaitingError::Ledger(error) => Self::Ledger(error),
            WaitingError::Stage(error) => Self::Stage(error),
        }
    }
}
