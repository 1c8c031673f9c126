//! What a run stands on: a staging folder that is this ledger's and has room. Without it nothing is downloaded.

use tracing::{info, warn};

use super::{IngestError, Job};
use crate::cause::chain;
use crate::durable::Disk;
use crate::ledger::Ledger;
use crate::owner;
use crate::stage::local::{Layout, Local};
use crate::stage::{Target, room};

/// Where this run places things; none in a dry run, which needs no room.
pub(super) fn target(job: &Job<'_>, ledger: &Ledger) -> Result<Option<Local<Disk>>, IngestError> {
    let (config, staging) = (job.config, &job.config.staging);
    owner::of_staging(config, ledger)?;
    let room = room::ensure(&staging.local, staging.min_free.bytes, staging.min_free.inodes);
    if job.options.dry_run {
        if let Err(error) = room {
            info!("a run would not start: {}", chain(&error));
        }
        return Ok(None);
    }
    room?;
    let layout = Layout::configured(staging.copies, staging.group.as_deref(), staging.importer_may_delete)?;
    let target = Local::open(&staging.local, layout, config.workers().get())?;
    if owner::claim_staging(config, ledger)? && ledger.note_marked((job.clock)())? {
        warn!(
            "{} did not say any more that it is this firm's: it was emptied, replaced, or its disk is not mounted; what was \
             not taken there can be placed again (icechatd restage)",
            staging.local.display()
        );
    }
    target.clear()?;
    target.clear_lists()?;
    Ok(Some(target))
}
