//! After each commit the importer is told what is new: a list for each run, made from the run's manifests alone. So a run
//! that was killed between the two is no loss: whoever works next makes the list that is missing, the same as it had been.

use super::{IngestError, Tools};
use crate::ledger::manifest::{Entry, Placed};
use crate::stage::ready::{Listed, ReadyList};

/// Makes the ready lists of all runs that have committed something that stands in none.
pub(super) fn list_what_is_new(tools: &Tools<'_>) -> Result<(), IngestError> {
    let Some(target) = tools.target else { return Ok(()) };
    for (run, name) in tools.ledger.runs_to_list()? {
        let mut list = target.begin_list(&name)?;
        for manifest in tools.ledger.manifests_of_run(run)? {
            tools.watch.staging.advance(0);
            manifest.read(tools.ledger, |entry| add(list.as_mut(), &entry))?;
        }
        list.publish()?;
        tools.ledger.note_listed(run, (tools.clock)())?;
    }
    Ok(())
}

fn add(list: &mut dyn ReadyList, entry: &Entry) -> Result<(), IngestError> {
    if let Entry::Staged(placed) | Entry::Copied(placed) | Entry::Held(placed) = entry {
        add_placed(list, placed)?;
    }
    Ok(())
}

fn add_placed(list: &mut dyn ReadyList, placed: &Placed) -> Result<(), IngestError> {
    let name = placed.name();
    for mailbox in &placed.mailboxes {
        list.add(&Listed::new(mailbox, &name, &placed.item.id, &placed.eml))?;
    }
    Ok(())
}
