//! From the site, or a local file, to a ciphertext in the spool.
//!
//! This room knows names, sizes and bytes; it knows neither the ledger (what was taken before) nor what is in an export.
//! A name that the site gives is never a path here: what is spooled bears a name of our own making.

use std::path::PathBuf;

use crate::digest::Sha256;

mod listing;
pub mod sftp;
mod spool;

pub use listing::Listing;
pub use spool::copy_local;

/// A file at the site as a listing shows it. Two of them are the same file if all three fields agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name within the site's folder: no `/`, no control characters, at most 255 bytes.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub mtime: i64,
}

/// An export as it came, whole and durable in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// The name that it has at the site, or the file name that the operator gave. For people and reports, never a path.
    pub name: String,
    /// Where it is spooled, mode 0600. Whoever receives this removes it.
    pub spool: PathBuf,
    /// Of its bytes, taken on the way.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub len: u64,
}

/// Told how work on a file comes along; whether and how to show it is the caller's.
pub trait Progress: Send + Sync {
    /// A file of `total` bytes begins; 0 where nobody knows how many there will be.
    fn begin(&self, name: &str, total: u64);
    /// So many further bytes of it are done; none, where there is only life to show.
    fn advance(&self, bytes: u64);
    /// It ended, well or not.
    fn end(&self);
}

/// Shows nothing.
impl Progress for () {
    fn begin(&self, _name: &str, _total: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}
