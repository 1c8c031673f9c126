//! What stands in staging, for those who only look: nothing here makes, changes or removes anything.

use std::path::{Path, PathBuf};

use super::azure::{Container, Patience};
use super::{FOLDER, StageError, local};
use crate::config::Config;
use crate::digest::Sha256;
use crate::durable::AtPath;

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
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Gone,
        Err(source) => Found::Unseen(StageError::Unseen { path, source }),
        Ok(found) if found.is_file() => match std::fs::read(&path).at(&path) {
            Ok(bytes) if Sha256::of(&bytes).to_string() == claim.eml => Found::Stands { everywhere: true },
            Ok(_) => Found::Other(path.display().to_string()),
            Err(error) => Found::Unseen(error.into()),
        },
        Ok(_) => Found::Other(path.display().to_string()),
    }
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
