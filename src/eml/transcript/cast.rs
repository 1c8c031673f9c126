//! The people of a transcript, numbered, each with when they were there.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::clock::Clock;
use crate::eml::address::display_name;
use crate::eml::room::shown_name;
use crate::export::transcript::{Attended, Transcript};
use crate::export::{Email, ImId, Person};

type Key = (Option<Box<str>>, Option<Box<str>>);

/// Everyone, in the order of the header: the sender, who spoke or was spoken to, the silent; then who was only invited.
pub(super) struct Cast<'a> {
    pub(super) people: Vec<Listed<'a>>,
    numbers: HashMap<Key, usize>,
    /// What several of them are called.
    ambiguous: HashSet<String>,
}

/// One of them.
pub(super) struct Listed<'a> {
    pub(super) person: &'a Person,
    /// When they were there; `None` where that is not known, or stands in another part.
    pub(super) attended: Option<&'a Attended>,
}

impl<'a> Cast<'a> {
    pub(super) fn new(transcript: &'a Transcript) -> Self {
        let by_identity: BTreeMap<Identity<'_>, &Attended> =
            transcript.attendance.iter().map(|attended| (identity(&attended.person), attended)).collect();
        let people = transcript.participants.iter().filter(|one| one.person.has_identity());
        let mut all: Vec<Listed<'a>> = people
            .map(|one| Listed { person: &one.person, attended: by_identity.get(&identity(&one.person)).copied() })
            .collect();
        let known: HashSet<Identity<'_>> = all.iter().map(|listed| identity(listed.person)).collect();
        let others = transcript.attendance.iter().filter(|attended| !known.contains(&identity(&attended.person)));
        all.extend(others.map(|attended| Listed { person: &attended.person, attended: Some(attended) }));
        let mut cast = Self { people: all, numbers: HashMap::new(), ambiguous: HashSet::new() };
        let mut called = HashSet::new();
        for (at, listed) in cast.people.iter().enumerate() {
            cast.numbers.entry(key(listed.person)).or_insert(at + 1);
            let name = name(listed.person);
            if !called.insert(name.clone()) {
                cast.ambiguous.insert(name);
            }
        }
        cast
    }

    /// A person's number, from 1.
    pub(super) fn number(&self, person: &Person) -> Option<usize> {
        self.numbers.get(&key(person)).copied()
    }

    /// What a person is called; with the number, where others are called the same.
    pub(super) fn name(&self, person: &Person) -> String {
        let name = name(person);
        match self.number(person) {
            Some(number) if self.ambiguous.contains(&name) => format!("{name} #{number}"),
            _ => name,
        }
    }
}

/// By what someone is the same person on all lines: the `ImId`, else the e-mail. An `ImId` may look like an e-mail.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Identity<'a> {
    ImId(&'a str),
    Email(&'a str),
    Nobody,
}

fn identity(person: &Person) -> Identity<'_> {
    match (&person.im_id, &person.email) {
        (Some(im_id), _) => Identity::ImId(im_id.folded()),
        (None, Some(email)) => Identity::Email(email.folded()),
        (None, None) => Identity::Nobody,
    }
}

fn key(person: &Person) -> Key {
    let folded = |text: &str| Box::from(text);
    (person.im_id.as_ref().map(ImId::folded).map(folded), person.email.as_ref().map(Email::folded).map(folded))
}

/// The name and company, else whatever there is.
pub(super) fn name(person: &Person) -> String {
    let name = display_name(person);
    if name.is_empty() { shown_name(person).into_owned() } else { name }
}

/// `already present, left 10:31:05; entered 11:00:00, still present at the end`.
pub(super) fn attended(attended: &Attended, clock: &Clock, cast: &Cast<'_>) -> String {
    let mut words: Vec<String> = attended
        .invited
        .iter()
        .map(|(time, by)| {
            let time = time.map_or(String::new(), |time| format!(" {}", clock.time(time)));
            let by = by.as_ref().map_or(String::new(), |by| format!(" by {}", cast.name(by)));
            format!("invited{time}{by}")
        })
        .collect();
    words.extend(attended.stays.iter().map(|stay| {
        if stay.from.is_none() && stay.to.is_none() {
            return "present throughout".to_owned();
        }
        let from = stay.from.map_or("already present".to_owned(), |time| format!("entered {}", clock.time(time)));
        let to = stay.to.map_or("present to the end".to_owned(), |time| format!("left {}", clock.time(time)));
        format!("{from}, {to}")
    }));
    words.join("; ")
}
