//! How much room a file system has: asked before a run, and by `check`.

use std::fmt;
use std::path::Path;

use bytesize::ByteSize;
use rustix::fs::statvfs;
use rustix::io::Errno;

use super::{AtPath, PathError};

/// Room on a file system. Some do not count files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub bytes: u64,
    /// Files that can still be made.
    pub files: Option<u64>,
}

impl Space {
    /// Whether there is at least as much as this; files count only where the file system counts them.
    pub fn holds(self, least: Self) -> bool {
        let enough = self.files.zip(least.files).is_none_or(|(free, least)| free >= least);
        self.bytes >= least.bytes && enough
    }
}

impl std::ops::Add for Space {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let files = self.files.zip(other.files).map(|(one, other)| one.saturating_add(other));
        Self { bytes: self.bytes.saturating_add(other.bytes), files }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ByteSize(self.bytes).display().iec())?;
        self.files.map_or(Ok(()), |files| write!(f, " and {files} files"))
    }
}

/// What this user may still take on the file system of a folder (statvfs(3)); of its parent, where it is to be made.
///
/// # Errors
/// What the system says.
pub fn free(path: &Path) -> Result<Space, PathError> {
    let found = match (statvfs(path), path.parent()) {
        (Err(Errno::NOENT), Some(parent)) => statvfs(parent).at(parent)?,
        (found, _) => found.at(path)?,
    };
    let files = (found.f_files > 0).then_some(found.f_favail);
    Ok(Space { bytes: found.f_bavail.saturating_mul(found.f_frsize), files })
}
