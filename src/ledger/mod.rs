//! What was done, for ever: the one room that knows SQL.
//!
//! The ledger is an SQLite database in WAL mode with `synchronous=FULL`, so that a transaction that returned has
//! survived a power cut. It commits last: what it says stands in staging stood there, durably, before it said so; and
//! it commits before anything is deleted. Beside it lie the encrypted originals and, for each commit, a manifest.

mod alerts;
mod archives;
mod astray;
mod attachments;
mod certificates;
mod chain;
mod circumstances;
mod commit;
mod contested;
mod day;
mod directory;
mod dismissals;
mod files;
mod following;
mod held;
mod identity;
mod listed;
pub mod manifest;
mod measures;
mod notices;
mod originals;
mod people;
mod presence;
mod proof;
mod questions;
mod replays;
mod restaging;
mod runs;
mod schema;
mod scratch;
mod shapes;
mod state;
mod supervision;
mod taken;
mod transcripts;
mod usage;
mod versions;
mod waiting;
mod who;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

pub use alerts::{Ack, AlertId, AlertRow};
pub use archives::{ArchiveRead, EntryRow};
pub use attachments::{Astray, AttachmentCounts, AttachmentRow, AttachmentState, Source, SourcePlace};
pub use certificates::{Certificate, CertificateKind};
pub use chain::{ChainCheck, Deed, Link, What};
pub use circumstances::{Circumstances, Concern, Export, FailedReplay, Horizon, LastAtSite, Trouble, Unknown};
pub use commit::{Commit, Extent, RejectedRow, Unplaced};
pub use contested::Named;
pub use day::DayFile;
pub use directory::{DirectoryStanding, DirectoryState};
pub use dismissals::{Dismissal, Matter};
pub use files::{FileId, FileRow, FileState, Held, Origin, ReceivedFile, Sighting};
pub use following::Following;
pub use held::{HeldExport, HeldFile, HeldItem, HeldPerson, HeldRecord};
pub use measures::{Counted, LastRun, Measures};
pub use notices::{Channel, Notice, NoticeId, Undelivered};
pub use people::Seen;
pub use presence::Staying;
pub use proof::Expected;
pub use questions::{FileReport, RunReport, UnplacedPerson};
pub use restaging::{Again, Asked, Restaging};
pub use runs::{ListedRun, Outcome, RunId, RunTrouble};
pub use scratch::{Arrival, Scratch, Verdict};
pub use shapes::{RuleSetId, StoredRules};
pub use state::StateNow;
pub use supervision::PastRun;
pub use taken::{RunSign, Untaken};
pub use transcripts::{Follows, HeldIn, RoomDay};
pub use usage::RunSize;
pub use versions::{CONFIGURATION, Change, Rejection, Version};
pub use waiting::Waiting;
pub use who::invoked_by;

use crate::durable::{self, AtPath, Disk, PathError};

/// Why the ledger could not answer or record.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite's word.
    #[error("the ledger in state.directory could not be read or written")]
    Sql(#[source] rusqlite::Error),
    /// SQLite's word that what it reads is no whole database: the ledger, or the working tables in the spool, which a full
    /// disk may leave so.
    #[error(
        "the ledger in state.directory is damaged, if icechatd verify says so too: then keep the state folder as it is and \
         restore it from a backup (docs/operations.md, section 8); if not, see whether the disk is full, and run again"
    )]
    Corrupt(#[source] rusqlite::Error),
    /// The disk lets SQLite have no write-ahead log.
    #[error(
        "the ledger in state.directory cannot have its write-ahead log there; state.directory must be on a local disk, and if \
         it is, see whether the disk is full or failing"
    )]
    NoLog,
    /// A newer program has been here.
    #[error(
        "the ledger has schema {found}, this program knows {known}: it was written by a newer icechatd; install that \
         version again, nothing was changed"
    )]
    Newer {
        /// The database's schema.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// An older program has been here, and none of today's since.
    #[error(
        "the ledger has schema {found}, this program knows {known}: it was written by an older icechatd, and is brought up to \
         date by the next run, or by icechatd status; its chain begins with that, and there is nothing to verify before"
    )]
    Older {
        /// The database's schema.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// A file or folder beside the database.
    #[error("a file of the ledger could not be used")]
    File(#[from] PathError),
    /// What is recorded does not make sense.
    #[error("the ledger is damaged: {0}; keep the state folder as it is and restore the ledger from a backup")]
    Damaged(String),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt(error),
            _ => Self::Sql(error),
        }
    }
}

/// The ledger of one firm.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    folder: PathBuf,
}

/// Pages of cache, in KiB; the ledger's memory must not grow with its size.
const CACHE_KIB: i32 = 8 * 1024;

impl Ledger {
    /// Opens the ledger in the state folder, making what is missing, for a verb that works.
    ///
    /// # Errors
    /// Where a newer program wrote it, or the disk does not allow it.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        Disk::open_or_make(folder, 0o700)?;
        for inner in ["originals", "manifests", "spool"] {
            Disk::open_or_make(&folder.join(inner), 0o700)?;
        }
        let file = folder.join("ledger.db");
        // SQLite would give it the umask's mode, and its journals the same; nobody else is to read it. Another process may be
        // making it this instant. Its name is durable with its journal's: SQLite syncs the folder then.
        if !durable::is_regular(&file)? {
            File::options().append(true).create(true).mode(0o600).open(&file).at(&file)?;
        }
        let mut connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        prepare(&connection)?;
        require_log(&connection)?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection, folder: folder.to_owned() })
    }

    /// Opens the ledger for a verb that only reads; `None` where nothing has been recorded yet.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn read(folder: &Path) -> Result<Option<Self>, LedgerError> {
        match Self::open_read_only(folder)? {
            // An older program wrote it last: its questions are answered once it has today's tables.
            Some((_, version)) if version < schema::newest() => Self::open(folder).map(Some),
            found => Ok(found.map(|(ledger, _)| ledger)),
        }
    }

    /// As [`Ledger::read`], of what today's program recorded alone: what an older one did is not made today's for somebody who
    /// wants to prove it.
    ///
    /// # Errors
    /// As [`Ledger::read`]; and where an older program wrote it last.
    pub fn read_as_it_is(folder: &Path) -> Result<Option<Self>, LedgerError> {
        match Self::open_read_only(folder)? {
            Some((ledger, found)) if found < schema::newest() => {
                // One that was cut off while it was made holds nothing yet.
                let is_empty = ledger.first_run()?.is_none();
                if is_empty { Ok(None) } else { Err(LedgerError::Older { found, known: schema::newest() }) }
            }
            found => Ok(found.map(|(ledger, _)| ledger)),
        }
    }

    /// With how many migrations it has had; none where nothing has been recorded yet.
    fn open_read_only(folder: &Path) -> Result<Option<(Self, usize)>, LedgerError> {
        let file = folder.join("ledger.db");
        if !durable::is_regular(&file)? {
            return Ok(None);
        }
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match prepare(&connection).and_then(|()| schema::version(&connection)) {
            Ok(0) => Ok(None),
            Err(error) if was_being_made(&error) => Ok(None),
            version => Ok(Some((Self { connection, folder: folder.to_owned() }, version?))),
        }
    }

    /// The ledger as it is, or an empty one, of which nothing is kept: for a dry run.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn for_dry_run(folder: &Path) -> Result<Self, LedgerError> {
        Disk::open_or_make(&folder.join("spool"), 0o700)?;
        if Self::read(folder)?.is_none() {
            return Ok(Self { folder: folder.to_owned(), ..Self::none()? });
        }
        // Opened for writing because the working tables are attached to it; nothing writes to the ledger itself.
        let connection = Connection::open(folder.join("ledger.db"))?;
        prepare(&connection)?;
        Ok(Self { connection, folder: folder.to_owned() })
    }

    /// An empty ledger of which nothing is kept.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn none() -> Result<Self, LedgerError> {
        let mut connection = Connection::open_in_memory()?;
        prepare(&connection)?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection, folder: PathBuf::new() })
    }

    /// Reads as the ledger is at one moment, whatever a run commits meanwhile.
    ///
    /// # Errors
    /// Those of the reading.
    pub fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        let found = read();
        transaction.finish()?;
        found
    }

    /// Waits no longer than this for somebody else's transaction, in place of the half minute that suits a run.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub fn wait_at_most(&self, wait: std::time::Duration) -> Result<(), LedgerError> {
        Ok(self.connection.busy_timeout(wait)?)
    }

    /// Where downloads in flight lie.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Where manifests lie.
    pub fn manifests(&self) -> PathBuf {
        self.folder.join("manifests")
    }
}

/// Whether a run was cut off while it made the database: it is the only time that there is something to undo, which who only
/// reads may not. Whatever is recorded later is in the write-ahead log.
fn was_being_made(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Sql(rusqlite::Error::SqliteFailure(cause, _))
        if cause.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// A change to WAL that failed goes unsaid: SQLite works on without, and a power cut may then undo a commit that returned.
fn require_log(connection: &Connection) -> Result<(), LedgerError> {
    // It knows its mode once it has read.
    schema::version(connection)?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(LedgerError::NoLog) }
}

fn prepare(connection: &Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
