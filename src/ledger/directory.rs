//! What the tenant said of its users last, and when: so that it is asked what changed, and nobody trusts an old answer
//! unknowingly.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::questions::timestamp;
use super::shapes::{deflate, inflate};
use super::{Ledger, LedgerError};

/// The tenant's users as they were said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryState {
    /// Whom they were asked of, and for what.
    pub source: String,
    /// In a form that this room does not look into.
    pub users: Vec<u8>,
    /// Where changes are asked for.
    pub link: String,
    /// What several users claim and none has, a line each.
    pub contested: Vec<String>,
}

/// How the asking stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryStanding {
    /// Whom the users were asked of, and for what.
    pub source: String,
    /// When the tenant answered last, if it ever did.
    pub refreshed: Option<Timestamp>,
    /// When it was asked last.
    pub tried: Timestamp,
    /// Why it did not answer then.
    pub error: Option<String>,
    /// What several users claim and none has, a line each.
    pub contested: Vec<String>,
}

impl Ledger {
    /// What the tenant said of its users last, if it was this source.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn directory(&self, source: &str) -> Result<Option<DirectoryState>, LedgerError> {
        let sql =
            "SELECT users, link, contested FROM directory WHERE source = ?1 AND users IS NOT NULL AND link IS NOT NULL";
        let row = self.connection.query_row(sql, [source], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        });
        let Some((users, link, contested)) = row.optional()? else { return Ok(None) };
        let users = inflate(&users).ok_or_else(|| LedgerError::Damaged("the tenant's users".to_owned()))?;
        Ok(Some(DirectoryState { source: source.to_owned(), users, link, contested: lines(&contested) }))
    }

    /// Keeps what the tenant said.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn keep_directory(&self, state: &DirectoryState, now: Timestamp) -> Result<(), LedgerError> {
        let DirectoryState { source, users, link, contested } = state;
        self.connection.execute(
            "INSERT INTO directory (one, source, users, link, refreshed, tried, error, contested)
             VALUES (1, ?1, ?2, ?3, ?4, ?4, NULL, ?5)
             ON CONFLICT (one) DO UPDATE SET source = excluded.source, users = excluded.users, link = excluded.link,
               refreshed = excluded.refreshed, tried = excluded.tried, error = NULL, contested = excluded.contested",
            params![source, deflate(users), link, now.as_second(), serde_json::json!(contested).to_string()],
        )?;
        Ok(())
    }

    /// Notes that the tenant was asked and did not answer. What it said before stays.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_directory_failed(&self, source: &str, error: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO directory (one, source, tried, error) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (one) DO UPDATE SET tried = excluded.tried, error = excluded.error",
            params![source, now.as_second(), error],
        )?;
        Ok(())
    }

    /// How the asking stands; none where the tenant was never asked.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn directory_standing(&self) -> Result<Option<DirectoryStanding>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT source, refreshed, tried, error, contested FROM directory")?;
        let row = statement.query_row([], |row| {
            Ok(DirectoryStanding {
                source: row.get(0)?,
                refreshed: row.get::<_, Option<i64>>(1)?.map(timestamp),
                tried: timestamp(row.get(2)?),
                error: row.get(3)?,
                contested: lines(&row.get::<_, String>(4)?),
            })
        });
        Ok(row.optional()?)
    }
}

fn lines(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_what_was_said_before_and_another_source_does_not() {
        let ledger = Ledger::none().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(ledger.directory_standing().unwrap(), None);
        ledger.note_directory_failed("t", "down", at(1)).unwrap();
        let standing = ledger.directory_standing().unwrap().unwrap();
        assert_eq!((standing.refreshed, standing.tried, standing.error.as_deref()), (None, at(1), Some("down")));
        assert_eq!(ledger.directory("t").unwrap(), None);
        let state = DirectoryState {
            source: "t".to_owned(),
            users: b"[1, 2]".to_vec(),
            link: "l".to_owned(),
            contested: vec!["x".to_owned()],
        };
        ledger.keep_directory(&state, at(2)).unwrap();
        ledger.note_directory_failed("t", "down", at(3)).unwrap();
        assert_eq!(ledger.directory("t").unwrap(), Some(state));
        let standing = ledger.directory_standing().unwrap().unwrap();
        assert_eq!((standing.refreshed, standing.tried, standing.contested.len()), (Some(at(2)), at(3), 1));
        assert_eq!(ledger.directory("other").unwrap(), None);
    }
}
