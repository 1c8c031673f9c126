//! Everybody whom exports name: with which mailbox, and when first and last; and when each mailbox last got an item.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{Ledger, LedgerError, Scratch};
use crate::mailbox::Mailbox;

/// A participant as one export names them, with one mailbox, or with none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What distinguishes them within the export: folded ImId and e-mail.
    pub key: String,
    /// As the export writes it.
    pub im_id: Option<String>,
    /// As the export writes it.
    pub email: Option<String>,
    /// As the export writes it.
    pub name: Option<String>,
    /// As the export writes it.
    pub company: Option<String>,
    /// The mailbox that was found.
    pub mailbox: Option<Mailbox>,
    /// Without one: whether they are none of ours.
    pub external: bool,
    /// Items they are a participant of.
    pub items: u64,
    /// Unix seconds.
    pub first_seen: i64,
    /// Unix seconds.
    pub last_seen: i64,
}

impl Seen {
    /// They are a participant of one more item. One conversation says less of them than another: what cannot be told is
    /// taken for ours, with the company that says so.
    pub fn again(&mut self, external: bool, name: Option<&str>, company: Option<&str>, time: i64) {
        if self.external && !external {
            self.external = false;
            self.company = company.map(str::to_owned);
        }
        if self.name.is_none() {
            self.name = name.map(str::to_owned);
        }
        self.items += 1;
        self.first_seen = self.first_seen.min(time);
        self.last_seen = self.last_seen.max(time);
    }

    /// The same person with the same mailbox, as later items name them.
    pub fn merge(&mut self, later: Self) {
        if self.external && !later.external {
            self.external = false;
            self.company = later.company;
        }
        self.name = self.name.take().or(later.name);
        self.items += later.items;
        self.first_seen = self.first_seen.min(later.first_seen);
        self.last_seen = self.last_seen.max(later.last_seen);
    }
}

impl Scratch<'_> {
    /// Adds participants, with the number of their items since the last call; as [`Seen::merge`].
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn add_seen(&self, person: &Seen) -> Result<(), LedgerError> {
        let sql = "INSERT INTO scratch.people VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                   ON CONFLICT DO UPDATE SET items = items + excluded.items,
                     company = iif(external > excluded.external, excluded.company, company),
                     external = min(external, excluded.external), name = coalesce(name, excluded.name),
                     first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)";
        self.connection.prepare_cached(sql)?.execute(params![
            person.key,
            person.mailbox.as_ref().map_or("", Mailbox::as_str),
            person.im_id,
            person.email,
            person.name,
            person.company,
            person.external,
            person.items,
            person.first_seen,
            person.last_seen,
        ])?;
        Ok(())
    }
}

impl Ledger {
    /// When each mailbox last got an item as a participant's, in UTC.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn captured(&self) -> Result<Vec<(Mailbox, Timestamp)>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT mailbox, last_seen FROM captured ORDER BY mailbox")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        rows.map(|row| {
            let (mailbox, seconds) = row?;
            let parsed = Mailbox::parse(&mailbox).ok().zip(Timestamp::from_second(seconds).ok());
            parsed.ok_or_else(|| LedgerError::Damaged(format!("the mailbox {mailbox:?} that was seen")))
        })
        .collect()
    }
}

/// Moves whom a pass saw into the ledger. What a row says of a person is what their newest item says; replaying an older
/// one changes nothing of it but the time they were first seen.
pub(super) fn take(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    transaction.execute_batch(
        "INSERT INTO main.people
         SELECT person, im_id, email, name, company, nullif(mailbox, ''), first_seen, last_seen FROM scratch.people
         WHERE true ORDER BY person, last_seen, mailbox
         ON CONFLICT (person) DO UPDATE SET
           name = iif(excluded.last_seen >= last_seen, coalesce(excluded.name, name), coalesce(name, excluded.name)),
           company = iif(excluded.last_seen >= last_seen, coalesce(excluded.company, company),
                         coalesce(company, excluded.company)),
           mailbox = CASE WHEN excluded.last_seen > last_seen THEN excluded.mailbox
                          WHEN excluded.last_seen = last_seen THEN coalesce(excluded.mailbox, mailbox)
                          ELSE mailbox END,
           first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen);
         INSERT INTO main.captured
         SELECT mailbox, min(first_seen), max(last_seen) FROM scratch.people WHERE mailbox <> '' GROUP BY mailbox
         ON CONFLICT (mailbox) DO UPDATE SET
           first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen);",
    )?;
    Ok(())
}
