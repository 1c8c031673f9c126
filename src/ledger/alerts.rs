//! Alerts: which are open, which a person acknowledged, which were told.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::invoked_by;
use super::questions::timestamp;
use super::{Ledger, LedgerError};

/// An alert's row, by which a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct AlertId(pub i64);

/// A person's word that an alert need not be told for a while.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ack {
    /// The last day of the silence, in the schedule's time zone.
    pub until: Date,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An alert as recorded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AlertRow {
    /// Its number.
    pub id: AlertId,
    /// The kind's name.
    pub kind: String,
    /// What it is about, among those of its kind.
    pub subject: String,
    /// What, where, and what to do.
    pub words: String,
    /// When it was first seen.
    pub raised: Timestamp,
    /// When it was gone.
    pub ended: Option<Timestamp>,
    /// When it was last told.
    pub told: Option<Timestamp>,
    /// Whether, and until when, a person silenced it.
    pub ack: Option<Ack>,
}

const COLUMNS: &str = "id, kind, subject, words, raised, ended, told, acked_until, acked_by, acked_reason, acked";

impl AlertRow {
    fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        let until: Option<String> = row.get(7)?;
        let ack = match until {
            None => None,
            Some(until) => Some(Ack {
                until: until.parse().map_err(|_| LedgerError::Damaged(format!("the day {until:?} of an alert")))?,
                by: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
                reason: row.get(9)?,
                at: row.get::<_, Option<i64>>(10)?.map_or(Timestamp::UNIX_EPOCH, timestamp),
            }),
        };
        Ok(Self {
            id: AlertId(row.get(0)?),
            kind: row.get(1)?,
            subject: row.get(2)?,
            words: row.get(3)?,
            raised: timestamp(row.get(4)?),
            ended: row.get::<_, Option<i64>>(5)?.map(timestamp),
            told: row.get::<_, Option<i64>>(6)?.map(timestamp),
            ack,
        })
    }
}

impl Ledger {
    /// The alerts whose condition lasts, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_alerts(&self) -> Result<Vec<AlertRow>, LedgerError> {
        self.alerts_where("ended IS NULL")
    }

    /// All alerts there ever were, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn all_alerts(&self) -> Result<Vec<AlertRow>, LedgerError> {
        self.alerts_where("true")
    }

    /// Alerts that a person acknowledged, open or not: of what happened once, that is the end.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn acknowledged_alerts(&self) -> Result<Vec<AlertRow>, LedgerError> {
        self.alerts_where("acked IS NOT NULL")
    }

    fn alerts_where(&self, condition: &str) -> Result<Vec<AlertRow>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE {condition} ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(AlertRow::read(row)?);
        }
        Ok(found)
    }

    /// Opens an alert.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn raise_alert(&self, kind: &str, subject: &str, words: &str, now: Timestamp) -> Result<AlertRow, LedgerError> {
        self.connection
            .prepare_cached("INSERT INTO alerts (kind, subject, words, raised) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![kind, subject, words, now.as_second()])?;
        Ok(AlertRow {
            id: AlertId(self.connection.last_insert_rowid()),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            words: words.to_owned(),
            raised: now,
            ended: None,
            told: None,
            ack: None,
        })
    }

    /// Says an alert in the words of today.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn reword_alert(&self, id: AlertId, words: &str) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached("UPDATE alerts SET words = ?2 WHERE id = ?1")?;
        statement.execute(params![id.0, words])?;
        Ok(())
    }

    /// Closes an alert whose condition is gone.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn end_alert(&self, id: AlertId, now: Timestamp) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached("UPDATE alerts SET ended = ?2 WHERE id = ?1")?;
        statement.execute(params![id.0, now.as_second()])?;
        Ok(())
    }

    /// Notes that an alert was handed to the channels.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_told(&self, id: AlertId, now: Timestamp) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached("UPDATE alerts SET told = ?2 WHERE id = ?1")?;
        statement.execute(params![id.0, now.as_second()])?;
        Ok(())
    }

    /// Silences an open alert up to and with a day, and records who did. Whether there is such an alert.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn ack_alert(
        &self,
        id: AlertId,
        until: Date,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let changed = self.connection.execute(
            "UPDATE alerts SET acked_until = ?2, acked_by = ?3, acked_reason = ?4, acked = ?5
             WHERE id = ?1 AND ended IS NULL",
            params![id.0, until.to_string(), invoked_by(), reason, now.as_second()],
        )?;
        Ok(changed == 1)
    }

    /// An alert by its number.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn alert(&self, id: AlertId) -> Result<Option<AlertRow>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE id = ?1");
        let found = self.connection.query_row(&sql, [id.0], |row| Ok(AlertRow::read(row))).optional()?;
        found.transpose()
    }

    /// Makes several changes, all or none of them.
    ///
    /// # Errors
    /// Those of the changes, or where the ledger cannot be written.
    pub fn all_or_none<T>(&self, change: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let done = change()?;
        transaction.commit()?;
        Ok(done)
    }
}
