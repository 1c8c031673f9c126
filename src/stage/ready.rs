//! What tells an importer that files may be taken: a list for each run, whole and durable whenever it is visible.

use serde::Serialize;

use super::{FOLDER, StageError};

/// Where the lists lie, below the staging folder.
pub const READY: &str = ".ready";

/// One placement, a line of a ready list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed<'a> {
    /// Whose folder it stands in.
    pub mailbox: &'a str,
    /// Where it stands, from the staging folder on.
    pub path: &'a str,
    /// The mail's Message-ID.
    pub message_id: &'a str,
    /// Of the EML, hexadecimal.
    pub sha256: &'a str,
}

/// Where the EML `name` stands in a mailbox's folder, from the staging folder on; in place of what was in `path`.
pub fn path_in<'p>(path: &'p mut String, mailbox: &str, name: &str) -> &'p str {
    path.clear();
    path.extend([mailbox, "/", FOLDER, "/", name]);
    path
}

/// The Message-ID of an item's mail.
pub fn message_id(item_id: &str) -> String {
    format!("<{item_id}@icechat.invalid>")
}

/// A list that is being written.
pub trait ReadyList {
    /// Adds a line.
    ///
    /// # Errors
    /// Where the target refuses.
    fn add(&mut self, line: &Listed<'_>) -> Result<(), StageError>;

    /// Makes it durable and then visible, in place of the one that bore its name. One without lines leaves nothing.
    ///
    /// # Errors
    /// Where the target refuses; then the one before stands.
    fn publish(self: Box<Self>) -> Result<(), StageError>;
}
