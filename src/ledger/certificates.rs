//! Our PGP certificates as the last run saw them: who watches their expiry holds no key.

use jiff::Timestamp;
use rusqlite::params;

use super::questions::timestamp;
use super::{Ledger, LedgerError};

/// One of our certificates that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// 40 upper-case hexadecimal digits.
    pub fingerprint: String,
    /// The credential it stands in.
    pub credential: String,
    /// When senders cannot encrypt to it any more.
    pub expires: Option<Timestamp>,
}

impl Ledger {
    /// Records the certificates in use; those that were and are not any more are forgotten.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_certificates(&self, all: &[Certificate], now: Timestamp) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM certificates", [])?;
        for certificate in all {
            transaction.execute(
                "INSERT OR IGNORE INTO certificates (fingerprint, credential, expires, seen) VALUES (?1, ?2, ?3, ?4)",
                params![
                    certificate.fingerprint,
                    certificate.credential,
                    certificate.expires.map(Timestamp::as_second),
                    now.as_second(),
                ],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The certificates in use as the last run saw them, those first that end first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn certificates(&self) -> Result<Vec<Certificate>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT fingerprint, credential, expires FROM certificates ORDER BY expires IS NULL, expires, fingerprint",
        )?;
        let rows = statement.query_map([], |row| {
            let expires = row.get::<_, Option<i64>>(2)?.map(timestamp);
            Ok(Certificate { fingerprint: row.get(0)?, credential: row.get(1)?, expires })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
