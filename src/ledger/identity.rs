//! Whose ledger this is: its own id, and the firm of its last run.

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

    /// The device on which the staging folder was that named this ledger last (`st_dev` of stat(2)); none before the first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn marked_on(&self) -> Result<Option<u64>, LedgerError> {
        Ok(self.connection.query_row("SELECT device FROM identity", [], |row| row.get(0))?)
    }

    /// Notes that a staging folder on this device names this ledger.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_marked_on(&self, device: u64) -> Result<(), LedgerError> {
        self.connection.execute("UPDATE identity SET device = ?1 WHERE device IS NOT ?1", [device])?;
        Ok(())
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
