//! After each commit the importer is told what is new: a list for each run, made from the run's manifests alone. So a run
//! that was killed between the two is no loss: whoever works next makes the list that is missing, the same as it had been.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;

use tracing::error;

use super::{IngestError, Tools};
use crate::cause::chain;
use crate::ledger::manifest::{Entry, Placed, Recorded};
use crate::ledger::{LedgerError, RunId};
use crate::stage::Target;
use crate::stage::ready::{Listed, ReadyList, message_id, path_in};

/// As progress shows it.
const SHOWN: &str = "what the importer may take";

/// So many records make no list that is long to write.
const SHORT: u64 = 100_000;

/// As [`list_what_is_new`], after each commit of a run. A long list is written anew only once it has grown by a quarter, or
/// a first run over a year of exports would write it again and again; the run's end makes up the rest.
pub(super) fn list_what_is_due(tools: &Tools<'_>) -> Result<(), IngestError> {
    let (listed, new) = tools.ledger.records_listed(tools.run)?;
    if listed + new > SHORT && new < listed / 4 { Ok(()) } else { list_what_is_new(tools) }
}

/// Makes the ready lists of all runs that have committed something that stands in none. A manifest that cannot be read
/// keeps its own run's list alone: that is made as soon as the manifest is restored, and until then its EMLs wait, which
/// `verify` and monitoring tell as well.
pub(super) fn list_what_is_new(tools: &Tools<'_>) -> Result<(), IngestError> {
    let Some(target) = tools.target else { return Ok(()) };
    // A sync that failed must not be tried again; the next run makes the list.
    if tools.list_failed.load(Ordering::Relaxed) {
        return Ok(());
    }
    for (run, name) in tools.ledger.runs_to_list()? {
        match list(tools, target, run, &name) {
            Err(IngestError::Ledger(cause @ (LedgerError::Damaged(_) | LedgerError::File(_)))) => {
                error!(
                    "the importer cannot be told what run {name} placed: {}; restore the manifest from a backup",
                    chain(&cause)
                );
            }
            listed => {
                tools.list_failed.store(listed.is_err(), Ordering::Relaxed);
                listed?;
            }
        }
    }
    Ok(())
}

fn list(tools: &Tools<'_>, target: &dyn Target, run: RunId, name: &str) -> Result<(), IngestError> {
    let manifests = tools.ledger.manifests_of_run(run)?;
    let progress = tools.watch.staging;
    progress.begin(SHOWN, manifests.iter().map(|manifest| manifest.finished.entries).sum());
    let mut list = target.begin_list(name)?;
    for manifest in manifests {
        each_entry(tools, &manifest, |entry| {
            progress.advance(1);
            add(list.as_mut(), &entry)
        })?;
    }
    list.publish()?;
    progress.end();
    Ok(tools.ledger.note_listed(run, (tools.clock)())?)
}

/// Entries that one thread has read and the other has not listed yet are as many pieces of so many.
const PIECE: usize = 256;

/// Reads a manifest aside: an importer waits for its list, of which reading is one half and writing the other.
fn each_entry(
    tools: &Tools<'_>,
    manifest: &Recorded,
    mut visit: impl FnMut(Entry) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let folder = tools.ledger.manifests();
    if tools.workers == 1 {
        return manifest.read(&folder, visit);
    }
    std::thread::scope(|scope| {
        let (sender, pieces) = sync_channel(2);
        let reader = scope.spawn(move || {
            let mut piece = Vec::with_capacity(PIECE);
            manifest.read(&folder, |entry| {
                piece.push(entry);
                // Whoever stopped listening knows why.
                if piece.len() == PIECE && sender.send(std::mem::take(&mut piece)).is_err() {
                    return Err(IngestError::Stopped);
                }
                Ok(())
            })?;
            let _ = sender.send(piece);
            Ok(())
        });
        let visited = pieces.into_iter().flatten().try_for_each(&mut visit);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        visited.and(read)
    })
}

fn add(list: &mut dyn ReadyList, entry: &Entry) -> Result<(), IngestError> {
    if let Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) = entry {
        add_placed(list, placed)?;
    }
    Ok(())
}

fn add_placed(list: &mut dyn ReadyList, placed: &Placed) -> Result<(), IngestError> {
    let (name, message_id) = (placed.name(), message_id(&placed.item.id));
    let mut path = String::new();
    for mailbox in &placed.mailboxes {
        let path = path_in(&mut path, mailbox, &name);
        list.add(&Listed { mailbox, path, message_id: &message_id, sha256: &placed.eml })?;
    }
    Ok(())
}
