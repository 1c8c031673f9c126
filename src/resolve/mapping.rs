//! The operators' mapping: which `ImId` is whose mailbox, and on which days (contract 6).

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::civil::Date;

use super::canonical::{CanonicalError, lines, pairs};
use super::damage::Warning;
use super::fault::RowError;
use super::period::{self, Period};
use crate::export::ImId;
use crate::mailbox::{Mailbox, MailboxError};

/// An example that parses, for `mapping template` and the `mapping` folder.
pub const TEMPLATE: &str = include_str!("../../mapping/example.csv");

/// The word that stands in place of a mailbox for someone who is known not to be ours; no address can equal it.
const EXTERNAL: &str = "external";

/// What an `ImId` is mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A mailbox, not necessarily a valid one.
    Mailbox(Mailbox),
    /// Nobody of ours.
    External,
}

impl Target {
    fn parse(text: &str) -> Result<Self, MailboxError> {
        if text.eq_ignore_ascii_case(EXTERNAL) { Ok(Self::External) } else { Mailbox::parse(text).map(Self::Mailbox) }
    }

    /// The mailbox, or `external`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mailbox(mailbox) => mailbox.as_str(),
            Self::External => EXTERNAL,
        }
    }
}

/// One whole, good set of mapping files. Whether its mailboxes are valid users is not its business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    bindings: HashMap<Box<str>, Binding>,
}

/// A mapping that was read, and what of it looks damaged.
#[derive(Debug, Clone)]
pub struct ReadMapping {
    /// The mapping.
    pub mapping: Mapping,
    /// Cells that count as they stand, though a spreadsheet seems to have changed them.
    pub warnings: Vec<Warning>,
    /// Files whose last row has no line end: it may have been cut off.
    pub open: Vec<OpenFile>,
}

/// A file whose last row has no line end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenFile {
    /// Its name.
    pub name: String,
    /// The `ImId`s in it, folded.
    im_ids: Vec<Box<str>>,
}

/// Whose an `ImId` is, and when. Nearly all are somebody's for good, and cost no more than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    Always(Target),
    /// In order, without overlap; two that touch have different targets.
    Dated(Box<[Term]>),
}

/// An `ImId`'s target for some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// When.
    pub(super) period: Period,
    /// Whose it is then.
    pub(super) target: Target,
}

impl Mapping {
    /// The mapping that named files make together; no file makes an empty one.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of files and lines; then none of the set counts.
    pub fn parse(files: &[(String, Vec<u8>)]) -> Result<ReadMapping, Vec<RowError>> {
        rows::read(files)
    }

    /// The mapping in which each of these folded `ImId`s is somebody's for good.
    pub(super) fn always(pairs: impl IntoIterator<Item = (Box<str>, Target)>) -> Self {
        Self { bindings: pairs.into_iter().map(|(im_id, target)| (im_id, Binding::Always(target))).collect() }
    }

    /// What `im_id` is mapped to on a day in UTC; on a day outside its periods it is as if unmapped.
    pub fn get(&self, im_id: &ImId, day: Date) -> Option<&Target> {
        self.bindings.get(im_id.folded())?.on(day)
    }

    /// The days between two, both included, such that what `im_id` is mapped to on any day between them it is mapped to
    /// on one of these.
    pub fn telling_days(&self, im_id: Option<&ImId>, first: Date, last: Date) -> impl Iterator<Item = Date> {
        let binding = im_id.and_then(|im_id| self.bindings.get(im_id.folded()));
        let turns = binding.into_iter().flat_map(Binding::turns);
        std::iter::once(first).chain(turns.filter(move |day| first < *day && *day <= last))
    }

    /// The mailboxes it names for a day, in no order and as often as it does.
    pub fn mailboxes_on(&self, day: Date) -> impl Iterator<Item = &Mailbox> {
        self.bindings.values().filter_map(move |binding| match binding.on(day)? {
            Target::Mailbox(mailbox) => Some(mailbox),
            Target::External => None,
        })
    }

    /// Each folded `ImId` and whose it is, in no order.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.bindings.iter().map(|(im_id, binding)| (&**im_id, binding))
    }

    /// Whether a file in it says nothing that this set does not say, and all that this set says is there: then nothing of the
    /// file can have been cut off.
    pub fn has_all_of(&self, file: &OpenFile, new: &Self) -> bool {
        let has_not_changed = |im_id: &str| self.bindings.get(im_id) == new.bindings.get(im_id);
        file.im_ids.iter().all(|im_id| has_not_changed(im_id))
            && self.bindings.keys().all(|im_id| new.bindings.contains_key(im_id))
    }

    /// Whose a folded `ImId` is.
    pub(super) fn binding(&self, folded: &str) -> Option<&Binding> {
        self.bindings.get(folded)
    }

    /// How many `ImId`s it maps.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether it maps none.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The set as bytes that depend on nothing but what it says: sorted lines `imid TAB target LF`, folded. Of an `ImId`
    /// with periods the line goes on: `imid TAB target TAB from TAB to`, and the same three for each further period, in
    /// order; an open end is empty.
    pub fn canonical(&self) -> Vec<u8> {
        lines(self.bindings.iter().map(|(im_id, binding)| (&**im_id, binding.written())))
    }

    /// Reads what [`Mapping::canonical`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let bindings = pairs(bytes, |im_id, written| Some((im_id.into(), Binding::from_written(written)?)))?;
        Ok(Self { bindings })
    }
}

impl Binding {
    /// Whose it is on a day.
    pub(super) fn on(&self, day: Date) -> Option<&Target> {
        match self {
            Self::Always(target) => Some(target),
            Self::Dated(terms) => {
                let at = terms.partition_point(|term| term.period.ends_before(day));
                terms.get(at).filter(|term| term.period.begins_by(day)).map(|term| &term.target)
            }
        }
    }

    /// The days on which it becomes somebody else's, or nobody's.
    pub(super) fn turns(&self) -> impl Iterator<Item = Date> {
        self.terms().iter().flat_map(|term| term.period.turns())
    }

    /// Everybody whose it is at some time.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        let always = if let Self::Always(target) = self { Some(target) } else { None };
        always.into_iter().chain(self.terms().iter().map(|term| &term.target))
    }

    /// None where it is somebody's for good.
    fn terms(&self) -> &[Term] {
        match self {
            Self::Always(_) => &[],
            Self::Dated(terms) => terms,
        }
    }

    fn single(term: Term) -> Self {
        match term {
            Term { period: Period::ALWAYS, target } => Self::Always(target),
            dated => Self::Dated(Box::new([dated])),
        }
    }

    /// As short as it can be said. `terms` are in order and do not overlap, unless they have the same target.
    fn of(terms: Vec<Term>) -> Self {
        let mut joined: Vec<Term> = Vec::with_capacity(terms.len());
        for term in terms {
            let before = joined.last_mut().filter(|before| before.target == term.target);
            match before.and_then(|before| Some((before.period.joined(term.period)?, before))) {
                Some((period, before)) => before.period = period,
                None => joined.push(term),
            }
        }
        match joined.pop() {
            Some(only) if joined.is_empty() => Self::single(only),
            last => Self::Dated(joined.into_iter().chain(last).collect()),
        }
    }

    fn written(&self) -> Cow<'_, str> {
        match self {
            Self::Always(target) => Cow::Borrowed(target.as_str()),
            Self::Dated(terms) => {
                let end = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
                let fields = terms.iter().map(|Term { period, target }| {
                    format!("{}\t{}\t{}", target.as_str(), end(period.from()), end(period.to()))
                });
                Cow::Owned(fields.collect::<Vec<_>>().join("\t"))
            }
        }
    }

    fn from_written(text: &str) -> Option<Self> {
        if !text.contains('\t') {
            return Target::parse(text).ok().map(Self::Always);
        }
        let fields: Vec<&str> = text.split('\t').collect();
        let terms: Vec<Term> = fields.chunks(3).map(Term::from_written).collect::<Option<_>>()?;
        let in_order = terms.is_sorted_by(|one, next| one.period.ends_before(next.period.beginning()));
        let binding = in_order.then(|| Self::of(terms))?;
        // Said in another way than this program says it, it would have another digest.
        (binding.written() == text).then_some(binding)
    }
}

impl Term {
    fn from_written(fields: &[&str]) -> Option<Self> {
        let [target, from, to] = fields else { return None };
        let end = |text: &str| if text.is_empty() { Some(None) } else { period::date(text).map(Some) };
        Some(Self { target: Target::parse(target).ok()?, period: Period::new(end(from)?, end(to)?)? })
    }
}

mod rows;
#[cfg(test)]
mod tests;
