//! The store's SDK, and the async runtime that it needs. What is asked here is done when it returns.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use azure_core::Bytes;
use azure_core::credentials::TokenCredential;
use azure_core::http::policies::Policy;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport, Url};
use azure_core::time::Duration as SdkDuration;
use azure_storage_blob::models::BlobContainerClientListBlobsOptions;
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::blob::{self, AddMd5, Properties};
use super::refusal::{Asker, Kind, Refusal, is_absent};
use super::sas::Sas;
use super::sign_in::{Bearer, SCOPE};
use super::transport::{self, to_carry};
use crate::stage::StageError;

/// How long a container is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Who places things: everything is tried again, as long as the service asks for.
    Work,
    /// Who only looks, and has somebody waiting.
    Look,
    /// Who looks in passing, and keeps others while he does.
    Glance,
}

impl Patience {
    /// Seconds to a connection, to the answer of a try that carries nothing, and to that of the last try.
    fn seconds(self) -> (u64, u64, u64) {
        match self {
            Self::Work => (20, 60, 300),
            Self::Look => (5, 10, 15),
            Self::Glance => (2, 3, 3),
        }
    }

    /// For all tries of one request that carries so much.
    fn all(self, bytes: usize) -> Duration {
        Duration::from_secs(self.seconds().2) + 3 * to_carry(bytes as u64)
    }

    /// The SDK waits between two tries at least as long as a Retry-After asks for.
    fn retries(self) -> RetryOptions {
        match self {
            Self::Look | Self::Glance => RetryOptions::none(),
            Self::Work => RetryOptions::exponential(ExponentialRetryOptions {
                initial_delay: SdkDuration::milliseconds(250),
                max_retries: 8,
                max_total_elapsed: SdkDuration::seconds(240),
                max_delay: SdkDuration::seconds(30),
            }),
        }
    }
}

/// A container, and the threads that speak with it.
pub(super) struct Client {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    container: Arc<BlobContainerClient>,
    token: Option<Arc<dyn TokenCredential>>,
    /// The container's address, without a signature.
    pub shown: String,
    pub asker: Asker,
    patience: Patience,
}

impl Client {
    pub(super) fn open(
        (endpoint, container): (&str, &str),
        sas: Option<&Sas>,
        token: Option<Arc<dyn TokenCredential>>,
        asker: Asker,
        patience: Patience,
    ) -> Result<Self, StageError> {
        let shown = format!("{endpoint}/{container}");
        let unusable = |problem: String| Refusal::new(&shown, "opening the container", Kind::Other, problem);
        let mut url =
            Url::parse(&shown).map_err(|error| unusable(format!("{error}; correct staging.azure.endpoint")))?;
        url.set_query(sas.map(|sas| sas.token.expose_secret()));
        let mut per_try_policies: Vec<Arc<dyn Policy>> = vec![Arc::new(AddMd5)];
        if let Some(token) = &token {
            per_try_policies.push(Arc::new(Bearer(Arc::clone(token))));
        }
        let (connect, each, _) = patience.seconds();
        let transport = transport::far(Duration::from_secs(connect), Duration::from_secs(each))?;
        let client_options = ClientOptions {
            per_try_policies,
            retry: patience.retries(),
            transport: Some(Transport::new(Arc::new(transport))),
            ..ClientOptions::default()
        };
        let options = BlobContainerClientOptions { client_options, ..BlobContainerClientOptions::default() };
        let container = BlobContainerClient::new(url, None, Some(options));
        let container = container.map_err(|error| Refusal::of(&error, &shown, "opening the container", asker))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("azure").enable_all().build();
        let runtime = runtime.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { runtime: Some(runtime), container: Arc::new(container), token, shown, asker, patience })
    }

    /// A blob as it is named to people.
    pub(super) fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.shown)
    }

    /// Waits for one request. It is done by the client's own threads, so a thread that belongs to another runtime may ask.
    fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        name: &str,
        bytes: usize,
        work: impl Future<Output = azure_core::Result<T>> + Send + 'static,
    ) -> Result<T, StageError> {
        let Some(runtime) = &self.runtime else { return Err(self.broken(name, doing)) };
        let (sender, receiver) = mpsc::channel();
        let deadline = self.patience.all(bytes);
        runtime.spawn(async move {
            let _ = sender.send(tokio::time::timeout(deadline, work).await);
        });
        match receiver.recv() {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => Err(Refusal::of(&error, &self.shown(name), doing, self.asker).into()),
            Ok(Err(_)) => Err(Refusal::late(&self.shown(name), doing, deadline.as_secs()).into()),
            Err(_) => Err(self.broken(name, doing)),
        }
    }

    fn broken(&self, name: &str, doing: &'static str) -> StageError {
        Refusal::new(&self.shown(name), doing, Kind::Other, "the request broke off; please report this").into()
    }

    /// Does as much at once as `limit` says, and gives what comes of each in the order of the work. After the first failure
    /// nothing new is begun; what was begun comes to its end. Not to be called by a thread of another runtime.
    pub(super) fn ask_all<T, F>(
        &self,
        doing: &'static str,
        limit: usize,
        work: impl Iterator<Item = (String, usize, F)>,
    ) -> Result<Vec<T>, StageError>
    where
        T: Send + 'static,
        F: Future<Output = azure_core::Result<T>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(self.broken("", doing)) };
        runtime.block_on(async {
            let mut done = Vec::new();
            let mut failed = None;
            let mut begun = JoinSet::new();
            let mut work = work.enumerate();
            loop {
                while begun.len() < limit && failed.is_none() {
                    let Some((turn, (name, bytes, work))) = work.next() else { break };
                    let deadline = self.patience.all(bytes);
                    begun.spawn(async move { (turn, name, deadline, tokio::time::timeout(deadline, work).await) });
                }
                match begun.join_next().await {
                    None => break,
                    Some(Ok((turn, _, _, Ok(Ok(result))))) => done.push((turn, result)),
                    Some(Ok((_, name, _, Ok(Err(error))))) => {
                        failed.get_or_insert(Refusal::of(&error, &self.shown(&name), doing, self.asker).into());
                    }
                    Some(Ok((_, name, deadline, Err(_)))) => {
                        failed.get_or_insert(Refusal::late(&self.shown(&name), doing, deadline.as_secs()).into());
                    }
                    Some(Err(_)) => drop(failed.get_or_insert(self.broken("", doing))),
                }
            }
            done.sort_unstable_by_key(|(turn, _)| *turn);
            failed.map_or_else(|| Ok(done.into_iter().map(|(_, result)| result).collect()), Err)
        })
    }

    pub(super) fn container(&self) -> &Arc<BlobContainerClient> {
        &self.container
    }

    /// Whether a token can be had, where one is needed.
    pub(super) fn sign_in(&self) -> Result<(), StageError> {
        let Some(token) = self.token.clone() else { return Ok(()) };
        self.ask("signing in", "", 0, async move { token.get_token(&[SCOPE], None).await.map(drop) })
    }

    /// What is known of a blob; none where there is none.
    pub(super) fn properties(&self, name: &str) -> Result<Option<Properties>, StageError> {
        let (container, blob) = (Arc::clone(&self.container), name.to_owned());
        self.ask("looking", name, 0, async move { blob::properties(&container, &blob).await })
    }

    /// A small blob's bytes.
    pub(super) fn read(&self, name: &str, len: usize) -> Result<Vec<u8>, StageError> {
        let (container, blob) = (Arc::clone(&self.container), name.to_owned());
        self.ask("reading", name, len, async move {
            let mut bytes = vec![0; len];
            let read = container.blob_client(&blob).download_into(&mut bytes, None).await?;
            bytes.truncate(read.len);
            Ok(bytes)
        })
    }

    /// Writes a small blob; false where one stands there and `replace` is not said.
    pub(super) fn write(&self, name: &str, bytes: Vec<u8>, replace: bool) -> Result<bool, StageError> {
        let (container, blob, len) = (Arc::clone(&self.container), name.to_owned(), bytes.len());
        self.ask("writing", name, len, async move { blob::write(&container, &blob, Bytes::from(bytes), replace).await })
    }

    /// Removes a blob; absent already is fine.
    pub(super) fn remove(&self, name: &str) -> Result<(), StageError> {
        let (container, blob) = (Arc::clone(&self.container), name.to_owned());
        self.ask("removing", name, 0, async move {
            match container.blob_client(&blob).delete(None).await {
                Err(error) if !is_absent(&error) => Err(error),
                _ => Ok(()),
            }
        })
    }

    /// The first names below a prefix, as many as come at once.
    pub(super) fn first_names(&self, prefix: &str) -> Result<Vec<String>, StageError> {
        let (container, below) = (Arc::clone(&self.container), prefix.to_owned());
        self.ask("listing", prefix, 0, async move {
            let options = BlobContainerClientListBlobsOptions {
                prefix: (!below.is_empty()).then_some(below),
                ..BlobContainerClientListBlobsOptions::default()
            };
            let mut pages = container.list_blobs(Some(options))?.into_pages();
            let Some(page) = pages.next().await else { return Ok(Vec::new()) };
            let page = page?.into_model()?;
            Ok(page.blob_items.into_iter().filter_map(|blob| blob.name).collect())
        })
    }

    /// Sends a piece of a blob that is not visible before all its pieces are named.
    pub(super) fn stage_piece(&self, name: &str, piece: usize, bytes: Vec<u8>) -> Result<(), StageError> {
        let (container, blob, len) = (Arc::clone(&self.container), name.to_owned(), bytes.len());
        self.ask(
            "writing",
            name,
            len,
            async move { blob::stage_piece(&container, &blob, piece, Bytes::from(bytes)).await },
        )
    }

    /// Makes a blob of its pieces, in place of the one that bore its name.
    pub(super) fn commit_pieces(&self, name: &str, pieces: usize) -> Result<(), StageError> {
        let (container, blob) = (Arc::clone(&self.container), name.to_owned());
        self.ask("writing", name, 0, async move { blob::commit_pieces(&container, &blob, pieces).await })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("container", &self.shown).field("asker", &self.asker).finish_non_exhaustive()
    }
}

impl Drop for Client {
    /// A runtime that is dropped waits for its threads, which one that belongs to another runtime must not.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
