//! A certificate with its key, as it stands in one PEM file. Alone knows the library that reads X.509.

use std::fmt;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXUPPER};
use jiff::Timestamp;
use x509_cert::Certificate as X509;
use x509_cert::der::{Decode, Encode};
use zeroize::Zeroizing;

use super::assertion::{Signer, sha1};
use crate::digest::Sha256;

/// Why a file holds no certificate that can be signed in with. Nothing of the file stands in it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No such part.
    #[error("{name}: holds no {what}; it is one PEM file with both, as icechatd keys init --entra makes it")]
    Lacks {
        /// The credential.
        name: String,
        /// Certificate or key.
        what: &'static str,
    },
    /// Protected by a passphrase.
    #[error("{name}: its key asks for a passphrase; write it without one (openssl pkey), mode 0600")]
    Locked {
        /// The credential.
        name: String,
    },
    /// A part is damaged.
    #[error("{name}: its {what} cannot be read; copy the file again")]
    Damaged {
        /// The credential.
        name: String,
        /// Certificate or key.
        what: &'static str,
    },
    /// The key is none that Entra takes.
    #[error("{name}: its key is no RSA key of 2048 to 8192 bits; make one with icechatd keys init --entra")]
    Unsuitable {
        /// The credential.
        name: String,
    },
    /// Two that do not belong together.
    #[error("{name}: its certificate is not that of its key; put the two that belong together into one file")]
    Mismatch {
        /// The credential.
        name: String,
    },
}

/// A certificate and what signs in its name.
pub struct Certificate {
    /// The credential's name.
    pub name: String,
    /// The certificate (X.509, DER).
    pub der: Vec<u8>,
    /// Whose it says it is.
    pub subject: String,
    /// From when on it counts.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// Of the key.
    pub bits: usize,
    pub(super) signer: Signer,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// The first certificate in the file that belongs to the key in it, in any order.
    ///
    /// # Errors
    /// Where there is no such pair.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, CertificateError> {
        let name = || name.to_owned();
        let parts = parts(pem).ok_or_else(|| CertificateError::Damaged { name: name(), what: "PEM text" })?;
        let signer = key(&parts, &name)?;
        let mut certificates = parts.iter().filter(|part| part.label == "CERTIFICATE").peekable();
        if certificates.peek().is_none() {
            return Err(CertificateError::Lacks { name: name(), what: "certificate" });
        }
        for part in certificates {
            let read = Facts::read(&part.bytes);
            let facts = read.ok_or_else(|| CertificateError::Damaged { name: name(), what: "certificate" })?;
            if facts.public_key == signer.public_key() {
                let Facts { subject, begins, ends, .. } = facts;
                let (der, bits) = (part.bytes.to_vec(), signer.bits());
                return Ok(Self { name: name(), der, subject, begins, ends, bits, signer });
            }
        }
        Err(CertificateError::Mismatch { name: name() })
    }

    /// SHA-1 of the certificate, as Entra's pages show it: upper-case hexadecimal digits.
    pub fn sha1_thumbprint(&self) -> String {
        HEXUPPER.encode(&sha1(&self.der))
    }

    /// SHA-256 of the certificate: upper-case hexadecimal digits.
    pub fn thumbprint(&self) -> String {
        HEXUPPER.encode(&Sha256::of(&self.der).0)
    }

    /// The same as an assertion's header names it (`x5t#S256`, RFC 7515 section 4.1.8).
    pub(super) fn x5t(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::of(&self.der).0)
    }

    /// The certificate alone in base64, as a `keyCredential` of Microsoft Graph holds it.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.der)
    }
}

fn key(parts: &[Part], name: &impl Fn() -> String) -> Result<Signer, CertificateError> {
    let Some(part) = parts.iter().find(|part| part.label.ends_with("PRIVATE KEY")) else {
        return Err(CertificateError::Lacks { name: name(), what: "private key" });
    };
    match part.label.as_str() {
        "PRIVATE KEY" => Signer::from_pkcs8(&part.bytes),
        "RSA PRIVATE KEY" if !part.is_protected => Signer::from_pkcs1(&part.bytes),
        "ENCRYPTED PRIVATE KEY" | "RSA PRIVATE KEY" => return Err(CertificateError::Locked { name: name() }),
        _ => None,
    }
    .ok_or_else(|| CertificateError::Unsuitable { name: name() })
}

/// What is taken from a certificate.
struct Facts {
    public_key: Vec<u8>,
    subject: String,
    begins: Timestamp,
    ends: Timestamp,
}

impl Facts {
    fn read(der: &[u8]) -> Option<Self> {
        let certificate = X509::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        let time = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        // The bit string of an RSA key is a PKCS #1 RSAPublicKey (RFC 3279 section 2.3.1).
        let key = certificate.subject_public_key_info().subject_public_key.as_bytes()?.to_vec();
        certificate.subject().to_der().ok()?;
        Some(Self {
            public_key: key,
            subject: certificate.subject().to_string(),
            begins: time(validity.not_before.to_unix_duration().as_secs())?,
            ends: time(validity.not_after.to_unix_duration().as_secs())?,
        })
    }
}

/// One part of a PEM text (RFC 7468).
struct Part {
    label: String,
    bytes: Zeroizing<Vec<u8>>,
    /// Of the old form, by header fields (RFC 1421).
    is_protected: bool,
}

/// None where a part does not end, or is no base64. What stands between parts is remarks.
fn parts(pem: &[u8]) -> Option<Vec<Part>> {
    let mut lines = std::str::from_utf8(pem).ok()?.lines().map(str::trim);
    let mut parts = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        // Room for all of it from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(pem.len()));
        let mut is_protected = false;
        loop {
            match lines.next()? {
                line if line == end => break,
                line if line.contains(':') => is_protected |= line.contains("ENCRYPTED"),
                line => text.push_str(line),
            }
        }
        let bytes = if is_protected { Vec::new() } else { BASE64.decode(text.as_bytes()).ok()? };
        parts.push(Part { label: label.to_owned(), bytes: Zeroizing::new(bytes), is_protected });
    }
    Some(parts)
}
