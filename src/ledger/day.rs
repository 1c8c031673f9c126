//! What the ledger knows of one day's exports, as things stand: for the reconciliation that an auditor gets.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Row, params};
use serde::Serialize;

use super::questions::timestamp;
use super::{Ledger, LedgerError};
use crate::books::Counts;
use crate::digest::Sha256;

/// A file of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayFile {
    /// As it was named when it first came.
    pub name: String,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
    /// How many bytes.
    pub bytes: u64,
    /// When it first came.
    pub received: Timestamp,
    /// When it was first committed.
    pub committed: Option<Timestamp>,
    /// `received`, `staging`, `committed`, `held` or `superseded`; `archive` of one that is committed and has no items.
    pub state: String,
    /// Why it is held, or what is wrong with it.
    pub reason: Option<String>,
    /// Who signed it.
    pub signed_by: Option<String>,
    /// The firm it says it is for.
    pub firm_code: Option<String>,
    /// Its books, as replays have left them.
    pub items: Counts,
    /// Placements that were made of it, by all runs.
    pub placements: u64,
    /// New items whose room and MessageID were known with another id.
    pub changed: u64,
    /// The SHA-256 of each of its manifests, hexadecimal, in the order of the commits.
    pub manifests: Vec<String>,
}

const COLUMNS: &str = "f.id, f.name, f.sha256, f.bytes, f.received, f.committed,
  CASE WHEN f.state = 'committed' AND f.id IN (SELECT file FROM archives) THEN 'archive' ELSE f.state END,
  f.reason, f.signed_by, f.export_firm, f.available, f.staged, f.held, f.duplicate, f.rejected, f.skipped,
  (SELECT coalesce(sum(placements_staged), 0) FROM run_files r
    WHERE r.file = f.id AND r.run NOT IN (SELECT run FROM restagings)),
  (SELECT coalesce(sum(changed), 0) FROM run_files r WHERE r.file = f.id)";

impl Ledger {
    /// The files that are about a day.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn files_about(&self, date: Date) -> Result<Vec<DayFile>, LedgerError> {
        self.day_files("f.date = ?1 ORDER BY f.id", params![date.to_string()])
    }

    /// The files of which the ledger does not know the day: archives, and what is held or not taken up yet.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn undated_files(&self) -> Result<Vec<DayFile>, LedgerError> {
        self.day_files("f.date IS NULL ORDER BY f.id", [])
    }

    fn day_files(&self, condition: &str, values: impl rusqlite::Params) -> Result<Vec<DayFile>, LedgerError> {
        let mut statement = self.connection.prepare(&format!("SELECT {COLUMNS} FROM files f WHERE {condition}"))?;
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, day_file(row)?)))?;
        let found: Vec<(i64, DayFile)> = rows.collect::<Result<_, _>>()?;
        found.into_iter().map(|(id, file)| Ok(DayFile { manifests: self.manifest_digests(id)?, ..file })).collect()
    }

    fn manifest_digests(&self, file: i64) -> Result<Vec<String>, LedgerError> {
        let recorded = self.manifests_where("file = ?1", file)?;
        Ok(recorded.into_iter().map(|manifest| manifest.finished.sha256.to_string()).collect())
    }
}

fn day_file(row: &Row<'_>) -> rusqlite::Result<DayFile> {
    Ok(DayFile {
        name: row.get(1)?,
        sha256: Sha256(row.get(2)?).to_string(),
        bytes: row.get(3)?,
        received: timestamp(row.get(4)?),
        committed: row.get::<_, Option<i64>>(5)?.map(timestamp),
        state: row.get(6)?,
        reason: row.get(7)?,
        signed_by: row.get(8)?,
        firm_code: row.get(9)?,
        items: Counts {
            available: row.get(10)?,
            staged: row.get(11)?,
            held: row.get(12)?,
            duplicate: row.get(13)?,
            rejected: row.get(14)?,
            skipped: row.get(15)?,
        },
        placements: row.get(16)?,
        changed: row.get(17)?,
        manifests: Vec::new(),
    })
}
