//! Notices: what goes out by which channel, how often that was tried, and how it ended.

use jiff::Timestamp;
use rusqlite::params;

use super::questions::timestamp;
use super::{Ledger, LedgerError};

/// A way to people, or to a program that watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// JSON to an address.
    Webhook,
    /// By SMTP.
    Mail,
    /// A dead man's switch.
    Ping,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::Mail, Self::Ping];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
            Self::Ping => "ping",
        }
    }

    fn parse(word: &str) -> Result<Self, LedgerError> {
        let found = Self::ALL.into_iter().find(|channel| channel.as_str() == word);
        found.ok_or_else(|| LedgerError::Damaged(format!("the channel {word:?}")))
    }
}

/// A notice's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeId(pub(super) i64);

impl std::fmt::Display for NoticeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A notice that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number.
    pub id: NoticeId,
    /// By which channel.
    pub channel: Channel,
    /// What it is for.
    pub kind: String,
    /// What is sent, as the channel needs it.
    pub body: String,
    /// When it was written.
    pub made: Timestamp,
    /// How often it was tried in vain.
    pub tries: u32,
}

/// A channel whose newest notices were given up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Undelivered {
    /// Which.
    pub channel: Channel,
    /// How many since the last one that got through.
    pub notices: u64,
    /// When the last was given up.
    pub given_up: Timestamp,
    /// Why it could not be sent.
    pub error: String,
}

impl Ledger {
    /// Hands a notice to a channel.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn queue_notice(&self, channel: Channel, kind: &str, body: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO notices (channel, kind, body, made, next_try) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![channel.as_str(), kind, body, now.as_second()],
        )?;
        Ok(())
    }

    /// Whether a notice is to be sent now. None waits longer than an hour; one that seems to was queued before the clock
    /// was set back.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn notices_due(&self, now: Timestamp) -> Result<bool, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM notices WHERE sent IS NULL AND given_up IS NULL AND NOT next_try BETWEEN ?1 + 1 AND ?1 + 3600 LIMIT 1",
        )?;
        Ok(statement.exists([now.as_second()])?)
    }

    /// The notices that are to be sent now by a channel, oldest first, a hundred at most.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn due_notices(&self, channel: Channel, now: Timestamp) -> Result<Vec<Notice>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, channel, kind, body, made, tries FROM notices
             WHERE sent IS NULL AND given_up IS NULL AND NOT next_try BETWEEN ?1 + 1 AND ?1 + 3600 AND channel = ?2 ORDER BY id LIMIT 100",
        )?;
        let mut rows = statement.query(params![now.as_second(), channel.as_str()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Notice {
                id: NoticeId(row.get(0)?),
                channel: Channel::parse(&row.get::<_, String>(1)?)?,
                kind: row.get(2)?,
                body: row.get(3)?,
                made: timestamp(row.get(4)?),
                tries: row.get(5)?,
            });
        }
        Ok(found)
    }

    /// Records that a notice got through.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_sent(&self, id: NoticeId, now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE notices SET sent = ?2, tries = tries + 1, error = NULL WHERE id = ?1",
            params![id.0, now.as_second()],
        )?;
        Ok(())
    }

    /// Records that a notice did not get through, and when it is tried again.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_unsent(&self, id: NoticeId, error: &str, next_try: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE notices SET tries = tries + 1, error = ?2, next_try = ?3 WHERE id = ?1",
            params![id.0, error, next_try.as_second()],
        )?;
        Ok(())
    }

    /// Lets a notice wait that was not tried, because its channel is dead.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn postpone_notice(&self, id: NoticeId, next_try: Timestamp) -> Result<(), LedgerError> {
        let sql = "UPDATE notices SET next_try = ?2 WHERE id = ?1";
        self.connection.execute(sql, params![id.0, next_try.as_second()])?;
        Ok(())
    }

    /// Records that a notice will not be tried again.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn give_notice_up(&self, id: NoticeId, error: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.connection.execute(
            "UPDATE notices SET tries = tries + 1, error = ?2, given_up = ?3 WHERE id = ?1",
            params![id.0, error, now.as_second()],
        )?;
        Ok(())
    }

    /// Withdraws the notices of a kind that wait for a channel, because a newer one takes their place.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn withdraw_notices(&self, channel: Channel, kind: &str) -> Result<(), LedgerError> {
        self.connection.execute(
            "DELETE FROM notices WHERE channel = ?1 AND kind = ?2 AND sent IS NULL AND given_up IS NULL",
            params![channel.as_str(), kind],
        )?;
        Ok(())
    }

    /// When the last notice of a kind was handed to a channel.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_notice(&self, channel: Channel, kind: &str) -> Result<Option<(Timestamp, String)>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT made, body FROM notices WHERE channel = ?1 AND kind = ?2 ORDER BY made DESC, id DESC LIMIT 1",
        )?;
        let mut rows = statement.query(params![channel.as_str(), kind])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((timestamp(row.get(0)?), row.get(1)?)))
    }

    /// The channels of which a notice was given up, and none got through since.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn undelivered(&self) -> Result<Vec<Undelivered>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT count(*), max(given_up), error FROM notices WHERE channel = ?1 AND given_up >
               coalesce((SELECT max(sent) FROM notices WHERE channel = ?1 AND sent IS NOT NULL), 0)",
        )?;
        let mut found = Vec::new();
        for channel in Channel::ALL {
            let row = statement.query_row([channel.as_str()], |row| {
                Ok((row.get::<_, u64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<String>>(2)?))
            })?;
            if let (notices, Some(given_up), error) = row {
                let (given_up, error) = (timestamp(given_up), error.unwrap_or_default());
                found.push(Undelivered { channel, notices, given_up, error });
            }
        }
        Ok(found)
    }
}
