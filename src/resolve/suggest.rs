//! Whose mailbox it might be: for people without one, a mailbox of the list that looks alike, for an operator to confirm.
//! It decides nothing. A wrong suggestion is worse than none, so there is one only where a single mailbox is clearly best.
//!
//! One pass over the list, with all people at once: what they are called is the smaller side, and is indexed.

use std::collections::HashMap;

use strsim::osa_distance;

use super::ReadList;
use crate::mailbox::Mailbox;

/// Letter for letter the same.
const WHOLE: u8 = 100;
/// The same words in another order, or digits aside.
const LETTERS: u8 = 95;
/// `jbaker`, `baker.j` for Joe Baker; and at most this for a mistyped name.
const ABBREVIATED: u8 = 90;
/// `adams17` for Amy Adams.
const WORD: u8 = 85;
/// How far the best must be ahead of the second.
const MARGIN: u8 = 5;

/// A letter in so many may be wrong.
const LETTERS_PER_SLIP: usize = 5;
/// What is shorter says nothing.
const SHORTEST: usize = 3;
/// A single word must have so many letters to stand for a name.
const SHORTEST_WORD: usize = 4;
/// Words that begin like those of so many people say nothing; and each is compared with each.
const COMMON: usize = 100;

/// What exports say of somebody without a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Described<'a> {
    /// First and last name, in any order.
    pub name: Option<&'a str>,
    /// An address, valid or not.
    pub email: Option<&'a str>,
    /// The login on ICE Chat.
    pub im_id: Option<&'a str>,
}

impl ReadList {
    /// For each of `people` the one mailbox of the list that looks alike: their name beside the names of mailboxes, and
    /// the local part of their e-mail and their `ImId` beside the local parts of addresses. Of a list without names the
    /// addresses alone count.
    pub fn suggest(&self, people: &[Described<'_>]) -> Vec<Option<Mailbox>> {
        let index = Index::of(people);
        let mut found: Vec<Found<'_>> = people.iter().map(|_| Found::default()).collect();
        for (mailbox, name) in &self.names {
            index.compare(&Form::of(Kind::Name, name), |who, score| found[who].offer(mailbox, score));
        }
        for (address, mailbox) in self.list.addresses() {
            index.compare(&Form::login(address), |who, score| found[who].offer(mailbox, score));
        }
        found.into_iter().map(Found::clearly_best).collect()
    }
}

/// What a form was taken from. A name says less of a local part than another local part does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Name,
    Login,
}

/// A name, or what stands for one in an address or an `ImId`.
#[derive(Debug, Default)]
struct Form {
    kind: Kind,
    /// Its letters and digits, in lower case.
    whole: String,
    /// Its runs of letters.
    words: Vec<String>,
}

impl Form {
    /// What stands in brackets (a company, a place) is no part of a name; an apostrophe separates no words.
    fn of(kind: Kind, text: &str) -> Self {
        let mut form = Self { kind, ..Self::default() };
        let mut within = false;
        for c in text.split('(').next().unwrap_or_default().chars() {
            if matches!(c, '\'' | '\u{2019}') {
                continue;
            }
            if c.is_alphanumeric() {
                form.whole.extend(c.to_lowercase());
            }
            if c.is_alphabetic() && !within {
                form.words.push(String::new());
            }
            within = c.is_alphabetic();
            form.words.iter_mut().last().filter(|_| within).into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        form
    }

    /// The local part of an address, or of an `ImId`, which may look like one.
    fn login(address: &str) -> Self {
        Self::of(Kind::Login, address.split('@').next().unwrap_or_default())
    }

    /// All words, in alphabetical order: nobody agrees on whether the first name comes first.
    fn sorted(&self) -> String {
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words.concat()
    }

    /// How people shorten two names to one login: `jbaker`, `bakerj`, `joeb`, `bjoe`.
    fn abbreviated(&self) -> Vec<String> {
        let [first, .., last] = &*self.words else { return Vec::new() };
        let initial = |word: &str| word.chars().next().map(String::from).unwrap_or_default();
        let (f, l) = (initial(first), initial(last));
        vec![format!("{f}{last}"), format!("{last}{f}"), format!("{first}{l}"), format!("{l}{first}")]
    }

    fn beginnings(&self) -> impl Iterator<Item = String> {
        let begins = |word: &String| word.chars().take(SHORTEST).collect::<String>();
        self.words.iter().map(begins).filter(|begins| begins.chars().count() == SHORTEST)
    }
}

/// The people, by what they are called.
#[derive(Default)]
struct Index {
    names: HashMap<String, Vec<usize>>,
    logins: HashMap<String, Vec<usize>>,
    letters: HashMap<String, Vec<usize>>,
    words: HashMap<String, Vec<usize>>,
    /// By the first letters of any word.
    spelt: HashMap<String, Vec<Spelt>>,
}

/// A form, so that most pairs need no look at their letters.
#[derive(Clone)]
struct Spelt {
    who: usize,
    text: String,
    length: usize,
    letters: u64,
}

impl Index {
    fn of(people: &[Described<'_>]) -> Self {
        let mut index = Self::default();
        for (who, person) in people.iter().enumerate() {
            let im_id = person.im_id.map(Form::login);
            if let Some([word]) = im_id.as_ref().map(|form| &*form.words)
                && word.chars().count() >= SHORTEST_WORD
            {
                index.words.entry(word.clone()).or_default().push(who);
            }
            let others = [person.name.map(|name| Form::of(Kind::Name, name)), person.email.map(Form::login)];
            for form in others.into_iter().chain([im_id]).flatten() {
                index.add(who, &form);
            }
        }
        index.spelt.retain(|_, alike| alike.len() <= COMMON);
        index
    }

    fn add(&mut self, who: usize, form: &Form) {
        let sorted = Spelt::of(who, form.sorted());
        if form.whole.chars().count() >= SHORTEST {
            let same = if form.kind == Kind::Name { &mut self.names } else { &mut self.logins };
            same.entry(form.whole.clone()).or_default().push(who);
        }
        if sorted.length < SHORTEST {
            return;
        }
        for beginning in form.beginnings() {
            self.spelt.entry(beginning).or_default().push(sorted.clone());
        }
        for letters in [form.words.concat(), sorted.text] {
            self.letters.entry(letters).or_default().push(who);
        }
    }

    /// Tells for whom `form` looks like what they are called, and how much. Some are told several times.
    fn compare(&self, form: &Form, mut tell: impl FnMut(usize, u8)) {
        let mut look_up = |map: &HashMap<String, Vec<usize>>, text: &str, score: u8| {
            map.get(text).into_iter().flatten().for_each(|who| tell(*who, score));
        };
        let same = if form.kind == Kind::Name { &self.names } else { &self.logins };
        look_up(same, &form.whole, WHOLE);
        look_up(&self.letters, &form.words.concat(), LETTERS);
        for abbreviated in form.abbreviated() {
            look_up(&self.letters, &abbreviated, ABBREVIATED);
        }
        for word in form.words.iter().filter(|_| !self.words.is_empty()) {
            look_up(&self.words, word, WORD);
        }
        let sorted = Spelt::of(0, form.sorted());
        look_up(&self.letters, &sorted.text, LETTERS);
        for alike in form.beginnings().filter_map(|beginning| self.spelt.get(&beginning)).flatten() {
            if let Some(score) = alike.score(&sorted) {
                tell(alike.who, score);
            }
        }
    }
}

impl Spelt {
    fn of(who: usize, text: String) -> Self {
        let letters = text.chars().fold(0, |all, c| all | 1 << (u32::from(c) % 64));
        Self { who, length: text.chars().count(), text, letters }
    }

    /// How much two are alike, if few letters differ. A letter that only one of them has is one that differs, and so is
    /// one that it has more.
    fn score(&self, other: &Self) -> Option<u8> {
        let length = self.length.max(other.length);
        let slips = length / LETTERS_PER_SLIP;
        let only = (self.letters & !other.letters).count_ones().max((other.letters & !self.letters).count_ones());
        if self.length.abs_diff(other.length) > slips || only as usize > slips {
            return None;
        }
        let distance = osa_distance(&self.text, &other.text);
        let score = 100 - 100 * distance / length.max(1);
        (distance <= slips).then(|| u8::try_from(score).unwrap_or(WHOLE).min(ABBREVIATED))
    }
}

/// The best mailbox so far, and how good the second is.
#[derive(Debug, Default)]
struct Found<'a> {
    best: Option<(&'a Mailbox, u8)>,
    second: u8,
}

impl<'a> Found<'a> {
    fn offer(&mut self, mailbox: &'a Mailbox, score: u8) {
        match &mut self.best {
            Some((best, known)) if *best == mailbox => *known = score.max(*known),
            Some((_, known)) if score <= *known => self.second = score.max(self.second),
            best => {
                self.second = best.map_or(0, |(_, known)| known);
                *best = Some((mailbox, score));
            }
        }
    }

    fn clearly_best(self) -> Option<Mailbox> {
        self.best.filter(|(_, score)| *score >= self.second + MARGIN).map(|(mailbox, _)| mailbox.clone())
    }
}

#[cfg(test)]
mod tests;
