//! What a scripted site holds, and what it remembers: against this is held what a client took and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lies::{Liar, Lie};
use super::packets::{LINK, REGULAR};

/// A file at the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Seconds.
    pub mtime: u32,
    /// Type and permissions.
    pub mode: u32,
}

/// What a REMOVE took away.
#[derive(Debug, Clone)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: Filed,
    /// Whether the last look at it was answered with a lie, or with nothing.
    pub was_lied_about: bool,
    /// Whether the last look showed it as it was.
    pub was_seen: bool,
}

/// What the site holds, and what it remembers.
#[derive(Debug, Default)]
pub struct Rack {
    /// By name.
    pub files: BTreeMap<String, Filed>,
    /// Everything that was ever under a name.
    pub ever: Vec<(String, Vec<u8>)>,
    /// Names for whose content the site vouched falsely.
    pub vouched: BTreeSet<String>,
    /// What was removed at a client's request.
    pub removed: Vec<Removed>,
    /// What the last look at a file showed; nothing where that was a lie.
    pub looked: BTreeMap<String, Option<(usize, u32)>>,
    /// The most bytes that one read asked for.
    pub longest_asked: u32,
    /// Bytes that the client sent to a site that listened no more.
    pub ignored: usize,
}

impl Rack {
    /// Puts a file there.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>, mtime: u32) {
        self.ever.push((name.to_owned(), bytes.clone()));
        self.files.insert(name.to_owned(), Filed { bytes, mtime, mode: REGULAR });
    }

    /// Something happens to a file, after which it has another mtime.
    pub fn disturb(&mut self, lie: Lie, name: &str) {
        let Some(Filed { mut bytes, mtime, .. }) = self.files.get(name).cloned() else { return };
        match lie {
            Lie::FileGrew => bytes.extend(b"and more"),
            Lie::FileShrank => bytes.truncate(bytes.len() / 2),
            Lie::FileReplaced => bytes.iter_mut().for_each(|byte| *byte = !*byte),
            Lie::FileVanished => drop(self.files.remove(name)),
            _ => drop(self.files.get_mut(name).map(|file| file.mode = LINK)),
        }
        if matches!(lie, Lie::FileGrew | Lie::FileShrank | Lie::FileReplaced) {
            self.put(name, bytes, mtime + 1);
        }
    }
}

/// What all connections of a site share.
#[derive(Debug)]
pub struct Shared {
    rack: Mutex<Rack>,
    liar: Mutex<Liar>,
}

impl Shared {
    /// A site with these files that lies so.
    pub fn new(files: &[(String, Vec<u8>)], liar: Liar) -> Self {
        let mut rack = Rack::default();
        for (name, bytes) in files {
            rack.put(name, bytes.clone(), 1_000_000_000);
        }
        Self { rack: Mutex::new(rack), liar: Mutex::new(liar) }
    }

    /// What is there.
    pub fn rack(&self) -> MutexGuard<'_, Rack> {
        self.rack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who lies.
    pub fn liar(&self) -> MutexGuard<'_, Liar> {
        self.liar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
