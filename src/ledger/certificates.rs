//! Our certificates, for PGP and for the sign-in to Microsoft Entra, as the last run saw them: who watches their expiry
//! holds no key.

use jiff::Timestamp;
use rusqlite::params;

use super::questions::timestamp;
use super::{Ledger, LedgerError};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CertificateKind {
    /// ICE encrypts to it.
    #[default]
    Pgp,
    /// It signs in to Microsoft Entra.
    Entra,
}

impl CertificateKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pgp => "pgp",
            Self::Entra => "entra",
        }
    }
}

/// One of our certificates that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it is for.
    pub kind: CertificateKind,
    /// 40 upper-case hexadecimal digits; 64 for Entra.
    pub fingerprint: String,
    /// The credential it stands in.
    pub credential: String,
    /// When senders cannot encrypt to it any more, or nobody can sign in by it.
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
                "INSERT OR IGNORE INTO certificates (fingerprint, credential, expires, seen, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    certificate.fingerprint,
                    certificate.credential,
                    certificate.expires.map(Timestamp::as_second),
                    now.as_second(),
                    certificate.kind.as_str(),
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
            "SELECT fingerprint, credential, expires, kind FROM certificates
             ORDER BY expires IS NULL, expires, fingerprint",
        )?;
        let rows = statement.query_map([], |row| {
            let expires = row.get::<_, Option<i64>>(2)?.map(timestamp);
            let is_entra = row.get::<_, String>(3)? == CertificateKind::Entra.as_str();
            let kind = if is_entra { CertificateKind::Entra } else { CertificateKind::Pgp };
            Ok(Certificate { kind, fingerprint: row.get(0)?, credential: row.get(1)?, expires })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
