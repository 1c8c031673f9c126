//! The working tables by which an original is compared with its manifests, beside whatever run works meanwhile.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::manifest::{Entry, Known};
use super::{FileId, Ledger, LedgerError, Scratch, prepare};
use crate::digest::ItemId;

/// What a manifest says of one item at its place in the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What became of it, as the manifest calls it.
    pub state: String,
    /// The SHA-256 of its EML, hexadecimal; empty where none was placed.
    pub eml: String,
    /// Whose folders it was placed in.
    pub mailboxes: Vec<String>,
}

/// A record that is no item has neither time nor id.
const NO_ITEM: &[u8] = &[];

/// One line of a manifest on its way into the working tables.
struct Row<'a> {
    known: Option<&'a Known>,
    n: u64,
    state: &'a str,
    eml: &'a str,
    mailboxes: &'a [String],
}

impl Ledger {
    /// Opens the ledger for a proof: nothing writes to it, but working tables are attached.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn for_proof(folder: &Path) -> Result<Self, LedgerError> {
        // Not to be made where it is gone; read-only, what is attached would be too.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(folder.join("ledger.db"), flags)?;
        prepare(&connection)?;
        Ok(Self { connection, folder: folder.to_owned() })
    }

    /// Whether several exports, or several records of one, name the participants of an item in different combinations.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_named_otherwise(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM main.namings WHERE time = ?1 AND id = ?2";
        Ok(self.connection.prepare_cached(sql)?.exists(params![time, id.0])?)
    }

    /// The day that a committed export says it is about, and the firm it says it is for.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn said_of_itself(&self, file: FileId) -> Result<(Option<String>, Option<String>), LedgerError> {
        let sql = "SELECT date, export_firm FROM main.files WHERE id = ?1";
        let found = self.connection.query_row(sql, [file.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.unwrap_or_default())
    }
}

impl Scratch<'_> {
    /// Notes what a manifest says of a record; `manifest` numbers those of an export.
    ///
    /// # Errors
    /// Where the disk refuses, or the manifest holds what it cannot hold.
    pub fn expect(&self, entry: &Entry, manifest: usize) -> Result<(), LedgerError> {
        let (known, n, eml, mailboxes): (_, _, _, &[String]) = match entry {
            Entry::Header { .. } => return Ok(()),
            Entry::Rejected { n, .. } => (None, *n, "", &[]),
            Entry::Staged(placed) | Entry::Held(placed) | Entry::Copied(placed) => {
                (Some(&placed.item), placed.item.n, placed.eml.as_str(), &placed.mailboxes)
            }
            Entry::Duplicate { item, .. } | Entry::Skipped(item) => (Some(item), item.n, "", &[]),
        };
        self.expect_row(&Row { known, n, state: entry.state(), eml, mailboxes }, manifest)
    }

    fn expect_row(&self, row: &Row<'_>, manifest: usize) -> Result<(), LedgerError> {
        let id = row.known.map(|known| ItemId::from_hex(&known.id)).map_or(Ok(None), |id| {
            id.map(Some).ok_or_else(|| LedgerError::Damaged("a manifest names an item id that is none".to_owned()))
        })?;
        let time = row.known.map_or(0, |known| known.time);
        let mailboxes = serde_json::to_string(row.mailboxes).unwrap_or_default();
        let sql = "INSERT OR IGNORE INTO scratch.evidence VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)";
        let id = id.as_ref().map_or(NO_ITEM, |id| &id.0);
        let values = params![row.n, time, id, manifest as u64, row.state, row.eml, mailboxes];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// What is expected of the item at this place, which is thereby found.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn find_expected(&self, n: u64, time: i64, id: ItemId) -> Result<Vec<Expected>, LedgerError> {
        let sql = "UPDATE scratch.evidence SET seen = 1 WHERE n = ?1 AND time = ?2 AND id = ?3
                   RETURNING state, eml, mailboxes";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![n, time, id.0], |row| {
            let mailboxes = serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default();
            Ok(Expected { state: row.get(0)?, eml: row.get(1)?, mailboxes })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a record that is no item is expected at this place; it is thereby found.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn find_rejected(&self, n: u64) -> Result<bool, LedgerError> {
        let sql = "UPDATE scratch.evidence SET seen = 1 WHERE n = ?1 AND id = ?2";
        Ok(self.connection.prepare_cached(sql)?.execute(params![n, NO_ITEM])? > 0)
    }

    /// How many records are expected and were not found, and the place of the first.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn not_found(&self) -> Result<(u64, Option<u64>), LedgerError> {
        let sql = "SELECT count(*), min(n) FROM scratch.evidence WHERE seen = 0";
        Ok(self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}
