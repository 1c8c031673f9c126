//! Replays on their way: that one begins, that it moved nothing, and how those without a mailbox are seen by then. Its commit is
//! beside the others.

use rusqlite::params;

use super::{FileId, FileRow, Ledger, LedgerError, RuleSetId, RunId};

impl Ledger {
    /// Records that a replay of a committed export begins, before its first copy is written; once for each replay,
    /// however often it has to be taken up.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn begin_replay(&self, file: FileId, rules: RuleSetId, limits: &str) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO replaying VALUES (?1, ?2, ?3)";
        Ok(self.connection.execute(sql, params![file.0, rules.0, limits]).map(drop)?)
    }

    /// Ends a replay that moved nothing: neither its rules nor a manifest are kept, for nobody would ask for them.
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn end_unmoved(&self, file: &FileRow, run: RunId) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM replaying WHERE file = ?1", [file.id.0])?;
        transaction.execute("UPDATE files SET reason = NULL WHERE id = ?1", [file.id.0])?;
        self.note_unmoved(file, run)?;
        Ok(transaction.commit()?)
    }

    /// The replays that were begun and not committed: file, rule set and limits.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn replays_begun(&self) -> Result<Vec<(FileId, RuleSetId, String)>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT file, rule_set, limits FROM replaying ORDER BY file")?;
        let rows = statement.query_map([], |row| Ok((FileId(row.get(0)?), RuleSetId(row.get(1)?), row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records that a participant without a mailbox is seen otherwise by the rules in force, though still without one.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn reclassify(&self, file: FileId, person: &str, external: bool) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE unplaced SET external = ?3 WHERE file = ?1 AND person = ?2",
            params![file.0, person, external],
        )?;
        Ok(())
    }

    /// Lists a committed export among those a replay looked at, its held and rejected items as they still are.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_unmoved(&self, file: &FileRow, run: RunId) -> Result<(), LedgerError> {
        let (held, rejected) = (file.counts.held, file.counts.rejected);
        self.connection.execute(
            "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, 'staged', NULL,
             ?4, 0, ?5, 0, ?6, 0, 0, 0, 0, '[]', '[]')",
            params![run.0, file.id.0, file.name, held + rejected, held, rejected],
        )?;
        Ok(())
    }
}
