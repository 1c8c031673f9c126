//! Attachments that are known to follow: which archive has what an export's mails lack.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{FileId, Ledger, LedgerError, Scratch};
use crate::digest::Sha256;

/// Stands for all records.
const ALL: i64 = -1;

/// What an archive gives to an export that was staged without it.
#[derive(Debug, Clone)]
pub struct Following {
    /// The export.
    pub file: FileId,
    /// The archive.
    pub archive: FileId,
    /// The places of the records whose attachments these are; none for all that name what no other archive has.
    pub records: Option<BTreeSet<u64>>,
}

impl Ledger {
    /// What has to follow, archive by archive.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn following(&self) -> Result<Vec<Following>, LedgerError> {
        let mut statement =
            self.connection.prepare("SELECT archive, file, record FROM following ORDER BY archive, file, record")?;
        let mut rows = statement.query([])?;
        let mut found: BTreeMap<(i64, i64), Option<BTreeSet<u64>>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            // All of them come first.
            let records = found.entry((row.get(0)?, row.get(1)?)).or_insert_with(|| Some(BTreeSet::new()));
            match row.get::<_, i64>(2)? {
                ALL => *records = None,
                record => records.iter_mut().for_each(|records| records.extend([record.cast_unsigned()])),
            }
        }
        let of = |((archive, file), records)| Following { file: FileId(file), archive: FileId(archive), records };
        Ok(found.into_iter().map(of).collect())
    }

    /// What an export names that no archive had with which it was staged: the place of each record, and the name.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn missing_of(&self, file: FileId) -> Result<Vec<(u64, String)>, LedgerError> {
        let sql = "SELECT ordinal, reference FROM attachments
                   WHERE file = ?1 AND state = 'missing' AND archive IS NULL AND reference IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([file.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes that the exports which miss something were looked through for what an archive has. Each of `given` gets what it
    /// misses of it; and of these records of theirs, so does whichever export has the same.
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn note_looked(
        &self,
        archive: FileId,
        given: &[(FileId, Vec<u64>)],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        {
            let mut insert = transaction.prepare("INSERT OR IGNORE INTO following VALUES (?1, ?2, ?3)")?;
            let mut same = transaction.prepare(
                "INSERT OR IGNORE INTO following SELECT m.file, ?3, m.ordinal FROM (
                   SELECT owner AS file, owner_record AS record FROM shared WHERE file = ?1 AND record = ?2
                   UNION SELECT file, record FROM shared WHERE owner = ?1 AND owner_record = ?2) s
                 JOIN attachments m ON m.file = s.file AND m.ordinal = s.record
                 WHERE m.state = 'missing' AND m.archive IS NULL",
            )?;
            for (file, records) in given {
                insert.execute(params![file.0, archive.0, ALL])?;
                for record in records {
                    same.execute(params![file.0, record, archive.0])?;
                }
            }
        }
        transaction.execute("UPDATE archives SET looked = ?2 WHERE file = ?1", params![archive.0, now.as_second()])?;
        Ok(transaction.commit()?)
    }
}

impl Scratch<'_> {
    /// Notes that an archive, by the digest of its ciphertext, has what the mail of a record at this place of an export
    /// lacks.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn note_following(&self, file: FileId, archive: Sha256, record: u64) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.following VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![file.0, archive.0, record])?;
        Ok(())
    }

    /// Notes that the record at this place is one that another export brought first, and that neither has its attachment.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn note_shared(&self, record: u64, owner: FileId, owner_record: u64) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.shared VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![record, owner.0, owner_record])?;
        Ok(())
    }
}

/// Moves what a pass over an export noted into the ledger.
pub(super) fn take(transaction: &Transaction<'_>, file: FileId) -> Result<(), LedgerError> {
    transaction.execute(
        "INSERT OR IGNORE INTO main.shared SELECT ?1, record, owner, owner_record FROM scratch.shared",
        [file.0],
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO main.following SELECT s.file, f.id, s.record
         FROM scratch.following s JOIN main.files f ON f.sha256 = s.archive",
        [],
    )?;
    Ok(())
}

/// With the commit of what followed.
pub(super) fn end(transaction: &Transaction<'_>, file: FileId, archive: FileId) -> Result<(), LedgerError> {
    transaction.execute("DELETE FROM main.following WHERE file = ?1 AND archive = ?2", [file.0, archive.0])?;
    Ok(())
}

/// A replay let in records that name what no archive had which the export was staged with: others are asked again.
pub(super) fn look_again(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    transaction.execute(
        "UPDATE main.archives SET looked = NULL WHERE EXISTS (
           SELECT 1 FROM scratch.attachments WHERE state = 'missing' AND archive IS NULL)",
        [],
    )?;
    Ok(())
}
