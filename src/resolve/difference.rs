//! What a new mapping or mailbox list changes against the one before, and what of it a person should look at: a set takes
//! effect as it is, so a slip of the hand must not pass unseen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use super::mapping::{Binding, Target};
use super::{Directory, MailboxList, Mapping, RuleSet};
use crate::export::Email;
use crate::mailbox::Mailbox;

/// How many concerns of one kind are told one by one.
const TOLD: usize = 50;
/// How many of the entries that are gone are named.
const NAMED: usize = 20;
/// More than one in so many entries gone is a concern.
const REMOVED_OF: usize = 20;
/// A list of fewer mailboxes may shrink as it likes: a firm of nine can lose five.
const SHRINKABLE: usize = 10;

/// Whether a number became so much smaller that it is a mistake more often than a fact: of at least 10, less than half is left.
pub fn shrinks(before: usize, after: usize) -> bool {
    before >= SHRINKABLE && after * 2 < before
}

/// What a new set changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Entries (`ImId`s, or mailboxes of a list) that only the new set has.
    pub added: u64,
    /// Entries that only the old set has.
    pub removed: u64,
    /// Entries of both that say something else now.
    pub changed: u64,
    /// What a person should look at, by kind, each in alphabetical order.
    pub concerns: Vec<Concern>,
}

/// Something that is right or a grave mistake, which only a person can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concern {
    /// Of which kind.
    pub kind: ConcernKind,
    /// What is the matter, in one line for an operator; names `ImId`s and mailboxes, never chat.
    pub words: String,
}

/// The kinds of concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConcernKind {
    /// Someone's chats go to another mailbox than before.
    Moved,
    /// Someone's chats go to another mailbox than the one that the exports give for them.
    Overrides,
    /// More than a twentieth of the entries are gone.
    Removed,
    /// The list lost more than half of its mailboxes.
    Shrunk,
}

impl Difference {
    /// What `new` changes. `emails`: the e-mail that exports gave for an `ImId` (folded), as far as known.
    pub fn of_mapping(old: Option<&Mapping>, new: &RuleSet, emails: &HashMap<String, Email>) -> Self {
        Self::between(old, new, emails, "ImIds of the mapping")
    }

    /// What `new` changes. Entries are mailboxes, known by their primary addresses, and `ImId`s.
    pub fn of_directory(old: Option<&Directory>, new: &Directory, emails: &HashMap<String, Email>) -> Self {
        let mut difference = Self::lists(old.map(|old| &*old.mailboxes), &new.mailboxes, "the tenant");
        let rules = RuleSet {
            mapping: Arc::clone(&new.im_ids),
            list: Some(Arc::clone(&new.mailboxes)),
            directory: None,
            domains: Vec::new(),
            companies: Vec::new(),
            automatic: false,
        };
        let im_ids = Self::between(old.map(|old| &*old.im_ids), &rules, emails, "ImIds of the tenant");
        difference.added += im_ids.added;
        difference.removed += im_ids.removed;
        difference.changed += im_ids.changed;
        difference.concerns.extend(im_ids.concerns);
        difference
    }

    fn between(old: Option<&Mapping>, new: &RuleSet, emails: &HashMap<String, Email>, what: &str) -> Self {
        let empty = Mapping::default();
        let old = old.unwrap_or(&empty);
        let (mut difference, mut moved, mut overrides) = (Self::default(), Vec::new(), Vec::new());
        for (im_id, binding) in new.mapping.bindings() {
            match old.binding(im_id) {
                Some(before) if before == binding => continue,
                Some(before) => {
                    difference.changed += 1;
                    moved.extend(new.moved(im_id, before, binding));
                }
                None => difference.added += 1,
            }
            overrides.extend(emails.get(im_id).and_then(|email| new.overrides(im_id, binding, email)));
        }
        let gone = old.bindings().map(|(im_id, _)| im_id).filter(|im_id| new.mapping.binding(im_id).is_none());
        let gone: Vec<&str> = gone.collect();
        difference.removed = gone.len() as u64;
        difference.concern_each(ConcernKind::Moved, moved);
        difference.concern_each(ConcernKind::Overrides, overrides);
        difference.concern_removed(gone, old.len(), what);
        difference
    }

    /// What `new` changes. Entries are mailboxes, known by their primary addresses.
    pub fn of_list(old: Option<&MailboxList>, new: &MailboxList) -> Self {
        Self::lists(old, new, "the mailbox list")
    }

    fn lists(old: Option<&MailboxList>, new: &MailboxList, whose: &str) -> Self {
        let empty = MailboxList::default();
        let old = old.unwrap_or(&empty);
        let (before, now): (HashSet<_>, HashSet<_>) = (old.primaries().collect(), new.primaries().collect());
        // A mailbox that got another primary address and keeps the old one is not gone.
        let is_gone = |primary: &Mailbox| new.resolve(primary.as_str()).is_none();
        let gone: Vec<&str> = before.iter().filter(|old| is_gone(old)).map(|primary| primary.as_str()).collect();
        let touched: HashSet<&Mailbox> = new.beyond(old).chain(old.beyond(new)).map(|(_, primary)| primary).collect();
        let mut difference = Self {
            added: now.difference(&before).count() as u64,
            removed: before.difference(&now).count() as u64,
            changed: touched.iter().filter(|primary| before.contains(*primary) && now.contains(*primary)).count()
                as u64,
            concerns: Vec::new(),
        };
        difference.concern_each(ConcernKind::Moved, moved_addresses(old, new));
        if old.shrinks_to(new) {
            let words = format!("{} of {} mailboxes are left in {whose}", new.mailboxes(), old.mailboxes());
            difference.concerns.push(Concern { kind: ConcernKind::Shrunk, words });
        }
        let what = format!("mailboxes of {}", whose.replace("mailbox ", ""));
        difference.concern_removed(gone, before.len(), &what);
        difference
    }

    /// One concern for each, and one that says how many more there are.
    fn concern_each(&mut self, kind: ConcernKind, mut words: Vec<String>) {
        words.sort_unstable();
        let more = words.len().saturating_sub(TOLD);
        words.truncate(TOLD);
        words.extend((more > 0).then(|| format!("and {more} more")));
        self.concerns.extend(words.into_iter().map(|words| Concern { kind, words }));
    }

    fn concern_removed(&mut self, mut gone: Vec<&str>, of: usize, what: &str) {
        if gone.len() * REMOVED_OF <= of {
            return;
        }
        gone.sort_unstable();
        let named = gone.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = gone.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let words = format!("{} of {of} {what} are gone: {named}{more}", gone.len());
        self.concerns.push(Concern { kind: ConcernKind::Removed, words });
    }
}

impl RuleSet {
    /// What is said of an `ImId` that had a mailbox and, on some day, has another or none of ours. Two addresses of one
    /// mailbox are no move, and neither is a period that only ends.
    fn moved(&self, im_id: &str, before: &Binding, now: &Binding) -> Option<String> {
        let mut days: Vec<Date> = std::iter::once(Date::MIN).chain(before.turns()).chain(now.turns()).collect();
        days.sort_unstable();
        let differs = |day: &Date| {
            let (Target::Mailbox(old), new) = (before.on(*day)?, now.on(*day)?) else { return None };
            let same = if let Target::Mailbox(new) = new { self.is_same(old, new) } else { false };
            (!same).then_some((*day, old, new))
        };
        let (day, old, new) = days.iter().find_map(differs)?;
        let since = if day > Date::MIN { format!(" from {day} on") } else { String::new() };
        Some(format!("{im_id}: {} now{since}, was {old}", new.as_str()))
    }

    fn is_same(&self, one: &Mailbox, other: &Mailbox) -> bool {
        one == other || self.valid(one).is_some_and(|valid| self.valid(other) == Some(valid))
    }

    /// What is said of an `ImId` whose e-mail in the exports is a valid mailbox, but not the one it is mapped to.
    fn overrides(&self, im_id: &str, binding: &Binding, email: &Email) -> Option<String> {
        let by_email = self.valid_email(email)?;
        let other = binding.targets().find_map(|target| match target {
            Target::Mailbox(mailbox) => self.valid(mailbox).filter(|valid| *valid != by_email),
            Target::External => None,
        })?;
        Some(format!("{im_id}: mapped to {other}, but the exports give the e-mail of {by_email}"))
    }
}

impl MailboxList {
    /// Whether `new` has so many fewer mailboxes that it is a mistake more often than a fact.
    pub fn shrinks_to(&self, new: &Self) -> bool {
        shrinks(self.mailboxes(), new.mailboxes())
    }

    /// The addresses that lead to another mailbox here than in `other`, or nowhere there.
    fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a Mailbox)> {
        self.addresses().filter(|(address, primary)| other.resolve(address) != Some(*primary))
    }
}

/// What is said of addresses that lead to somebody else's mailbox now. Where the mailbox itself got another primary
/// address, all of its addresses do, and nobody's chats go astray.
fn moved_addresses(old: &MailboxList, new: &MailboxList) -> Vec<String> {
    let moved = new.beyond(old).filter_map(|(address, now)| {
        let before = old.resolve(address)?;
        let renamed = new.resolve(before.as_str()) == Some(now);
        (!renamed).then(|| format!("{address}: an address of {now} now, was one of {before}"))
    });
    moved.collect()
}

#[cfg(test)]
mod tests;
