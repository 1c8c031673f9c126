//! Whom an export's items name, added up while they are placed: who has which mailbox since when, who has none, and what
//! a held item lacks.

use std::collections::HashMap;
use std::sync::Arc;

use super::{IngestError, Tools};
use crate::export::Person;
use crate::ledger::Seen;
use crate::resolve::Outcome;

/// People are added up in memory up to about this many, then in the working tables.
const TALLIED_PEOPLE: usize = 10_000;

/// What distinguishes a participant within an export: folded ImId and e-mail. Neither holds a control character after
/// the separator that could make two of them one, for both were trimmed.
pub(super) fn person_key(person: &Person, key: &mut String) {
    key.clear();
    key.push_str(person.im_id.as_ref().map_or("", |im_id| im_id.folded()));
    key.push('\u{1f}');
    key.push_str(person.email.as_ref().map_or("", |email| email.folded()));
}

/// The keys of people whom an item lacks a mailbox for.
pub(super) fn keys_of(people: &[Arc<Person>]) -> Vec<String> {
    let keys = people.iter().map(|person| {
        let mut key = String::new();
        person_key(person, &mut key);
        key
    });
    keys.collect()
}

/// The same for who reads the evidence: ImId, space, e-mail.
pub(super) fn names_of(people: &[Arc<Person>]) -> Vec<String> {
    let names = people.iter().map(|person| {
        let im_id = person.im_id.as_ref().map_or("", |im_id| im_id.folded());
        let email = person.email.as_ref().map_or("", |email| email.folded());
        format!("{im_id} {email}").trim().to_owned()
    });
    names.collect()
}

/// People by who they are and which mailbox they have, with what distinguishes both as the key.
#[derive(Debug, Default)]
pub(super) struct Tally {
    people: HashMap<String, Seen>,
    key: String,
}

impl Tally {
    /// A participant of an item of this time, in Unix seconds.
    pub(super) fn add(&mut self, person: &Person, outcome: &Outcome, time: i64) {
        person_key(person, &mut self.key);
        let who = self.key.len();
        if let Outcome::Mailbox(mailbox) = outcome {
            self.key.push('\u{1e}');
            self.key.push_str(mailbox.as_str());
        }
        let external = *outcome == Outcome::External;
        if let Some(known) = self.people.get_mut(self.key.as_str()) {
            known.again(external, person.name.as_deref(), person.company.as_deref(), time);
            return;
        }
        let seen = Seen {
            key: self.key[..who].to_owned(),
            im_id: person.im_id.as_ref().map(|im_id| im_id.as_str().to_owned()),
            email: person.email.as_ref().map(|email| email.as_str().to_owned()),
            name: person.name.as_deref().map(str::to_owned),
            company: person.company.as_deref().map(str::to_owned),
            mailbox: if let Outcome::Mailbox(mailbox) = outcome { Some(mailbox.clone()) } else { None },
            external,
            items: 1,
            first_seen: time,
            last_seen: time,
        };
        self.people.insert(self.key.clone(), seen);
    }

    /// Takes over what another thread added up of later items.
    pub(super) fn absorb(&mut self, later: Self) {
        for (key, seen) in later.people {
            match self.people.get_mut(&key) {
                Some(known) => known.merge(seen),
                None => drop(self.people.insert(key, seen)),
            }
        }
    }

    /// Bounds memory.
    pub(super) fn flush_if_full(&mut self, tools: &Tools<'_>) -> Result<(), IngestError> {
        if self.people.len() >= TALLIED_PEOPLE { self.flush(tools) } else { Ok(()) }
    }

    pub(super) fn flush(&mut self, tools: &Tools<'_>) -> Result<(), IngestError> {
        for (_, seen) in self.people.drain() {
            tools.scratch.add_seen(&seen)?;
        }
        Ok(())
    }
}
