//! A person while it is being read.

use super::ranked::{Ranked, Settled};
use crate::export::layout::Part;
use crate::export::{Email, ImId, Person, trim};

#[derive(Debug, Default)]
pub(super) struct PersonDraft {
    im_id: Ranked<ImId>,
    email: Ranked<Email>,
    name: Ranked<Box<str>>,
    first: Ranked<Box<str>>,
    last: Ranked<Box<str>>,
    company: Ranked<Box<str>>,
}

impl PersonDraft {
    /// Takes a part. What is empty counts as absent.
    pub(super) fn fill(&mut self, part: Part, rank: u8, text: &str) -> Settled {
        match part {
            Part::ImId if self.im_id.wants(rank) => {
                ImId::new(text).map_or(Settled::Yes, |id| self.im_id.settle(rank, id))
            }
            Part::Email if self.email.wants(rank) => {
                Email::new(text).map_or(Settled::Yes, |email| self.email.settle(rank, email))
            }
            Part::ImId | Part::Email => Settled::Yes,
            Part::Name => self.name.settle_text(rank, text),
            Part::FirstName => self.first.settle_text(rank, text),
            Part::LastName => self.last.settle_text(rank, text),
            Part::Company => self.company.settle_text(rank, text),
        }
    }

    /// Nobody again.
    pub(super) fn clear(&mut self) {
        self.im_id.clear();
        self.email.clear();
        [&mut self.name, &mut self.first, &mut self.last, &mut self.company].into_iter().for_each(Ranked::clear);
    }

    /// The first part whose place has two values.
    fn twice(&self) -> Option<Part> {
        let parts = [
            (self.im_id.is_twice(), Part::ImId),
            (self.email.is_twice(), Part::Email),
            (self.name.is_twice(), Part::Name),
            (self.first.is_twice(), Part::FirstName),
            (self.last.is_twice(), Part::LastName),
            (self.company.is_twice(), Part::Company),
        ];
        parts.into_iter().find(|(twice, _)| *twice).map(|(_, part)| part)
    }

    /// The person, and the part whose place has two values, if one has. What is left is nobody.
    pub(super) fn finish(&mut self) -> (Person, Option<Part>) {
        let twice = self.twice();
        let (name, first, last) = (self.name.take(), self.first.take(), self.last.take());
        let name = name.or_else(|| match (first, last) {
            (Some(first), Some(last)) => Some([&*first, &*last].join(" ").into()),
            (first, last) => first.or(last),
        });
        let person = Person { im_id: self.im_id.take(), email: self.email.take(), name, company: self.company.take() };
        (person, twice)
    }
}

/// The people whom a text lists; nothing between two delimiters is nobody.
pub(super) fn listed(part: Part, text: &str, delimiter: &str) -> impl Iterator<Item = Person> {
    text.split(delimiter).filter(|one| !trim(one).is_empty()).map(move |one| {
        let mut person = PersonDraft::default();
        person.fill(part, 0, one);
        person.finish().0
    })
}

/// A list of people that may stand in several places, while it is being read: only its end tells which of them counts.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Of the place that counts so far.
    rank: u8,
    people: Vec<Person>,
}

impl Listed {
    /// Takes the people of a place of this rank; the lowest that names anybody counts.
    pub(super) fn add(&mut self, rank: u8, people: impl Iterator<Item = Person>) {
        for person in people {
            if self.people.is_empty() || rank < self.rank {
                (self.rank, self.people) = (rank, vec![person]);
            } else if rank == self.rank {
                self.people.push(person);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    pub(super) fn clear(&mut self) {
        self.people.clear();
    }

    /// The people; what is left is an empty list.
    pub(super) fn take(&mut self) -> Vec<Person> {
        std::mem::take(&mut self.people)
    }
}
