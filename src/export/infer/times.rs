//! As which times the texts at one place can be read: every notation that fits, counted, so that the texts themselves
//! decide between day first and month first where they can.

use jiff::fmt::strtime::BrokenDownTime;

use crate::export::time;

/// How a day is written, as `strptime(3)` has it; what is likelier first.
const DAYS: [&str; 12] = [
    "%Y-%m-%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%Y%m%d",
];
const BETWEEN: [&str; 4] = ["T", " ", ", ", "-"];
const CLOCKS: [&str; 7] = ["%H:%M:%S.%f", "%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p", "%H%M%S", "%I:%M:%S%p"];
/// What follows the clock: nothing, an offset, or a zone that is UTC.
const ZONES: [&str; 6] = ["", "%z", " %z", "Z", " UTC", " GMT"];
/// Of the first texts each is looked at, then one in so many.
const FIRST: u64 = 5000;
const THEN_EVERY: u64 = 16;
/// The longest time, in bytes.
const LONGEST: usize = 40;
/// 1990 and 2100 in Unix seconds: outside of these a number is no time.
const PLAUSIBLE: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// How often each notation fitted.
#[derive(Debug, Default)]
pub(super) struct Times {
    texts: u64,
    looked_at: u64,
    fits: Vec<(String, u64)>,
}

impl Times {
    pub(super) fn take(&mut self, text: &str) {
        self.texts += 1;
        if self.texts > FIRST && !self.texts.is_multiple_of(THEN_EVERY) {
            return;
        }
        self.looked_at += 1;
        for format in formats(text) {
            match self.fits.iter_mut().find(|(known, _)| *known == format) {
                Some((_, count)) => *count += 1,
                None => self.fits.push((format, 1)),
            }
        }
    }

    /// Whether nine of ten texts are times.
    pub(super) fn are_times(&self) -> bool {
        self.looked_at > 0 && self.read_by(&self.formats()) * 10 >= self.looked_at * 9
    }

    fn read_by(&self, formats: &[&str]) -> u64 {
        self.fits.iter().filter(|(format, _)| formats.contains(&format.as_str())).map(|(_, count)| count).sum()
    }

    /// The notations to read them by, likeliest first: as many as it takes to read all that can be read. Notations that
    /// fit equally often fit the same texts: the first in order is taken, the others are [`Self::rivals`].
    pub(super) fn formats(&self) -> Vec<&str> {
        let mut left: Vec<&(String, u64)> = self.fits.iter().collect();
        left.sort_by_key(|(format, count)| (std::cmp::Reverse(*count), rank(format)));
        let (mut chosen, mut read): (Vec<&str>, u64) = (Vec::new(), 0);
        for (format, count) in left {
            // Two orders of day and month read the same texts twice over; two clocks do not.
            if read + count <= self.looked_at && !chosen.iter().any(|other| are_rivals(other, format)) {
                chosen.push(format.as_str());
                read += count;
            }
        }
        chosen
    }

    /// Notations that read every text that `format` reads, in another sense.
    pub(super) fn rivals(&self, format: &str) -> Vec<&str> {
        let count = self.read_by(&[format]);
        let as_good = self.fits.iter().filter(|(other, fits)| other != format && *fits == count);
        as_good.map(|(other, _)| other.as_str()).filter(|other| are_rivals(other, format)).collect()
    }
}

/// The order in which notations are preferred that fit as often.
fn rank(format: &str) -> usize {
    match format {
        "rfc3339" => 0,
        "unix" => 1,
        "unix_ms" => 2,
        pattern => 3 + DAYS.iter().position(|day| pattern.starts_with(day)).unwrap_or(DAYS.len()),
    }
}

/// Whether two notations differ in nothing but the order of day and month.
fn are_rivals(one: &str, other: &str) -> bool {
    let sorted = |pattern: &str| pattern.replace("%d", "%m");
    one != other && sorted(one) == sorted(other)
}

/// Every notation in which `text` is a time.
fn formats(text: &str) -> Vec<String> {
    if text.len() > LONGEST || !text.contains(|c: char| c.is_ascii_digit()) {
        return Vec::new();
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let plausible = |text: &str| time::instant(text).is_some_and(|time| PLAUSIBLE.contains(&time.as_second()));
        let ms = || (text.len() == 13).then(|| text.parse::<i64>().ok()).flatten();
        if plausible(text) && text.split('.').next().is_some_and(|whole| (9..=10).contains(&whole.len())) {
            return vec!["unix".to_owned()];
        }
        if ms().is_some_and(|ms| PLAUSIBLE.contains(&(ms / 1000))) {
            return vec!["unix_ms".to_owned()];
        }
    }
    if time::instant(text).is_some() {
        return if text.contains('-') { vec!["rfc3339".to_owned()] } else { Vec::new() };
    }
    DAYS.iter().filter_map(|day| on_day(text, day)).collect()
}

/// The notation that begins with this way of writing a day, if `text` is in one.
fn on_day(text: &str, day: &str) -> Option<String> {
    let rest = rest_after(text, day)?;
    let read = BrokenDownTime::parse(day, &text[..text.len() - rest.len()]).ok()?.to_date().ok()?;
    if !(1990..2100).contains(&read.year()) {
        return None;
    }
    let between = BETWEEN.iter().find(|between| rest.starts_with(**between))?;
    let rest = &rest[between.len()..];
    CLOCKS.iter().find_map(|clock| {
        let (clock, rest) = match clock.strip_suffix(".%f") {
            // Any number of digits of a second.
            Some(whole) => {
                let after = rest_after(rest, whole)?.strip_prefix('.')?;
                (format!("{whole}%.f"), after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => ((*clock).to_owned(), rest_after(rest, clock)?),
        };
        let zone = ZONES.iter().find(|zone| rest == **zone || is_offset(rest, zone))?;
        Some(format!("{day}{between}{clock}{zone}"))
    })
}

/// What stands after what the pattern reads at the beginning.
fn rest_after<'t>(text: &'t str, pattern: &str) -> Option<&'t str> {
    let (_, length) = BrokenDownTime::parse_prefix(pattern, text).ok()?;
    text.get(length..)
}

fn is_offset(rest: &str, zone: &str) -> bool {
    zone.contains("%z") && rest_after(rest, zone) == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Times {
        let mut times = Times::default();
        for text in texts {
            times.take(text);
        }
        times
    }

    #[test]
    fn each_notation_is_found() {
        for (text, expected) in [
            ("2026-11-19T13:00:05Z", "rfc3339"),
            ("2026-11-19 13:00:05.25+01:00", "rfc3339"),
            ("1795093205", "unix"),
            ("1795093205000", "unix_ms"),
            ("11/19/2026 13:00:05", "%m/%d/%Y %H:%M:%S"),
            ("19/11/2026 13:00:05", "%d/%m/%Y %H:%M:%S"),
            ("11/19/2026 1:00:05 PM", "%m/%d/%Y %I:%M:%S %p"),
            ("2026-11-19T13:00:05", "%Y-%m-%dT%H:%M:%S"),
            ("2026-11-19T13:00:05.123", "%Y-%m-%dT%H:%M:%S%.f"),
            ("2026-11-19T13:00:05+0100", "%Y-%m-%dT%H:%M:%S%z"),
            ("19-Nov-2026 13:00:05 UTC", "%d-%b-%Y %H:%M:%S UTC"),
            ("20261119 13:00:05", "%Y%m%d %H:%M:%S"),
            ("20261119T130005Z", "%Y%m%dT%H%M%SZ"),
            ("2026/11/19 13:00", "%Y/%m/%d %H:%M"),
        ] {
            assert_eq!(formats(text), [expected], "{text}");
        }
        for text in ["", "noon", "12", "2026-11-19", "19/11/2026", "99/99/9999 99:99:99", "m-1795093205", "20261119"] {
            assert_eq!(formats(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_texts_decide_between_day_first_and_month_first() {
        let undecided = of(&["11/10/2026 13:00:05", "01/02/2026 13:00:05"]);
        assert_eq!(undecided.formats(), ["%m/%d/%Y %H:%M:%S"]);
        assert_eq!(undecided.rivals("%m/%d/%Y %H:%M:%S"), ["%d/%m/%Y %H:%M:%S"]);
        let decided = of(&["11/10/2026 13:00:05", "31/12/2026 13:00:05"]);
        assert_eq!(decided.formats(), ["%d/%m/%Y %H:%M:%S"]);
        assert!(decided.rivals("%d/%m/%Y %H:%M:%S").is_empty());
        let mixed = of(&["2026-11-19T13:00:05Z", "1795093205"]);
        assert_eq!(mixed.formats(), ["rfc3339", "unix"]);
        assert!(mixed.are_times() && !of(&["noon", "2026-11-19T13:00:05Z"]).are_times());
    }
}
