//! Runs: when one began, how it ended.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::{Ledger, LedgerError, invoked_by};
use crate::books::{Books, Counts, Placements};

/// A run's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(pub(super) i64);

impl RunId {
    /// A run that is not recorded.
    pub fn none() -> Self {
        Self(0)
    }
}

/// How a run ended (contract 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All done, and nothing needs a person.
    Complete,
    /// Done, but something needs a person.
    Attention,
    /// Not done.
    Failed,
}

impl Outcome {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Attention => "attention",
            Self::Failed => "failed",
        }
    }
}

/// Why a run did not bring what it should have, for those reasons that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunTrouble {
    /// The site refused the login.
    Login,
    /// The site could not be reached.
    Unreachable,
    /// It went well, but the export that was looked for was not there.
    NoExport,
    /// Staging has less room than a run should begin with.
    NoRoom,
    /// Someone stopped it.
    Stopped,
}

impl RunTrouble {
    /// The word in `runs.trouble`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Unreachable => "unreachable",
            Self::NoExport => "no_export",
            Self::NoRoom => "no_room",
            Self::Stopped => "stopped",
        }
    }
}

/// A run as a list of runs has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRun {
    /// Its name.
    pub name: String,
    /// The verb.
    pub verb: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none while it works.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who started it.
    pub invoked_by: String,
    /// The program's version.
    pub program: String,
    /// How many files it touched.
    pub files: u64,
    /// The books of those.
    pub books: Books,
}

impl Ledger {
    /// The runs that began at or after `since`, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn runs_since(&self, since: Timestamp) -> Result<Vec<ListedRun>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT r.name, r.verb, r.started, r.finished, r.outcome, r.error, r.invoked_by, r.program, count(f.run),
             coalesce(sum(f.available), 0), coalesce(sum(f.staged), 0), coalesce(sum(f.held), 0),
             coalesce(sum(f.duplicate), 0), coalesce(sum(f.rejected), 0), coalesce(sum(f.skipped), 0),
             coalesce(sum(f.placements_staged), 0), coalesce(sum(f.placements_existing), 0), coalesce(sum(f.changed), 0)
             FROM runs r LEFT JOIN run_files f ON f.run = r.id WHERE r.started >= ?1 GROUP BY r.id ORDER BY r.id",
        )?;
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
        let rows = statement.query_map([since.as_second()], |row| {
            Ok(ListedRun {
                name: row.get(0)?,
                verb: row.get(1)?,
                started: time(row.get(2)?),
                finished: row.get::<_, Option<i64>>(3)?.map(time),
                outcome: row.get(4)?,
                error: row.get(5)?,
                invoked_by: row.get(6)?,
                program: row.get(7)?,
                files: row.get(8)?,
                books: books_at(row, 9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records that a run begins; `at_site` if it asks the site, and not a person's files alone. Its name is its time, so that names sort; a second one within a second gets a number.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn begin_run(&self, verb: &str, at_site: bool, firm_code: &str, now: Timestamp) -> Result<RunId, LedgerError> {
        // A run that never ended was killed; whoever comes next says so.
        self.connection.execute(
            "UPDATE runs SET finished = ?1, outcome = 'failed', error = 'the run was interrupted'
             || iif(verb = 'restage', '; what it was asked for may not be there: give the same command again', '')
             WHERE finished IS NULL",
            [now.as_second()],
        )?;
        let name = self.free_run_name(now)?;
        self.connection.execute(
            "INSERT INTO runs (name, verb, at_site, firm_code, started, program, invoked_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![name, verb, at_site, firm_code, now.as_second(), crate::VERSION, invoked_by()],
        )?;
        Ok(RunId(self.connection.last_insert_rowid()))
    }

    pub(super) fn free_run_name(&self, now: Timestamp) -> Result<String, LedgerError> {
        let stem = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let taken: i64 = self.connection.query_row(
            "SELECT count(*) FROM runs WHERE name = ?1 OR name GLOB ?1 || '-*'",
            [&stem],
            |row| row.get(0),
        )?;
        Ok(if taken == 0 { stem } else { format!("{stem}-{}", taken + 1) })
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn finish_run(
        &self,
        run: RunId,
        outcome: Outcome,
        error: Option<&str>,
        trouble: Option<RunTrouble>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE runs SET finished = ?2, outcome = ?3, error = ?4, trouble = ?5 WHERE id = ?1",
            params![run.0, now.as_second(), outcome.as_str(), error, trouble.map(RunTrouble::as_str)],
        )?;
        Ok(())
    }

    /// The name of a run, as the report shows it.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn run_name(&self, run: RunId) -> Result<String, LedgerError> {
        Ok(self.connection.query_row("SELECT name FROM runs WHERE id = ?1", [run.0], |row| row.get(0))?)
    }

    /// When the ledger's first run began: exports are expected from that day on.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn first_run(&self) -> Result<Option<Timestamp>, LedgerError> {
        let seconds: Option<i64> =
            self.connection.query_row("SELECT min(started) FROM runs", [], |row| row.get(0)).optional()?.flatten();
        Ok(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
    }
}

/// Books in nine columns from this one on, in the order of `run_files`.
pub(super) fn books_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Books> {
    let items = Counts {
        available: row.get(first)?,
        staged: row.get(first + 1)?,
        held: row.get(first + 2)?,
        duplicate: row.get(first + 3)?,
        rejected: row.get(first + 4)?,
        skipped: row.get(first + 5)?,
    };
    let placements = Placements { staged: row.get(first + 6)?, existing: row.get(first + 7)? };
    Ok(Books { items, placements, changed: row.get(first + 8)? })
}
