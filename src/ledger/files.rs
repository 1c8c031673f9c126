//! Exports as files: where each came from, and what became of it.
//!
//! A file is known by the SHA-256 of its ciphertext. Its states: `received` (durably here), `staging` (its first EML may
//! have been written, with the recorded shape), `committed`, `held` (not authentic, not readable, not whole) and
//! `superseded` (held, and then replaced at the site by another file of its name that was committed).

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::originals::original_name;
use super::{Ledger, LedgerError, RunId, chain};
use crate::books::Counts;
use crate::digest::Sha256;
use crate::durable::{AtPath, Disk, FileSystem};

/// A file's row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) i64);

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Durably here, nothing of it staged.
    Received,
    /// Being staged; whoever comes next finishes it.
    Staging,
    /// Staged and recorded.
    Committed,
    /// Not readable as it stands, or with the keys there are.
    Held,
    /// Held once; another file of the same name took its place.
    Superseded,
}

impl FileState {
    fn parse(word: &str) -> Result<Self, LedgerError> {
        Ok(match word {
            "received" => Self::Received,
            "staging" => Self::Staging,
            "committed" => Self::Committed,
            "held" => Self::Held,
            "superseded" => Self::Superseded,
            other => return Err(LedgerError::Damaged(format!("file state {other:?}"))),
        })
    }
}

/// A file as recorded.
#[derive(Debug, Clone)]
pub struct FileRow {
    /// Its row.
    pub id: FileId,
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// As the site or the operator named it when it first came.
    pub name: String,
    /// Of the ciphertext.
    pub bytes: u64,
    /// What became of it.
    pub state: FileState,
    /// Why it is held.
    pub reason: Option<String>,
    /// Whether this machine, not the file, was at fault.
    pub held_local: bool,
    /// The keys, limits, profile and program under which it was held.
    pub held_under: Option<Sha256>,
    /// The profile's text, if it has been staged.
    pub profile: Option<Sha256>,
    /// What else shapes its bytes and placements, as JSON.
    pub shape: Option<String>,
    /// Who signed it, as its first survey found.
    pub signed_by: Option<String>,
    /// The books, as replays have left them.
    pub counts: Counts,
    /// How many of its items came after its first commit: attachments whose archive came late.
    pub added: u64,
    /// How many items it has fewer than its first commit said: records that replays let in together.
    pub merged: u64,
}

pub(super) const COLUMNS: &str = "id, sha256, name, bytes, state, reason, held_local, held_under, profile, shape, \
                       available, staged, held, duplicate, rejected, skipped, signed_by, added, merged";

impl FileRow {
    /// A file that is looked at without being recorded.
    pub fn not_recorded(file: &ReceivedFile<'_>) -> Self {
        Self {
            id: FileId(0),
            sha256: file.sha256,
            name: file.name.to_owned(),
            bytes: file.bytes,
            state: FileState::Received,
            reason: None,
            held_local: false,
            held_under: None,
            profile: None,
            shape: None,
            signed_by: None,
            counts: Counts::default(),
            added: 0,
            merged: 0,
        }
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        Ok(Self {
            id: FileId(row.get(0)?),
            sha256: Sha256(row.get(1)?),
            name: row.get(2)?,
            bytes: row.get(3)?,
            state: FileState::parse(&row.get::<_, String>(4)?)?,
            reason: row.get(5)?,
            held_local: row.get(6)?,
            held_under: row.get::<_, Option<[u8; 32]>>(7)?.map(Sha256),
            profile: row.get::<_, Option<[u8; 32]>>(8)?.map(Sha256),
            shape: row.get(9)?,
            counts: Counts {
                available: row.get(10)?,
                staged: row.get(11)?,
                held: row.get(12)?,
                duplicate: row.get(13)?,
                rejected: row.get(14)?,
                skipped: row.get(15)?,
            },
            signed_by: row.get(16)?,
            added: row.get(17)?,
            merged: row.get(18)?,
        })
    }
}

/// A file as the site listed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Its name there.
    pub name: &'a str,
    /// In bytes.
    pub size: u64,
    /// Unix seconds.
    pub mtime: i64,
}

/// Where a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The site's listing.
    Site(Sighting<'a>),
    /// A person's hand.
    Hand,
}

/// A ciphertext that lies durably in the spool.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedFile<'a> {
    /// As the site or the operator named it.
    pub name: &'a str,
    /// Where it lies; a file name in the spool folder.
    pub spool: &'a Path,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// Why a file is held.
#[derive(Debug, Clone)]
pub struct Held {
    /// For an operator, one line.
    pub reason: String,
    /// Whether this machine, not the file, was at fault: then it is always tried again.
    pub local: bool,
    /// What the attempt depended on; it is tried again when that is other.
    pub under: Sha256,
}

impl Ledger {
    /// Takes a file from the spool into the keep: its original is moved to its place, then recorded.
    ///
    /// A crash between the two leaves an original without a row, which the same file's next coming overwrites with the
    /// same bytes. Of a file that is known, the original is put back where it is gone or was changed.
    ///
    /// # Errors
    /// Where the disk or the ledger refuse.
    pub fn receive(&self, file: &ReceivedFile<'_>, run: RunId, now: Timestamp) -> Result<FileRow, LedgerError> {
        if let Some(known) = self.file_by_digest(file.sha256)? {
            self.sight(&known, file.origin)?;
            if self.needs_original(&known)? {
                self.move_to_originals(file)?;
            } else {
                let spool = Disk::open(&self.spool())?;
                Disk.unlink(&spool, spool_name(file.spool)?).at(file.spool)?;
            }
            return Ok(known);
        }
        self.move_to_originals(file)?;
        let transaction = self.writing()?;
        transaction.execute(
            "INSERT INTO files (sha256, name, bytes, received, received_run, state, linked)
             VALUES (?1, ?2, ?3, ?4, ?5, 'received', 1)",
            params![file.sha256.0, file.name, file.bytes, now.as_second(), run.0],
        )?;
        chain::append(&transaction, chain::Source::Received, transaction.last_insert_rowid())?;
        transaction.commit()?;
        let row = self
            .file_by_digest(file.sha256)?
            .ok_or_else(|| LedgerError::Damaged("a file that was just recorded is not there".to_owned()))?;
        self.sight(&row, file.origin)?;
        Ok(row)
    }

    fn move_to_originals(&self, file: &ReceivedFile<'_>) -> Result<(), LedgerError> {
        let spool = Disk::open(&self.spool())?;
        let originals = self.folder.join("originals");
        let kept = Disk::open(&originals)?;
        let name = original_name(file.sha256);
        Disk.rename_over(&spool, spool_name(file.spool)?, &kept, &name).at(originals.join(&name))?;
        Disk.sync_folder(&kept).at(originals)?;
        Ok(())
    }

    fn sight(&self, file: &FileRow, origin: Origin<'_>) -> Result<(), LedgerError> {
        if let Origin::Site(sighting) = origin {
            self.connection.execute(
                "INSERT OR REPLACE INTO sightings (name, size, mtime, file) VALUES (?1, ?2, ?3, ?4)",
                params![sighting.name, sighting.size, sighting.mtime, file.id.0],
            )?;
        }
        Ok(())
    }

    /// The file that was seen under this name, size and time, if any.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn sighted(&self, sighting: Sighting<'_>) -> Result<Option<FileRow>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM files WHERE id = (SELECT file FROM sightings WHERE name = ?1 AND size = ?2 AND mtime = ?3)"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![sighting.name, sighting.size, sighting.mtime])?;
        rows.next()?.map(FileRow::read).transpose()
    }

    /// The file with this digest, if it is known.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn file_by_digest(&self, sha256: Sha256) -> Result<Option<FileRow>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM files WHERE sha256 = ?1"))?;
        let mut rows = statement.query([sha256.0])?;
        rows.next()?.map(FileRow::read).transpose()
    }

    /// The file with this row.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn file(&self, id: FileId) -> Result<FileRow, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM files WHERE id = ?1"))?;
        let mut rows = statement.query([id.0])?;
        let row = rows.next()?.ok_or_else(|| LedgerError::Damaged(format!("file {} is not there", id.0)))?;
        FileRow::read(row)
    }

    /// The files in a state, in the order in which they came.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn files_in(&self, state: FileState) -> Result<Vec<FileRow>, LedgerError> {
        let word = match state {
            FileState::Received => "received",
            FileState::Staging => "staging",
            FileState::Committed => "committed",
            FileState::Held => "held",
            FileState::Superseded => "superseded",
        };
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM files WHERE state = ?1 ORDER BY id"))?;
        let mut rows = statement.query([word])?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            files.push(FileRow::read(row)?);
        }
        Ok(files)
    }

    /// Records that a file is held. Nothing of it was staged.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn hold(&self, file: &FileRow, held: &Held, run: RunId) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute(
            "UPDATE files SET state = 'held', reason = ?2, held_local = ?3, held_under = ?4 WHERE id = ?1",
            params![file.id.0, held.reason, held.local, held.under.0],
        )?;
        transaction.execute("DELETE FROM waiting WHERE file = ?1", [file.id.0])?;
        self.note_held(file, &held.reason, run)?;
        transaction.commit()?;
        Ok(())
    }

    /// Lists a file that is held already among those a run touched.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_held(&self, file: &FileRow, reason: &str, run: RunId) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, 'held', ?4,
             0, 0, 0, 0, 0, 0, 0, 0, 0, '[]', '[]')",
            params![run.0, file.id.0, file.name, reason],
        )?;
        // One that was begun stays so, and somebody has to be told; its commit forgets it.
        self.connection
            .execute("UPDATE files SET reason = ?2 WHERE id = ?1 AND state = 'staging'", params![file.id.0, reason])?;
        Ok(())
    }

    /// Lists a committed file that came again, byte for byte: each of its items is a duplicate. If it came under the name
    /// of one that is held, that is the site's own answer to it.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_again(&self, file: &FileRow, name: &str, run: RunId) -> Result<(), LedgerError> {
        let counts = file.counts;
        let duplicate = counts.staged + counts.held + counts.duplicate;
        let transaction = self.connection.unchecked_transaction()?;
        super::held::supersede(&transaction, file.id, run)?;
        let state = if self.is_archive(file.id)? { "read" } else { "staged" };
        transaction.execute(
            "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, ?8, NULL,
             ?4, 0, 0, ?5, ?6, ?7, 0, 0, 0, '[]', '[]')",
            params![run.0, file.id.0, name, counts.available, duplicate, counts.rejected, counts.skipped, state],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Lists a committed export whose replay failed. Unless it did because retention removed the original, that is a
    /// matter for a person until a replay succeeds.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_failed_replay(&self, file: &FileRow, reason: &str, run: RunId) -> Result<(), LedgerError> {
        let (held, rejected) = (file.counts.held, file.counts.rejected);
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute(
            "UPDATE files SET reason = ?2 WHERE id = ?1 AND original_removed IS NULL",
            params![file.id.0, reason],
        )?;
        transaction.execute(
            "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, 'staged', ?4,
             ?5, 0, ?6, 0, ?7, 0, 0, 0, 0, '[]', '[]')",
            params![run.0, file.id.0, file.name, reason, held + rejected, held, rejected],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Empties the spool: whatever lies there is a download that was interrupted.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn clear_spool(&self) -> Result<(), LedgerError> {
        let path = self.spool();
        let folder = Disk::open(&path)?;
        for entry in std::fs::read_dir(&path).at(&path)? {
            let entry = entry.at(&path)?;
            if let Some(name) = entry.file_name().to_str() {
                Disk.unlink(&folder, name).at(entry.path())?;
            }
        }
        Ok(())
    }
}

fn spool_name(path: &Path) -> Result<&str, LedgerError> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| LedgerError::Damaged(format!("{} is no name in the spool", path.display())))
}
