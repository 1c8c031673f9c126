//! What is counted while an export is read: how often each place of the profile was found, and whatever the profile does
//! not name, so that nothing is dropped in silence.

use std::collections::BTreeMap;

use super::draft::settle_text;
use super::layout::Layout;
use super::reader::Summary;
use super::{time, trim};

/// Distinct unknown paths that are told apart; all others count under [`MORE`].
const MAX_PATHS: usize = 1000;
/// Bytes of a path that are told apart.
const MAX_PATH: usize = 512;
const MORE: &str = "(more)";
/// The note beside a path whose second, different value was not used.
pub(super) const ANOTHER_VALUE: &str = " (another value)";

/// The counts so far.
#[derive(Debug)]
pub(super) struct Tally<'p> {
    layout: &'p Layout,
    found: Vec<u64>,
    unknown: BTreeMap<String, u64>,
    pub(super) summary: Summary,
}

impl<'p> Tally<'p> {
    pub(super) fn new(layout: &'p Layout) -> Self {
        let found = vec![0; layout.paths().len()];
        Self { layout, found, unknown: BTreeMap::new(), summary: Summary::default() }
    }

    /// One of the profile's paths was found.
    pub(super) fn found(&mut self, path: usize) {
        self.found[path] += 1;
    }

    /// Takes the firm code.
    pub(super) fn firm_code(&mut self, text: &str, path: usize) {
        if !settle_text(&mut self.summary.header.firm_code, text) {
            self.unknown_at(path, ANOTHER_VALUE);
        }
    }

    /// Takes the day.
    pub(super) fn date(&mut self, text: &str, path: usize) {
        if trim(text).is_empty() {
            return;
        }
        match (time::day(text), self.summary.header.date) {
            (None, _) => self.unknown_at(path, " (unreadable)"),
            (Some(day), Some(other)) if day != other => self.unknown_at(path, ANOTHER_VALUE),
            (day, _) => self.summary.header.date = day,
        }
    }

    /// Counts something odd at or below one of the profile's paths.
    pub(super) fn unknown_at(&mut self, path: usize, note: &str) {
        let layout = self.layout;
        self.unknown(&layout.paths()[path], note);
    }

    /// Counts a path that the profile does not know, `note` beside it.
    pub(super) fn unknown(&mut self, path: &str, note: &str) {
        let shown = &path[..path.floor_char_boundary(MAX_PATH)];
        let cut = shown.len() < path.len();
        if note.is_empty() && !cut {
            // The way of every path but the first of its kind: nothing is allocated.
            if let Some(times) = self.unknown.get_mut(path) {
                *times += 1;
                return;
            }
        }
        let key = format!("{shown}{}{note}", if cut { "…" } else { "" });
        let full = self.unknown.len() >= MAX_PATHS && !self.unknown.contains_key(&key);
        *self.unknown.entry(if full { MORE.to_owned() } else { key }).or_default() += 1;
    }

    /// The counts.
    pub(super) fn finish(self) -> Summary {
        let paths = self.layout.paths().iter().map(ToString::to_string);
        Summary { found: paths.zip(self.found).collect(), unknown: self.unknown.into_iter().collect(), ..self.summary }
    }
}
