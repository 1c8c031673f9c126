//! The one thin seam to the file system, and the one routine that makes a single file durable.
//!
//! Everything that must survive a power cut goes through [`FileSystem`], so that a test can record the calls, fail each
//! one, and replay a prefix of them. Calls are relative to folders that are already open, and no call follows a link in
//! the last component: a link planted in staging or spool leads nowhere.

mod leftovers;
mod reading;
pub mod space;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};

pub use self::reading::{is_regular, open_regular, open_regular_in, read_small};
use self::reading::{open_in, read_at_most};

/// An I/O error with the path it happened at, attached once.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct PathError {
    /// Where.
    pub path: PathBuf,
    /// What.
    #[source]
    pub source: io::Error,
}

/// Attaches the path to an I/O error.
pub trait AtPath<T> {
    /// The same result, its error naming `path`.
    ///
    /// # Errors
    /// Where the result was one.
    fn at(self, path: impl AsRef<Path>) -> Result<T, PathError>;

    /// As [`AtPath::at`], with a path that is put together only where the result is an error: for what is done to every item.
    ///
    /// # Errors
    /// Where the result was one.
    fn at_path<P: AsRef<Path>>(self, path: impl FnOnce() -> P) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> AtPath<T> for Result<T, E> {
    fn at(self, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.at_path(|| path)
    }

    fn at_path<P: AsRef<Path>>(self, path: impl FnOnce() -> P) -> Result<T, PathError> {
        self.map_err(|source| PathError { path: path().as_ref().to_owned(), source: source.into() })
    }
}

/// An open folder: what names are relative to.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A folder's group, and its permission bits with the set-group-ID bit (stat(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The group's number.
    pub group: u32,
    /// `0o2750` or the like.
    pub mode: u32,
}

/// The calls that staging and state are made of. Each name is one component; implementations may refuse any other.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens the folder `name` in `parent`; a link or a file there is an error.
    ///
    /// # Errors
    /// What the system says.
    fn open_folder(&self, parent: &Folder, name: &str) -> io::Result<Folder>;
    /// Makes the folder `name` in `parent`; it may exist.
    ///
    /// # Errors
    /// What the system says, except that it exists.
    fn make_folder(&self, parent: &Folder, name: &str, mode: u32) -> io::Result<()>;
    /// Writes a file that does not exist yet, whole, with exactly this mode; not yet durable.
    ///
    /// # Errors
    /// What the system says; a file that could not be written whole may be left behind under its (hidden) name.
    fn write_new(&self, folder: &Folder, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()>;
    /// Adds to a file that is still under a hidden name; not yet durable.
    ///
    /// # Errors
    /// What the system says; part of it may have been added.
    fn append(&self, folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Whose group a folder is, and what that may do there.
    ///
    /// # Errors
    /// What the system says.
    fn access(&self, folder: &Folder) -> io::Result<Access>;
    /// Gives a folder to a group, or changes what its group may do.
    ///
    /// # Errors
    /// What the system says: a group that one is no member of cannot be given, and a sandbox may forbid it.
    fn set_access(&self, folder: &Folder, access: Access) -> io::Result<()>;
    /// A second name for a file; never replaces one.
    ///
    /// # Errors
    /// What the system says, `EEXIST` if the name is taken.
    fn link(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()>;
    /// Another name for a file; never replaces one.
    ///
    /// # Errors
    /// What the system says, `EEXIST` if the name is taken.
    fn rename_new(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()>;
    /// Another name for a file, in place of whatever bore it.
    ///
    /// # Errors
    /// What the system says.
    fn rename_over(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()>;
    /// Removes a name; absent already is fine.
    ///
    /// # Errors
    /// What the system says, except that it is absent.
    fn unlink(&self, folder: &Folder, name: &str) -> io::Result<()>;
    /// Makes one file's content durable.
    ///
    /// # Errors
    /// What the system says. Never try again: the kernel may have dropped the pages (see fsyncgate).
    fn sync_file(&self, folder: &Folder, name: &str) -> io::Result<()>;
    /// Makes a folder's names durable.
    ///
    /// # Errors
    /// As `sync_file`.
    fn sync_folder(&self, folder: &Folder) -> io::Result<()>;
    /// Makes everything on the folder's file system durable (`syncfs(2)`).
    ///
    /// # Errors
    /// As `sync_file`.
    fn sync_all(&self, folder: &Folder) -> io::Result<()>;
    /// A file's content, at most `limit` bytes and one.
    ///
    /// # Errors
    /// What the system says; a link is an error, and so is whatever else is no regular file.
    fn read(&self, folder: &Folder, name: &str, limit: u64) -> io::Result<Vec<u8>>;
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

impl Disk {
    /// Opens a folder by its path; links in the path are the operator's to place, so they are followed.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path) -> Result<Folder, PathError> {
        let fd = fs::open(path, FOLDER, Mode::empty()).at(path)?;
        Ok(Folder { fd })
    }

    /// Opens a folder, making it first where it is missing; its parent must exist (contract 4). A new one's name is durable
    /// before anything lies in it: what is synced in a folder is lost with the folder's own name.
    ///
    /// # Errors
    /// Where it cannot be made or opened.
    pub fn open_or_make(path: &Path, mode: u32) -> Result<Folder, PathError> {
        match fs::mkdir(path, Mode::from_raw_mode(mode)) {
            Ok(()) => {
                mend_mode(fs::CWD, path, mode).at(path)?;
                let parent = parent_of(path);
                Disk.sync_folder(&Self::open(parent)?).at(parent)?;
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).at(path),
        }
        Self::open(path)
    }
}

/// Gives a folder that was just made the mode that it should have: the umask may have taken bits away, and the mode is the
/// contract's, not the shell's. Otherwise it is left alone, for a set-group-ID bit that the folder inherited may not be set
/// again under systemd's `RestrictSUIDSGID`.
fn mend_mode(parent: impl AsFd, name: impl rustix::path::Arg + Copy, mode: u32) -> rustix::io::Result<()> {
    let now = fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
    if now & 0o777 == mode {
        return Ok(());
    }
    let inherited = now & Mode::SGID.as_raw_mode();
    fs::chmodat(parent, name, Mode::from_raw_mode(mode | inherited), AtFlags::empty())
}

impl FileSystem for Disk {
    fn open_folder(&self, parent: &Folder, name: &str) -> io::Result<Folder> {
        let fd = fs::openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Folder { fd })
    }

    fn make_folder(&self, parent: &Folder, name: &str, mode: u32) -> io::Result<()> {
        match fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
            Ok(()) => Ok(mend_mode(parent, name, mode)?),
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_new(&self, folder: &Folder, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(folder, name, flags, Mode::from_raw_mode(mode))?);
        // As above, but one system call cheaper where the umask leaves the mode alone, which it does in the daemon.
        if fs::fstat(&file)?.st_mode & 0o7777 != mode {
            fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        file.write_all(bytes)
    }

    fn append(&self, folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        File::from(fs::openat(folder, name, flags, Mode::empty())?).write_all(bytes)
    }

    fn access(&self, folder: &Folder) -> io::Result<Access> {
        let found = fs::fstat(folder)?;
        Ok(Access { group: found.st_gid, mode: found.st_mode & 0o7777 })
    }

    fn set_access(&self, folder: &Folder, access: Access) -> io::Result<()> {
        if self.access(folder)?.group != access.group {
            fs::fchown(folder, None, Some(fs::Gid::from_raw(access.group)))?;
        }
        // Last, for a change of the group may take the set-group-ID bit away.
        Ok(fs::fchmod(folder, Mode::from_raw_mode(access.mode))?)
    }

    fn link(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        Ok(fs::linkat(from, name, to, new_name, AtFlags::empty())?)
    }

    fn rename_new(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        match fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
            // File systems that lack the flag (NFS, some FUSE) get the same in two calls.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                self.link(from, name, to, new_name)?;
                self.unlink(from, name)
            }
            other => Ok(other?),
        }
    }

    fn rename_over(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        Ok(fs::renameat(from, name, to, new_name)?)
    }

    fn unlink(&self, folder: &Folder, name: &str) -> io::Result<()> {
        match fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_file(&self, folder: &Folder, name: &str) -> io::Result<()> {
        Ok(fs::fsync(open_in(folder, name)?)?)
    }

    fn sync_folder(&self, folder: &Folder) -> io::Result<()> {
        Ok(fs::fsync(folder)?)
    }

    fn sync_all(&self, folder: &Folder) -> io::Result<()> {
        Ok(fs::syncfs(folder)?)
    }

    fn read(&self, folder: &Folder, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        read_at_most(open_in(folder, name)?, limit)
    }
}

/// Writes a single file so that after a crash it is there whole or not at all, and never replaces one.
///
/// # Errors
/// `AlreadyExists` if the name is taken; else what the system says.
pub fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), PathError> {
    write_durably(path, mode, None, bytes, FileSystem::rename_new)
}

/// As [`write_new`], for somebody: only root can give files away, from others it is theirs.
///
/// # Errors
/// As [`write_new`].
pub fn write_new_for(path: &Path, mode: u32, owner: Option<Owner>, bytes: &[u8]) -> Result<(), PathError> {
    let owner = owner.filter(|_| rustix::process::geteuid().is_root());
    write_durably(path, mode, owner, bytes, FileSystem::rename_new)
}

/// Writes a single file so that after a crash its old content stands there or the new one, never a mixture.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), PathError> {
    write_durably(path, mode, None, bytes, FileSystem::rename_over)
}

/// As [`replace`], for a file that a person made: its mode and its owner stay, and a link to it stays one.
///
/// # Errors
/// What the system says, `EPERM` where the owner could not stay; then the old content stands.
pub fn replace_content(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let path = path.canonicalize().at(path)?;
    let mode = path.metadata().at(&path)?.mode() & 0o7777;
    let owner = Owner::of(&path).at(&path)?;
    write_durably(&path, mode, Some(owner), bytes, FileSystem::rename_over)
}

/// Whom a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// That of the file, links followed.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(Self { user: found.uid(), group: found.gid() })
    }

    fn give(self, folder: &Folder, name: &str) -> io::Result<()> {
        let now = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (now.st_uid, now.st_gid) == (self.user, self.group) {
            return Ok(());
        }
        let (user, group) = (fs::Uid::from_raw(self.user), fs::Gid::from_raw(self.group));
        Ok(fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The hidden name that a file is written under, and how it gets its own.
type Rename = fn(&Disk, &Folder, &str, &Folder, &str) -> io::Result<()>;

fn write_durably(path: &Path, mode: u32, owner: Option<Owner>, bytes: &[u8], rename: Rename) -> Result<(), PathError> {
    let parent = parent_of(path);
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename)).at(path)?;
    let folder = Disk::open(parent)?;
    let hidden = leftovers::hidden(name);
    let written = leftovers::remove(&folder, name)
        .and_then(|()| Disk.write_new(&folder, &hidden, mode, bytes))
        .and_then(|()| owner.map_or(Ok(()), |owner| owner.give(&folder, &hidden)))
        .and_then(|()| Disk.sync_file(&folder, &hidden))
        .and_then(|()| rename(&Disk, &folder, &hidden, &folder, name))
        .and_then(|()| Disk.sync_folder(&folder));
    if written.is_err() {
        // The error that matters is the first; what is left behind has a hidden name and this process's number.
        let _ = Disk.unlink(&folder, &hidden);
    }
    written.at(path)
}

#[cfg(test)]
mod tests;
