//! The migration that brought the chain.

/// - `chain` has a link for each change of consequence: `line` is JSON that says who did what, when and why; `hash` binds it
///   to the link before. `run` is read out of the line, to find what one run did.
/// - `manifests.position` is the row of `run_files` that has the commit's books; not known of those from before.
/// - `files.original_removed_by` is who had retention remove the original.
pub(super) const EVIDENCE: &str = "
CREATE TABLE chain (
  seq INTEGER PRIMARY KEY,
  line TEXT NOT NULL,
  hash BLOB NOT NULL,
  run TEXT GENERATED ALWAYS AS (json_extract(line, '$.run')) VIRTUAL
) STRICT;
CREATE INDEX chain_by_run ON chain (run, seq);

ALTER TABLE manifests ADD COLUMN position INTEGER;
ALTER TABLE files ADD COLUMN original_removed_by TEXT;
";
