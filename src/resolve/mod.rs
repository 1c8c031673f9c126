//! The rule of resolution: from participants to mailboxes (contract 6).
//!
//! It knows neither files nor settings, and not what an item holds: persons go in, mailboxes come out.

mod canonical;
mod damage;
pub mod difference;
pub mod directory;
mod fault;
pub mod mailboxes;
pub mod mapping;
pub mod period;
pub mod suggest;
mod table;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::civil::Date;

use crate::mailbox::Mailbox;
pub use canonical::CanonicalError;
pub use damage::{Damage, Warning};
pub use difference::{Concern, ConcernKind, Difference, shrinks};
pub use directory::{Directory, Member, ReadDirectory};
pub use fault::{Column, Fault, RowError};
pub use mailboxes::{MailboxList, ReadList};
pub use mapping::{Mapping, ReadMapping};
pub use period::Period;

use crate::domain::{Domain, is_domain};
use crate::export::{Email, ImId, Item, Person, trim};
use crate::mailbox::domain_of;
pub use mapping::Target;

/// What becomes of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Has this mailbox, which is valid.
    Mailbox(Mailbox),
    /// Not ours.
    External,
    /// Ours, but without a mailbox: a person must look.
    Unresolved,
}

/// Everything that decides a participant's mailbox: one version of mapping, list and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// The operators' mapping.
    pub mapping: Arc<Mapping>,
    /// The only valid mailboxes, if there is a list.
    pub list: Option<Arc<MailboxList>>,
    /// The tenant's users, if it is asked: the only valid mailboxes where there is no list, and `ImId`s behind the mapping.
    pub directory: Option<Arc<Directory>>,
    /// Ours, exactly these.
    pub domains: Vec<Domain>,
    /// Company names that are ours.
    pub companies: Vec<String>,
    /// Whether the e-mail counts where the mapping finds nothing.
    pub automatic: bool,
}

impl RuleSet {
    /// What becomes of `person`, whose e-mail and company are completed from the conversation, in an item of that day (in
    /// UTC).
    pub fn resolve(&self, person: &Person, day: Date) -> Outcome {
        let target = person.im_id.as_ref().and_then(|im_id| self.target(im_id, day));
        let mapped = match target {
            Some(Target::Mailbox(mailbox)) => self.valid(mailbox),
            Some(Target::External) | None => None,
        };
        let by_email = || person.email.as_ref().filter(|_| self.automatic).and_then(|email| self.valid_email(email));
        match mapped.or_else(by_email) {
            Some(mailbox) => Outcome::Mailbox(mailbox),
            None if self.is_external(person, target) => Outcome::External,
            None => Outcome::Unresolved,
        }
    }

    /// What an `ImId` is mapped to on a day: by the operators' mapping, else by the tenant.
    pub fn target(&self, im_id: &ImId, day: Date) -> Option<&Target> {
        self.mapping.get(im_id, day).or_else(|| self.directory.as_ref()?.im_ids.get(im_id, day))
    }

    /// The only valid mailboxes, where not every address of a domain is.
    pub fn listed(&self) -> Option<&MailboxList> {
        self.list.as_deref().or_else(|| Some(&*self.directory.as_ref()?.mailboxes))
    }

    /// Those who are ours by name: the mailboxes of the list, or the tenant's; without both, the valid ones that the mapping names for the
    /// day.
    pub fn staff(&self, day: Date) -> BTreeSet<Mailbox> {
        match self.listed() {
            Some(list) => list.primaries().cloned().collect(),
            None => self.mapping.mailboxes_on(day).filter_map(|mailbox| self.valid(mailbox)).collect(),
        }
    }

    /// What may become of `person` in items between two days, both included: a mailbox, if there is one on any of them;
    /// else unresolved, if they are that on any.
    pub fn resolve_between(&self, person: &Person, first: Date, last: Date) -> Outcome {
        let mut found = Outcome::External;
        for day in self.mapping.telling_days(person.im_id.as_ref(), first, last) {
            match self.resolve(person, day) {
                Outcome::Mailbox(mailbox) => return Outcome::Mailbox(mailbox),
                Outcome::Unresolved => found = Outcome::Unresolved,
                Outcome::External => {}
            }
        }
        found
    }

    /// Whether the address is one of a valid user.
    pub fn is_valid(&self, mailbox: &Mailbox) -> bool {
        self.valid(mailbox).is_some()
    }

    /// The mailbox that an address of the mapping leads to.
    pub fn valid(&self, mailbox: &Mailbox) -> Option<Mailbox> {
        match self.listed() {
            Some(list) => list.resolve(mailbox.as_str()).cloned(),
            None => self.has_domain(mailbox.domain()).then(|| mailbox.clone()),
        }
    }

    /// As [`RuleSet::valid`], with a mailbox made only where it is needed.
    fn valid_email(&self, email: &Email) -> Option<Mailbox> {
        if let Some(list) = self.listed() {
            // Folding makes ASCII of a few other letters (U+212A is one): such an address is malformed all the same.
            return list.resolve(email.folded()).filter(|_| email.as_str().is_ascii()).cloned();
        }
        let ours = self.has_domain(domain_of(email.as_str())?);
        ours.then(|| Mailbox::parse(email.as_str()).ok()).flatten()
    }

    /// Whether someone without a mailbox is nobody of ours. What cannot be told is taken for ours: that is heard.
    fn is_external(&self, person: &Person, target: Option<&Target>) -> bool {
        if target == Some(&Target::External) {
            return true;
        }
        let company = person.company.as_deref().map(trim).filter(|company| !company.is_empty());
        if company.is_some_and(|company| self.has_company(company)) {
            return false;
        }
        match &person.email {
            Some(email) => target.is_none() && self.is_outside(email),
            None => company.is_some() && !self.companies.is_empty(),
        }
    }

    /// Whether the address has a domain, which is what follows the last `@` of whatever it is, and not one of ours.
    fn is_outside(&self, email: &Email) -> bool {
        domain_of(email.as_str()).is_some_and(|domain| is_domain(domain) && !self.has_domain(domain))
    }

    fn has_domain(&self, domain: &str) -> bool {
        self.domains.iter().any(|ours| ours.as_str().eq_ignore_ascii_case(domain))
    }

    fn has_company(&self, company: &str) -> bool {
        let folded = |text| trim(text).chars().flat_map(char::to_lowercase);
        self.companies.iter().any(|ours| folded(ours).eq(folded(company)))
    }
}

/// The rule sets applied to one export, oldest first: what an older one found stays, so that nothing staged moves.
#[derive(Debug, Clone, Default)]
pub struct Rules(pub Vec<Arc<RuleSet>>);

impl Rules {
    /// The mailbox that the first rule set found for someone in an item of that day (in UTC), else what the newest says;
    /// without any rule set, unresolved.
    pub fn resolve(&self, person: &Person, day: Date) -> Outcome {
        let mut last = Outcome::Unresolved;
        for set in &self.0 {
            last = set.resolve(person, day);
            if matches!(last, Outcome::Mailbox(_)) {
                break;
            }
        }
        last
    }

    /// The distinct mailboxes of an item's participants, in their order; none means that the item is held.
    pub fn mailboxes_of(&self, item: &Item) -> Vec<Mailbox> {
        let mut seen = HashSet::new();
        let day = item.day();
        let found = item.people().filter_map(|person| match self.resolve(person, day) {
            Outcome::Mailbox(mailbox) => Some(mailbox),
            Outcome::External | Outcome::Unresolved => None,
        });
        found.filter(|mailbox| seen.insert(mailbox.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
