//! Bytes that are too many for memory and must not lie readable on a disk: in a file without a name, encrypted under a key
//! that only this process has, for as long as it has it.
//!
//! Frames of 64 KiB are sealed by AES-256-GCM (NIST SP 800-38D) under a random key of the file's own; a frame's number is
//! its nonce, so no nonce comes twice and no frame can take another's place. After a crash, or a look at the disk,
//! nobody can read what was there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::durable::{AtPath, PathError};

/// Bytes in a frame, before it is sealed.
const FRAME: usize = 64 * 1024;
/// Bytes that sealing adds to a frame.
const TAG: usize = 16;

/// Where some of the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From the beginning.
    pub at: u64,
    /// How many.
    pub len: u64,
}

/// What is being written.
#[derive(Debug)]
pub struct Sealer {
    path: PathBuf,
    file: File,
    key: LessSafeKey,
    frame: Zeroizing<Vec<u8>>,
    frames: u64,
}

impl Sealer {
    /// An empty file in the folder, which has a name for no longer than it takes to remove it.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(folder: &Path) -> Result<Self, PathError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (path, file) = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("sealed-{}-{number}", std::process::id()));
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at(path),
            }
        };
        match std::fs::remove_file(&path) {
            // A run that began meanwhile cleared the spool.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.at(&path)?,
        }
        let key = new_key().at(&path)?;
        Ok(Self { path, file, key, frame: Zeroizing::new(Vec::with_capacity(FRAME + TAG)), frames: 0 })
    }

    /// How many bytes were written.
    pub fn len(&self) -> u64 {
        self.frames * FRAME as u64 + self.frame.len() as u64
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), PathError> {
        while !bytes.is_empty() {
            let room = FRAME - self.frame.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.frame.extend_from_slice(now);
            bytes = later;
            if self.frame.len() == FRAME {
                self.seal_frame().at(&self.path)?;
            }
        }
        Ok(())
    }

    /// What was written, to be read.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self) -> Result<Sealed, PathError> {
        let len = self.len();
        if !self.frame.is_empty() {
            self.seal_frame().at(&self.path)?;
        }
        Ok(Sealed(Arc::new(Inner { path: self.path, file: self.file, key: self.key, len })))
    }

    fn seal_frame(&mut self) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(nonce(self.frames), Aad::empty(), &mut *self.frame);
        sealed.map_err(|_| io::Error::other("it could not be encrypted"))?;
        self.file.write_all(&self.frame)?;
        self.frame.clear();
        self.frames += 1;
        Ok(())
    }
}

/// What was written and can be read, from several threads and as often as need be.
#[derive(Debug, Clone)]
pub struct Sealed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    key: LessSafeKey,
    len: u64,
}

impl Sealed {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The bytes at a place.
    ///
    /// # Errors
    /// Where the disk does not give back what was written; the place must lie within.
    pub fn bytes(&self, place: Place) -> Result<Vec<u8>, PathError> {
        let mut bytes = Vec::with_capacity(usize::try_from(place.len).unwrap_or_default());
        let mut reader = self.reader();
        reader.at = place.at;
        let read = reader.take(place.len).read_to_end(&mut bytes).at(&self.0.path)?;
        if read as u64 == place.len {
            return Ok(bytes);
        }
        Err(io::Error::from(io::ErrorKind::UnexpectedEof)).at(&self.0.path)
    }

    /// Reads from the beginning.
    pub fn reader(&self) -> Reader {
        Reader { sealed: self.clone(), at: 0, frame: None, bytes: Zeroizing::new(Vec::new()) }
    }

    /// Reads what is at a place, which must lie within.
    pub fn reader_at(&self, place: Place) -> io::Take<Reader> {
        let mut reader = self.reader();
        reader.at = place.at;
        reader.take(place.len)
    }

    fn frame(&self, number: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let begin = number * FRAME as u64;
        let len = (self.0.len - begin).min(FRAME as u64);
        into.resize(usize::try_from(len).unwrap_or(FRAME) + TAG, 0);
        self.0.file.read_exact_at(into, number * (FRAME + TAG) as u64)?;
        let opened = self.0.key.open_in_place(nonce(number), Aad::empty(), into);
        let len = opened.map_err(|_| io::Error::other("the disk gives other bytes than were written"))?.len();
        into.truncate(len);
        Ok(())
    }
}

/// Reads what was sealed, from any place on.
#[derive(Debug, Clone)]
pub struct Reader {
    sealed: Sealed,
    at: u64,
    /// Which frame `bytes` are.
    frame: Option<u64>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.sealed.len() || into.is_empty() {
            return Ok(0);
        }
        let number = self.at / FRAME as u64;
        if self.frame != Some(number) {
            self.frame = None;
            self.sealed.frame(number, &mut self.bytes)?;
            self.frame = Some(number);
        }
        let from = usize::try_from(self.at % FRAME as u64).unwrap_or_default();
        let read = (&self.bytes[from..]).read(into)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.sealed.len().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn new_key() -> io::Result<LessSafeKey> {
    let failed = |_| io::Error::other("no random key for it");
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(failed)?;
    // The library's own copy is wiped when the key is dropped.
    UnboundKey::new(&AES_256_GCM, &*bytes).map(LessSafeKey::new).map_err(failed)
}

fn nonce(frame: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&frame.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    #[test]
    fn what_was_written_is_read_from_any_place_and_nothing_of_it_has_a_name() {
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 77] {
            let dir = tempfile::tempdir().unwrap();
            let expected = bytes(len);
            let mut writer = Sealer::create(dir.path()).unwrap();
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has a name");
            for piece in expected.chunks(1000) {
                writer.write(piece).unwrap();
            }
            assert_eq!(writer.len(), len as u64);
            let sealed = writer.finish().unwrap();
            let mut all = Vec::new();
            sealed.reader().read_to_end(&mut all).unwrap();
            assert_eq!(all, expected, "{len}");
            for at in [0, 1, FRAME - 1, FRAME, 2 * FRAME + 5].into_iter().filter(|at| *at < len) {
                let place = Place { at: at as u64, len: (len - at).min(70_000) as u64 };
                assert_eq!(sealed.bytes(place).unwrap(), expected[at..][..usize::try_from(place.len).unwrap()]);
            }
            assert!(sealed.bytes(Place { at: 0, len: len as u64 + 1 }).is_err());
            let mut reader = sealed.reader();
            assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), len as u64);
            assert!(reader.seek(SeekFrom::Current(-(i64::try_from(len).unwrap()) - 1)).is_err());
        }
    }

    #[test]
    fn the_disk_holds_nothing_that_can_be_read_and_a_changed_frame_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Sealer::create(dir.path()).unwrap();
        let secret = b"quarterly numbers, not to be read".repeat(4000);
        writer.write(&secret).unwrap();
        let sealed = writer.finish().unwrap();
        let mut on_disk = vec![0; usize::try_from(sealed.0.file.metadata().unwrap().len()).unwrap()];
        sealed.0.file.read_exact_at(&mut on_disk, 0).unwrap();
        assert!(on_disk.len() > secret.len());
        assert!(!on_disk.windows(9).any(|window| window == b"quarterly"));
        let other = Sealer::create(dir.path()).unwrap();
        assert_eq!(sealed.0.file.metadata().unwrap().len(), on_disk.len() as u64);
        drop(other);
        sealed.0.file.write_all_at(&[on_disk[FRAME + TAG] ^ 1], (FRAME + TAG) as u64).unwrap();
        assert!(sealed.bytes(Place { at: 0, len: FRAME as u64 }).is_ok());
        assert!(sealed.bytes(Place { at: FRAME as u64, len: 1 }).is_err());
        // Nor can one frame stand for another.
        sealed.0.file.write_all_at(&on_disk[..FRAME + TAG], (FRAME + TAG) as u64).unwrap();
        assert!(sealed.bytes(Place { at: FRAME as u64, len: 1 }).is_err());
    }
}
