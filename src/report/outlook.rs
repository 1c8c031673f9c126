//! What is to come: when the site is asked next, and which days' exports are looked for or missing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::config::Config;
use crate::ledger::{Ledger, LedgerError, PastRun};
use crate::schedule::{self, End, Next, Past};

/// How things stand with the days' exports, and what happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Days whose export is missing after its deadline.
    pub missing: Vec<Date>,
    /// Days whose export is looked for, and not there yet.
    pub awaited: Vec<Date>,
    /// When the site is asked next; none where the calendar ends.
    pub next: Option<Next>,
}

/// What is to come. `anew` is when something was changed that may have mended what failed before.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn outlook(
    ledger: &Ledger,
    config: &Config,
    now: Timestamp,
    anew: Option<Timestamp>,
) -> Result<Outlook, LedgerError> {
    Ok(Outlook {
        missing: missing_days(ledger, config, now)?,
        awaited: awaited_days(ledger, config, now)?,
        next: next_run(ledger, config, now, anew)?,
    })
}

/// When the site is asked next.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn next_run(
    ledger: &Ledger,
    config: &Config,
    now: Timestamp,
    anew: Option<Timestamp>,
) -> Result<Option<Next>, LedgerError> {
    let schedule = &config.schedule;
    let past = ledger.past_runs(schedule::remembered_since(schedule, now))?;
    let past: Vec<Past> = past.iter().map(as_past).collect();
    let awaited = !awaited_days(ledger, config, now)?.is_empty();
    let next = schedule::next_run(schedule, now, &past, awaited, anew);
    Ok(match (next, ledger.waiting_until()?) {
        (Some(next), Some(until)) => Some(schedule::next_look(now, &past, until, next)),
        (next, _) => next,
    })
}

/// When a replay that is due may be made; none where none is.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn next_replay(ledger: &Ledger, now: Timestamp, anew: Option<Timestamp>) -> Result<Option<Timestamp>, LedgerError> {
    if !ledger.replay_due()? {
        return Ok(None);
    }
    let past: Vec<Past> = ledger.replays_in_vain()?.iter().map(as_past).collect();
    Ok(Some(schedule::next_replay(now, &past, anew)))
}

/// The days whose export is missing after its deadline.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn missing_days(ledger: &Ledger, config: &Config, now: Timestamp) -> Result<Vec<Date>, LedgerError> {
    let (since, have) = days(ledger, config)?;
    Ok(since.map_or(Vec::new(), |since| schedule::missing(&config.schedule, now, since, &have)))
}

/// The days whose export is looked for at this time, and not there yet.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn awaited_days(ledger: &Ledger, config: &Config, now: Timestamp) -> Result<Vec<Date>, LedgerError> {
    let (since, have) = days(ledger, config)?;
    Ok(since.map_or(Vec::new(), |since| schedule::awaited(&config.schedule, now, since, &have)))
}

/// From when on exports are expected, and the days that have one. One that does not say its day, neither inside nor by its
/// name, is taken for that of its arrival.
fn days(ledger: &Ledger, config: &Config) -> Result<(Option<Date>, BTreeSet<Date>), LedgerError> {
    let day = |time: Timestamp| schedule::local_day(&config.schedule, time);
    let mut have = ledger.committed_dates()?;
    have.extend(ledger.undated_arrivals()?.into_iter().map(day));
    // What waits for its attachments has come.
    let (dates, arrivals) = ledger.waiting_days()?;
    have.extend(dates.into_iter().chain(arrivals.into_iter().map(day)));
    Ok((ledger.first_run()?.map(day), have))
}

fn as_past(run: &PastRun) -> Past {
    let end = match (run.good, run.trouble.as_deref()) {
        (true, _) => End::Good,
        (false, Some("login")) => End::Refused,
        (false, Some("stopped")) => End::Stopped,
        (false, _) => End::Failed,
    };
    Past { began: run.began, ended: run.ended.unwrap_or(run.began), end }
}
