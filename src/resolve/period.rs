//! The days for which a row of the mapping counts: an `ImId` that is given to someone else must not hand the
//! predecessor's chats on.

use jiff::civil::Date;

use crate::export::time;

/// Days in UTC, from the first to the last, both included. Open ends reach to the end of the calendar: it holds every
/// date that an item can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: Date,
    to: Date,
}

impl Period {
    /// Every day.
    pub const ALWAYS: Self = Self { from: Date::MIN, to: Date::MAX };

    /// The days between two ends, open where there is none; `None` where the last day is before the first.
    pub fn new(from: Option<Date>, to: Option<Date>) -> Option<Self> {
        let period = Self { from: from.unwrap_or(Date::MIN), to: to.unwrap_or(Date::MAX) };
        (period.from <= period.to).then_some(period)
    }

    /// The first day, if it has one.
    pub fn from(self) -> Option<Date> {
        (self.from > Date::MIN).then_some(self.from)
    }

    /// The last day, if it has one.
    pub fn to(self) -> Option<Date> {
        (self.to < Date::MAX).then_some(self.to)
    }

    pub(super) fn begins_by(self, day: Date) -> bool {
        self.from <= day
    }

    pub(super) fn ends_before(self, day: Date) -> bool {
        self.to < day
    }

    /// For sorting: periods that begin earlier come first.
    pub(super) fn beginning(self) -> Date {
        self.from
    }

    /// For comparing which of two reaches further.
    pub(super) fn end(self) -> Date {
        self.to
    }

    /// Whether a day is in both.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// The one period that two make which overlap or follow each other without a day between; `None` for others.
    /// `self` begins first.
    pub(super) fn joined(self, later: Self) -> Option<Self> {
        let follows = self.to.tomorrow().map_or(true, |next| later.from <= next);
        follows.then(|| Self { from: self.from, to: self.to.max(later.to) })
    }

    /// The days on which something begins to be different: the first one, and the one after the last.
    pub(super) fn turns(self) -> impl Iterator<Item = Date> {
        self.from().into_iter().chain(self.to().and_then(|to| to.tomorrow().ok()))
    }
}

/// The date in a cell: `YYYY-MM-DD` (RFC 3339's `full-date`) and nothing else, because 03/04/2026 is two days and a bare
/// number is Excel's count of days since 1900 or since 1904.
pub(super) fn date(cell: &str) -> Option<Date> {
    Some(cell).filter(|cell| cell.len() == "YYYY-MM-DD".len()).and_then(time::day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date as day;

    #[test]
    fn one_notation_of_dates() {
        for (good, expected) in [
            ("2026-11-19", day(2026, 11, 19)),
            ("2024-02-29", day(2024, 2, 29)),
            ("0000-01-01", day(0, 1, 1)),
            ("9999-12-31", Date::MAX),
        ] {
            assert_eq!(date(good), Some(expected), "{good}");
        }
        for bad in [
            "",
            "2026-11-1",
            "2026-1-19",
            "20261119",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-11-00",
            "2026-11-31",
            "19.11.2026",
            "11/19/2026",
            "19/11/2026",
            "2026/11/19",
            "2026-11-19T00:00:00Z",
            "46345",
            "19-Nov-26",
            "2026-11-19 ",
            "+026-11-19",
            "-026-11-19",
            "２０２６-11",
            "today",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn both_ends_are_included_and_either_may_be_open() {
        let (first, last) = (day(2026, 3, 1), day(2026, 3, 31));
        let march = Period::new(Some(first), Some(last)).unwrap();
        assert_eq!((march.from(), march.to()), (Some(first), Some(last)));
        assert_eq!((Period::ALWAYS.from(), Period::ALWAYS.to()), (None, None));
        assert_eq!(Period::new(None, None), Some(Period::ALWAYS));
        assert_eq!(Period::new(None, Some(Date::MAX)), Some(Period::ALWAYS), "9999-12-31 is how some write \"open\"");
        assert_eq!(Period::new(Some(last), Some(first)), None);
        assert!(Period::new(Some(first), Some(first)).is_some());
        let april = Period::new(Some(day(2026, 4, 1)), None).unwrap();
        let until_march = Period::new(None, Some(last)).unwrap();
        assert!(!march.overlaps(april) && !april.overlaps(march) && march.overlaps(until_march));
        assert_eq!(march.joined(april), Period::new(Some(first), None));
        assert_eq!(until_march.joined(april), Some(Period::ALWAYS));
        assert_eq!(march.joined(Period::new(Some(day(2026, 4, 2)), None).unwrap()), None);
        assert_eq!(march.turns().collect::<Vec<_>>(), [first, day(2026, 4, 1)]);
        assert_eq!(Period::ALWAYS.turns().count(), 0);
    }
}
