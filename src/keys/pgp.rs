//! OpenPGP keys: made, and described by their public part.

mod extend;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sequoia_openpgp as openpgp;
use serde::Serialize;
use zeroize::Zeroizing;

use openpgp::cert::prelude::*;
use openpgp::crypto::Password;
use openpgp::crypto::mpi::PublicKey;
use openpgp::packet::Key;
use openpgp::packet::key::{KeyParts, KeyRole};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::parse::Parse;
use openpgp::policy::{Policy, StandardPolicy};
use openpgp::serialize::SerializeInto;
use openpgp::types::{CompressionAlgorithm, Features, HashAlgorithm, KeyFlags, RevocationStatus, SignatureType};
use openpgp::{Cert, Profile};

pub(super) use extend::extended;

use super::{KeyFile, KeysError, Protection};

/// How long a new certificate is valid (contract 3): two years.
const VALIDITY: Duration = Duration::from_hours(2 * 365 * 24);

/// What is known of an OpenPGP key without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct PgpKey {
    /// The credential's name.
    pub name: String,
    /// Where it was found.
    pub file: PathBuf,
    /// 40 upper-case hexadecimal digits.
    pub fingerprint: String,
    /// The key ids of what decrypts, 16 upper-case hexadecimal digits each: messages name these, not the fingerprint.
    pub decrypts: Vec<String>,
    /// The first user id, if any.
    pub user_id: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When senders cannot encrypt to it any more; decryption ignores it.
    pub expires: Option<Timestamp>,
    /// Whether a revocation is in it.
    pub revoked: bool,
    /// The primary key's and the encryption subkeys', for example `Ed25519, Curve25519`.
    pub algorithm: String,
    /// Whether what decrypts asks for a passphrase.
    pub protection: Protection,
    /// The certificate, armoured, without any secret.
    #[serde(skip)]
    pub certificate: String,
}

/// A new key without passphrase, as `gpg --export-secret-keys --armor` writes it: what gpg 2.2 makes by itself, and can
/// encrypt to.
pub(super) fn generate(user_id: &str) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    generated(user_id).map_err(|reason| KeysError::Make { kind: "PGP", reason: reason.into() })
}

fn generated(user_id: &str) -> openpgp::Result<Zeroizing<Vec<u8>>> {
    use CompressionAlgorithm::{BZip2, Zip, Zlib};
    // What gpg says of its own keys: without it, gpg warns a sender who compresses otherwise than by ZIP.
    let user = SignatureBuilder::new(SignatureType::PositiveCertification);
    let user = user.set_preferred_compression_algorithms(vec![Zlib, BZip2, Zip])?;
    let encryption = KeyFlags::empty().set_transport_encryption().set_storage_encryption();
    let (cert, _) = CertBuilder::new()
        .set_profile(Profile::RFC4880)?
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_features(Features::empty().set_seipdv1())?
        .set_validity_period(VALIDITY)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_subkey(encryption, None, None)
        .add_userid_with(user_id, user)?
        .generate()?;
    Ok(Zeroizing::new(cert.as_tsk().armored().to_vec()?))
}

/// The facts of each key in a credential.
pub(super) fn describe(key: &KeyFile, passphrases: &[&[u8]]) -> Result<Vec<PgpKey>, KeysError> {
    let described = |cert| facts(key, cert, passphrases).map_err(|reason| unreadable(key, reason));
    certs_of(key)?.into_iter().map(described).collect()
}

/// The certificates in a credential, at least one.
fn certs_of(key: &KeyFile) -> Result<Vec<Cert>, KeysError> {
    let certs = CertParser::from_bytes(&key.secret).and_then(Iterator::collect::<openpgp::Result<Vec<Cert>>>);
    let certs = certs.map_err(|reason| unreadable(key, reason))?;
    if certs.is_empty() { Err(unreadable(key, openpgp::anyhow::anyhow!("it holds none"))) } else { Ok(certs) }
}

fn unreadable(key: &KeyFile, reason: openpgp::anyhow::Error) -> KeysError {
    KeysError::Unreadable { name: key.name.clone(), kind: "OpenPGP", reason: reason.into() }
}

fn facts(key: &KeyFile, cert: Cert, passphrases: &[&[u8]]) -> openpgp::Result<PgpKey> {
    let protection = protection(&cert, passphrases);
    let policy = policy();
    let created = cert.primary_key().key().creation_time();
    let user_id = cert.userids().next().map(|user| String::from_utf8_lossy(user.userid().value()).into_owned());
    Ok(PgpKey {
        name: key.name.clone(),
        file: key.path.clone(),
        fingerprint: cert.fingerprint().to_hex(),
        decrypts: decrypting(&cert),
        user_id: user_id.map(|name| name.chars().filter(|letter| !letter.is_control()).collect()),
        created: Timestamp::try_from(created)?,
        expires: expiry(&cert, &policy).map(Timestamp::try_from).transpose()?,
        revoked: matches!(cert.revocation_status(&policy, None), RevocationStatus::Revoked(_)),
        algorithm: algorithms(&cert),
        protection,
        certificate: armoured(cert)?,
    })
}

fn decrypting(cert: &Cert) -> Vec<String> {
    let keys = cert.keys().filter(|key| key.key().pk_algo().for_encryption());
    keys.map(|key| key.key().keyid().to_hex()).collect()
}

/// Also what an old gpg signed itself with SHA-1 has an expiry to show.
fn policy() -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::new();
    policy.accept_hash(HashAlgorithm::SHA1);
    policy
}

/// When the primary key or the last of the encryption subkeys ends, whichever is sooner.
fn expiry(cert: &Cert, policy: &dyn Policy) -> Option<SystemTime> {
    let valid = cert.with_policy(policy, None).ok()?;
    let primary = valid.primary_key().key_expiration_time();
    let mut ends: Vec<Option<SystemTime>> =
        valid.keys().for_transport_encryption().map(|key| key.key_expiration_time()).collect();
    // A subkey without an end outlasts all others.
    ends.sort_by_key(|end| (end.is_none(), *end));
    let subkeys = ends.pop().flatten();
    [primary, subkeys].into_iter().flatten().min()
}

fn algorithms(cert: &Cert) -> String {
    let subkeys = cert.keys().subkeys().filter(|subkey| subkey.key().pk_algo().for_encryption());
    let mut names = vec![algorithm(cert.primary_key().key())];
    names.extend(subkeys.map(|subkey| algorithm(subkey.key())));
    names.join(", ")
}

fn algorithm<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> String {
    match key.mpis() {
        PublicKey::RSA { .. } => format!("RSA-{}", key.mpis().bits().unwrap_or_default()),
        PublicKey::EdDSA { curve, .. } | PublicKey::ECDSA { curve, .. } | PublicKey::ECDH { curve, .. } => {
            curve.to_string()
        }
        _ => key.pk_algo().to_string(),
    }
}

fn passwords(passphrases: &[&[u8]]) -> Vec<Password> {
    passphrases.iter().map(|text| Password::from(*text)).collect()
}

fn protection(cert: &Cert, passphrases: &[&[u8]]) -> Protection {
    let passwords = passwords(passphrases);
    let secret = cert.keys().secret().map(|key| key.key().clone());
    let mut locked = secret.filter(|key| key.pk_algo().for_encryption() && !key.has_unencrypted_secret()).peekable();
    if locked.peek().is_none() {
        return Protection::None;
    }
    let opens = locked.all(|key| passwords.iter().any(|password| key.clone().decrypt_secret(password).is_ok()));
    if opens { Protection::Opened } else { Protection::Locked }
}

fn armoured(cert: Cert) -> openpgp::Result<String> {
    Ok(String::from_utf8(cert.strip_secret_key_material().armored().export_to_vec()?)?)
}
