//! The working tables by which an original is compared with its manifests, beside whatever run works meanwhile.

use std::path::Path;

use rusqlite::{Connection, params};

use super::manifest::Entry;
use super::{Ledger, LedgerError, Scratch, prepare};
use crate::digest::ItemId;

/// What the manifests say of one item at its place in the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The SHA-256 of its EML, hexadecimal; empty where none was placed.
    pub eml: String,
    /// Whose folders its first commit placed it in; none of what came later.
    pub mailboxes: Option<Vec<String>>,
}

/// A record that is no item has neither time nor id.
const NO_ITEM: &[u8] = &[];

impl Ledger {
    /// Opens the ledger for a proof: nothing writes to it, but working tables are attached.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn for_proof(folder: &Path) -> Result<Self, LedgerError> {
        let connection = Connection::open(folder.join("ledger.db"))?;
        prepare(&connection)?;
        Ok(Self { connection, folder: folder.to_owned() })
    }
}

impl Scratch<'_> {
    /// Notes what a manifest says of a record; `is_first` of the manifest of the first commit.
    ///
    /// # Errors
    /// Where the disk refuses, or the manifest holds what it cannot hold.
    pub fn expect(&self, entry: &Entry, is_first: bool) -> Result<(), LedgerError> {
        let (known, eml, mailboxes) = match entry {
            Entry::Header { .. } => return Ok(()),
            Entry::Rejected { n, .. } => return self.expect_row(*n, 0, NO_ITEM, "", None),
            Entry::Staged(placed) | Entry::Held(placed) => {
                (&placed.item, placed.eml.as_str(), is_first.then_some(&placed.mailboxes))
            }
            Entry::Copied(placed) => (&placed.item, placed.eml.as_str(), None),
            Entry::Duplicate { item, .. } | Entry::Skipped(item) => (item, "", None),
        };
        let id = ItemId::from_hex(&known.id)
            .ok_or_else(|| LedgerError::Damaged("a manifest names an item id that is none".to_owned()))?;
        let mailboxes = mailboxes.and_then(|mailboxes| serde_json::to_string(mailboxes).ok());
        self.expect_row(known.n, known.time, &id.0, eml, mailboxes.as_deref())
    }

    fn expect_row(&self, n: u64, time: i64, id: &[u8], eml: &str, mailboxes: Option<&str>) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.evidence VALUES (?1, ?2, ?3, ?4, ?5, 0)";
        self.connection.prepare_cached(sql)?.execute(params![n, time, id, eml, mailboxes])?;
        Ok(())
    }

    /// What is expected of the item at this place, which is thereby found.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn find_expected(&self, n: u64, time: i64, id: ItemId) -> Result<Vec<Expected>, LedgerError> {
        let sql =
            "UPDATE scratch.evidence SET seen = 1 WHERE n = ?1 AND time = ?2 AND id = ?3 RETURNING eml, mailboxes";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![n, time, id.0], |row| {
            let mailboxes = row.get::<_, Option<String>>(1)?;
            let mailboxes = mailboxes.map(|text| serde_json::from_str(&text).unwrap_or_default());
            Ok(Expected { eml: row.get(0)?, mailboxes })
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
