//! Archives of attachments: what each holds, and what of it nobody named.

use jiff::Timestamp;
use rusqlite::params;

use super::attachments::note;
use super::files::COLUMNS;
use super::{FileId, FileRow, Ledger, LedgerError, RunId, chain};
use crate::digest::Sha256;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Its path in the archive.
    pub name: String,
    /// Of its bytes.
    pub sha256: Sha256,
    /// How many.
    pub bytes: u64,
}

/// An archive as its commit records it.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveRead<'a> {
    /// The files in it.
    pub entries: &'a [EntryRow],
    /// What in it is no file of a chat, the first of it: its name and why.
    pub refused: &'a [(String, &'static str)],
    /// How much of that there is.
    pub refusals: u64,
    /// Who signed it.
    pub signed_by: Option<&'a str>,
}

impl Ledger {
    /// The commit of a file that was read as an archive, to its end.
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn commit_archive(
        &self,
        file: &FileRow,
        read: &ArchiveRead<'_>,
        run: RunId,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let transaction = self.writing()?;
        let id = file.id.0;
        transaction.execute(
            "INSERT INTO archives (file, entries, refused) VALUES (?1, ?2, ?3)",
            params![id, read.entries.len() as u64, read.refusals],
        )?;
        {
            let mut statement = transaction.prepare("INSERT INTO entries VALUES (?1, ?2, ?3, ?4)")?;
            for entry in read.entries {
                statement.execute(params![id, entry.name, entry.sha256.0, entry.bytes])?;
            }
            let mut statement = transaction.prepare("INSERT INTO refused VALUES (?1, ?2, ?3, ?4)")?;
            for (position, (name, reason)) in read.refused.iter().enumerate() {
                statement.execute(params![id, position as u64, name, reason])?;
            }
        }
        transaction.execute(
            "UPDATE files SET state = 'committed', reason = NULL, held_local = 0, held_under = NULL, committed = ?2,
             signed_by = ?3 WHERE id = ?1",
            params![id, now.as_second(), read.signed_by],
        )?;
        super::held::supersede(&transaction, file.id, run)?;
        note(&transaction, file, "read", None, run)?;
        chain::append(&transaction, chain::Source::Archive, id)?;
        transaction.commit()?;
        Ok(())
    }

    /// Whether a committed file is an archive.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_archive(&self, file: FileId) -> Result<bool, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM archives WHERE file = ?1")?;
        Ok(statement.exists([file.0])?)
    }

    /// How many archives there are.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn archives(&self) -> Result<u64, LedgerError> {
        Ok(self.connection.query_row("SELECT count(*) FROM archives", [], |row| row.get(0))?)
    }

    /// Archives whose originals are kept, newest first: all of them, or those for which exports that were staged without them were not looked through.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn archive_rows(&self, not_looked: bool) -> Result<Vec<FileRow>, LedgerError> {
        let which =
            if not_looked { "SELECT file FROM archives WHERE looked IS NULL" } else { "SELECT file FROM archives" };
        self.rows_of(&format!(
            "SELECT {COLUMNS} FROM files WHERE id IN ({which}) AND original_removed IS NULL ORDER BY id DESC"
        ))
    }

    /// The files in an archive, in the order of their names.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn entries_of(&self, archive: FileId) -> Result<Vec<EntryRow>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name, sha256, bytes FROM entries WHERE archive = ?1 ORDER BY name")?;
        let rows = statement.query_map([archive.0], |row| {
            Ok(EntryRow { name: row.get(0)?, sha256: Sha256(row.get(1)?), bytes: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Archives of which nobody decided yet what in them is an orphan, and when each came.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn archives_to_settle(&self) -> Result<Vec<(FileRow, Timestamp)>, LedgerError> {
        let rows = self.rows_of(&format!(
            "SELECT {COLUMNS} FROM files WHERE id IN (SELECT file FROM archives WHERE settled IS NULL) ORDER BY id"
        ))?;
        rows.into_iter().map(|row| Ok((self.received(row.id)?, row)).map(|(at, row)| (row, at))).collect()
    }

    /// Notes that what no export names of an archive is an orphan by now. How many orphans that are.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn settle_archive(&self, archive: FileId, now: Timestamp) -> Result<u64, LedgerError> {
        self.connection
            .execute("UPDATE archives SET settled = ?2 WHERE file = ?1", params![archive.0, now.as_second()])?;
        Ok(self.attachment_counts(archive)?.orphan)
    }
}
