//! The streaming reader: XML in, records out, constant memory. What is XML about it is in `xml`.

use std::io::Read;

use super::assembly::Assembly;
use super::fault::{ExportError, Fault, Position};
use super::profile::Profile;
use super::totals::{Counted, Told, compare};
use super::xml::Walk;
use super::{Header, Record, Room};

/// Bounds on what one record may cost; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Of one record as it stands in the export, attachment data not counted (`limits.max_message`).
    pub max_message: u64,
    /// Of one attachment's decoded data (`limits.max_attachment`).
    pub max_attachment: u64,
    /// Of people, and of presence events, in one conversation (`limits.max_participants`).
    pub max_participants: u64,
}

/// What an export holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every step is a record, and each is handed on at once")]
pub enum Step {
    /// A conversation begins.
    Begin,
    /// A record of the conversation, in document order.
    Record {
        /// The record.
        record: Record,
        /// Bytes it takes in the export.
        bytes: u64,
    },
    /// The conversation ends; only now is its room known.
    End(Room),
}

/// What an export says of itself and what was found in it, known at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Firm and day.
    pub header: Header,
    /// How often each path that the profile names was found.
    pub found: Vec<(String, u64)>,
    /// Paths that the profile does not name, with their number, by path. A note in parentheses says what else is odd:
    /// an event that names nobody, a date that cannot be read. Never text of the export but names of elements and
    /// attributes.
    pub unknown: Vec<(String, u64)>,
    /// Records that are neither items nor presence.
    pub other_events: u64,
    /// Times that cannot be read: path and look of the text (`.../DateTime: 99/99/9999 99:99:99`), with their number.
    pub unreadable: Vec<(String, u64)>,
    /// Records with a time that cannot be read.
    pub unreadable_times: u64,
    /// Recipients that count as absent because nothing says who they are.
    pub nameless_recipients: u64,
    /// How much of everything there is.
    pub counted: Counted,
    /// How much of it the vendor says there is.
    pub told: Told,
    /// That it holds what the profile does not name, where the profile has such files held.
    pub(super) refusal: Option<Fault>,
}

impl Summary {
    /// Whether what was found may be taken in: nothing is there that must be named first, and everything that the vendor
    /// counted came. Only a reader that came to the export's end can say so.
    ///
    /// # Errors
    /// Why the file is held.
    pub fn check(&self) -> Result<(), Fault> {
        self.refusal.clone().map_or(Ok(()), Err)?;
        compare(&self.told, &self.counted)
    }
}

/// Reads an export. The result is the same however the input is cut into reads.
#[derive(Debug)]
pub struct Reader<'p, R> {
    walk: Walk<R>,
    assembly: Assembly<'p>,
}

impl<'p, R: Read> Reader<'p, R> {
    /// A reader of `input` by `profile`. Bytes are read in windows; `input` needs no buffer of its own.
    pub fn new(profile: &'p Profile, limits: ReadLimits, input: R) -> Self {
        Self { walk: Walk::new(input), assembly: Assembly::new(profile, limits) }
    }

    /// The next step, or `None` at the end of the export.
    ///
    /// # Errors
    /// Where the export is not well-formed to its end or exceeds a bound. No further step follows an error.
    pub fn step(&mut self) -> Result<Option<Step>, ExportError> {
        let made = self.walk.step(&mut self.assembly)?;
        Ok(self.assembly.take_step().filter(|_| made))
    }

    /// What was found; complete once [`Self::step`] has returned `None`.
    pub fn finish(self) -> Summary {
        self.assembly.finish()
    }

    /// What the export has said of itself so far.
    pub fn header(&self) -> Header {
        self.assembly.header()
    }

    /// Where the last step ended.
    pub fn here(&self) -> Position {
        self.walk.here()
    }
}

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod tests;
