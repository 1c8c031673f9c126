//! Exports that are not staged yet, because an archive of their attachments may still come.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};

use super::attachments::note;
use super::questions::timestamp;
use super::{FileId, FileRow, Ledger, LedgerError, RunId};

/// An export that is not staged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Until when it waits.
    pub until: Timestamp,
    /// How many archives there were when it was looked at.
    pub archives: u64,
}

impl Ledger {
    /// Whether, and how, an export waits for an archive.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn waiting(&self, file: FileId) -> Result<Option<Waiting>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT until, archives FROM waiting WHERE file = ?1")?;
        let found =
            statement.query_row([file.0], |row| Ok(Waiting { until: timestamp(row.get(0)?), archives: row.get(1)? }));
        Ok(found.optional()?)
    }

    /// When the first of the exports that wait has waited long enough.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn waiting_until(&self) -> Result<Option<Timestamp>, LedgerError> {
        let first: Option<i64> = self.connection.query_row("SELECT min(until) FROM waiting", [], |row| row.get(0))?;
        Ok(first.map(timestamp))
    }

    /// The days of the exports that wait; and, of those that do not say theirs, when they came.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn waiting_days(&self) -> Result<(Vec<Date>, Vec<Timestamp>), LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT w.date, f.received FROM waiting w JOIN files f ON f.id = w.file ORDER BY f.id")?;
        let (mut days, mut arrivals) = (Vec::new(), Vec::new());
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match row.get::<_, Option<String>>(0)? {
                Some(date) => {
                    days.push(date.parse().map_err(|_| LedgerError::Damaged(format!("the date {date:?}")))?);
                }
                None => arrivals.push(timestamp(row.get(1)?)),
            }
        }
        Ok((days, arrivals))
    }

    /// Records that an export waits.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn wait(&self, file: FileId, waiting: Waiting, date: Option<Date>) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        // One that was held before is read whole by now.
        transaction.execute(
            "UPDATE files SET state = 'received', reason = NULL, held_local = 0, held_under = NULL WHERE id = ?1",
            [file.0],
        )?;
        transaction.execute(
            "INSERT OR REPLACE INTO waiting VALUES (?1, ?2, ?3, ?4)",
            params![file.0, waiting.until.as_second(), waiting.archives, date.map(|date| date.to_string())],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// An export waits no longer, though it is not taken in.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn end_waiting(&self, file: FileId) -> Result<(), LedgerError> {
        self.connection.execute("DELETE FROM waiting WHERE file = ?1", [file.0])?;
        Ok(())
    }

    /// Lists an export that waits among those that a run touched.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_waiting(&self, file: &FileRow, reason: &str, run: RunId) -> Result<(), LedgerError> {
        note(&self.connection, file, "waiting", Some(reason), run)
    }
}
