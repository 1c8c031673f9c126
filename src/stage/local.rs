//! Staging in a folder of this machine: each EML is written once and hard-linked into each further mailbox.

mod access;
mod ready;

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::access::{Allowed, ensure};
use self::ready::LocalList;
use super::group::Group;
use super::ready::ReadyList;
use super::{FOLDER, Placement, StageError, Target, in_parallel};
use crate::decrypt::Authenticated;
use crate::durable::{AtPath, Disk, FileSystem, Folder};
use crate::mailbox::Mailbox;

/// Files are written here first; names that begin with a dot are not the importer's (contract 7).
const HIDDEN: &str = ".incoming";
/// The group that imports reads; nobody changes an EML (contract 7).
const FILE_MODE: u32 = 0o440;
const FOLDER_MODE: u32 = 0o750;
/// The same, where that group removes what it took.
const REMOVABLE_MODE: u32 = 0o770;
/// Folders kept open. Half of the usual limit of open files: a firm has more mailboxes than that.
const OPEN_FOLDERS: usize = 512;
/// So often a folder is made that somebody removes at once.
const FOLDER_TRIES: u32 = 100;

/// How a staging folder is arranged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// A file of its own for each mailbox.
    pub copies: bool,
    /// The group that imports, if it is not the program's own.
    pub group: Option<Group>,
    /// Whether that group removes what it took.
    pub importer_may_delete: bool,
}

impl Layout {
    /// As `[staging]` has it: `copies`, `group` by its name, `importer_may_delete`.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn configured(copies: bool, group: Option<&str>, importer_may_delete: bool) -> Result<Self, StageError> {
        Ok(Self { copies, group: group.map(Group::named).transpose()?, importer_may_delete })
    }
}

/// A staging folder on this machine.
#[derive(Debug)]
pub struct Local<F> {
    fs: F,
    path: PathBuf,
    root: Folder,
    hidden: Folder,
    layout: Layout,
    workers: usize,
    folders: Mutex<HashMap<Mailbox, Arc<Folder>>>,
    /// Whether a sync has failed. Batches are placed at once, and the system tells only one of those who ask that something
    /// was lost, which may be the other's.
    has_lost: Mutex<bool>,
}

impl Local<Disk> {
    /// Opens the staging folder, making it where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made, opened or written.
    pub fn open(path: &Path, layout: Layout, workers: usize) -> Result<Self, StageError> {
        Self::with(Disk, path, layout, workers)
    }
}

impl<F: FileSystem> Local<F> {
    /// As [`Local::open`], through another seam to the file system.
    ///
    /// # Errors
    /// As [`Local::open`].
    pub fn with(fs: F, path: &Path, layout: Layout, workers: usize) -> Result<Self, StageError> {
        let root = open_root(&fs, path, &layout)?;
        let hidden = open_hidden(&fs, &root, &layout, path)?;
        let (folders, has_lost) = (Mutex::default(), Mutex::default());
        Ok(Self { fs, path: path.to_owned(), root, hidden, layout, workers, folders, has_lost })
    }

    /// Writes every file of the batch under a hidden name: once, or once for each mailbox.
    fn write_hidden(&self, batch: &[Placement<'_>]) -> Result<(), StageError> {
        for item in batch {
            let times = if self.layout.copies { item.mailboxes.len() } else { 1 };
            for copy in 0..times {
                let name = hidden_name(item.name, copy);
                let written = self.fs.write_new(&self.hidden, &name, FILE_MODE, item.bytes);
                written.at_path(|| self.path.join(HIDDEN).join(&name))?;
            }
        }
        Ok(())
    }

    /// Makes all that was written durable; never again, once that has failed.
    fn sync(&self) -> Result<(), StageError> {
        let mut has_lost = self.has_lost.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_lost {
            return Ok(Err(io::Error::other("an earlier sync failed")).at(&self.path)?);
        }
        let synced = self.fs.sync_all(&self.root);
        *has_lost = synced.is_err();
        Ok(synced.at(&self.path)?)
    }

    /// Gives every file of the batch its final names; whether each stood there already.
    fn link_visible(&self, batch: &[Placement<'_>]) -> Result<Vec<bool>, StageError> {
        let mut stood = Vec::new();
        for item in batch {
            let mut source = hidden_name(item.name, 0);
            for (index, mailbox) in item.mailboxes.iter().enumerate() {
                let last = self.layout.copies || index + 1 == item.mailboxes.len();
                if self.layout.copies && index > 0 {
                    source = hidden_name(item.name, index);
                }
                let is_new = self.link_into(mailbox, &source, last, item)?;
                if !is_new && last {
                    self.fs.unlink(&self.hidden, &source).at_path(|| self.path.join(HIDDEN).join(&source))?;
                }
                stood.push(!is_new);
            }
        }
        Ok(stood)
    }

    /// Whether the name was not there yet. An importer that tidies up may remove a folder while nothing stands in it: the one
    /// that was kept open, and one that was made for this a moment ago.
    fn link_into(&self, mailbox: &Mailbox, source: &str, last: bool, item: &Placement<'_>) -> Result<bool, StageError> {
        for _ in 1..FOLDER_TRIES {
            match self.try_link_into(mailbox, source, last, item) {
                Err(StageError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => {
                    self.lock_folders().remove(mailbox);
                }
                linked => return linked,
            }
        }
        self.try_link_into(mailbox, source, last, item)
    }

    fn try_link_into(
        &self,
        mailbox: &Mailbox,
        source: &str,
        last: bool,
        item: &Placement<'_>,
    ) -> Result<bool, StageError> {
        let folder = self.folder(mailbox)?;
        match self.link(source, last, &folder, item) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.compare(&folder, mailbox, item)?;
                Ok(false)
            }
            Err(error) => Ok(Err(error).at(self.shown(mailbox, item.name))?),
        }
    }

    /// The last name takes the hidden one's place, which saves removing it.
    fn link(&self, source: &str, last: bool, folder: &Folder, item: &Placement<'_>) -> io::Result<()> {
        let linked = if last {
            self.fs.rename_new(&self.hidden, source, folder, item.name)
        } else {
            self.fs.link(&self.hidden, source, folder, item.name)
        };
        match linked {
            Err(error) if no_links(&error) => {
                self.copy_into(folder, item)?;
                if last { self.fs.unlink(&self.hidden, source) } else { Ok(()) }
            }
            other => other,
        }
    }

    /// Where a link is impossible (too many, another file system below the root, one without links), a copy of its own:
    /// synced by itself, for the batch's sync may not reach there.
    fn copy_into(&self, folder: &Folder, item: &Placement<'_>) -> io::Result<()> {
        let hidden = format!(".{}.tmp", item.name);
        self.fs.unlink(folder, &hidden)?;
        self.fs.write_new(folder, &hidden, FILE_MODE, item.bytes)?;
        self.fs.sync_file(folder, &hidden)?;
        match self.fs.rename_new(folder, &hidden, folder, item.name) {
            Ok(()) => self.fs.sync_folder(folder),
            Err(error) => {
                self.fs.unlink(folder, &hidden)?;
                Err(error)
            }
        }
    }

    /// What stands must be what would have been placed: it was placed by a run that died before its commit.
    fn compare(&self, folder: &Folder, mailbox: &Mailbox, item: &Placement<'_>) -> Result<(), StageError> {
        let path = self.shown(mailbox, item.name);
        let standing = match self.fs.read(folder, item.name, item.bytes.len() as u64) {
            // The importer took it this instant: it had been placed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.at(&path)?,
        };
        if standing == item.bytes { Ok(()) } else { Err(StageError::Other { path: path.display().to_string() }) }
    }

    /// A mailbox's folder, opened component by component so that no link leads out of the root.
    fn folder(&self, mailbox: &Mailbox) -> Result<Arc<Folder>, StageError> {
        let mut folders = self.lock_folders();
        if let Some(folder) = folders.get(mailbox) {
            return Ok(Arc::clone(folder));
        }
        let shown = self.path.join(mailbox.as_str());
        let allowed = if self.layout.importer_may_delete { Allowed::Remove } else { Allowed::Read };
        let mailbox_folder = self.open_or_make(&self.root, mailbox.as_str(), Allowed::Read, &shown)?;
        let folder = Arc::new(self.open_or_make(&mailbox_folder, FOLDER, allowed, &shown.join(FOLDER))?);
        if folders.len() >= OPEN_FOLDERS {
            folders.clear();
        }
        folders.insert(mailbox.clone(), Arc::clone(&folder));
        Ok(folder)
    }

    fn open_or_make(&self, parent: &Folder, name: &str, allowed: Allowed, shown: &Path) -> Result<Folder, StageError> {
        let mode = if allowed == Allowed::Remove { REMOVABLE_MODE } else { FOLDER_MODE };
        let opened = self.fs.open_folder(parent, name).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            self.fs.make_folder(parent, name, mode)?;
            self.fs.open_folder(parent, name)
        });
        let folder = opened.at(shown)?;
        ensure(&self.fs, &folder, &self.layout, allowed, (shown, &self.path))?;
        Ok(folder)
    }

    fn lock_folders(&self) -> std::sync::MutexGuard<'_, HashMap<Mailbox, Arc<Folder>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, mailbox: &Mailbox, name: &str) -> PathBuf {
        self.path.join(mailbox.as_str()).join(FOLDER).join(name)
    }
}

impl<F: FileSystem> Target for Local<F> {
    fn clear(&self) -> Result<(), StageError> {
        let path = self.path.join(HIDDEN);
        for entry in std::fs::read_dir(&path).at(&path)? {
            let entry = entry.at(&path)?;
            if let Some(name) = entry.file_name().to_str() {
                self.fs.unlink(&self.hidden, name).at(entry.path())?;
            }
        }
        Ok(())
    }

    /// Crash safety: between the two steps everything written is synced, so a final name never stands for less than
    /// the whole file. A crash leaves hidden files, which [`Target::clear`] removes, and names that the next run finds
    /// standing and compares.
    fn place(&self, batch: &[Placement<'_>], _proof: &Authenticated) -> Result<Vec<bool>, StageError> {
        in_parallel(self.workers, batch, |part| self.write_hidden(part))?;
        self.sync()?;
        Ok(in_parallel(self.workers, batch, |part| self.link_visible(part))?.concat())
    }

    fn takes_several(&self) -> bool {
        true
    }

    fn barrier(&self) -> Result<(), StageError> {
        self.lock_folders().clear();
        self.sync()
    }

    fn begin_list(&self, run: &str) -> Result<Box<dyn ReadyList + '_>, StageError> {
        Ok(Box::new(LocalList::begin(self, run)?))
    }

    fn remove_list(&self, run: &str) -> Result<(), StageError> {
        ready::remove(self, run)
    }

    fn stands(&self, mailbox: &str, name: &str) -> Result<bool, StageError> {
        stands(&self.path, mailbox, name)
    }
}

/// Whether an EML stands below the staging folder `root`. Asks and changes nothing: for those as well who may only look.
///
/// # Errors
/// Where the file system does not say.
pub fn stands(root: &Path, mailbox: &str, name: &str) -> Result<bool, StageError> {
    let path = root.join(mailbox).join(FOLDER).join(name);
    match std::fs::symlink_metadata(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StageError::Unseen { path, source }),
    }
}

/// The staging folder itself, made where it is missing, and its group's.
///
/// # Errors
/// Where it cannot be made or opened, or is not the group's and may not be made so.
pub fn open_root<F: FileSystem>(fs: &F, path: &Path, layout: &Layout) -> Result<Folder, StageError> {
    let root = Disk::open_or_make(path, FOLDER_MODE)?;
    ensure(fs, &root, layout, Allowed::ReadAtLeast, (path, path))?;
    Ok(root)
}

/// The folder for hidden names. What is written there and linked elsewhere is the group's from the start, so it must have
/// inherited the group; one from before a group was configured goes, with whatever a killed run left there.
fn open_hidden<F: FileSystem>(fs: &F, root: &Folder, layout: &Layout, path: &Path) -> Result<Folder, StageError> {
    let shown = path.join(HIDDEN);
    let open = || {
        fs.make_folder(root, HIDDEN, 0o700).at(&shown)?;
        Ok::<_, StageError>(fs.open_folder(root, HIDDEN).at(&shown)?)
    };
    let hidden = open()?;
    if ensure(fs, &hidden, layout, Allowed::Nothing, (&shown, path)).is_ok() {
        return Ok(hidden);
    }
    std::fs::remove_dir_all(&shown).at(&shown)?;
    let hidden = open()?;
    ensure(fs, &hidden, layout, Allowed::Nothing, (&shown, path))?;
    Ok(hidden)
}

fn hidden_name(name: &str, copy: usize) -> String {
    let mut hidden = String::with_capacity(name.len() + 8);
    hidden.push_str(name);
    // Writing to a string cannot fail.
    let _ = write!(hidden, ".{copy}");
    hidden
}

/// The errors by which a file system says that it cannot link this file there, though it may take a copy.
fn no_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::XDEV, Errno::MLINK, Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
