//! What one pass over an export notes before the commit, in a database of its own that nobody will miss: memory stays
//! constant in the export's size, and the ledger itself is locked for writing only for the commit.

mod reach;

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};

use self::reach::{Days, Reach};
use super::{Ledger, LedgerError, RejectedRow};
use crate::digest::ItemId;
use crate::durable::AtPath;

const TABLES: &str = "
CREATE TABLE scratch.items (
  time INTEGER, id BLOB, ordinal INTEGER, held INTEGER, participants BLOB, export INTEGER, within INTEGER,
  PRIMARY KEY (time, id)) WITHOUT ROWID;
CREATE TABLE scratch.namings (
  time INTEGER, id BLOB, ordinal INTEGER, participants BLOB, within INTEGER,
  PRIMARY KEY (time, id, ordinal)) WITHOUT ROWID;
CREATE TABLE scratch.transcripts (
  day INTEGER, room INTEGER, id BLOB, words INTEGER, PRIMARY KEY (day, room)) WITHOUT ROWID;
CREATE TABLE scratch.words (day INTEGER, key INTEGER, PRIMARY KEY (day, key)) WITHOUT ROWID;
CREATE TABLE scratch.message_keys (day INTEGER, key INTEGER, PRIMARY KEY (day, key)) WITHOUT ROWID;
CREATE TABLE scratch.equals (id BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE scratch.released (time INTEGER, id BLOB, PRIMARY KEY (time, id)) WITHOUT ROWID;
CREATE TABLE scratch.accepted (ordinal INTEGER PRIMARY KEY);
CREATE TABLE scratch.rejected (ordinal INTEGER PRIMARY KEY, line INTEGER, kind TEXT, reason TEXT);
CREATE TABLE scratch.people (
  person TEXT, mailbox TEXT, im_id TEXT, email TEXT, name TEXT, company TEXT, external INTEGER, items INTEGER,
  first_seen INTEGER, last_seen INTEGER, PRIMARY KEY (person, mailbox)) WITHOUT ROWID;
CREATE TABLE scratch.held_people (
  time INTEGER, id BLOB, circle BLOB, PRIMARY KEY (time, id, circle)) WITHOUT ROWID;
CREATE TABLE scratch.circles (circle BLOB, person TEXT, PRIMARY KEY (circle, person)) WITHOUT ROWID;
CREATE TABLE scratch.contested (time INTEGER, id BLOB, PRIMARY KEY (time, id)) WITHOUT ROWID;
CREATE TABLE scratch.named (time INTEGER, id BLOB, person TEXT, PRIMARY KEY (time, id, person)) WITHOUT ROWID;
CREATE TABLE scratch.has (time INTEGER, id BLOB, mailbox TEXT, PRIMARY KEY (time, id, mailbox)) WITHOUT ROWID;
CREATE TABLE scratch.contested_within (n INTEGER, time INTEGER, id BLOB, PRIMARY KEY (n, time, id)) WITHOUT ROWID;
CREATE TABLE scratch.doubts (ordinal INTEGER PRIMARY KEY, transcript INTEGER, time INTEGER, id BLOB);
CREATE TABLE scratch.settled (transcript INTEGER PRIMARY KEY);
CREATE TABLE scratch.again (
  n INTEGER, mailbox TEXT, time INTEGER, id BLOB, eml TEXT, PRIMARY KEY (n, mailbox, id)) WITHOUT ROWID;
CREATE TABLE scratch.evidence (
  n INTEGER, time INTEGER, id BLOB, manifest INTEGER, state TEXT, eml TEXT, mailboxes TEXT, seen INTEGER,
  PRIMARY KEY (n, time, id, manifest, state)) WITHOUT ROWID;
CREATE TABLE scratch.attachments (
  ordinal INTEGER PRIMARY KEY, reference TEXT, state TEXT, sha256 BLOB, bytes INTEGER, archive BLOB, entry TEXT);
CREATE TABLE scratch.following (
  file INTEGER, archive BLOB, record INTEGER, PRIMARY KEY (file, archive, record)) WITHOUT ROWID;
CREATE TABLE scratch.shared (record INTEGER PRIMARY KEY, owner INTEGER, owner_record INTEGER);
";

const NAMES: &[&str] = &[
    "items",
    "namings",
    "transcripts",
    "words",
    "message_keys",
    "equals",
    "released",
    "accepted",
    "rejected",
    "people",
    "held_people",
    "circles",
    "contested",
    "named",
    "has",
    "contested_within",
    "doubts",
    "settled",
    "again",
    "evidence",
    "attachments",
    "following",
    "shared",
];

/// An item as the ledger knows it, on its way in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Unix seconds.
    pub time: i64,
    /// Its id.
    pub id: ItemId,
    /// Its place among the export's items and rejected records, from 0.
    pub ordinal: u64,
    /// A digest of its participants.
    pub participants: [u8; 16],
    /// A hash of its room and MessageID, where it has one.
    pub message_key: Option<u64>,
}

/// What an arriving item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet.
    New {
        /// How many messages of it have a room and MessageID that are known with another id.
        changed: u64,
    },
    /// Known already.
    Duplicate {
        /// It names participants in a combination not seen before.
        naming: bool,
    },
    /// A transcript of known messages only, in some of which participants are in a combination not seen before: a duplicate
    /// unless one of them is new to it.
    Doubtful,
}

/// The working tables of one run.
#[derive(Debug)]
pub struct Scratch<'l> {
    pub(super) connection: &'l Connection,
    /// None where SQLite itself removes them.
    path: Option<PathBuf>,
    /// Which export of a dry run the tables are for.
    pub(super) export: Cell<i64>,
    /// How far the ledger's items and keys reach, since a pass asked first.
    reach: Cell<Option<Reach>>,
    /// The days whose keys may be in the working tables.
    days: Cell<Option<Days>>,
}

impl Ledger {
    /// Opens fresh working tables in the spool.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn scratch(&self) -> Result<Scratch<'_>, LedgerError> {
        let path = self.spool().join("scratch.db");
        let _ = std::fs::remove_file(&path);
        // SQLite would give it the umask's mode.
        File::options().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        self.attach(&path.to_string_lossy(), Some(path.clone()))
    }

    /// The same in a file that nobody sees, for who works beside a run: SQLite makes it where it makes temporary ones, for us
    /// alone, and takes its name away at once.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn scratch_aside(&self) -> Result<Scratch<'_>, LedgerError> {
        self.attach("", None)
    }

    fn attach(&self, name: &str, path: Option<PathBuf>) -> Result<Scratch<'_>, LedgerError> {
        let connection = &self.connection;
        connection.execute("ATTACH ?1 AS scratch", [name])?;
        let (export, reach, days) = (Cell::new(0), Cell::new(None), Cell::new(None));
        let scratch = Scratch { connection, path, export, reach, days };
        // Nobody reads it after a crash, so it pays for no durability. With no journal at all, a write that fails on a full
        // disk would leave a file that the next call takes for a damaged ledger.
        connection.execute_batch(
            "PRAGMA scratch.journal_mode = MEMORY; PRAGMA scratch.synchronous = OFF; PRAGMA scratch.cache_size = -2048;",
        )?;
        connection.execute_batch(TABLES)?;
        Ok(scratch)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // Best effort: the next run clears the spool before anything else.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.connection.flush_prepared_statement_cache();
        let _ = self.connection.execute_batch("DETACH scratch");
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Scratch<'_> {
    /// Forgets everything: the next export begins.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn clear(&self) -> Result<(), LedgerError> {
        self.days.set(None);
        NAMES.iter().try_for_each(|name| Ok(self.connection.execute_batch(&format!("DELETE FROM scratch.{name}"))?))
    }

    /// Forgets what belongs to one export only, so that the next one of a dry run still meets this one's items. The copies
    /// that the next one's further recipients of those would get are not foreseen: nothing says whom this one named.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn next_of_dry_run(&self) -> Result<(), LedgerError> {
        for name in NAMES.iter().filter(|name| !matches!(**name, "items" | "transcripts" | "words" | "message_keys")) {
            self.connection.execute_batch(&format!("DELETE FROM scratch.{name}"))?;
        }
        self.export.set(self.export.get() + 1);
        Ok(())
    }

    /// A pass over an export begins: equal items are counted from its start.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn begin_pass(&self) -> Result<(), LedgerError> {
        self.reach.set(None);
        Ok(self.connection.execute_batch("DELETE FROM scratch.equals")?)
    }

    /// Runs a round of calls as one transaction of the working tables; a call by itself would pay for one each.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn round<T, E: From<LedgerError>>(&self, calls: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.connection.execute_batch("BEGIN").map_err(LedgerError::from)?;
        let result = calls();
        if result.is_ok() {
            self.connection.execute_batch("COMMIT").map_err(LedgerError::from)?;
        } else {
            // The error that matters is the first; SQLite may have rolled back by itself.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    /// How many items equal to this one, MessageID absent, came before it in this export.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn equal_before(&self, id: ItemId) -> Result<u32, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO scratch.equals VALUES (?1, 1) ON CONFLICT DO UPDATE SET number = number + 1
             RETURNING number - 1",
        )?;
        Ok(statement.query_row([id.0], |row| row.get(0))?)
    }

    /// Takes an item in and says what it is.
    ///
    /// # Errors
    /// Where the ledger cannot be read or the disk refuses.
    pub fn admit(&self, arrival: &Arrival) -> Result<Verdict, LedgerError> {
        if let Some(known) = self.take_if_new(arrival)? {
            let naming = known != arrival.participants && !self.named_before(arrival)?;
            if naming {
                self.note_naming(arrival, None)?;
            }
            return Ok(Verdict::Duplicate { naming });
        }
        let changed = arrival.message_key.map_or(Ok(false), |key| self.take_key(arrival.time, key))?;
        Ok(Verdict::New { changed: u64::from(changed) })
    }

    /// Takes an item in, or says with whom it is known. Most are new, so that to look first would be to look twice.
    fn take_if_new(&self, arrival: &Arrival) -> Result<Option<[u8; 16]>, LedgerError> {
        if let Some(known) = self.committed_with(arrival)? {
            return Ok(Some(known));
        }
        let sql = "INSERT INTO scratch.items VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6) ON CONFLICT (time, id) DO NOTHING";
        let is_new = self.insert(sql, arrival, None)? == 1;
        if is_new { Ok(None) } else { self.noted_with(arrival) }
    }

    /// An item that is new, or a message `within` the transcript at that place in the export.
    pub(super) fn take(&self, arrival: &Arrival, within: Option<u64>) -> Result<(), LedgerError> {
        self.insert("INSERT INTO scratch.items VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)", arrival, within).map(drop)
    }

    fn insert(&self, sql: &str, arrival: &Arrival, within: Option<u64>) -> Result<usize, LedgerError> {
        let Arrival { time, id, ordinal, participants, .. } = arrival;
        let row = params![time, id.0, ordinal, participants, self.export.get(), within];
        Ok(self.connection.prepare_cached(sql)?.execute(row)?)
    }

    pub(super) fn note_naming(&self, arrival: &Arrival, within: Option<u64>) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.namings VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![arrival.time, arrival.id.0, arrival.ordinal, arrival.participants, within];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// With whom an item is known, if it is.
    pub(super) fn participants_of(&self, arrival: &Arrival) -> Result<Option<[u8; 16]>, LedgerError> {
        self.committed_with(arrival)?.map_or_else(|| self.noted_with(arrival), |known| Ok(Some(known)))
    }

    /// With whom an item is in the ledger.
    fn committed_with(&self, arrival: &Arrival) -> Result<Option<[u8; 16]>, LedgerError> {
        if arrival.time > self.reach()?.time {
            return Ok(None);
        }
        self.with("SELECT participants FROM main.items WHERE time = ?1 AND id = ?2", arrival)
    }

    /// With whom this run took an item in.
    fn noted_with(&self, arrival: &Arrival) -> Result<Option<[u8; 16]>, LedgerError> {
        self.with("SELECT participants FROM scratch.items WHERE time = ?1 AND id = ?2", arrival)
    }

    fn with(&self, sql: &str, arrival: &Arrival) -> Result<Option<[u8; 16]>, LedgerError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![arrival.time, arrival.id.0], |row| row.get(0)).optional()?)
    }

    pub(super) fn named_before(&self, arrival: &Arrival) -> Result<bool, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM main.namings WHERE time = ?1 AND id = ?2 AND participants = ?3
             UNION ALL SELECT 1 FROM scratch.namings WHERE time = ?1 AND id = ?2 AND participants = ?3",
        )?;
        Ok(statement.exists(params![arrival.time, arrival.id.0, arrival.participants])?)
    }

    /// Marks an item taken in by this pass as held.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn hold_item(&self, time: i64, id: ItemId) -> Result<(), LedgerError> {
        let sql = "UPDATE scratch.items SET held = 1 WHERE time = ?1 AND id = ?2";
        self.connection.prepare_cached(sql)?.execute(params![time, id.0])?;
        Ok(())
    }

    /// Marks an item that was held as placed at last, whichever pass took it in. Whether it was not marked yet.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn release_item(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.released VALUES (?1, ?2)";
        let newly = self.connection.prepare_cached(sql)?.execute(params![time, id.0])? == 1;
        let sql = "UPDATE scratch.items SET held = 0 WHERE time = ?1 AND id = ?2";
        self.connection.prepare_cached(sql)?.execute(params![time, id.0])?;
        Ok(newly)
    }

    /// Notes a record that did not become an item.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn reject(&self, ordinal: u64, line: u64, kind: &str, reason: &str) -> Result<(), LedgerError> {
        let sql = "INSERT INTO scratch.rejected VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![ordinal, line, kind, reason])?;
        Ok(())
    }

    /// Notes that a record that was rejected before has become an item.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn accept(&self, ordinal: u64) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.accepted VALUES (?1)";
        self.connection.prepare_cached(sql)?.execute([ordinal])?;
        Ok(())
    }

    /// The participants of ours without a mailbox noted so far, as the report's JSON.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn unresolved(&self) -> Result<String, LedgerError> {
        super::commit::unresolved_noted(self.connection)
    }

    /// The records noted so far that are no items.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn rejected(&self, file: &str) -> Result<Vec<RejectedRow>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT line, kind, reason FROM scratch.rejected ORDER BY ordinal")?;
        let rows = statement.query_map([], |row| {
            let (line, kind, reason) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(RejectedRow { file: file.to_owned(), line, kind, reason, dismissed: false })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether this pass took the item in and found no mailbox for it.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn held_here(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM scratch.items WHERE time = ?1 AND id = ?2 AND held = 1 AND export = ?3";
        Ok(self.connection.prepare_cached(sql)?.exists(params![time, id.0, self.export.get()])?)
    }
}

#[cfg(test)]
mod tests;
