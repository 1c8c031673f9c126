//! Times as a transcript shows them: in the zone in which its day is meant, which it names.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use crate::export::transcript::Transcript;

/// A zone on a day.
pub(super) struct Clock {
    zone: TimeZone,
    /// The offset from UTC at the beginning; a time with another one says so.
    offset: Offset,
    day: Date,
}

impl Clock {
    pub(super) fn new(zone: &TimeZone, transcript: &Transcript) -> Self {
        Self { zone: zone.clone(), offset: zone.to_offset(transcript.time), day: transcript.day }
    }

    /// `09:31:05`, its fraction where it has one, and its day and offset where they are not the transcript's.
    pub(super) fn time(&self, time: Timestamp) -> String {
        let offset = self.zone.to_offset(time);
        let there = offset.to_datetime(time);
        let day = if there.date() == self.day { String::new() } else { format!("{} ", there.date()) };
        let other = if offset == self.offset { String::new() } else { format!(" {}", signed(offset)) };
        format!("{day}{}{other}", there.time())
    }

    /// `America/New_York (UTC-05:00)`.
    pub(super) fn zone(&self) -> String {
        match self.zone.iana_name().unwrap_or("UTC") {
            "UTC" => "UTC".to_owned(),
            name => format!("{name} ({})", signed(self.offset)),
        }
    }

    /// `Thursday, 19 November 2026`.
    pub(super) fn day(&self) -> String {
        self.day.strftime("%A, %-d %B %Y").to_string()
    }
}

fn signed(offset: Offset) -> String {
    let seconds = offset.seconds();
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    let sign = if seconds < 0 { '-' } else { '+' };
    let rest = if rest == 0 { String::new() } else { format!(":{rest:02}") };
    format!("UTC{sign}{hours:02}:{minutes:02}{rest}")
}
