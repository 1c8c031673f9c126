//! Our secret keys and the senders' certificates, as they are used: unlocked, and found by key id.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use sequoia_openpgp as openpgp;

use openpgp::cert::prelude::*;
use openpgp::crypto::{KeyPair, Password, SessionKey};
use openpgp::packet::PKESK;
use openpgp::packet::key::{SecretParts, UnspecifiedRole};
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::types::{HashAlgorithm, SymmetricAlgorithm};
use openpgp::{Cert, packet};

use super::Cause;

/// A key or certificate that cannot be used. Fatal to a run: each names the credential to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No OpenPGP key there.
    #[error("{name}: not an OpenPGP key")]
    Unreadable {
        /// The credential.
        name: String,
        /// Why.
        #[source]
        reason: Cause,
    },
    /// Nothing in it.
    #[error("{name}: holds no OpenPGP key")]
    Empty {
        /// The credential.
        name: String,
    },
    /// A certificate where a secret key is needed.
    #[error("{name}: holds only the public part of {fingerprint}; write it with `gpg --export-secret-keys --armor`")]
    PublicOnly {
        /// The credential.
        name: String,
        /// Which.
        fingerprint: String,
    },
    /// Secret, but of no use for decryption.
    #[error("{name}: {fingerprint} has no secret key that can decrypt")]
    NoDecryptionKey {
        /// The credential.
        name: String,
        /// Which.
        fingerprint: String,
    },
    /// No passphrase fits.
    #[error("{name}: {fingerprint} is protected and no passphrase in keys.passphrases opens it")]
    Locked {
        /// The credential.
        name: String,
        /// Which.
        fingerprint: String,
    },
}

type SecretKey = packet::Key<SecretParts, UnspecifiedRole>;

/// A secret key with the certificate it belongs to.
#[derive(Clone)]
pub(super) struct Unlocked {
    pub(super) cert: Arc<Cert>,
    /// The credential it stands in.
    name: String,
    pair: KeyPair,
}

/// What is to be watched of one of our certificates: decryption ignores its end, senders do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurCertificate {
    /// 40 upper-case hexadecimal digits.
    pub fingerprint: String,
    /// The credential's name.
    pub credential: String,
    /// When the primary key or the last of the encryption subkeys ends, whichever is sooner.
    pub expires: Option<SystemTime>,
}

impl OurCertificate {
    fn of(key: &Unlocked) -> Self {
        Self { fingerprint: key.cert.fingerprint().to_hex(), credential: key.name.clone(), expires: expiry(&key.cert) }
    }
}

fn expiry(cert: &Cert) -> Option<SystemTime> {
    // Also what an old gpg signed itself with SHA-1 has an end.
    let mut policy = StandardPolicy::new();
    policy.accept_hash(HashAlgorithm::SHA1);
    let valid = cert.with_policy(&policy, None).ok()?;
    let subkeys = valid.keys().for_transport_encryption().map(|key| key.key_expiration_time());
    // A subkey without an end outlasts all others.
    let last = subkeys.max_by_key(|end| (end.is_none(), *end)).flatten();
    [valid.primary_key().key_expiration_time(), last].into_iter().flatten().min()
}

/// Our secret keys, unlocked. What was encrypted to us is opened whether or not the certificate has expired or was
/// revoked meanwhile: chats of that time still have to be archived.
pub struct SecretKeys {
    keys: Vec<Unlocked>,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKeys").field(&self.fingerprints()).finish()
    }
}

impl SecretKeys {
    /// Reads and unlocks keys, armoured or binary, any number in each credential; passphrases (a line end after each
    /// is ignored) are tried on whatever is protected.
    ///
    /// # Errors
    /// Where any of them cannot be used.
    pub fn parse<K: AsRef<[u8]>, P: AsRef<[u8]>>(keys: &[(String, K)], passphrases: &[P]) -> Result<Self, KeyError> {
        let passwords: Vec<Password> = passphrases.iter().map(|text| password(text.as_ref())).collect();
        let mut unlocked = Vec::new();
        for (name, bytes) in keys {
            for cert in certificates(name, bytes.as_ref())? {
                unlocked.extend(unlock(name, cert, &passwords)?);
            }
        }
        Ok(Self { keys: unlocked })
    }

    /// These and further ones, which are tried last.
    #[must_use]
    pub fn with(&self, more: Self) -> Self {
        Self { keys: self.keys.iter().cloned().chain(more.keys).collect() }
    }

    /// The certificates' fingerprints, in the order of the credentials.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.keys.iter().map(|key| key.cert.fingerprint().to_hex()).collect();
        all.dedup();
        all
    }

    /// Each certificate with the credential it stands in and when senders cannot encrypt to it any more, in the order of
    /// the credentials.
    pub fn certificates(&self) -> Vec<OurCertificate> {
        let mut all: Vec<OurCertificate> = self.keys.iter().map(OurCertificate::of).collect();
        all.dedup();
        all
    }

    /// Opens the session key with whichever key fits and satisfies `accept`: named recipients first, then every key
    /// for each hidden one.
    pub(super) fn open(
        &self,
        recipients: &[PKESK],
        algorithm: Option<SymmetricAlgorithm>,
        accept: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> Option<&Unlocked> {
        let named = recipients.iter().filter(|pkesk| pkesk.recipient().is_some());
        let hidden = recipients.iter().filter(|pkesk| pkesk.recipient().is_none());
        named.chain(hidden).find_map(|pkesk| {
            self.candidates(pkesk).find(|key| {
                let opened = pkesk.decrypt(&mut key.pair.clone(), algorithm);
                opened.is_some_and(|(algorithm, session_key)| accept(algorithm, &session_key))
            })
        })
    }

    /// Whether one of the recipients is named as ours.
    pub(super) fn are_named_in(&self, recipients: &[PKESK]) -> bool {
        recipients.iter().any(|pkesk| pkesk.recipient().is_some() && self.candidates(pkesk).next().is_some())
    }

    fn candidates(&self, pkesk: &PKESK) -> impl Iterator<Item = &Unlocked> {
        let (recipient, algorithm) = (pkesk.recipient(), pkesk.pk_algo());
        self.keys.iter().filter(move |key| match &recipient {
            Some(recipient) => key.pair.public().key_handle().aliases(recipient),
            None => key.pair.public().pk_algo() == algorithm,
        })
    }
}

fn certificates(name: &str, bytes: &[u8]) -> Result<Vec<Cert>, KeyError> {
    let unreadable =
        |reason: openpgp::anyhow::Error| KeyError::Unreadable { name: name.to_owned(), reason: reason.into() };
    let parser = CertParser::from_bytes(bytes).map_err(unreadable)?;
    let certs = parser.collect::<openpgp::Result<Vec<Cert>>>().map_err(unreadable)?;
    if certs.is_empty() { Err(KeyError::Empty { name: name.to_owned() }) } else { Ok(certs) }
}

fn unlock(name: &str, cert: Cert, passwords: &[Password]) -> Result<Vec<Unlocked>, KeyError> {
    let (name, fingerprint) = (name.to_owned(), cert.fingerprint().to_hex());
    if !cert.is_tsk() {
        return Err(KeyError::PublicOnly { name, fingerprint });
    }
    let cert = Arc::new(cert);
    // Without a policy: neither expiry nor revocation nor the hash of an old self-signature matters here.
    let secret: Vec<SecretKey> = cert.keys().secret().map(|amalgamation| amalgamation.key().clone()).collect();
    let mut keys = secret.into_iter().filter(|key| key.pk_algo().for_encryption()).peekable();
    if keys.peek().is_none() {
        return Err(KeyError::NoDecryptionKey { name, fingerprint });
    }
    // One that opens is enough: others may be stubs of a smart card, or of a cipher that nobody supports any more.
    let pairs = keys.filter_map(|key| open_with(key, passwords).and_then(|key| key.into_keypair().ok()));
    let unlocked: Vec<Unlocked> = pairs.map(|pair| Unlocked { cert: cert.clone(), name: name.clone(), pair }).collect();
    if unlocked.is_empty() { Err(KeyError::Locked { name, fingerprint }) } else { Ok(unlocked) }
}

fn open_with(key: SecretKey, passwords: &[Password]) -> Option<SecretKey> {
    if key.has_unencrypted_secret() {
        return Some(key);
    }
    passwords.iter().find_map(|password| key.clone().decrypt_secret(password).ok())
}

/// A passphrase as it stands in a file: editors leave a line end behind it.
fn password(text: &[u8]) -> Password {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text).into()
}

/// The certificates of which one must have signed each export.
#[derive(Clone)]
pub struct Signers {
    certs: Vec<Cert>,
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signers").field(&self.fingerprints()).finish()
    }
}

impl Signers {
    /// Reads certificates, armoured or binary, any number in each credential.
    ///
    /// # Errors
    /// Where one of them holds none.
    pub fn parse<C: AsRef<[u8]>>(certs: &[(String, C)]) -> Result<Self, KeyError> {
        let mut all = Vec::new();
        for (name, bytes) in certs {
            // A secret key given by mistake must not be carried along.
            all.extend(certificates(name, bytes.as_ref())?.into_iter().map(Cert::strip_secret_key_material));
        }
        Ok(Self { certs: all })
    }

    /// The certificates' fingerprints, in the order of the credentials.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certs.iter().map(|cert| cert.fingerprint().to_hex()).collect()
    }

    pub(super) fn certs(&self) -> Vec<Cert> {
        self.certs.clone()
    }
}
