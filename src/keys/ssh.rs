//! SSH key pairs: made, and described by their public part.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, Unit};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::ssh_key::{self, LineEnding};
use russh::keys::{Algorithm, HashAlg, PrivateKey, decode_secret_key};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{KeyFile, KeysError, Protection};

/// Bits of a new RSA key.
const RSA_BITS: usize = 4096;

/// What is known of an SSH key without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct SshKey {
    /// The credential's name.
    pub name: String,
    /// Where it was found.
    pub file: PathBuf,
    /// For example `ssh-ed25519`, `ssh-rsa` (RFC 8709, RFC 4253).
    pub algorithm: String,
    /// `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The line for `authorized_keys`: algorithm, base64, comment.
    pub public_line: String,
    /// When its file was written, if that can be told; the key itself does not say when it was made.
    pub written: Option<Timestamp>,
    /// Whether it asks for a passphrase.
    pub protection: Protection,
}

/// A new key without passphrase, as `ssh-keygen` writes it.
pub(super) fn generate(comment: &str, rsa: bool) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let text = generated(comment, rsa).and_then(|key| key.to_openssh(LineEnding::LF));
    let text = text.map_err(|reason| KeysError::Make { kind: "SSH", reason: reason.into() })?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn generated(comment: &str, rsa: bool) -> ssh_key::Result<PrivateKey> {
    if rsa {
        let pair = RsaKeypair::random(&mut safe_rng(), RSA_BITS)?;
        return PrivateKey::new(KeypairData::from(pair), comment);
    }
    let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
    key.set_comment(comment);
    Ok(key)
}

/// The facts of a key in any format that the SSH library reads.
pub(super) fn describe(key: &KeyFile, passphrases: &[&[u8]]) -> Result<SshKey, KeysError> {
    let unreadable = |reason| KeysError::Unreadable { name: key.name.clone(), kind: "SSH", reason };
    let (secret, protection) = read(&key.secret, passphrases).map_err(unreadable)?;
    let public = secret.public_key();
    Ok(SshKey {
        name: key.name.clone(),
        file: key.path.clone(),
        algorithm: public.algorithm().to_string(),
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
        written: written(&key.path),
        public_line: public.to_openssh().map_err(|reason| unreadable(reason.into()))?,
        protection,
    })
}

fn written(path: &Path) -> Option<Timestamp> {
    let time = path.metadata().and_then(|found| found.modified()).ok()?;
    Timestamp::try_from(time).ok()?.round(Unit::Second).ok()
}

fn read(bytes: &[u8], passphrases: &[&[u8]]) -> Result<(PrivateKey, Protection), super::Cause> {
    if let Ok(key) = PrivateKey::from_openssh(bytes) {
        // OpenSSH's own format has the public part outside the protection.
        let protection = match key.is_encrypted() {
            false => Protection::None,
            true if passphrases.iter().any(|passphrase| key.decrypt(passphrase).is_ok()) => Protection::Opened,
            true => Protection::Locked,
        };
        return Ok((key, protection));
    }
    let text = std::str::from_utf8(bytes)?;
    let open = decode_secret_key(text, None).map(|key| (key, Protection::None));
    let words = passphrases.iter().filter_map(|passphrase| std::str::from_utf8(passphrase).ok());
    let mut opened = words.filter_map(|passphrase| decode_secret_key(text, Some(passphrase)).ok());
    open.or_else(|reason| opened.next().map(|key| (key, Protection::Opened)).ok_or(reason.into()))
}
