//! Where the readers of the several kinds of archive bring what they find: bounds, names, digests, and what is kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use super::names::{name_of, shown};
use super::sealed::{Place, Sealer};
use super::{ArchiveError, Bounds, Contents, Entry, Refusal, Refused};
use crate::digest::Hasher;

/// Bytes of all names together: with `attachments.max_entries` it bounds what a listing takes in memory.
const NAMES: usize = 32 << 20;
/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// What was found so far.
pub(super) struct Collector<'a> {
    spool: &'a Path,
    pub(super) bounds: Bounds,
    wanted: &'a mut dyn FnMut(&str) -> bool,
    sealer: Option<Sealer>,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    /// Entries that another of the same name contradicts.
    contradicted: Vec<bool>,
    names: usize,
    refused: Vec<Refused>,
    refusals: u64,
    /// Entries of any kind.
    seen: u64,
    /// Bytes of the entries.
    expanded: u64,
    block: Vec<u8>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(spool: &'a Path, bounds: Bounds, wanted: &'a mut dyn FnMut(&str) -> bool) -> Self {
        Self {
            spool,
            bounds,
            wanted,
            sealer: None,
            entries: Vec::new(),
            by_name: HashMap::new(),
            contradicted: Vec::new(),
            names: 0,
            refused: Vec::new(),
            refusals: 0,
            seen: 0,
            expanded: 0,
            block: vec![0; BLOCK],
        }
    }

    /// Counts an entry, of whatever kind, before anything of it is looked at.
    pub(super) fn see(&mut self) -> Result<(), ArchiveError> {
        self.seen += 1;
        if self.seen > self.bounds.max_entries {
            return Err(ArchiveError::TooManyEntries { limit: self.bounds.max_entries });
        }
        Ok(())
    }

    /// Notes that something is not taken.
    pub(super) fn refuse(&mut self, raw: &[u8], why: Refusal) {
        self.refusals += 1;
        if self.refused.len() < Contents::NAMED {
            self.refused.push(Refused { name: shown(raw), why });
        }
    }

    /// Takes a file, whose bytes are read to their end whatever becomes of it. How many they are.
    pub(super) fn take(&mut self, raw: &[u8], bytes: &mut dyn Read) -> Result<u64, ArchiveError> {
        let name = match name_of(raw) {
            Ok(name) => name,
            Err(why) => {
                self.refuse(raw, why);
                return self.read_all(bytes, false).map(|(_, _, len)| len);
            }
        };
        self.names += name.len();
        if self.names > NAMES {
            return Err(ArchiveError::Names { limit: NAMES });
        }
        let keep = !self.by_name.contains_key(&name) && (self.wanted)(&name);
        let (hasher, place, len) = self.read_all(bytes, keep)?;
        let sha256 = hasher.finish();
        match self.by_name.get(&name) {
            Some(&at) if self.entries[at].sha256 == sha256 => {}
            Some(&at) => {
                self.contradicted[at] = true;
                self.refuse(raw, Refusal::Duplicate);
            }
            None => {
                self.by_name.insert(name.clone(), self.entries.len());
                self.entries.push(Entry { name, sha256, bytes: len, place });
                self.contradicted.push(false);
            }
        }
        Ok(len)
    }

    fn read_all(&mut self, bytes: &mut dyn Read, keep: bool) -> Result<(Hasher, Option<Place>, u64), ArchiveError> {
        let mut block = std::mem::take(&mut self.block);
        let (mut hasher, mut len) = (Hasher::default(), 0);
        let begin = self.sealer.as_ref().map_or(0, Sealer::len);
        let read = loop {
            let read = match bytes.read(&mut block) {
                Ok(0) => break Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(ArchiveError::malformed(&error)),
            };
            len += read as u64;
            hasher.update(&block[..read]);
            if let Err(error) = self.expand(read as u64) {
                break Err(error);
            }
            if keep
                && len <= self.bounds.max_kept
                && let Err(error) = self.keep(&block[..read])
            {
                break Err(error);
            }
        };
        self.block = block;
        read?;
        let place = (keep && len <= self.bounds.max_kept).then_some(Place { at: begin, len });
        Ok((hasher, place, len))
    }

    fn expand(&mut self, by: u64) -> Result<(), ArchiveError> {
        self.expanded += by;
        self.bounds.allow(self.expanded)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let sealer = match &mut self.sealer {
            Some(sealer) => sealer,
            none => none.insert(Sealer::create(self.spool).map_err(ArchiveError::Spool)?),
        };
        sealer.write(bytes).map_err(ArchiveError::Spool)
    }

    pub(super) fn finish(mut self) -> Result<Contents, ArchiveError> {
        for at in 0..self.entries.len() {
            if self.contradicted[at] {
                let name = self.entries[at].name.clone();
                self.refuse(name.as_bytes(), Refusal::Duplicate);
            }
        }
        let mut contradicted = self.contradicted.into_iter();
        self.entries.retain(|_| !contradicted.next().unwrap_or(false));
        // An empty file is kept without there being anything to seal.
        let sealer = match self.sealer {
            None if self.entries.iter().any(|entry| entry.place.is_some()) => {
                Some(Sealer::create(self.spool).map_err(ArchiveError::Spool)?)
            }
            sealer => sealer,
        };
        let kept = sealer.map(Sealer::finish).transpose().map_err(ArchiveError::Spool)?;
        Ok(Contents { entries: self.entries, refused: self.refused, refusals: self.refusals, kept })
    }
}

/// A reader that ends where more comes out of it than is allowed, and says why elsewhere: libraries between keep only the
/// text of an error.
pub(super) struct Bounded<R> {
    inner: R,
    bounds: Bounds,
    read: u64,
    refused: Rc<RefCell<Option<ArchiveError>>>,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, bounds: Bounds, refused: Rc<RefCell<Option<ArchiveError>>>) -> Self {
        Self { inner, bounds, read: 0, refused }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read += read as u64;
        if let Err(error) = self.bounds.allow(self.read) {
            let words = error.to_string();
            self.refused.replace(Some(error));
            return Err(io::Error::other(words));
        }
        Ok(read)
    }
}
