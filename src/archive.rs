//! Attachments that come in archives of their own: from a decrypted archive to the files in it.
//!
//! Whoever made an archive is trusted as little as whoever wrote a chat. So nothing is ever written to a path that an
//! archive names: an entry is a name and bytes, and bytes lie [`sealed`] while they are needed. What an entry may not be
//! is [`Refusal`]; what an archive may not be, or cost, is [`ArchiveError`], and then nothing of it is taken.
//!
//! What kind of archive it is, its first bytes say: a tar, a gzip'd tar, or a zip. This room knows neither what an export
//! is, nor who asks for an entry.

mod collect;
mod names;
pub mod sealed;
mod tar;
mod zip;

use std::io::{self, Cursor, Read};
use std::path::Path;

use crate::digest::Sha256;
use crate::durable::PathError;

use self::collect::Collector;
pub use self::names::{Refusal, base_of};
use self::sealed::{Place, Sealed};

/// As much as tells one kind of archive from another: one block of a tar.
const HEAD: usize = 512;

/// What an archive may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries, folders included (`attachments.max_entries`).
    pub max_entries: u64,
    /// Bytes of all entries together, expanded (`limits.max_plaintext`).
    pub max_plaintext: u64,
    /// The same for each byte of the encrypted file (`limits.max_ratio`).
    pub max_ratio: u64,
    /// Bytes of the encrypted file.
    pub encrypted: u64,
    /// Bytes of an entry beyond which it is hashed and not kept.
    pub max_kept: u64,
}

impl Bounds {
    fn allow(&self, expanded: u64) -> Result<(), ArchiveError> {
        if expanded > self.max_plaintext {
            return Err(ArchiveError::TooLarge { limit: self.max_plaintext });
        }
        if expanded > self.encrypted.saturating_mul(self.max_ratio) {
            return Err(ArchiveError::RatioTooHigh { limit: self.max_ratio });
        }
        Ok(())
    }
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive, parts separated by `/`: what it is known by.
    pub name: String,
    /// Of its bytes.
    pub sha256: Sha256,
    /// How many.
    pub bytes: u64,
    /// Where they lie, where they were asked for and are not too many.
    pub place: Option<Place>,
}

/// Something in an archive that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the archive calls it, fit to be shown.
    pub name: String,
    /// Why.
    pub why: Refusal,
}

/// All that an archive holds.
#[derive(Debug)]
pub struct Contents {
    /// Its files, in the order in which they stand; no two have the same name.
    pub entries: Vec<Entry>,
    /// What is not taken, the first [`Contents::NAMED`] of it.
    pub refused: Vec<Refused>,
    /// How much is not taken.
    pub refusals: u64,
    /// Where the entries' places are; none where nothing was kept.
    pub kept: Option<Sealed>,
}

impl Contents {
    /// So many refused entries are named; all are counted.
    pub const NAMED: usize = 100;
}

/// Why nothing of an archive is taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Its first bytes are of no kind that is known.
    #[error("neither a tar, nor a gzip'd tar, nor a zip archive; ask the sender for one of these")]
    Unknown,
    /// It is not what its kind demands.
    #[error("the archive is damaged: {0}; ask the sender for it again")]
    Malformed(String),
    /// More entries than allowed.
    #[error("more than {limit} entries; raise attachments.max_entries if that is expected")]
    TooManyEntries {
        /// The setting.
        limit: u64,
    },
    /// More bytes than allowed.
    #[error("more than {limit} bytes when expanded; raise limits.max_plaintext if that is expected")]
    TooLarge {
        /// The setting, in bytes.
        limit: u64,
    },
    /// More bytes for its size than allowed.
    #[error("more than {limit} times its size when expanded; raise limits.max_ratio if that is expected")]
    RatioTooHigh {
        /// The setting.
        limit: u64,
    },
    /// The names would fill memory.
    #[error("names of more than {limit} bytes together, which no honest archive has")]
    Names {
        /// A bound of the program's own.
        limit: usize,
    },
    /// This machine could not keep the bytes for the while.
    #[error("the archive's files could not be kept for the while, sealed, in the spool")]
    Spool(#[source] PathError),
}

impl ArchiveError {
    /// Whether this machine is at fault rather than the archive.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Spool(_))
    }

    fn malformed(error: &io::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads an archive to its end. The bytes of the entries that `wanted` says yes to are kept, sealed, in `spool`; those of a
/// zip lie there as a whole while it is read.
///
/// # Errors
/// Where the archive is damaged or costs more than allowed, or the spool cannot be used.
pub fn read(
    mut input: impl Read,
    spool: &Path,
    bounds: Bounds,
    wanted: &mut dyn FnMut(&str) -> bool,
) -> Result<Contents, ArchiveError> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| ArchiveError::malformed(&error))?;
    let kind = Kind::of(&head).ok_or(ArchiveError::Unknown)?;
    let input = Cursor::new(head).chain(input);
    let mut collector = Collector::new(spool, bounds, wanted);
    match kind {
        Kind::Tar => tar::read(input, &mut collector)?,
        Kind::GzippedTar => tar::read_gzipped(input, &mut collector)?,
        Kind::Zip => zip::read(input, spool, &mut collector)?,
    }
    collector.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tar,
    GzippedTar,
    Zip,
}

impl Kind {
    /// By the magic numbers of RFC 1952 section 2.3.1, APPNOTE.TXT 4.3.7 and 4.3.16, and by the checksum of a tar's header.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::GzippedTar),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            head if tar::begins(head) => Some(Self::Tar),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
