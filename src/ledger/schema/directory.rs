//! The migration that brought the tenant's users.

/// Times are Unix seconds. `directory` has one row: what the tenant said of its users last (`users`, deflated JSON that this
/// room does not look into), and `link`, by which it is asked what changed since. `source` is whom it was asked, and for
/// what; of another source nothing is kept on. `refreshed` is the last time that it answered, `tried` the last time that it
/// was asked, `error` why it did not answer then. `contested` is JSON: what several users claim and none has.
/// `users` comes last: how the asking stands is asked every few seconds, and must not read past megabytes.
///
/// A rule set has a snapshot of the users beside mapping and list. Certificates are PGP's, or those for the sign-in.
pub(super) const DIRECTORY: &str = "
CREATE TABLE directory (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  source TEXT NOT NULL,
  refreshed INTEGER,
  tried INTEGER NOT NULL,
  error TEXT,
  contested TEXT NOT NULL DEFAULT '[]',
  link TEXT,
  users BLOB
) STRICT;

ALTER TABLE rule_sets ADD COLUMN directory BLOB REFERENCES shapes;
ALTER TABLE certificates ADD COLUMN kind TEXT NOT NULL DEFAULT 'pgp';
";
