//! How a vendor writes its times: which notations, and, where one has no offset, in which zone.

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::{time, trim};

/// A notation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// As [`time::instant`] has it.
    Rfc3339,
    /// As [`time::instant`] has it.
    Unix,
    /// Unix milliseconds: an optional minus, digits.
    UnixMs,
    /// As `strptime(3)` has it, with an offset of its own.
    Offset(Box<str>),
    /// As `strptime(3)` has it, in the profile's zone.
    Local(Box<str>),
}

/// What becomes of a local time that the clocks show twice or never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ambiguous {
    /// It is no time.
    #[default]
    Reject,
    /// The earlier of the two; of a time that never was, the one an hour before.
    Earlier,
    /// The later of the two.
    Later,
}

/// The rules of a profile.
#[derive(Debug, Clone)]
pub(super) struct TimeRule {
    /// None is RFC 3339 and Unix seconds, which cannot be taken for each other.
    formats: Option<Vec<Format>>,
    zone: TimeZone,
    ambiguous: Ambiguous,
}

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Neither RFC 3339 nor Unix seconds, which are all the profile has.
    Usual,
    /// In none of the profile's formats.
    Unlisted,
    /// The clocks of the zone show it twice or never.
    Ambiguous,
}

impl Default for TimeRule {
    fn default() -> Self {
        Self { formats: None, zone: TimeZone::UTC, ambiguous: Ambiguous::Reject }
    }
}

impl TimeRule {
    /// The rule, or what is wrong with which format (its place in the list).
    pub(super) fn new(
        formats: &[String],
        zone: Option<TimeZone>,
        ambiguous: Ambiguous,
    ) -> Result<Self, (usize, &'static str)> {
        let formats: Vec<_> = formats.iter().map(|format| Format::new(format)).collect();
        if formats.is_empty() {
            return Err((0, "names no format"));
        }
        let mut sound = Vec::new();
        for (place, format) in formats.into_iter().enumerate() {
            let format = format.map_err(|why| (place, why))?;
            let clashes = |other: &Format| {
                matches!((other, &format), (Format::Unix, Format::UnixMs) | (Format::UnixMs, Format::Unix))
            };
            if sound.contains(&format) {
                return Err((place, "is named twice"));
            }
            if sound.iter().any(clashes) {
                return Err((place, "cannot be told from the other count of Unix time"));
            }
            if matches!(format, Format::Local(_)) && zone.is_none() {
                return Err((place, "has no offset, so that time.zone must say in which zone it is meant"));
            }
            sound.push(format);
        }
        let usual = sound == [Format::Rfc3339, Format::Unix];
        let formats = (!usual).then_some(sound);
        Ok(Self { formats, zone: zone.unwrap_or(TimeZone::UTC), ambiguous })
    }

    /// The instant in a text that is not empty.
    pub(super) fn read(&self, text: &str) -> Result<Timestamp, Unreadable> {
        let Some(formats) = &self.formats else { return time::instant(text).ok_or(Unreadable::Usual) };
        let text = trim(text);
        let mut why = Unreadable::Unlisted;
        for format in formats {
            match self.by(format, text) {
                Ok(time) => return Ok(time),
                Err(Unreadable::Ambiguous) => why = Unreadable::Ambiguous,
                Err(_) => {}
            }
        }
        Err(why)
    }

    fn by(&self, format: &Format, text: &str) -> Result<Timestamp, Unreadable> {
        let found = match format {
            Format::Rfc3339 => time::rfc3339(text.as_bytes()),
            Format::Unix => time::unix(text.as_bytes()),
            Format::UnixMs => time::unix_ms(text.as_bytes()),
            Format::Offset(pattern) => strtime::parse(&**pattern, text).and_then(|read| read.to_timestamp()).ok(),
            Format::Local(pattern) => {
                let local = strtime::parse(&**pattern, text).and_then(|read| read.to_datetime());
                return local.map_err(|_| Unreadable::Unlisted).and_then(|local| self.in_zone(local));
            }
        };
        found.ok_or(Unreadable::Unlisted)
    }

    fn in_zone(&self, local: DateTime) -> Result<Timestamp, Unreadable> {
        let found = self.zone.to_ambiguous_timestamp(local);
        let settled = match (found.offset(), self.ambiguous) {
            (AmbiguousOffset::Unambiguous { .. }, _) => found.unambiguous(),
            (_, Ambiguous::Reject) => return Err(Unreadable::Ambiguous),
            (_, Ambiguous::Earlier) => found.earlier(),
            (_, Ambiguous::Later) => found.later(),
        };
        settled.map_err(|_| Unreadable::Unlisted)
    }
}

impl Format {
    fn new(text: &str) -> Result<Self, &'static str> {
        match text {
            "rfc3339" => Ok(Self::Rfc3339),
            "unix" => Ok(Self::Unix),
            "unix_ms" => Ok(Self::UnixMs),
            pattern => Self::pattern(pattern),
        }
    }

    /// A pattern that says the day and the hour at least.
    fn pattern(pattern: &str) -> Result<Self, &'static str> {
        let wrong = "is no format: write rfc3339, unix, unix_ms or a pattern that says day and hour, \
                     as in \"%m/%d/%Y %H:%M:%S\"";
        let probe = jiff::civil::date(2026, 11, 19).at(22, 33, 44, 0);
        let zoned = Offset::UTC.to_timestamp(probe).map_err(|_| wrong)?.to_zoned(TimeZone::UTC);
        let written = BrokenDownTime::from(&zoned).to_string(pattern).map_err(|_| wrong)?;
        let read = strtime::parse(pattern, &written).map_err(|_| wrong)?;
        if read.iana_time_zone().is_some() {
            return Err("names a zone, which is no offset; say it in time.zone");
        }
        if let Ok(time) = read.to_timestamp() {
            return if is_probe(Zoned::new(time, TimeZone::UTC).datetime(), probe) {
                Ok(Self::Offset(pattern.into()))
            } else {
                Err(wrong)
            };
        }
        let local = read.to_datetime().map_err(|_| wrong)?;
        if read.hour().is_some() && is_probe(local, probe) { Ok(Self::Local(pattern.into())) } else { Err(wrong) }
    }
}

/// Whether what was read is the probe, but for minutes and seconds that a pattern may leave out.
fn is_probe(read: DateTime, probe: DateTime) -> bool {
    let coarse = probe.with().minute(0).second(0).build();
    let finer = probe.with().second(0).build();
    read == probe || coarse.is_ok_and(|coarse| read == coarse) || finer.is_ok_and(|finer| read == finer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(formats: &[&str], zone: Option<&str>, ambiguous: Ambiguous) -> TimeRule {
        let formats: Vec<String> = formats.iter().map(ToString::to_string).collect();
        TimeRule::new(&formats, zone.map(|zone| TimeZone::get(zone).unwrap()), ambiguous).unwrap()
    }

    #[test]
    fn a_time_is_read_in_the_first_format_that_fits() {
        let (us, york) = ("%m/%d/%Y %H:%M:%S", Some("America/New_York"));
        for (formats, zone, text, expected) in [
            (&["unix_ms"][..], None, "1795093325250", Some("2026-11-19T13:02:05.25Z")),
            (&["unix_ms"], None, " -1500 ", Some("1969-12-31T23:59:58.5Z")),
            (&["unix_ms"], None, "1.5", None),
            (&["unix"], None, "1795093325", Some("2026-11-19T13:02:05Z")),
            (&["unix"], None, "2026-11-19T13:02:05Z", None),
            (&["rfc3339"], None, "1795093325", None),
            (&["rfc3339"], None, "2026-11-19T14:02:05+01:00", Some("2026-11-19T13:02:05Z")),
            (&["unix", us], Some("UTC"), "11/19/2026 13:02:05", Some("2026-11-19T13:02:05Z")),
            (&["unix", us], Some("UTC"), "5", Some("1970-01-01T00:00:05Z")),
            (&[us], york, "11/19/2026 08:02:05", Some("2026-11-19T13:02:05Z")),
            (&[us], york, "7/1/2026 8:02:05", Some("2026-07-01T12:02:05Z")),
            (&[us], york, "11/19/2026", None),
            (&[us], york, "11/19/2026 08:02:05 PM", None),
            (&["%d.%m.%y %I:%M %p"], york, "19.11.26 08:02 PM", Some("2026-11-20T01:02:00Z")),
            (&["%a, %d %b %Y %T %z"], None, "Thu, 19 Nov 2026 13:02:05 +0100", Some("2026-11-19T12:02:05Z")),
            (&["%Y%m%d%H%M%S%.f"], Some("UTC"), "20261119130205.125", Some("2026-11-19T13:02:05.125Z")),
        ] {
            let found = rule(formats, zone, Ambiguous::Reject).read(text);
            assert_eq!(found.ok().map(|time| time.to_string()).as_deref(), expected, "{formats:?}: {text}");
        }
    }

    #[test]
    fn what_the_clocks_show_twice_or_never_is_settled_by_the_profile() {
        // New York 2026: an hour is missing on 8 March at 02:00, and there twice on 1 November at 01:00.
        for (text, earlier, later) in [
            ("2026-11-01 01:30", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
            ("2026-03-08 02:30", "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"),
        ] {
            let read = |ambiguous| {
                let time = rule(&["%Y-%m-%d %H:%M"], Some("America/New_York"), ambiguous).read(text);
                time.map(|time| time.to_string())
            };
            assert_eq!(read(Ambiguous::Reject), Err(Unreadable::Ambiguous));
            assert_eq!(read(Ambiguous::Earlier).as_deref(), Ok(earlier));
            assert_eq!(read(Ambiguous::Later).as_deref(), Ok(later));
        }
    }

    #[test]
    fn a_faulty_rule_is_refused() {
        for (formats, place, expected) in [
            (&[][..], 0, "names no format"),
            (&["unix", "unix"], 1, "is named twice"),
            (&["unix", "unix_ms"], 1, "cannot be told from the other count"),
            (&["unix", "iso"], 1, "is no format"),
            (&["%Y-%m-%d"], 0, "is no format"),
            (&["%H:%M:%S"], 0, "is no format"),
            (&["%Y-%m-%d %I:%M"], 0, "is no format"),
            (&["%Q"], 0, "names a zone"),
            (&["%Y-%m-%d %H:%M:%S %Q"], 0, "names a zone"),
            (&["%Y-%m-%d %H:%M"], 0, "has no offset, so that time.zone"),
        ] {
            let formats: Vec<String> = formats.iter().map(ToString::to_string).collect();
            let (at, why) = TimeRule::new(&formats, None, Ambiguous::Reject).unwrap_err();
            assert!(at == place && why.starts_with(expected), "{formats:?}: {at} {why}");
        }
    }
}
