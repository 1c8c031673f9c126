//! The evidence: for each commit a file that says of every item what became of it, and where it was placed.
//!
//! A manifest is gzip (RFC 1952) over lines of JSON, so that an auditor reads it with `zcat`. It is durable before the
//! commit that names it and its digest.

mod flat;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Lines, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use self::flat::Flat;
use super::{FileId, Ledger, LedgerError};
use crate::digest::{Hasher, Sha256};
use crate::durable::{AtPath, Disk, FileSystem, PathError, open_regular};

/// What became of one record, a line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", try_from = "Flat")]
pub enum Entry {
    /// The manifest's first line.
    Header {
        /// The format of the lines that follow.
        manifest: u32,
        /// The export, as it was named.
        name: String,
        /// The export's ciphertext.
        sha256: String,
    },
    /// An item placed in at least one mailbox.
    Staged(Placed),
    /// Copies of an item for participants who had none before: by replay, or because a re-issue names them. No mailbox
    /// stands here where theirs had its copy already: as the catch-all or journal.
    Copied(Placed),
    /// An item that is in no participant's mailbox; what it names are the catch-all and journal.
    Held(Placed),
    /// An item that was known already.
    Duplicate {
        /// The item.
        #[serde(flatten)]
        item: Known,
        /// The SHA-256 of the export that brought it first, where that is another one. Of a transcript that says nothing new,
        /// several may have.
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<String>,
    },
    /// An item before the initial date.
    Skipped(Known),
    /// A record that is no item.
    Rejected {
        /// Its place in the export.
        n: u64,
        /// Its line in the export.
        line: u64,
        /// Why.
        reason: String,
    },
}

impl Entry {
    /// What became of the record, in the manifest's word.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Header { .. } => "header",
            Self::Staged(_) => "staged",
            Self::Copied(_) => "copied",
            Self::Held(_) => "held",
            Self::Duplicate { .. } => "duplicate",
            Self::Skipped(_) => "skipped",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// An item and its places, of which a held one may have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The item.
    #[serde(flatten)]
    pub item: Known,
    /// The SHA-256 of the EML; empty where none was placed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub eml: String,
    /// Whose folders it was placed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mailboxes: Vec<String>,
    /// Of a held item, its participants: none of them has a mailbox. Each as ImId, space and e-mail, folded, as far as the
    /// export has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its place in the export, from 0.
    pub n: u64,
    /// Unix seconds.
    pub time: i64,
    /// The item id.
    pub id: String,
}

/// The digest passes through on the way to the disk.
#[derive(Debug)]
struct Hashed {
    file: BufWriter<File>,
    hasher: Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A manifest being written, under a hidden name.
#[derive(Debug)]
pub struct Writer {
    lines: GzEncoder<Hashed>,
    folder: PathBuf,
    hidden: String,
    entries: u64,
    line: Vec<u8>,
}

/// A manifest that is whole and durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its name in the manifests' folder.
    pub name: String,
    /// Of the file as it lies there.
    pub sha256: Sha256,
    /// Lines, without the header.
    pub entries: u64,
}

impl Writer {
    /// Begins the manifest of an export.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn begin(folder: PathBuf, name: &str, sha256: Sha256) -> Result<Self, PathError> {
        let hidden = ".manifest.tmp".to_owned();
        let path = folder.join(&hidden);
        Disk.unlink(&Disk::open(&folder)?, &hidden).at(&path)?;
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        let hashed = Hashed { file: BufWriter::with_capacity(1 << 16, file), hasher: Hasher::default() };
        // The level is speed's: what is left to squeeze out of digests is little.
        let lines = GzEncoder::new(hashed, Compression::new(1));
        let mut writer = Self { lines, folder, hidden, entries: 0, line: Vec::new() };
        writer.write(&Entry::Header { manifest: 1, name: name.to_owned(), sha256: sha256.to_string() })?;
        Ok(writer)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(&mut self, entry: &Entry) -> Result<(), PathError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, entry).map_err(io::Error::from).and_then(|()| {
            self.line.push(b'\n');
            self.lines.write_all(&self.line)
        });
        self.entries += u64::from(!matches!(entry, Entry::Header { .. }));
        written.at_path(|| self.folder.join(&self.hidden))
    }

    /// Gives it up: nothing of it stays.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn abandon(self) -> Result<(), PathError> {
        let path = self.folder.join(&self.hidden);
        Disk.unlink(&Disk::open(&self.folder)?, &self.hidden).at(path)
    }

    /// Makes it durable under its name, which `stem` makes the same again after a crash.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn finish(self, stem: &str) -> Result<Finished, PathError> {
        let path = self.folder.join(&self.hidden);
        let Hashed { file, hasher } = self.lines.finish().at(&path)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).at(&path)?;
        file.sync_all().at(&path)?;
        let name = format!("{stem}.jsonl.gz");
        let folder = Disk::open(&self.folder)?;
        Disk.rename_over(&folder, &self.hidden, &folder, &name).at(&path)?;
        Disk.sync_folder(&folder).at(&self.folder)?;
        Ok(Finished { name, sha256: hasher.finish(), entries: self.entries })
    }
}

/// A manifest that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the order of commits.
    pub seq: i64,
    /// Whose.
    pub file: FileId,
    /// As it lies there.
    pub finished: Finished,
}

impl Recorded {
    /// Reads every line, the header included, and checks them against what was recorded. The folder is the manifests'.
    ///
    /// # Errors
    /// Where the file is gone, was changed, or the visitor fails.
    pub fn read<E: From<LedgerError>>(
        &self,
        folder: &Path,
        mut visit: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = folder.join(&self.finished.name);
        let damaged = |what: &str| LedgerError::Damaged(format!("manifest {} {what}", path.display()));
        let bytes = digest_of(&path).map_err(LedgerError::from)?;
        if bytes != self.finished.sha256 {
            return Err(damaged("is not what was committed").into());
        }
        let file = open_regular(&path).map_err(LedgerError::from)?;
        let mut entries = 0;
        let (mut lines, mut line) = (BufReader::new(GzDecoder::new(file)), String::new());
        loop {
            line.clear();
            if lines.read_line(&mut line).at(&path).map_err(LedgerError::from)? == 0 {
                break;
            }
            let entry = serde_json::from_str(&line).map_err(|_| damaged("has a line that cannot be read"))?;
            entries += u64::from(!matches!(entry, Entry::Header { .. }));
            visit(entry)?;
        }
        if entries != self.finished.entries {
            return Err(damaged("has another number of entries than the ledger says").into());
        }
        Ok(())
    }
}

/// A manifest that is read line by line, for one who may not need all of it: whether it is what was committed shows at
/// its end, which is an error where it is not.
#[derive(Debug)]
pub struct Entries {
    recorded: Recorded,
    path: PathBuf,
    lines: Lines<BufReader<GzDecoder<File>>>,
    read: u64,
    ended: bool,
}

impl Entries {
    fn damaged(&self, what: &str) -> LedgerError {
        LedgerError::Damaged(format!("manifest {} {what}", self.path.display()))
    }

    fn line(&mut self) -> Result<Option<Entry>, LedgerError> {
        let Some(line) = self.lines.next() else {
            let digest = digest_of(&self.path)?;
            let is_whole = digest == self.recorded.finished.sha256 && self.read == self.recorded.finished.entries;
            return if is_whole { Ok(None) } else { Err(self.damaged("is not what was committed")) };
        };
        let entry = serde_json::from_str(&line.at(&self.path)?);
        let entry = entry.map_err(|_| self.damaged("has a line that cannot be read"))?;
        self.read += u64::from(!matches!(entry, Entry::Header { .. }));
        Ok(Some(entry))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let line = self.line().transpose();
        self.ended = !matches!(line, Some(Ok(_)));
        line
    }
}

impl Recorded {
    /// Its lines, the header included.
    ///
    /// # Errors
    /// Where the file is gone.
    pub fn entries(&self, ledger: &Ledger) -> Result<Entries, LedgerError> {
        let path = ledger.manifests().join(&self.finished.name);
        let lines = BufReader::new(GzDecoder::new(open_regular(&path)?)).lines();
        Ok(Entries { recorded: self.clone(), path, lines, read: 0, ended: false })
    }
}

/// The SHA-256 of a file, read in pieces.
///
/// # Errors
/// Where it cannot be read.
pub fn digest_of(path: &Path) -> Result<Sha256, PathError> {
    let mut file = open_regular(path)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).at(path)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}

impl Ledger {
    /// The manifests in the order of their commits; of one export only, if asked.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn recorded_manifests(&self, of: Option<FileId>) -> Result<Vec<Recorded>, LedgerError> {
        match of {
            Some(file) => self.manifests_where("file = ?1", file.0),
            None => self.manifests_where("seq >= ?1", 0),
        }
    }

    /// The manifests of which this is true, in the order of their commits; `?1` stands for `value`.
    pub(super) fn manifests_where(&self, condition: &str, value: i64) -> Result<Vec<Recorded>, LedgerError> {
        self.manifests_of(condition, "seq", [value])
    }

    /// The manifests of which this is true, in this order.
    pub(super) fn manifests_of(
        &self,
        condition: &str,
        order: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Recorded>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT seq, file, name, sha256, entries FROM manifests WHERE {condition} ORDER BY {order}"
        ))?;
        let rows = statement.query_map(values, |row| {
            let finished = Finished { name: row.get(2)?, sha256: Sha256(row.get(3)?), entries: row.get(4)? };
            Ok(Recorded { seq: row.get(0)?, file: FileId(row.get(1)?), finished })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Placed {
    /// The file name of the item's EML (contract 7): the sub-seconds that the ledger leaves out are not in it either.
    pub fn name(&self) -> String {
        eml_name(self.item.time, &self.item.id)
    }
}

/// The same, of an item's time in Unix seconds and its id.
pub(super) fn eml_name(time: i64, id: &str) -> String {
    let time = jiff::Timestamp::from_second(time).unwrap_or_default();
    format!("{}-{id}.eml", time.strftime("%Y%m%dT%H%M%SZ"))
}
