//! What is asked of a site once the session stands: the listing, a file's bytes, its removal.
//!
//! Reads are pipelined here rather than by the library's file type, because that takes an over-long answer for a good
//! one, an empty one for the end, and reads a folder of any size.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use russh_sftp::client::rawsession::SftpResult;
use russh_sftp::client::{Config, error::Error};
use russh_sftp::protocol::{Data, FileAttributes, FileType, Handle, OpenFlags, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};

use super::Timeouts;
use super::error::Trouble;
use super::session::{Session, within};
use crate::download::listing::{Entry, escaped, is_plain, shortened};
use crate::download::spool::Incoming;
use crate::download::{Progress, RemoteFile};

/// Bytes asked for in one request: what every server answers whole.
const BLOCK: u32 = 32 * 1024;
/// The same where a server says that it answers larger ones whole, as OpenSSH's does: a packet of the protocol has at most
/// 256 KiB there, and what stands around the bytes takes some of it.
const LARGE_BLOCK: u32 = 255 * 1024;
/// Requests in flight, at most: one that answers short is asked for little at a time, and in no more requests than others.
const MAX_REQUESTS: usize = 128;
/// Bytes asked for and not here yet: 4 MiB, 40 MB/s over a line of 100 ms. In the usual blocks all requests; in large ones
/// fewer, so that memory holds no more.
const IN_FLIGHT: u64 = MAX_REQUESTS as u64 * BLOCK as u64;
/// More entries than this in one folder are a mistake, or an attack on our memory.
const MAX_ENTRIES: usize = 100_000;
/// The longest path that a system takes, in bytes. Each request for a file repeats the folder's.
const MAX_PATH: usize = 4096;
/// The protocol has no longer handles, in bytes. Each request repeats its handle.
const MAX_HANDLE: usize = 256;

/// The library's own time limit for a request would count the time that a read spends in the queue before it, so that a
/// slow line looked like a dead one: ours are around each operation and the rate instead.
pub(super) fn sftp_config() -> Config {
    Config { request_timeout_secs: u64::MAX, ..Config::default() }
}

/// What a request is about, for the error.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Folder(&'a str),
    File(&'a str),
}

impl Session {
    /// One request, no longer than an operation may take.
    pub(super) async fn ask<T>(
        &self,
        doing: &'static str,
        subject: Subject<'_>,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<T, Trouble> {
        let answer = async { request.await.map_err(|error| explain(doing, subject, error)) };
        within(self.timeouts.operation, doing, answer).await
    }

    /// The site's folder as the server itself writes it.
    pub(super) async fn resolve(&self, directory: &str) -> Result<String, Trouble> {
        let subject = Subject::Folder(directory);
        let answer = self.ask("finding site.directory", subject, self.sftp.realpath(directory)).await?;
        let path = answer.files.into_iter().next().map(|file| file.filename);
        let path = path.ok_or_else(|| Trouble::MissingDirectory(directory.to_owned()))?;
        if path.len() <= MAX_PATH {
            return Ok(path);
        }
        let source = format!("the site gave a path of more than {MAX_PATH} bytes").into();
        Err(Trouble::Lost { doing: "finding site.directory", source })
    }

    /// Every entry of the site's folder.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>, Trouble> {
        let folder = Subject::Folder(&self.folder);
        let opened = self.ask("opening site.directory", folder, self.sftp.opendir(self.folder.clone())).await?;
        let handle = handle_of("opening site.directory", opened)?;
        let mut entries = Vec::new();
        loop {
            let answer = async {
                match self.sftp.readdir(handle.as_str()).await {
                    Err(Error::Status(status)) if status.status_code == StatusCode::Eof => Ok(None),
                    other => other.map(Some),
                }
            };
            let Some(names) = self.ask("listing site.directory", folder, answer).await? else { break };
            // No names and no end: some servers say so that nothing is left, and OpenSSH's client takes it so.
            if names.files.is_empty() {
                break;
            }
            if entries.len() + names.files.len() > MAX_ENTRIES {
                return Err(Trouble::TooManyEntries(MAX_ENTRIES));
            }
            entries.extend(names.files.into_iter().map(|file| (shortened(file.filename), file.attrs)));
        }
        self.ask("closing site.directory", folder, self.sftp.close(handle)).await?;
        self.complete(entries).await
    }

    /// Servers need not say in a listing what an entry is: then each one is asked about.
    async fn complete(&self, entries: Vec<(String, FileAttributes)>) -> Result<Vec<Entry>, Trouble> {
        let mut complete = Vec::with_capacity(entries.len());
        for (name, mut attributes) in entries {
            let known = attributes.permissions.is_some() && attributes.size.is_some() && attributes.mtime.is_some();
            if !known && is_plain(&name) {
                attributes = self.look(&name).await?.unwrap_or_default();
            }
            complete.push(Entry { name, stands: standing(&attributes) });
        }
        Ok(complete)
    }

    /// What stands under a name, links not followed; nothing if it is gone.
    async fn look(&self, name: &str) -> Result<Option<FileAttributes>, Trouble> {
        let request = self.sftp.lstat(self.path(name));
        match self.ask("looking at a file", Subject::File(name), request).await {
            Ok(answer) => Ok(Some(answer.attrs)),
            Err(Trouble::Missing(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.trim_end_matches('/'))
    }

    /// Brings what is missing of a file; what `incoming` has already stays. The file must be the listed one when it is
    /// opened and when the last byte is here: bytes of two uploads are never mixed.
    pub(super) async fn fetch(
        &self,
        file: &RemoteFile,
        incoming: &mut Incoming,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let subject = Subject::File(&file.name);
        let handle = self.open_file(file).await?;
        self.confirm(file, &handle).await?;
        self.pull(file, &handle, incoming, progress).await?;
        self.confirm(file, &handle).await?;
        self.ask("closing a file", subject, self.sftp.close(handle)).await?;
        Ok(())
    }

    /// A file's first bytes, at most so many, one request after the other.
    pub(super) async fn beginning(&self, file: &RemoteFile, most: u64) -> Result<Vec<u8>, Trouble> {
        let subject = Subject::File(&file.name);
        let handle = self.open_file(file).await?;
        let mut bytes = Vec::new();
        loop {
            let offset = bytes.len() as u64;
            let missing = file.size.min(most).saturating_sub(offset);
            let wanted = u32::try_from(missing).unwrap_or(u32::MAX).min(BLOCK);
            if wanted == 0 {
                break;
            }
            let answer = async { Ok(self.sftp.read(handle.as_str(), offset, wanted).await) };
            let answer = self.ask("reading a file", subject, answer).await?;
            bytes.extend(read_answer(file, wanted, answer)?);
        }
        self.ask("closing a file", subject, self.sftp.close(handle)).await?;
        Ok(bytes)
    }

    async fn open_file(&self, file: &RemoteFile) -> Result<String, Trouble> {
        let request = self.sftp.open(self.path(&file.name), OpenFlags::READ, FileAttributes::empty());
        handle_of("opening a file", self.ask("opening a file", Subject::File(&file.name), request).await?)
    }

    async fn confirm(&self, file: &RemoteFile, handle: &str) -> Result<(), Trouble> {
        let answer = self.ask("looking at a file", Subject::File(&file.name), self.sftp.fstat(handle)).await?;
        if standing(&answer.attrs) == Some((file.size, file.mtime)) {
            return Ok(());
        }
        Err(Trouble::Changed(file.name.clone()))
    }

    /// Bytes that one request may ask for, by what the server says of itself (`limits@openssh.com` in OpenSSH's PROTOCOL). One
    /// that says nothing in time, or nothing that can be, is asked for what any server answers.
    async fn largest_block(&self) -> u32 {
        if !self.tells_limits {
            return BLOCK;
        }
        let limits = timeout(self.timeouts.operation, self.sftp.limits()).await;
        let most = limits.ok().and_then(Result::ok).and_then(|limits| u32::try_from(limits.max_read_len).ok());
        most.unwrap_or(BLOCK).clamp(BLOCK, LARGE_BLOCK)
    }

    /// Reads with many requests in flight, and takes the answers in order. How much there is, fstat says and never an end
    /// of file: an early one means that the file changed.
    async fn pull(
        &self,
        file: &RemoteFile,
        handle: &str,
        incoming: &mut Incoming,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let begun = incoming.written();
        let mut asked = begun;
        let mut block = BLOCK;
        // When the first of them are here, as many again are asked for already: less than that is not worth the question.
        let is_large = file.size.saturating_sub(begun) > 2 * IN_FLIGHT;
        let mut largest = if is_large { self.largest_block().await } else { BLOCK };
        let mut rate = Rate::new(&self.timeouts);
        let start = Instant::now();
        let ask = |offset, len| async move { (len, self.sftp.read(handle, offset, len).await) };
        let mut queue = FuturesOrdered::new();
        while incoming.written() < file.size {
            if block < largest && incoming.written() - begun >= IN_FLIGHT {
                // An answer counts once it is whole, and over a line of the least rate a large one takes longer than a window:
                // only a line that brings many of them in one is asked for such.
                if start.elapsed() < self.timeouts.rate_window {
                    block = largest;
                } else {
                    largest = block;
                }
            }
            while queue.len() < MAX_REQUESTS && asked - incoming.written() < IN_FLIGHT && asked < file.size {
                let len = u32::try_from(file.size - asked).unwrap_or(u32::MAX).min(block);
                queue.push_back(ask(asked, len));
                asked += u64::from(len);
            }
            let Some(next) = rate.watch(queue.next()).await else { return Err(rate.slow(file)) };
            let Some((wanted, answer)) = next else { return Err(Trouble::Changed(file.name.clone())) };
            let bytes = read_answer(file, wanted, answer)?;
            incoming.write(&bytes)?;
            progress.advance(bytes.len() as u64);
            if !rate.count(bytes.len()) {
                return Err(rate.slow(file));
            }
            if let Ok(got) = u32::try_from(bytes.len())
                && got < wanted
            {
                // A server may answer with less than was asked for. What is in flight lies beyond a gap: ask anew from
                // there, for no more than it gave, since it will do so again.
                (block, largest) = (got, got);
                asked = incoming.written();
                queue = FuturesOrdered::new();
            }
        }
        Ok(())
    }

    /// Removes a file if it is still the one that was taken. `asked` remembers over a broken connection that the removal
    /// was asked for: a file that is gone then is gone by our own hand.
    pub(super) async fn remove(&self, file: &RemoteFile, asked: &mut bool) -> Result<bool, Trouble> {
        let Some(there) = self.look(&file.name).await? else { return Ok(*asked) };
        if standing(&there) != Some((file.size, file.mtime)) {
            return Ok(false);
        }
        *asked = true;
        self.ask("removing a file", Subject::File(&file.name), self.sftp.remove(self.path(&file.name))).await?;
        Ok(true)
    }
}

fn handle_of(doing: &'static str, opened: Handle) -> Result<String, Trouble> {
    if opened.handle.len() <= MAX_HANDLE {
        return Ok(opened.handle);
    }
    Err(Trouble::Lost { doing, source: format!("the site gave a handle of more than {MAX_HANDLE} bytes").into() })
}

fn read_answer(file: &RemoteFile, wanted: u32, answer: SftpResult<Data>) -> Result<Vec<u8>, Trouble> {
    let bytes = match answer {
        Ok(data) => data.data,
        Err(Error::Status(status)) if status.status_code == StatusCode::Eof => Vec::new(),
        Err(error) => return Err(explain("reading a file", Subject::File(&file.name), error)),
    };
    if bytes.is_empty() {
        return Err(Trouble::Changed(file.name.clone()));
    }
    if bytes.len() > wanted as usize {
        let source = "the site sent more than was asked for".into();
        return Err(Trouble::Lost { doing: "reading a file", source });
    }
    Ok(bytes)
}

/// Size and mtime of a regular file; nothing for anything else. Not the library's `is_regular`, which takes links and
/// sockets for files: it tests bits where the type is a number. No file system has a file of 8 EiB, and the ledger no number
/// for its size: whatever claims to be one is none.
fn standing(attributes: &FileAttributes) -> Option<(u64, i64)> {
    attributes.permissions?;
    if attributes.file_type() != FileType::File {
        return None;
    }
    let size = attributes.size.filter(|size| i64::try_from(*size).is_ok())?;
    Some((size, i64::from(attributes.mtime?)))
}

fn explain(doing: &'static str, subject: Subject<'_>, error: Error) -> Trouble {
    let Error::Status(status) = error else { return Trouble::Lost { doing, source: error.into() } };
    let (Subject::Folder(name) | Subject::File(name)) = subject;
    // The folder's name is the site's own, and what stands in it may be called anything.
    let name = escaped(name);
    match (status.status_code, subject) {
        (StatusCode::NoSuchFile, Subject::Folder(_)) => Trouble::MissingDirectory(name),
        (StatusCode::NoSuchFile, Subject::File(_)) => Trouble::Missing(name),
        (StatusCode::PermissionDenied, _) => Trouble::Denied(name),
        _ => Trouble::Failed { doing, said: escaped(&status.error_message) },
    }
}

/// Insists on a least rate, averaged over windows of time. It also ends a read that never comes: the library resets its
/// inactivity timer at every keepalive of the peer.
struct Rate {
    window: Duration,
    least: u64,
    ends: Instant,
    bytes: u64,
}

impl Rate {
    fn new(timeouts: &Timeouts) -> Self {
        let window = timeouts.rate_window;
        Self { window, least: timeouts.least_rate, ends: Instant::now() + window, bytes: 0 }
    }

    /// What comes of the future, unless too little came for a whole window.
    async fn watch<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match timeout_at(self.ends, work.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if self.turn() => {}
                Err(_) => return None,
            }
        }
    }

    /// Counts what came; false if a window ended with too little in it.
    fn count(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        Instant::now() < self.ends || self.turn()
    }

    fn turn(&mut self) -> bool {
        let enough = u128::from(self.bytes) * 1000 >= u128::from(self.least) * self.window.as_millis();
        self.bytes = 0;
        self.ends = Instant::now() + self.window;
        enough
    }

    fn slow(&self, file: &RemoteFile) -> Trouble {
        Trouble::Slow { name: file.name.clone(), least: self.least }
    }
}
