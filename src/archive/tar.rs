//! Tar archives (POSIX.1-2024 pax, GNU tar's long names), plain or gzip'd, as a stream.
//!
//! The library walks the headers one by one and checks each; what stands in extension headers is read here, because it
//! would read those into memory however long they say they are.

use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType, Header, PaxExtensions};

use super::collect::{Bounded, Collector};
use super::{ArchiveError, Refusal};

const BLOCK: u64 = 512;
const BLOCK_LEN: usize = 512;
/// The longest extension header, in bytes: a name and what else a file system knows of a file.
const EXTENSION: u64 = 64 * 1024;

/// Whether these first bytes are a tar's: a header whose checksum holds, or the end of an empty archive.
pub(super) fn begins(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK_LEN]>::try_from(head) else { return false };
    let header = Header::from_byte_slice(block);
    let unsigned: u32 = block.iter().enumerate().map(|(at, byte)| u32::from(summand(at, *byte))).sum();
    block.iter().all(|byte| *byte == 0) || header.cksum().is_ok_and(|sum| sum == unsigned)
}

/// The checksum counts its own field as spaces.
fn summand(at: usize, byte: u8) -> u8 {
    if (148..156).contains(&at) { b' ' } else { byte }
}

/// Reads a gzip'd tar to the end of both.
pub(super) fn read_gzipped(input: impl Read, collector: &mut Collector<'_>) -> Result<(), ArchiveError> {
    read(MultiGzDecoder::new(BufReader::new(input)), collector)
}

/// Reads a tar to its end.
pub(super) fn read(input: impl Read, collector: &mut Collector<'_>) -> Result<(), ArchiveError> {
    let refused = Rc::new(RefCell::new(None));
    let position = Rc::new(Cell::new(0));
    let input = Bounded::new(input, collector.bounds, Rc::clone(&refused));
    let input = Counted { inner: input, position: Rc::clone(&position) };
    let mut archive = Archive::new(input);
    let walked = walk(&mut archive, collector, &position);
    let walked = walked.and_then(|()| rest_is_zero(archive.into_inner()));
    match refused.take() {
        Some(error) => Err(error),
        None => walked,
    }
}

/// What the headers before an entry say of it.
#[derive(Debug, Default)]
struct Extension {
    long_name: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
    /// Whether there was one of the kind already.
    has_pax: bool,
    has_link: bool,
}

fn walk<R: Read>(
    archive: &mut Archive<R>,
    collector: &mut Collector<'_>,
    position: &Cell<u64>,
) -> Result<(), ArchiveError> {
    let malformed = |error: io::Error| ArchiveError::malformed(&error);
    let (mut before, mut is_before) = (Extension::default(), false);
    let mut end: u64 = 0;
    for entry in archive.entries().map_err(malformed)?.raw(true) {
        let mut entry = entry.map_err(malformed)?;
        let size = entry.size();
        end = padded(entry.raw_file_position(), size)?;
        let kind = entry.header().entry_type();
        if is_extension(kind) {
            before.read(kind, &mut entry, size)?;
            is_before = !kind.is_pax_global_extensions() || is_before;
            continue;
        }
        collector.see()?;
        let extension = std::mem::take(&mut before);
        is_before = false;
        if extension.size.is_some_and(|other| other != size) {
            return Err(damaged("an entry has two sizes"));
        }
        let raw = extension.path.or(extension.long_name).unwrap_or_else(|| entry.path_bytes().into_owned());
        match refusal(kind, extension.is_sparse) {
            Some(why) => collector.refuse(&raw, why),
            // A folder has no bytes; what is called like one and has some is nothing that could be named.
            None if (kind.is_dir() || raw.ends_with(b"/")) && size > 0 => collector.refuse(&raw, Refusal::Name),
            None if kind.is_dir() || raw.ends_with(b"/") => {}
            None if collector.take(&raw, &mut entry)? == size => {}
            None => return Err(damaged("it ends within an entry")),
        }
    }
    if is_before {
        return Err(damaged("it ends after the long name of an entry that does not come"));
    }
    // The library takes the end of the file for the end of the archive, which is a block of zeros.
    if position.get() < end + BLOCK { Err(damaged("it is cut short")) } else { Ok(()) }
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

fn refusal(kind: EntryType, is_sparse: bool) -> Option<Refusal> {
    if is_sparse || kind.is_gnu_sparse() {
        return Some(Refusal::Sparse);
    }
    if kind.is_hard_link() || kind.is_symlink() {
        return Some(Refusal::Link);
    }
    let is_known = kind.is_file() || kind.is_contiguous() || kind.is_dir();
    (!is_known).then_some(Refusal::Device)
}

impl Extension {
    fn read(&mut self, kind: EntryType, entry: &mut impl Read, size: u64) -> Result<(), ArchiveError> {
        if size > EXTENSION {
            return Err(damaged("the header of an entry is longer than any honest one"));
        }
        let mut bytes = Vec::new();
        let read = entry.read_to_end(&mut bytes).map_err(|error| ArchiveError::malformed(&error))?;
        if read as u64 != size {
            return Err(damaged("it ends within a header"));
        }
        if kind.is_gnu_longlink() {
            return once(&mut self.has_link);
        }
        if kind.is_gnu_longname() {
            let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            bytes.truncate(len);
            return match self.long_name.replace(bytes) {
                None => Ok(()),
                Some(_) => Err(damaged("an entry has two names")),
            };
        }
        let is_global = kind.is_pax_global_extensions();
        if !is_global {
            once(&mut self.has_pax)?;
        }
        self.read_pax(&bytes, is_global)
    }

    fn read_pax(&mut self, bytes: &[u8], is_global: bool) -> Result<(), ArchiveError> {
        for record in PaxExtensions::new(bytes) {
            let record = record.map_err(|error| ArchiveError::malformed(&error))?;
            let key = record.key_bytes();
            let is_of_an_entry = matches!(key, b"path" | b"size") || key.starts_with(b"GNU.sparse.");
            if is_global && is_of_an_entry {
                return Err(damaged("one header gives all entries the same name or size"));
            }
            match key {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| damaged("the size of an entry is no number"))?);
                }
                _ => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Ok(())
    }
}

fn once(flag: &mut bool) -> Result<(), ArchiveError> {
    if std::mem::replace(flag, true) { Err(damaged("an entry has two headers of one kind")) } else { Ok(()) }
}

fn padded(from: u64, size: u64) -> Result<u64, ArchiveError> {
    let end = size.checked_next_multiple_of(BLOCK).and_then(|size| from.checked_add(size));
    end.and_then(|end| end.checked_add(BLOCK).map(|_| end)).ok_or_else(|| damaged("an entry is larger than can be"))
}

fn damaged(what: &str) -> ArchiveError {
    ArchiveError::Malformed(what.to_owned())
}

/// Writers fill the archive up with zeros; anything else would be something that nobody looked at.
fn rest_is_zero(mut input: impl Read) -> Result<(), ArchiveError> {
    let mut block = vec![0; 64 * 1024];
    loop {
        match input.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) if block[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(damaged("data follows its end")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::malformed(&error)),
        }
    }
}

/// Tells how far it was read.
struct Counted<R> {
    inner: R,
    position: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}
