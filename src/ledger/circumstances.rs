//! All that alerts are derived from, as the ledger knows it at one moment. Nothing here changes it, and nothing reads
//! through `items`: it is asked each minute, however large the ledger has grown.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};

use super::questions::timestamp;
use super::{
    Astray, Certificate, DirectoryStanding, Ledger, LedgerError, Outcome, Rejection, Undelivered, UnplacedPerson,
};
use crate::digest::Sha256;

/// The last run at the site that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAtSite {
    /// Its name.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// Whether it did what it could.
    pub good: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// `login`, `unreachable`, `no_export` or `no_room`, where it is one of these.
    pub trouble: Option<String>,
    /// When the first of the failed runs in a row began, of which it is the last.
    pub failing_since: Timestamp,
}

/// A replay that failed and is still due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedReplay {
    /// Its name.
    pub name: String,
    /// Why it failed.
    pub error: String,
    /// As of [`LastAtSite`].
    pub trouble: Option<String>,
}

/// A file with something wrong: held, or not replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// Its name.
    pub name: String,
    /// For an operator, one line.
    pub reason: String,
}

/// A committed export: its books as they are now, and how much of it a person is still to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// Its name.
    pub name: String,
    /// The day it says it is about.
    pub date: Option<Date>,
    /// When it came.
    pub received: Timestamp,
    /// When it was committed.
    pub committed: Timestamp,
    /// The firm it says it is for.
    pub firm: Option<String>,
    /// Records in it.
    pub available: u64,
    /// Items with a mailbox.
    pub staged: u64,
    /// Items known before.
    pub duplicate: u64,
    /// Items without a mailbox that nobody dismissed.
    pub held: u64,
    /// Records that are no items and that nobody dismissed.
    pub rejected: u64,
    /// Items whose message was known with other content.
    pub changed: u64,
}

/// An element that a profile does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where in the export.
    pub path: String,
    /// How often.
    pub count: u64,
    /// In how many exports.
    pub exports: u64,
    /// The newest of these.
    pub newest: String,
}

/// A mapping or list that came into force, and what is remarkable about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Its number.
    pub version: i64,
    /// `mapping` or `list`.
    pub kind: String,
    /// When it came into force.
    pub since: Timestamp,
    /// JSON: a list of `kind` and `words`.
    pub concerns: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The last run at the site that ended.
    pub last_run: Option<LastAtSite>,
    /// The last replay, if it failed and is still due.
    pub failed_replay: Option<FailedReplay>,
    /// Files that are held and that nobody dismissed; and exports that were begun and are kept from their end.
    pub held_files: Vec<Trouble>,
    /// Committed exports whose last replay failed.
    pub failed_replays: Vec<Trouble>,
    /// Committed exports that are new, or of which something is held or rejected, in the order of their coming.
    pub exports: Vec<Export>,
    /// Participants of ours without a mailbox, most affected first; not those whose items were all dismissed.
    pub unresolved: Vec<UnplacedPerson>,
    /// What profiles do not name, in the newest exports.
    pub unknown: Vec<Unknown>,
    /// Committed exports that name attachments which no archive has.
    pub missing_attachments: Vec<Astray>,
    /// Archives with files that no export names, or that are none; those decided about lately.
    pub orphans: Vec<Astray>,
    /// Names at the site that match no pattern.
    pub strangers: Vec<String>,
    /// Operators' files that do not count.
    pub rejections: Vec<Rejection>,
    /// What newly came into force.
    pub concerns: Vec<Concern>,
    /// Our certificates in use.
    pub certificates: Vec<Certificate>,
    /// How the asking for the tenant's users stands.
    pub directory: Option<DirectoryStanding>,
    /// Channels by which nothing gets through.
    pub undelivered: Vec<Undelivered>,
}

/// How far back is looked.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// Exports committed since then.
    pub exports: Timestamp,
    /// Exports whose unknown elements count.
    pub unknown: Timestamp,
    /// Versions that came into force since then.
    pub versions: Timestamp,
}

impl Ledger {
    /// What alerts are derived from.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn circumstances(&self, back: Horizon) -> Result<Circumstances, LedgerError> {
        self.at_one_moment(|| {
            Ok(Circumstances {
                last_run: self.last_run_at_site()?,
                failed_replay: self.failed_replay()?,
                held_files: self.troubles(
                    "(state = 'held' AND NOT EXISTS (
                       SELECT 1 FROM dismissals d WHERE d.file = files.id AND d.kind = 'file'))
                       OR (state = 'staging' AND reason IS NOT NULL)",
                )?,
                failed_replays: self.troubles("state = 'committed' AND reason IS NOT NULL")?,
                exports: self.exports_to_judge(back.exports)?,
                unresolved: self.unresolved()?,
                unknown: self.unknown_elements(back.unknown)?,
                missing_attachments: self.with_missing()?,
                orphans: self.with_orphans(back.unknown)?,
                strangers: self.listed("SELECT name FROM strangers ORDER BY name", |row| row.get(0))?,
                rejections: self.open_rejections()?,
                concerns: self.concerns(back.versions)?,
                certificates: self.certificates()?,
                directory: self.directory_standing()?,
                undelivered: self.undelivered()?,
            })
        })
    }

    /// When the run that works now began, if one does.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn working_since(&self) -> Result<Option<Timestamp>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT started, finished FROM runs ORDER BY id DESC LIMIT 1")?;
        let last = statement.query_row([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?))).optional()?;
        Ok(last.filter(|(_, finished)| finished.is_none()).map(|(started, _)| timestamp(started)))
    }

    /// A run that someone stopped says nothing of the site.
    fn last_run_at_site(&self) -> Result<Option<LastAtSite>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, started, outcome, error, trouble, coalesce(
               (SELECT min(f.started) FROM runs f WHERE f.at_site AND f.outcome = 'failed' AND f.trouble IS NOT 'stopped'
                AND f.id > coalesce((SELECT max(g.id) FROM runs g WHERE g.at_site AND g.outcome <> 'failed'), 0)),
               started)
             FROM runs WHERE at_site AND finished IS NOT NULL AND trouble IS NOT 'stopped' ORDER BY id DESC LIMIT 1",
        )?;
        let found = statement.query_row([], |row| {
            Ok(LastAtSite {
                name: row.get(0)?,
                began: timestamp(row.get(1)?),
                good: row.get::<_, Option<String>>(2)?.as_deref() != Some(Outcome::Failed.as_str()),
                error: row.get(3)?,
                trouble: row.get(4)?,
                failing_since: timestamp(row.get(5)?),
            })
        });
        Ok(found.optional()?)
    }

    fn failed_replay(&self) -> Result<Option<FailedReplay>, LedgerError> {
        if !self.replay_due()? {
            return Ok(None);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT name, coalesce(error, ''), trouble, outcome IS 'failed' FROM runs
             WHERE verb = 'replay' AND finished IS NOT NULL AND trouble IS NOT 'stopped' ORDER BY id DESC LIMIT 1",
        )?;
        let last = statement.query_row([], |row| {
            let replay = FailedReplay { name: row.get(0)?, error: row.get(1)?, trouble: row.get(2)? };
            Ok((replay, row.get::<_, bool>(3)?))
        });
        Ok(last.optional()?.filter(|(_, failed)| *failed).map(|(replay, _)| replay))
    }

    fn troubles(&self, condition: &str) -> Result<Vec<Trouble>, LedgerError> {
        let sql = format!("SELECT sha256, name, coalesce(reason, '') FROM files WHERE {condition} ORDER BY id");
        self.listed(&sql, |row| Ok(Trouble { sha256: Sha256(row.get(0)?), name: row.get(1)?, reason: row.get(2)? }))
    }

    /// The held ones are counted where `items` has an index of them alone.
    fn exports_to_judge(&self, since: Timestamp) -> Result<Vec<Export>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "WITH back AS MATERIALIZED (SELECT i.file AS file, count(*) AS n FROM items i WHERE i.held = 1 GROUP BY i.file),
               bad AS MATERIALIZED (SELECT r.file AS file, count(*) AS n FROM rejected r WHERE NOT EXISTS (SELECT 1 FROM
                 dismissals d WHERE d.kind = 'record' AND d.file = r.file AND d.ordinal = r.ordinal) GROUP BY r.file),
               settled AS MATERIALIZED (SELECT i.file AS file, count(*) AS n FROM dismissals d
                 CROSS JOIN items i ON i.time = d.time AND i.id = d.item AND i.held = 1 WHERE d.kind = 'item' GROUP BY i.file),
               chosen AS (SELECT id FROM files WHERE committed >= ?1 AND id NOT IN (SELECT file FROM archives)
                 UNION SELECT file FROM back UNION SELECT file FROM bad)
             SELECT f.sha256, f.name, f.date, f.received, f.committed, f.export_firm, f.available, f.staged, f.duplicate,
               coalesce((SELECT n FROM back WHERE file = f.id), 0)
                 - coalesce((SELECT n FROM settled WHERE file = f.id), 0),
               coalesce((SELECT n FROM bad WHERE file = f.id), 0),
               (SELECT coalesce(sum(changed), 0) FROM run_files WHERE file = f.id)
             FROM files f JOIN chosen ON chosen.id = f.id WHERE f.state = 'committed' ORDER BY f.id",
        )?;
        let mut rows = statement.query(params![since.as_second()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let date: Option<String> = row.get(2)?;
            let date = date.map(|date| date.parse().map_err(|_| LedgerError::Damaged(format!("the date {date:?}"))));
            found.push(Export {
                sha256: Sha256(row.get(0)?),
                name: row.get(1)?,
                date: date.transpose()?,
                received: timestamp(row.get(3)?),
                committed: row.get::<_, Option<i64>>(4)?.map_or(Timestamp::UNIX_EPOCH, timestamp),
                firm: row.get(5)?,
                available: row.get(6)?,
                staged: row.get(7)?,
                duplicate: row.get(8)?,
                held: row.get(9)?,
                rejected: row.get(10)?,
                changed: row.get(11)?,
            });
        }
        Ok(found)
    }

    fn unknown_elements(&self, since: Timestamp) -> Result<Vec<Unknown>, LedgerError> {
        let sql = format!(
            "SELECT path, sum(n), count(*), name, max(id) FROM (
               SELECT f.id AS id, f.name AS name, json_extract(u.value, '$.path') AS path,
                 max(json_extract(u.value, '$.count')) AS n
               FROM files f JOIN run_files r ON r.file = f.id JOIN json_each(r.unknown) u
               WHERE f.committed >= {} GROUP BY f.id, path)
             GROUP BY path ORDER BY path",
            since.as_second()
        );
        self.listed(&sql, |row| {
            Ok(Unknown { path: row.get(0)?, count: row.get(1)?, exports: row.get(2)?, newest: row.get(3)? })
        })
    }

    fn concerns(&self, since: Timestamp) -> Result<Vec<Concern>, LedgerError> {
        let sql = format!(
            "SELECT id, kind, since, concerns FROM versions WHERE since >= {} AND concerns <> '[]' ORDER BY id",
            since.as_second()
        );
        self.listed(&sql, |row| {
            let since = timestamp(row.get(2)?);
            Ok(Concern { version: row.get(0)?, kind: row.get(1)?, since, concerns: row.get(3)? })
        })
    }

    fn listed<T>(
        &self,
        sql: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut statement = self.connection.prepare(sql)?;
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// The names of the runs that ended after one moment and not after another, in order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn runs_between(&self, after: Timestamp, until: Timestamp) -> Result<Vec<String>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name FROM runs WHERE finished > ?1 AND finished <= ?2 ORDER BY id")?;
        let rows = statement.query_map(params![after.as_second(), until.as_second()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last run at the site that did what it could: its name, and when it began and ended.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_good_run(&self) -> Result<Option<(String, Timestamp, Timestamp)>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, started, finished FROM runs WHERE at_site AND finished IS NOT NULL AND outcome <> 'failed'
             ORDER BY id DESC LIMIT 1",
        )?;
        let row = statement.query_row([], |row| Ok((row.get(0)?, timestamp(row.get(1)?), timestamp(row.get(2)?))));
        Ok(row.optional()?)
    }
}
