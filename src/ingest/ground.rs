//! What a run stands on: a staging folder that is this ledger's and has room. Without it nothing is downloaded.

use std::os::unix::fs::MetadataExt;

use tracing::{info, warn};

use super::{IngestError, Job};
use crate::cause::chain;
use crate::durable::{AtPath, Disk};
use crate::ledger::Ledger;
use crate::owner;
use crate::stage::local::{Layout, Local};
use crate::stage::{Target, room};

/// Where this run places things; none in a dry run.
pub(super) fn target(job: &Job<'_>, ledger: &Ledger) -> Result<Option<Local<Disk>>, IngestError> {
    let (config, staging) = (job.config, &job.config.staging);
    let is_marked = owner::of_staging(config, ledger)?;
    if job.options.dry_run {
        return Ok(None);
    }
    let layout = Layout::configured(staging.copies, staging.group.as_deref(), staging.importer_may_delete)?;
    let target = Local::open(&staging.local, layout, config.workers().get())?;
    if !is_marked {
        if ledger.marked_on()?.is_some() {
            warn!(
                "{} did not say any more that it is this firm's: it was emptied or replaced; what the importer had not taken \
                 is put there again by icechatd restage",
                staging.local.display()
            );
        }
        owner::claim_staging(config, ledger)?;
    }
    ledger.note_marked_on(staging.local.metadata().at(&staging.local)?.dev())?;
    target.clear()?;
    target.clear_lists()?;
    Ok(Some(target))
}

/// Asked once the importer was told of all that it may take, for that is what makes room. A dry run needs none.
pub(super) fn room(job: &Job<'_>) -> Result<(), IngestError> {
    let staging = &job.config.staging;
    match room::ensure(&staging.local, staging.min_free.bytes, staging.min_free.inodes) {
        Err(error) if job.options.dry_run => {
            info!("a run would not start: {}", chain(&error));
            Ok(())
        }
        room => Ok(room.map(drop)?),
    }
}
