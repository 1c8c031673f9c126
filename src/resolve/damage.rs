//! What a spreadsheet does to a column that is not formatted as text. A damaged cell that still reads as an `ImId` or an
//! address counts, for who is to say that it is not meant; but it is most likely nobody's, and that is worth a word.

use std::collections::HashMap;
use std::fmt;

use super::fault::Column;

/// How many `ImId`s of digits only must be equally wide before a shorter one is suspicious.
const PEERS: usize = 3;

/// A cell that counts as it stands and looks damaged, and where it is. It never quotes the cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Warning {
    /// The file's name, without its folder.
    pub file: String,
    /// The physical line, from 1, on which the row begins.
    pub line: u64,
    /// Which cell.
    pub column: Column,
    /// What seems to have happened, and what to do.
    #[source]
    pub damage: Damage,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.column)
    }
}

/// What a spreadsheet seems to have done to a cell, in an operator's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// `#N/A`, `#REF!`, `########`.
    #[error("the cell holds a spreadsheet's error value; mend the formula it came from, or type the value in")]
    ErrorValue,
    /// `1.2E+11`.
    #[error(
        "the cell holds a number in scientific notation, its last digits are lost; format the column as Text and type it in again"
    )]
    Rounded,
    /// `0012345` became `12345`.
    #[error(
        "digits only, and fewer than the {usual} that most such ImIds have: leading zeros may be lost; format the column as Text and type it in again"
    )]
    LeadingZeros {
        /// How many digits most have.
        usual: usize,
    },
    /// `'0012345`.
    #[error(
        "the cell begins with an apostrophe, with which a spreadsheet marks text; remove it unless it belongs there"
    )]
    Apostrophe,
    /// `{SMTP:a@b.c, smtp:b@...}`.
    #[error(
        "the cell holds a collection as a screen shows it, perhaps shortened; none of its addresses counts: join them with spaces"
    )]
    Shown,
}

impl Damage {
    /// What is suspicious about a cell by itself.
    pub(super) fn of(cell: &str) -> Option<Self> {
        match cell.as_bytes().first()? {
            b'#' if is_error_value(cell) => Some(Self::ErrorValue),
            b'\'' => Some(Self::Apostrophe),
            b'0'..=b'9' if is_scientific(cell) => Some(Self::Rounded),
            _ => None,
        }
    }
}

/// In the languages of Excel that were looked at, all but the one for "not available" end in `!` or `?`; a column that is
/// too narrow shows, and some programs export, `#` alone.
fn is_error_value(cell: &str) -> bool {
    let word = cell.trim_start_matches('#');
    word.is_empty() || word.ends_with(['!', '?']) || ["N/A", "N/D", "NV"].contains(&word)
}

/// One digit, perhaps a fraction, `E+` and the exponent: how Excel shows a number of more than eleven digits.
fn is_scientific(cell: &str) -> bool {
    let Some((number, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    whole.len() == 1 && is_number(whole) && is_number(fraction) && exponent.strip_prefix('+').is_some_and(is_number)
}

/// The `ImId`s that are nothing but digits, to find those that lost zeros by the others.
#[derive(Debug, Default)]
pub(super) struct Digits {
    seen: Vec<Short>,
    widths: HashMap<usize, usize>,
}

/// Where an `ImId` of digits only stands, and how many it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) file: usize,
    pub(super) line: u64,
    width: usize,
}

impl Digits {
    pub(super) fn note(&mut self, im_id: &str, file: usize, line: u64) {
        if im_id.bytes().all(|byte| byte.is_ascii_digit()) {
            self.seen.push(Short { file, line, width: im_id.len() });
            *self.widths.entry(im_id.len()).or_default() += 1;
        }
    }

    /// Those that are shorter than more than half of all are wide, if at least [`PEERS`] are; and that width.
    pub(super) fn short(&self) -> Option<(usize, impl Iterator<Item = Short>)> {
        let enough = |count: usize| count >= PEERS && count * 2 > self.seen.len();
        let usual = self.widths.iter().find(|(_, count)| enough(**count)).map(|(width, _)| *width)?;
        Some((usual, self.seen.iter().filter(move |seen| seen.width < usual).copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_leaves_behind() {
        for (cell, expected) in [
            ("#N/A", Some(Damage::ErrorValue)),
            ("#NV", Some(Damage::ErrorValue)),
            ("#REF!", Some(Damage::ErrorValue)),
            ("#BEZUG!", Some(Damage::ErrorValue)),
            ("#NAME?", Some(Damage::ErrorValue)),
            ("#DIV/0!", Some(Damage::ErrorValue)),
            ("#######", Some(Damage::ErrorValue)),
            ("#desk1", None),
            ("#N/A1", None),
            ("1.2E+11", Some(Damage::Rounded)),
            ("1,23457E+11", Some(Damage::Rounded)),
            ("4E+15", Some(Damage::Rounded)),
            ("1.2e+11", Some(Damage::Rounded)),
            ("12E+11", None),
            ("1E5", None),
            ("1E+", None),
            ("1.E+5", None),
            ("1.2E+1x", None),
            ("7eleven", None),
            ("'00123", Some(Damage::Apostrophe)),
            ("o'neil", None),
            ("adams17", None),
            ("", None),
        ] {
            assert_eq!(Damage::of(cell), expected, "{cell}");
        }
    }

    /// The widths of `ImId`s, in lines from 1, and which lines are suspicious.
    #[test]
    fn shorter_than_most_of_their_peers() {
        for (im_ids, expected) in [
            ("123456 234567 345678 4567", &[4][..]),
            ("00123 234567 345678 456789 42", &[1, 5]),
            ("123456 234567 4567", &[]),
            ("1234567 234567 345678 456789", &[]),
            ("123 1234 12345 123456", &[]),
            ("123 124 125 1234 1235 1236", &[]),
            ("a12 b34 c56 7", &[]),
            ("a1 123456 234567 b2 345678 x 78", &[7]),
        ] {
            let mut digits = Digits::default();
            for (line, im_id) in (1..).zip(im_ids.split(' ')) {
                digits.note(im_id, 0, line);
            }
            let short: Vec<u64> =
                digits.short().into_iter().flat_map(|(_, short)| short).map(|short| short.line).collect();
            assert_eq!(short, expected, "{im_ids}");
        }
    }
}
