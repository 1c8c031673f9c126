//! What one export had been placed, put there again: the same bytes as its manifests have them, in the same mailboxes. No
//! mapping, list or setting of today has a say in it.

use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::recorded::{self, number};
use super::shape::Shape;
use super::stager::render;
use super::{IngestError, Tools};
use crate::books::Books;
use crate::eml::Eml;
use crate::ledger::manifest::{Entry, Recorded};
use crate::ledger::{Again, Asked, FileRow, LedgerError};
use crate::mailbox::Mailbox;
use crate::stage::azure::Patience;
use crate::stage::ready::{Listed, ReadyList, message_id, path_in};
use crate::stage::view::{Claim, Found, View};
use crate::stage::{Placement, StageError, in_parallel, parts};

/// What became of one export's placements.
#[derive(Debug, Default)]
pub(super) struct Put {
    pub books: Books,
    /// Placements that are asked for and could not be made.
    pub not_placed: u64,
    /// What stood in the way of them.
    pub trouble: Option<IngestError>,
    /// Whether anything may have been placed.
    pub begun: bool,
}

/// One export's way there.
struct Pass<'a, 'l> {
    tools: &'a Tools<'a>,
    row: &'a FileRow,
    /// None in a dry run.
    list: Option<&'a mut (dyn ReadyList + 'l)>,
    books: Books,
    /// Placements of which the original has the item.
    seen: u64,
    /// Items that would not be what was placed, and the first of them.
    others: (u64, String),
    begun: bool,
}

/// Puts there again what is asked for of an export; none where nothing of it is. What concerns it alone is told in what is
/// returned, and the other exports can go on.
pub(super) fn put_again(
    tools: &Tools<'_>,
    row: &FileRow,
    manifests: &[Recorded],
    asked: &Asked,
    list: Option<&mut (dyn ReadyList + '_)>,
) -> Result<Option<Put>, IngestError> {
    match collect(tools, manifests, asked) {
        Err(error @ IngestError::Ledger(LedgerError::Damaged(_) | LedgerError::File(_))) => {
            return Ok(Some(Put { trouble: Some(error), ..Put::default() }));
        }
        collected => collected?,
    }
    let (items, placements) = tools.scratch.asked_again()?;
    if placements == 0 {
        return Ok(None);
    }
    let others = (0, String::new());
    let mut pass = Pass { tools, row, list, books: Books::default(), seen: 0, others, begun: false };
    // Each of them is known already, one that is held for want of a mailbox included.
    (pass.books.items.available, pass.books.items.duplicate) = (items, items);
    let trouble = match pass.place_all(manifests, placements) {
        Err(error) if error.concerns_one_export() => {
            if !pass.begun {
                pass.look(false)?;
            }
            Some(error)
        }
        done => done?,
    };
    if pass.begun
        && let Some(target) = tools.target
    {
        target.barrier()?;
        if trouble.is_some() {
            // A batch that was refused half way left hidden files, whose names another export may need.
            target.clear()?;
        }
    }
    let Pass { books, begun, .. } = pass;
    let not_placed = placements - books.placements.staged - books.placements.existing;
    Ok(Some(Put { books, not_placed, trouble, begun }))
}

/// Notes the placements that are asked for, as the manifests have them.
fn collect(tools: &Tools<'_>, manifests: &[Recorded], asked: &Asked) -> Result<(), IngestError> {
    tools.scratch.clear()?;
    for manifest in manifests {
        tools.watch.staging.advance(0);
        tools.scratch.round(|| {
            manifest.read(&tools.ledger.manifests(), |entry| match entry {
                Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) => {
                    tools.scratch.ask_again(&placed, asked)
                }
                _ => Ok(()),
            })
        })?;
    }
    Ok(())
}

impl Pass<'_, '_> {
    fn place_all(&mut self, manifests: &[Recorded], placements: u64) -> Result<Option<IngestError>, IngestError> {
        let (tools, row) = (self.tools, self.row);
        let (profile, shape) = recorded::recorded(tools, row)?;
        let Some(original) = Original::kept(tools, row, &profile, &shape)? else {
            return Err(if tools.ledger.original_removed(row.id)? {
                IngestError::original_not_kept(&row.name)
            } else {
                IngestError::original_gone(&row.name)
            });
        };
        if tools.is_dry() {
            return self.look(true);
        }
        let surveyed = original.survey_kept(tools, &row.name, &shape)?;
        // Before the first of them stands again: what they say of the importer is not so any more.
        tools.ledger.reopen_manifests(tools.run, manifests)?;
        self.begun = true;
        tools.watch.staging.begin(&row.name, surveyed.survey.counts.available());
        original.each_batch(tools, &surveyed, |batch| {
            let records = batch.len() as u64;
            let wanted = tools.scratch.round(|| wanted(tools, batch))?;
            self.place(&wanted, &surveyed, &shape)?;
            tools.watch.staging.advance(records);
            Ok(())
        })?;
        tools.watch.staging.end();
        match &self.others {
            (0, _) if self.seen == placements => Ok(None),
            (0, _) => Err(IngestError::NotTheSame { name: row.name.clone(), what: "items that it has not".to_owned() }),
            (items, first) => {
                let what = format!("{items} items with other bytes than it gives now, such as {first}");
                Err(IngestError::NotTheSame { name: row.name.clone(), what })
            }
        }
    }

    fn place(&mut self, wanted: &[Wanted], surveyed: &Surveyed, shape: &Shape) -> Result<(), IngestError> {
        let rendered = in_parallel(self.tools.workers, wanted, |part| {
            Ok::<_, IngestError>(part.iter().map(|wanted| wanted.rendered(shape)).collect::<Vec<_>>())
        })?;
        let rendered: Vec<Option<Eml>> = rendered.into_iter().flatten().collect();
        let same = || wanted.iter().zip(&rendered).filter_map(|(wanted, eml)| Some((wanted, eml.as_ref()?)));
        let batch: Vec<_> = same()
            .map(|(wanted, eml)| Placement { name: &eml.name, bytes: &eml.bytes, mailboxes: &wanted.mailboxes })
            .collect();
        if let Some(target) = self.tools.target {
            for part in parts(&batch, target.most()) {
                self.books.placements += target.stage(part, &surveyed.proof)?;
                self.tools.watch.staging.advance(0);
            }
        }
        for (wanted, eml) in same() {
            for again in &wanted.placements {
                self.add(again, &eml.name)?;
            }
        }
        for (wanted, eml) in wanted.iter().zip(&rendered) {
            self.seen += wanted.placements.len() as u64;
            if eml.is_none() {
                self.others.0 += 1;
                if self.others.1.is_empty() {
                    self.others.1 = wanted.item.id.to_string();
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, again: &Again, name: &str) -> Result<(), IngestError> {
        if let Some(list) = &mut self.list {
            let (mailbox, message_id) = (again.mailbox.as_str(), message_id(&again.id.to_string()));
            let mut path = String::new();
            let path = path_in(&mut path, mailbox, name);
            list.add(&Listed { mailbox, path, message_id: &message_id, sha256: &again.eml })?;
        }
        Ok(())
    }

    /// Counts, without any original, what still stands; and what does not as what would be placed, if it could be. What
    /// stands in the way of that, if anything does.
    fn look(&mut self, could_be_placed: bool) -> Result<Option<IngestError>, IngestError> {
        let tools = self.tools;
        let mut other = None;
        tools.watch.staging.begin(&self.row.name, self.books.items.available);
        let view = View::of(tools.config, Patience::Work)?;
        tools.scratch.each_again(|again| {
            tools.watch.staging.advance(0);
            let name = again.name();
            let claim =
                Claim { mailbox: again.mailbox.as_str().to_owned(), name: name.clone(), eml: again.eml.clone() };
            match view.compare(std::slice::from_ref(&claim))?.pop() {
                Some(Found::Stands { everywhere: true }) => {
                    self.books.placements.existing += 1;
                    self.add(again, &name)?;
                }
                Some(Found::Other(path)) => other = Some(StageError::Other { path }.into()),
                Some(Found::Unseen(error)) => return Err(IngestError::Stage(error)),
                Some(Found::Gone | Found::Stands { everywhere: false }) | None => {
                    self.books.placements.staged += u64::from(could_be_placed);
                }
            }
            Ok(())
        })?;
        tools.watch.staging.end();
        Ok(other)
    }
}

/// An item of which placements are asked for.
struct Wanted {
    item: Box<NumberedItem>,
    placements: Vec<Again>,
    mailboxes: Vec<Mailbox>,
}

impl Wanted {
    /// Its EML, if it is what was placed.
    fn rendered(&self, shape: &Shape) -> Option<Eml> {
        let (eml, digest) = render(&self.item, shape);
        let digest = digest.to_string();
        let item = (self.item.time, self.item.id);
        self.placements.iter().all(|again| (again.time, again.id) == item && again.eml == digest).then_some(eml)
    }
}

fn wanted(tools: &Tools<'_>, batch: Vec<Numbered>) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::new();
    for numbered in batch {
        let Numbered::Item(mut item) = numbered else { continue };
        number(tools, &mut item)?;
        let placements = tools.scratch.again_at(item.ordinal, item.time, item.id)?;
        if !placements.is_empty() {
            let mailboxes = placements.iter().map(|again| again.mailbox.clone()).collect();
            wanted.push(Wanted { item, placements, mailboxes });
        }
    }
    Ok(wanted)
}
