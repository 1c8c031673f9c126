//! When a run is due and which exports are missing, decided from plain values: now, the zone, what the ledger says.
//!
//! A run is due once for each calendar day of the configured zone, at the configured time; a run that was missed is made
//! up at once. Which days have an export is another question, answered by `schedule.days`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::config::Schedule;

/// The last scheduled moment that is not after `now`.
pub fn last_slot(schedule: &Schedule, now: Timestamp) -> Timestamp {
    let today = now.to_zoned(schedule.time_zone.clone()).date();
    // Two days back: a day that a zone skipped has its moment on the next one.
    (0..=2)
        .filter_map(|back| today.checked_sub(back.days()).ok())
        .filter_map(|date| moment(&schedule.time_zone, date, schedule.at))
        .find(|slot| *slot <= now)
        .unwrap_or(Timestamp::MIN)
}

/// The first scheduled moment after `now`.
pub fn next_slot(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(schedule.time_zone.clone()).date();
    (0..=2)
        .filter_map(|ahead| today.checked_add(ahead.days()).ok())
        .filter_map(|date| moment(&schedule.time_zone, date, schedule.at))
        .find(|slot| *slot > now)
}

/// Whether a run is due: none has been done since the last scheduled moment.
pub fn is_due(schedule: &Schedule, now: Timestamp, last_done: Option<Timestamp>) -> bool {
    last_done.is_none_or(|done| done < last_slot(schedule, now))
}

/// The days from `since` on whose export is still missing though its deadline, on the next day, has passed.
pub fn missing(schedule: &Schedule, now: Timestamp, since: Date, have: &BTreeSet<Date>) -> Vec<Date> {
    since
        .series(1.day())
        .take_while(|date| deadline(schedule, *date).is_some_and(|deadline| deadline <= now))
        .filter(|date| schedule.days.contains(&date.weekday()) && !have.contains(date))
        .collect()
}

/// When the export of a day is missing.
fn deadline(schedule: &Schedule, date: Date) -> Option<Timestamp> {
    moment(&schedule.time_zone, date.tomorrow().ok()?, schedule.deadline)
}

/// A local time as an instant: in a gap the later side, in a fold the first (RFC 5545 3.3.5).
fn moment(zone: &TimeZone, date: Date, time: Time) -> Option<Timestamp> {
    zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Weekday, date, time};

    fn schedule(zone: &str) -> Schedule {
        Schedule {
            at: time(6, 30, 0, 0),
            time_zone: TimeZone::get(zone).unwrap(),
            days: vec![Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday],
            deadline: time(12, 0, 0, 0),
            holidays: BTreeSet::new(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_is_due_once_from_its_time_on() {
        let schedule = schedule("Europe/Berlin");
        assert!(is_due(&schedule, at("2026-11-20T05:30:00Z"), None));
        assert!(!is_due(&schedule, at("2026-11-20T05:29:59Z"), Some(at("2026-11-19T05:30:00Z"))));
        assert!(is_due(&schedule, at("2026-11-20T05:30:00Z"), Some(at("2026-11-19T05:30:00Z"))));
        assert!(!is_due(&schedule, at("2026-11-20T23:00:00Z"), Some(at("2026-11-20T05:30:00Z"))));
        assert!(is_due(&schedule, at("2026-11-25T05:00:00Z"), Some(at("2026-11-20T05:30:00Z"))), "made up");
    }

    /// Minute by minute through clock changes, and through a day that a zone skipped: as many runs as days.
    #[test]
    fn each_day_has_one_run_across_clock_changes() {
        for (zone, start, days, runs) in [
            ("Europe/Berlin", "2026-03-27T12:00:00Z", 4, 4),
            ("Europe/Berlin", "2026-10-23T12:00:00Z", 4, 4),
            ("America/New_York", "2026-03-06T15:00:00Z", 4, 4),
            ("Australia/Lord_Howe", "2026-04-03T00:00:00Z", 4, 4),
            ("Pacific/Apia", "2011-12-28T12:00:00Z", 4, 4),
        ] {
            let mut schedule = schedule(zone);
            schedule.at = time(2, 30, 0, 0);
            let mut now = at(start);
            let mut done = Some(now);
            let mut count = 0;
            for _ in 0..days * 24 * 60 {
                now += 1.minute();
                if is_due(&schedule, now, done) {
                    count += 1;
                    done = Some(now);
                }
            }
            assert_eq!(count, runs, "{zone}");
        }
    }

    #[test]
    fn an_export_is_missing_from_its_deadline_on_and_weekends_have_none() {
        let schedule = schedule("UTC");
        let have = BTreeSet::from([date(2026, 11, 19)]);
        let since = date(2026, 11, 18);
        assert_eq!(missing(&schedule, at("2026-11-19T11:59:59Z"), since, &have), []);
        assert_eq!(missing(&schedule, at("2026-11-19T12:00:00Z"), since, &have), [date(2026, 11, 18)]);
        assert_eq!(
            missing(&schedule, at("2026-11-24T12:00:00Z"), since, &have),
            [date(2026, 11, 18), date(2026, 11, 20), date(2026, 11, 23)],
            "Friday's export does not pass for Monday's, and Saturday has none"
        );
    }

    #[test]
    fn the_next_slot_follows_the_last() {
        let schedule = schedule("America/New_York");
        let now = at("2026-11-01T12:00:00Z");
        assert_eq!(last_slot(&schedule, now), at("2026-11-01T11:30:00Z"));
        assert_eq!(next_slot(&schedule, now), Some(at("2026-11-02T11:30:00Z")));
    }
}
