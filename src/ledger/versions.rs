//! How mapping and mailbox list came to be what they are: what was put in force, when and by whom, and what was rejected.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::questions::timestamp;
use super::{Ledger, LedgerError, chain};
use crate::digest::Sha256;

/// How many errors of one rejected set are kept; the files beside the CSVs name more.
const KEPT_ERRORS: usize = 100;

/// What a set changed when it came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who put it in force.
    pub put_by: String,
    /// How many entries the whole set has.
    pub entries: u64,
    /// Entries that the set before did not have.
    pub added: u64,
    /// Entries that only the set before had.
    pub removed: u64,
    /// Entries of both that say something else.
    pub changed: u64,
    /// What a person should look at: a JSON array of `{"kind", "words"}`.
    #[serde(serialize_with = "as_json")]
    pub concerns: String,
}

/// One set that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// `mapping` or `list`.
    pub kind: String,
    /// Of its canonical form, hexadecimal.
    pub digest: String,
    /// When it came into force.
    pub since: Timestamp,
    /// What it changed.
    #[serde(flatten)]
    pub change: Change,
}

/// The kind of a rejection that is the configuration's.
pub const CONFIGURATION: &str = "configuration";

/// Operators' files that did not count, or do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// `mapping`, `list` or `configuration`.
    pub kind: String,
    /// When the first set that was no good was seen.
    pub since: Timestamp,
    /// What is wrong, a hundred lines at most; no cell is quoted.
    pub errors: Vec<String>,
}

fn as_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<serde_json::Value>(text).unwrap_or_default().serialize(serializer)
}

impl Ledger {
    /// Puts a good mapping or list in force, unless it is already. Whether it was not. What was rejected of its kind
    /// before is mended by it.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn put_in_force(&self, kind: &str, bytes: &[u8], change: &Change, now: Timestamp) -> Result<bool, LedgerError> {
        let transaction = self.writing()?;
        let digest = self.keep_shape(kind, bytes)?;
        let is_new = transaction.execute(
            "INSERT INTO in_force (kind, digest, since) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind) DO UPDATE SET digest = excluded.digest, since = excluded.since, replayed = 0
             WHERE digest <> excluded.digest",
            params![kind, digest.0, now.as_second()],
        )? > 0;
        if is_new {
            let Change { put_by, entries, added, removed, changed, concerns } = change;
            transaction.execute(
                "INSERT INTO versions (kind, digest, since, put_by, entries, added, removed, changed, concerns, linked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1)",
                params![kind, digest.0, now.as_second(), put_by, entries, added, removed, changed, concerns],
            )?;
            chain::append(&transaction, chain::Source::InForce, transaction.last_insert_rowid())?;
            self.note_mended(kind, now)?;
        }
        transaction.commit()?;
        Ok(is_new)
    }

    /// Every set that came into force, the newest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn versions(&self) -> Result<Vec<Version>, LedgerError> {
        let mut statement = self.connection.prepare(&format!("{SELECT_VERSION} ORDER BY id DESC"))?;
        let rows = statement.query_map([], version)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How the mapping or list (`kind`) that is in force came to be so.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn version_in_force(&self, kind: &str) -> Result<Option<Version>, LedgerError> {
        let mut statement =
            self.connection.prepare(&format!("{SELECT_VERSION} WHERE kind = ?1 ORDER BY id DESC LIMIT 1"))?;
        Ok(statement.query_row([kind], version).optional()?)
    }

    /// Notes what is wrong with operators' files of this kind; until they are mended it is one rejection, whatever else
    /// becomes wrong with them.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_rejected(&self, kind: &str, errors: &[String], now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO rejections (kind, since, errors) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind) WHERE mended IS NULL DO UPDATE SET errors = excluded.errors
             WHERE errors <> excluded.errors",
            params![kind, now.as_second(), serde_json::json!(at_most(errors)).to_string()],
        )?;
        Ok(())
    }

    /// Notes that operators' files of this kind are good. Whether they were not.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_mended(&self, kind: &str, now: Timestamp) -> Result<bool, LedgerError> {
        let mended = self.connection.execute(
            "UPDATE rejections SET mended = ?2 WHERE kind = ?1 AND mended IS NULL",
            params![kind, now.as_second()],
        )?;
        Ok(mended > 0)
    }

    /// What is rejected now, the oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_rejections(&self) -> Result<Vec<Rejection>, LedgerError> {
        let mut statement =
            self.connection.prepare("SELECT kind, since, errors FROM rejections WHERE mended IS NULL ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
        let read = |(kind, since, errors): (String, i64, String)| {
            let damaged = |_| LedgerError::Damaged(format!("what is wrong with the rejected {kind}"));
            let errors = serde_json::from_str(&errors).map_err(damaged)?;
            Ok(Rejection { since: timestamp(since), errors, kind })
        };
        rows.map(|row| read(row?)).collect()
    }

    /// The configuration's rejection, until a good one came into force.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn configuration_rejection(&self) -> Result<Option<Rejection>, LedgerError> {
        Ok(self.open_rejections()?.into_iter().find(|rejection| rejection.kind == CONFIGURATION))
    }

    /// Forgets what was wrong with files that were mended before a time.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn forget_rejections(&self, mended_before: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute("DELETE FROM rejections WHERE mended < ?1", [mended_before.as_second()])?;
        Ok(())
    }

    /// Each `ImId` that exports named with an e-mail, and the e-mail that was seen last, as the exports write them.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn known_emails(&self) -> Result<Vec<(String, String)>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT im_id, email FROM people WHERE im_id IS NOT NULL AND email IS NOT NULL ORDER BY last_seen, person",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

const SELECT_VERSION: &str =
    "SELECT kind, digest, since, put_by, entries, added, removed, changed, concerns FROM versions";

fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        kind: row.get(0)?,
        digest: Sha256(row.get(1)?).to_string(),
        since: timestamp(row.get(2)?),
        change: Change {
            put_by: row.get(3)?,
            entries: row.get(4)?,
            added: row.get(5)?,
            removed: row.get(6)?,
            changed: row.get(7)?,
            concerns: row.get(8)?,
        },
    })
}

/// The first errors, and how many more there are.
fn at_most(errors: &[String]) -> Vec<String> {
    if errors.len() <= KEPT_ERRORS {
        return errors.to_vec();
    }
    let first = &errors[..KEPT_ERRORS - 1];
    first.iter().cloned().chain([format!("and {} more errors", errors.len() - first.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn change(entries: u64) -> Change {
        let concerns = r#"[{"kind":"moved","words":"a"}]"#.to_owned();
        Change { put_by: "amy (ingest)".to_owned(), entries, added: 1, removed: 2, changed: 3, concerns }
    }

    #[test]
    fn each_set_that_comes_into_force_is_a_version_and_mends_what_was_rejected() {
        let ledger = Ledger::none().unwrap();
        assert_eq!(ledger.version_in_force("mapping").unwrap(), None);
        assert!(ledger.put_in_force("mapping", b"a\tb\n", &change(1), at(1)).unwrap());
        assert!(!ledger.put_in_force("mapping", b"a\tb\n", &change(1), at(2)).unwrap());
        ledger.note_rejected("mapping", &["worse".to_owned()], at(3)).unwrap();
        ledger.note_rejected("list", &["short".to_owned()], at(3)).unwrap();
        assert!(!ledger.put_in_force("mapping", b"a\tb\n", &change(1), at(3)).unwrap());
        assert_eq!(ledger.open_rejections().unwrap().len(), 2, "an old set mends nothing");
        assert!(ledger.put_in_force("mapping", b"", &change(0), at(4)).unwrap());
        assert!(ledger.put_in_force("mapping", b"a\tb\n", &change(1), at(5)).unwrap());
        let open = ledger.open_rejections().unwrap();
        assert_eq!(open.iter().map(|open| open.kind.as_str()).collect::<Vec<_>>(), ["list"]);
        let versions = ledger.versions().unwrap();
        let times: Vec<_> = versions.iter().map(|version| version.since.as_second()).collect();
        assert_eq!(times, [5, 4, 1]);
        assert_eq!(ledger.version_in_force("mapping").unwrap().as_ref(), versions.first());
        assert_eq!(serde_json::json!(versions[0])["concerns"][0]["kind"], "moved");
    }

    #[test]
    fn a_rejection_stays_one_until_it_is_mended_and_is_forgotten_later() {
        let ledger = Ledger::none().unwrap();
        assert!(!ledger.note_mended("mapping", at(1)).unwrap());
        let errors: Vec<_> = (1..=250).map(|line| format!("desk.csv:{line}")).collect();
        ledger.note_rejected("mapping", &errors[..1], at(10)).unwrap();
        ledger.note_rejected("mapping", &errors, at(20)).unwrap();
        let open = ledger.open_rejections().unwrap();
        assert_eq!((open.len(), open[0].since, open[0].errors.len()), (1, at(10), 100));
        assert_eq!(open[0].errors[99], "and 151 more errors");
        ledger.forget_rejections(at(1000)).unwrap();
        assert!(ledger.note_mended("mapping", at(30)).unwrap(), "an open one is never forgotten");
        ledger.note_rejected("mapping", &errors[..100], at(40)).unwrap();
        assert_eq!(ledger.open_rejections().unwrap()[0].errors, errors[..100]);
        let kept = || ledger.connection.query_row("SELECT count(*) FROM rejections", [], |row| row.get::<_, u64>(0));
        ledger.forget_rejections(at(30)).unwrap();
        assert_eq!(kept().unwrap(), 2);
        ledger.forget_rejections(at(31)).unwrap();
        assert_eq!(kept().unwrap(), 1);
    }

    #[test]
    fn of_several_e_mails_the_last_seen_comes_last() {
        let ledger = Ledger::none().unwrap();
        let insert = "INSERT INTO people (person, im_id, email, first_seen, last_seen) VALUES (?1, ?2, ?3, 0, ?4)";
        for (person, im_id, email, last) in
            [("1", Some("amy"), Some("new@x"), 9), ("2", Some("amy"), Some("old@x"), 5), ("3", None, Some("y@x"), 7)]
        {
            ledger.connection.execute(insert, params![person, im_id, email, last]).unwrap();
        }
        let emails = ledger.known_emails().unwrap();
        assert_eq!(emails, [("amy".to_owned(), "old@x".to_owned()), ("amy".to_owned(), "new@x".to_owned())]);
    }
}
