//! One line of a transcript in words: the same for both forms.

use std::cell::Cell;
use std::fmt;

use super::{Counter, Files, Page, cast, text};
use crate::digest::Sha256;
use crate::eml::body;
use crate::eml::words::one_line;
use crate::export::transcript::{Happened, Line, Spoken};
use crate::export::{Body, Details, EventKind, FileBody, FileData, ItemKind, Person};

/// A line that lists more people lists their numbers.
const NAMED: usize = 6;

/// One line.
pub(super) struct Entry<'a> {
    /// When; empty where that is not known.
    pub(super) time: String,
    /// Who said it; empty where nobody speaks.
    pub(super) who: String,
    /// To whom, where the record lists some.
    pub(super) to: String,
    /// What stands beside it: that it is shown again, a disclaimer's number, the fields the profile keeps.
    pub(super) marks: Vec<String>,
    pub(super) what: What<'a>,
    /// Whether who said it begins like a line of the program's, and shows that it is none.
    pub(super) guarded: bool,
}

/// What was said or happened.
pub(super) enum What<'a> {
    /// Words of a person.
    Said(&'a str),
    /// Words of the program's, and of the system or a firm.
    Note(String, Option<&'a str>),
}

/// How people are named while a line is measured, and where they are known.
trait Names {
    fn name(&self, person: &Person) -> String;
    fn number(&self, person: &Person) -> Option<usize>;
}

impl Names for Page<'_> {
    fn name(&self, person: &Person) -> String {
        self.cast.name(person)
    }

    fn number(&self, person: &Person) -> Option<usize> {
        self.cast.number(person)
    }
}

/// Everyone has a long number, and no two are neighbours.
struct Unknown(Cell<usize>);

impl Names for Unknown {
    fn name(&self, person: &Person) -> String {
        format!("{} #{}", cast::name(person), self.0.get())
    }

    fn number(&self, _: &Person) -> Option<usize> {
        self.0.set(self.0.get() + 2);
        Some(self.0.get())
    }
}

impl<'a> Entry<'a> {
    pub(super) fn new(line: &'a Line, page: &Page<'a>, files: &mut Files<'a>) -> Self {
        let mut entry = match line {
            Line::Item(spoken) => said(spoken, page, |file| attached(file, files)),
            Line::Event(happened) => self::happened(happened, page),
            Line::Unreadable { kind, line, .. } => unreadable(*kind, *line),
        };
        let (time, details, id) = match line {
            Line::Item(spoken) => {
                let record = &spoken.record;
                (Some(record.time), record.details.as_deref(), record.message_id.as_deref())
            }
            Line::Event(happened) => {
                let record = &happened.record;
                let disclaimer = record.kind == EventKind::Disclaimer;
                let number = disclaimer.then(|| page.shown_disclaimer(record.id.as_deref(), record.text.as_deref()));
                entry.marks.extend(number.flatten().map(|number| format!("disclaimer {number}")));
                (record.time, record.details.as_deref(), record.id.as_deref().filter(|_| !disclaimer))
            }
            Line::Unreadable { .. } => (None, None, None),
        };
        entry.guarded &= page.guards_names;
        entry.time = time.map_or(String::new(), |time| page.clock.time(time));
        entry.mark(details, id.filter(|_| page.footer), |id| page.disclaimer(id));
        entry
    }

    /// Whether it was shown again.
    pub(super) fn is_history(&self) -> bool {
        self.marks.first().is_some_and(|mark| mark == HISTORY)
    }

    fn mark(&mut self, details: Option<&Details>, id: Option<&str>, number: impl Fn(&str) -> Option<usize>) {
        if let Some(details) = details {
            if details.history.is_some() {
                self.marks.insert(0, HISTORY.to_owned());
            }
            if let Some(id) = details.disclaimer.as_deref() {
                self.marks.push(match number(id) {
                    Some(number) => format!("disclaimer {number}"),
                    None => format!("disclaimer {}", one_line(id)),
                });
            }
            let extra = details.extra.iter().map(|(label, value)| format!("{}: {}", one_line(label), one_line(value)));
            self.marks.extend(extra);
        }
        if matches!(self.what, What::Said("")) {
            self.marks.push("without text".to_owned());
        }
        self.marks.extend(id.map(|id| format!("id {}", one_line(id))));
    }
}

const HISTORY: &str = "history, shown again";

/// The words of a line as long as they may become.
pub(super) fn measure(
    line: &Line,
    counter: &mut Counter,
    write: impl FnOnce(&Entry<'_>, &mut Counter) -> fmt::Result,
) -> fmt::Result {
    let names = Unknown(Cell::new(9_000_000));
    let mut entry = match line {
        Line::Item(spoken) => said(spoken, &names, |file| {
            let name = file.name.as_deref().unwrap_or_default().to_owned();
            matches!(file.data, FileData::Inside(_) | FileData::Found(_)).then_some((name, Sha256([0; 32])))
        }),
        Line::Event(happened) => self::happened(happened, &names),
        Line::Unreadable { kind, line, .. } => unreadable(*kind, *line),
    };
    let (time, details, id) = match line {
        Line::Item(spoken) => {
            (Some(spoken.record.time), spoken.record.details.as_deref(), spoken.record.message_id.as_deref())
        }
        Line::Event(happened) => {
            (happened.record.time, happened.record.details.as_deref(), happened.record.id.as_deref())
        }
        Line::Unreadable { .. } => (None, None, None),
    };
    entry.time = time.map_or(String::new(), |time| time.to_string());
    entry.mark(details, id, |_| None);
    write(&entry, counter)
}

fn said<'a>(
    spoken: &'a Spoken,
    names: &impl Names,
    attach: impl FnOnce(&'a FileBody) -> Option<(String, Sha256)>,
) -> Entry<'a> {
    let what = match &spoken.record.body {
        Body::Text(text) => What::Said(text),
        Body::File(file) => What::Note(file_words(file, attach(file)), None),
    };
    let to = people(spoken.recipients.iter().map(|person| &**person), names);
    let who = names.name(&spoken.sender);
    let guarded = who.trim_start().starts_with(text::SIGN);
    Entry { time: String::new(), who, to, marks: Vec::new(), what, guarded }
}

/// The name and digest of a file within the mail.
fn attached<'a>(file: &'a FileBody, files: &mut Files<'a>) -> Option<(String, Sha256)> {
    let (FileData::Inside(data) | FileData::Found(data)) = &file.data else { return None };
    let digest = Sha256::of(data);
    Some((files.attach(file, data, digest).to_owned(), digest))
}

/// What became of a file, and the name it has here where that is another.
fn file_words(file: &FileBody, attached: Option<(String, Sha256)>) -> String {
    let Some((name, digest)) = attached else { return body::file_words(file, None) };
    let words = body::file_words(file, Some(digest));
    if Some(&*name) == file.name.as_deref() { words + ", attached" } else { format!("{words}, attached as {name}") }
}

fn happened<'a>(happened: &'a Happened, names: &impl Names) -> Entry<'a> {
    let person = happened.person.as_deref().map(|person| names.name(person));
    let who = person.as_deref().unwrap_or("someone");
    let record = &happened.record;
    let text = record.text.as_deref();
    let (note, text) = match record.kind {
        EventKind::Entered => (format!("{who} entered the room"), text),
        EventKind::Left => (format!("{who} left the room"), text),
        EventKind::Invited => {
            let invited = people(happened.invited.iter().map(|person| &**person), names);
            let invited = if invited.is_empty() { "somebody" } else { &invited };
            (format!("{who} invited {invited}"), text)
        }
        // The words stand below, once.
        EventKind::Disclaimer => (person.map_or("Disclaimer".to_owned(), |who| format!("Disclaimer of {who}")), None),
        EventKind::System => (person.map_or("System".to_owned(), |who| format!("System, about {who}")), text),
    };
    let note = if record.fault.is_some() { note + ": the words could not be read" } else { note };
    nobody(What::Note(note, text))
}

fn unreadable<'a>(kind: ItemKind, line: u64) -> Entry<'a> {
    let what = match kind {
        ItemKind::Attachment => "An attachment".to_owned(),
        ItemKind::Message => "A message".to_owned(),
        ItemKind::Event(kind) => format!("An event ({})", kind.as_str()),
    };
    nobody(What::Note(format!("{what} on line {line} of the export could not be read"), None))
}

/// A line on which nobody speaks.
fn nobody(what: What<'_>) -> Entry<'_> {
    Entry { time: String::new(), who: String::new(), to: String::new(), marks: Vec::new(), what, guarded: false }
}

/// A few people by name, more by their numbers: `#1-#12, #14`.
fn people<'p>(people: impl ExactSizeIterator<Item = &'p Person>, names: &impl Names) -> String {
    let count = people.len();
    if count <= NAMED {
        return people.map(|person| names.name(person)).collect::<Vec<_>>().join(", ");
    }
    let mut numbers = Vec::with_capacity(count);
    let mut others = Vec::new();
    for person in people {
        match names.number(person) {
            Some(number) => numbers.push(number),
            None => others.push(names.name(person)),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let mut words = format!("{count} people: ");
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| match run {
        [first, .., last] => format!("#{first}-#{last}"),
        [one] => format!("#{one}"),
        [] => String::new(),
    });
    words.push_str(&runs.chain(others).collect::<Vec<_>>().join(", "));
    words
}
