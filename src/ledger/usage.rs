//! What `check` compares today with: how large runs were, since when rules are in force, and what time it was last.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::{Ledger, LedgerError};

/// What a run took of the disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunSize {
    /// Bytes of the originals it took.
    pub originals: u64,
    /// Items it staged: files, where hard links are possible.
    pub staged: u64,
    /// Placements it staged: names, and files where hard links are not possible.
    pub placements: u64,
}

impl Ledger {
    /// The largest, in each respect, of the last ten runs that staged something.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn largest_of_last_runs(&self) -> Result<Option<RunSize>, LedgerError> {
        let largest = self.connection.query_row(
            "SELECT max(originals), max(staged), max(placements) FROM (
               SELECT sum(f.bytes) AS originals, sum(r.staged) AS staged, sum(r.placements_staged) AS placements
               FROM run_files r JOIN files f ON f.id = r.file JOIN runs ON runs.id = r.run
               WHERE runs.verb = 'ingest' AND r.state = 'staged' GROUP BY r.run ORDER BY r.run DESC LIMIT 10)",
            [],
            |row| {
                let originals: Option<u64> = row.get(0)?;
                let size = |originals| Ok(RunSize { originals, staged: row.get(1)?, placements: row.get(2)? });
                originals.map(size).transpose()
            },
        )?;
        Ok(largest)
    }

    /// Since when the mapping or list (`kind`) of this content is in force; none where another one is, or none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn in_force_since(&self, kind: &str, bytes: &[u8]) -> Result<Option<Timestamp>, LedgerError> {
        let digest = crate::digest::Sha256::of(bytes);
        let since: Option<i64> = self
            .connection
            .query_row("SELECT since FROM in_force WHERE kind = ?1 AND digest = ?2", (kind, digest.0), |row| row.get(0))
            .optional()?;
        Ok(since.and_then(|since| Timestamp::from_second(since).ok()))
    }

    /// The latest time that any run has recorded: a clock that is behind it was set back, or was wrong then.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn latest_time(&self) -> Result<Option<Timestamp>, LedgerError> {
        let sql = "SELECT max(coalesce(finished, started)) FROM runs";
        let latest: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(latest.and_then(|latest| Timestamp::from_second(latest).ok()))
    }
}
