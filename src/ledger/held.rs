//! What is held, and whom a held item lacks a mailbox for: all that a person needs to decide about it, without the
//! original and without any chat text.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::dismissals::Matter;
use super::questions::timestamp;
use super::{FileId, Ledger, LedgerError, RunId, Scratch};
use crate::digest::{Hasher, ItemId, Sha256};

/// A held file.
#[derive(Debug, Clone)]
pub struct HeldFile {
    /// What a person would decide about.
    pub matter: Matter,
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// As it came.
    pub name: String,
    /// When it came.
    pub since: Timestamp,
    /// Why it is held.
    pub reason: String,
    /// Whether a person dismissed it.
    pub dismissed: bool,
}

/// A participant whom a held item lacks a mailbox for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HeldPerson {
    /// As the export writes it.
    pub im_id: Option<String>,
    /// As the export writes it.
    pub email: Option<String>,
    /// As the export writes it.
    pub name: Option<String>,
    /// As the export writes it.
    pub company: Option<String>,
    /// Whether they are none of ours.
    pub external: bool,
}

/// A held item.
#[derive(Debug, Clone)]
pub struct HeldItem {
    /// What a person would decide about.
    pub matter: Matter,
    /// The item's time.
    pub time: Timestamp,
    /// Its id.
    pub id: ItemId,
    /// The export that named it first: its ciphertext's digest, name, own date, and when it was committed.
    pub export: Arc<HeldExport>,
    /// Its participants.
    pub people: Vec<Arc<Vec<HeldPerson>>>,
    /// Whether a person dismissed it.
    pub dismissed: bool,
}

/// An export that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldExport {
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// As it came.
    pub name: String,
    /// Its own date.
    pub date: Option<String>,
    /// When it was committed.
    pub since: Timestamp,
}

/// A rejected record.
#[derive(Debug, Clone)]
pub struct HeldRecord {
    /// What a person would decide about.
    pub matter: Matter,
    /// Of its export's ciphertext.
    pub sha256: Sha256,
    /// Its export's name.
    pub name: String,
    /// Its place among the export's items and rejected records, from 0.
    pub ordinal: u64,
    /// Its line in the export.
    pub line: u64,
    /// Message or attachment.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// Whether a person dismissed it.
    pub dismissed: bool,
}

type Circles = HashMap<(i64, [u8; 16]), Arc<Vec<HeldPerson>>>;

impl Ledger {
    /// The held files, those first that came first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn held_files(&self) -> Result<Vec<HeldFile>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT f.id, f.sha256, f.name, f.received, coalesce(f.reason, ''),
               EXISTS (SELECT 1 FROM dismissals d WHERE d.file = f.id AND d.kind = 'file')
             FROM files f WHERE f.state = 'held' ORDER BY f.id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(HeldFile {
                matter: Matter::File(FileId(row.get(0)?)),
                sha256: Sha256(row.get(1)?),
                name: row.get(2)?,
                since: timestamp(row.get(3)?),
                reason: row.get(4)?,
                dismissed: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The held items with their participants, export by export and in the order of their times.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn held_items(&self) -> Result<Vec<HeldItem>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT i.file, i.time, i.id, EXISTS (
               SELECT 1 FROM dismissals d WHERE d.kind = 'item' AND d.time = i.time AND d.item = i.id)
             FROM items i WHERE i.held = 1 ORDER BY i.file, i.time, i.id",
        )?;
        let mut rows = statement.query([])?;
        let (mut items, mut circles) = (Vec::new(), Circles::new());
        let mut last: Option<(FileId, Arc<HeldExport>)> = None;
        while let Some(row) = rows.next()? {
            let (file, time, id) = (FileId(row.get(0)?), row.get(1)?, ItemId(row.get(2)?));
            let export = match last.take() {
                Some((of, export)) if of == file => export,
                _ => Arc::new(self.held_export(file)?),
            };
            last = Some((file, Arc::clone(&export)));
            let people = self.people_of(time, id, &mut circles)?;
            let matter = Matter::Item { file, time, id };
            items.push(HeldItem { matter, time: timestamp(time), id, export, people, dismissed: row.get(3)? });
        }
        Ok(items)
    }

    fn held_export(&self, file: FileId) -> Result<HeldExport, LedgerError> {
        let sql = "SELECT sha256, name, date, coalesce(committed, received) FROM files WHERE id = ?1";
        Ok(self.connection.query_row(sql, [file.0], |row| {
            let (sha256, since) = (Sha256(row.get(0)?), timestamp(row.get(3)?));
            Ok(HeldExport { sha256, name: row.get(1)?, date: row.get(2)?, since })
        })?)
    }

    fn people_of(
        &self,
        time: i64,
        id: ItemId,
        circles: &mut Circles,
    ) -> Result<Vec<Arc<Vec<HeldPerson>>>, LedgerError> {
        let sql = "SELECT file, circle FROM held_people WHERE time = ?1 AND id = ?2 ORDER BY file, circle";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![time, id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut people = Vec::new();
        for row in rows {
            let (file, circle): (i64, [u8; 16]) = row?;
            let known = match circles.get(&(file, circle)) {
                Some(known) => Arc::clone(known),
                None => Arc::new(self.people_in(file, circle)?),
            };
            circles.insert((file, circle), Arc::clone(&known));
            people.push(known);
        }
        Ok(people)
    }

    fn people_in(&self, file: i64, circle: [u8; 16]) -> Result<Vec<HeldPerson>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT u.im_id, u.email, u.name, u.company, u.external FROM circles c
             JOIN unplaced u ON u.file = ?1 AND u.person = c.person WHERE c.circle = ?2 ORDER BY c.person",
        )?;
        let rows = statement.query_map(params![file, circle], |row| {
            Ok(HeldPerson {
                im_id: row.get(0)?,
                email: row.get(1)?,
                name: row.get(2)?,
                company: row.get(3)?,
                external: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The rejected records, export by export and in their order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn held_records(&self) -> Result<Vec<HeldRecord>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT r.file, f.sha256, f.name, r.ordinal, r.line, r.kind, r.reason, EXISTS (
               SELECT 1 FROM dismissals d WHERE d.file = r.file AND d.kind = 'record' AND d.ordinal = r.ordinal)
             FROM rejected r JOIN files f ON f.id = r.file ORDER BY r.file, r.ordinal",
        )?;
        let rows = statement.query_map([], |row| {
            let (file, ordinal) = (FileId(row.get(0)?), row.get(3)?);
            Ok(HeldRecord {
                matter: Matter::Record { file, ordinal },
                sha256: Sha256(row.get(1)?),
                name: row.get(2)?,
                ordinal,
                line: row.get(4)?,
                kind: row.get(5)?,
                reason: row.get(6)?,
                dismissed: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Scratch<'_> {
    /// Notes the people whom an item lacks a mailbox for. Most of a room's items lack the same ones, so they are kept once
    /// for each such circle: a room of thousands costs each of its items a row.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn lack(&self, time: i64, id: ItemId, mut people: Vec<String>) -> Result<(), LedgerError> {
        people.sort_unstable();
        let mut hasher = Hasher::default();
        for person in &people {
            hasher.field(person.as_bytes());
        }
        let circle = ItemId::from(hasher.finish()).0;
        let sql = "SELECT 1 FROM scratch.circles WHERE circle = ?1";
        if !self.connection.prepare_cached(sql)?.exists([circle])? {
            let mut statement =
                self.connection.prepare_cached("INSERT OR IGNORE INTO scratch.circles VALUES (?1, ?2)")?;
            for person in &people {
                statement.execute(params![circle, person])?;
            }
        }
        let sql = "INSERT OR IGNORE INTO scratch.held_people VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![time, id.0, circle])?;
        Ok(())
    }
}

/// A good file that the site has under the name of one that earlier runs held, and not an older one, is the site's own
/// answer to that one. A file that a person brings is not: names repeat. One that came damaged and was fetched again has no
/// sighting of its own any more.
pub(super) fn supersede(connection: &Connection, file: FileId, run: RunId) -> Result<(), LedgerError> {
    connection.execute(
        "UPDATE files SET state = 'superseded', superseded_by = ?1
         WHERE state = 'held' AND id <> ?1 AND received_run <> ?2 AND (
           id IN (SELECT old.file FROM sightings old JOIN sightings new ON new.name = old.name AND new.mtime >= old.mtime
             WHERE new.file = ?1)
           OR (name IN (SELECT name FROM sightings WHERE file = ?1) AND id NOT IN (SELECT file FROM sightings)
             AND received_run IN (SELECT id FROM runs WHERE at_site)))",
        params![file.0, run.0],
    )?;
    Ok(())
}

/// What of an export a pass has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// All of it.
    Whole,
    /// Attachments that came after the items which name them.
    Later,
}

/// Moves whom a pass found lacking into the ledger: of items that are held, and of those that were dismissed when they
/// were, so that placing one of these for others asks nobody about it again. A pass over the whole export knows all of them; one
/// for attachments that came late knows of these alone.
pub(super) fn take_people(transaction: &Transaction<'_>, file: FileId, extent: Pass) -> Result<(), LedgerError> {
    if extent == Pass::Whole {
        transaction.execute("DELETE FROM main.held_people WHERE file = ?1", [file.0])?;
    }
    transaction.execute_batch(
        "DELETE FROM main.held_people WHERE (time, id) IN (SELECT r.time, r.id FROM scratch.released r WHERE NOT EXISTS (
           SELECT 1 FROM main.dismissals d WHERE d.kind = 'item' AND d.time = r.time AND d.item = r.id))",
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO main.held_people SELECT h.time, h.id, ?1, h.circle FROM scratch.held_people h
         WHERE EXISTS (SELECT 1 FROM main.items i WHERE i.time = h.time AND i.id = h.id AND i.held = 1)
         OR EXISTS (SELECT 1 FROM main.dismissals d WHERE d.kind = 'item' AND d.time = h.time AND d.item = h.id)",
        [file.0],
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO main.circles SELECT circle, person FROM scratch.circles
         WHERE circle IN (SELECT circle FROM main.held_people WHERE file = ?1)",
        [file.0],
    )?;
    Ok(())
}
