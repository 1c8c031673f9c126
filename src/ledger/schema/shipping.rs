//! The migration that brought the importer's side.

/// The importer's side. Times are Unix seconds.
///
/// - `manifests.listed` says when the ready list that names its placements was durable; 0 of those from before there were
///   lists. A run that was killed before it had made its list is thereby found.
/// - `manifests.taken` says when nothing that it placed stood in staging any more: what the importer still has to take is
///   asked often, and the past must not be looked through each time. `manifests.standing` is what the last look found: as
///   long as that stands, nobody need look for another.
/// - `restagings` is who had what put into staging once more, and why: `asked` is JSON, `not_placed` how many placements
///   could not be made; `restaged` what of which commits, so that its list goes when all of that was taken.
/// - `identity` is the ledger's own: the staging folder names it, so that no second ledger places anything
///   there; `device` is the one that it was on last: the same folder
///   on another one, and without that mark, is a disk that is not mounted.
pub(super) const SHIPPING: &str = "
ALTER TABLE manifests ADD COLUMN listed INTEGER;
UPDATE manifests SET listed = 0;
ALTER TABLE manifests ADD COLUMN taken INTEGER;
ALTER TABLE manifests ADD COLUMN standing TEXT;
CREATE INDEX manifests_unlisted ON manifests (run) WHERE listed IS NULL;
CREATE INDEX manifests_untaken ON manifests (seq) WHERE taken IS NULL;
CREATE INDEX manifests_by_run ON manifests (run);

CREATE TABLE restagings (
  run INTEGER PRIMARY KEY REFERENCES runs,
  asked TEXT NOT NULL,
  reason TEXT NOT NULL,
  restaged_by TEXT NOT NULL,
  not_placed INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE restaged (
  run INTEGER NOT NULL REFERENCES runs,
  manifest INTEGER NOT NULL REFERENCES manifests,
  PRIMARY KEY (run, manifest)
) STRICT, WITHOUT ROWID;
CREATE INDEX restaged_by_manifest ON restaged (manifest);

CREATE TABLE identity (
  id TEXT NOT NULL,
  device INTEGER
) STRICT;
INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))));
";
