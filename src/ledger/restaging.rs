//! What was placed once is put there again, because an importer lost it: which manifests that concerns, what they placed,
//! and who had it done and why.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::manifest::{Placed, Recorded};
use super::{FileRow, Ledger, LedgerError, RunId, Scratch, chain, invoked_by};
use crate::books::Books;
use crate::digest::ItemId;
use crate::mailbox::Mailbox;

/// What a person asked for; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What this run committed.
    pub run: Option<String>,
    /// What was committed on or after this moment.
    pub since: Option<Timestamp>,
    /// What was placed in this mailbox.
    pub mailbox: Option<Mailbox>,
}

/// Who had what put into staging once more, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restaging {
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// What.
    #[serde(flatten)]
    pub asked: Asked,
    /// Placements that could not be made again.
    pub not_placed: u64,
}

/// A placement that a manifest speaks of, on its way there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The item's place in the export, from 0.
    pub n: u64,
    /// Its time, Unix seconds.
    pub time: i64,
    /// Its id.
    pub id: ItemId,
    /// The SHA-256 of its EML, hexadecimal, as it was placed.
    pub eml: String,
    /// Where.
    pub mailbox: Mailbox,
}

impl Again {
    /// The file name of the item's EML.
    pub fn name(&self) -> String {
        super::manifest::eml_name(self.time, &self.id.to_string())
    }
}

impl Asked {
    /// Whether a placement in this mailbox is asked for, as far as that depends on the mailbox.
    pub fn concerns(&self, mailbox: &str) -> bool {
        self.mailbox.as_ref().is_none_or(|asked| asked.as_str() == mailbox)
    }
}

impl Ledger {
    /// The run of this name.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn run_by_name(&self, name: &str) -> Result<Option<RunId>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM runs WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0).map(RunId)).optional()?)
    }

    /// The manifests that run and time select, those of one export together, in the order of their commits. Which of them
    /// speak of a mailbox, they alone know.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn manifests_asked_for(&self, asked: &Asked) -> Result<Vec<Recorded>, LedgerError> {
        let since = asked.since.map_or(i64::MIN, Timestamp::as_second);
        let condition = "(?1 IS NULL OR run = (SELECT id FROM runs WHERE name = ?1)) AND committed >= ?2";
        self.manifests_of(condition, "file, seq", params![asked.run, since])
    }

    /// Records who has what put there again, and why, before the first of it is.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_restaging(&self, run: RunId, asked: &Asked, reason: &str) -> Result<(), LedgerError> {
        let asked = serde_json::to_string(asked).map_err(|_| LedgerError::Damaged("what was asked".to_owned()))?;
        let transaction = self.writing()?;
        transaction.execute(
            "INSERT INTO restagings (run, asked, reason, restaged_by, linked) VALUES (?1, ?2, ?3, ?4, 1)",
            params![run.0, asked, reason, invoked_by()],
        )?;
        chain::append(&transaction, chain::Source::Restage, run.0)?;
        Ok(transaction.commit()?)
    }

    /// What of a manifest stands and is listed is to be looked at anew, because a run is about to place some of it again.
    /// If that dies before its list names it, the next one makes up the list of the run that committed it.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn reopen_manifests(&self, run: RunId, manifests: &[Recorded]) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        for manifest in manifests {
            transaction.execute("UPDATE manifests SET taken = NULL, listed = NULL WHERE seq = ?1", [manifest.seq])?;
            transaction.execute("INSERT OR IGNORE INTO restaged VALUES (?1, ?2)", (run.0, manifest.seq))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Notes that the list of a restaging names what of these manifests was placed again.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_listed_again(&self, manifests: &[Recorded], now: Timestamp) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        for manifest in manifests {
            let sql = "UPDATE manifests SET listed = ?2 WHERE seq = ?1 AND listed IS NULL";
            transaction.execute(sql, (manifest.seq, now.as_second()))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Lists an export that was put there again, in whole or in part, among those of the run; with what stood in the way
    /// of the rest, and how many placements that is.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_restaged(
        &self,
        run: RunId,
        file: &FileRow,
        books: &Books,
        reason: Option<&str>,
        not_placed: u64,
    ) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        let (items, placements) = (books.items, books.placements);
        transaction.execute(
            "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, 'staged', ?4,
             ?5, 0, 0, ?6, 0, 0, ?7, ?8, 0, '[]', '[]')",
            params![
                run.0,
                file.id.0,
                file.name,
                reason,
                items.available,
                items.duplicate,
                placements.staged,
                placements.existing
            ],
        )?;
        transaction
            .execute("UPDATE restagings SET not_placed = not_placed + ?2 WHERE run = ?1", params![run.0, not_placed])?;
        transaction.commit()?;
        Ok(())
    }

    /// Who had a run put there again what, and why; none of a run that did other things.
    pub(super) fn restaging_of(&self, run: i64) -> Result<Option<Restaging>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT asked, reason, restaged_by, not_placed FROM restagings WHERE run = ?1")?;
        let found = statement
            .query_row([run], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((asked, reason, by, not_placed)) = found else { return Ok(None) };
        let asked = serde_json::from_str(&asked)
            .map_err(|_| LedgerError::Damaged("what a restaging was asked for cannot be read".to_owned()))?;
        Ok(Some(Restaging { by, reason, asked, not_placed }))
    }
}

impl Scratch<'_> {
    /// Notes an item's placements that are asked for.
    ///
    /// # Errors
    /// Where the disk refuses, or the manifest holds what it cannot hold.
    pub fn ask_again(&self, placed: &Placed, asked: &Asked) -> Result<(), LedgerError> {
        let item = &placed.item;
        let sql = "INSERT OR IGNORE INTO scratch.again VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut statement = self.connection.prepare_cached(sql)?;
        for mailbox in placed.mailboxes.iter().filter(|mailbox| asked.concerns(mailbox)) {
            let id = ItemId::from_hex(&item.id).ok_or_else(|| damaged("an item id"))?;
            statement.execute(params![item.n, mailbox, item.time, id.0, placed.eml])?;
        }
        Ok(())
    }

    /// How many items are asked for, and how many placements of them.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn asked_again(&self) -> Result<(u64, u64), LedgerError> {
        let sql = "SELECT count(DISTINCT n), count(*) FROM scratch.again";
        Ok(self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The placements asked for of the item at this place in the export.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn again_at(&self, n: u64, time: i64, id: ItemId) -> Result<Vec<Again>, LedgerError> {
        let sql = "SELECT n, mailbox, time, id, eml FROM scratch.again WHERE n = ?1 AND time = ?2 AND id = ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![n, time, id.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(again(row)?);
        }
        Ok(found)
    }

    /// Shows every placement that is asked for, in the export's order.
    ///
    /// # Errors
    /// Where the disk refuses, and those of the visitor.
    pub fn each_again<E: From<LedgerError>>(&self, mut visit: impl FnMut(&Again) -> Result<(), E>) -> Result<(), E> {
        let sql = "SELECT n, mailbox, time, id, eml FROM scratch.again ORDER BY n, mailbox";
        let mut statement = self.connection.prepare_cached(sql).map_err(LedgerError::from)?;
        let mut rows = statement.query([]).map_err(LedgerError::from)?;
        while let Some(row) = rows.next().map_err(LedgerError::from)? {
            visit(&again(row)?)?;
        }
        Ok(())
    }
}

fn again(row: &rusqlite::Row<'_>) -> Result<Again, LedgerError> {
    let mailbox = Mailbox::parse(&row.get::<_, String>(1)?).map_err(|_| damaged("a mailbox"))?;
    Ok(Again { n: row.get(0)?, time: row.get(2)?, id: ItemId(row.get(3)?), eml: row.get(4)?, mailbox })
}

fn damaged(what: &str) -> LedgerError {
    LedgerError::Damaged(format!("a manifest names {what} that is none"))
}
