//! Which alerts open, end, and are told now: decided from plain values, so that "once, then weekly, and not while it is
//! acknowledged" stands in one place.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::conditions::Condition;
use super::kind::{Kind, Severity};
use crate::ledger::AlertRow;

/// Between two tellings of what lasts.
const AGAIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How the open alerts differ from what is the matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What is new.
    pub(super) raise: Vec<Condition>,
    /// What is said otherwise now.
    pub(super) reword: Vec<AlertRow>,
    /// What lasts in the same words.
    pub(super) last: Vec<AlertRow>,
    /// What is gone.
    pub(super) end: Vec<AlertRow>,
}

/// Compares what is the matter with what is open. `acknowledged` are all that people ever acknowledged.
pub(super) fn compare(found: Vec<Condition>, open: Vec<AlertRow>, acknowledged: &[AlertRow]) -> Changes {
    let settled: BTreeSet<(&str, &str)> =
        acknowledged.iter().map(|alert| (alert.kind.as_str(), alert.subject.as_str())).collect();
    let is_settled =
        |one: &Condition| one.kind.is_event() && settled.contains(&(one.kind.name(), one.subject.as_str()));
    let mut wanted: BTreeMap<(String, String), Condition> = BTreeMap::new();
    let mut order = Vec::new();
    for one in found.into_iter().filter(|one| !is_settled(one)) {
        let key = (one.kind.name().to_owned(), one.subject.clone());
        order.push(key.clone());
        wanted.insert(key, one);
    }
    let mut changes = Changes::default();
    for mut alert in open {
        match wanted.remove(&(alert.kind.clone(), alert.subject.clone())) {
            None => changes.end.push(alert),
            Some(one) if one.words == alert.words => changes.last.push(alert),
            Some(one) => {
                alert.words = one.words;
                changes.reword.push(alert);
            }
        }
    }
    changes.raise = order.iter().filter_map(|key| wanted.remove(key)).collect();
    changes
}

/// Whether an open alert is silenced by a person's word.
pub(super) fn is_acknowledged(alert: &AlertRow, zone: &TimeZone, now: Timestamp) -> bool {
    alert.ack.as_ref().is_some_and(|ack| now.to_zoned(zone.clone()).date() <= ack.until)
}

/// Whether an open alert is told now: it never was, it was a week ago, or a person's word for it has run out since.
pub(super) fn is_due(alert: &AlertRow, zone: &TimeZone, now: Timestamp) -> bool {
    if is_acknowledged(alert, zone, now) {
        return false;
    }
    let Some(told) = alert.told else { return true };
    // A clock that was set back is no reason to be silent until it has caught up.
    now.duration_since(told) >= AGAIN || told > now || alert.ack.as_ref().is_some_and(|ack| ends_after(ack, zone, told))
}

fn ends_after(ack: &crate::ledger::Ack, zone: &TimeZone, told: Timestamp) -> bool {
    told.to_zoned(zone.clone()).date() <= ack.until
}

/// Whether the end of an alert is told: it was urgent, and people were told of it.
pub(super) fn end_is_told(alert: &AlertRow) -> bool {
    alert.told.is_some() && severity(alert) == Severity::Critical
}

/// How urgent a recorded alert is; one whose kind this program does not know, of a newer one, is taken for urgent.
pub(super) fn severity(alert: &AlertRow) -> Severity {
    Kind::named(&alert.kind).map_or(Severity::Critical, Kind::severity)
}
