//! What the consumer reads while another thread decrypts.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use super::stream::{CHUNK, Sink, Stop};

/// The plaintext of a ciphertext, read while it is decrypted. What comes out of a survey's first pass is not
/// authenticated yet.
///
/// An error says only that decryption failed: why, the caller learns from the pass itself.
pub struct Plaintext {
    chunks: Receiver<Vec<u8>>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    ended: Option<End>,
}

/// Without a word of the text.
impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plaintext").field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Whole,
    Failed,
}

impl Plaintext {
    pub(super) fn new(chunks: Receiver<Vec<u8>>, spare: Sender<Vec<u8>>) -> Self {
        Self { chunks, spare, chunk: Vec::new(), at: 0, ended: None }
    }

    /// Reads to the end, so that the whole message is verified however early the consumer stopped.
    pub(super) fn drain(&mut self) {
        while let Ok(chunk) = self.fill_buf().map(<[u8]>::len)
            && chunk > 0
        {
            self.consume(chunk);
        }
    }

    fn next(&mut self) {
        let used = std::mem::take(&mut self.chunk);
        self.at = 0;
        if used.capacity() > 0 {
            // The decrypting thread may have ended already; then nobody needs the buffer.
            let _ = self.spare.send(used);
        }
        match self.chunks.recv() {
            Ok(chunk) if chunk.is_empty() => self.ended = Some(End::Whole),
            Ok(chunk) => self.chunk = chunk,
            Err(_) => self.ended = Some(End::Failed),
        }
    }
}

impl BufRead for Plaintext {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() && self.ended.is_none() {
            self.next();
        }
        match self.ended {
            Some(End::Failed) => Err(io::Error::other("decryption failed")),
            _ => Ok(&self.chunk[self.at..]),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.chunk.len().min(self.at.saturating_add(amount));
    }
}

impl Read for Plaintext {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let len = available.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}

/// The decrypting thread's end: sees each chunk before the consumer does.
pub(super) struct Pipe<F> {
    pub(super) chunks: SyncSender<Vec<u8>>,
    pub(super) spare: Receiver<Vec<u8>>,
    pub(super) inspect: F,
}

impl<F: FnMut(&[u8]) -> Result<(), Stop>> Sink for Pipe<F> {
    fn spare(&mut self) -> Vec<u8> {
        self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK))
    }

    fn take(&mut self, chunk: Vec<u8>) -> Result<(), Stop> {
        (self.inspect)(&chunk)?;
        self.chunks.send(chunk).map_err(|_| Stop::Abandoned)
    }
}

impl<F> Pipe<F> {
    /// Tells the consumer that this was all, which without it is a failure. It may have gone.
    pub(super) fn end(self) {
        let _ = self.chunks.send(Vec::new());
    }
}
