//! What a new mapping or mailbox list changes, in numbers, and what of it a person should look at.

use std::collections::HashMap;

use serde::Serialize;

use super::{MailboxList, Mapping, RuleSet};
use crate::export::Email;

/// What a new set changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Entries that the old set does not have.
    pub added: u64,
    /// Entries that only the old set has.
    pub removed: u64,
    /// Entries of both that say something else.
    pub changed: u64,
    /// What a person should look at.
    pub concerns: Vec<Concern>,
}

/// Something that takes effect, and that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concern {
    /// Which kind of change it is.
    pub kind: ConcernKind,
    /// What changed, naming the rows.
    pub words: String,
}

/// Kinds of change that are mistakes more often than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConcernKind {
    /// An `ImId` has another mailbox.
    Moved,
    /// A mapping leads elsewhere than a valid e-mail.
    Overrides,
    /// More than a twentieth of the entries are gone.
    Removed,
    /// A list has far fewer mailboxes.
    Shrunk,
}

impl Difference {
    /// What a new mapping changes; `emails` are those that exports gave, by folded `ImId`.
    pub fn of_mapping(old: Option<&Mapping>, new: &RuleSet, _emails: &HashMap<String, Email>) -> Self {
        Self::of_lines(&old.map(Mapping::canonical).unwrap_or_default(), &new.mapping.canonical())
    }

    /// What a new list changes.
    pub fn of_list(old: Option<&MailboxList>, new: &MailboxList) -> Self {
        Self::of_lines(&old.map(MailboxList::canonical).unwrap_or_default(), &new.canonical())
    }

    fn of_lines(old: &[u8], new: &[u8]) -> Self {
        let (old, new) = (entries(old), entries(new));
        let both = new.iter().filter_map(|(key, value)| Some((value, old.get(key)?)));
        let (same, changed): (Vec<_>, Vec<_>) = both.partition(|(new, old)| new == old);
        let kept = same.len() + changed.len();
        Self {
            added: (new.len() - kept) as u64,
            removed: (old.len() - kept) as u64,
            changed: changed.len() as u64,
            concerns: Vec::new(),
        }
    }
}

impl MailboxList {
    /// Whether `new` has so few mailboxes that it is a mistake more often than a fact.
    pub fn shrinks_to(&self, new: &Self) -> bool {
        new.mailboxes() * 2 < self.mailboxes()
    }
}

fn entries(canonical: &[u8]) -> HashMap<&[u8], &[u8]> {
    let lines = canonical.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| line.split_at(line.iter().position(|byte| *byte == b'\t').unwrap_or(line.len()))).collect()
}
