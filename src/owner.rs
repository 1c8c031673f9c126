//! Whose a state folder and a staging are. Several firms on one machine have one of each, and no mistake in a
//! configuration may bring the chats of one into the ledger or the mailboxes of another: `<state>/firm` names the firm,
//! `<staging>/.owner` the ledger, in a container as well. They are written by the first run that works there, and are a
//! person's to change.

mod container;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::durable::{AtPath, PathError, read_small, write_new};
use crate::ledger::{Ledger, LedgerError};
use crate::stage::StageError;

pub use self::container::{claim_container, of_container};

/// In the state folder: the firm's code.
const FIRM: &str = "firm";
/// In the staging folder: whose it is, as `key: value`.
const OWNER: &str = ".owner";
/// Bytes of either that are read.
const LONGEST: u64 = 16 * 1024;
/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// Why nobody may work here.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The state folder is another firm's.
    #[error(
        "the ledger in {state} is that of firm {firm}, and site.firm_code is {ours}; give each firm a state folder of its \
         own (state.directory), or, where ICE renamed the firm, write {ours} into {state}/{FIRM}"
    )]
    State {
        /// The state folder.
        state: String,
        /// Whose it is.
        firm: String,
        /// As configured.
        ours: String,
    },
    /// The staging folder, or one that it is in or that is in it, is another ledger's.
    #[error(
        "staging.local: {file} says that another ledger places its EMLs there, that of firm {firm} in {state}; give each \
         firm a staging folder of its own, not within another's, or, where that state was lost or this one took its \
         place, remove the file"
    )]
    Staging {
        /// The file that says so.
        file: String,
        /// Whose it is.
        firm: String,
        /// Its state folder when the file was written.
        state: String,
    },
    /// The staging folder's file is not as we write it.
    #[error(
        "staging.local: {file} does not say whose the folder is; find out who wrote it, and remove it if no other firm is \
         staged there"
    )]
    Illegible {
        /// The file.
        file: String,
    },
    /// The staging folder lost its mark, and is on another disk than before.
    #[error(
        "staging.local: {staging} is on another disk than before, and does not say any more whose it is; if its disk is not \
         mounted, mount it; if it was replaced, write this line into {staging}/{OWNER}: ledger: {id}"
    )]
    OtherDisk {
        /// The staging folder.
        staging: String,
        /// The ledger's id.
        id: String,
    },
    /// The container, or the part of it below the prefix, or one that it is in or that is in it, is another ledger's.
    #[error(
        "staging.azure: {blob} says that another ledger places its EMLs there, that of firm {firm} in {state}; give each \
         firm a container or a prefix of its own, not within another's, or, where that state was lost or this one took \
         its place, remove the blob"
    )]
    Container {
        /// The blob that says so.
        blob: String,
        /// Whose it is.
        firm: String,
        /// Its state folder when the blob was written.
        state: String,
    },
    /// The container's mark is not as we write it.
    #[error(
        "staging.azure: {blob} does not say whose the container is; find out who wrote it, and remove it if no other firm \
         is staged there"
    )]
    IllegibleBlob {
        /// The blob.
        blob: String,
    },
    /// The container does not say.
    #[error("whose the container is could not be read or written")]
    Stage(#[from] StageError),
    /// A file that says whose a folder is.
    #[error("whose state or staging folder it is could not be read or written")]
    File(#[from] PathError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Sees that the state folder is no other firm's, and changes nothing. A ledger from before there were such files is that of
/// its last run's firm.
///
/// # Errors
/// Where it is another firm's, or that cannot be found out.
pub fn of_state(config: &Config) -> Result<(), OwnerError> {
    let (state, ours) = (&config.state.directory, &config.site.firm_code);
    let named = read_small(&state.join(FIRM), LONGEST)?.map(|text| tame(&String::from_utf8_lossy(&text)));
    let firm = match named.filter(|firm| !firm.is_empty()) {
        None => Ledger::read(state)?.map(|ledger| ledger.firm_of_last_run()).transpose()?.flatten(),
        named => named,
    };
    match firm {
        Some(firm) if firm != *ours => {
            Err(OwnerError::State { state: state.display().to_string(), firm, ours: ours.clone() })
        }
        _ => Ok(()),
    }
}

/// The same, and writes down whose it is; to be called under the work lock.
///
/// # Errors
/// As [`of_state`], and where that cannot be written.
pub fn claim_state(config: &Config) -> Result<(), OwnerError> {
    of_state(config)?;
    let file = config.state.directory.join(FIRM);
    if read_small(&file, LONGEST)?.is_none() {
        write_new(&file, 0o600, format!("{}\n", config.site.firm_code).as_bytes())?;
    }
    Ok(())
}

/// Sees that the staging folder is no other ledger's, nor within one that is, and changes nothing. Whether it says already
/// that it is this one's.
///
/// # Errors
/// Where it is another's, or that cannot be found out.
pub fn of_staging(staging: &Path, ledger: &Ledger) -> Result<bool, OwnerError> {
    let id = ledger.id()?;
    let file = staging.join(OWNER);
    let own = match read_small(&file, LONGEST)? {
        Some(text) => Some(Mark::parse(&text).ok_or_else(|| illegible(&file))?),
        None => None,
    };
    own.as_ref().map_or(Ok(()), |own| own.is_of(&id, &file))?;
    for above in above(staging)? {
        let file = above.join(OWNER);
        // Anybody may call a file so; what cannot be read is somebody's.
        if let Some(other) = read_small(&file, LONGEST).or_else(if_unlike_ours)?.as_deref().and_then(Mark::parse) {
            other.is_of(&id, &file)?;
        }
    }
    if own.is_none() {
        none_within(staging, &id)?;
        let now = staging.metadata().map(|found| found.dev()).ok();
        if ledger.marked_on()?.is_some_and(|before| now.is_some_and(|now| now != before)) {
            return Err(OwnerError::OtherDisk { staging: staging.display().to_string(), id });
        }
    }
    Ok(own.is_some())
}

/// The same, and writes down whose it is, where it does not say so yet. The folder must be there.
///
/// # Errors
/// As [`of_staging`], and where that cannot be written.
pub fn claim_staging(config: &Config, staging: &Path, ledger: &Ledger) -> Result<(), OwnerError> {
    if of_staging(staging, ledger)? {
        return Ok(());
    }
    match write_new(&staging.join(OWNER), 0o640, mark(config, ledger)?.as_bytes()) {
        // Another firm's run came first, this instant.
        Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => of_staging(staging, ledger).map(drop),
        written => Ok(written?),
    }
}

/// What is written down.
fn mark(config: &Config, ledger: &Ledger) -> Result<String, OwnerError> {
    let (state, firm) = (&config.state.directory, &config.site.firm_code);
    let state = state.canonicalize().at(state)?;
    Ok(format!("ledger: {}\nfirm: {firm}\nstate: {}\n", ledger.id()?, state.display()))
}

/// A new staging folder around another's: one level is looked at, for the whole may be as large as an archive.
fn none_within(staging: &Path, id: &str) -> Result<(), OwnerError> {
    let entries = match std::fs::read_dir(staging) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at(staging)?,
    };
    for entry in entries {
        let file = entry.at(staging)?.path().join(OWNER);
        // A folder that may not be entered, as `lost+found`, is nobody's staging folder who runs as this user.
        let Ok(Some(text)) = read_small(&file, LONGEST) else { continue };
        if let Some(other) = Mark::parse(&text) {
            other.is_of(id, &file)?;
        }
    }
    Ok(())
}

/// The folders that the staging folder is in, links resolved.
fn above(staging: &Path) -> Result<Vec<PathBuf>, PathError> {
    let real = match staging.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = staging.parent().unwrap_or(staging);
            // Whether it can be made is said by who makes it.
            parent.canonicalize().map(|parent| parent.join(OWNER)).unwrap_or_default()
        }
        real => real.at(staging)?,
    };
    Ok(real.ancestors().skip(1).map(Path::to_owned).collect())
}

/// Something other than a file of ours says nothing; one that may not be read does.
fn if_unlike_ours(error: PathError) -> Result<Option<Vec<u8>>, PathError> {
    if error.source.kind() == std::io::ErrorKind::PermissionDenied { Err(error) } else { Ok(None) }
}

fn illegible(file: &Path) -> OwnerError {
    OwnerError::Illegible { file: file.display().to_string() }
}

/// What a staging folder says of its owner.
struct Mark {
    ledger: String,
    firm: String,
    state: String,
}

impl Mark {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let value = |key: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
            pairs.find(|(found, _)| found.trim() == key).map(|(_, value)| tame(value))
        };
        let named = |key| value(key).filter(|value| !value.is_empty());
        let unknown = || "unknown".to_owned();
        let (firm, state) = (named("firm").unwrap_or_else(unknown), named("state").unwrap_or_else(unknown));
        Some(Self { ledger: named("ledger")?, firm, state })
    }

    fn is_of(&self, id: &str, file: &Path) -> Result<(), OwnerError> {
        if self.ledger == id {
            return Ok(());
        }
        let (firm, state) = (self.firm.clone(), self.state.clone());
        Err(OwnerError::Staging { file: file.display().to_string(), firm, state })
    }
}

/// Fit to be shown on one line, whoever wrote it.
fn tame(text: &str) -> String {
    text.trim().chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).take(SHOWN).collect()
}
