//! The ledger's tables, as migrations that are only ever appended to: a database of any age becomes today's, and one of
//! a newer program is left alone.

mod attachments;
mod presence;
mod shipping;
mod transcripts;

use rusqlite::{Connection, TransactionBehavior};

use self::attachments::{ATTACHMENTS, FOLLOWING};
use self::presence::PRESENCE;
use self::shipping::SHIPPING;
use self::transcripts::{TRANSCRIPTS, WORDS};
use super::LedgerError;

/// Every migration in the order in which it was released; the database's `user_version` says how many it has had.
/// A released migration is never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("the first tables", FIRST),
    ("what people are told and decide", PEOPLE),
    ("the importer's side", SHIPPING),
    ("transcripts", TRANSCRIPTS),
    ("attachments", ATTACHMENTS),
    ("presence from one export to the next", PRESENCE),
    ("attachments that are known to follow", FOLLOWING),
    ("words that only transcripts hold", WORDS),
];

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

/// What people are told, and what they decide. Times are Unix seconds, days `YYYY-MM-DD`. Why each table is as it is:
///
/// - `alerts` has a row from the moment a condition is first seen until it is gone; one open row for each kind and subject.
///   `told` is when it was last handed to the channels, so that it is repeated weekly and not at every look.
/// - `notices` is what goes out, a row for each channel, kept when sent: who was told what, and when, is evidence too.
/// - `files_by_commit` and `run_files_by_file` let each look for alerts find the newest exports without reading all.
/// - `versions` says how mapping and list came to be what they are: who put which in force when, and what it changed.
/// - `rejections` are operators' files that did not count, until they were mended.
/// - `strangers` are names at the site that no pattern of `site.files` matches, as last listed.
/// - `held_people` says whom a held item lacks a mailbox for, by the export that named them, so that a person can decide
///   about it without its original. Items of one room lack the same people: those are in `circles`, once.
/// - `dismissals` are a person's decision that something held needs nothing more; nothing of it is forgotten.
/// - `unresolved` are those of `unplaced` who are ours and still to be asked about: not all of their items were dismissed.
///   Whom an export named that came after the decision, nobody has decided about.
/// - `runs.trouble` says why a run did not bring what it should have, for those reasons that are treated differently:
///   `login`, `unreachable`, `stopped`, and `no_export` of one that went well and did not find what it looked for.
/// - `certificates` are those of our PGP keys as the last run saw them: the daemon holds no key, and still warns of expiry.
/// - `unplaced_ours`: how many of ours lack a mailbox is asked every few seconds, and externals are counted nowhere.
/// - `people` is everybody whom exports named, with the mailbox found and when they were seen first and last: who is
///   missing from capture, and whose e-mail a mapping overrides. `person` is the key that `unplaced` uses; the rest is
///   what their newest item says.
/// - `captured` are the mailboxes that were a participant's, with the time of the newest such item: catch-all and journal
///   are not in it for what they get as such.
const PEOPLE: &str = "
CREATE TABLE alerts (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  words TEXT NOT NULL,
  raised INTEGER NOT NULL,
  ended INTEGER,
  told INTEGER,
  acked_until TEXT,
  acked_by TEXT,
  acked_reason TEXT,
  acked INTEGER
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE ended IS NULL;

CREATE TABLE notices (
  id INTEGER PRIMARY KEY,
  channel TEXT NOT NULL CHECK (channel IN ('webhook', 'mail', 'ping')),
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  made INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  next_try INTEGER NOT NULL,
  sent INTEGER,
  given_up INTEGER,
  error TEXT
) STRICT;
CREATE INDEX notices_waiting ON notices (next_try) WHERE sent IS NULL AND given_up IS NULL;
CREATE INDEX notices_by_kind ON notices (channel, kind, made);
CREATE INDEX notices_sent ON notices (channel, sent) WHERE sent IS NOT NULL;
CREATE INDEX notices_given_up ON notices (channel, given_up) WHERE given_up IS NOT NULL;

CREATE INDEX files_by_commit ON files (committed);
CREATE INDEX run_files_by_file ON run_files (file);

CREATE TABLE versions (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  digest BLOB NOT NULL REFERENCES shapes,
  since INTEGER NOT NULL,
  put_by TEXT NOT NULL,
  entries INTEGER NOT NULL,
  added INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  concerns TEXT NOT NULL
) STRICT;

CREATE TABLE rejections (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  since INTEGER NOT NULL,
  mended INTEGER,
  errors TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX rejections_open ON rejections (kind) WHERE mended IS NULL;

CREATE TABLE strangers (
  name TEXT PRIMARY KEY,
  first_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE held_people (
  time INTEGER NOT NULL,
  id BLOB NOT NULL,
  file INTEGER NOT NULL REFERENCES files,
  circle BLOB NOT NULL,
  PRIMARY KEY (time, id, file, circle)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_people_by_file ON held_people (file);

CREATE TABLE circles (
  circle BLOB NOT NULL,
  person TEXT NOT NULL,
  PRIMARY KEY (circle, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE dismissals (
  id INTEGER PRIMARY KEY,
  file INTEGER NOT NULL REFERENCES files,
  kind TEXT NOT NULL CHECK (kind IN ('file', 'item', 'record')),
  time INTEGER,
  item BLOB,
  ordinal INTEGER,
  reason TEXT NOT NULL,
  dismissed_by TEXT NOT NULL,
  dismissed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX dismissals_once ON dismissals (file, kind, coalesce(time, 0), coalesce(item, x''), coalesce(ordinal, 0));
CREATE INDEX dismissals_by_item ON dismissals (time, item) WHERE kind = 'item';

CREATE VIEW unresolved AS
WITH settled (file, person, items) AS (
  SELECT s.file, c.person, sum(s.items) FROM (
    SELECT h.file AS file, h.circle AS circle, count(*) AS items FROM dismissals d
    JOIN held_people h ON h.time = d.time AND h.id = d.item
    JOIN files f ON f.id = h.file AND f.committed <= d.dismissed
    WHERE d.kind = 'item' GROUP BY h.file, h.circle) s
  JOIN circles c ON c.circle = s.circle GROUP BY s.file, c.person)
SELECT u.* FROM unplaced u LEFT JOIN settled s ON s.file = u.file AND s.person = u.person
WHERE u.external = 0 AND u.items > coalesce(s.items, 0);

CREATE TABLE people (
  person TEXT PRIMARY KEY,
  im_id TEXT,
  email TEXT,
  name TEXT,
  company TEXT,
  mailbox TEXT,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX people_by_im_id ON people (im_id);

CREATE TABLE captured (
  mailbox TEXT PRIMARY KEY,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
  fingerprint TEXT PRIMARY KEY,
  credential TEXT NOT NULL,
  expires INTEGER,
  seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX unplaced_ours ON unplaced (person) WHERE external = 0;

ALTER TABLE runs ADD COLUMN trouble TEXT;
";

/// Brings a database to today's tables, each migration in a transaction of its own. Of several programs that come first,
/// one does it and the others wait: how far it is is asked again once nobody else may write.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    while version(connection)? < MIGRATIONS.len() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = version(&transaction)?;
        if let Some((_, statements)) = MIGRATIONS.get(done) {
            transaction.execute_batch(statements)?;
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
