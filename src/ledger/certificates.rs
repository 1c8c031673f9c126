//! Our certificates, for PGP and for the sign-in to Microsoft Entra, as the last run saw them: who watches their expiry
//! holds no key.

use jiff::Timestamp;
use rusqlite::params;

use super::questions::timestamp;
use super::{Deed, Ledger, LedgerError, What, chain, invoked_by};

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
        let transaction = self.writing()?;
        let before = self.keys_in_use()?;
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
        self.link_keys(&before, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// Keys are changed where no ledger is at hand, so it is the next run that says so.
    fn link_keys(&self, before: &[String], now: Timestamp) -> Result<(), LedgerError> {
        let certificates = self.keys_in_use()?;
        if certificates == before {
            return Ok(());
        }
        let what = What::Keys { certificates };
        chain::append_deed(
            &self.connection,
            &Deed { at: timestamp(now.as_second()), by: invoked_by(), run: None, what },
        )
    }

    /// The fingerprints of the certificates in use, sorted.
    pub(super) fn keys_in_use(&self) -> Result<Vec<String>, LedgerError> {
        chain::keys_in_use(&self.connection)
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
