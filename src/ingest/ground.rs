//! What a run stands on: a staging that is this ledger's and has room. Without it nothing is downloaded.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tracing::{info, warn};

use super::{IngestError, Job};
use crate::cause::chain;
use crate::durable::{AtPath, Disk};
use crate::ledger::Ledger;
use crate::owner;
use crate::stage::azure::{Container, Patience};
use crate::stage::local::{Layout, Local};
use crate::stage::several::Several;
use crate::stage::{Target, room};

/// Where this run places things; none in a dry run.
pub(super) fn target(job: &Job<'_>, ledger: &Ledger) -> Result<Option<Box<dyn Target>>, IngestError> {
    let folder = job.config.staging.local.as_deref();
    let folder = folder.map(|path| local(job, ledger, path)).transpose()?.flatten();
    let container = container(job, ledger)?;
    let folder = folder.map(|folder| Box::new(folder) as Box<dyn Target>);
    let container = container.map(|container| Box::new(container) as Box<dyn Target>);
    match (folder, container) {
        (Some(folder), Some(container)) => Ok(Some(Box::new(Several::new(vec![folder, container])))),
        (folder, container) => Ok(folder.or(container)),
    }
}

fn local(job: &Job<'_>, ledger: &Ledger, path: &Path) -> Result<Option<Local<Disk>>, IngestError> {
    let (config, staging) = (job.config, &job.config.staging);
    let is_marked = owner::of_staging(path, ledger)?;
    if job.options.dry_run {
        return Ok(None);
    }
    let layout = Layout::configured(staging.copies, staging.group.as_deref(), staging.importer_may_delete)?;
    let target = Local::open(path, layout, config.workers().get())?;
    if !is_marked {
        if ledger.marked_on()?.is_some() {
            warn!(
                "{} did not say any more that it is this firm's: it was emptied or replaced; what the importer had not taken \
                 is put there again by icechatd restage",
                path.display()
            );
        }
        owner::claim_staging(config, path, ledger)?;
    }
    ledger.note_marked_on(path.metadata().at(path)?.dev())?;
    target.clear()?;
    target.clear_lists()?;
    Ok(Some(target))
}

fn container(job: &Job<'_>, ledger: &Ledger) -> Result<Option<Container>, IngestError> {
    let Some(container) = Container::configured(job.config, Patience::Work)? else { return Ok(None) };
    let is_marked = owner::of_container(&container, ledger)?;
    if job.options.dry_run {
        return Ok(None);
    }
    if !is_marked {
        if ledger.untaken_after(0)? > 0 {
            warn!(
                "{} did not say yet that it is this firm's: it is new, or was emptied; what was placed before and is wanted \
                 there is put there by icechatd restage",
                container.shown()
            );
        }
        owner::claim_container(job.config, &container, ledger)?;
    }
    Ok(Some(container))
}

/// Asked once the importer was told of all that it may take, for that is what makes room. A dry run needs none, and a
/// container has no end.
pub(super) fn room(job: &Job<'_>) -> Result<(), IngestError> {
    let staging = &job.config.staging;
    let Some(local) = &staging.local else { return Ok(()) };
    match room::ensure(local, staging.min_free.bytes, staging.min_free.inodes) {
        Err(error) if job.options.dry_run => {
            info!("a run would not start: {}", chain(&error));
            Ok(())
        }
        room => Ok(room.map(drop)?),
    }
}
