//! The migrations that brought what transcripts need.

/// Times are Unix seconds; days count from 1970-01-01. Why each is as it is:
///
/// - `items.within` is the place in the export of the transcript that holds the message: such a row is no item that was
///   placed, and says that the message is known, whichever grouping the next export comes under. `namings.within` likewise:
///   whom a transcript's message was for, where another export had the message first.
/// - `transcripts` is the first transcript of a room on a day, which every later one of that room and day follows; by day
///   for the same reason as `message_keys`. `room` is a hash of the room's id; a room without one is in no row.
/// - `followed` says what a transcript refers to as the one before it. It is recorded before the transcript's EML is
///   written, so that whatever is committed meanwhile, the EML has the same bytes whenever it is made again.
/// - `files.merged` counts records that a replay let in and that share a transcript with another of them: that many items
///   fewer the export has than its first commit said.
/// - `file_events` is what happened in an export's rooms beside what was said, by kind, as the run saw it.
pub(super) const TRANSCRIPTS: &str = "
ALTER TABLE items ADD COLUMN within INTEGER;
ALTER TABLE namings ADD COLUMN within INTEGER;
ALTER TABLE files ADD COLUMN merged INTEGER NOT NULL DEFAULT 0;

CREATE TABLE transcripts (
  day INTEGER NOT NULL,
  room INTEGER NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY (day, room)
) STRICT, WITHOUT ROWID;

CREATE TABLE followed (
  time INTEGER NOT NULL,
  id BLOB NOT NULL,
  follows BLOB,
  PRIMARY KEY (time, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE file_events (
  run INTEGER NOT NULL REFERENCES runs,
  file INTEGER NOT NULL REFERENCES files,
  kind TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (run, file, kind)
) STRICT, WITHOUT ROWID;
";

/// `words` is a hash of what a disclaimer or the system said in a room, under the transcript's day: a day that is issued again
/// with more of that is told from one with nothing new. `transcripts.words` says whether those of the room's first transcript
/// of that day are there.
pub(super) const WORDS: &str = "
ALTER TABLE transcripts ADD COLUMN words INTEGER NOT NULL DEFAULT 0;
CREATE TABLE words (
  day INTEGER NOT NULL,
  key INTEGER NOT NULL,
  PRIMARY KEY (day, key)
) STRICT, WITHOUT ROWID;
";
