//! The migrations that brought what attachments need.

/// Attachments. Times are Unix seconds. Why each table is as it is:
///
/// - `archives` has a row for each file that was read as an archive; in `files` it is committed, without items. `looked` is
///   when the exports that had been staged without it were looked through for what it has; `settled` when what no export
///   named became an orphan.
/// - `entries` are the files in it, by their path there. Its bytes stay in the encrypted original.
/// - `refused` are the first of what in it is no file of a chat; `archives.refused` counts all.
/// - `attachments` has a row for each attachment that an export holds or names, by its place in the export: inside it, where
///   `reference` is null, or in an archive. `file` and `archive` together say which originals retention keeps.
/// - `waiting` are exports that are not staged yet, because an archive may still come: until when, and how many archives
///   there were when they were looked at last.
/// - `archives_used` are the archives with which an export is staged, from before its first EML on: retention keeps them.
/// - `files.added` counts the items of an export that came after its first commit: attachments whose archive came late.
pub(super) const ATTACHMENTS: &str = "
CREATE TABLE archives (
  file INTEGER PRIMARY KEY REFERENCES files,
  entries INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  looked INTEGER,
  settled INTEGER
) STRICT;
CREATE INDEX archives_not_looked ON archives (file) WHERE looked IS NULL;
CREATE INDEX archives_not_settled ON archives (file) WHERE settled IS NULL;

CREATE TABLE entries (
  archive INTEGER NOT NULL REFERENCES files,
  name TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (archive, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_by_digest ON entries (sha256);

CREATE TABLE refused (
  archive INTEGER NOT NULL REFERENCES files,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (archive, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachments (
  file INTEGER NOT NULL REFERENCES files,
  ordinal INTEGER NOT NULL,
  reference TEXT,
  state TEXT NOT NULL CHECK (state IN ('present', 'missing', 'oversize')),
  sha256 BLOB,
  bytes INTEGER,
  archive INTEGER REFERENCES files,
  entry TEXT,
  PRIMARY KEY (file, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachments_missing ON attachments (file) WHERE state = 'missing';
CREATE INDEX attachments_by_digest ON attachments (sha256);
CREATE INDEX attachments_by_entry ON attachments (archive, entry);

CREATE TABLE waiting (
  file INTEGER PRIMARY KEY REFERENCES files,
  until INTEGER NOT NULL,
  archives INTEGER NOT NULL,
  date TEXT
) STRICT;

CREATE TABLE archives_used (
  archive INTEGER NOT NULL REFERENCES files,
  file INTEGER NOT NULL REFERENCES files,
  PRIMARY KEY (archive, file)
) STRICT, WITHOUT ROWID;

ALTER TABLE files ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
";

/// `following` is which archive still has to give which export an attachment that its mails lack: written before the first
/// of those mails is, so that a restart finishes it whatever the profile says by then, and gone with their commit. `record`
/// is the place in the export of the record that names the attachment; -1 stands for all that the archive has.
///
/// `shared` is which record of an export is the same item as one that another export brought first, where neither had the
/// attachment that it names: whichever of them an archive belongs to, both get it.
pub(super) const FOLLOWING: &str = "
CREATE TABLE following (
  file INTEGER NOT NULL REFERENCES files,
  archive INTEGER NOT NULL REFERENCES files,
  record INTEGER NOT NULL,
  PRIMARY KEY (file, archive, record)
) STRICT, WITHOUT ROWID;

CREATE TABLE shared (
  file INTEGER NOT NULL REFERENCES files,
  record INTEGER NOT NULL,
  owner INTEGER NOT NULL REFERENCES files,
  owner_record INTEGER NOT NULL,
  PRIMARY KEY (file, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX shared_by_owner ON shared (owner, owner_record);
";
