//! The kept originals: where each lies, and which ones retention may remove.

use std::fs::File;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::files::COLUMNS;
use super::manifest::digest_of;
use super::{FileId, FileRow, Ledger, LedgerError, chain, invoked_by};
use crate::digest::Sha256;
use crate::durable::{self, AtPath, Disk, FileSystem};

const SUFFIX: &str = ".pgp";

impl Ledger {
    /// Where the encrypted originals lie.
    pub fn originals(&self) -> PathBuf {
        self.folder.join("originals")
    }

    /// Where a file's encrypted original lies, or lay.
    pub fn original(&self, sha256: Sha256) -> PathBuf {
        self.originals().join(original_name(sha256))
    }

    /// Opens a file's encrypted original; `None` where retention removed it.
    ///
    /// # Errors
    /// Where it is there and cannot be opened.
    pub fn open_original(&self, sha256: Sha256) -> Result<Option<File>, LedgerError> {
        let path = self.original(sha256);
        match durable::open_regular(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the kept original is damaged or gone, and not because nothing needs it any more.
    pub(super) fn needs_original(&self, known: &FileRow) -> Result<bool, LedgerError> {
        let is_whole = digest_of(&self.original(known.sha256)).is_ok_and(|digest| digest == known.sha256);
        Ok(!is_whole && !self.original_removed(known.id)?)
    }

    /// Whether a committed file is older than retention allows and nothing needs its original any more (contract 4).
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn originals_to_remove(&self, committed_before: Timestamp) -> Result<Vec<FileRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM files WHERE state = 'committed' AND committed < ?1 AND original_removed IS NULL
             AND reason IS NULL
             AND NOT EXISTS (SELECT 1 FROM items i WHERE i.file = files.id AND i.held = 1 AND NOT EXISTS (
                 SELECT 1 FROM dismissals d WHERE d.kind = 'item' AND d.time = i.time AND d.item = i.id))
             AND NOT EXISTS (SELECT 1 FROM namings n JOIN items i ON i.time = n.time AND i.id = n.id
                 WHERE n.file = files.id AND i.held = 1 AND NOT EXISTS (
                   SELECT 1 FROM dismissals d WHERE d.kind = 'item' AND d.time = i.time AND d.item = i.id))
             AND NOT EXISTS (SELECT 1 FROM rejected r WHERE r.file = files.id AND NOT EXISTS (
                 SELECT 1 FROM dismissals d WHERE d.file = r.file AND d.kind = 'record' AND d.ordinal = r.ordinal))
             AND id NOT IN (SELECT file FROM unresolved)
             AND NOT EXISTS (SELECT 1 FROM replaying WHERE replaying.file = files.id)
             AND NOT EXISTS (SELECT 1 FROM following w WHERE files.id IN (w.file, w.archive))
             AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.file = files.id AND (a.looked IS NULL OR a.settled IS NULL))
             AND NOT EXISTS (SELECT 1 FROM attachments m WHERE m.file = files.id
                 AND (m.state = 'missing' OR (m.state = 'oversize' AND m.archive IS NULL)))
             AND NOT EXISTS (SELECT 1 FROM attachments m JOIN files f ON f.id = m.file
                 WHERE m.archive = files.id AND (m.state = 'oversize' OR f.original_removed IS NULL))
             AND NOT EXISTS (SELECT 1 FROM archives_used u JOIN files f ON f.id = u.file
                 WHERE u.archive = files.id AND f.original_removed IS NULL)"
        ))?;
        let mut rows = statement.query([committed_before.as_second()])?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            files.push(FileRow::read(row)?);
        }
        Ok(files)
    }

    /// Removes an original that nothing needs any more. Recorded first: a row without a file says why, a missing file
    /// without a row would be a loss. A crash between the two leaves a file that [`Ledger::finish_removals`] removes.
    ///
    /// # Errors
    /// Where the ledger or the disk refuse.
    pub fn remove_original(&self, file: &FileRow, now: Timestamp) -> Result<(), LedgerError> {
        let transaction = self.writing()?;
        transaction.execute(
            "UPDATE files SET original_removed = ?2, original_removed_by = ?3 WHERE id = ?1",
            params![file.id.0, now.as_second(), invoked_by()],
        )?;
        chain::append(&transaction, chain::Source::Retention, file.id.0)?;
        transaction.commit()?;
        let folder = self.folder.join("originals");
        Disk.unlink(&Disk::open(&folder)?, &original_name(file.sha256)).at(folder)?;
        Ok(())
    }

    /// Removes what is recorded as removed and still lies there: whoever recorded it died between the two.
    ///
    /// # Errors
    /// As [`Ledger::remove_original`].
    pub fn finish_removals(&self) -> Result<(), LedgerError> {
        let folder = self.folder.join("originals");
        for entry in std::fs::read_dir(&folder).at(&folder)? {
            let name = entry.at(&folder)?.file_name();
            let sha256 = name.to_str().and_then(|name| Sha256::from_hex(name.strip_suffix(SUFFIX)?));
            let file = sha256.map(|sha256| self.file_by_digest(sha256)).transpose()?.flatten();
            if let Some(file) = file
                && self.original_removed(file.id)?
            {
                Disk.unlink(&Disk::open(&folder)?, &original_name(file.sha256)).at(&folder)?;
            }
        }
        Ok(())
    }

    /// Whether retention removed a file's original.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn original_removed(&self, id: FileId) -> Result<bool, LedgerError> {
        let removed = self
            .connection
            .query_row("SELECT original_removed IS NOT NULL FROM files WHERE id = ?1", [id.0], |row| row.get(0))
            .optional()?;
        Ok(removed.unwrap_or(false))
    }
}

/// A name of our own making: what the site called it is not a path here.
pub(super) fn original_name(sha256: Sha256) -> String {
    format!("{sha256}{SUFFIX}")
}
