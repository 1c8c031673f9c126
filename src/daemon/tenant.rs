//! The tenant's users: asked for every six hours and before each run, by a child of its own, for it takes minutes where a tenant
//! is large, and days where Microsoft Graph is down. A run waits for an answer that is on its way, but not for long where it can
//! go by an earlier one.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::Daemon;
use super::child::Child;
use crate::directory::source;
use crate::ledger::DirectoryStanding;

/// Between two askings while all is well: of a large tenant each answer is another version, and those are kept for ever.
const EVERY: SignedDuration = SignedDuration::from_hours(6);
/// A run goes by an answer that is no older.
const BEFORE_A_RUN: SignedDuration = SignedDuration::from_mins(15);
/// After one that failed.
const AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// After the settings changed.
const ANEW: SignedDuration = SignedDuration::from_mins(1);
/// What has no answer by then has none; the child itself gives up sooner.
const PATIENCE: Duration = Duration::from_mins(65);
/// So long a run waits for an answer that is on its way, where it can go by an earlier one.
const HOLDS: Duration = Duration::from_mins(12);

/// The asking that goes on, and how the last one ended.
#[derive(Default)]
pub(super) struct Asking {
    pub(super) child: Option<Child>,
    /// When it began, on the clock; what the ledger has from before is not of it.
    since: Timestamp,
    /// When the last one ended, and whether it could not even say that it failed.
    ended: Option<(Instant, bool)>,
}

impl Daemon {
    /// Whether a run may start; has the tenant asked where that is due.
    pub(super) fn tenant_is_asked(&mut self, run_is_due: bool) -> bool {
        if let Some(child) = &self.asking.child {
            let age = child.age();
            if age <= PATIENCE {
                let in_force = self.ledger.version_in_force("directory");
                return age > HOLDS && self.say(in_force).flatten().is_some();
            }
            warn!("the tenant's users were not read within {} minutes; it is tried again", PATIENCE.as_secs() / 60);
            self.tenant_left();
        }
        let config = &self.accepted.config;
        let (Some(settings), Some(entra)) = (&config.mailboxes.graph, &config.entra) else { return true };
        let source = source(entra, settings);
        let standing = self.ledger.directory_standing();
        let Some(standing) = self.say(standing) else { return true };
        // A child that could not even say that it failed must not be started again and again, nor keep runs waiting for ever.
        let rest = |silent: bool| if silent { AGAIN } else { ANEW };
        let is_recent = self.asking.ended.is_some_and(|(at, silent)| at.elapsed() < rest(silent).unsigned_abs());
        if is_recent || !is_due(standing.as_ref(), &source, run_is_due, Timestamp::now()) {
            return true;
        }
        match self.nursery.start(&["mailboxes", "refresh"], &self.accepted.text) {
            Ok(child) => {
                self.asking = Asking { child: Some(child), since: Timestamp::now(), ..Asking::default() };
                false
            }
            Err(error) => {
                self.complain(&format!("the tenant's users cannot be asked for: {error}"));
                true
            }
        }
    }

    /// What came of it stands in the ledger, and what went wrong in the log.
    pub(super) fn tenant_answered(&mut self, ended: io::Result<ExitStatus>) {
        self.tenant_left();
        if let Err(error) = ended {
            warn!("the asking for the tenant's users could not be waited for: {error}");
        }
    }

    /// The child is no more. One that was killed, or could not write, has left no word.
    fn tenant_left(&mut self) {
        self.asking.child = None;
        let standing = self.ledger.directory_standing();
        let tried = self.say(standing).flatten().map(|standing| standing.tried);
        // The ledger knows whole seconds.
        let silent = tried.is_none_or(|tried| tried.as_second() < self.asking.since.as_second());
        if silent {
            warn!(
                "the asking for the tenant's users ended without a word; it is tried again in {} minutes",
                AGAIN.as_mins()
            );
        }
        self.asking.ended = Some((Instant::now(), silent));
    }
}

fn is_due(standing: Option<&DirectoryStanding>, source: &str, run_is_due: bool, now: Timestamp) -> bool {
    let Some(standing) = standing else { return true };
    let wait = if standing.error.is_some() {
        AGAIN
    } else if standing.source != source {
        ANEW
    } else if run_is_due {
        BEFORE_A_RUN
    } else {
        EVERY
    };
    // A clock that was set back is no reason to wait until it has caught up.
    standing.tried > now || now.duration_since(standing.tried) >= wait
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_asked_now_and_then_and_before_a_run_and_is_left_alone_when_it_does_not_answer() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let due = |minutes: i64, error: Option<&str>, source: &str, run_is_due| {
            let tried = now - SignedDuration::from_mins(minutes);
            let error = error.map(str::to_owned);
            let standing = DirectoryStanding { source: "s".to_owned(), tried, error, ..DirectoryStanding::default() };
            is_due(Some(&standing), source, run_is_due, now)
        };
        assert!(is_due(None, "s", false, now));
        assert!(!due(359, None, "s", false) && due(360, None, "s", false));
        assert!(!due(14, None, "s", true) && due(15, None, "s", true));
        assert!(!due(14, Some("down"), "s", true) && due(15, Some("down"), "s", false));
        assert!(!due(0, None, "other", false) && due(1, None, "other", false));
        assert!(due(-5, None, "s", false), "the clock was set back");
    }
}
