//! From bytes to what an importer may take: the targets items are staged in.
//!
//! A target takes batches and has a barrier. After [`Target::stage`] each item of the batch stands under its final name,
//! whole and durable; after [`Target::barrier`] the names are durable as well. A target knows neither the ledger nor
//! where the items come from, except that it asks for the proof that all of the export is authentic.

pub mod azure;
pub mod group;
pub mod local;
pub mod ready;
pub mod room;
pub mod several;
pub mod view;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use crate::books::Placements;
use crate::config::CredentialError;
use crate::decrypt::Authenticated;
use crate::durable::PathError;
use crate::durable::space::Space;
use crate::mailbox::Mailbox;

use self::azure::Refusal;
use self::ready::ReadyList;

/// The folder in each mailbox (contract 7).
pub const FOLDER: &str = "ICE Chat";

/// One rendered item with the mailboxes it goes to.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    /// The final name, one path component.
    pub name: &'a str,
    /// The EML.
    pub bytes: &'a [u8],
    /// Distinct, at least one.
    pub mailboxes: &'a [Mailbox],
}

/// Where an EML may stand: mailbox and file name.
pub type Spot = (String, String);

/// Why staging failed. Nothing is tried again within a run: what a failed sync leaves behind is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The file system refused.
    #[error("staging could not be written")]
    File(#[from] PathError),
    /// The file system does not say what stands there.
    #[error("whether {} stands in staging cannot be seen", path.display())]
    Unseen {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Something else stands under an item's name.
    #[error(
        "{path} stands in staging with other content than this export gives it; find out who wrote it, move it away, \
         and run again"
    )]
    Other {
        /// Where.
        path: String,
    },
    /// The credential that opens the container.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The container did not do what it was asked.
    #[error("staging.azure")]
    Container(#[from] Refusal),
    /// No such group.
    #[error("staging.group: this machine has no group {name}; make it (groupadd --system {name}), or correct the key")]
    NoGroup {
        /// As configured.
        name: String,
    },
    /// The system's databases did not answer.
    #[error("staging.group: whether there is a group {name} cannot be found out")]
    Groups {
        /// As configured.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Less room than a run should begin with.
    #[error(
        "{path} has {free} free, and with less than {least} (staging.min_free) no run starts; let the importer take what \
         stands there, make room, or give it a larger disk"
    )]
    NoRoom {
        /// The staging folder.
        path: String,
        /// What is free.
        free: Space,
        /// What must be.
        least: Space,
    },
    /// A folder is not the group's, and may not be made so.
    #[error(
        "{path} is not as staging.group and staging.importer_may_delete want it, and cannot be changed from here; as \
         root, once: {command}"
    )]
    NotTheGroups {
        /// Which folder.
        path: String,
        /// What puts all of staging right.
        command: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Where items are staged.
pub trait Target: Send + Sync + fmt::Debug {
    /// Removes what an interrupted run left under hidden names.
    ///
    /// # Errors
    /// Where the target refuses.
    fn clear(&self) -> Result<(), StageError>;

    /// Places a batch. The proof is a parameter so that nothing can be staged of an export that did not verify whole.
    /// Says of each placement, item by item and mailbox by mailbox, whether it stood there already.
    ///
    /// # Errors
    /// Where the target refuses; then the run fails and its export stays in `staging`.
    fn place(&self, batch: &[Placement<'_>], proof: &Authenticated) -> Result<Vec<bool>, StageError>;

    /// About so many placements are made at once, before whoever watches is told that it goes on: a container is far away.
    fn most(&self) -> usize {
        usize::MAX
    }

    /// Whether several batches may be placed at once.
    fn takes_several(&self) -> bool {
        false
    }

    /// As [`Target::place`], counted.
    ///
    /// # Errors
    /// As [`Target::place`].
    fn stage(&self, batch: &[Placement<'_>], proof: &Authenticated) -> Result<Placements, StageError> {
        let stood = self.place(batch, proof)?;
        let existing = stood.iter().filter(|stood| **stood).count() as u64;
        Ok(Placements { staged: stood.len() as u64 - existing, existing })
    }

    /// Returns when all that was staged is durable under its final names.
    ///
    /// # Errors
    /// Where the target refuses; never tried again.
    fn barrier(&self) -> Result<(), StageError>;

    /// Begins the ready list of a run, which may take the place of an earlier one of the same run.
    ///
    /// # Errors
    /// Where the target refuses.
    fn begin_list(&self, run: &str) -> Result<Box<dyn ReadyList + '_>, StageError>;

    /// Removes the ready list of a run, durably; absent already is fine.
    ///
    /// # Errors
    /// Where the target refuses.
    fn remove_list(&self, run: &str) -> Result<(), StageError>;

    /// Whether an EML still stands in a mailbox's folder: the importer has not taken it yet.
    ///
    /// # Errors
    /// Where the target does not say.
    fn stands(&self, mailbox: &str, name: &str) -> Result<bool, StageError>;

    /// The first of these that still stands.
    ///
    /// # Errors
    /// Where the target does not say.
    fn first_standing(&self, spots: &[Spot]) -> Result<Option<usize>, StageError> {
        first_of(spots, |mailbox, name| self.stands(mailbox, name))
    }
}

/// The first of these that stands, asked for one after the other.
///
/// # Errors
/// Where it cannot be seen.
pub fn first_of(
    spots: &[Spot],
    stands: impl Fn(&str, &str) -> Result<bool, StageError>,
) -> Result<Option<usize>, StageError> {
    for (at, (mailbox, name)) in spots.iter().enumerate() {
        if stands(mailbox, name)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// A batch in parts of at most so many placements; an item that has more is a part by itself.
pub fn parts<'a, 'b>(mut batch: &'a [Placement<'b>], most: usize) -> impl Iterator<Item = &'a [Placement<'b>]> {
    std::iter::from_fn(move || {
        let mut placements = 0_usize;
        let fits = |item: &&Placement<'_>| {
            placements = placements.saturating_add(item.mailboxes.len());
            placements <= most
        };
        let (part, rest) = batch.split_at_checked(batch.iter().take_while(fits).count().max(1))?;
        batch = rest;
        Some(part)
    })
}

/// A batch is shared out in so many parts for each thread: one that is held up leaves its later parts to the others.
const PARTS_EACH: usize = 8;

/// Does `work` to each part of a batch, on as many threads, and says what it said, in order. The first error counts.
///
/// # Errors
/// Those of the work.
pub fn in_parallel<T: Sync, R: Send, E: Send>(
    workers: usize,
    batch: &[T],
    work: impl Fn(&[T]) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let workers = workers.clamp(1, batch.len().max(1));
    if workers == 1 {
        return if batch.is_empty() { Ok(Vec::new()) } else { work(batch).map(|result| vec![result]) };
    }
    let parts = Mutex::new(batch.chunks(batch.len().div_ceil(workers * PARTS_EACH)).enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = std::thread::scope(|scope| {
        let each = || std::iter::from_fn(next).map(|(at, part)| Ok((at, work(part)?))).collect::<Result<Vec<_>, E>>();
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(each)).collect();
        let ended =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.collect::<Result<Vec<_>, E>>()
    })?;
    let mut done: Vec<(usize, R)> = done.into_iter().flatten().collect();
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
