//! Which commits the importer has been told of.

use jiff::Timestamp;

use super::manifest::Recorded;
use super::{Ledger, LedgerError, RunId};

impl Ledger {
    /// The runs that committed something that no ready list names yet, oldest first, with their names.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn runs_to_list(&self) -> Result<Vec<(RunId, String)>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT id, name FROM runs WHERE id IN (SELECT run FROM manifests WHERE listed IS NULL) ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| Ok((RunId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many records of a run's commits its ready list covers, and how many it does not yet.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn records_listed(&self, run: RunId) -> Result<(u64, u64), LedgerError> {
        let sql = "SELECT coalesce(sum(iif(listed IS NULL, 0, entries)), 0), coalesce(sum(iif(listed IS NULL, entries, 0)), 0)
                   FROM manifests WHERE run = ?1";
        Ok(self.connection.query_row(sql, [run.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The manifests of a run in the order of their commits.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn manifests_of_run(&self, run: RunId) -> Result<Vec<Recorded>, LedgerError> {
        self.manifests_where("run = ?1", run.0)
    }

    /// Notes that the ready list of a run names all that it has committed.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_listed(&self, run: RunId, now: Timestamp) -> Result<(), LedgerError> {
        self.connection
            .execute("UPDATE manifests SET listed = ?2 WHERE run = ?1 AND listed IS NULL", (run.0, now.as_second()))?;
        Ok(())
    }
}
