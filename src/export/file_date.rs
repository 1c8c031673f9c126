//! An export's day as its file name says it, for exports that do not say it themselves.

use jiff::civil::{Date, date};
use jiff::fmt::strtime::{self, BrokenDownTime};

/// What a year in a file name can be: digits that are no date must not pass for one.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2199;

/// How a day is written in a file name, as `strptime(3)` has it: `%Y%m%d`, `ACME_%d-%m-%y_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDate(String);

impl FileDate {
    /// A pattern that says year, month and day, and nothing that a day does not have.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let probe = date(2026, 11, 19);
        let written = strtime::format(pattern, probe).ok()?;
        let read = strtime::parse(pattern, &written).ok()?.to_date().ok()?;
        (read == probe).then(|| Self(pattern.to_owned()))
    }

    /// The first place in the name where the pattern fits, not within a longer number.
    pub(super) fn find(&self, name: &str) -> Option<Date> {
        name.char_indices().find_map(|(at, _)| self.at(name, at)).map(|(date, _)| date)
    }

    /// The day that stands at this place of the name, and how many bytes it takes.
    pub(super) fn at(&self, name: &str, at: usize) -> Option<(Date, usize)> {
        let (found, length) = BrokenDownTime::parse_prefix(&self.0, name.get(at..)?).ok()?;
        let (text, after) = name.get(at..)?.split_at_checked(length)?;
        let continues = |left: Option<char>, right: Option<char>| {
            left.is_some_and(|c| c.is_ascii_digit()) && right.is_some_and(|c| c.is_ascii_digit())
        };
        let before = name.get(..at)?.chars().next_back();
        if continues(before, text.chars().next()) || continues(text.chars().next_back(), after.chars().next()) {
            return None;
        }
        let date = found.to_date().ok()?;
        // Written as the pattern writes it: `2026111` is no day, although a lenient reader finds one in it.
        let is_exact = strtime::format(&self.0, date).is_ok_and(|written| written.eq_ignore_ascii_case(text));
        (is_exact && YEARS.contains(&date.year())).then_some((date, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_found_where_the_pattern_fits() {
        let day = Some(date(2026, 11, 19));
        for (pattern, name, expected) in [
            ("%Y%m%d", "ACME-20261119.xml.pgp", day),
            ("%Y%m%d", "20261119", day),
            ("%Y%m%d", "ACME-20261119T063000.pgp", day),
            ("%Y%m%d", "ACME-20261119-20261120.pgp", day),
            ("_%Y%m%d.", "ACME_20261118_20261119.pgp", day),
            ("%y%m%d", "firm.ib19.261119.xml", day),
            ("%d-%m-%Y", "chat 19-11-2026.gpg", day),
            ("%d%b%Y", "chat-19NOV2026.gpg", day),
            ("%Y%m%d", "ACME-120261119.pgp", None),
            ("%Y%m%d", "ACME-202611190.pgp", None),
            ("%Y%m%d", "ACME-20261319.pgp", None),
            ("%Y%m%d", "ACME-2026111.pgp", None),
            ("%Y%m%d", "ACME-00010101.pgp", None),
            ("%Y%m%d", "export.pgp", None),
            ("%Y%m%d", "", None),
            ("%Y%m%d", "Ünïcødé-20261119.pgp", day),
        ] {
            assert_eq!(FileDate::new(pattern).unwrap().find(name), expected, "{pattern} in {name}");
        }
    }

    #[test]
    fn a_pattern_must_say_a_day_and_no_more() {
        for pattern in ["", "%Y%m", "%m%d", "%Y%m%d%H", "date", "%Q", "%", "*%Y%m%d*%Z"] {
            assert_eq!(FileDate::new(pattern), None, "{pattern}");
        }
        assert!(FileDate::new("%Y-%j").is_some(), "the day of the year is a day too");
    }
}
