//! Reading where others may have planted something: no link is followed, and no pipe is waited for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::{AtPath, Folder, PathError};

/// A pipe that somebody planted would be waited for until somebody writes to it.
const READING: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

pub(super) fn open_in(folder: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    fs::openat(folder, name, READING, Mode::empty())
}

/// Opens a regular file, whose folder need not be readable.
///
/// # Errors
/// What the system says; a link is an error, and so is whatever else is no regular file.
pub fn open_regular(path: &Path) -> Result<File, PathError> {
    fs::open(path, READING, Mode::empty()).map_err(io::Error::from).and_then(regular).at(path)
}

/// The same, in a folder that is open.
///
/// # Errors
/// As [`open_regular`].
pub fn open_regular_in(folder: &Folder, name: &str) -> io::Result<File> {
    regular(open_in(folder, name)?)
}

/// Whether a regular file bears the name.
///
/// # Errors
/// What the system says; a link is an error, and so is whatever else is no regular file.
pub fn is_regular(path: &Path) -> Result<bool, PathError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(not_regular()).at(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at(path),
    }
}

/// A small file's content, at most `limit` bytes and one; none where there is no such file. The folder it is in need not
/// be readable.
///
/// # Errors
/// As [`open_regular`].
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, PathError> {
    match fs::open(path, READING, Mode::empty()) {
        Ok(file) => read_at_most(file, limit).map(Some).at(path),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

pub(super) fn read_at_most(file: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular(file)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regular(file: OwnedFd) -> io::Result<File> {
    let file = File::from(file);
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}
