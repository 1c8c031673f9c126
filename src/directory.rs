//! The tenant's users, asked by Microsoft Graph: all of them the first time, and then what changed (a *delta*).
//!
//! What Graph says is read ([`page`]), merged with what it said before ([`users`]) and judged there: who of them has a
//! mailbox. This room asks and keeps nothing: who calls it keeps the [`Users`] and hands them in again.

mod fault;
mod graph;
mod page;
mod users;

use crate::config::{Directory, Entra};
use crate::entra::SignIn;

pub use self::fault::DirectoryError;
pub use self::users::{Judged, NoMailbox, User, Users};

/// Whose users, and for what: what was kept of another source is of no use.
pub fn source(entra: &Entra, directory: &Directory) -> String {
    let attribute = directory.im_id_attribute.as_deref().unwrap_or("-");
    format!("{} {} {} {attribute}", entra.graph, entra.tenant, page::FORM)
}

/// Asks for what changed since `known`, or for everything. Waits as long as Graph asks for, within ten minutes for a
/// page and an hour for all of it. Not to be called from within a runtime: it has one of its own.
///
/// # Errors
/// Where the tenant gives no token or Graph no whole answer; then nothing of it counts.
pub fn refresh(entra: &Entra, directory: &Directory, known: Option<Users>) -> Result<Users, DirectoryError> {
    let sign_in = SignIn::new(entra)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let graph = graph::Graph { entra, sign_in: &sign_in, attribute: directory.im_id_attribute.as_deref() };
    runtime.block_on(async {
        let asked = tokio::time::timeout(graph::PATIENCE, graph.refresh(known)).await;
        asked.unwrap_or(Err(DirectoryError::TooSlow))
    })
}
