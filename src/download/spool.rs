//! A file on its way into the spool: hashed as it is written, durable when it is finished, gone if it never is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use super::{Ciphertext, Progress};
use crate::digest::Hasher;
use crate::durable::{AtPath, Disk, FileSystem, PathError};

/// How much of a local file is read at once, in bytes.
const BLOCK: usize = 256 * 1024;

/// A spool file that is still being written. Dropped before [`Incoming::finish`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Incoming {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    written: u64,
    finished: bool,
}

impl Incoming {
    /// Makes an empty file of mode 0600 under a name that nothing else has.
    pub(super) fn create(spool: &Path) -> Result<Self, PathError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            // A crash may have left a file of an earlier process with this number behind: then the next name is free.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = spool.join(format!("download-{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, file, hasher: Hasher::default(), written: 0, finished: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at(path),
            }
        }
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.file.write_all(bytes).at(&self.path)?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Makes the file and its name durable. A failed sync is never tried again: the file goes, and is fetched anew.
    pub(super) fn finish(mut self, name: String) -> Result<Ciphertext, PathError> {
        self.file.sync_all().at(&self.path)?;
        let spool = self.path.parent().unwrap_or(Path::new("."));
        Disk.sync_folder(&Disk::open(spool)?).at(spool)?;
        self.finished = true;
        let sha256 = std::mem::take(&mut self.hasher).finish();
        Ok(Ciphertext { name, spool: std::mem::take(&mut self.path), sha256, len: self.written })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.finished {
            // The error that ended the download is the one that matters; the spool is swept at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes an export that was delivered by hand, the same way as one from the site.
///
/// # Errors
/// What the system says; a file that is not a regular one, or that changes while it is read.
pub fn copy_local(path: &Path, spool: &Path, progress: &dyn Progress) -> Result<Ciphertext, PathError> {
    // Non-blocking, so that a named pipe is refused rather than waited for; a regular file does not mind.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).at(path)?;
    let before = file.metadata().at(path)?;
    if !before.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")).at(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    progress.begin(&name, before.len());
    let incoming = copy(&file, path, Incoming::create(spool)?, progress);
    progress.end();
    let incoming = incoming?;
    let after = file.metadata().at(path)?;
    let stands = |m: &std::fs::Metadata| (m.len(), m.mtime(), m.mtime_nsec());
    if stands(&before) != stands(&after) || incoming.written() != after.len() {
        return Err(io::Error::other("changed while it was read; wait until it is whole, then try again")).at(path);
    }
    incoming.finish(name)
}

fn copy(mut file: &File, path: &Path, mut incoming: Incoming, progress: &dyn Progress) -> Result<Incoming, PathError> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = match file.read(&mut block) {
            Ok(0) => return Ok(incoming),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).at(path),
        };
        incoming.write(&block[..read])?;
        progress.advance(read as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_local_export_is_spooled_whole_under_a_name_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let spool = tempfile::tempdir().unwrap();
        let path = dir.path().join("ACME export.pgp");
        let bytes: Vec<u8> = (0..700_001_u32).map(|n| n.to_le_bytes()[1]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let taken = copy_local(&path, spool.path(), &()).unwrap();
        assert_eq!((taken.name.as_str(), taken.len), ("ACME export.pgp", 700_001));
        assert_eq!(taken.sha256, Sha256::of(&bytes));
        assert_eq!(std::fs::read(&taken.spool).unwrap(), bytes);
        assert_eq!(taken.spool.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!taken.spool.to_string_lossy().contains("ACME"));
        assert!(path.exists(), "the operator's file was taken away");
    }

    #[test]
    fn only_regular_files_are_taken_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let spool = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [dir.path(), &pipe, &dir.path().join("absent")] {
            assert_eq!(copy_local(path, spool.path(), &()).unwrap_err().path, path);
        }
        drop(Incoming::create(spool.path()).unwrap());
        assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_left_by_a_crash_is_stepped_over() {
        let spool = tempfile::tempdir().unwrap();
        let taken = Incoming::create(spool.path()).unwrap();
        let number: u64 = taken.path.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        for ahead in 1..4 {
            std::fs::write(spool.path().join(format!("download-{}-{}", std::process::id(), number + ahead)), "")
                .unwrap();
        }
        assert!(Incoming::create(spool.path()).is_ok());
    }
}
