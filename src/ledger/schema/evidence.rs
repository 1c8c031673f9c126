//! The migration that brought the chain.

/// - `chain` has a link for each change of consequence: `line` is JSON that says who did what, when and why; `hash` binds it
///   to the link before. `run` is read out of the line, to find what one run did.
/// - `manifests.position` is the row of `run_files` that has the commit's books; not known of those from before.
/// - `manifests.shape` is the digest of the shape (JSON) as the commit left it: not known of those from before.
/// - The triggers keep out a program from before, which may still run when a newer one has been here: what it inserts has no
///   mark, so its run fails, and the next one finishes it. Otherwise things would be recorded that no link tells of.
/// - `files.original_removed_by` is who had retention remove the original.
pub(super) const EVIDENCE: &str = "
CREATE TABLE chain (
  seq INTEGER PRIMARY KEY,
  line TEXT NOT NULL,
  hash BLOB NOT NULL,
  run TEXT GENERATED ALWAYS AS (json_extract(line, '$.run')) VIRTUAL
) STRICT;
CREATE INDEX chain_by_run ON chain (run, seq);

CREATE INDEX manifests_by_file ON manifests (file, seq);
ALTER TABLE manifests ADD COLUMN position INTEGER;
ALTER TABLE manifests ADD COLUMN shape BLOB;
ALTER TABLE files ADD COLUMN original_removed_by TEXT;
ALTER TABLE files ADD COLUMN linked INTEGER;
ALTER TABLE versions ADD COLUMN linked INTEGER;
ALTER TABLE dismissals ADD COLUMN linked INTEGER;
ALTER TABLE restagings ADD COLUMN linked INTEGER;
CREATE TRIGGER files_linked BEFORE INSERT ON files WHEN NEW.linked IS NULL
  BEGIN SELECT RAISE(ABORT, 'a newer icechatd has been here; this one must be started anew'); END;
CREATE TRIGGER versions_linked BEFORE INSERT ON versions WHEN NEW.linked IS NULL
  BEGIN SELECT RAISE(ABORT, 'a newer icechatd has been here; this one must be started anew'); END;
CREATE TRIGGER dismissals_linked BEFORE INSERT ON dismissals WHEN NEW.linked IS NULL
  BEGIN SELECT RAISE(ABORT, 'a newer icechatd has been here; this one must be started anew'); END;
CREATE TRIGGER restagings_linked BEFORE INSERT ON restagings WHEN NEW.linked IS NULL
  BEGIN SELECT RAISE(ABORT, 'a newer icechatd has been here; this one must be started anew'); END;
CREATE TRIGGER manifests_linked BEFORE INSERT ON manifests WHEN NEW.position IS NULL
  BEGIN SELECT RAISE(ABORT, 'a newer icechatd has been here; this one must be started anew'); END;
";
