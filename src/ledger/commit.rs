//! The commit point, and what must be durable before the first EML is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, Transaction, params};

use super::held::Pass;
use super::manifest::Finished;
use super::{FileId, FileRow, Ledger, LedgerError, RuleSetId, RunId, Scratch, Staying, chain};
use crate::books::Books;
use crate::digest::Sha256;

/// A participant without a mailbox, as one export names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// What distinguishes them within the export: folded ImId and e-mail.
    pub key: String,
    /// As the export writes it.
    pub im_id: Option<String>,
    /// As the export writes it.
    pub email: Option<String>,
    /// As the export writes it.
    pub name: Option<String>,
    /// As the export writes it.
    pub company: Option<String>,
    /// None of ours.
    pub external: bool,
    /// Items they are a participant of.
    pub items: u64,
    /// Unix seconds.
    pub first_seen: i64,
    /// Unix seconds.
    pub last_seen: i64,
}

/// A record that did not become an item.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RejectedRow {
    /// The export's name.
    pub file: String,
    /// Its line in the export.
    pub line: u64,
    /// Message or attachment.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// Whether a person decided that it needs nothing more.
    pub dismissed: bool,
}

/// How a replay makes an export's books other than its first commit said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Records it let in that share a transcript with another of them.
    pub merged: u64,
    /// Attachments that it took in beside the items which name them.
    pub added: u64,
}

/// All that a commit records of one export beside what its pass noted.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// The export.
    pub file: &'a FileRow,
    /// The run that stages it.
    pub run: RunId,
    /// The newest rule set applied.
    pub rule_set: RuleSetId,
    /// The books of this run for this export.
    pub books: Books,
    /// What the profile does not name, as the report's JSON.
    pub unknown: String,
    /// What happened in its rooms beside what was said: each kind that there was, and how often. Told by the first commit.
    pub events: BTreeMap<String, u64>,
    /// The export's own date.
    pub date: Option<Date>,
    /// The firm the export says it is for.
    pub export_firm: Option<String>,
    /// Who is in its rooms when it ends.
    pub staying: Vec<Staying>,
    /// The shape as it has become, if it is another than was recorded before.
    pub shape: Option<String>,
    /// The evidence, durable already.
    pub manifest: Finished,
}

impl Ledger {
    /// Records all that shapes an export's bytes and placements, before its first EML is written. A restart finishes
    /// the export with exactly this.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn begin_staging(
        &self,
        file: &FileRow,
        profile: Sha256,
        shape: &str,
        signed_by: Option<&str>,
        rules: RuleSetId,
    ) -> Result<(), LedgerError> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute(
            "UPDATE files SET state = 'staging', reason = NULL, held_local = 0, held_under = NULL, profile = ?2,
             shape = ?3, signed_by = ?4 WHERE id = ?1",
            params![file.id.0, profile.0, shape, signed_by],
        )?;
        transaction.execute("INSERT INTO file_rule_sets VALUES (?1, 0, ?2)", params![file.id.0, rules.0])?;
        note_archives_used(&transaction, file.id, shape)?;
        transaction.execute("DELETE FROM waiting WHERE file = ?1", [file.id.0])?;
        transaction.commit()?;
        Ok(())
    }

    /// The commit of an export that was staged for the first time.
    ///
    /// Crash safety: every EML this commit speaks of stands under its final name and was made durable by the target's
    /// last barrier, and the manifest was fsynced, before this transaction begins. If the machine dies before it
    /// returns, the export is still `staging`, and the next run stages it again: same names, same bytes, found standing.
    /// If it dies after, the export is committed and nothing is done twice. Only after it may the site's copy go.
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn commit(&self, scratch: &Scratch<'_>, commit: &Commit<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let transaction = Transaction::new_unchecked(scratch.connection, rusqlite::TransactionBehavior::Immediate)?;
        let file = commit.file.id.0;
        take_items(&transaction, commit, Pass::Whole)?;
        transaction.execute(
            "INSERT INTO main.rejected SELECT ?1, line, ordinal, kind, reason FROM scratch.rejected",
            [file],
        )?;
        let counts = commit.books.items;
        transaction.execute(
            "UPDATE files SET state = 'committed', reason = NULL, committed = ?2, date = ?3, export_firm = ?4,
             available = ?5, staged = ?6, held = ?7, duplicate = ?8, rejected = ?9, skipped = ?10,
             shape = coalesce(?11, shape) WHERE id = ?1",
            params![
                file,
                now.as_second(),
                commit.date.map(|date| date.to_string()),
                commit.export_firm,
                counts.available,
                counts.staged,
                counts.held,
                counts.duplicate,
                counts.rejected,
                counts.skipped,
                commit.shape,
            ],
        )?;
        super::presence::take(&transaction, &commit.staying)?;
        super::held::supersede(&transaction, commit.file.id, commit.run)?;
        note_in_run(&transaction, commit)?;
        note_manifest(&transaction, commit, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// The commit of a replay, and how its books have another extent than its first commit said; argued as for
    /// [`Ledger::commit`].
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn commit_replay(
        &self,
        scratch: &Scratch<'_>,
        commit: &Commit<'_>,
        extent: Extent,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let transaction = Transaction::new_unchecked(scratch.connection, rusqlite::TransactionBehavior::Immediate)?;
        let file = commit.file.id.0;
        transaction.execute("DELETE FROM main.unplaced WHERE file = ?1", [file])?;
        transaction.execute(
            "DELETE FROM main.rejected WHERE file = ?1 AND ordinal IN (SELECT ordinal FROM scratch.accepted)",
            [file],
        )?;
        take_items(&transaction, commit, Pass::Whole)?;
        transaction.execute(
            "INSERT INTO main.file_rule_sets SELECT ?1, max(position) + 1, ?2 FROM main.file_rule_sets WHERE file = ?1
             HAVING NOT EXISTS (SELECT 1 FROM main.file_rule_sets WHERE file = ?1 AND rule_set = ?2)",
            params![file, commit.rule_set.0],
        )?;
        let counts = commit.books.items;
        transaction.execute(
            "UPDATE files SET reason = NULL, staged = staged + ?2, held = ?3, duplicate = duplicate + ?4, rejected = ?5,
             skipped = skipped + ?6, shape = coalesce(?7, shape), available = available + ?8 - ?9, added = added + ?8, merged = merged + ?9
             WHERE id = ?1",
            params![
                file,
                counts.staged,
                counts.held,
                counts.duplicate,
                counts.rejected,
                counts.skipped,
                commit.shape,
                extent.added,
                extent.merged,
            ],
        )?;
        transaction.execute("DELETE FROM main.replaying WHERE file = ?1", [file])?;
        super::following::look_again(&transaction)?;
        note_in_run(&transaction, commit)?;
        note_manifest(&transaction, commit, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// The commit of attachments that follow an export which was committed without them, from this archive; argued as for
    /// [`Ledger::commit`].
    ///
    /// # Errors
    /// Where the ledger cannot be written; then nothing of it is.
    pub fn commit_later(
        &self,
        scratch: &Scratch<'_>,
        commit: &Commit<'_>,
        archive: FileId,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let transaction = Transaction::new_unchecked(scratch.connection, rusqlite::TransactionBehavior::Immediate)?;
        take_items(&transaction, commit, Pass::Later)?;
        super::following::end(&transaction, commit.file.id, archive)?;
        let counts = commit.books.items;
        transaction.execute(
            "UPDATE files SET reason = NULL, available = available + ?2, staged = staged + ?3, held = held + ?4,
             duplicate = duplicate + ?5, added = added + ?2, shape = coalesce(?6, shape) WHERE id = ?1",
            params![commit.file.id.0, counts.available, counts.staged, counts.held, counts.duplicate, commit.shape],
        )?;
        if let Some(shape) = &commit.shape {
            note_archives_used(&transaction, commit.file.id, shape)?;
        }
        note_in_run(&transaction, commit)?;
        note_manifest(&transaction, commit, now)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Moves what the pass noted into the ledger, sorted, so that each page of the tree is touched once.
fn take_items(transaction: &Transaction<'_>, commit: &Commit<'_>, pass: Pass) -> Result<(), LedgerError> {
    let file = commit.file.id.0;
    // Items of other exports that this one's further participants released. Few or none, so they lead: SQLite, left to choose,
    // would look through all items there are.
    transaction.execute(
        "UPDATE main.files SET held = held - found.n, staged = staged + found.n FROM (
           SELECT i.file AS file, count(*) AS n FROM scratch.released r
           CROSS JOIN main.items i ON i.time = r.time AND i.id = r.id WHERE i.held = 1 GROUP BY i.file) AS found
         WHERE main.files.id = found.file AND main.files.id <> ?1",
        [file],
    )?;
    transaction
        .execute_batch("UPDATE main.items SET held = 0 WHERE (time, id) IN (SELECT time, id FROM scratch.released)")?;
    transaction.execute(
        "INSERT INTO main.items (time, id, file, ordinal, held, participants, within)
         SELECT time, id, ?1, ordinal, held, participants, within FROM scratch.items ORDER BY time, id",
        [file],
    )?;
    transaction.execute(
        "INSERT OR IGNORE INTO main.namings (time, id, file, ordinal, participants, within)
         SELECT time, id, ?1, ordinal, participants, within FROM scratch.namings ORDER BY time, id",
        [file],
    )?;
    transaction.execute_batch(
        "INSERT OR IGNORE INTO main.transcripts (day, room, id, words)
         SELECT day, room, id, words FROM scratch.transcripts ORDER BY day, room;
         INSERT OR IGNORE INTO main.words SELECT day, key FROM scratch.words ORDER BY day, key",
    )?;
    transaction.execute_batch(
        "INSERT OR IGNORE INTO main.message_keys SELECT day, key FROM scratch.message_keys ORDER BY day, key",
    )?;
    // Of an export whose attachments follow later, they may be there already.
    transaction.execute(
        "INSERT INTO main.unplaced SELECT ?1, person, im_id, email, name, company, external, items, first_seen, last_seen
         FROM scratch.people WHERE mailbox = '' ON CONFLICT DO UPDATE SET items = items + excluded.items,
           external = min(external, excluded.external), first_seen = min(first_seen, excluded.first_seen),
           last_seen = max(last_seen, excluded.last_seen)",
        [file],
    )?;
    super::attachments::take_attachments(transaction, commit.file.id)?;
    super::following::take(transaction, commit.file.id)?;
    super::people::take(transaction)?;
    super::held::take_people(transaction, commit.file.id, pass)
}

/// The participants of ours without a mailbox that a pass noted, as the report's JSON.
pub(super) fn unresolved_noted(connection: &Connection) -> Result<String, LedgerError> {
    Ok(connection.query_row(
        "SELECT json_group_array(json_object('im_id', im_id, 'email', email, 'name', name, 'items', items))
         FROM (SELECT * FROM scratch.people WHERE mailbox = '' AND external = 0 ORDER BY items DESC, person)",
        [],
        |row| row.get(0),
    )?)
}

fn note_in_run(transaction: &Transaction<'_>, commit: &Commit<'_>) -> Result<(), LedgerError> {
    let unresolved = unresolved_noted(transaction)?;
    let (counts, placements) = (commit.books.items, commit.books.placements);
    transaction.execute(
        "INSERT INTO run_files VALUES (?1, (SELECT count(*) FROM run_files WHERE run = ?1), ?2, ?3, 'staged', NULL,
         ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            commit.run.0,
            commit.file.id.0,
            commit.file.name,
            counts.available,
            counts.staged,
            counts.held,
            counts.duplicate,
            counts.rejected,
            counts.skipped,
            placements.staged,
            placements.existing,
            commit.books.changed,
            commit.unknown,
            unresolved,
        ],
    )?;
    for (kind, count) in &commit.events {
        transaction.execute(
            "INSERT OR REPLACE INTO main.file_events VALUES (?1, ?2, ?3, ?4)",
            params![commit.run.0, commit.file.id.0, kind, count],
        )?;
    }
    Ok(())
}

/// Notes the archives that an export's shape names: those with which it was staged, and those that came later.
fn note_archives_used(transaction: &Transaction<'_>, file: FileId, shape: &str) -> Result<(), LedgerError> {
    transaction.execute(
        "INSERT OR IGNORE INTO main.archives_used SELECT f.id, ?1 FROM (
           SELECT value FROM json_each(?2, '$.archives') UNION SELECT value FROM json_each(?2, '$.later')) named
         JOIN main.files f ON f.sha256 = unhex(named.value)",
        params![file.0, shape],
    )?;
    Ok(())
}

/// Names the manifest, whose books are the run's newest row.
fn note_manifest(transaction: &Transaction<'_>, commit: &Commit<'_>, now: Timestamp) -> Result<(), LedgerError> {
    let manifest = &commit.manifest;
    transaction.execute(
        "INSERT INTO manifests (file, run, rule_set, name, sha256, entries, committed, position, shape)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT max(position) FROM run_files WHERE run = ?2), ?8)",
        params![
            commit.file.id.0,
            commit.run.0,
            commit.rule_set.0,
            manifest.name,
            manifest.sha256.0,
            manifest.entries,
            now.as_second(),
            super::shapes::digest_of_shape(transaction, commit.file.id)?,
        ],
    )?;
    chain::append(transaction, chain::Source::Commit, transaction.last_insert_rowid())
}

#[cfg(test)]
mod tests;
