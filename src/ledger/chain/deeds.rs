//! What the other tables know of each deed: links are made of it, and compared with it.

use rusqlite::{Connection, Row};
use serde_json::Value;

use super::{Deed, What};
use crate::books::{Books, Counts, Placements};
use crate::digest::{ItemId, Sha256};
use crate::ledger::LedgerError;
use crate::ledger::questions::timestamp;

/// Where deeds stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Source {
    /// Rows of `files`.
    Received,
    /// Rows of `versions`.
    InForce,
    /// Rows of `manifests`.
    Commit,
    /// Rows of `restagings`.
    Restage,
    /// Rows of `dismissals`.
    Dismissal,
    /// Rows of `files` whose original was removed.
    Retention,
}

const SOURCES: [Source; 6] =
    [Source::Received, Source::InForce, Source::Commit, Source::Restage, Source::Dismissal, Source::Retention];

/// Everything that the tables know was done, in the order in which it was.
pub(super) fn all(connection: &Connection) -> Result<Vec<Deed>, LedgerError> {
    let mut all = Vec::new();
    for source in SOURCES {
        all.extend(source.deeds(connection, None)?);
    }
    // Stable: what was done within a second stands in the order of the sources.
    all.sort_by_key(|deed| deed.at);
    Ok(all)
}

impl Source {
    /// The deeds of one row, or of all.
    pub(super) fn deeds(self, connection: &Connection, row: Option<i64>) -> Result<Vec<Deed>, LedgerError> {
        let mut statement = connection.prepare_cached(self.sql())?;
        let rows = statement.query_map([row], |row| self.deed(row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When, who and by which run come first.
    fn sql(self) -> &'static str {
        match self {
            Self::Received => {
                "SELECT f.received, r.invoked_by, r.name, f.name, f.sha256, f.bytes
                 FROM main.files f JOIN main.runs r ON r.id = f.received_run WHERE ?1 IS NULL OR f.id = ?1 ORDER BY f.id"
            }
            Self::InForce => {
                "SELECT since, put_by, NULL, kind, digest, entries, added, removed, changed
                 FROM main.versions WHERE ?1 IS NULL OR id = ?1 ORDER BY id"
            }
            Self::Commit => {
                "SELECT m.committed, r.invoked_by, r.name, f.name, f.sha256, r.verb, m.name, m.sha256, m.entries, s.digest,
                   b.position IS NOT NULL, b.available, b.staged, b.held, b.duplicate, b.rejected, b.skipped,
                   b.placements_staged, b.placements_existing, b.changed
                 FROM main.manifests m JOIN main.runs r ON r.id = m.run JOIN main.files f ON f.id = m.file
                 JOIN main.rule_sets s ON s.id = m.rule_set
                 LEFT JOIN main.run_files b ON b.run = m.run AND b.position = m.position
                 WHERE ?1 IS NULL OR m.seq = ?1 ORDER BY m.seq"
            }
            Self::Restage => {
                "SELECT r.started, s.restaged_by, r.name, s.asked, s.reason
                 FROM main.restagings s JOIN main.runs r ON r.id = s.run WHERE ?1 IS NULL OR s.run = ?1 ORDER BY s.run"
            }
            Self::Dismissal => {
                "SELECT d.dismissed, d.dismissed_by, NULL, f.name, f.sha256, d.kind, d.item, d.time, d.ordinal, d.reason
                 FROM main.dismissals d JOIN main.files f ON f.id = d.file WHERE ?1 IS NULL OR d.id = ?1 ORDER BY d.id"
            }
            Self::Retention => {
                "SELECT original_removed, coalesce(original_removed_by, ''), NULL, name, sha256
                 FROM main.files WHERE original_removed IS NOT NULL AND (?1 IS NULL OR id = ?1) ORDER BY id"
            }
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
                books: row.get::<_, bool>(10)?.then(|| books(row)).transpose()?,
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

/// What was asked for as JSON; a text that is none any more stays the text, and shows as altered.
fn asked(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn books(row: &Row<'_>) -> rusqlite::Result<Books> {
    Ok(Books {
        items: Counts {
            available: row.get(11)?,
            staged: row.get(12)?,
            held: row.get(13)?,
            duplicate: row.get(14)?,
            rejected: row.get(15)?,
            skipped: row.get(16)?,
        },
        placements: Placements { staged: row.get(17)?, existing: row.get(18)? },
        changed: row.get(19)?,
    })
}
