//! What a run is given beside its settings: keys, profile, mapping and mailbox list, read from disk into types, and the
//! tenant's users.

mod directory;
mod force;
mod found;
mod rules;

use std::io;
use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use tracing::warn;

pub use self::directory::{
    Asked, Dwindled, Snapshot, ask_tenant, confirm_tenant, kept_directory, kept_users, say_tenant,
};
pub use self::force::{News, news, numbers, put_in_force};
pub use self::found::{Found, Good, Kind, OpenEnd, Read, Rejected, Shrinkage, find, kept_list, list_with_names};
pub use self::rules::{RulesFrom, choose, from_stored, rules, rules_strictly, to_stored};
use crate::config::{Config, Credential, CredentialError, ProfileSource};
use crate::decrypt::{self, DecryptError, KeyError, SecretKeys, Signers};
use crate::directory::DirectoryError;
use crate::download::sftp::Secrets;
use crate::durable::{AtPath, PathError};
use crate::entra::Certificate;
use crate::export::profile::{Profile, ProfileError, builtin_names};
use crate::ledger::LedgerError;
use crate::resolve::{CanonicalError, RowError};

/// Why something a run needs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A secret.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A PGP key or certificate.
    #[error("a key or certificate of [keys] cannot be used")]
    Key(#[from] KeyError),
    /// There is no such profile.
    #[error("export.profile: there is no profile {name:?}; icechatd profile list names them, or give a path to one")]
    NoProfile {
        /// As configured.
        name: String,
    },
    /// The profile is wrong.
    #[error("export.profile cannot be used")]
    Profile(#[from] ProfileError),
    /// The profile is a proposal that nobody has gone through.
    #[error(
        "export.profile: {name}, line {line}: {count} of its guesses {} not decided yet, the first: {first}; decide each, \
         correct the profile, take it out of `guesses`, then see icechatd profile lint",
        if *count == 1 { "is" } else { "are" }
    )]
    Guesses {
        /// The profile.
        name: String,
        /// Where the first guess stands, from 1.
        line: usize,
        /// How many there are.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A file.
    #[error("{key} cannot be read; check the path, and that this user may read it")]
    File {
        /// The configuration's key, or what it was given as.
        key: &'static str,
        /// Why.
        #[source]
        source: PathError,
    },
    /// The mapping was rejected and there is no earlier one.
    #[error("the mapping is rejected (errors: {errors}; icechatd mapping check names all), the first")]
    Mapping {
        /// How many.
        errors: usize,
        /// One of them.
        #[source]
        first: RowError,
    },
    /// The list was rejected and there is no earlier one.
    #[error("the mailbox list is rejected (errors: {errors}), the first")]
    List {
        /// How many.
        errors: usize,
        /// One of them.
        #[source]
        first: RowError,
    },
    /// The list has far fewer mailboxes than the one in force.
    #[error("the mailbox list is rejected: {0}")]
    Shrunk(Shrinkage),
    /// A file's last row may have been cut off, and the set is another than the one in force.
    #[error("the {} is rejected: {}", kind.words(), files.iter().map(OpenEnd::to_string).collect::<Vec<_>>().join("; "))]
    Open {
        /// Mapping or list.
        kind: Kind,
        /// The files.
        files: Vec<OpenEnd>,
    },
    /// The daemon has none in force yet.
    #[error(
        "no {0} is in force yet: the daemon puts that of the folder in force once it stands still; icechatd ingest, \
         started by hand, takes it as it is"
    )]
    NotInForce(&'static str),
    /// The tenant was never asked with success.
    #[error(
        "no snapshot of the tenant's users is in force yet: the daemon asks for it every few minutes; icechatd mailboxes \
         refresh asks now, and says what keeps it from answering"
    )]
    NoDirectory,
    /// The tenant does not answer, and never did.
    #[error("the tenant's users are needed to tell who is valid (mailboxes.graph), and no snapshot is in force yet")]
    Tenant(#[source] Arc<DirectoryError>),
    /// The tenant has far fewer mailboxes than the snapshot in force.
    #[error("the tenant's users are rejected: {0}")]
    Dwindled(Dwindled),
    /// What the ledger keeps cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the ledger keeps is no mapping or list.
    #[error("a mapping or mailbox list kept in the ledger cannot be read")]
    Kept(#[from] CanonicalError),
    /// What the ledger keeps is no set of settings.
    #[error("settings kept in the ledger cannot be read")]
    Settings(#[source] serde_json::Error),
}

impl InputError {
    /// Whether it is the mailbox list, or the tenant's users, that is at fault, rather than the mapping.
    pub fn is_about_the_list(&self) -> bool {
        match self {
            Self::List { .. } | Self::Shrunk(_) | Self::NoDirectory | Self::Tenant(_) | Self::Dwindled(_) => true,
            Self::File { key, .. } => *key == "mailboxes.list",
            Self::Open { kind, .. } => *kind == Kind::List,
            _ => false,
        }
    }
}

/// Keys and profile.
#[derive(Debug)]
pub struct Inputs {
    /// Our secret keys that are in use: for exports that are taken up.
    pub keys: SecretKeys,
    /// Those and the retired ones: for originals that were taken while these were in use.
    pub archive_keys: SecretKeys,
    /// Who must have signed, if anyone.
    pub signers: Option<Signers>,
    /// How the exports are written.
    pub profile: Profile,
}

impl Inputs {
    /// Reads all of them.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn read(config: &Config) -> Result<Self, InputError> {
        let Openers { keys, archive_keys, signers } = Openers::read(config)?;
        Ok(Self { keys, archive_keys, signers, profile: decided(profile(&config.export.profile)?)? })
    }

    /// The better reason for a new export that none of the keys in use opens, if a retired one would: its sender was not
    /// told of the change, or has not made it.
    pub fn retired_key_of(&self, ciphertext: impl io::Read, refusal: &DecryptError) -> Option<DecryptError> {
        if !matches!(refusal, DecryptError::NotForUs { .. }) {
            return None;
        }
        let fingerprint = decrypt::can_open(ciphertext, &self.archive_keys).ok()?;
        Some(DecryptError::Retired { fingerprint })
    }
}

/// What opens an export, whatever it is read by then.
#[derive(Debug)]
pub struct Openers {
    /// As in [`Inputs`]; so the others.
    pub keys: SecretKeys,
    /// With the retired ones.
    pub archive_keys: SecretKeys,
    /// Who must have signed, if anyone.
    pub signers: Option<Signers>,
}

impl Openers {
    /// Reads all of them.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn read(config: &Config) -> Result<Self, InputError> {
        let keys = secrets(&config.keys.pgp)?;
        let retired = secrets(&config.keys.retired)?;
        let passphrases = secrets(&config.keys.passphrases)?;
        let passphrases: Vec<&[u8]> = passphrases.iter().map(|(_, bytes)| without_line_end(bytes)).collect();
        let signers = secrets(&config.keys.signers)?;
        let keys = SecretKeys::parse(&keys, &passphrases)?;
        Ok(Self {
            archive_keys: keys.with(SecretKeys::parse(&retired, &passphrases)?),
            keys,
            signers: (!signers.is_empty()).then(|| Signers::parse(&signers)).transpose()?,
        })
    }
}

/// A secret with its credential's name.
type Named = (String, Zeroizing<Vec<u8>>);

fn secrets(credentials: &[Credential]) -> Result<Vec<Named>, CredentialError> {
    credentials.iter().map(|credential| Ok((credential.name().to_owned(), secret(credential)?))).collect()
}

fn secret(credential: &Credential) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    if let Some(exposed) = credential.exposed() {
        warn!("{exposed}");
    }
    Ok(Zeroizing::new(credential.read()?.expose_secret().to_vec()))
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The profile that is configured.
///
/// # Errors
/// Where there is none of the name, or it is wrong.
pub fn profile(source: &ProfileSource) -> Result<Profile, InputError> {
    match source {
        ProfileSource::BuiltIn(name) => {
            Profile::builtin(name).ok_or_else(|| InputError::NoProfile { name: name.clone() })
        }
        ProfileSource::File(path) => profile_file(path),
    }
}

/// The profile, unless it has guesses that no person has decided: chat that is read by a guess may be archived under the
/// wrong person, and nobody would see it.
///
/// # Errors
/// Where it has guesses.
pub fn decided(profile: Profile) -> Result<Profile, InputError> {
    let Some(first) = profile.guesses().first() else { return Ok(profile) };
    let line_with = |words: &str| profile.text().lines().position(|line| line.contains(words));
    let line = line_with(first).or_else(|| line_with("guesses")).map_or(1, |index| index + 1);
    let (name, count) = (profile.name().to_owned(), profile.guesses().len());
    Err(InputError::Guesses { name, line, count, first: first.clone() })
}

/// A profile by what a person typed: a built-in name, or a path.
///
/// # Errors
/// As [`profile`].
pub fn profile_named(name: &str) -> Result<Profile, InputError> {
    if builtin_names().any(|known| known == name) {
        return profile(&ProfileSource::BuiltIn(name.to_owned()));
    }
    if name.contains('/') || Path::new(name).exists() {
        return profile_file(Path::new(name));
    }
    Err(InputError::NoProfile { name: name.to_owned() })
}

fn profile_file(path: &Path) -> Result<Profile, InputError> {
    let text = std::fs::read_to_string(path).at(path);
    let text = text.map_err(|source| InputError::File { key: "the profile (export.profile)", source })?;
    Ok(Profile::parse(&path.display().to_string(), &text)?)
}

/// The certificates for the sign-in to Microsoft Entra that can be read; what is wrong with another is said by who signs in.
pub fn entra_certificates(config: &Config) -> Vec<Certificate> {
    let credentials = config.entra.iter().flat_map(|entra| &entra.certificates);
    let read = |credential: &Credential| {
        let bytes = credential.read().ok()?;
        Certificate::parse(credential.name(), bytes.expose_secret()).ok()
    };
    credentials.filter_map(read).collect()
}

/// What the site asks for: SSH keys, passphrases, password.
///
/// # Errors
/// Where a credential cannot be read.
pub fn site_secrets(config: &Config) -> Result<Secrets, CredentialError> {
    let mut all = Secrets::default();
    for (name, bytes) in secrets(&config.keys.ssh)? {
        all = all.with_key(&name, bytes);
    }
    for (name, bytes) in secrets(&config.keys.passphrases)? {
        all = all.with_passphrase(&name, bytes);
    }
    if let Some(password) = &config.site.password {
        all = all.with_password(password.name(), secret(password)?);
    }
    Ok(all)
}
