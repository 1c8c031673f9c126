//! How things stand: what needs a person, counted and named.

use super::{Ledger, LedgerError};

/// What needs a person now (contract 2: exit code 3), missing exports aside, and what a person dismissed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct StateNow {
    /// Files that are held.
    pub held_files: u64,
    /// Files being staged, or not taken up yet, when the last run ended.
    pub unfinished_files: u64,
    /// Committed exports whose last replay failed, most often because their original cannot be read.
    pub failed_replays: u64,
    /// Items without a mailbox.
    pub held_items: u64,
    /// Records that are no items.
    pub rejected_records: u64,
    /// Distinct participants of ours without a mailbox.
    pub unresolved: u64,
}

impl StateNow {
    /// Whether nothing needs a person.
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }
}

impl Ledger {
    /// What needs a person now.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn state_now(&self) -> Result<StateNow, LedgerError> {
        let count = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, u64>(0));
        Ok(StateNow {
            held_files: count(
                "SELECT count(*) FROM files f WHERE f.state = 'held'
                 AND NOT EXISTS (SELECT 1 FROM dismissals d WHERE d.file = f.id AND d.kind = 'file')",
            )?,
            unfinished_files: count(
                // An export that waits for its attachments is nobody's matter.
                "SELECT (SELECT count(*) FROM files WHERE state IN ('received', 'staging')
                   AND id NOT IN (SELECT file FROM waiting)) + (SELECT count(*) FROM replaying)",
            )?,
            failed_replays: count("SELECT count(*) FROM files WHERE state = 'committed' AND reason IS NOT NULL")?,
            held_items: count(
                "SELECT (SELECT count(*) FROM items WHERE held = 1) - (SELECT count(*) FROM dismissals d
                   JOIN items i ON i.time = d.time AND i.id = d.item WHERE d.kind = 'item' AND i.held = 1)",
            )?,
            rejected_records: count(
                "SELECT count(*) FROM rejected r WHERE NOT EXISTS (
                   SELECT 1 FROM dismissals d WHERE d.file = r.file AND d.kind = 'record' AND d.ordinal = r.ordinal)",
            )?,
            unresolved: count("SELECT count(DISTINCT person) FROM unresolved")?,
        })
    }

    /// Files that are held or whose original cannot be read, and rejected records, a hundred at most: what, and why.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_matters(&self) -> Result<Vec<(String, String)>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT name, coalesce(reason, '') FROM files f
             WHERE (state = 'held' AND NOT EXISTS (SELECT 1 FROM dismissals d WHERE d.file = f.id AND d.kind = 'file'))
               OR (state IN ('committed', 'staging') AND reason IS NOT NULL)
             UNION ALL SELECT f.name || ' line ' || r.line, r.reason FROM rejected r JOIN files f ON f.id = r.file
               WHERE NOT EXISTS (
                 SELECT 1 FROM dismissals d WHERE d.file = r.file AND d.kind = 'record' AND d.ordinal = r.ordinal)
             LIMIT 100",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
