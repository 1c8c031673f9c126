//! Who is missing from capture: staff with no item for a while.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::cell::cell;
use crate::mailbox::Mailbox;

/// Someone with no item for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Who.
    pub mailbox: Mailbox,
    /// The day of their newest item; none has ever been seen otherwise.
    pub last_seen: Option<Date>,
}

/// Those of `staff` whose newest item is older than so many days, the longest absent first.
pub fn absent(
    staff: &BTreeSet<Mailbox>,
    captured: &[(Mailbox, Timestamp)],
    days: u32,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Absent> {
    let last: HashMap<&Mailbox, Timestamp> = captured.iter().map(|(mailbox, time)| (mailbox, *time)).collect();
    let since = now.as_second() - i64::from(days) * 86_400;
    let mut found: Vec<_> = staff
        .iter()
        .map(|mailbox| (last.get(mailbox).copied(), mailbox))
        .filter(|(seen, _)| seen.is_none_or(|seen| seen.as_second() < since))
        .collect();
    found.sort();
    let day = |time: Timestamp| time.to_zoned(zone.clone()).date();
    found.into_iter().map(|(seen, mailbox)| Absent { mailbox: mailbox.clone(), last_seen: seen.map(day) }).collect()
}

/// For programs.
pub fn to_json(absent: &[Absent], days: u32, staff: usize) -> Value {
    let list: Vec<Value> = absent
        .iter()
        .map(|one| json!({"mailbox": one.mailbox.as_str(), "last_seen": one.last_seen.map(|day| day.to_string())}))
        .collect();
    json!({"days": days, "people": staff, "absent": list})
}

/// For a spreadsheet.
pub fn to_csv(absent: &[Absent]) -> String {
    let rows = absent.iter().map(|one| {
        let mailbox = one.mailbox.as_str();
        let last_seen = one.last_seen.map_or_else(|| "never".to_owned(), |day| day.to_string());
        format!("{},{last_seen}\r\n", cell(mailbox))
    });
    std::iter::once("Mailbox,LastSeen\r\n".to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(name: &str) -> Mailbox {
        Mailbox::parse(&format!("{name}@contoso.com")).unwrap()
    }

    #[test]
    fn the_longest_absent_come_first_and_whoever_was_seen_in_time_does_not() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let staff = ["amy", "joe", "=wei", "dora", "pat"].map(mailbox).into();
        let captured = [
            (mailbox("amy"), at("2026-11-19T13:00:00Z")),
            (mailbox("joe"), at("2026-11-06T12:00:00Z")),
            (mailbox("dora"), at("2026-11-06T11:59:59Z")),
            (mailbox("pat"), at("2026-10-01T23:30:00Z")),
            (mailbox("left"), at("2026-01-01T00:00:00Z")),
        ];
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let found = absent(&staff, &captured, 14, at("2026-11-20T12:00:00Z"), &zone);
        let csv = to_csv(&found);
        assert_eq!(
            csv,
            "Mailbox,LastSeen\r\n'=wei@contoso.com,never\r\npat@contoso.com,2026-10-02\r\ndora@contoso.com,2026-11-06\r\n"
        );
        let facts = to_json(&found, 14, staff.len());
        assert_eq!(facts["people"], 5);
        assert_eq!(facts["absent"][0], json!({"mailbox": "=wei@contoso.com", "last_seen": null}));
    }
}
