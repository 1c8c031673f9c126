//! What is counted while an export is read: how often each place of the profile was found, and whatever the profile does
//! not name, so that nothing is dropped in silence.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::draft::{Ranked, Settled};
use super::fault::Fault;
use super::layout::{Layout, RecordKind};
use super::profile::Profile;
use super::reader::Summary;
use super::shape;
use super::totals::{Told, Total};
use super::{Header, time, trim};

/// Distinct unknown paths that are told apart; all others count under [`MORE`].
const MAX_PATHS: usize = 1000;
/// Bytes of a path that are told apart.
const MAX_PATH: usize = 512;
/// Looks of unreadable times that are told apart.
const MAX_SHAPES: usize = 200;
const MORE: &str = "(more)";
/// The note beside a path whose second, different value was not used.
const ANOTHER_VALUE: &str = " (another value)";

/// The counts so far.
#[derive(Debug)]
pub(super) struct Tally<'p> {
    layout: &'p Layout,
    holds_unknown: bool,
    found: Vec<u64>,
    unknown: BTreeMap<String, Seen>,
    firm_code: Ranked<Box<str>>,
    date: Ranked<Date>,
    told: Told,
    /// Times that cannot be read, by path and look.
    unreadable: BTreeMap<(usize, String), u64>,
    pub(super) summary: Summary,
}

/// Something that was counted.
#[derive(Debug, Default)]
struct Seen {
    times: u64,
    /// Whether it is a place that the profile names, with something odd about it.
    is_named: bool,
}

impl<'p> Tally<'p> {
    pub(super) fn new(profile: &'p Profile) -> Self {
        Self {
            layout: &profile.layout,
            holds_unknown: profile.holds_unknown,
            found: vec![0; profile.layout.paths().len()],
            unknown: BTreeMap::new(),
            firm_code: Ranked::default(),
            date: Ranked::default(),
            told: Told::expecting(profile.totals.iter().copied()),
            unreadable: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    /// One of the profile's paths was found.
    pub(super) fn found(&mut self, path: usize) {
        self.found[path] += 1;
    }

    /// A conversation begins.
    pub(super) fn conversation(&mut self) {
        self.summary.counted.add(Total::Conversations);
    }

    /// A record begins.
    pub(super) fn record(&mut self, kind: RecordKind) {
        let counted = &mut self.summary.counted;
        counted.add(Total::Records);
        match kind {
            RecordKind::Message | RecordKind::History => counted.add(Total::Messages),
            RecordKind::Attachment(_) => counted.add(Total::Attachments),
            RecordKind::Event(_) => {}
            RecordKind::Ignored => self.summary.other_events += 1,
        }
    }

    /// One of the profile's times cannot be read. Kept of it is what it looks like.
    pub(super) fn unreadable_time(&mut self, path: usize, text: &str) {
        let key = (path, shape::of(text));
        let full = self.unreadable.len() >= MAX_SHAPES && !self.unreadable.contains_key(&key);
        *self.unreadable.entry(if full { (path, MORE.to_owned()) } else { key }).or_default() += 1;
    }

    /// Takes a control total.
    pub(super) fn told(&mut self, total: Total, text: &str) {
        self.told.take(total, text);
    }

    /// Takes the firm code.
    pub(super) fn firm_code(&mut self, text: &str, rank: u8, path: usize) {
        if self.firm_code.settle_text(rank, text) == Settled::Twice {
            self.another_value(path);
        }
    }

    /// Takes the day.
    pub(super) fn date(&mut self, text: &str, rank: u8, path: usize) {
        if trim(text).is_empty() {
            return;
        }
        match time::day(text) {
            None => self.odd_at(path, " (unreadable)"),
            Some(day) => {
                if self.date.settle(rank, day) == Settled::Twice {
                    self.another_value(path);
                }
            }
        }
    }

    /// One of the profile's places has a second, different value, which is not used.
    pub(super) fn another_value(&mut self, path: usize) {
        self.odd_at(path, ANOTHER_VALUE);
    }

    /// Counts something odd at one of the profile's paths: a note in parentheses.
    pub(super) fn odd_at(&mut self, path: usize, note: &str) {
        let layout = self.layout;
        self.note(&layout.paths()[path], note, true);
    }

    /// Counts an attribute or text in one of the profile's elements that the profile does not know.
    pub(super) fn unknown_in(&mut self, path: usize, what: &str) {
        let layout = self.layout;
        self.note(&layout.paths()[path], what, false);
    }

    /// Counts an element that the profile does not know.
    pub(super) fn unknown(&mut self, path: &str) {
        // The way of every path but the first of its kind: nothing is allocated.
        match self.unknown.get_mut(path) {
            Some(seen) if path.len() <= MAX_PATH => seen.times += 1,
            _ => self.note(path, "", false),
        }
    }

    fn note(&mut self, path: &str, note: &str, is_named: bool) {
        let shown = &path[..path.floor_char_boundary(MAX_PATH)];
        let cut = shown.len() < path.len();
        let key = format!("{shown}{}{note}", if cut { "…" } else { "" });
        let full = self.unknown.len() >= MAX_PATHS && !self.unknown.contains_key(&key);
        let seen = self.unknown.entry(if full { MORE.to_owned() } else { key }).or_default();
        seen.is_named = is_named && (seen.times == 0 || seen.is_named);
        seen.times += 1;
    }

    /// Why an export that holds this is held, if the profile says so.
    fn refusal(&self) -> Option<Fault> {
        let mut unnamed = self.unknown.iter().filter(|(_, seen)| self.holds_unknown && !seen.is_named);
        let (path, seen) = unnamed.next()?;
        Some(Fault::Unknown { path: path.clone(), times: seen.times, others: unnamed.count() })
    }

    /// The counts.
    pub(super) fn finish(mut self) -> Summary {
        let refusal = self.refusal();
        let paths = self.layout.paths().iter().map(ToString::to_string);
        let layout = self.layout;
        let shown = |((path, shape), times)| (format!("{}: {shape}", layout.paths()[path]), times);
        let unreadable = self.unreadable.into_iter().map(shown);
        let header = Header { firm_code: self.firm_code.take().map(Into::into), date: self.date.take() };
        Summary {
            header,
            found: paths.zip(self.found).collect(),
            unknown: self.unknown.into_iter().map(|(path, seen)| (path, seen.times)).collect(),
            unreadable: unreadable.collect(),
            told: self.told,
            refusal,
            ..self.summary
        }
    }

    /// What the export has said of itself so far.
    pub(super) fn header(&self) -> Header {
        Header { firm_code: self.firm_code.get().map(ToString::to_string), date: self.date.get().copied() }
    }
}
