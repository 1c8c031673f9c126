//! What stands in staging, for those who only look: nothing here makes, changes or removes anything.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::azure::{Container, Patience};
use super::{FOLDER, StageError, local};
use crate::config::Config;
use crate::digest::{Hasher, Sha256};
use crate::durable::{self, Disk, FileSystem};

/// A placement that a manifest speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose folder.
    pub mailbox: String,
    /// The file's name.
    pub name: String,
    /// The SHA-256 of its bytes, hexadecimal.
    pub eml: String,
}

/// What was found of a placement.
#[derive(Debug)]
pub enum Found {
    /// It stands nowhere.
    Gone,
    /// It stands as it was placed: everywhere, or not everywhere any more.
    Stands {
        /// Whether everything that items are placed in has it.
        everywhere: bool,
    },
    /// Something else stands there, at this place.
    Other(String),
    /// The file system does not say.
    Unseen(StageError),
}

/// Everything that items are placed in.
#[derive(Debug)]
pub struct View {
    local: Option<PathBuf>,
    azure: Option<Container>,
}

impl View {
    /// Opens what the configuration names. A folder need not be there.
    ///
    /// # Errors
    /// Where the container's credential cannot be used.
    pub fn of(config: &Config, patience: Patience) -> Result<Self, StageError> {
        let azure = Container::configured(config, patience)?;
        Ok(Self { local: config.staging.local.clone(), azure })
    }

    /// Whether an EML stands anywhere: the importer has not taken it yet.
    ///
    /// # Errors
    /// Where that cannot be seen.
    pub fn stands(&self, mailbox: &str, name: &str) -> Result<bool, StageError> {
        if let Some(root) = &self.local
            && local::stands(root, mailbox, name)?
        {
            return Ok(true);
        }
        self.azure.as_ref().map_or(Ok(false), |container| container.holds(mailbox, name))
    }

    /// What stands of each claim, in their order. A blob is compared by the digest that was recorded with it; it is not
    /// fetched.
    ///
    /// # Errors
    /// Where the container does not say.
    pub fn compare(&self, claims: &[Claim]) -> Result<Vec<Found>, StageError> {
        let here = self.local.as_ref().map(|root| claims.iter().map(|claim| in_folder(root, claim)));
        let there = self.azure.as_ref().map(|container| container.compare(claims)).transpose()?;
        Ok(match (here, there) {
            (Some(here), Some(there)) => here.zip(there).map(|(here, there)| both(here, there)).collect(),
            (Some(here), None) => here.collect(),
            (None, there) => there.unwrap_or_default(),
        })
    }

    /// Goes on without the container, which does not answer. Whether anything is left to look at.
    pub fn without_container(&mut self) -> bool {
        self.azure = None;
        self.local.is_some()
    }
}

fn in_folder(root: &Path, claim: &Claim) -> Found {
    let path = root.join(&claim.mailbox).join(FOLDER).join(&claim.name);
    match digest(root, claim) {
        Ok(eml) if eml.to_string() == claim.eml => Found::Stands { everywhere: true },
        Ok(_) => Found::Other(path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Gone,
        Err(error) if is_no_file(&error) => Found::Other(path.display().to_string()),
        Err(source) => Found::Unseen(StageError::Unseen { path, source }),
    }
}

/// Component by component, so that no link leads out of the root; piece by piece, for what stands there may be anything.
fn digest(root: &Path, claim: &Claim) -> io::Result<Sha256> {
    let root = Disk::open(root).map_err(|error| error.source)?;
    let mailbox = Disk.open_folder(&root, &claim.mailbox)?;
    let mut file = durable::open_regular_in(&Disk.open_folder(&mailbox, FOLDER)?, &claim.name)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// A link, a folder or a pipe where a file or folder of ours should be.
fn is_no_file(error: &io::Error) -> bool {
    let planted = [Errno::LOOP, Errno::NOTDIR].map(Errno::raw_os_error);
    error.kind() == io::ErrorKind::InvalidInput || error.raw_os_error().is_some_and(|code| planted.contains(&code))
}

/// One target's finding and another's, as one: the worst that is found.
fn both(one: Found, other: Found) -> Found {
    match (one, other) {
        (unseen @ Found::Unseen(_), _) | (_, unseen @ Found::Unseen(_)) => unseen,
        (Found::Other(place), _) | (_, Found::Other(place)) => Found::Other(place),
        (Found::Gone, Found::Gone) => Found::Gone,
        (Found::Stands { everywhere: one }, Found::Stands { everywhere: other }) => {
            Found::Stands { everywhere: one && other }
        }
        (Found::Gone, Found::Stands { .. }) | (Found::Stands { .. }, Found::Gone) => {
            Found::Stands { everywhere: false }
        }
    }
}
