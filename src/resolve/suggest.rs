//! Which mailbox of the list may be that of somebody who has none.

use super::MailboxList;
use crate::export::Person;
use crate::mailbox::Mailbox;

/// The mailbox that looks like the person's, if one does.
pub fn suggest(person: &Person, list: &MailboxList) -> Option<Mailbox> {
    let name = person.name.as_deref()?.to_lowercase().split_whitespace().collect::<Vec<_>>().join(".");
    let domain = person.email.as_ref()?.folded().rsplit_once('@')?.1;
    list.resolve(&format!("{name}@{domain}")).cloned()
}
