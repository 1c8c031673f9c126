//! Secret keys that lie beside those in use and that the configuration does not name: left over, or forgotten in it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{KeyFile, entra, pgp, ssh, without_line_end};

/// No key is larger; 1 MiB.
const LARGEST: u64 = 1 << 20;

/// A secret key that nothing names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// `ssh`, `pgp` or `entra`.
    pub kind: &'static str,
    /// Where it lies.
    pub file: PathBuf,
    /// As for keys in use; none where a passphrase hides it.
    pub fingerprint: Option<String>,
    /// When an OpenPGP key was made, or an SSH key's file written.
    pub created: Option<Timestamp>,
    /// When an OpenPGP certificate ends.
    pub expires: Option<Timestamp>,
}

/// The secret keys in these folders but for those at the paths `named`, by path. What cannot be read is none.
pub fn unused(folders: &[&Path], named: &[&Path], passphrases: &[impl AsRef<[u8]>]) -> Vec<Unused> {
    let real = |path: &Path| path.canonicalize().ok();
    let named: Vec<PathBuf> = named.iter().filter_map(|path| real(path)).collect();
    let mut files: Vec<PathBuf> = folders.iter().filter_map(|folder| real(folder)).flat_map(files_in).collect();
    files.sort_unstable();
    files.dedup();
    let passphrases: Vec<&[u8]> = passphrases.iter().map(|text| without_line_end(text.as_ref())).collect();
    let found = files.into_iter().filter(|file| !named.contains(file));
    found.filter_map(|file| looked_at(file, &passphrases)).collect()
}

/// Regular files alone: opening anything else could wait for ever.
fn files_in(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path())
}

fn looked_at(file: PathBuf, passphrases: &[&[u8]]) -> Option<Unused> {
    let mut secret = Zeroizing::new(Vec::new());
    fs::File::open(&file).ok()?.take(LARGEST).read_to_end(&mut secret).ok()?;
    let kind = kind_of(&secret)?;
    let name = file.file_name()?.to_string_lossy().into_owned();
    let key = KeyFile { name, path: file, secret };
    let none = Unused { kind, file: key.path.clone(), fingerprint: None, created: None, expires: None };
    if kind == "entra" {
        let Ok(facts) = entra::describe(&key) else { return Some(none) };
        let (created, expires) = (Some(facts.begins), Some(facts.expires));
        return Some(Unused { fingerprint: Some(facts.thumbprint), created, expires, ..none });
    }
    if kind == "ssh" {
        let Ok(facts) = ssh::describe(&key, passphrases) else { return Some(none) };
        return Some(Unused { fingerprint: Some(facts.fingerprint), created: facts.written, ..none });
    }
    let facts = pgp::describe(&key, passphrases).ok()?.into_iter().next()?;
    let (created, expires) = (Some(facts.created), facts.expires);
    Some(Unused { fingerprint: Some(facts.fingerprint), created, expires, ..none })
}

/// By the armour of a secret key (RFC 9580 section 6.2, RFC 7468), or a binary packet with tag 5 (RFC 9580 section 4.2). A
/// key that a certificate stands beside is one to sign in with.
fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if matches!(bytes.first(), Some(0x94..=0x97 | 0xc5)) || line.starts_with(b"-----BEGIN PGP PRIVATE KEY BLOCK-----") {
        return Some("pgp");
    }
    let is_private = line.starts_with(b"-----BEGIN ") && line.trim_ascii_end().ends_with(b"PRIVATE KEY-----");
    let certificate = b"-----BEGIN CERTIFICATE-----";
    let has_certificate = || bytes.windows(certificate.len()).any(|window| window == certificate);
    is_private.then(|| if has_certificate() { "entra" } else { "ssh" })
}
