//! Which commits the importer has taken whole.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::manifest::{Finished, Recorded};
use super::{FileId, Ledger, LedgerError};
use crate::digest::Sha256;

/// A commit of which something may still stand in staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untaken {
    /// What it placed.
    pub manifest: Recorded,
    /// When; or when it was put there once more.
    pub committed: Timestamp,
    /// Whether the ready list names it.
    pub is_listed: bool,
    /// What the last look found standing, from the staging folder on.
    pub standing: Option<String>,
}

/// The newest run, and whether it has ended: a sign that changes when a run begins and when it ends.
pub type RunSign = Option<(i64, bool)>;

impl Ledger {
    /// The first commit after `seq` that was not seen taken whole.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn next_untaken(&self, seq: i64) -> Result<Option<Untaken>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, file, name, sha256, entries, max(committed, coalesce(
               (SELECT max(r.started) FROM restaged s JOIN runs r ON r.id = s.run WHERE s.manifest = seq), 0)),
             listed IS NOT NULL, standing FROM manifests WHERE taken IS NULL AND seq > ?1 ORDER BY seq LIMIT 1",
        )?;
        let found = statement.query_row([seq], |row| {
            let finished = Finished { name: row.get(2)?, sha256: Sha256(row.get(3)?), entries: row.get(4)? };
            Ok(Untaken {
                manifest: Recorded { seq: row.get(0)?, file: FileId(row.get(1)?), finished },
                committed: Timestamp::from_second(row.get(5)?).unwrap_or_default(),
                is_listed: row.get(6)?,
                standing: row.get(7)?,
            })
        });
        Ok(found.optional()?)
    }

    /// How many commits after `seq` were not seen taken whole.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn untaken_after(&self, seq: i64) -> Result<u64, LedgerError> {
        let count = "SELECT count(*) FROM manifests WHERE taken IS NULL AND seq > ?1";
        Ok(self.connection.prepare_cached(count)?.query_row([seq], |row| row.get(0))?)
    }

    /// The runs whose ready lists name this commit and no other that waits to be taken: the one that made it, and those
    /// that put it there once more.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn lists_spent_with(&self, commit: &Untaken) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name FROM runs WHERE id IN (SELECT run FROM manifests WHERE seq = ?1
                                                UNION SELECT run FROM restaged WHERE manifest = ?1)
             AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.run = runs.id AND m.taken IS NULL AND m.seq <> ?1)
             AND NOT EXISTS (SELECT 1 FROM restaged r JOIN manifests m ON m.seq = r.manifest
                             WHERE r.run = runs.id AND m.taken IS NULL AND m.seq <> ?1)",
        )?;
        let rows = statement.query_map([commit.manifest.seq], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes that nothing of a commit stands any more.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_taken(&self, commit: &Untaken, now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE manifests SET taken = ?2, standing = NULL WHERE seq = ?1",
            (commit.manifest.seq, now.as_second()),
        )?;
        Ok(())
    }

    /// Notes what of a commit still stands, so that the next look begins there. One from before there were ready lists gets
    /// one by that: nobody else would tell the importer of it.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_standing(&self, commit: &Untaken, place: &str) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE manifests SET standing = ?2, listed = nullif(listed, 0) WHERE seq = ?1",
            (commit.manifest.seq, place),
        )?;
        Ok(())
    }

    /// The sign of the newest run.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn run_sign(&self) -> Result<RunSign, LedgerError> {
        let newest = "SELECT id, finished IS NOT NULL FROM runs ORDER BY id DESC LIMIT 1";
        Ok(self.connection.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }
}
