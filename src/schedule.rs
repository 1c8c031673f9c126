//! When a run is due and which exports are missing, decided from plain values: now, the zone, what the ledger says.
//!
//! A run is due once for each calendar day of the configured zone, at the configured time (a *slot*); one that was missed
//! is made up at once. Which days have an export is another question, answered by `schedule.days` and
//! `schedule.holidays`. When a run is tried again that failed, or found nothing yet, [`next_run`] says.

mod retries;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

pub use self::retries::{End, Next, Past, Why, next_look, next_replay, next_run, remembered_since};
use crate::config::Schedule;

/// The last scheduled moment that is not after `now`.
pub fn last_slot(schedule: &Schedule, now: Timestamp) -> Timestamp {
    // From tomorrow on, for a clock that was set back over midnight; two days back, for a day that a zone skipped has its
    // moment on the next one.
    moments(schedule, now, schedule.at, -1..=2, |day, back| day.checked_sub(back.days()).ok())
        .find(|slot| *slot <= now)
        .unwrap_or(Timestamp::MIN)
}

/// The first scheduled moment after `now`.
pub fn next_slot(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    first_after(schedule, now, schedule.at)
}

/// The first deadline after `now`.
fn next_deadline(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    first_after(schedule, now, schedule.deadline)
}

fn first_after(schedule: &Schedule, now: Timestamp, time: Time) -> Option<Timestamp> {
    moments(schedule, now, time, -1..=2, |day, ahead| day.checked_add(ahead.days()).ok()).find(|moment| *moment > now)
}

/// The moments of the days around today, in the order of `offsets`.
fn moments(
    schedule: &Schedule,
    now: Timestamp,
    time: Time,
    offsets: impl Iterator<Item = i32>,
    day: impl Fn(Date, i32) -> Option<Date>,
) -> impl Iterator<Item = Timestamp> {
    let today = local_day(schedule, now);
    offsets.filter_map(move |offset| moment(&schedule.time_zone, day(today, offset)?, time))
}

/// The calendar day in the configured zone.
pub fn local_day(schedule: &Schedule, time: Timestamp) -> Date {
    time.to_zoned(schedule.time_zone.clone()).date()
}

/// Whether a day has an export.
pub fn is_expected(schedule: &Schedule, day: Date) -> bool {
    schedule.days.contains(&day.weekday()) && !schedule.holidays.contains(&day)
}

/// The days from `since` on whose export is still missing though its deadline, on the next day, has passed.
pub fn missing(schedule: &Schedule, now: Timestamp, since: Date, have: &BTreeSet<Date>) -> Vec<Date> {
    since
        .series(1.day())
        .take_while(|day| deadline(schedule, *day).is_some_and(|deadline| deadline <= now))
        .filter(|day| is_expected(schedule, *day) && !have.contains(day))
        .collect()
}

/// The days from `since` on whose export is looked for at this time and not there yet: from the last slot before its
/// deadline until that.
pub fn awaited(schedule: &Schedule, now: Timestamp, since: Date, have: &BTreeSet<Date>) -> Vec<Date> {
    let today = local_day(schedule, now);
    let is_awaited = |day: &Date| {
        let window = deadline(schedule, *day).map(|deadline| (last_slot(schedule, deadline), deadline));
        window.is_some_and(|(slot, deadline)| slot <= now && now < deadline)
    };
    (-2..=2)
        .rev()
        .filter_map(|back: i32| today.checked_sub(back.days()).ok())
        .filter(|day| *day >= since && is_expected(schedule, *day) && !have.contains(day) && is_awaited(day))
        .collect()
}

/// When the export of a day is missing.
pub fn deadline(schedule: &Schedule, day: Date) -> Option<Timestamp> {
    moment(&schedule.time_zone, day.tomorrow().ok()?, schedule.deadline)
}

/// A local time as an instant: in a gap the later side, in a fold the first (RFC 5545 3.3.5).
fn moment(zone: &TimeZone, day: Date, time: Time) -> Option<Timestamp> {
    zone.to_ambiguous_zoned(day.to_datetime(time)).compatible().ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests;
