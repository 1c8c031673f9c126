//! The migration that brought what people are told, and what they decide.

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
pub(super) const PEOPLE: &str = "
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
