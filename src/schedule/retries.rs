//! When the site is asked next: at the next slot, or before it, where a run failed or its export was not there yet.

use jiff::{SignedDuration, Timestamp};

use super::{last_slot, next_deadline, next_slot};
use crate::config::Schedule;

/// The wait after the first failure; it doubles with each further one up to the longest.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(1);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// Between two looks for an export that is not there yet: some twenty of them from a morning's run to noon.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// Who is refused and goes on trying may find the account locked.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_hours(1);

/// A run that asked the site, as the ledger recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When it began.
    pub began: Timestamp,
    /// When it ended; when it began, where nobody knows.
    pub ended: Timestamp,
    /// How it ended.
    pub end: End,
}

/// How a run ended, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what it could.
    Good,
    /// It failed.
    Failed,
    /// The site refused the login.
    Refused,
    /// Someone stopped it.
    Stopped,
}

/// When a run is to be made, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// At once, where it is not after now.
    pub at: Timestamp,
    /// Why then.
    pub why: Why,
}

/// Why a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is the day's run.
    Schedule,
    /// The one before failed.
    Failed,
    /// The site refused the login.
    LoginRefused,
    /// The export was not there yet.
    NoExport,
    /// An export waits for the archive of its attachments.
    Attachments,
}

/// From when on [`next_run`] needs to know of the runs.
pub fn remembered_since(schedule: &Schedule, now: Timestamp) -> Timestamp {
    last_slot(schedule, now).min(now.checked_sub(AFTER_REFUSAL).unwrap_or(Timestamp::MIN))
}

/// When the site is asked next.
///
/// - A slot is done once a run that began in it did not fail, whatever the clock has shown in between: each slot has one
///   such run.
/// - A run that failed is tried again with growing waits, until the first deadline after the first try.
/// - Where a day's export is `awaited` and a run did not find it, the site is asked again until its deadline.
/// - After that, the next slot is next.
/// - A refused login is never tried again within the hour.
///
/// `past` are the runs since [`remembered_since`]; `anew` is when something was changed that may have mended what failed
/// before: the configuration, or the mapping.
pub fn next_run(
    schedule: &Schedule,
    now: Timestamp,
    past: &[Past],
    awaited: bool,
    anew: Option<Timestamp>,
) -> Option<Next> {
    let (slot, end) = (last_slot(schedule, now), next_slot(schedule, now)?);
    let is_done = past.iter().any(|run| run.end == End::Good && (slot..end).contains(&run.began));
    let regular = Next { at: end, why: Why::Schedule };
    let next = if is_done && !awaited {
        regular
    } else {
        let until = |first: Timestamp| next_deadline(schedule, first).unwrap_or(end);
        let since_slot = past.iter().filter(|run| run.ended >= slot && run.ended <= now);
        again(slot, since_slot, anew, until).unwrap_or(regular)
    };
    Some(not_refused_again(next, now, past))
}

/// The next try within a slot; none if there shall be none.
fn again<'a>(
    slot: Timestamp,
    past: impl Iterator<Item = &'a Past> + Clone,
    anew: Option<Timestamp>,
    until: impl Fn(Timestamp) -> Timestamp,
) -> Option<Next> {
    let good = past.clone().filter(|run| run.end == End::Good).max_by_key(|run| run.ended);
    let is_later = |run: &&Past| good.is_none_or(|good| run.ended >= good.ended);
    let is_open = |run: &&Past| match run.end {
        End::Refused => true,
        End::Failed => is_since(run, anew),
        End::Good | End::Stopped => false,
    };
    let failed: Vec<&Past> = past.filter(is_later).filter(is_open).collect();
    let next = match (failed.last(), good) {
        (Some(last), _) if last.end == End::Refused => {
            Next { at: later(last.ended, AFTER_REFUSAL), why: Why::LoginRefused }
        }
        (Some(last), _) => Next { at: later(last.ended, wait_after(failed.len())), why: Why::Failed },
        (None, Some(good)) => Next { at: later(good.ended, LOOK_AGAIN), why: Why::NoExport },
        (None, None) => return Some(Next { at: slot, why: Why::Schedule }),
    };
    let first = failed.first().map_or(slot, |run| run.began.max(slot));
    (next.at < until(first)).then_some(next)
}

/// Whatever else is due, a login that was refused within the hour is not tried again; one that has gone well since is
/// no matter any more. A clock that was set back a little does not hide the refusal.
fn not_refused_again(next: Next, now: Timestamp, past: &[Past]) -> Next {
    let good = past.iter().filter(|run| run.end == End::Good).map(|run| run.ended).max();
    let refused = past.iter().filter(|run| {
        run.end == End::Refused
            && good.is_none_or(|good| run.ended >= good)
            && run.ended.duration_since(now).abs() < AFTER_REFUSAL
    });
    let earliest = refused.map(|run| later(run.ended, AFTER_REFUSAL)).max();
    match earliest {
        Some(at) if next.at < at => Next { at, why: Why::LoginRefused },
        _ => next,
    }
}

/// When the site is asked next where an export waits for an archive until a time: as often as for an export that is not there
/// yet, and at that time in any case. `next` is when it is asked for other reasons; after a failure those count.
pub fn next_look(now: Timestamp, past: &[Past], until: Timestamp, next: Next) -> Next {
    let last = past.iter().filter(|run| run.ended <= now).max_by_key(|run| run.ended);
    match last {
        Some(run) if run.end == End::Good => {
            let again = later(run.ended, LOOK_AGAIN);
            // A run after that time has looked; what waits on all the same is no reason to look without end.
            let at = if until > run.ended { again.min(until) } else { again };
            if at < next.at { Next { at, why: Why::Attachments } } else { next }
        }
        Some(run) if next.why == Why::Schedule => {
            let at = until.max(later(run.ended, LONGEST_WAIT));
            if at < next.at { Next { at, why: Why::Attachments } } else { next }
        }
        None if until < next.at => Next { at: until, why: Why::Attachments },
        _ => next,
    }
}

/// When a replay may be tried that is due: `past` are those since the last good one.
pub fn next_replay(now: Timestamp, past: &[Past], anew: Option<Timestamp>) -> Timestamp {
    let is_open = |run: &&Past| run.end == End::Failed && run.ended <= now && is_since(run, anew);
    let failed = past.iter().filter(is_open);
    let last = failed.clone().map(|run| run.ended).max();
    last.map_or(now, |last| later(last, wait_after(failed.count())))
}

/// Whether a run began under what was changed last: then it says something of how things are now. The ledger knows whole
/// seconds.
fn is_since(run: &Past, anew: Option<Timestamp>) -> bool {
    anew.is_none_or(|anew| run.began.as_second() >= anew.as_second())
}

fn wait_after(failures: usize) -> SignedDuration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
