//! Resolve, render and stage: what is done to a batch of items on all cores, with nothing of the ledger. So it can be done
//! aside, while whoever works notes the batch before and sorts out the next.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::IngestError;
use super::people::Tally;
use super::shape::Shape;
use super::stager::{Wanted, Why, render};
use crate::books::Placements;
use crate::decrypt::Authenticated;
use crate::digest::Sha256;
use crate::download::Progress;
use crate::eml::Eml;
use crate::export::{Item, Person};
use crate::mailbox::Mailbox;
use crate::resolve::{Outcome, Rules};
use crate::stage::{Placement, Target, in_parallel, parts};

/// All that placing needs.
#[derive(Clone, Copy)]
pub(super) struct Placer<'a> {
    /// None in a dry run.
    pub target: Option<&'a dyn Target>,
    pub workers: usize,
    pub proof: &'a Authenticated,
    /// Shown that it goes on.
    pub progress: &'a dyn Progress,
    pub shaping: Shaping<'a>,
}

/// All that decides where an item goes and what its EML looks like: shared by the threads that work it out.
#[derive(Clone, Copy)]
pub(super) struct Shaping<'a> {
    pub shape: &'a Shape,
    /// Every rule set applied to the export, in order, the newest included.
    pub rules: &'a Rules,
    /// Those that were applied before, whose placements stand.
    pub before: Option<&'a Rules>,
}

/// What resolving and rendering gave.
pub(super) struct Prepared {
    /// Whether a participant has a mailbox.
    pub has_place: bool,
    /// Who gets a copy by this pass.
    pub mailboxes: Vec<Mailbox>,
    pub eml: Option<(Eml, Sha256)>,
    pub missing: Vec<Arc<Person>>,
}

/// A batch whose items stand where they should, to be noted.
pub(super) struct Done {
    pub wanted: Vec<Wanted>,
    pub prepared: Vec<Prepared>,
    /// Whom they name.
    pub people: Vec<Tally>,
    pub placements: Placements,
}

impl<'a> Placer<'a> {
    /// Places what can be placed.
    pub(super) fn place(&self, wanted: Vec<Wanted>) -> Result<Done, IngestError> {
        let parts = in_parallel(self.workers, &wanted, |part| {
            let mut people = Tally::default();
            let prepared: Vec<_> = part.iter().map(|wanted| self.shaping.prepare(wanted, &mut people)).collect();
            Ok::<_, IngestError>((prepared, people))
        })?;
        let (mut prepared, mut people) = (Vec::with_capacity(wanted.len()), Vec::new());
        for (part, named) in parts {
            prepared.extend(part);
            people.push(named);
        }
        let placements = self.stage(&prepared)?;
        Ok(Done { wanted, prepared, people, placements })
    }

    fn stage(&self, prepared: &[Prepared]) -> Result<Placements, IngestError> {
        let batch: Vec<Placement<'_>> = prepared
            .iter()
            .filter_map(|prepared| {
                let (eml, _) = prepared.eml.as_ref()?;
                Some(Placement { name: &eml.name, bytes: &eml.bytes, mailboxes: &prepared.mailboxes })
            })
            .collect();
        self.stage_batch(&batch)
    }

    pub(super) fn stage_batch(&self, batch: &[Placement<'_>]) -> Result<Placements, IngestError> {
        let Some(target) = self.target else {
            let copies: usize = batch.iter().map(|placement| placement.mailboxes.len()).sum();
            return Ok(Placements { staged: copies as u64, existing: 0 });
        };
        let mut placements = Placements::default();
        for part in parts(batch, target.most()) {
            placements += target.stage(part, self.proof)?;
            self.progress.advance(0);
        }
        Ok(placements)
    }

    /// Begins to place aside; it ends with the scope.
    pub(super) fn aside<'scope>(self, scope: &'scope Scope<'scope, '_>) -> Aside
    where
        'a: 'scope,
    {
        let several = self.target.is_some_and(Target::takes_several);
        let most = if several { AT_ONCE } else { 1 };
        let begin = |_| {
            let (sender, batches) = sync_channel::<Vec<Wanted>>(1);
            let (done, placed) = sync_channel(1);
            scope.spawn(move || {
                for wanted in batches {
                    if done.send(self.place(wanted)).is_err() {
                        break;
                    }
                }
            });
            Place { sender, placed }
        };
        Aside { places: (0..most).map(begin).collect(), next: 0, busy: 0 }
    }
}

/// Batches that are placed at once: while one waits for the disk, or for a folder that only one thread can write in, the
/// other has work for the processor.
const AT_ONCE: usize = 2;

/// One that places aside.
struct Place {
    sender: SyncSender<Vec<Wanted>>,
    placed: Receiver<Result<Done, IngestError>>,
}

/// Those that place aside, each one batch at a time: memory holds no more.
pub(super) struct Aside {
    places: Vec<Place>,
    /// Whose turn it is.
    next: usize,
    /// How many of those before it have a batch.
    busy: usize,
}

impl Aside {
    /// Has a batch placed; first waits for the oldest, if that is in its place.
    pub(super) fn exchange(&mut self, wanted: Vec<Wanted>) -> Result<Option<Done>, IngestError> {
        let oldest = if self.busy == self.places.len() { self.take()? } else { None };
        // One that is gone has panicked, which the end of its scope says.
        self.places[self.next].sender.send(wanted).map_err(|_| IngestError::Stopped)?;
        self.next = (self.next + 1) % self.places.len();
        self.busy += 1;
        Ok(oldest)
    }

    /// Waits for each that is left.
    pub(super) fn rest(mut self) -> impl Iterator<Item = Result<Done, IngestError>> {
        std::iter::from_fn(move || self.take().transpose())
    }

    /// Waits for the oldest batch, if there is one.
    fn take(&mut self) -> Result<Option<Done>, IngestError> {
        if self.busy == 0 {
            return Ok(None);
        }
        let oldest = (self.next + self.places.len() - self.busy) % self.places.len();
        self.busy -= 1;
        self.places[oldest].placed.recv().map_err(|_| IngestError::Stopped)?.map(Some)
    }
}

impl Shaping<'_> {
    fn prepare(&self, wanted: &Wanted, people: &mut Tally) -> Prepared {
        let item = &wanted.item.item;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let day = item.day();
        for person in item.people() {
            let outcome = self.rules.resolve(person, day);
            people.add(person, &outcome, wanted.item.time);
            match outcome {
                Outcome::Mailbox(mailbox) if !found.contains(&mailbox) => found.push(mailbox),
                Outcome::Mailbox(_) => {}
                Outcome::External | Outcome::Unresolved => missing.push(Arc::clone(person)),
            }
        }
        let has_place = !found.is_empty();
        let mailboxes = match wanted.why {
            Why::New => self.with_those_beside(found),
            Why::Again { caught, .. } => self.without_standing(found, item, caught),
        };
        let eml = (!mailboxes.is_empty()).then(|| render(&wanted.item, self.shape));
        Prepared { has_place, mailboxes, eml, missing }
    }

    /// The participants' mailboxes, and who else gets a copy of an item that is taken in.
    pub(super) fn with_those_beside(&self, mut found: Vec<Mailbox>) -> Vec<Mailbox> {
        for mailbox in self.shape.beside(found.is_empty()) {
            if !found.contains(mailbox) {
                found.push(mailbox.clone());
            }
        }
        found
    }

    /// The participants' mailboxes that do not have the item from an earlier pass.
    fn without_standing(&self, mut found: Vec<Mailbox>, item: &Item, caught: bool) -> Vec<Mailbox> {
        if found.is_empty() {
            return found;
        }
        let standing = self.before.map_or(Vec::new(), |before| before.mailboxes_of(item));
        found
            .retain(|mailbox| !standing.contains(mailbox) && self.shape.beside(caught).all(|beside| beside != mailbox));
        found
    }
}
