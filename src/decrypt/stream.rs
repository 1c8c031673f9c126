//! One pass over a ciphertext.
//!
//! The decryptor hands out plaintext before it knows whether it is authentic. That is safe here because nothing is
//! staged from the pass that learns it (see the room's head), so its buffer can be small and memory constant.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

use sequoia_openpgp::anyhow;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::DecryptorBuilder;

use super::head::{HEAD, Head};
use super::helper::{Helper, Notes, policy};
use super::outline;
use super::source::{Ciphertext, Source, ciphertext, rest_is_blank};
use super::{DecryptError, Opener};

/// Plaintext is handed on, and its digests are kept, in pieces of so many bytes; the last one is shorter.
pub(super) const CHUNK: usize = 512 * 1024;

/// What the decryptor holds back. Never read more at once: the library would take that for the end of the message and
/// keep all the rest of it in memory.
const BUFFER: usize = CHUNK;

/// The library panics on a container that ends while its first buffers fill, so the outline of files up to so many
/// bytes is looked at first.
const SMALL: u64 = 4 * 1024 * 1024;

/// What is known once a message was decrypted to its end and verified.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    pub(super) len: u64,
    pub(super) signed_by: Option<String>,
    pub(super) opened_with: String,
}

/// Why a pass ended early.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(DecryptError),
    /// The consumer has gone.
    Abandoned,
}

impl From<DecryptError> for Stop {
    fn from(error: DecryptError) -> Self {
        Self::Refused(error)
    }
}

/// Where the plaintext goes.
pub(super) trait Sink {
    /// A buffer to fill, empty.
    fn spare(&mut self) -> Vec<u8>;
    /// Takes a chunk: [`CHUNK`] bytes, or fewer if it is the last.
    fn take(&mut self, chunk: Vec<u8>) -> Result<(), Stop>;
}

/// Decrypts the whole file from its beginning, whatever its position.
pub(super) fn decrypt(file: &File, opener: &Opener, sink: &mut dyn Sink) -> Result<Whole, Stop> {
    let mut bytes = vec![0; HEAD];
    let len = read_up_to(&mut Source::new(file, &OnceLock::new()), &mut bytes).map_err(DecryptError::Read)?;
    let head = Head::parse(&bytes[..len])?;
    if head.armoured {
        outline::check_footer(file)?;
    }
    let (failed, notes) = (OnceLock::new(), Notes::default());
    if file.metadata().map_err(DecryptError::Read)?.len() <= SMALL {
        outline::check(file, head.armoured)?;
    }
    let reader = ciphertext(Source::new(file, &failed), head.armoured);
    message(reader, file, &head, opener, &notes, sink).map_err(|failure| match failure {
        Failure::Stop(stop) => stop,
        Failure::OpenPgp(cause) => {
            let known = failed.into_inner().map(DecryptError::Read).or(notes.refusal.into_inner());
            let inside = notes.opened_with.get().is_some();
            known.unwrap_or_else(|| outline::explain(file, head.armoured, inside, cause)).into()
        }
    })
}

enum Failure {
    Stop(Stop),
    OpenPgp(anyhow::Error),
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        Self::Stop(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::OpenPgp(cause)
    }
}

fn message(
    mut reader: Ciphertext<'_>,
    file: &File,
    head: &Head,
    opener: &Opener,
    notes: &Notes,
    sink: &mut dyn Sink,
) -> Result<Whole, Failure> {
    let size = file.metadata().map_err(DecryptError::Read)?.len();
    let policy = policy();
    let helper = Helper::new(head, opener, notes);
    let builder = DecryptorBuilder::from_buffered_reader(&mut reader)?.buffer_size(BUFFER);
    let mut decryptor = builder.with_policy(&policy, None, helper)?;
    let mut len = 0;
    loop {
        let mut chunk = sink.spare();
        chunk.resize(CHUNK, 0);
        let filled = read_up_to(&mut decryptor, &mut chunk).map_err(anyhow::Error::from)?;
        if filled == 0 {
            break;
        }
        chunk.truncate(filled);
        len += filled as u64;
        opener.caps.allow(len, size)?;
        sink.take(chunk).map_err(Failure::Stop)?;
        if filled < CHUNK {
            break;
        }
    }
    if !decryptor.message_processed() {
        return Err(anyhow::anyhow!("the message was not verified to its end").into());
    }
    drop(decryptor);
    if !rest_is_blank(reader) {
        return Err(DecryptError::Trailing.into());
    }
    let opened_with = notes.opened_with.get().cloned();
    let opened_with = opened_with.ok_or_else(|| anyhow::anyhow!("no encryption container"))?;
    Ok(Whole { len, signed_by: notes.signed_by.get().cloned(), opened_with })
}

/// Fills the buffer unless the reader ends before.
fn read_up_to(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match reader.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
