//! The ledger's tables, as migrations that are only ever appended to: a database of any age becomes today's, and one of
//! a newer program is left alone.

mod attachments;
mod directory;
mod evidence;
mod people;
mod presence;
mod shipping;
mod transcripts;

use rusqlite::{Connection, TransactionBehavior};

use self::attachments::{ATTACHMENTS, FOLLOWING};
use self::directory::DIRECTORY;
use self::evidence::EVIDENCE;
use self::people::PEOPLE;
use self::presence::PRESENCE;
use self::shipping::SHIPPING;
use self::transcripts::{TRANSCRIPTS, WORDS};
use super::{LedgerError, chain};

/// Every migration in the order in which it was released; the database's `user_version` says how many it has had.
/// A released migration is never edited. What SQL cannot say comes after the statements, in the same transaction.
const MIGRATIONS: &[(&str, &str, Then)] = &[
    ("the first tables", FIRST, nothing),
    ("what people are told and decide", PEOPLE, nothing),
    ("the importer's side", SHIPPING, nothing),
    ("transcripts", TRANSCRIPTS, nothing),
    ("attachments", ATTACHMENTS, nothing),
    ("presence from one export to the next", PRESENCE, nothing),
    ("attachments that are known to follow", FOLLOWING, nothing),
    ("words that only transcripts hold", WORDS, nothing),
    ("the tenant's users", DIRECTORY, nothing),
    ("the chain", EVIDENCE, chain::found),
];

type Then = fn(&Connection) -> Result<(), LedgerError>;

#[expect(clippy::unnecessary_wraps, reason = "the signature of those that do something")]
fn nothing(_: &Connection) -> Result<(), LedgerError> {
    Ok(())
}

/// Times are Unix seconds; digests are the bytes, not their hexadecimal form. Why each table is as it is:
///
/// - `items` has a row for each item for ever, keyed by time first, so that a day's inserts touch a few pages of the
///   tree and not all of it. `participants` is a digest: a duplicate naming others is noticed without keeping names.
/// - `namings` holds the exports that named further participants of an item than the first did.
/// - `message_keys` is a hash of room and MessageID under the UTC day: a new item that finds its key taken is a changed
///   message. By day for the same reason as `items`, and because vendors count from 1 again.
/// - `file_rule_sets` in order: a participant's mailbox is the first that any of them found.
/// - `in_force.replayed` says whether what had no mailbox before was replayed under it: what is cut short in between is
///   made up, whoever put it in force.
/// - `unplaced` are the participants without a mailbox, externals included: replay opens an original only for them.
const FIRST: &str = "
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  verb TEXT NOT NULL,
  at_site INTEGER NOT NULL,
  firm_code TEXT NOT NULL,
  started INTEGER NOT NULL,
  finished INTEGER,
  outcome TEXT,
  error TEXT,
  program TEXT NOT NULL,
  invoked_by TEXT NOT NULL
) STRICT;

CREATE TABLE shapes (
  digest BLOB PRIMARY KEY,
  kind TEXT NOT NULL,
  deflated BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rule_sets (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  mapping BLOB NOT NULL REFERENCES shapes,
  list BLOB REFERENCES shapes,
  settings TEXT NOT NULL,
  first_used INTEGER NOT NULL
) STRICT;

CREATE TABLE in_force (
  kind TEXT PRIMARY KEY,
  digest BLOB NOT NULL REFERENCES shapes,
  since INTEGER NOT NULL,
  replayed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE files (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  received INTEGER NOT NULL,
  received_run INTEGER NOT NULL REFERENCES runs,
  state TEXT NOT NULL CHECK (state IN ('received', 'staging', 'committed', 'held', 'superseded')),
  reason TEXT,
  held_local INTEGER NOT NULL DEFAULT 0,
  held_under BLOB,
  superseded_by INTEGER REFERENCES files,
  date TEXT,
  export_firm TEXT,
  signed_by TEXT,
  profile BLOB REFERENCES shapes,
  shape TEXT,
  committed INTEGER,
  available INTEGER NOT NULL DEFAULT 0,
  staged INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  duplicate INTEGER NOT NULL DEFAULT 0,
  rejected INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  original_removed INTEGER
) STRICT;
CREATE INDEX files_by_state ON files (state);

CREATE TABLE sightings (
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  file INTEGER NOT NULL REFERENCES files,
  PRIMARY KEY (name, size, mtime)
) STRICT, WITHOUT ROWID;

CREATE TABLE file_rule_sets (
  file INTEGER NOT NULL REFERENCES files,
  position INTEGER NOT NULL,
  rule_set INTEGER NOT NULL REFERENCES rule_sets,
  PRIMARY KEY (file, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE unplaced (
  file INTEGER NOT NULL REFERENCES files,
  person TEXT NOT NULL,
  im_id TEXT,
  email TEXT,
  name TEXT,
  company TEXT,
  external INTEGER NOT NULL,
  items INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  PRIMARY KEY (file, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
  time INTEGER NOT NULL,
  id BLOB NOT NULL,
  file INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  held INTEGER NOT NULL,
  participants BLOB NOT NULL,
  PRIMARY KEY (time, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_held ON items (file, time, id) WHERE held = 1;

CREATE TABLE namings (
  time INTEGER NOT NULL,
  id BLOB NOT NULL,
  file INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  participants BLOB NOT NULL,
  PRIMARY KEY (time, id, file, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX namings_by_file ON namings (file);

CREATE TABLE message_keys (
  day INTEGER NOT NULL,
  key INTEGER NOT NULL,
  PRIMARY KEY (day, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE rejected (
  file INTEGER NOT NULL REFERENCES files,
  line INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (file, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifests (
  seq INTEGER PRIMARY KEY,
  file INTEGER NOT NULL REFERENCES files,
  run INTEGER NOT NULL REFERENCES runs,
  rule_set INTEGER NOT NULL REFERENCES rule_sets,
  name TEXT NOT NULL UNIQUE,
  sha256 BLOB NOT NULL,
  entries INTEGER NOT NULL,
  committed INTEGER NOT NULL
) STRICT;

CREATE TABLE replaying (
  file INTEGER PRIMARY KEY REFERENCES files,
  rule_set INTEGER NOT NULL REFERENCES rule_sets,
  limits TEXT NOT NULL
) STRICT;

CREATE TABLE run_files (
  run INTEGER NOT NULL REFERENCES runs,
  position INTEGER NOT NULL,
  file INTEGER NOT NULL REFERENCES files,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  available INTEGER NOT NULL,
  staged INTEGER NOT NULL,
  held INTEGER NOT NULL,
  duplicate INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  skipped INTEGER NOT NULL,
  placements_staged INTEGER NOT NULL,
  placements_existing INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  unknown TEXT NOT NULL,
  unresolved TEXT NOT NULL,
  PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
";

/// Brings a database to today's tables, each migration in a transaction of its own. Of several programs that come first,
/// one does it and the others wait: how far it is is asked again once nobody else may write.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    while version(connection)? < MIGRATIONS.len() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = version(&transaction)?;
        if let Some((_, statements, then)) = MIGRATIONS.get(done) {
            transaction.execute_batch(statements)?;
            then(&transaction)?;
            transaction.pragma_update(None, "user_version", done + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// How many migrations the database has had; more than this program knows is an error, because what a newer program
/// recorded could be lost here.
pub(super) fn version(connection: &Connection) -> Result<usize, LedgerError> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        return Err(LedgerError::Newer { found: version, known: MIGRATIONS.len() });
    }
    Ok(version)
}

/// How many migrations this program knows.
pub(super) fn newest() -> usize {
    MIGRATIONS.len()
}

#[cfg(test)]
mod tests;
