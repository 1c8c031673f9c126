//! What the other tables know of each deed: links are made of it, and compared with it.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::{Deed, What};
use crate::digest::{Hasher, ItemId, Sha256};
use crate::ledger::LedgerError;
use crate::ledger::questions::timestamp;
use crate::ledger::runs::books_at;

/// Where deeds stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Source {
    /// Rows of `files`.
    Received,
    /// Rows of `versions`.
    InForce,
    /// Rows of `manifests`.
    Commit,
    /// Rows of `archives`.
    Archive,
    /// Rows of `restagings`.
    Restage,
    /// Rows of `dismissals`.
    Dismissal,
    /// Rows of `files` whose original was removed.
    Retention,
}

const SOURCES: [Source; 7] = [
    Source::Received,
    Source::InForce,
    Source::Archive,
    Source::Commit,
    Source::Restage,
    Source::Dismissal,
    Source::Retention,
];

/// Everything that the tables know was done, in the order in which it was: each table's rows in theirs, whatever the clock
/// said.
pub(super) fn all(connection: &Connection) -> Result<Vec<Deed>, LedgerError> {
    let mut all = Vec::new();
    for source in SOURCES {
        let mut newest = Timestamp::MIN;
        for deed in source.deeds(connection, None)? {
            newest = newest.max(deed.at);
            all.push((newest, deed));
        }
    }
    // Stable: what was done within a second stands in the order of the sources.
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, deed)| deed).collect())
}

impl Source {
    /// The deeds of one row, or of all.
    pub(super) fn deeds(self, connection: &Connection, row: Option<i64>) -> Result<Vec<Deed>, LedgerError> {
        let (sql, key) = self.sql();
        let sql = match row {
            // Asked for one, SQLite is to find it, not to look through all.
            Some(_) => format!("{sql} AND {key} = ?1"),
            None => format!("{sql} AND ?1 IS NULL ORDER BY {key}"),
        };
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([row], |row| self.deed(row))?;
        let mut deeds = rows.collect::<Result<Vec<_>, _>>()?;
        for deed in &mut deeds {
            if let What::Archive { sha256, entries_sha256, .. } = &mut deed.what {
                *entries_sha256 = digest_of_entries(connection, sha256)?;
            }
        }
        Ok(deeds)
    }

    /// When, who and by which run come first; and by which column a row is found, and all are in order.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Received => (
                "SELECT f.received, r.invoked_by, r.name, f.name, f.sha256, f.bytes
                 FROM main.files f JOIN main.runs r ON r.id = f.received_run WHERE true",
                "f.id",
            ),
            Self::InForce => (
                "SELECT since, put_by, NULL, kind, digest, entries, added, removed, changed
                 FROM main.versions WHERE true",
                "id",
            ),
            Self::Commit => (
                "SELECT m.committed, r.invoked_by, r.name, f.name, f.sha256, r.verb, m.name, m.sha256, m.entries, s.digest,
                   f.profile, m.shape, f.date, f.export_firm, f.signed_by, b.position IS NOT NULL, b.available,
                   b.staged, b.held, b.duplicate, b.rejected, b.skipped, b.placements_staged, b.placements_existing, b.changed
                 FROM main.manifests m JOIN main.runs r ON r.id = m.run JOIN main.files f ON f.id = m.file
                 JOIN main.rule_sets s ON s.id = m.rule_set
                 LEFT JOIN main.run_files b ON b.run = m.run AND b.position = m.position
                 WHERE true",
                "m.seq",
            ),
            Self::Archive => (
                "SELECT f.committed, '', NULL, f.name, f.sha256, a.entries, a.refused
                 FROM main.archives a JOIN main.files f ON f.id = a.file WHERE true",
                "a.file",
            ),
            Self::Restage => (
                "SELECT r.started, s.restaged_by, r.name, s.asked, s.reason
                 FROM main.restagings s JOIN main.runs r ON r.id = s.run WHERE true",
                "s.run",
            ),
            Self::Dismissal => (
                "SELECT d.dismissed, d.dismissed_by, NULL, f.name, f.sha256, d.kind, d.item, d.time, d.ordinal, d.reason
                 FROM main.dismissals d JOIN main.files f ON f.id = d.file WHERE true",
                "d.id",
            ),
            Self::Retention => (
                "SELECT original_removed, coalesce(original_removed_by, ''), NULL, name, sha256
                 FROM main.files WHERE original_removed IS NOT NULL",
                "id",
            ),
        }
    }

    fn deed(self, row: &Row<'_>) -> rusqlite::Result<Deed> {
        Ok(Deed { at: timestamp(row.get(0)?), by: row.get(1)?, run: row.get(2)?, what: self.what(row)? })
    }

    fn what(self, row: &Row<'_>) -> rusqlite::Result<What> {
        let digest = |column| row.get(column).map(|bytes| Sha256(bytes).to_string());
        Ok(match self {
            Self::Received => What::Received { name: row.get(3)?, sha256: digest(4)?, bytes: row.get(5)? },
            Self::InForce => What::InForce {
                set: row.get(3)?,
                digest: digest(4)?,
                entries: row.get(5)?,
                added: row.get(6)?,
                removed: row.get(7)?,
                changed: row.get(8)?,
            },
            Self::Commit => What::Commit {
                name: row.get(3)?,
                sha256: digest(4)?,
                verb: row.get(5)?,
                manifest: row.get(6)?,
                manifest_sha256: digest(7)?,
                entries: row.get(8)?,
                rules: digest(9)?,
                profile: digest(10)?,
                shape: row.get::<_, Option<[u8; 32]>>(11)?.map(|bytes| Sha256(bytes).to_string()),
                date: row.get(12)?,
                firm: row.get(13)?,
                signed_by: row.get(14)?,
                books: row.get::<_, bool>(15)?.then(|| books_at(row, 16)).transpose()?,
            },
            Self::Archive => What::Archive {
                name: row.get(3)?,
                sha256: digest(4)?,
                entries: row.get(5)?,
                refused: row.get(6)?,
                entries_sha256: String::new(),
            },
            Self::Restage => What::Restage { asked: asked(&row.get::<_, String>(3)?), reason: row.get(4)? },
            Self::Dismissal => What::Dismissal {
                name: row.get(3)?,
                sha256: digest(4)?,
                matter: row.get(5)?,
                item: row.get::<_, Option<[u8; 16]>>(6)?.map(|id| ItemId(id).to_string()),
                time: row.get(7)?,
                n: row.get(8)?,
                reason: row.get(9)?,
            },
            Self::Retention => What::Retention { name: row.get(3)?, sha256: digest(4)? },
        })
    }
}

/// Of what an archive holds, by the digest of its own bytes.
fn digest_of_entries(connection: &Connection, archive: &str) -> Result<String, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.name, e.sha256, e.bytes FROM main.entries e JOIN main.files f ON f.id = e.archive
         WHERE f.sha256 = unhex(?1) ORDER BY e.name",
    )?;
    let mut rows = statement.query([archive])?;
    let mut hasher = Hasher::default();
    while let Some(row) = rows.next()? {
        let (name, digest, bytes): (String, Vec<u8>, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        hasher.field(name.as_bytes());
        hasher.field(&digest);
        hasher.field(&bytes.to_be_bytes());
    }
    Ok(hasher.finish().to_string())
}

/// What was asked for as JSON; a text that is none any more stays the text, and shows as altered.
fn asked(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
