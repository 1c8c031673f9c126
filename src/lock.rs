//! Who may work: one instance at a time, told apart from a crash by the kernel, which drops a dead process's locks.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::durable::{AtPath, PathError};

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Given back outright: closing alone leaves it with a child that another thread has forked and that has not come to
/// its `exec` yet.
impl Drop for Lock {
    fn drop(&mut self) {
        // Closing follows in any case.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another icechatd is working on {0}; wait until it has finished (icechatd status shows it)")]
    Busy(String),
    /// The file system refused.
    #[error("the lock could not be taken")]
    File(#[from] PathError),
}

impl Lock {
    /// Takes the lock `path` at once or not at all (`flock(2)`).
    ///
    /// # Errors
    /// Where another process has it, or the file cannot be made.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = open(path, flags, Mode::from_raw_mode(0o600)).at(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file: file.into() }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Busy(path.parent().unwrap_or(path).display().to_string())),
            Err(error) => Err(PathError { path: path.to_owned(), source: error.into() }.into()),
        }
    }
}

/// Whether somebody holds the lock at this moment; takes and makes nothing.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) else { return false };
    // A shared lock, given back at once: it can stand in nobody's way for longer than this call.
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
