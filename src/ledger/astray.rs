//! What in the tables does not fit the rest of them: asked by a verification alone.

use std::collections::HashSet;

use rusqlite::OptionalExtension;

use super::originals::original_name;
use super::shapes::digest_of_shape;
use super::{FileId, Ledger, LedgerError};
use crate::digest::Sha256;

impl Ledger {
    /// Books, shapes and rule sets that no manifest accounts for, each as a fault.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn books_astray(&self) -> Result<Vec<String>, LedgerError> {
        let mut faults = self.named_by(
            // Of runs from before there was a chain nobody knows.
            "SELECT r.name || ' in run ' || u.name FROM run_files r JOIN runs u ON u.id = r.run
             WHERE r.placements_staged + r.placements_existing > 0
               AND r.run NOT IN (SELECT run FROM restagings)
               AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.run = r.run AND (m.position IS NULL OR m.position = r.position))",
            "placements that no manifest accounts for are in the books of",
        )?;
        faults.extend(self.named_by(
            "SELECT f.name FROM files f WHERE f.state = 'superseded' AND NOT EXISTS (
               SELECT 1 FROM files other WHERE other.id = f.superseded_by AND other.state = 'committed')",
            "nothing that is committed took the place of",
        )?);
        faults.extend(self.named_by(
            "SELECT f.name FROM files f WHERE f.state = 'committed' AND f.id NOT IN (SELECT file FROM archives) AND
               (SELECT group_concat(rule_set) FROM (SELECT rule_set FROM file_rule_sets s WHERE s.file = f.id ORDER BY position))
               IS NOT
               (SELECT group_concat(rule_set) FROM (
                 SELECT rule_set, min(seq) AS first FROM manifests m WHERE m.file = f.id GROUP BY rule_set ORDER BY first))",
            "other rule sets than its manifests have are applied to",
        )?);
        faults.extend(self.shapes_astray()?);
        Ok(faults)
    }

    fn named_by(&self, sql: &str, fault: &str) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare(sql)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        names.map(|name| Ok(format!("{fault} {}", name?))).collect()
    }

    /// Exports whose shape is not the one that their newest commit left.
    fn shapes_astray(&self) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT f.id, f.name, m.shape FROM files f JOIN manifests m ON m.file = f.id
             WHERE m.seq = (SELECT max(seq) FROM manifests WHERE file = f.id) AND m.shape IS NOT NULL ORDER BY f.id",
        )?;
        let rows = statement.query_map([], |row| Ok((FileId(row.get(0)?), row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?;
        let rows: Vec<(FileId, String, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
        let mut faults = Vec::new();
        for (file, name, shape) in rows {
            if digest_of_shape(&self.connection, file)? != *shape {
                faults.push(format!("the shape of {name} is not the one that its newest commit left"));
            }
        }
        Ok(faults)
    }

    /// Held items of which the ledger does not say whom they lack a mailbox for, so that no replay would look at them.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn held_without_people(&self) -> Result<Vec<String>, LedgerError> {
        self.named_by(
            "SELECT f.name FROM files f WHERE f.state = 'committed' AND f.id IN (SELECT file FROM items i
               WHERE i.held = 1 AND (NOT EXISTS (SELECT 1 FROM held_people p WHERE p.time = i.time AND p.id = i.id)
                 OR NOT EXISTS (SELECT 1 FROM unplaced u WHERE u.file = i.file)))",
            "whom held items lack a mailbox for is not recorded of",
        )
    }

    /// Whether the newest run did not come to a good end: it works, was killed, or failed.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_run_unfinished(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT coalesce(outcome, 'failed') = 'failed' FROM runs ORDER BY id DESC LIMIT 1";
        Ok(self.connection.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// The names that the files of originals and of manifests have.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn kept_files(&self) -> Result<(HashSet<String>, HashSet<String>), LedgerError> {
        let mut statement = self.connection.prepare("SELECT sha256 FROM files")?;
        let originals = statement.query_map([], |row| row.get(0).map(|digest| original_name(Sha256(digest))))?;
        let originals = originals.collect::<Result<_, _>>()?;
        let mut statement = self.connection.prepare("SELECT name FROM manifests")?;
        let manifests = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((originals, manifests))
    }
}
