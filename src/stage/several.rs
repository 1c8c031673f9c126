//! Several targets at once: each takes everything, and who places sees one.

use super::ready::{Listed, ReadyList};
use super::{Placement, Spot, StageError, Target};
use crate::decrypt::Authenticated;

/// Targets that all take the same.
#[derive(Debug)]
pub struct Several(Vec<Box<dyn Target>>);

impl Several {
    /// At least one.
    pub fn new(targets: Vec<Box<dyn Target>>) -> Self {
        Self(targets)
    }

    fn each(&self, mut work: impl FnMut(&dyn Target) -> Result<(), StageError>) -> Result<(), StageError> {
        self.0.iter().try_for_each(|target| work(target.as_ref()))
    }
}

impl Target for Several {
    fn clear(&self) -> Result<(), StageError> {
        self.each(|target| target.clear())
    }

    /// A placement is one, however many targets have it; it stood there already only if each of them had it.
    fn place(&self, batch: &[Placement<'_>], proof: &Authenticated) -> Result<Vec<bool>, StageError> {
        let placements = batch.iter().map(|item| item.mailboxes.len()).sum();
        let mut stood = vec![true; placements];
        for target in &self.0 {
            for (all, one) in stood.iter_mut().zip(target.place(batch, proof)?) {
                *all &= one;
            }
        }
        Ok(stood)
    }

    fn most(&self) -> usize {
        self.0.iter().map(|target| target.most()).min().unwrap_or(usize::MAX)
    }

    fn barrier(&self) -> Result<(), StageError> {
        self.each(|target| target.barrier())
    }

    fn begin_list(&self, run: &str) -> Result<Box<dyn ReadyList + '_>, StageError> {
        let lists = self.0.iter().map(|target| target.begin_list(run)).collect::<Result<_, _>>()?;
        Ok(Box::new(Lists(lists)))
    }

    fn remove_list(&self, run: &str) -> Result<(), StageError> {
        self.each(|target| target.remove_list(run))
    }

    /// An importer may take from either, so what stands in one of them waits.
    fn stands(&self, mailbox: &str, name: &str) -> Result<bool, StageError> {
        for target in &self.0 {
            if target.stands(mailbox, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn first_standing(&self, spots: &[Spot]) -> Result<Option<usize>, StageError> {
        let mut first = None;
        for target in &self.0 {
            // What comes after is of no interest any more.
            let before = &spots[..first.unwrap_or(spots.len())];
            first = target.first_standing(before)?.or(first);
        }
        Ok(first)
    }
}

struct Lists<'a>(Vec<Box<dyn ReadyList + 'a>>);

impl ReadyList for Lists<'_> {
    fn add(&mut self, line: &Listed<'_>) -> Result<(), StageError> {
        self.0.iter_mut().try_for_each(|list| list.add(line))
    }

    fn publish(self: Box<Self>) -> Result<(), StageError> {
        self.0.into_iter().try_for_each(ReadyList::publish)
    }
}
