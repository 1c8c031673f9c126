//! A later end for an OpenPGP certificate: new self-signatures by its own primary key, everything else as it was.

use std::time::SystemTime;

use jiff::Timestamp;
use sequoia_openpgp as openpgp;
use zeroize::Zeroizing;

use openpgp::Cert;
use openpgp::anyhow::anyhow;
use openpgp::cert::prelude::*;
use openpgp::crypto::{KeyPair, Password};
use openpgp::packet::Signature;
use openpgp::packet::key::{PublicParts, SecretParts, UnspecifiedRole};
use openpgp::serialize::{Serialize, SerializeInto};

use super::{certs_of, expiry, passwords, policy};
use crate::keys::{KeyFile, KeysError};

/// The credential with the end of its first certificate moved; protected parts stay protected as they are.
pub(in crate::keys) fn extended(
    key: &KeyFile,
    passphrases: &[&[u8]],
    until: Timestamp,
) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let failed = |reason: openpgp::anyhow::Error| KeysError::Extend { name: key.name.clone(), reason: reason.into() };
    let mut certs = certs_of(key)?;
    let first = certs.remove(0);
    let moved = moved(first, &passwords(passphrases), until.into()).map_err(failed)?;
    certs.insert(0, moved);
    let is_armoured = key.secret.first().is_some_and(|first| first & 0x80 == 0);
    written(&certs, is_armoured).map_err(failed)
}

fn moved(cert: Cert, passwords: &[Password], until: SystemTime) -> openpgp::Result<Cert> {
    let policy = policy();
    let signatures = {
        let valid = cert.with_policy(&policy, None)?;
        let mut primary = signer(valid.primary_key().key().clone().role_into_unspecified(), passwords)?;
        let mut all: Vec<Signature> = Vec::new();
        for key in valid.keys().revoked(false) {
            let needs_own =
                !key.primary() && (key.for_signing() || key.for_certification() || key.for_authentication());
            let mut own = needs_own.then(|| signer(key.key().clone(), passwords)).transpose()?;
            let own = own.as_mut().map(|own| own as &mut dyn openpgp::crypto::Signer);
            all.extend(key.set_expiration_time(&mut primary, own, Some(until))?);
        }
        all
    };
    let secrets = cert.keys().secret().count();
    let cert = cert.insert_packets(signatures)?.0;
    // Among self-signatures of one second it is not the newer that counts.
    if expiry(&cert, &policy) != Some(until) || cert.keys().secret().count() != secrets {
        return Err(anyhow!("the new end does not hold; is the key as old as this moment, or the clock wrong?"));
    }
    Ok(cert)
}

/// The secret that signs, opened if it is protected.
fn signer(key: openpgp::packet::Key<PublicParts, UnspecifiedRole>, passwords: &[Password]) -> openpgp::Result<KeyPair> {
    let id = key.keyid();
    let secret = key.parts_into_secret().map_err(|_| anyhow!("the secret part of {id} is not in it"))?;
    let opened = if secret.has_unencrypted_secret() { Some(secret) } else { opened(&secret, passwords) };
    opened
        .ok_or_else(|| anyhow!("no passphrase of keys.passphrases opens {id}, or its secret part is not in it"))?
        .into_keypair()
}

fn opened(
    secret: &openpgp::packet::Key<SecretParts, UnspecifiedRole>,
    passwords: &[Password],
) -> Option<openpgp::packet::Key<SecretParts, UnspecifiedRole>> {
    passwords.iter().find_map(|password| secret.clone().decrypt_secret(password).ok())
}

/// As `gpg --export-secret-keys` writes them, one after the other.
fn written(certs: &[Cert], armoured: bool) -> openpgp::Result<Zeroizing<Vec<u8>>> {
    if let ([cert], true) = (certs, armoured) {
        return Ok(Zeroizing::new(cert.as_tsk().armored().to_vec()?));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    for cert in certs {
        cert.as_tsk().serialize(&mut *bytes)?;
    }
    if !armoured {
        return Ok(bytes);
    }
    let mut writer = openpgp::armor::Writer::new(Vec::new(), openpgp::armor::Kind::SecretKey)?;
    std::io::Write::write_all(&mut writer, &bytes)?;
    Ok(Zeroizing::new(writer.finalize()?))
}
