//! Certificates for the sign-in to Microsoft Entra: made, described, and handed out by their public part. Alone knows the
//! library that makes X.509 certificates.

use std::path::PathBuf;

use data_encoding::BASE64;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize, date_time_ymd,
};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{KeyFile, KeysError};
use crate::entra::Certificate;

/// How long a new certificate lasts, in days: tenants may refuse what lasts longer than a year.
const LASTS: i64 = 365;
/// RSA alone signs assertions for Entra. 3072 bits are as strong as AES-128 and good beyond 2030 (NIST SP 800-57); 2048
/// would be the least that counts, and there is one signature an hour to pay for.
const SIZE: RsaKeySize = RsaKeySize::_3072;

/// What is known of such a certificate without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntraCertificate {
    /// The credential's name.
    pub name: String,
    /// Where it was found.
    pub file: PathBuf,
    /// Whose it says it is.
    pub subject: String,
    /// SHA-256.
    pub thumbprint: String,
    /// SHA-1, as Entra's pages show it.
    pub sha1_thumbprint: String,
    /// Of the RSA key.
    pub bits: usize,
    /// From when on it counts.
    pub begins: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// The certificate itself (DER).
    #[serde(skip)]
    pub der: Vec<u8>,
}

/// A new key and a certificate for it that it signed itself, as one PEM text.
pub(super) fn generate(owner: &str, now: Timestamp) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let unmade = |reason: rcgen::Error| KeysError::Make { kind: "Entra", reason: reason.into() };
    let key = Zeroizing::new(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, SIZE).map_err(unmade)?);
    let certificate = params(owner, now).map_err(unmade)?.self_signed(&*key).map_err(unmade)?;
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    append(&mut text, "PRIVATE KEY", key.serialized_der());
    append(&mut text, "CERTIFICATE", certificate.der());
    Ok(text)
}

fn params(owner: &str, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, owner);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(today);
    params.not_after = day(today.saturating_add(LASTS.days()));
    Ok(params)
}

/// RFC 7468. The text has room for it: a buffer that grows leaves copies behind.
fn append(text: &mut Vec<u8>, label: &str, der: &[u8]) {
    let base64 = Zeroizing::new(BASE64.encode(der));
    text.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    for line in base64.as_bytes().chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
}

/// The facts of a certificate that belongs to the key beside it.
pub(super) fn describe(key: &KeyFile) -> Result<EntraCertificate, KeysError> {
    let certificate = Certificate::parse(&key.name, &key.secret)?;
    Ok(EntraCertificate {
        name: key.name.clone(),
        file: key.path.clone(),
        thumbprint: certificate.thumbprint(),
        sha1_thumbprint: certificate.sha1_thumbprint(),
        subject: certificate.subject,
        bits: certificate.bits,
        begins: certificate.begins,
        expires: certificate.ends,
        der: certificate.der,
    })
}

/// What Microsoft Graph takes to register them all (`PATCH /applications/{id}`), which replaces what is registered.
pub(super) fn key_credentials(certificates: &[EntraCertificate]) -> Value {
    let list: Vec<Value> = certificates
        .iter()
        .map(|certificate| {
            json!({
                "type": "AsymmetricX509Cert",
                "usage": "Verify",
                "displayName": certificate.subject,
                "startDateTime": certificate.begins.to_string(),
                "endDateTime": certificate.expires.to_string(),
                "key": BASE64.encode(&certificate.der),
            })
        })
        .collect();
    json!({"keyCredentials": list})
}
