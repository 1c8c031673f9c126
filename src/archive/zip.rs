//! Zip archives (APPNOTE.TXT 6.3.10), which say at their end what they hold: so all of one is sealed in the spool first.
//!
//! What the central directory says of an entry and what stands before its bytes must agree, no two entries may share
//! bytes, and the archive must end where the file does: readers that look at different ends of it would see different
//! files.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipFileEntry, ZipReadOptions};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::collect::Collector;
use super::sealed::{Reader, Sealed, Sealer};
use super::{ArchiveError, Refusal};

/// The end record without its comment, which has at most so many bytes (APPNOTE 4.3.16).
const END: usize = 22;
const COMMENT: usize = 65_535;
/// A local header without name and extra field (APPNOTE 4.3.7).
const LOCAL: u64 = 30;
/// The kind of file in a Unix mode (stat(2)).
const KIND: u32 = 0o170_000;

/// Reads a zip to its end.
pub(super) fn read(input: impl Read, spool: &Path, collector: &mut Collector<'_>) -> Result<(), ArchiveError> {
    let sealed = seal(input, spool)?;
    ends_at_its_end(&sealed)?;
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let archive = ZipIterable::try_new(sealed.reader(), config).map_err(|error| malformed(&error))?;
    let mut archive = archive.enforce_header_consistency(true);
    let (len, limit) = (archive.len() as u64, collector.bounds.max_entries);
    if len > limit {
        return Err(ArchiveError::TooManyEntries { limit });
    }
    let mut taken = Vec::new();
    let mut reader = sealed.reader();
    for entry in archive.files().map_err(|error| malformed(&error))? {
        collector.see()?;
        taken.push(take(entry.map_err(|error| malformed(&error))?, &mut reader, collector)?);
    }
    taken.sort_unstable();
    if taken.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(ArchiveError::Malformed("two of its entries share bytes".to_owned()));
    }
    Ok(())
}

fn seal(mut input: impl Read, spool: &Path) -> Result<Sealed, ArchiveError> {
    let mut sealer = Sealer::create(spool).map_err(ArchiveError::Spool)?;
    let mut block = vec![0; 64 * 1024];
    loop {
        match input.read(&mut block) {
            Ok(0) => return sealer.finish().map_err(ArchiveError::Spool),
            Ok(read) => sealer.write(&block[..read]).map_err(ArchiveError::Spool)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::malformed(&error)),
        }
    }
}

/// Whether an end record stands at the end of the file, with nothing but its comment behind it.
fn ends_at_its_end(sealed: &Sealed) -> Result<(), ArchiveError> {
    let mut reader = sealed.reader();
    let longest = (END + COMMENT) as u64;
    let mut tail = Vec::new();
    let read = reader
        .seek(SeekFrom::Start(sealed.len().saturating_sub(longest)))
        .and_then(|_| reader.read_to_end(&mut tail))
        .map_err(|error| ArchiveError::malformed(&error))?;
    let is_end = |at: usize| {
        tail[at..].starts_with(b"PK\x05\x06")
            && usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]])) == read - at - END
    };
    match (0..=read.saturating_sub(END)).filter(|at| at + END <= read && is_end(*at)).count() {
        1 => return Ok(()),
        0 => {}
        _ => return Err(ArchiveError::Malformed("it has two ends, of which readers may take either".to_owned())),
    }
    Err(ArchiveError::Malformed("it is cut short, or data follows its end".to_owned()))
}

/// Takes an entry, or says why not. From where to where its bytes reach, header included.
fn take(
    entry: ZipFileEntry<'_>,
    reader: &mut Reader,
    collector: &mut Collector<'_>,
) -> Result<(u64, u64), ArchiveError> {
    let begin = entry.header_start();
    let (size, packed) = (entry.size(), entry.compressed_size());
    let raw = entry.name_raw().to_vec();
    if let Some(why) = refusal(&entry) {
        collector.refuse(&raw, why);
        return Ok((begin, begin.saturating_add(LOCAL).saturating_add(packed)));
    }
    let is_folder = entry.is_dir();
    let mut file = entry.with_reader(reader, ZipReadOptions::default()).map_err(|error| malformed(&error))?;
    let data = file.data_start().unwrap_or(begin.saturating_add(LOCAL));
    // A folder has no bytes; what is called like one and has some is nothing that could be named.
    if is_folder && size > 0 {
        collector.refuse(&raw, Refusal::Name);
    }
    if !is_folder && collector.take(&raw, &mut file)? != size {
        return Err(ArchiveError::Malformed("an entry is longer or shorter than it says".to_owned()));
    }
    Ok((begin, data.saturating_add(packed)))
}

fn refusal(entry: &ZipFileEntry<'_>) -> Option<Refusal> {
    if entry.encrypted() {
        return Some(Refusal::Encrypted);
    }
    if entry.is_symlink() {
        return Some(Refusal::Link);
    }
    match entry.unix_mode().unwrap_or_default() & KIND {
        0 | 0o100_000 | 0o040_000 => {}
        _ => return Some(Refusal::Device),
    }
    let is_known = matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated);
    (!is_known).then_some(Refusal::Compression)
}

fn malformed(error: &ZipError) -> ArchiveError {
    ArchiveError::Malformed(error.to_string())
}
