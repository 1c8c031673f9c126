//! A person's decision that something held needs nothing more: then nobody is asked about it again, and nothing else
//! changes. A dismissed item is still placed when someone in it gets a mailbox.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::questions::timestamp;
use super::{FileId, Ledger, LedgerError, chain, invoked_by};
use crate::digest::{ItemId, Sha256};

/// Something held that a person can decide about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// A file that cannot be taken.
    File(FileId),
    /// An item without a mailbox.
    Item {
        /// The export that named it first.
        file: FileId,
        /// Unix seconds.
        time: i64,
        /// Its id.
        id: ItemId,
    },
    /// A record that is no item.
    Record {
        /// Its export.
        file: FileId,
        /// Its place among the export's items and rejected records, from 0.
        ordinal: u64,
    },
}

/// A decision, for ever.
#[derive(Debug, Clone)]
pub struct Dismissal {
    /// About what.
    pub matter: Matter,
    /// Of the file or export.
    pub sha256: Sha256,
    /// The file's or export's name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether it is still held; else it has been taken, placed or read since.
    pub holds: bool,
}

impl Ledger {
    /// Every decision, the oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn dismissals(&self) -> Result<Vec<Dismissal>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT d.kind, d.file, d.time, d.item, d.ordinal, f.sha256, f.name, d.reason, d.dismissed_by, d.dismissed,
               CASE d.kind WHEN 'file' THEN f.state = 'held'
                 WHEN 'item' THEN EXISTS (SELECT 1 FROM items i WHERE i.time = d.time AND i.id = d.item AND i.held = 1)
                 ELSE EXISTS (SELECT 1 FROM rejected r WHERE r.file = d.file AND r.ordinal = d.ordinal) END
             FROM dismissals d JOIN files f ON f.id = d.file ORDER BY d.id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Dismissal {
                matter: matter(row)?,
                sha256: Sha256(row.get(5)?),
                name: row.get(6)?,
                reason: row.get(7)?,
                by: row.get(8)?,
                at: timestamp(row.get(9)?),
                holds: row.get(10)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records a decision about each of these, with who made it, all or none. Which of them are new.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn dismiss(&self, matters: &[Matter], reason: &str, now: Timestamp) -> Result<Vec<bool>, LedgerError> {
        let transaction = self.writing()?;
        let mut newly = Vec::with_capacity(matters.len());
        let by = invoked_by();
        for matter in matters {
            let (kind, file, time, item, ordinal) = match *matter {
                Matter::File(file) => ("file", file, None, None, None),
                Matter::Item { file, time, id } => ("item", file, Some(time), Some(id.0), None),
                Matter::Record { file, ordinal } => ("record", file, None, None, Some(ordinal)),
            };
            let added = transaction.execute(
                "INSERT INTO dismissals (file, kind, time, item, ordinal, reason, dismissed_by, dismissed, linked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1) ON CONFLICT DO NOTHING",
                params![file.0, kind, time, item, ordinal, reason, by, now.as_second()],
            )?;
            if added == 1 {
                chain::append(&transaction, chain::Source::Dismissal, transaction.last_insert_rowid())?;
            }
            newly.push(added == 1);
        }
        transaction.commit()?;
        Ok(newly)
    }

    /// Whether a person dismissed a held file.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_file_dismissed(&self, file: FileId) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM dismissals WHERE file = ?1 AND kind = 'file'";
        Ok(self.connection.prepare_cached(sql)?.exists([file.0])?)
    }

    /// Whether a person dismissed an item, when it was held.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_item_dismissed(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM main.dismissals WHERE kind = 'item' AND time = ?1 AND item = ?2";
        Ok(self.connection.prepare_cached(sql)?.exists(params![time, id.0])?)
    }
}

fn matter(row: &Row<'_>) -> rusqlite::Result<Matter> {
    let file = FileId(row.get(1)?);
    Ok(match row.get::<_, String>(0)?.as_str() {
        "file" => Matter::File(file),
        "item" => Matter::Item { file, time: row.get(2)?, id: ItemId(row.get(3)?) },
        _ => Matter::Record { file, ordinal: row.get(4)? },
    })
}
