//! Whose ledger this is: its own id, and the firm of its last run.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::{Ledger, LedgerError};

impl Ledger {
    /// The id that this ledger got when it was made: 32 hexadecimal digits, the same for ever, also in a copy.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn id(&self) -> Result<String, LedgerError> {
        Ok(self.connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?)
    }

    /// Notes that a staging folder names this ledger from now on; whether one did before.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_marked(&self, now: Timestamp) -> Result<bool, LedgerError> {
        let before = "SELECT marked IS NOT NULL FROM identity";
        let before = self.connection.query_row(before, [], |row| row.get(0))?;
        self.connection.execute("UPDATE identity SET marked = ?1", [now.as_second()])?;
        Ok(before)
    }

    /// The firm that the last run was for; none before the first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn firm_of_last_run(&self) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT firm_code FROM runs ORDER BY id DESC LIMIT 1";
        Ok(self.connection.query_row(sql, [], |row| row.get(0)).optional()?)
    }
}
