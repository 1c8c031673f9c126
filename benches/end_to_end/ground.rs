//! Where things are measured: in memory, or on an ext4 that is as good as new each time.
//!
//! A file system remembers: ext4 looks past each inode that was freed in the last minutes before it gives out another, so
//! what is measured after a large removal is the removal. Hence a file system of its own for each figure, where it may be
//! made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Bytes that the file of an ext4 has; the trees take much less.
const IMAGE_BYTES: u64 = 6 << 30;

/// A kind of place.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// `/dev/shm`.
    Memory,
    /// A fresh ext4 in a file of this folder.
    Ext4(PathBuf),
    /// A folder, on whatever it is.
    Folder(PathBuf),
}

/// A place for one figure, gone when dropped.
#[derive(Debug)]
pub(crate) struct Ground {
    dir: TempDir,
    mounted: bool,
}

impl Kind {
    /// Memory, and the disk that was named.
    pub(crate) fn all(disk: &Path) -> [Self; 2] {
        fs::create_dir_all(disk).unwrap();
        let ext4 = Self::Ext4(disk.to_owned());
        let can_mount = rustix::process::geteuid().is_root() && ext4.try_lay().is_some();
        [Self::Memory, if can_mount { ext4 } else { Self::Folder(disk.to_owned()) }]
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Memory => "memory (tmpfs)".to_owned(),
            Self::Ext4(_) => "fresh ext4".to_owned(),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    /// A new place.
    pub(crate) fn lay(&self) -> Ground {
        self.try_lay().unwrap_or_else(|| panic!("{self:?} cannot be used"))
    }

    fn try_lay(&self) -> Option<Ground> {
        match self {
            Self::Memory => Some(Ground { dir: tempfile::tempdir_in("/dev/shm").ok()?, mounted: false }),
            Self::Folder(folder) => Some(Ground { dir: tempfile::tempdir_in(folder).ok()?, mounted: false }),
            Self::Ext4(folder) => {
                let mut ground = Ground { dir: tempfile::tempdir_in(folder).ok()?, mounted: false };
                let (image, mount) = (ground.dir.path().join("ext4"), ground.dir.path().join("mounted"));
                let file = File::create(&image).ok()?;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, IMAGE_BYTES).ok()?;
                fs::create_dir(&mount).ok()?;
                // Nothing left to a thread of the kernel that would work while others are measured, and inodes for small files:
                // the script makes one for each placement.
                let made = ["-q", "-F", "-i", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
                ground.mounted = works(Command::new("mkfs.ext4").args(made).arg(&image))
                    && works(Command::new("mount").args(["-o", "loop"]).args([&image, &mount]));
                rustix::fs::sync();
                ground.mounted.then_some(ground)
            }
        }
    }
}

impl Ground {
    /// The folder to work in.
    pub(crate) fn path(&self) -> PathBuf {
        if self.mounted { self.dir.path().join("mounted") } else { self.dir.path().to_owned() }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.mounted {
            works(Command::new("umount").arg(self.path()));
        }
    }
}

fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
