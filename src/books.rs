//! The books: what became of every item, in numbers that must balance (contract 8).

use serde::{Deserialize, Serialize};

/// How often each outcome befell the items of a file or a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records that are items, or would be.
    pub available: u64,
    /// Placed in at least one mailbox.
    pub staged: u64,
    /// Without a mailbox, kept for replay.
    pub held: u64,
    /// Known from this or another export.
    pub duplicate: u64,
    /// Not whole, or beyond a limit.
    pub rejected: u64,
    /// Before the initial date.
    pub skipped: u64,
}

impl Counts {
    /// Whether every item went somewhere.
    pub fn balance(&self) -> bool {
        self.available == self.staged + self.held + self.duplicate + self.rejected + self.skipped
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.available += other.available;
        self.staged += other.staged;
        self.held += other.held;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
    }
}

/// One item in one mailbox is a placement.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placements {
    /// Made by this run.
    pub staged: u64,
    /// Found standing already.
    pub existing: u64,
}

impl std::ops::AddAssign for Placements {
    fn add_assign(&mut self, other: Self) {
        self.staged += other.staged;
        self.existing += other.existing;
    }
}

/// The books of a file or a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Items.
    pub items: Counts,
    /// Placements.
    pub placements: Placements,
    /// New items whose room and MessageID were known with another id.
    pub changed: u64,
}

impl std::ops::AddAssign for Books {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.placements += other.placements;
        self.changed += other.changed;
    }
}
