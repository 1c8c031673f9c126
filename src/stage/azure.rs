//! Staging in a container of Azure Blob Storage. Below here alone is the store's SDK known, and it is given only what is
//! final: each EML is uploaded once, in one request, under the name that it keeps, and never replaces anything.

mod blob;
mod client;
mod ready;
mod refusal;
mod sas;
mod sign_in;
mod transport;

use std::sync::Arc;

use azure_core::Bytes;
use azure_core::credentials::TokenCredential;
use azure_core::time::{Duration, OffsetDateTime};
use azure_storage_blob::models::ImmutabilityPolicyMode;

use self::blob::{Properties, Put, Upload};
use self::client::Client;
pub use self::client::Patience;
use self::ready::ContainerList;
use self::refusal::Asker;
pub use self::refusal::{Kind, Refusal};
pub use self::sas::Sas;
use super::ready::ReadyList;
use super::view::{Claim, Found};
use super::{FOLDER, Placement, Spot, StageError, Target};
use crate::config::{Azure, Config, Credential, Immutability, SignIn};
use crate::decrypt::Authenticated;
use crate::digest::Sha256;

/// Items in one go: with ten mailboxes each, some minutes where the service is so busy that it takes ten uploads a second.
const AT_ONCE: usize = 1024;

/// A container at Azure, or the part of one whose names begin with a prefix.
#[derive(Debug)]
pub struct Container {
    client: Client,
    prefix: String,
    uploads: usize,
    immutability: Option<Immutability>,
}

impl Container {
    /// As `[staging.azure]` has it; none where there is no such section. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// Where the credential cannot be used.
    pub fn configured(config: &Config, patience: Patience) -> Result<Option<Self>, StageError> {
        let Some(azure) = &config.staging.azure else { return Ok(None) };
        let token = sign_in::credential(config, &azure.sign_in)?;
        Self::open(azure, token, patience).map(Some)
    }

    /// With tokens from there, where the configuration names no signature.
    ///
    /// # Errors
    /// As [`Container::configured`].
    pub fn open(
        azure: &Azure,
        token: Option<Arc<dyn TokenCredential>>,
        patience: Patience,
    ) -> Result<Self, StageError> {
        let sas = match &azure.sign_in {
            SignIn::Sas(credential) => Some(signature(credential)?),
            SignIn::Managed(_) | SignIn::App => None,
        };
        let endpoint = endpoint(azure, sas.as_ref())?;
        let asker = match &azure.sign_in {
            SignIn::Sas(_) => Asker::Sas(sas.as_ref().and_then(|sas| sas.expires)),
            SignIn::Managed(_) => Asker::Managed,
            SignIn::App => Asker::App,
        };
        let client = Client::open((&endpoint, &azure.container), sas.as_ref(), token, asker, patience)?;
        let (prefix, uploads, immutability) = (azure.prefix.clone(), azure.uploads, azure.immutability);
        Ok(Self { client, prefix, uploads, immutability })
    }

    /// Container and prefix, for people.
    pub fn shown(&self) -> String {
        if self.prefix.is_empty() { self.client.shown.clone() } else { self.client.shown(&self.prefix) }
    }

    /// What names in the container begin with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A blob of the container as it is shown to people.
    pub fn shown_blob(&self, name: &str) -> String {
        self.client.shown(name)
    }

    /// Whether who asks gets a token, where one is needed.
    ///
    /// # Errors
    /// Where not.
    pub fn sign_in(&self) -> Result<(), StageError> {
        self.client.sign_in()
    }

    /// A blob's bytes by its whole name, if it is there and no longer than `most`.
    ///
    /// # Errors
    /// Where the container refuses, or the blob is longer.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, StageError> {
        let Some(found) = self.client.properties(name)? else { return Ok(None) };
        if found.len > most {
            let problem = format!("larger than {most} bytes; somebody else wrote it");
            return Err(Refusal::new(&self.client.shown(name), "reading", Kind::Other, problem).into());
        }
        // The service takes no range of an empty blob.
        let len = usize::try_from(found.len).unwrap_or_default();
        if len == 0 { Ok(Some(Vec::new())) } else { self.client.read(name, len).map(Some) }
    }

    /// Writes a small blob by its whole name; false where one stands there already.
    ///
    /// # Errors
    /// Where the container refuses.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<bool, StageError> {
        self.client.write(name, bytes.to_vec(), false)
    }

    /// Writes a small blob by its whole name, in place of what stands there.
    ///
    /// # Errors
    /// Where the container refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StageError> {
        self.client.write(name, bytes.to_vec(), true).map(drop)
    }

    /// Removes a blob by its whole name; absent already is fine.
    ///
    /// # Errors
    /// Where the container refuses.
    pub fn remove(&self, name: &str) -> Result<(), StageError> {
        self.client.remove(name)
    }

    /// The first whole names below the prefix, as many as the service gives at once.
    ///
    /// # Errors
    /// Where the container refuses.
    pub fn first_names(&self) -> Result<Vec<String>, StageError> {
        self.client.first_names(&self.name(""))
    }

    /// Whether an EML stands in a mailbox's folder.
    ///
    /// # Errors
    /// Where the container refuses; a container that is not there does.
    pub fn holds(&self, mailbox: &str, name: &str) -> Result<bool, StageError> {
        Ok(self.client.properties(&self.eml(mailbox, name))?.is_some())
    }

    /// What stands of each claim, in their order.
    pub(super) fn compare(&self, claims: &[Claim]) -> Result<Vec<Found>, StageError> {
        let found = self.properties(claims.iter().map(|claim| self.eml(&claim.mailbox, &claim.name)))?;
        let compared = found.into_iter().zip(claims).map(|(found, claim)| match found {
            None => Found::Gone,
            Some(found) if found.sha256.as_deref() == Some(claim.eml.as_str()) => Found::Stands { everywhere: true },
            Some(_) => Found::Other(self.client.shown(&self.eml(&claim.mailbox, &claim.name))),
        });
        Ok(compared.collect())
    }

    /// What is known of each blob, in their order; asked for several at once.
    fn properties(&self, names: impl Iterator<Item = String>) -> Result<Vec<Option<Properties>>, StageError> {
        let looks = names.map(|name| {
            let (container, blob) = (Arc::clone(self.client.container()), name.clone());
            (name, 0, async move { blob::properties(&container, &blob).await })
        });
        self.client.ask_all("looking", self.uploads, looks)
    }

    /// A whole name: what stands below the prefix.
    pub fn name(&self, rest: &str) -> String {
        if self.prefix.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.prefix) }
    }

    fn eml(&self, mailbox: &str, name: &str) -> String {
        self.name(&format!("{mailbox}/{FOLDER}/{name}"))
    }

    /// The uploads that a batch asks for, one at a time: an EML's bytes are copied when its turn comes.
    fn uploads<'a>(&'a self, batch: &'a [Placement<'a>]) -> impl Iterator<Item = Upload> + 'a {
        let immutability = self.immutability.and_then(until);
        batch.iter().flat_map(move |item| {
            let bytes = Bytes::copy_from_slice(item.bytes);
            let (md5, sha256) = (md5::compute(item.bytes).0, Sha256::of(item.bytes).to_string());
            let id = item.name.trim_end_matches(".eml").rsplit('-').next().unwrap_or_default();
            item.mailboxes.iter().map(move |mailbox| Upload {
                name: self.eml(mailbox.as_str(), item.name),
                bytes: bytes.clone(),
                md5,
                sha256: sha256.clone(),
                item: id.to_owned(),
                immutability,
            })
        })
    }
}

/// The signature that a credential holds.
///
/// # Errors
/// Where it holds none that can be used.
pub fn signature(credential: &Credential) -> Result<Sas, StageError> {
    let line = credential.read_line()?;
    Ok(Sas::parse(&line).map_err(|problem| {
        let doing = "reading the credential";
        Refusal::new(credential.key(), doing, Kind::SignIn, format!("{} holds {problem}", credential.name()))
    })?)
}

fn endpoint(azure: &Azure, sas: Option<&Sas>) -> Result<String, StageError> {
    let said = sas.and_then(|sas| sas.endpoint.clone());
    let wrong = |problem: &str| Refusal::new("staging.azure.endpoint", "opening the container", Kind::Other, problem);
    match (&azure.endpoint, said) {
        (Some(ours), Some(said)) if *ours != said => {
            Err(wrong("the connection string in the credential is for another service; correct one of them").into())
        }
        (Some(endpoint), _) => Ok(endpoint.clone()),
        (None, Some(said)) => Ok(said),
        (None, None) => {
            Err(wrong("missing, and the credential holds no connection string; set staging.azure.account").into())
        }
    }
}

fn until(policy: Immutability) -> Option<(OffsetDateTime, ImmutabilityPolicyMode)> {
    let end = OffsetDateTime::now_utc().checked_add(Duration::days(i64::from(policy.days)))?;
    let mode = if policy.is_locked { ImmutabilityPolicyMode::Locked } else { ImmutabilityPolicyMode::Unlocked };
    Some((end, mode))
}

impl Target for Container {
    /// Nothing stands here under a hidden name: what was not uploaded whole is not there.
    fn clear(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// Crash safety: a blob is there whole or not at all, and durable when the service has said so, which it has of each
    /// before this returns. After a crash, the next run meets what stands under the final names and compares it.
    fn place(&self, batch: &[Placement<'_>], _proof: &Authenticated) -> Result<Vec<bool>, StageError> {
        let work = self.uploads(batch).map(|upload| {
            let container = Arc::clone(self.client.container());
            let (name, bytes) = (upload.name.clone(), upload.bytes.len());
            (name.clone(), bytes, async move { Ok((name, blob::put(&container, &upload).await?)) })
        });
        let done = self.client.ask_all("uploading", self.uploads, work)?;
        let stood = done.into_iter().map(|(name, put)| match put {
            Put::Placed => Ok(false),
            Put::Stood => Ok(true),
            Put::Other => Err(StageError::Other { path: self.client.shown(&name) }),
        });
        stood.collect()
    }

    fn most(&self) -> usize {
        AT_ONCE
    }

    /// Every upload was acknowledged when it returned.
    fn barrier(&self) -> Result<(), StageError> {
        Ok(())
    }

    fn begin_list(&self, run: &str) -> Result<Box<dyn ReadyList + '_>, StageError> {
        Ok(Box::new(ContainerList::begin(self, run)))
    }

    fn remove_list(&self, run: &str) -> Result<(), StageError> {
        self.client.remove(&ready::name(self, run))
    }

    fn stands(&self, mailbox: &str, name: &str) -> Result<bool, StageError> {
        self.holds(mailbox, name)
    }

    fn first_standing(&self, spots: &[Spot]) -> Result<Option<usize>, StageError> {
        let found = self.properties(spots.iter().map(|(mailbox, name)| self.eml(mailbox, name)))?;
        Ok(found.iter().position(Option::is_some))
    }
}
