//! What monitoring counts. Asked every few seconds for years, so it is summed from runs and files, of which there are a
//! few each day, and never from items.

use rusqlite::Row;

use super::{Ledger, LedgerError};
use crate::books::{Counts, Placements};

/// How much there is of something, by what distinguishes it.
pub type Counted<const N: usize> = Vec<([String; N], u64)>;

/// A verb's last run that has ended; times in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// `ingest`, `replay` or `restage`.
    pub verb: String,
    /// When it began.
    pub started: i64,
    /// When it ended.
    pub finished: i64,
    /// How it ended.
    pub outcome: String,
    /// What became of its items.
    pub items: Counts,
}

/// The sums; times in Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measures {
    /// When the last run ended that asked the site and did not fail.
    pub last_success: Option<i64>,
    /// The last run of each verb.
    pub last_runs: Vec<LastRun>,
    /// Runs that have ended, by verb and outcome.
    pub runs: Counted<2>,
    /// Files ever received, by state.
    pub files: Counted<1>,
    /// Of all files ever received, as they came.
    pub received_bytes: u64,
    /// What became of the items of all committed exports, as things stand.
    pub items: Counts,
    /// Placements of all runs.
    pub placements: Placements,
    /// When our certificates expire, by fingerprint; one that never does is left out.
    pub key_expiry: Vec<(String, i64)>,
    /// Operators' files that do not count, by kind.
    pub rejections: Counted<1>,
    /// Alerts that are open, by kind and `true` or `false`: whether somebody silenced them.
    pub alerts: Counted<2>,
    /// Notices, by channel and whether they are `waiting`, `sent` or `given_up`.
    pub notices: Counted<2>,
}

const COUNTS: &str = "coalesce(sum(available), 0), coalesce(sum(staged), 0), coalesce(sum(held), 0),
                      coalesce(sum(duplicate), 0), coalesce(sum(rejected), 0), coalesce(sum(skipped), 0)";

impl Ledger {
    /// The sums at one moment. An alert is silenced up to and including the day that somebody named; `today` is as
    /// in `2026-11-20`.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn measures(&self, today: &str) -> Result<Measures, LedgerError> {
        self.at_one_moment(|| {
            let connection = &self.connection;
            Ok(Measures {
                last_success: connection.query_row(
                    "SELECT max(finished) FROM runs WHERE at_site AND outcome IN ('complete', 'attention')",
                    [],
                    |row| row.get(0),
                )?,
                last_runs: self.last_runs()?,
                runs: self
                    .counted("SELECT verb, outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY 1, 2")?,
                files: self.counted("SELECT state, count(*) FROM files GROUP BY 1")?,
                received_bytes: connection
                    .query_row("SELECT coalesce(sum(bytes), 0) FROM files", [], |row| row.get(0))?,
                items: connection.query_row(
                    &format!("SELECT {COUNTS} FROM files WHERE state = 'committed'"),
                    [],
                    counts,
                )?,
                placements: connection.query_row(
                    "SELECT coalesce(sum(placements_staged), 0), coalesce(sum(placements_existing), 0) FROM run_files",
                    [],
                    |row| Ok(Placements { staged: row.get(0)?, existing: row.get(1)? }),
                )?,
                key_expiry: self.key_expiry()?,
                rejections: self.counted("SELECT kind, count(*) FROM rejections WHERE mended IS NULL GROUP BY 1")?,
                alerts: self.alerts_open(today)?,
                notices: self.counted(
                    "SELECT channel, iif(sent IS NOT NULL, 'sent', iif(given_up IS NOT NULL, 'given_up', 'waiting')),
                     count(*) FROM notices GROUP BY 1, 2",
                )?,
            })
        })
    }

    fn last_runs(&self) -> Result<Vec<LastRun>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT verb, started, finished, outcome, id FROM runs
             WHERE id IN (SELECT max(id) FROM runs WHERE finished IS NOT NULL GROUP BY verb)",
        )?;
        let mut rows = statement.query([])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            let items = self.connection.query_row(
                &format!("SELECT {COUNTS} FROM run_files WHERE run = ?1"),
                [row.get::<_, i64>(4)?],
                counts,
            )?;
            let (verb, started, finished, outcome) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            runs.push(LastRun { verb, started, finished, outcome, items });
        }
        Ok(runs)
    }

    fn key_expiry(&self) -> Result<Vec<(String, i64)>, LedgerError> {
        let mut statement =
            self.connection.prepare("SELECT fingerprint, expires FROM certificates WHERE expires IS NOT NULL")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn alerts_open(&self, today: &str) -> Result<Counted<2>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT kind, iif(acked_until >= ?1, 'true', 'false'), count(*) FROM alerts WHERE ended IS NULL GROUP BY 1, 2",
        )?;
        let rows = statement.query_map([today], |row| Ok(([row.get(0)?, row.get(1)?], row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a query gives whose last column is a number, and those before it words.
    fn counted<const N: usize>(&self, sql: &str) -> Result<Counted<N>, LedgerError> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let mut words = [const { String::new() }; N];
            for (column, word) in words.iter_mut().enumerate() {
                *word = row.get(column)?;
            }
            Ok((words, row.get(N)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    Ok(Counts {
        available: row.get(0)?,
        staged: row.get(1)?,
        held: row.get(2)?,
        duplicate: row.get(3)?,
        rejected: row.get(4)?,
        skipped: row.get(5)?,
    })
}
