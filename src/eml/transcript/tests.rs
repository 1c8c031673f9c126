//! Times of a day that has two offsets, and names of files that come twice.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::clock::Clock;
use crate::export::transcript::Transcript;

#[test]
fn a_time_with_another_offset_says_so() {
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let transcript = Transcript {
        room: std::sync::Arc::default(),
        day: jiff::civil::date(2026, 11, 1),
        part: 1,
        continues: false,
        ordinal: 0,
        time: time("2026-11-01T05:30:00Z"),
        lines: Vec::new(),
        attendance: Vec::new(),
        participants: Vec::new(),
    };
    let clock = Clock::new(&TimeZone::get("America/New_York").unwrap(), &transcript);
    assert_eq!(clock.zone(), "America/New_York (UTC-04:00)");
    assert_eq!(clock.day(), "Sunday, 1 November 2026");
    assert_eq!(clock.time(time("2026-11-01T05:30:00Z")), "01:30:00");
    assert_eq!(clock.time(time("2026-11-01T06:30:00.5Z")), "01:30:00.5 UTC-05:00");
    assert_eq!(clock.time(time("2026-11-02T06:30:00Z")), "2026-11-02 01:30:00 UTC-05:00");
    assert_eq!(Clock::new(&TimeZone::UTC, &transcript).zone(), "UTC");
}

#[test]
fn files_of_one_mail_have_names_of_their_own() {
    let mut names = HashMap::new();
    let given = ["a.pdf", "A.PDF", "a.pdf", "a (2).pdf", "b", "b", ".profile", ".profile"];
    let distinct: Vec<String> = given.iter().map(|name| super::distinct(name, &mut names)).collect();
    assert_eq!(
        distinct,
        ["a.pdf", "A (2).PDF", "a (3).pdf", "a (2) (2).pdf", "b", "b (2)", ".profile", ".profile (2)"]
    );
}
