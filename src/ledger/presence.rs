//! Who stays in a room from one export to the next.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Ledger, LedgerError};

/// So many ends of a room are kept.
const KEPT: u32 = 16;

/// Who is in a room when its last conversation of an export ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// The room's id.
    pub room: String,
    /// When it ends, Unix seconds.
    pub until: i64,
    /// The people, as JSON.
    pub people: String,
}

impl Ledger {
    /// Who was in a room when it last ended before this time (Unix seconds), as JSON.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn staying(&self, room: &str, before: i64) -> Result<Option<String>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT people FROM staying WHERE room = ?1 AND until < ?2 ORDER BY until DESC LIMIT 1")?;
        Ok(statement.query_row(params![room, before], |row| row.get(0)).optional()?)
    }
}

/// Records who stays, with the commit of the export that says so.
pub(super) fn take(transaction: &Connection, staying: &[Staying]) -> Result<(), LedgerError> {
    let mut insert =
        transaction.prepare("INSERT OR REPLACE INTO main.staying (room, until, people) VALUES (?1, ?2, ?3)")?;
    let mut prune = transaction.prepare(
        "DELETE FROM main.staying WHERE room = ?1 AND until <
         (SELECT min(until) FROM (SELECT until FROM main.staying WHERE room = ?1 ORDER BY until DESC LIMIT ?2))",
    )?;
    for Staying { room, until, people } in staying {
        insert.execute(params![room, until, people])?;
        prune.execute(params![room, KEPT])?;
    }
    Ok(())
}
