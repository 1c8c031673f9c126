//! What shapes an export's bytes and placements, kept once for each content: profiles, mappings, mailbox lists, snapshots of
//! a tenant's users.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{FileId, Ledger, LedgerError};
use crate::digest::{Hasher, Sha256};

/// A rule set's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleSetId(pub(super) i64);

impl RuleSetId {
    /// A rule set that is not recorded.
    pub fn none() -> Self {
        Self(0)
    }
}

/// A rule set as it is kept: the canonical forms, which this room does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRules {
    /// The mapping.
    pub mapping: Vec<u8>,
    /// The mailbox list, where there was one.
    pub list: Option<Vec<u8>>,
    /// The snapshot of the tenant's users, where there was one.
    pub directory: Option<Vec<u8>>,
    /// Domains, companies and `automatic`, as JSON.
    pub settings: String,
}

impl StoredRules {
    /// What two equal rule sets have in common.
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.field(&self.mapping);
        hasher.field(if self.list.is_some() { b"list" } else { b"none" });
        hasher.field(self.list.as_deref().unwrap_or_default());
        hasher.field(self.settings.as_bytes());
        // Rule sets of before there were snapshots keep their digest.
        if let Some(directory) = &self.directory {
            hasher.field(directory);
        }
        hasher.finish()
    }
}

impl Ledger {
    /// Keeps a text that shapes exports; its digest is its name.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn keep_shape(&self, kind: &str, bytes: &[u8]) -> Result<Sha256, LedgerError> {
        let digest = Sha256::of(bytes);
        let known = self
            .connection
            .query_row("SELECT 1 FROM shapes WHERE digest = ?1", [digest.0], |_| Ok(()))
            .optional()?
            .is_some();
        if !known {
            self.connection.execute(
                "INSERT INTO shapes (digest, kind, deflated) VALUES (?1, ?2, ?3)",
                params![digest.0, kind, deflate(bytes)],
            )?;
        }
        Ok(digest)
    }

    /// A text that was kept.
    ///
    /// # Errors
    /// Where it is not there, or not what was kept.
    pub fn shape(&self, digest: Sha256) -> Result<Vec<u8>, LedgerError> {
        let deflated: Vec<u8> =
            self.connection.query_row("SELECT deflated FROM shapes WHERE digest = ?1", [digest.0], |row| row.get(0))?;
        let bytes = inflate(&deflated).filter(|bytes| Sha256::of(bytes) == digest);
        bytes.ok_or_else(|| {
            LedgerError::Damaged(format!("a kept profile, mapping, list or snapshot ({digest}) is not what was kept"))
        })
    }

    /// Kept texts that are not what was kept, each as a fault.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn altered_shapes(&self) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT kind, digest, deflated FROM shapes ORDER BY digest")?;
        let mut rows = statement.query([])?;
        let mut altered = Vec::new();
        while let Some(row) = rows.next()? {
            let (kind, digest): (String, _) = (row.get(0)?, Sha256(row.get(1)?));
            if inflate(&row.get::<_, Vec<u8>>(2)?).is_none_or(|bytes| Sha256::of(&bytes) != digest) {
                altered.push(format!("the kept {kind} {digest} is not what was kept"));
            }
        }
        drop(rows);
        let ids = self
            .connection
            .prepare("SELECT id, digest FROM rule_sets ORDER BY id")?
            .query_map([], |row| Ok((RuleSetId(row.get(0)?), row.get::<_, [u8; 32]>(1).map(Sha256))))?
            .collect::<Result<Vec<_>, _>>()?;
        for (id, digest) in ids {
            // What cannot be read was named above.
            let is_same = self.rules(id).is_ok_and(|rules| digest.is_ok_and(|digest| rules.digest() == digest));
            if !is_same {
                altered.push(format!("rule set {} is not what was kept", id.0));
            }
        }
        Ok(altered)
    }

    /// Keeps a rule set, once for each content.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn keep_rules(&self, rules: &StoredRules, now: Timestamp) -> Result<RuleSetId, LedgerError> {
        let digest = rules.digest();
        let known = self
            .connection
            .query_row("SELECT id FROM rule_sets WHERE digest = ?1", [digest.0], |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            return Ok(RuleSetId(id));
        }
        let mapping = self.keep_shape("mapping", &rules.mapping)?;
        let list = rules.list.as_ref().map(|list| self.keep_shape("list", list)).transpose()?;
        let directory = rules.directory.as_ref().map(|users| self.keep_shape("directory", users)).transpose()?;
        self.connection.execute(
            "INSERT INTO rule_sets (digest, mapping, list, directory, settings, first_used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                digest.0,
                mapping.0,
                list.map(|list| list.0),
                directory.map(|users| users.0),
                rules.settings,
                now.as_second()
            ],
        )?;
        Ok(RuleSetId(self.connection.last_insert_rowid()))
    }

    /// A rule set that was kept.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn rules(&self, id: RuleSetId) -> Result<StoredRules, LedgerError> {
        type Digest = [u8; 32];
        let (mapping, list, directory, settings): (Digest, Option<Digest>, Option<Digest>, String) = self
            .connection
            .query_row("SELECT mapping, list, directory, settings FROM rule_sets WHERE id = ?1", [id.0], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        let shape = |digest: Option<Digest>| digest.map(|digest| self.shape(Sha256(digest))).transpose();
        Ok(StoredRules {
            mapping: self.shape(Sha256(mapping))?,
            list: shape(list)?,
            directory: shape(directory)?,
            settings,
        })
    }

    /// The rule sets applied to a file, in order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn rules_of(&self, file: FileId) -> Result<Vec<RuleSetId>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT rule_set FROM file_rule_sets WHERE file = ?1 ORDER BY position")?;
        let ids = statement.query_map([file.0], |row| row.get(0).map(RuleSetId))?.collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// The last good mapping or list (`kind`), which stays in force across restarts.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn in_force(&self, kind: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.in_force_digest(kind)?.map(|digest| self.shape(digest)).transpose()
    }

    /// The digest of the mapping or list (`kind`) that is in force.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn in_force_digest(&self, kind: &str) -> Result<Option<Sha256>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT digest FROM in_force WHERE kind = ?1")?;
        Ok(statement.query_row([kind], |row| row.get(0).map(Sha256)).optional()?)
    }

    /// Whether a mapping or list came into force under which nothing was replayed yet, and there is something to replay.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn replay_due(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM in_force WHERE replayed = 0) AND EXISTS (SELECT 1 FROM files)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Notes that everything was replayed under these rules; another set that came into force meanwhile stays due.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_replayed(&self, rules: &StoredRules) -> Result<(), LedgerError> {
        let digest = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| Sha256::of(bytes).0);
        self.connection.execute(
            "UPDATE in_force SET replayed = 1
             WHERE replayed = 0
             AND ((kind = 'mapping' AND digest = ?1) OR (kind = 'list' AND (?2 IS NULL OR digest = ?2))
               OR (kind = 'directory' AND (?3 IS NULL OR digest = ?3)))",
            params![Sha256::of(&rules.mapping).0, digest(&rules.list), digest(&rules.directory)],
        )?;
        Ok(())
    }
}

/// The digest of a file's shape, as it stands.
pub(super) fn digest_of_shape(connection: &Connection, file: FileId) -> Result<[u8; 32], LedgerError> {
    let sql = "SELECT coalesce(shape, '') FROM main.files WHERE id = ?1";
    let shape: String = connection.prepare_cached(sql)?.query_row([file.0], |row| row.get(0))?;
    Ok(Sha256::of(shape.as_bytes()).0)
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail; an empty result would be noticed by the digest.
    if encoder.write_all(bytes).is_err() {
        return Vec::new();
    }
    encoder.finish().unwrap_or_default()
}

pub(super) fn inflate(deflated: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(deflated).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
