//! The migration that brought who stays in a room from one export to the next.

/// Times are Unix seconds. `staying` is who was in a room when its last conversation of an export ended (`until`), for
/// profiles that carry presence on. Of each room the latest few are kept: an export that is issued again, or comes late,
/// begins before the newest of them. `room` is the room's id; `people` is JSON that this room does not look into.
pub(super) const PRESENCE: &str = "
CREATE TABLE staying (
  room TEXT NOT NULL,
  until INTEGER NOT NULL,
  people TEXT NOT NULL,
  PRIMARY KEY (room, until)
) STRICT, WITHOUT ROWID;
";
