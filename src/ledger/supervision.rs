//! What the daemon records and asks: how runs ended, and what stands at the site unasked for.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::invoked_by;
use super::questions::timestamp;
use super::{Ledger, LedgerError, Outcome, RunTrouble};

/// A run that asked the site, as far as the next one depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// When it began.
    pub began: Timestamp,
    /// When it ended; none while it works, or where it was killed and nobody has noticed yet.
    pub ended: Option<Timestamp>,
    /// Whether it did what it could.
    pub good: bool,
    /// `login`, `unreachable`, `no_export`, `no_room` or `stopped`.
    pub trouble: Option<String>,
}

impl Ledger {
    /// The runs that asked the site and had not ended before `since`, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn past_runs(&self, since: Timestamp) -> Result<Vec<PastRun>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT started, finished, outcome, trouble FROM runs
             WHERE at_site AND max(started, coalesce(finished, started)) >= ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([since.as_second()], past_run)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The replays since the last good one, the newest first, at most sixteen.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn replays_in_vain(&self) -> Result<Vec<PastRun>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT started, finished, outcome, trouble FROM runs
             WHERE verb = 'replay' AND id > coalesce((SELECT max(id) FROM runs WHERE verb = 'replay' AND outcome <> 'failed'), 0)
             ORDER BY id DESC LIMIT 16",
        )?;
        let rows = statement.query_map([], past_run)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many runs there have been: one more than before says that a run could begin.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn runs_so_far(&self) -> Result<i64, LedgerError> {
        Ok(self.connection.query_row("SELECT coalesce(max(id), 0) FROM runs", [], |row| row.get(0))?)
    }

    /// Records that runs which never ended did so, and why; to be called under the work lock. How many there were.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn close_unfinished_runs(
        &self,
        error: &str,
        trouble: Option<RunTrouble>,
        now: Timestamp,
    ) -> Result<usize, LedgerError> {
        Ok(self.connection.execute(
            "UPDATE runs SET finished = ?1, outcome = 'failed', error = ?2, trouble = ?3 WHERE finished IS NULL",
            params![now.as_second(), error, trouble.map(RunTrouble::as_str)],
        )?)
    }

    /// Records a run that failed before it could begin.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_run_not_begun(
        &self,
        verb: &str,
        firm_code: &str,
        error: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO runs (name, verb, at_site, firm_code, started, finished, outcome, error, program, invoked_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 'failed', ?6, ?7, ?8)",
            params![
                self.free_run_name(now)?,
                verb,
                verb == "ingest",
                firm_code,
                now.as_second(),
                error,
                crate::VERSION,
                invoked_by()
            ],
        )?;
        Ok(())
    }

    /// Records what stands at the site under names that no pattern matches, as listed now: what is gone is forgotten.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_strangers(&self, names: &[String], now: Timestamp) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        let listed = serde_json::to_string(names).unwrap_or_default();
        transaction.execute("DELETE FROM strangers WHERE name NOT IN (SELECT value FROM json_each(?1))", [&listed])?;
        transaction.execute(
            "INSERT INTO strangers (name, first_seen) SELECT value, ?2 FROM json_each(?1) WHERE true
             ON CONFLICT (name) DO NOTHING",
            params![listed, now.as_second()],
        )?;
        transaction.commit()?;
        Ok(())
    }
}

fn past_run(row: &Row<'_>) -> Result<PastRun, rusqlite::Error> {
    let outcome: Option<String> = row.get(2)?;
    let good = [Outcome::Complete, Outcome::Attention].map(|good| Some(good.as_str()));
    Ok(PastRun {
        began: timestamp(row.get(0)?),
        ended: row.get::<_, Option<i64>>(1)?.map(timestamp),
        good: good.contains(&outcome.as_deref()),
        trouble: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn strangers_are_those_of_the_last_listing_since_they_were_first_seen() {
        let ledger = Ledger::none().unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let seen = || {
            let mut statement =
                ledger.connection.prepare("SELECT name, first_seen FROM strangers ORDER BY name").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap()
        };
        ledger.note_strangers(&names(&["a's \"x\"", "b"]), at(1)).unwrap();
        ledger.note_strangers(&names(&["b", "c", "c"]), at(2)).unwrap();
        assert_eq!(seen(), [("b".to_owned(), 1), ("c".to_owned(), 2)]);
        ledger.note_strangers(&[], at(3)).unwrap();
        assert_eq!(seen(), []);
    }

    #[test]
    fn past_runs_are_those_of_the_site_with_how_they_ended() {
        let ledger = Ledger::none().unwrap();
        ledger.note_run_not_begun("ingest", "ACME", "no key", at(10)).unwrap();
        let refused = ledger.begin_run("ingest", true, "ACME", at(20)).unwrap();
        ledger.finish_run(refused, Outcome::Failed, Some("refused"), Some(RunTrouble::Login), at(25)).unwrap();
        let good = ledger.begin_run("ingest", true, "ACME", at(30)).unwrap();
        ledger.finish_run(good, Outcome::Attention, None, None, at(35)).unwrap();
        ledger.begin_run("replay", false, "ACME", at(40)).unwrap();
        ledger.begin_run("ingest", true, "ACME", at(50)).unwrap();
        let past = |began: i64, ended: Option<i64>, good: bool, trouble: Option<&str>| PastRun {
            began: at(began),
            ended: ended.map(at),
            good,
            trouble: trouble.map(str::to_owned),
        };
        let expected =
            [past(20, Some(25), false, Some("login")), past(30, Some(35), true, None), past(50, None, false, None)];
        assert_eq!(ledger.past_runs(at(22)).unwrap(), expected);
        assert_eq!(ledger.replays_in_vain().unwrap(), [past(40, Some(50), false, None)], "the run after it closed it");
        assert_eq!(ledger.close_unfinished_runs("ended", None, at(60)).unwrap(), 1);
        assert_eq!(ledger.past_runs(at(60)).unwrap(), [past(50, Some(60), false, None)]);
        assert_eq!(ledger.runs_so_far().unwrap(), 5);
    }
}
