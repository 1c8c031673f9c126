//! Attachments: what archives hold, what exports name of it, and who waits for whom.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::files::COLUMNS;
use super::questions::timestamp;
use super::{FileId, FileRow, Ledger, LedgerError, RunId, Scratch};
use crate::digest::Sha256;

/// What became of the attachments that an export holds or names; of an archive, of what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct AttachmentCounts {
    /// In a mail.
    pub present: u64,
    /// Named, and in no archive that came.
    pub missing: u64,
    /// Too large for a mail; kept in the encrypted original.
    pub oversize: u64,
    /// In an archive, and named by no export.
    pub orphan: u64,
    /// In an archive, and no file of a chat.
    pub refused: u64,
}

impl std::ops::AddAssign for AttachmentCounts {
    fn add_assign(&mut self, other: Self) {
        self.present += other.present;
        self.missing += other.missing;
        self.oversize += other.oversize;
        self.orphan += other.orphan;
        self.refused += other.refused;
    }
}

/// Where an attachment's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// In the mail.
    Present,
    /// Nowhere yet.
    Missing,
    /// In the encrypted original only.
    Oversize,
}

impl AttachmentState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Oversize => "oversize",
        }
    }

    /// As [`Self::as_str`] has it; the table takes no other word.
    fn from_word(word: &str) -> Self {
        match word {
            "present" => Self::Present,
            "missing" => Self::Missing,
            _ => Self::Oversize,
        }
    }
}

/// One attachment of an export, as a pass over it found it.
#[derive(Debug, Clone)]
pub struct AttachmentRow {
    /// The place of its record in the export.
    pub ordinal: u64,
    /// By what the export names it; none where it stands inside.
    pub reference: Option<Box<str>>,
    /// Where it is.
    pub state: AttachmentState,
    /// Of its bytes, and how many; none where it is missing.
    pub content: Option<(Sha256, u64)>,
    /// The archive that has it, by the digest of its ciphertext, and its path there.
    pub archive: Option<(Sha256, Box<str>)>,
}

impl AttachmentRow {
    /// Whether it is too large for a mail.
    pub fn is_oversize(&self) -> bool {
        self.state == AttachmentState::Oversize
    }
}

/// Files with attachments that are missing, or that no export names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// Of the ciphertext.
    pub sha256: Sha256,
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// Where the bytes of an attachment can be taken from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file whose original holds them.
    pub file: FileRow,
    /// The path in it, of an archive; else the place of the record in the export.
    pub place: SourcePlace,
}

/// Where in a file an attachment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePlace {
    /// An entry of an archive.
    Entry(String),
    /// A record of an export, from 0.
    Record(u64),
}

impl Scratch<'_> {
    /// Notes an attachment that the pass met.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn note_attachment(&self, found: &AttachmentRow) -> Result<(), LedgerError> {
        let sql = "INSERT OR REPLACE INTO scratch.attachments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.connection.prepare_cached(sql)?.execute(params![
            found.ordinal,
            found.reference,
            found.state.as_str(),
            found.content.map(|(sha256, _)| sha256.0),
            found.content.map(|(_, bytes)| bytes),
            found.archive.as_ref().map(|(sha256, _)| sha256.0),
            found.archive.as_ref().map(|(_, entry)| entry),
        ])?;
        Ok(())
    }

    /// What this pass noted, in numbers.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn attachment_counts(&self) -> Result<AttachmentCounts, LedgerError> {
        counts(self.connection, "SELECT state, count(*) FROM scratch.attachments WHERE ?1 IS NOT NULL GROUP BY 1", 0)
    }
}

/// Moves what a pass noted of attachments into the ledger; what was missing before is what it is now.
pub(super) fn take_attachments(transaction: &Transaction<'_>, file: FileId) -> Result<(), LedgerError> {
    transaction.execute(
        "INSERT OR REPLACE INTO main.attachments
         SELECT ?1, s.ordinal, s.reference, s.state, s.sha256, s.bytes, f.id, s.entry
         FROM scratch.attachments s LEFT JOIN main.files f ON f.sha256 = s.archive ORDER BY s.ordinal",
        [file.0],
    )?;
    Ok(())
}

fn counts(connection: &rusqlite::Connection, sql: &str, id: i64) -> Result<AttachmentCounts, LedgerError> {
    let mut counts = AttachmentCounts::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let number = row.get(1)?;
        match AttachmentState::from_word(row.get_ref(0)?.as_str().unwrap_or_default()) {
            AttachmentState::Present => counts.present = number,
            AttachmentState::Missing => counts.missing = number,
            AttachmentState::Oversize => counts.oversize = number,
        }
    }
    Ok(counts)
}

impl Ledger {
    /// Committed exports that name attachments which no archive had with which they were staged.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn exports_that_miss(&self) -> Result<Vec<FileRow>, LedgerError> {
        self.rows_of(&format!(
            "SELECT {COLUMNS} FROM files WHERE state = 'committed'
             AND id IN (SELECT file FROM attachments WHERE state = 'missing' AND archive IS NULL) ORDER BY id"
        ))
    }

    /// The state of the attachment of the record at this place of an export, and the digest of its bytes; none where the
    /// record has none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn attachment_at(
        &self,
        file: FileId,
        record: u64,
    ) -> Result<Option<(AttachmentState, Option<Sha256>)>, LedgerError> {
        let sql = "SELECT state, sha256 FROM attachments WHERE file = ?1 AND ordinal = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![file.0, record], |row| {
            let state = AttachmentState::from_word(row.get_ref(0)?.as_str().unwrap_or_default());
            Ok((state, row.get::<_, Option<[u8; 32]>>(1)?.map(Sha256)))
        });
        Ok(found.optional()?)
    }

    /// When a file came.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn received(&self, file: FileId) -> Result<Timestamp, LedgerError> {
        let sql = "SELECT received FROM files WHERE id = ?1";
        Ok(self.connection.query_row(sql, [file.0], |row| row.get(0).map(timestamp))?)
    }

    /// What became of the attachments of a file, in numbers, as things stand.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn attachment_counts(&self, file: FileId) -> Result<AttachmentCounts, LedgerError> {
        let mut counts =
            counts(&self.connection, "SELECT state, count(*) FROM attachments WHERE file = ?1 GROUP BY state", file.0)?;
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT a.refused, iif(a.settled IS NULL, 0, ({ORPHANS})) FROM archives a WHERE a.file = ?1"
        ))?;
        let of_archive = statement.query_row([file.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        (counts.refused, counts.orphan) = of_archive.unwrap_or_default();
        Ok(counts)
    }

    /// Committed exports with attachments that are missing.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn with_missing(&self) -> Result<Vec<Astray>, LedgerError> {
        self.astray(
            "SELECT f.sha256, f.name, count(*) FROM attachments m JOIN files f ON f.id = m.file
             WHERE m.state = 'missing' AND f.state = 'committed' AND ?1 IS NOT NULL GROUP BY f.id ORDER BY f.id",
            Timestamp::UNIX_EPOCH,
        )
    }

    /// Archives with files that no export names, of those that were settled since then; or with what was refused.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn with_orphans(&self, since: Timestamp) -> Result<Vec<Astray>, LedgerError> {
        let sql = format!(
            "SELECT f.sha256, f.name, ({ORPHANS}) + a.refused AS n FROM archives a JOIN files f ON f.id = a.file
             WHERE a.settled >= ?1 AND n > 0 ORDER BY f.id"
        );
        self.astray(&sql, since)
    }

    fn astray(&self, sql: &str, since: Timestamp) -> Result<Vec<Astray>, LedgerError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([since.as_second()], |row| {
            Ok(Astray { sha256: Sha256(row.get(0)?), name: row.get(1)?, count: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where the bytes with this digest can be taken from, best first: what is still kept before what retention took.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn attachment_sources(&self, sha256: Sha256) -> Result<Vec<Source>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT s.file, s.entry, s.ordinal FROM (
               SELECT archive AS file, name AS entry, NULL AS ordinal FROM entries WHERE sha256 = ?1
               UNION ALL SELECT file, NULL, ordinal FROM attachments WHERE sha256 = ?1 AND archive IS NULL) s
             JOIN files f ON f.id = s.file ORDER BY f.original_removed IS NOT NULL, f.id LIMIT 100",
        )?;
        let found: Vec<(i64, Option<String>, Option<u64>)> = statement
            .query_map([sha256.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let mut sources = Vec::new();
        for (file, entry, record) in found {
            let place = entry.map(SourcePlace::Entry).or(record.map(SourcePlace::Record));
            let place = place.ok_or_else(|| LedgerError::Damaged("an attachment without a place".to_owned()))?;
            sources.push(Source { file: self.file(FileId(file))?, place });
        }
        Ok(sources)
    }

    pub(super) fn rows_of(&self, sql: &str) -> Result<Vec<FileRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(FileRow::read(row)?);
        }
        Ok(found)
    }
}

/// The files of an archive `a` that no export names.
const ORPHANS: &str = "SELECT count(*) FROM entries e WHERE e.archive = a.file AND NOT EXISTS (
  SELECT 1 FROM attachments r WHERE r.archive = e.archive AND r.entry = e.name)";

/// Lists a file among those that a run touched, without books.
pub(super) fn note(
    connection: &rusqlite::Connection,
    file: &FileRow,
    state: &str,
    reason: Option<&str>,
    run: RunId,
) -> Result<(), LedgerError> {
    connection.execute(
        "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, ?4, ?5,
         0, 0, 0, 0, 0, 0, 0, 0, 0, '[]', '[]')",
        params![run.0, file.id.0, file.name, state, reason],
    )?;
    Ok(())
}
