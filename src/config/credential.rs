//! Credentials: where a secret is looked up, and how it is read without leaving a copy of it behind.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// No key, certificate or password is larger; 1 MiB.
const LARGEST: u64 = 1 << 20;

/// Whether others may read what a credential names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// A key, password or passphrase: only its owner is to read it.
    Secret,
    /// A certificate.
    Public,
}

/// Where credentials are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `$CREDENTIALS_DIRECTORY`, searched first; systemd guards it (systemd.exec(5), `LoadCredential=`).
    pub systemd: Option<PathBuf>,
    /// The folder of the configuration file.
    pub beside: PathBuf,
}

/// A credential: a name to look up, or a path (contract 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    key: &'static str,
    name: String,
    secrecy: Secrecy,
    /// Searched first; only a name without a slash is.
    systemd: Option<PathBuf>,
    own: PathBuf,
}

/// Why a credential cannot be used. What is in it never stands here.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It stands nowhere.
    #[error(
        "{key}: no credential {name} at {places}; put it there{}, or correct the name in the configuration",
        made_by(key)
    )]
    Missing {
        /// The configuration's key.
        key: &'static str,
        /// As the configuration names it.
        name: String,
        /// Everywhere it was looked for.
        places: String,
    },
    /// It is there, but cannot be read.
    #[error("{key}: cannot read the credential {name} at {}; check that this user may", path.display())]
    Unreadable {
        /// The configuration's key.
        key: &'static str,
        /// As the configuration names it.
        name: String,
        /// Where it stands.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Someone else may read or write it.
    #[error("{key}: others may read or write the credential {name}; run: chmod 600 {}", path.display())]
    Exposed {
        /// The configuration's key.
        key: &'static str,
        /// As the configuration names it.
        name: String,
        /// Where it stands.
        path: PathBuf,
    },
    /// It is no file of the kind.
    #[error("{key}: the credential {name} at {} {problem}", path.display())]
    Unusable {
        /// The configuration's key.
        key: &'static str,
        /// As the configuration names it.
        name: String,
        /// Where it stands.
        path: PathBuf,
        /// What is wrong; what to do.
        problem: &'static str,
    },
}

/// What makes such a credential.
fn made_by(key: &str) -> &'static str {
    match key {
        "keys.ssh" | "keys.pgp" => " (icechatd keys init makes it)",
        "entra.certificate" => " (icechatd keys init --entra makes it)",
        _ => "",
    }
}

impl Credential {
    /// The credential that the configuration calls `name` under `key`. A name without a slash is looked up in `places`,
    /// one with a slash is a path, relative to the configuration file.
    pub fn new(key: &'static str, name: &str, secrecy: Secrecy, places: &Places) -> Self {
        let systemd = places.systemd.as_ref().filter(|_| !name.contains('/')).map(|folder| folder.join(name));
        Self { key, name: name.to_owned(), secrecy, systemd, own: places.beside.join(name) }
    }

    /// Another credential, in the same place.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        let at = |path: &PathBuf| path.with_file_name(Path::new(name).file_name().unwrap_or(name.as_ref()));
        Self { name: name.to_owned(), systemd: self.systemd.as_ref().map(at), own: at(&self.own), ..self.clone() }
    }

    /// Whether it comes from systemd, which guards it and lets nobody write to it.
    pub fn is_from_systemd(&self) -> bool {
        self.systemd.is_some() && self.path() == self.systemd.as_deref()
    }

    /// As the configuration names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configuration's key that names it, `section.key`.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// Where it stands, if it does anywhere.
    pub fn path(&self) -> Option<&Path> {
        self.places().find(|path| path.symlink_metadata().is_ok())
    }

    /// Where a new one is written: beside the configuration file, or at the path given.
    pub fn own_path(&self) -> &Path {
        &self.own
    }

    /// Everywhere it is looked for, in order.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.systemd.as_deref().into_iter().chain([self.own.as_path()])
    }

    /// Its bytes, wiped when dropped.
    ///
    /// # Errors
    /// It is not there, not readable, not a file, or larger than 1 MiB. That others may read it is no error here: see
    /// [`Credential::exposed`].
    pub fn read(&self) -> Result<SecretSlice<u8>, CredentialError> {
        let path = self.path().ok_or_else(|| self.missing())?;
        let unreadable = |source| self.unreadable(path, source);
        // Asked before it is opened: opening a pipe waits for its writer.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(self.unusable(path, "is not a file; name the file that holds it"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        match file.metadata().map_err(unreadable)?.len() {
            0 => Err(self.unusable(path, "is empty; put the credential into it")),
            length @ 1..=LARGEST => read_exactly(&mut file, length).map_err(unreadable),
            _ => Err(self.unusable(path, "is larger than 1 MiB; name the file that holds the credential alone")),
        }
    }

    /// A secret that others may read or write, to be said aloud: refusing it would stop the archive over a harm that is
    /// done already.
    pub fn exposed(&self) -> Option<CredentialError> {
        let path = self.path().filter(|path| Some(*path) != self.systemd.as_deref())?;
        let open = path.metadata().is_ok_and(|found| found.mode() & 0o077 != 0);
        (self.secrecy == Secrecy::Secret && open).then(|| CredentialError::Exposed {
            key: self.key,
            name: self.name.clone(),
            path: path.to_owned(),
        })
    }

    /// A password or passphrase: the one line in it, without its line end.
    ///
    /// # Errors
    /// As [`Credential::read`], and where there is not exactly one line of UTF-8.
    pub fn read_line(&self) -> Result<SecretString, CredentialError> {
        let bytes = self.read()?;
        let unusable = |problem| self.unusable(self.path().unwrap_or(&self.own), problem);
        let text = std::str::from_utf8(bytes.expose_secret());
        let text = text.map_err(|_| unusable("is not UTF-8; save it as UTF-8"))?;
        let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() {
            return Err(unusable("is empty; put the credential into it"));
        }
        if line.contains(['\n', '\r', '\0']) {
            return Err(unusable("has more than one line; leave only the credential in it"));
        }
        Ok(SecretString::from(line))
    }

    fn missing(&self) -> CredentialError {
        let places: Vec<_> = self.places().map(|place| place.display().to_string()).collect();
        CredentialError::Missing { key: self.key, name: self.name.clone(), places: places.join(" or ") }
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> CredentialError {
        CredentialError::Unreadable { key: self.key, name: self.name.clone(), path: path.to_owned(), source }
    }

    fn unusable(&self, path: &Path, problem: &'static str) -> CredentialError {
        CredentialError::Unusable { key: self.key, name: self.name.clone(), path: path.to_owned(), problem }
    }
}

/// Reads into a buffer of the right size from the start: one that grows or shrinks leaves copies behind.
fn read_exactly(file: &mut File, len: u64) -> io::Result<SecretSlice<u8>> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let mut bytes = Zeroizing::new(vec![0; len]);
    file.read_exact(&mut bytes)?;
    Ok(SecretSlice::from(std::mem::take(&mut *bytes)))
}
