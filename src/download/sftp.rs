//! The site as the pipeline sees it: list, wait for what grows, fetch, remove. It and the files below it alone know SSH.
//!
//! Calls block. Behind them one worker thread speaks SSH and deciphers, while the caller's thread hashes and writes.
//! Whatever a new connection can mend is tried again a handful of times, and a file goes on where it stopped.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use glob::Pattern;
use tokio::runtime::{Builder, Runtime};
use tracing::{debug, warn};

use super::listing::Listing;
use super::spool::Incoming;
use super::{Ciphertext, Progress, RemoteFile};
use crate::config;

mod error;
mod login;
mod session;
mod transfer;

pub use error::{SiteError, Trouble};
use login::Credentials;
pub use login::Secrets;
pub use session::Met;
use session::{Address, Session};

/// How long things may take. The defaults suit any line that can carry a day's export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Each of: resolving the name, connecting to one address, agreeing on keys.
    pub connect: Duration,
    /// The login, all of its factors together.
    pub authentication: Duration,
    /// One request, reads aside.
    pub operation: Duration,
    /// Bytes a second that a download must bring at least, averaged over `rate_window`.
    pub least_rate: u64,
    /// See `least_rate`.
    pub rate_window: Duration,
    /// Tries after the first one, where a new connection may help.
    pub retries: usize,
    /// The wait before the first of them; it doubles each time.
    pub first_wait: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            authentication: Duration::from_mins(1),
            operation: Duration::from_secs(30),
            least_rate: 1024,
            rate_window: Duration::from_mins(1),
            retries: 4,
            first_wait: Duration::from_secs(1),
        }
    }
}

/// A site, connected to when something is first asked of it. It brings its own async runtime, so it is not for use, or to
/// be dropped, inside another.
pub struct Site {
    // Before the runtime: it is dropped first, and its tasks with it.
    session: Option<Session>,
    runtime: Runtime,
    address: Address,
    credentials: Credentials,
    directory: String,
    patterns: Vec<Pattern>,
    settle: Duration,
    transfer_deadline: Duration,
}

impl Site {
    /// Reads the keys; nothing is connected yet.
    ///
    /// # Errors
    /// A key, passphrase or password that cannot be used, naming the credential.
    pub fn new(settings: &config::Site, limits: &config::Limits, secrets: &Secrets) -> Result<Self, SiteError> {
        Self::with_timeouts(settings, limits, secrets, Timeouts::default())
    }

    /// The same with other timeouts.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn with_timeouts(
        settings: &config::Site,
        limits: &config::Limits,
        secrets: &Secrets,
        timeouts: Timeouts,
    ) -> Result<Self, SiteError> {
        let address = Address::of(settings, timeouts);
        let credentials = Credentials::read(&settings.firm_code, secrets);
        Ok(Self {
            session: None,
            runtime: runtime(&address)?,
            credentials: credentials.map_err(|trouble| SiteError::new(&address.name(), trouble))?,
            address,
            directory: settings.directory.clone(),
            patterns: settings.files.clone(),
            settle: settings.settle,
            transfer_deadline: limits.transfer_deadline,
        })
    }

    /// The fingerprint of the key that the host shows, pinned or not. No login is tried and nothing is tried again.
    ///
    /// # Errors
    /// Where no key is shown.
    pub fn offered_host_key(settings: &config::Site) -> Result<String, SiteError> {
        let address = Address::of(settings, Timeouts::default());
        runtime(&address)?.block_on(address.offered()).map_err(|trouble| SiteError::new(&address.name(), trouble))
    }

    /// The addresses that the host's name has. Nothing is connected.
    ///
    /// # Errors
    /// Where it has none.
    pub fn addresses(settings: &config::Site, timeouts: Timeouts) -> Result<Vec<SocketAddr>, SiteError> {
        let address = Address::of(settings, timeouts);
        let found = runtime(&address)?.block_on(address.resolve());
        found.map_err(|trouble| SiteError::new(&address.name(), trouble))
    }

    /// Who answered, if anybody did whose key is pinned; whether or not the login went well.
    pub fn met(&self) -> Option<Met> {
        self.address.met()
    }

    /// What the site's folder holds now.
    ///
    /// # Errors
    /// Where the site cannot be reached, is another, refuses the login, or the folder cannot be read.
    pub fn list(&mut self) -> Result<Listing, SiteError> {
        let entries = self.retrying(Work::Other("listing site.directory"), async |session| session.entries().await)?;
        let listing = Listing::sort(entries, &self.patterns);
        debug!(exports = listing.exports.len(), others = listing.others.len(), "listed the site's folder");
        Ok(listing)
    }

    /// Waits until size and mtime of each file have stood still for `site.settle`. Returns the files as they stand then,
    /// and those that still move when `limits.transfer_deadline` is over. What vanishes meanwhile is in neither. Each
    /// listing is told, and how many stand still.
    ///
    /// # Errors
    /// As [`Site::list`].
    pub fn settled(
        &mut self,
        files: Vec<RemoteFile>,
        progress: &dyn Progress,
    ) -> Result<(Vec<RemoteFile>, Vec<RemoteFile>), SiteError> {
        if self.settle.is_zero() {
            return Ok((files, Vec::new()));
        }
        let first = files.first().map_or("", |file| file.name.as_str());
        progress.begin(first, files.len() as u64);
        let settled = self.wait_for(files, progress);
        progress.end();
        settled
    }

    fn wait_for(
        &mut self,
        files: Vec<RemoteFile>,
        progress: &dyn Progress,
    ) -> Result<(Vec<RemoteFile>, Vec<RemoteFile>), SiteError> {
        let deadline = Instant::now() + self.transfer_deadline;
        let mut settled = Vec::new();
        let mut moving: Vec<_> = files.into_iter().map(|file| (file, Instant::now())).collect();
        while let Some(next) = moving.iter().map(|(_, since)| *since + self.settle).min() {
            if next > deadline {
                break;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let now: HashMap<_, _> = self.list()?.exports.into_iter().map(|file| (file.name.clone(), file)).collect();
            let seen = Instant::now();
            let before = settled.len();
            for (file, since) in std::mem::take(&mut moving) {
                match now.get(&file.name) {
                    None => {}
                    Some(same) if *same == file && seen >= since + self.settle => settled.push(file),
                    Some(same) if *same == file => moving.push((file, since)),
                    Some(other) => moving.push((other.clone(), seen)),
                }
            }
            progress.advance((settled.len() - before) as u64);
        }
        settled.sort_by(|a, b| (a.mtime, &a.name).cmp(&(b.mtime, &b.name)));
        Ok((settled, moving.into_iter().map(|(file, _)| file).collect()))
    }

    /// Brings a file into the spool, whole and durable.
    ///
    /// # Errors
    /// As [`Site::list`]; a file that is gone or another by now; one that takes longer than `limits.transfer_deadline`, or
    /// comes too slowly. The spool is then as it was.
    pub fn fetch(&mut self, file: &RemoteFile, spool: &Path, progress: &dyn Progress) -> Result<Ciphertext, SiteError> {
        let mut incoming = Incoming::create(spool).map_err(|error| self.failed(error.into()))?;
        progress.begin(&file.name, file.size);
        let work = Work::Transfer(&file.name);
        let fetched = self.retrying(work, async |session| session.fetch(file, &mut incoming, progress).await);
        progress.end();
        fetched?;
        incoming.finish(file.name.clone()).map_err(|error| self.failed(error.into()))
    }

    /// A file's first bytes, at most so many.
    ///
    /// # Errors
    /// As [`Site::list`]; a file that is gone or shorter by now.
    pub fn beginning(&mut self, file: &RemoteFile, most: u64) -> Result<Vec<u8>, SiteError> {
        self.retrying(Work::Other("reading a file"), async |session| session.beginning(file, most).await)
    }

    /// Removes a file from the site if it is still the one that was taken. False if it is another by now, or gone.
    ///
    /// # Errors
    /// As [`Site::list`].
    pub fn remove(&mut self, file: &RemoteFile) -> Result<bool, SiteError> {
        let mut asked = false;
        self.retrying(Work::Other("removing a file"), async |session| session.remove(file, &mut asked).await)
    }

    /// Does something in a session, in a new one where the old one broke; all of it within `limits.transfer_deadline`. Each
    /// request has a limit of its own, but how many a site can make us send is the site's.
    fn retrying<T>(
        &mut self,
        work: Work<'_>,
        mut steps: impl AsyncFnMut(&Session) -> Result<T, Trouble>,
    ) -> Result<T, SiteError> {
        let deadline = Instant::now() + self.transfer_deadline;
        let timeouts = &self.address.timeouts;
        let backoff = ExponentialBuilder::new().with_min_delay(timeouts.first_wait).with_max_times(timeouts.retries);
        let mut waits = backoff.build().zip(1_u32..);
        loop {
            let trouble = match self.attempt(deadline, work, &mut steps) {
                Ok(output) => return Ok(output),
                Err(trouble) => trouble,
            };
            if !trouble.leaves_session_usable() {
                self.session = None;
            }
            let Some((wait, attempt)) = waits.next().filter(|_| !trouble.is_final()) else {
                return Err(self.failed(trouble));
            };
            let cause = trouble.source().map(tracing::field::display);
            warn!(attempt, cause, "site {}: {trouble}; connecting again in {wait:?}", self.address.name());
            thread::sleep(wait);
        }
    }

    fn attempt<T>(
        &mut self,
        deadline: Instant,
        work: Work<'_>,
        steps: &mut impl AsyncFnMut(&Session) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let Self { session, runtime, address, credentials, directory, .. } = self;
        let attempt = async {
            let session = match session {
                Some(session) => session,
                None => session.insert(open(address, credentials, directory).await?),
            };
            steps(session).await
        };
        runtime.block_on(async {
            let attempt = tokio::time::timeout_at(deadline.into(), attempt).await;
            attempt.unwrap_or_else(|_| Err(work.late()))
        })
    }

    fn failed(&self, trouble: Trouble) -> SiteError {
        SiteError::new(&self.address.name(), trouble)
    }
}

/// What a site is busy with for us.
#[derive(Clone, Copy)]
enum Work<'a> {
    /// A file of this name.
    Transfer(&'a str),
    /// Anything else.
    Other(&'static str),
}

impl Work<'_> {
    fn late(self) -> Trouble {
        match self {
            Self::Transfer(name) => Trouble::TransferDeadline(name.to_owned()),
            Self::Other(doing) => Trouble::Endless { doing },
        }
    }
}

async fn open(address: &Address, credentials: &Credentials, directory: &str) -> Result<Session, Trouble> {
    debug!(site = address.name(), "connecting");
    let session = Session::open(address, credentials, directory).await?;
    debug!(site = address.name(), directory, "logged in, the folder is open");
    Ok(session)
}

fn runtime(address: &Address) -> Result<Runtime, SiteError> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("sftp").enable_all().build();
    runtime.map_err(|error| SiteError::new(&address.name(), Trouble::Runtime(error)))
}
