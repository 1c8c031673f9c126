//! Days and what their exports hold: an empty one, and one with far fewer items than its weekday has.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan};

use super::conditions::{Condition, condition, is_recent};
use super::kind::Kind;
use crate::config::Schedule;
use crate::ledger::Export;

/// How many earlier exports of the weekday say what is usual, and how few say nothing.
const USUAL: std::ops::RangeInclusive<usize> = 4..=8;

/// What the exports of one day hold together.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    available: u64,
    /// Without what was known before, so that an export that comes again does not count twice.
    fresh: u64,
    is_recent: bool,
}

/// The days that hold nothing, or far less than is usual.
pub(super) fn conditions(exports: &[Export], schedule: &Schedule, now: Timestamp) -> Vec<Condition> {
    let days = by_day(exports, schedule, now);
    let judged = days.iter().filter(|(_, day)| day.is_recent);
    judged.filter_map(|(date, day)| of_day(*date, *day, &days)).collect()
}

/// Days that have no export say nothing of those that do, whatever came on them.
fn by_day(exports: &[Export], schedule: &Schedule, now: Timestamp) -> BTreeMap<Date, Day> {
    let mut days: BTreeMap<Date, Day> = BTreeMap::new();
    for export in exports {
        let date = export.date.unwrap_or_else(|| export.received.to_zoned(schedule.time_zone.clone()).date());
        if is_expected(schedule, date) {
            let day = days.entry(date).or_default();
            day.available += export.available;
            day.fresh += export.available.saturating_sub(export.duplicate);
            day.is_recent |= is_recent(export, now);
        }
    }
    days
}

fn is_expected(schedule: &Schedule, date: Date) -> bool {
    schedule.days.contains(&date.weekday()) && !schedule.holidays.contains(&date)
}

fn of_day(date: Date, day: Day, days: &BTreeMap<Date, Day>) -> Option<Condition> {
    let weekday = date.strftime("%A");
    if day.available == 0 {
        let words = format!("the export of {date} ({weekday}) holds no items");
        return Some(condition(Kind::EmptyExport, &date.to_string(), words));
    }
    let earlier = days.range(..date).rev().filter(|(other, _)| other.weekday() == date.weekday());
    let mut usual: Vec<u64> = earlier.take(*USUAL.end()).map(|(_, day)| day.fresh).collect();
    if usual.len() < *USUAL.start() {
        return None;
    }
    usual.sort_unstable();
    let median = u64::midpoint(usual[(usual.len() - 1) / 2], usual[usual.len() / 2]);
    let words = || {
        let (fresh, count) = (day.fresh, usual.len());
        format!("{date} ({weekday}) has {fresh} items; usual are {median}, by its last {count} exports")
    };
    (day.fresh.saturating_mul(4) < median).then(|| condition(Kind::FewerItems, &date.to_string(), words()))
}

/// The first time after an instant at which clocks in the schedule's zone show `time`.
pub(super) fn first_at(schedule: &Schedule, time: Time, after: Timestamp) -> Option<Timestamp> {
    let zone = &schedule.time_zone;
    let today = after.to_zoned(zone.clone()).date();
    (0..=2)
        .filter_map(|ahead| today.checked_add(ahead.days()).ok())
        .filter_map(|date| zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok())
        .map(|zoned| zoned.timestamp())
        .find(|moment| *moment > after)
}
