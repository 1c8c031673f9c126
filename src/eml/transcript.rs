//! A conversation's day as a reviewer reads it: what both its forms, plain text and HTML, say, in one order and with the
//! same words. The forms themselves are in `text` and `html`.
//!
//! Whatever stands there of the export goes through `visible`. People are numbered, because two of them may go by one
//! name, and because a line to a hundred of them must not name them all again.

mod cast;
mod clock;
mod entry;
mod html;
mod text;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write};

use super::body::{media_type, parameter_name};
use super::{Identity, Shape, address};
use crate::digest::Sha256;
use crate::export::transcript::{Line, Transcript};
use crate::export::{Body, EventKind, FileBody, FileData};

use cast::Cast;
use clock::Clock;
use entry::Entry as Shown;

/// The first format in which names are guarded.
const GUARDED: u32 = 3;
/// More people than these are listed after the conversation.
const CROWD: usize = 25;

/// A file that a transcript carries.
pub(super) struct Attached<'a> {
    /// As it is named in the mail; no two files of one mail have the same name.
    pub(super) name: String,
    pub(super) media_type: &'a str,
    pub(super) data: &'a [u8],
}

/// A transcript in both forms, and what it carries.
pub(super) struct Written<'a> {
    pub(super) text: String,
    pub(super) html: String,
    pub(super) files: Vec<Attached<'a>>,
    /// The records that hold what the profile does not name.
    pub(super) source: Option<String>,
}

/// Everything that both forms say beside the lines.
struct Page<'a> {
    transcript: &'a Transcript,
    identity: Identity,
    footer: bool,
    clock: Clock,
    cast: Cast<'a>,
    disclaimers: Disclaimers<'a>,
    /// Whether a name that begins like a line of the program's shows that it does not.
    guards_names: bool,
}

/// The disclaimers that were shown, in order, each once, and where each is found.
#[derive(Default)]
struct Disclaimers<'a> {
    all: Vec<Disclaimer<'a>>,
    /// By id and text; and by the id alone, the first.
    numbers: HashMap<(Option<&'a str>, &'a str), usize>,
    by_id: HashMap<&'a str, usize>,
}

/// A firm's standing words, which are written once.
struct Disclaimer<'a> {
    id: Option<&'a str>,
    text: &'a str,
}

pub(super) fn write<'a>(transcript: &'a Transcript, identity: Identity, shape: &Shape) -> Written<'a> {
    let page = Page {
        transcript,
        identity,
        footer: shape.footer,
        clock: Clock::new(&shape.zone, transcript),
        cast: Cast::new(transcript),
        disclaimers: disclaimers(transcript),
        guards_names: shape.format >= GUARDED,
    };
    let (mut text, mut html) = (String::new(), String::new());
    let mut files = Files::default();
    // Writing to a string cannot fail.
    let _ = page.write(&mut files, &mut text, &mut html);
    Written { text, html, files: files.all, source: source(transcript) }
}

impl<'a> Page<'a> {
    fn write(&self, files: &mut Files<'a>, text: &mut String, html: &mut String) -> fmt::Result {
        text::begin(self, text)?;
        html::begin(self, html)?;
        for line in &self.transcript.lines {
            let entry = Shown::new(line, self, files);
            text::line(&entry, text)?;
            html::line(&entry, html)?;
        }
        text::end(self, text)?;
        html::end(self, html)
    }

    /// Whether the people are so many that a reviewer would look for the conversation below them.
    fn has_crowd(&self) -> bool {
        self.cast.people.len() > CROWD
    }

    /// The number of the disclaimer with that id, from 1.
    fn disclaimer(&self, id: &str) -> Option<usize> {
        self.disclaimers.by_id.get(id).copied()
    }

    /// The number of a disclaimer that was shown, from 1.
    fn shown_disclaimer(&self, id: Option<&str>, text: Option<&str>) -> Option<usize> {
        self.disclaimers.numbers.get(&(id, text?)).copied()
    }

    /// `Part 2 of this day's transcript ...`; what comes before and after, if anything does.
    fn part_words(&self) -> Vec<String> {
        let Transcript { part, continues, .. } = *self.transcript;
        let mut words = Vec::new();
        match (part, self.identity.follows) {
            (1, None) => {}
            (1, Some(item)) => words.push(format!("This room's day was archived before, as item {item}.")),
            (_, None) => words.push(format!("Part {part}. It continues part {}.", part - 1)),
            (_, Some(item)) => {
                words.push(format!("Part {part}. It continues part {}; part 1 is item {item}.", part - 1));
            }
        }
        if continues {
            words.push(format!("It continues in part {}.", part + 1));
        }
        words
    }
}

/// The files of one mail, each once.
#[derive(Default)]
struct Files<'a> {
    all: Vec<Attached<'a>>,
    /// By content and the name it came with.
    known: HashMap<(Sha256, &'a str), usize>,
    /// How often a name was given.
    names: HashMap<String, u32>,
}

impl<'a> Files<'a> {
    /// The name under which the mail has a file.
    fn attach(&mut self, file: &'a FileBody, data: &'a [u8], digest: Sha256) -> &str {
        let name = file.name.as_deref().unwrap_or_default();
        let at = *self.known.entry((digest, name)).or_insert_with(|| {
            let name = distinct(&parameter_name(file.name.as_deref()), &mut self.names);
            self.all.push(Attached { name, media_type: media_type(file.content_type.as_deref()), data });
            self.all.len() - 1
        });
        &self.all[at].name
    }
}

/// `report (2).pdf`, for the second of that name.
fn distinct(name: &str, names: &mut HashMap<String, u32>) -> String {
    let (stem, suffix) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let mut given = name.to_owned();
    let mut count = 1;
    while names.contains_key(&given.to_lowercase()) {
        let from = names.entry(name.to_lowercase()).or_insert(1);
        count = (*from).max(count) + 1;
        *from = count;
        given = format!("{stem} ({count}){suffix}");
    }
    names.insert(given.to_lowercase(), 1);
    given
}

fn disclaimers(transcript: &Transcript) -> Disclaimers<'_> {
    let mut found = Disclaimers::default();
    for line in &transcript.lines {
        let Line::Event(happened) = line else { continue };
        let (id, text) = (happened.record.id.as_deref(), happened.record.text.as_deref());
        let Some(text) = text.filter(|_| happened.record.kind == EventKind::Disclaimer) else { continue };
        if let Entry::Vacant(place) = found.numbers.entry((id, text)) {
            found.all.push(Disclaimer { id, text });
            let number = *place.insert(found.all.len());
            id.map(|id| found.by_id.entry(id).or_insert(number));
        }
    }
    found
}

/// The records that hold what the profile does not name, as they stand in the export.
fn source(transcript: &Transcript) -> Option<String> {
    let mut all = String::new();
    for line in &transcript.lines {
        let (line, details) = match line {
            Line::Item(spoken) => (spoken.record.line, &spoken.record.details),
            Line::Event(happened) => (happened.record.line, &happened.record.details),
            Line::Unreadable { .. } => continue,
        };
        if let Some(source) = details.as_ref().and_then(|details| details.source.as_deref()) {
            let _ = write!(all, "<!-- line {line} of the export -->\n{source}\n");
        }
    }
    (!all.is_empty()).then(|| format!("<records>\n{all}</records>\n"))
}

/// Counts what is written.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

/// Bytes in a mail for bytes of a body or a file: base64 with its line ends, which is the most that is ever chosen. 76
/// characters and a line end for 57 bytes are less than 11 for 8.
fn encoded(bytes: u64) -> u64 {
    bytes + 3 * bytes.div_ceil(8)
}

/// What an attachment's part takes beside its data: boundary, fields, and a name of 120 characters, percent-encoded.
const PART: u64 = 2048;
/// What a line may take more than is measured where it refers to a disclaimer, in both forms.
const REFERENCE: u64 = 160;

/// Bytes that a line takes in an EML, at most: in both forms, in the longest transfer encoding, with its attachment.
pub fn measure(line: &Line) -> u64 {
    let mut counter = Counter::default();
    let mut files = 0;
    let _ = entry::measure(line, &mut counter, |entry, counter| {
        text::line(entry, counter)?;
        html::line(entry, counter)
    });
    if let Line::Item(spoken) = line
        && let Body::File(file) = &spoken.record.body
    {
        files += match &file.data {
            FileData::Inside(data) | FileData::Found(data) => encoded(data.len() as u64) + PART,
            // Whether it will be found, and what its digest is, is known later; its data are counted elsewhere.
            FileData::Awaited | FileData::Missing => 2 * PART,
            FileData::Oversize { .. } => 0,
        };
    }
    let details = match line {
        Line::Item(spoken) => spoken.record.details.as_ref(),
        Line::Event(happened) => happened.record.details.as_ref(),
        Line::Unreadable { .. } => None,
    };
    let source = details.and_then(|details| details.source.as_deref()).map_or(0, |source| source.len() + 64);
    let mut more = details.filter(|details| details.disclaimer.is_some()).map_or(0, |_| REFERENCE);
    if let Line::Event(happened) = line
        && happened.record.kind == EventKind::Disclaimer
    {
        more += REFERENCE;
        let disclaimer =
            Disclaimer { id: happened.record.id.as_deref(), text: happened.record.text.as_deref().unwrap_or_default() };
        let _ = text::disclaimer(usize::MAX, &disclaimer, &mut counter);
        let _ = html::disclaimer(usize::MAX, &disclaimer, &mut counter);
    }
    encoded(counter.0 + more + source as u64) + files
}

/// Bytes that all but its lines take in a transcript's EML, at most.
pub fn frame(transcript: &Transcript) -> u64 {
    let mut lines_less = transcript.clone();
    lines_less.lines = Vec::new();
    lines_less.continues = true;
    let follows = Some(crate::digest::ItemId([0xff; 16]));
    let identity = Identity { id: crate::digest::ItemId([0xff; 16]), follows };
    let zone = jiff::tz::TimeZone::UTC;
    let page = Page {
        transcript: &lines_less,
        identity,
        footer: true,
        clock: Clock::new(&zone, &lines_less),
        cast: Cast::new(&lines_less),
        disclaimers: Disclaimers::default(),
        guards_names: true,
    };
    let mut counter = Counter::default();
    let _ = text::begin(&page, &mut counter);
    let _ = html::begin(&page, &mut counter);
    let _ = text::end(&page, &mut counter);
    let _ = html::end(&page, &mut counter);
    let addresses: usize = transcript.participants.iter().map(|one| address::one(&one.person).len() + 8).sum();
    let room = [&transcript.room.id, &transcript.room.name];
    let room: usize = room.into_iter().flatten().map(|text| text.len()).sum();
    let sender = transcript.participants.first().map_or(0, |one| address::one(&one.person).len());
    // Names in subject, topic and further fields, each at most encoded: three bytes for one.
    encoded(counter.0 + FRAME) + addresses as u64 + FIELDS * (1024 + 3 * (room + sender) as u64)
}

/// The zone, its offsets and the parts' own fields.
const FRAME: u64 = 4096;
/// Subject, topic, ids and further fields; see `config::items`.
const FIELDS: u64 = 24;

#[cfg(test)]
mod tests;
