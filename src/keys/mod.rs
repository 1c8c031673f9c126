//! Make, show and hand out keys (contract 3).
//!
//! Secret files are what `ssh-keygen` and `gpg --export-secret-keys --armor` write, so that an operator can bring keys
//! of their own, and leave with ours. A file that stands is never written to. What is handed out is built from public
//! parts alone: no secret is in the types that it is written from.
//!
//! This room does not know the configuration, nor where credentials are looked up: callers give names and bytes.

mod entra;
mod handout;
mod pgp;
mod ssh;
mod unused;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::durable::{self, AtPath, Owner, PathError};
use crate::entra::CertificateError;

pub use entra::EntraCertificate;
pub use handout::{Exported, HandOut, check_hand_out_folder, export};
pub use pgp::PgpKey;
pub use ssh::SshKey;
pub use unused::{Unused, unused};

/// What the SSH or OpenPGP library said, kept as the cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why keys could not be made, shown or handed out. Nothing of it passes by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The folder is not ours alone to write to.
    #[error("others may write to {0}, so they could put their keys there; run `chmod go-w {0}`", .folder.display())]
    OpenToOthers {
        /// Which.
        folder: PathBuf,
    },
    /// The folder belongs to somebody else.
    #[error("{} belongs to user {owner}, who could put keys of their own there; change its owner", .folder.display())]
    OwnedByOther {
        /// Which.
        folder: PathBuf,
        /// The numeric user.
        owner: u32,
    },
    /// A file or folder.
    #[error("no access to a key's file or folder")]
    Path(#[from] PathError),
    /// The library could not make a key.
    #[error("the {kind} key could not be made")]
    Make {
        /// SSH, PGP or Entra.
        kind: &'static str,
        /// Why.
        #[source]
        reason: Cause,
    },
    /// A credential that holds no such key, or none that a passphrase opens.
    #[error("{name}: not an {kind} secret key, or none that a passphrase in keys.passphrases opens")]
    Unreadable {
        /// The credential.
        name: String,
        /// SSH or OpenPGP.
        kind: &'static str,
        /// Why.
        #[source]
        reason: Cause,
    },
    /// A file that holds no certificate to sign in with.
    #[error(transparent)]
    Entra(#[from] CertificateError),
    /// The library could not move a certificate's end.
    #[error("{name}: the end of its certificate could not be moved; nothing was changed")]
    Extend {
        /// The credential.
        name: String,
        /// Why.
        #[source]
        reason: Cause,
    },
    /// There is no sense in moving the end.
    #[error("{name}: {fingerprint} {why}; nothing was changed")]
    NothingToExtend {
        /// The credential.
        name: String,
        /// Which.
        fingerprint: String,
        /// Why; what to do.
        why: String,
    },
    /// The folder for the hand-outs holds something else.
    #[error("{} is no letter of ours and would be overwritten; name another folder", .file.display())]
    Foreign {
        /// What stands there.
        file: PathBuf,
    },
}

/// A secret key as it stands in its file.
pub struct KeyFile {
    /// The credential's name.
    pub name: String,
    /// Where it was found.
    pub path: PathBuf,
    /// What it holds; wiped when dropped.
    pub secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("name", &self.name).field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeyFile {
    /// Reads a secret key's file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(name: impl Into<String>, path: impl Into<PathBuf>) -> Result<Self, PathError> {
        let path = path.into();
        let secret = Zeroizing::new(fs::read(&path).at(&path)?);
        Ok(Self { name: name.into(), path, secret })
    }

    /// Whether it is several files in one: the OpenPGP library reads the first of them and would lose the others.
    fn is_in_pieces(&self) -> bool {
        let begin = b"-----BEGIN PGP";
        self.secret.windows(begin.len()).filter(|window| window == begin).count() > 1
    }
}

/// Whether a secret key asks for a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// It does not.
    None,
    /// One of the passphrases given opens it.
    Opened,
    /// It does, and none of them opens it.
    Locked,
}

/// Everything that `keys show` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// In the order of the credentials.
    pub ssh: Vec<SshKey>,
    /// In the order of the credentials, newest first.
    pub pgp: Vec<PgpKey>,
}

/// What the keys are, without their secrets; passphrases (a line end after each is ignored) only tell whether they fit.
///
/// # Errors
/// Where one of them is no key.
pub fn show(ssh: &[KeyFile], pgp: &[KeyFile], passphrases: &[impl AsRef<[u8]>]) -> Result<Shown, KeysError> {
    let passphrases: Vec<&[u8]> = passphrases.iter().map(|text| without_line_end(text.as_ref())).collect();
    let ssh = ssh.iter().map(|key| ssh::describe(key, &passphrases)).collect::<Result<_, _>>()?;
    let pgp = pgp.iter().map(|key| pgp::describe(key, &passphrases)).collect::<Result<Vec<_>, _>>()?;
    Ok(Shown { ssh, pgp: pgp.into_iter().flatten().collect() })
}

/// What the certificates for the sign-in to Microsoft Entra are.
///
/// # Errors
/// Where one of them is none, or not that of the key beside it.
pub fn show_entra(files: &[KeyFile]) -> Result<Vec<EntraCertificate>, KeysError> {
    files.iter().map(entra::describe).collect()
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Where new keys go.
#[derive(Debug, Clone, Copy)]
pub struct KeyPaths<'a> {
    /// The first of `keys.ssh`.
    pub ssh: &'a Path,
    /// The first of `keys.pgp`.
    pub pgp: &'a Path,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// It was made.
    New,
    /// It stood there already and was not touched.
    Kept,
}

/// Makes the keys that are missing, mode 0600, and keeps those that stand. SSH is Ed25519, or RSA-4096 with `rsa`. The
/// firm code goes into the SSH comment and the OpenPGP user id. The answers are for SSH and PGP.
///
/// # Errors
/// Where others than we and root may write to the folder, or a file cannot be written. What was made before stays.
pub fn init(paths: KeyPaths<'_>, firm_code: Option<&str>, rsa: bool) -> Result<(Made, Made), KeysError> {
    let owner = comment(firm_code);
    check_folder(paths.ssh)?;
    check_folder(paths.pgp)?;
    let ssh = make(paths.ssh, || ssh::generate(&owner, rsa))?;
    let pgp = make(paths.pgp, || pgp::generate(&owner))?;
    Ok((ssh, pgp))
}

/// Makes a key and a certificate to sign in to Microsoft Entra with, unless there is one: one PEM file, mode 0600.
///
/// # Errors
/// As [`init`].
pub fn init_entra(path: &Path, firm_code: Option<&str>, now: Timestamp) -> Result<Made, KeysError> {
    check_folder(path)?;
    make(path, || entra::generate(&comment(firm_code), now))
}

/// Whose keys they are.
fn comment(firm_code: Option<&str>) -> String {
    firm_code.map_or_else(|| "icechatd".to_owned(), |code| format!("icechatd {code}"))
}

fn make(path: &Path, generate: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, KeysError>) -> Result<Made, KeysError> {
    if path.symlink_metadata().is_ok() {
        return Ok(Made::Kept);
    }
    match durable::write_new(path, 0o600, &generate()?) {
        Ok(()) => Ok(Made::New),
        // Somebody was faster.
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Kept),
        Err(error) => Err(error.into()),
    }
}

/// Where a key goes that joins another.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// The new file.
    pub path: &'a Path,
    /// The key in use, where it can be found: the new one belongs to the same user.
    pub beside: Option<&'a Path>,
}

/// Which keys are made beside those in use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation<'a> {
    /// SSH.
    pub ssh: Option<NewKey<'a>>,
    /// RSA-4096 in place of Ed25519.
    pub rsa: bool,
    /// OpenPGP.
    pub pgp: Option<NewKey<'a>>,
    /// A certificate for the sign-in to Microsoft Entra.
    pub entra: Option<NewKey<'a>>,
}

/// Makes new keys beside those in use, mode 0600, otherwise as [`init`]: all that are asked for, or none.
///
/// # Errors
/// As [`init`], and where a file stands under a new key's name.
pub fn rotate(rotation: Rotation<'_>, firm_code: Option<&str>, now: Timestamp) -> Result<(), KeysError> {
    let owner = comment(firm_code);
    let with = |key, secret: Result<_, _>| secret.map(|secret| (key, secret));
    let ssh = rotation.ssh.map(|key| with(key, ssh::generate(&owner, rotation.rsa))).transpose()?;
    let pgp = rotation.pgp.map(|key| with(key, pgp::generate(&owner))).transpose()?;
    let entra = rotation.entra.map(|key| with(key, entra::generate(&owner, now))).transpose()?;
    let mut made: Vec<&Path> = Vec::new();
    for (key, secret) in [&ssh, &pgp, &entra].into_iter().flatten() {
        let owner = key.beside.and_then(|path| Owner::of(path).ok());
        let written = check_folder(key.path).and_then(|()| Ok(durable::write_new_for(key.path, 0o600, owner, secret)?));
        if let Err(error) = written {
            // Nobody knows of them yet.
            for path in made {
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
        made.push(key.path);
    }
    Ok(())
}

/// Moves the end of the first certificate in a key's file, which is rewritten whole or not at all. Its secret parts stay
/// as they are, protected ones protected; passphrases are as for [`show`]. The end as it was.
///
/// # Errors
/// Where that is not later than it is now, no secret of it can sign, or the file cannot be written.
pub fn extend(
    key: &KeyFile,
    until: Timestamp,
    passphrases: &[impl AsRef<[u8]>],
) -> Result<Option<Timestamp>, KeysError> {
    let passphrases: Vec<&[u8]> = passphrases.iter().map(|text| without_line_end(text.as_ref())).collect();
    let facts = pgp::describe(key, &passphrases)?;
    let first = facts.first();
    let refused = match first.map(|facts| (facts.expires, facts.revoked)) {
        Some((_, true)) => Some("is revoked; make a new key with icechatd keys rotate".to_owned()),
        Some((None, _)) => Some("never expires".to_owned()),
        Some((Some(end), _)) if end >= until => Some(format!("expires {end} already, which is not sooner")),
        _ if key.is_in_pieces() => Some("stands with others in a file of several armoured pieces; split it".to_owned()),
        _ => None,
    };
    if let (Some(why), Some(facts)) = (refused, first) {
        let (name, fingerprint) = (key.name.clone(), facts.fingerprint.clone());
        return Err(KeysError::NothingToExtend { name, fingerprint, why });
    }
    durable::replace_content(&key.path, &pgp::extended(key, &passphrases, until)?)?;
    Ok(first.and_then(|facts| facts.expires))
}

/// Whoever may write to the folder can swap the keys in it.
fn check_folder(file: &Path) -> Result<(), KeysError> {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder).at(folder)?;
    let (folder, owner) = (folder.to_owned(), metadata.uid());
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(KeysError::OwnedByOther { folder, owner });
    }
    if metadata.mode() & 0o022 != 0 { Err(KeysError::OpenToOthers { folder }) } else { Ok(()) }
}
