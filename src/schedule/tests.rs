//! The day's run, what is tried again and when, and the days that are looked for or missing, by tables.

use super::*;
use jiff::SignedDuration;
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

/// A run that took ten seconds.
fn run(began: &str, end: End) -> Past {
    let began = at(began);
    Past { began, ended: began + SignedDuration::from_secs(10), end }
}

/// When and why the next run is, in a firm that follows UTC.
fn next(now: &str, past: &[Past], awaited: bool) -> (String, Why) {
    let next = next_run(&schedule("UTC"), at(now), past, awaited, None).unwrap();
    (next.at.to_string(), next.why)
}

fn is_due(schedule: &Schedule, now: Timestamp, past: &[Past]) -> bool {
    next_run(schedule, now, past, false, None).unwrap().at <= now
}

#[test]
fn a_run_is_due_once_from_its_time_on() {
    let schedule = schedule("Europe/Berlin");
    let good = |began| run(began, End::Good);
    assert!(is_due(&schedule, at("2026-11-20T05:30:00Z"), &[]));
    assert!(!is_due(&schedule, at("2026-11-20T05:29:59Z"), &[good("2026-11-19T05:30:00Z")]));
    assert!(is_due(&schedule, at("2026-11-20T05:30:00Z"), &[good("2026-11-19T05:30:00Z")]));
    assert!(!is_due(&schedule, at("2026-11-20T23:00:00Z"), &[good("2026-11-20T05:30:00Z")]));
    assert!(is_due(&schedule, at("2026-11-25T05:00:00Z"), &[good("2026-11-20T05:30:00Z")]), "made up");
}

/// A clock that is put right may show a time before the run that was made for this slot: it counts all the same. A run
/// of a slot that is still to come does not.
#[test]
fn a_clock_that_is_set_back_brings_no_second_run_and_keeps_none_away() {
    let schedule = schedule("UTC");
    let today = run("2026-11-20T06:30:05Z", End::Good);
    assert!(!is_due(&schedule, at("2026-11-20T06:30:02Z"), &[today]));
    assert!(!is_due(&schedule, at("2026-11-20T06:10:00Z"), &[run("2026-11-19T06:30:05Z", End::Good), today]));
    assert!(is_due(&schedule, at("2026-11-20T06:30:00Z"), &[run("2027-02-01T06:30:00Z", End::Good)]));
}

#[test]
fn a_run_that_failed_is_tried_again_until_the_deadline_and_then_on_the_next_day() {
    let mut past = Vec::new();
    let mut waits = Vec::new();
    let mut now = at("2026-11-20T06:30:00Z");
    while waits.len() < 20 {
        past.push(Past { began: now, ended: now, end: End::Failed });
        let next = next_run(&schedule("UTC"), now, &past, true, None).unwrap();
        if next.why == Why::Schedule {
            assert_eq!(next.at, at("2026-11-21T06:30:00Z"));
            break;
        }
        assert_eq!(next.why, Why::Failed);
        waits.push(next.at.duration_since(now).as_mins());
        now = next.at;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], "then it is 11:33");
    // The day after, the waits begin anew.
    let now = at("2026-11-21T06:30:00Z");
    past.push(Past { began: now, ended: now, end: End::Failed });
    assert_eq!(next("2026-11-21T06:30:30Z", &past, false), ("2026-11-21T06:31:00Z".to_owned(), Why::Failed));
}

/// The machine was off until the afternoon: what is made up then is not given up because noon has passed.
#[test]
fn a_late_first_try_has_until_the_next_deadline() {
    let failed = run("2026-11-20T15:00:00Z", End::Failed);
    assert_eq!(next("2026-11-20T15:00:20Z", &[failed], false), ("2026-11-20T15:01:10Z".to_owned(), Why::Failed));
}

#[test]
fn what_was_changed_or_stopped_is_tried_at_once_and_a_refused_login_is_not() {
    let schedule = schedule("UTC");
    let now = at("2026-11-20T07:00:00Z");
    let failed = [run("2026-11-20T06:30:00Z", End::Failed), run("2026-11-20T06:59:00Z", End::Failed)];
    let next = |past: &[Past], anew| next_run(&schedule, now, past, false, anew).unwrap();
    assert!(next(&failed, None).at > now);
    assert!(next(&failed, Some(at("2026-11-20T06:59:05Z"))).at <= now, "it had begun before the change");
    assert!(next(&failed, Some(at("2026-11-20T06:59:00.7Z"))).at > now, "it began within the second of the change");
    assert!(next(&failed, Some(at("2026-11-20T06:50:00Z"))).at > now);
    assert!(next(&[run("2026-11-20T06:59:00Z", End::Stopped)], None).at <= now);
    let refused = next(&[run("2026-11-20T06:59:00Z", End::Refused)], Some(now));
    assert_eq!(refused, Next { at: at("2026-11-20T07:59:10Z"), why: Why::LoginRefused });
}

#[test]
fn a_refused_login_is_tried_once_an_hour_whatever_else_is_due() {
    let refused = |began| run(began, End::Refused);
    let hour = |at: &str| (at.to_owned(), Why::LoginRefused);
    // By hand, before the slot.
    assert_eq!(next("2026-11-20T06:30:00Z", &[refused("2026-11-20T06:00:00Z")], false), hour("2026-11-20T07:00:10Z"));
    // Where the clock was set back since.
    assert_eq!(next("2026-11-20T06:40:00Z", &[refused("2026-11-20T06:59:50Z")], false), hour("2026-11-20T08:00:00Z"));
    // Another failure since does not hide it.
    let past = [refused("2026-11-20T06:30:00Z"), run("2026-11-20T06:40:00Z", End::Failed)];
    assert_eq!(next("2026-11-20T06:41:00Z", &past, false), hour("2026-11-20T07:30:10Z"));
    // A run that went well since does.
    let past = [refused("2026-11-20T06:30:00Z"), run("2026-11-20T06:40:00Z", End::Good)];
    assert_eq!(next("2026-11-20T06:41:00Z", &past, true), ("2026-11-20T06:55:10Z".to_owned(), Why::NoExport));
    // The last try before the deadline is the last.
    let past = [refused("2026-11-20T10:30:00Z"), refused("2026-11-20T11:31:00Z")];
    assert_eq!(next("2026-11-20T11:32:00Z", &past, false), ("2026-11-21T06:30:00Z".to_owned(), Why::Schedule));
}

#[test]
fn an_export_that_is_not_there_yet_is_looked_for_until_its_deadline() {
    let good = run("2026-11-20T06:30:00Z", End::Good);
    assert_eq!(next("2026-11-20T06:31:00Z", &[good], false), ("2026-11-21T06:30:00Z".to_owned(), Why::Schedule));
    assert_eq!(next("2026-11-20T06:31:00Z", &[good], true), ("2026-11-20T06:45:10Z".to_owned(), Why::NoExport));
    let last = run("2026-11-20T11:50:00Z", End::Good);
    assert_eq!(next("2026-11-20T11:51:00Z", &[good, last], true), ("2026-11-21T06:30:00Z".to_owned(), Why::Schedule));
    // The site goes down in between.
    let failed = run("2026-11-20T06:45:00Z", End::Failed);
    assert_eq!(next("2026-11-20T06:46:00Z", &[good, failed], true), ("2026-11-20T06:46:10Z".to_owned(), Why::Failed));
}

#[test]
fn days_are_awaited_from_the_last_slot_before_their_deadline_on() {
    let mut schedule = schedule("UTC");
    let since = date(2026, 11, 1);
    let days = |schedule: &Schedule, now: &str| awaited(schedule, at(now), since, &BTreeSet::new());
    assert_eq!(days(&schedule, "2026-11-20T06:29:59Z"), []);
    assert_eq!(days(&schedule, "2026-11-20T06:30:00Z"), [date(2026, 11, 19)]);
    assert_eq!(days(&schedule, "2026-11-20T12:00:00Z"), [], "then it is missing");
    assert_eq!(days(&schedule, "2026-11-23T06:30:00Z"), [], "Sunday has none");
    schedule.holidays.insert(date(2026, 11, 19));
    assert_eq!(days(&schedule, "2026-11-20T06:30:00Z"), []);
    // A firm that fetches a day's export in the evening.
    schedule.at = time(22, 0, 0, 0);
    assert_eq!(days(&schedule, "2026-11-20T22:00:00Z"), [date(2026, 11, 20)]);
    assert_eq!(days(&schedule, "2026-11-21T11:59:59Z"), [date(2026, 11, 20)]);
    assert_eq!(awaited(&schedule, at("2026-11-20T22:00:00Z"), date(2026, 11, 21), &BTreeSet::new()), []);
    assert_eq!(awaited(&schedule, at("2026-11-20T22:00:00Z"), since, &BTreeSet::from([date(2026, 11, 20)])), []);
}

#[test]
fn an_export_is_missing_from_its_deadline_on_and_weekends_have_none() {
    let mut schedule = schedule("UTC");
    let have = BTreeSet::from([date(2026, 11, 19)]);
    let since = date(2026, 11, 18);
    assert_eq!(missing(&schedule, at("2026-11-19T11:59:59Z"), since, &have), []);
    assert_eq!(missing(&schedule, at("2026-11-19T12:00:00Z"), since, &have), [date(2026, 11, 18)]);
    assert_eq!(
        missing(&schedule, at("2026-11-24T12:00:00Z"), since, &have),
        [date(2026, 11, 18), date(2026, 11, 20), date(2026, 11, 23)],
        "Friday's export does not pass for Monday's, and Saturday has none"
    );
    schedule.holidays = BTreeSet::from([date(2026, 11, 20), date(2026, 11, 21)]);
    assert_eq!(
        missing(&schedule, at("2026-11-24T12:00:00Z"), since, &have),
        [date(2026, 11, 18), date(2026, 11, 23)],
        "nor has a holiday"
    );
}

#[test]
fn the_next_slot_follows_the_last() {
    let schedule = schedule("America/New_York");
    let now = at("2026-11-01T12:00:00Z");
    assert_eq!(last_slot(&schedule, now), at("2026-11-01T11:30:00Z"));
    assert_eq!(next_slot(&schedule, now), Some(at("2026-11-02T11:30:00Z")));
}

#[test]
fn a_replay_waits_longer_with_each_failure_and_not_at_all_after_a_change() {
    let now = at("2026-11-20T12:00:00Z");
    let failed = ["2026-11-20T11:49:50Z", "2026-11-20T11:58:50Z"].map(|began| run(began, End::Failed));
    assert_eq!(next_replay(now, &[], None), now);
    assert_eq!(next_replay(now, &failed[..1], None), at("2026-11-20T11:51:00Z"));
    assert_eq!(next_replay(now, &failed, None), at("2026-11-20T12:01:00Z"));
    assert_eq!(next_replay(now, &failed, Some(now)), now);
    assert_eq!(
        next_replay(now, &[failed[0], run("2026-11-20T11:59:00Z", End::Stopped)], None).as_second() % 3600,
        51 * 60
    );
    assert_eq!(next_replay(at("2026-11-20T11:00:00Z"), &failed, None), at("2026-11-20T11:00:00Z"));
}

/// While an export waits for its archive the site is looked at each quarter of an hour and once when the time is over; what
/// waits on after that is no reason to look without end.
#[test]
fn an_export_that_waits_is_looked_at_and_not_without_end() {
    let regular = Next { at: at("2026-11-21T06:30:00Z"), why: Why::Schedule };
    let look = |past: &[Past], now: &str| {
        let next = next_look(at(now), past, at("2026-11-20T10:00:00Z"), regular);
        (next.at.to_string(), next.why)
    };
    let then = |time: &str| (format!("2026-11-20T{time}Z"), Why::Attachments);
    let good = |began: &str| run(&format!("2026-11-20T{began}Z"), End::Good);
    let failed = |began: &str| run(&format!("2026-11-20T{began}Z"), End::Failed);
    assert_eq!(look(&[], "2026-11-20T09:00:00Z"), then("10:00:00"));
    assert_eq!(look(&[good("09:00:00")], "2026-11-20T09:01:00Z"), then("09:15:10"));
    assert_eq!(look(&[good("09:55:00")], "2026-11-20T09:56:00Z"), then("10:00:00"));
    // The time is over, a run has looked, and it waits on: the next look is no sooner than any other.
    for (began, expected) in [("10:00:00", "10:15:10"), ("10:15:10", "10:30:20"), ("23:00:00", "23:15:10")] {
        assert_eq!(look(&[good(began)], "2026-11-20T23:01:00Z"), then(expected));
    }
    // A failure counts first; where nothing is tried again because of it, this is, after the longest wait.
    assert_eq!(look(&[good("09:00:00"), failed("09:15:00")], "2026-11-20T09:16:00Z"), then("10:15:10"));
}
