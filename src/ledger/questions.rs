//! What reports, status and checks ask the ledger. Nothing here changes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, params};

use super::runs::books_at;
use super::{AttachmentCounts, FileId, Ledger, LedgerError, Link, RejectedRow, Restaging};
use crate::books::Books;
use crate::digest::{ItemId, Sha256};

/// One file of a run's report.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// As it came in this run.
    pub name: String,
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// Of the ciphertext.
    pub bytes: u64,
    /// The export's own date.
    pub date: Option<String>,
    /// The firm it says it is for.
    pub export_firm: Option<String>,
    /// `staged` or `held`.
    pub state: String,
    /// Why it is held.
    pub reason: Option<String>,
    /// Whether a person decided that a held file needs nothing more, as things stand.
    pub dismissed: bool,
    /// Who signed it.
    pub signed_by: Option<String>,
    /// Its books.
    pub books: Books,
    /// JSON: what the profile does not name.
    pub unknown: String,
    /// What happened in its rooms beside what was said: each kind that there was, and how often.
    pub events: BTreeMap<String, u64>,
    /// JSON: participants of ours without a mailbox.
    pub unresolved: String,
    /// Records that are no items, as they are now.
    pub rejected: Vec<RejectedRow>,
    /// What became of its attachments, as things are now.
    pub attachments: AttachmentCounts,
    /// Files that were held under its name and that it settles.
    pub supersedes: Vec<Sha256>,
}

/// A run's report.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Its name.
    pub name: String,
    /// The verb.
    pub verb: String,
    /// Whose.
    pub firm_code: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none while it works.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who had it put something there again, and why.
    pub restaging: Option<Restaging>,
    /// The newest link of the chain that tells of it.
    pub evidence: Option<Link>,
    /// File by file.
    pub files: Vec<FileReport>,
}

/// A participant without a mailbox, over all exports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnplacedPerson {
    /// As an export writes it.
    pub im_id: Option<String>,
    /// As an export writes it.
    pub email: Option<String>,
    /// As an export writes it.
    pub name: Option<String>,
    /// As an export writes it.
    pub company: Option<String>,
    /// Items they are a participant of.
    pub items: u64,
    /// The first of those, in UTC.
    pub first_seen: Timestamp,
    /// The last of those, in UTC.
    pub last_seen: Timestamp,
}

impl Ledger {
    /// A run by its name, the last one by default.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn run_report(&self, name: Option<&str>) -> Result<Option<RunReport>, LedgerError> {
        let found = self
            .connection
            .query_row(
                "SELECT id, name, verb, firm_code, started, finished, outcome, error FROM runs
                 WHERE ?1 IS NULL OR name = ?1 ORDER BY id DESC LIMIT 1",
                [name],
                |row| {
                    let report = RunReport {
                        name: row.get(1)?,
                        verb: row.get(2)?,
                        firm_code: row.get(3)?,
                        started: timestamp(row.get(4)?),
                        finished: row.get::<_, Option<i64>>(5)?.map(timestamp),
                        outcome: row.get(6)?,
                        error: row.get(7)?,
                        restaging: None,
                        evidence: None,
                        files: Vec::new(),
                    };
                    Ok((row.get::<_, i64>(0)?, report))
                },
            )
            .optional()?;
        let Some((id, mut report)) = found else { return Ok(None) };
        report.files = self.files_of_run(id)?;
        report.restaging = self.restaging_of(id)?;
        report.evidence = self.last_link_of(&report.name)?;
        if report.restaging.is_some() {
            // What an export's records and namesakes are is another run's to say: this one read none of them.
            for file in &mut report.files {
                (file.rejected, file.supersedes) = (Vec::new(), Vec::new());
                file.attachments = AttachmentCounts::default();
            }
        }
        Ok(Some(report))
    }

    fn files_of_run(&self, run: i64) -> Result<Vec<FileReport>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT r.name, f.sha256, f.bytes, f.date, f.export_firm, r.state, r.reason, f.signed_by, r.available,
             r.staged, r.held, r.duplicate, r.rejected, r.skipped, r.placements_staged, r.placements_existing,
             r.changed, r.unknown, r.unresolved, f.id
             FROM run_files r JOIN files f ON f.id = r.file WHERE r.run = ?1 ORDER BY r.position",
        )?;
        let mut rows = statement.query([run])?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            let mut file = file_report(row)?;
            let id = FileId(row.get(19)?);
            file.rejected = self.rejected_of(id)?;
            file.supersedes = self.superseded_by(id)?;
            file.attachments = self.attachment_counts(id)?;
            file.events = self.events_of(run, id)?;
            file.dismissed = file.state == "held" && self.is_file_dismissed(id)?;
            files.push(file);
        }
        Ok(files)
    }

    fn superseded_by(&self, file: FileId) -> Result<Vec<Sha256>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT sha256 FROM files WHERE superseded_by = ?1 ORDER BY id")?;
        let rows = statement.query_map([file.0], |row| row.get(0).map(Sha256))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn events_of(&self, run: i64, file: FileId) -> Result<BTreeMap<String, u64>, LedgerError> {
        let sql = "SELECT kind, count FROM file_events WHERE run = ?1 AND file = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([run, file.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The records of an export that are no items, as things stand.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn rejected_of(&self, file: FileId) -> Result<Vec<RejectedRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT f.name, r.line, r.kind, r.reason, EXISTS (
               SELECT 1 FROM dismissals d WHERE d.file = r.file AND d.kind = 'record' AND d.ordinal = r.ordinal)
             FROM rejected r JOIN files f ON f.id = r.file WHERE r.file = ?1 ORDER BY r.ordinal",
        )?;
        let rows = statement.query_map([file.0], |row| {
            let (kind, reason, dismissed) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(RejectedRow { file: row.get(0)?, line: row.get(1)?, kind, reason, dismissed })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The places of those records in the export.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn rejected_ordinals<C: FromIterator<u64>>(&self, file: FileId) -> Result<C, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT ordinal FROM rejected WHERE file = ?1")?;
        Ok(statement.query_map([file.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// The participants of one export without a mailbox, with the key by which it distinguishes them.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn unplaced_of(&self, file: FileId) -> Result<Vec<super::Unplaced>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT person, im_id, email, name, company, external, items, first_seen, last_seen FROM unplaced
             WHERE file = ?1",
        )?;
        let rows = statement.query_map([file.0], |row| {
            Ok(super::Unplaced {
                key: row.get(0)?,
                im_id: row.get(1)?,
                email: row.get(2)?,
                name: row.get(3)?,
                company: row.get(4)?,
                external: row.get(5)?,
                items: row.get(6)?,
                first_seen: row.get(7)?,
                last_seen: row.get(8)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Participants without a mailbox over all exports, most affected first: ours, or the externals.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn unplaced(&self, external: bool) -> Result<Vec<UnplacedPerson>, LedgerError> {
        self.without_mailbox(if external { "unplaced WHERE external = 1" } else { "unplaced WHERE external = 0" })
    }

    /// Participants of ours without a mailbox about whom somebody is still to be asked, most affected first: not those
    /// whose items were all dismissed.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn unresolved(&self) -> Result<Vec<UnplacedPerson>, LedgerError> {
        self.without_mailbox("unresolved")
    }

    fn without_mailbox(&self, rows: &str) -> Result<Vec<UnplacedPerson>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT max(im_id), max(email), max(name), max(company), sum(items), min(first_seen), max(last_seen)
             FROM {rows} GROUP BY person ORDER BY 5 DESC, person",
        ))?;
        let rows = statement.query_map([], |row| {
            Ok(UnplacedPerson {
                im_id: row.get(0)?,
                email: row.get(1)?,
                name: row.get(2)?,
                company: row.get(3)?,
                items: row.get(4)?,
                first_seen: timestamp(row.get(5)?),
                last_seen: timestamp(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Committed exports that hold something a replay may be able to move: someone without a mailbox, or a rejected
    /// record; received on or after a day, if asked.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn replayable(&self, since: Option<Timestamp>) -> Result<Vec<FileId>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT id FROM files WHERE state = 'committed' AND received >= ?1 AND (
               EXISTS (SELECT 1 FROM unplaced WHERE unplaced.file = files.id)
               OR EXISTS (SELECT 1 FROM rejected WHERE rejected.file = files.id)
               OR held > 0) ORDER BY id",
        )?;
        let rows =
            statement.query_map(params![since.map_or(i64::MIN, Timestamp::as_second)], |row| row.get(0).map(FileId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The dates of the exports that are committed.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn committed_dates(&self) -> Result<BTreeSet<Date>, LedgerError> {
        let mut statement = self
            .connection
            .prepare("SELECT DISTINCT date FROM files WHERE state = 'committed' AND date IS NOT NULL")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        rows.iter().map(|date| date.parse().map_err(|_| LedgerError::Damaged(format!("the date {date:?}")))).collect()
    }

    /// When exports without a date of their own came, of those that are committed.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn undated_arrivals(&self) -> Result<Vec<Timestamp>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT received FROM files WHERE state = 'committed' AND date IS NULL
             AND id NOT IN (SELECT file FROM archives)",
        )?;
        let rows = statement.query_map([], |row| row.get(0).map(timestamp))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the last run that asked the site and did not fail began. One that began later than `now`, when the clock was
    /// wrong, counts for nothing: it would keep every run away until then.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_done_at_site(&self, now: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        let started: Option<i64> = self.connection.query_row(
            "SELECT max(started) FROM runs WHERE at_site AND outcome IN ('complete', 'attention') AND started <= ?1",
            [now.as_second()],
            |row| row.get(0),
        )?;
        Ok(started.map(timestamp))
    }

    /// An item's export and place in it, and whether it is held.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn item(&self, time: i64, id: ItemId) -> Result<Option<(FileId, u64, bool)>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT file, ordinal, held FROM main.items WHERE time = ?1 AND id = ?2")?;
        Ok(statement
            .query_row(params![time, id.0], |row| Ok((FileId(row.get(0)?), row.get(1)?, row.get(2)?)))
            .optional()?)
    }

    /// How many items the ledger holds of an export, and how many of those are held. Messages within transcripts are none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn items_by_file(&self) -> Result<Vec<(FileId, u64, u64)>, LedgerError> {
        let mut statement = self
            .connection
            .prepare("SELECT file, count(*), sum(held) FROM items WHERE within IS NULL GROUP BY file ORDER BY file")?;
        let rows = statement.query_map([], |row| Ok((FileId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// SQLite's own check of its pages.
    ///
    /// # Errors
    /// Where the ledger is damaged or cannot be read.
    pub fn check_integrity(&self) -> Result<(), LedgerError> {
        let word: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if word == "ok" { Ok(()) } else { Err(LedgerError::Damaged(word)) }
    }
}

fn file_report(row: &Row<'_>) -> Result<FileReport, LedgerError> {
    Ok(FileReport {
        name: row.get(0)?,
        sha256: Sha256(row.get(1)?),
        bytes: row.get(2)?,
        date: row.get(3)?,
        export_firm: row.get(4)?,
        state: row.get(5)?,
        reason: row.get(6)?,
        dismissed: false,
        signed_by: row.get(7)?,
        books: books_at(row, 8)?,
        unknown: row.get(17)?,
        unresolved: row.get(18)?,
        events: BTreeMap::new(),
        rejected: Vec::new(),
        attachments: AttachmentCounts::default(),
        supersedes: Vec::new(),
    })
}

/// A time as the tables keep it.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
