//! The two notations of time an export may use (contract 5): RFC 3339 with an offset, and Unix seconds.
//!
//! Strict on purpose: jiff's own parser takes more (ISO 8601 without separators, zone names), and a time that is read
//! two ways by two programs is an item under two ids.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// The instant in `text`, or `None` where it is in neither notation or outside jiff's range (years -9999 to 9999).
///
/// RFC 3339 section 5.6: `T` and `Z` in either case, a space in place of `T`, any number of fraction digits (those beyond
/// the ninth are cut off), a leap second as the second after it. Unix seconds: an optional minus, digits, an optional
/// fraction.
pub fn instant(text: &str) -> Option<Timestamp> {
    let text = super::trim(text).as_bytes();
    if text.get(4) == Some(&b'-') { rfc3339(text) } else { unix(text) }
}

/// The day in `text`: `YYYY-MM-DD` or `YYYYMMDD`.
pub fn day(text: &str) -> Option<Date> {
    match super::trim(text).as_bytes() {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => date(year, &[*m1, *m2], &[*d1, *d2]),
        all if all.len() == 8 => date(&all[..4], &all[4..6], &all[6..]),
        _ => None,
    }
}

/// The day of an instant, in UTC.
pub fn utc_day(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

fn date(year: &[u8], month: &[u8], day: &[u8]) -> Option<Date> {
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// As [`instant`], of RFC 3339 alone.
pub(super) fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (civil, rest) = text.split_at_checked(19)?;
    let [year @ .., b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] = civil else {
        return None;
    };
    let date = date(year, &[*m1, *m2], &[*d1, *d2])?;
    let [hour, minute, second] = [number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?];
    let leap = i64::from(second == 60);
    let second = second - leap;
    let (nanosecond, rest) = fraction(rest)?;
    let [hour, minute, second] = [i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?];
    let time = jiff::civil::Time::new(hour, minute, second, nanosecond).ok()?;
    let local = offset(rest)?.to_timestamp(DateTime::from_parts(date, time)).ok()?;
    local.checked_add(SignedDuration::from_secs(leap)).ok()
}

fn offset(text: &[u8]) -> Option<Offset> {
    match text {
        [b'Z' | b'z'] => Some(Offset::UTC),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
            let seconds = if *sign == b'-' { -seconds } else { seconds };
            (hours < 24 && minutes < 60).then(|| Offset::from_seconds(seconds).ok()).flatten()
        }
        _ => None,
    }
}

/// As [`instant`], of Unix seconds alone.
pub(super) fn unix(text: &[u8]) -> Option<Timestamp> {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (nanosecond, rest) = fraction(&digits[whole..])?;
    let seconds = number(&digits[..whole])?;
    let (seconds, nanosecond) = if negative { (-seconds, -nanosecond) } else { (seconds, nanosecond) };
    rest.is_empty().then(|| Timestamp::new(seconds, nanosecond).ok()).flatten()
}

/// Unix milliseconds: an optional minus, digits.
pub(super) fn unix_ms(text: &[u8]) -> Option<Timestamp> {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let milliseconds = number(digits)?;
    Timestamp::from_millisecond(if negative { -milliseconds } else { milliseconds }).ok()
}

/// Nanoseconds of an optional `.digits` at the beginning, and what follows it.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let places = rest[..digits].iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanosecond = places.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    (digits > 0).then(|| (nanosecond, &rest[digits..]))
}

/// Decimal digits only, at least one, at most as many as cannot overflow.
fn number(digits: &[u8]) -> Option<i64> {
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_are_read_and_nothing_else() {
        let readable = [
            ("2026-11-19T13:00:05Z", "2026-11-19T13:00:05Z"),
            (" 2026-11-19T13:00:05.25+01:30 ", "2026-11-19T11:30:05.25Z"),
            ("2026-11-19t13:00:05z", "2026-11-19T13:00:05Z"),
            ("2026-11-19 13:00:05-00:00", "2026-11-19T13:00:05Z"),
            ("2026-11-19T13:00:05.1234567891Z", "2026-11-19T13:00:05.123456789Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("1795093325", "2026-11-19T13:02:05Z"),
            ("1795093325.5", "2026-11-19T13:02:05.5Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("-1.25", "1969-12-31T23:59:58.75Z"),
            ("-0.5", "1969-12-31T23:59:59.5Z"),
            ("2026", "1970-01-01T00:33:46Z"),
            ("253402207200", "9999-12-30T22:00:00Z"),
        ];
        for (text, expected) in readable {
            assert_eq!(instant(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
        let unreadable = [
            "",
            "-",
            ".5",
            "5.",
            "+5",
            "1e9",
            "0x10",
            "1795093325000",
            "99999999999999999999",
            "2026-11-19",
            "2026-11-19T13:00:05",
            "2026-11-19T13:00Z",
            "2026-11-19T13:00:05+0100",
            "2026-11-19T13:00:05+24:00",
            "2026-11-19T13:00:05.Z",
            "2026-11-19T24:00:00Z",
            "2026-11-31T13:00:05Z",
            "2026-11-19T13:00:61Z",
            "2026-11-19T13:00:05Z[UTC]",
            "20261119T130005Z",
            "11/19/2026 13:00:05",
            "2026-11-19T13:00:05 Z",
            "２０２６-11-19T13:00:05Z",
        ];
        for text in unreadable {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_has_two_spellings() {
        for text in ["2026-11-19", "20261119", " 2026-11-19\n"] {
            assert_eq!(day(text), Some(jiff::civil::date(2026, 11, 19)), "{text}");
        }
        for text in ["", "2026-11-31", "2026-1-9", "26-11-19", "2026/11/19", "2026-11-19T00:00:00Z", "2026-1119"] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
