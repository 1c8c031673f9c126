//! The statement by which this program proves who it is: a JSON Web Token that the certificate's key signs.
//! Alone knows the library that signs.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use super::Certificate;

/// How long an assertion counts; it is used at once. Seconds.
const LASTS: i64 = 300;

/// An RSA key that signs. The library wipes it when dropped.
pub(super) struct Signer(RsaKeyPair);

impl Signer {
    /// Of RSA, 2048 to 8192 bits; none otherwise.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_pkcs8(der).ok().map(Self)
    }

    /// The same in the older form.
    pub(super) fn from_pkcs1(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_der(der).ok().map(Self)
    }

    /// The public part (PKCS #1, DER).
    pub(super) fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Of the modulus.
    pub(super) fn bits(&self) -> usize {
        self.0.public_modulus_len() * 8
    }

    /// RSASSA-PSS with SHA-256 and a salt as long as the digest: `PS256` (RFC 7518 section 3.5).
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

/// By which Entra's pages call a certificate; nothing trusts in it.
pub(super) fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// The assertion for one request at `audience`; none where the system has no randomness.
pub(super) fn assertion(
    certificate: &Certificate,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Option<Zeroizing<String>> {
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.x5t()});
    let begins = now.as_second();
    let claims = json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": HEXLOWER.encode(&id),
        "iat": begins,
        "nbf": begins,
        "exp": begins + LASTS,
    });
    let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = Zeroizing::new(format!("{}.{}", part(header), part(claims)));
    let signature = certificate.signer.sign(signed.as_bytes())?;
    Some(Zeroizing::new(format!("{}.{}", *signed, BASE64URL_NOPAD.encode(&signature))))
}
