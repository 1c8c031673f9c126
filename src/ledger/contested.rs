//! Items that more than one export names people for: whom the earlier ones named, and which mailboxes have them.
//!
//! A duplicate's further participants get their copies, the first export's do not get a second one (contract 7). Who
//! those are is not in the ledger but in the kept originals; this file says which of them must be opened and holds what
//! they say while a pass needs it. Where an original is gone, its manifests still say which mailboxes have the item.

use rusqlite::params;

use super::{FileId, LedgerError, Scratch};
use crate::digest::ItemId;

/// An export that named people for contested items before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub file: FileId,
    /// Whether it was committed before the export at hand, so that whom it named is none of the latter's.
    pub earlier: bool,
}

impl Scratch<'_> {
    /// Makes the duplicates of this pass that name others contested. How many of those there are. A message within a
    /// transcript of this pass is none of them: whoever it names gets that.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn contest_this_pass(&self) -> Result<u64, LedgerError> {
        self.connection.execute(
            "INSERT OR IGNORE INTO scratch.contested SELECT DISTINCT n.time, n.id FROM scratch.namings n
             WHERE n.within IS NULL AND (EXISTS (SELECT 1 FROM main.items i WHERE i.time = n.time AND i.id = n.id)
             OR EXISTS (SELECT 1 FROM scratch.items i WHERE i.time = n.time AND i.id = n.id AND i.export = ?1))",
            [self.export.get()],
        )?;
        let sql = "SELECT count(*) FROM scratch.namings WHERE within IS NULL";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Makes a committed export's items that others named people for, or it for others', the contested ones: not the
    /// messages within its own transcripts, which it never places by themselves.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn contest_file(&self, file: FileId) -> Result<u64, LedgerError> {
        self.connection.execute(
            "INSERT OR IGNORE INTO scratch.contested
             SELECT n.time, n.id FROM main.namings n JOIN main.items i ON i.time = n.time AND i.id = n.id
             WHERE (n.file = ?1 AND n.within IS NULL) OR (i.file = ?1 AND i.within IS NULL)",
            [file.0],
        )?;
        Ok(self.connection.query_row("SELECT count(*) FROM scratch.contested", [], |row| row.get(0))?)
    }

    /// How many of a committed export's items are contested and held.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn contested_and_held(&self, file: FileId) -> Result<u64, LedgerError> {
        let sql = "SELECT count(*) FROM scratch.contested c JOIN main.items i ON i.time = c.time AND i.id = c.id
                   WHERE i.file = ?1 AND i.held = 1";
        Ok(self.connection.query_row(sql, [file.0], |row| row.get(0))?)
    }

    /// Whether an item is contested.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn is_contested(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT 1 FROM scratch.contested WHERE time = ?1 AND id = ?2")?;
        Ok(statement.exists(params![time, id.0])?)
    }

    /// The other committed exports that named people for contested items.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn named_by(&self, than: FileId) -> Result<Vec<Named>, LedgerError> {
        let mut statement = self.connection.prepare(
            "WITH sources (file) AS (
               SELECT i.file FROM scratch.contested c JOIN main.items i ON i.time = c.time AND i.id = c.id
               UNION SELECT n.file FROM scratch.contested c JOIN main.namings n ON n.time = c.time AND n.id = c.id),
             first (file, seq) AS (SELECT file, min(seq) FROM main.manifests GROUP BY file)
             SELECT sources.file,
               first.seq < coalesce((SELECT seq FROM first WHERE file = ?1), 9223372036854775807)
             FROM sources JOIN first ON first.file = sources.file WHERE sources.file <> ?1 ORDER BY first.seq",
        )?;
        let rows =
            statement.query_map([than.0], |row| Ok(Named { file: FileId(row.get(0)?), earlier: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether this pass, or the recorded commit of this file, took the item in at this place: its first naming.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn first_named_here(&self, file: FileId, time: i64, id: ItemId, ordinal: u64) -> Result<bool, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM main.items WHERE time = ?1 AND id = ?2 AND ordinal = ?3 AND file = ?4
             UNION ALL SELECT 1 FROM scratch.items WHERE time = ?1 AND id = ?2 AND ordinal = ?3 AND export = ?5",
        )?;
        Ok(statement.exists(params![time, id.0, ordinal, file.0, self.export.get()])?)
    }

    /// Notes that someone was named for a contested item. Whether nobody had named them before.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn name(&self, time: i64, id: ItemId, person: &str) -> Result<bool, LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.named VALUES (?1, ?2, ?3)";
        Ok(self.connection.prepare_cached(sql)?.execute(params![time, id.0, person])? == 1)
    }

    /// Whether someone was named for a contested item.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn is_named(&self, time: i64, id: ItemId, person: &str) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM scratch.named WHERE time = ?1 AND id = ?2 AND person = ?3";
        Ok(self.connection.prepare_cached(sql)?.exists(params![time, id.0, person])?)
    }

    /// Notes that a mailbox has a contested item. Whether it had not.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn give(&self, time: i64, id: ItemId, mailbox: &str) -> Result<bool, LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.has VALUES (?1, ?2, ?3)";
        Ok(self.connection.prepare_cached(sql)?.execute(params![time, id.0, mailbox])? == 1)
    }

    /// Whether a mailbox is known to have an item.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn has(&self, time: i64, id: ItemId, mailbox: &str) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM scratch.has WHERE time = ?1 AND id = ?2 AND mailbox = ?3";
        Ok(self.connection.prepare_cached(sql)?.exists(params![time, id.0, mailbox])?)
    }
}
