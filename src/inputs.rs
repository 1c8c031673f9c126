//! What a run is given beside its settings: keys, profile, mapping and mailbox list, read from disk into types.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::cause::chain;
use crate::config::{Config, Credential, CredentialError, ProfileSource, read_list};
use crate::decrypt::{KeyError, SecretKeys, Signers};
use crate::domain::Domain;
use crate::download::sftp::Secrets;
use crate::durable::{AtPath, PathError};
use crate::events;
use crate::export::profile::{Profile, ProfileError, builtin_names};
use crate::ledger::{Ledger, LedgerError, StoredRules};
use crate::resolve::{CanonicalError, MailboxList, Mapping, RowError, RuleSet};

/// Where a run takes mapping and mailbox list from (contract 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RulesFrom {
    /// The operators' files as they stand: for a verb that a person starts.
    #[default]
    Folder,
    /// The set in force, never the files: for a run that the daemon starts. They are read where none is in force, but
    /// only to say why.
    Force,
}

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
    /// The daemon has none in force yet.
    #[error(
        "no {0} is in force yet: the daemon puts that of the folder in force once it stands still; icechatd ingest, \
         started by hand, takes it as it is"
    )]
    NotInForce(&'static str),
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

/// Keys and profile.
#[derive(Debug)]
pub struct Inputs {
    /// Our secret keys.
    pub keys: SecretKeys,
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
        let keys = secrets(&config.keys.pgp)?;
        let passphrases = secrets(&config.keys.passphrases)?;
        let passphrases: Vec<&[u8]> = passphrases.iter().map(|(_, bytes)| without_line_end(bytes)).collect();
        let signers = secrets(&config.keys.signers)?;
        Ok(Self {
            keys: SecretKeys::parse(&keys, &passphrases)?,
            signers: (!signers.is_empty()).then(|| Signers::parse(&signers)).transpose()?,
            profile: profile(&config.export.profile)?,
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

/// The rule set of this run. A mapping or list that is rejected leaves the last good one in force (contract 6).
///
/// # Errors
/// Where there is no good one at all.
pub fn rules(config: &Config, ledger: &Ledger, from: RulesFrom) -> Result<RuleSet, InputError> {
    Ok(RuleSet {
        mapping: Arc::new(mapping(config, ledger, from)?),
        list: list(config, ledger, from)?.map(Arc::new),
        domains: config.mailboxes.domains.clone(),
        companies: config.mailboxes.companies.clone(),
        automatic: config.mapping.automatic,
    })
}

/// The rule set that the operators' files make as they stand, whatever is in force.
///
/// # Errors
/// Where a file cannot be read or is rejected.
pub fn rules_strictly(config: &Config) -> Result<RuleSet, InputError> {
    let nothing_kept = Ledger::none()?;
    rules(config, &nothing_kept, RulesFrom::Folder)
}

fn mapping(config: &Config, ledger: &Ledger, from: RulesFrom) -> Result<Mapping, InputError> {
    let kept = ledger.in_force("mapping")?.map(|bytes| Mapping::from_canonical(&bytes)).transpose()?;
    if let (RulesFrom::Force, Some(kept)) = (from, kept.clone()) {
        return Ok(kept);
    }
    let files = match (config.mapping.read_files(), &kept) {
        (Ok(files), _) => files,
        (Err(error), Some(kept)) => {
            warn!("mapping.directory cannot be read, the last good mapping stays in force: {}", chain(&error));
            return Ok(kept.clone());
        }
        (Err(source), None) => return Err(InputError::File { key: "mapping.directory", source }),
    };
    match Mapping::parse(&files) {
        Ok(_) if from == RulesFrom::Force => Err(InputError::NotInForce("mapping")),
        Ok(mapping) => Ok(mapping),
        Err(errors) => fall_back("mapping", errors, kept, |errors, first| InputError::Mapping { errors, first }),
    }
}

fn list(config: &Config, ledger: &Ledger, from: RulesFrom) -> Result<Option<MailboxList>, InputError> {
    let Some(path) = &config.mailboxes.list else { return Ok(None) };
    let kept = ledger.in_force("list")?.map(|bytes| MailboxList::from_canonical(&bytes)).transpose()?;
    if from == RulesFrom::Force && kept.is_some() {
        return Ok(kept);
    }
    let bytes = match (read_list(path), kept.is_some()) {
        (Ok(bytes), _) => bytes,
        (Err(error), true) => {
            warn!("mailboxes.list cannot be read, the last good list stays in force: {}", chain(&error));
            return Ok(kept);
        }
        (Err(source), false) => return Err(InputError::File { key: "mailboxes.list", source }),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match MailboxList::parse(&name, &bytes) {
        Ok(_) if from == RulesFrom::Force => Err(InputError::NotInForce("mailbox list")),
        Ok(read) => {
            if read.skipped > 0 {
                warn!(count = read.skipped, "addresses of mailboxes.list are malformed and valid nowhere");
            }
            Ok(Some(read.list))
        }
        Err(errors) => {
            fall_back("mailbox list", errors, kept, |errors, first| InputError::List { errors, first }).map(Some)
        }
    }
}

/// The last good one, loudly; or the error, where there is none.
fn fall_back<T>(
    what: &str,
    errors: Vec<RowError>,
    kept: Option<T>,
    fail: impl FnOnce(usize, RowError) -> InputError,
) -> Result<T, InputError> {
    let count = errors.len();
    let mut errors = errors.into_iter();
    let Some(kept) = kept else {
        return match errors.next() {
            Some(first) => Err(fail(count, first)),
            None => Err(LedgerError::Damaged(format!("a {what} was rejected without a reason")).into()),
        };
    };
    for error in errors.take(20) {
        warn!("{what} rejected: {}", chain(&error));
    }
    warn!(
        message_id = events::RULES_REJECTED,
        "the new {what} is rejected (errors: {count}); the last good one stays in force"
    );
    Ok(kept)
}

/// The settings of a rule set, as the ledger keeps them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    domains: Vec<String>,
    companies: Vec<String>,
    automatic: bool,
}

/// A rule set in the form in which the ledger keeps it.
pub fn to_stored(rules: &RuleSet) -> StoredRules {
    let settings = serde_json::json!(Settings {
        domains: rules.domains.iter().map(|domain| domain.as_str().to_owned()).collect(),
        companies: rules.companies.clone(),
        automatic: rules.automatic,
    });
    StoredRules {
        mapping: rules.mapping.canonical(),
        list: rules.list.as_ref().map(|list| list.canonical()),
        settings: settings.to_string(),
    }
}

/// A rule set that the ledger kept.
///
/// # Errors
/// Where it is not what was kept.
pub fn from_stored(stored: &StoredRules) -> Result<RuleSet, InputError> {
    let settings: Settings = serde_json::from_str(&stored.settings).map_err(InputError::Settings)?;
    Ok(RuleSet {
        mapping: Arc::new(Mapping::from_canonical(&stored.mapping)?),
        list: stored.list.as_deref().map(MailboxList::from_canonical).transpose()?.map(Arc::new),
        domains: settings.domains.iter().filter_map(|domain| Domain::parse(domain)).collect(),
        companies: settings.companies,
        automatic: settings.automatic,
    })
}
