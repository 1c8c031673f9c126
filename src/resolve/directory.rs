//! What a tenant's users decide: which addresses are whose mailbox, and whose `ImId` is whose.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::canonical::{CanonicalError, lines, pairs};
use super::mailboxes::MailboxList;
use super::mapping::{Mapping, Target};
use crate::export::ImId;
use crate::mailbox::Mailbox;

/// What an `ImId`'s line begins with: no address can, for a colon is no part of one.
const IM_ID: &str = "im:";

/// One whole, good snapshot of the users with a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Every address of each, and its primary one.
    pub mailboxes: Arc<MailboxList>,
    /// The `ImId`s that the tenant knows, each with a mailbox of these.
    pub im_ids: Arc<Mapping>,
}

/// A user with a mailbox, as the tenant describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The primary address.
    pub primary: Mailbox,
    /// All others.
    pub further: Vec<Mailbox>,
    /// Whose chats are theirs.
    pub im_id: Option<ImId>,
}

/// A snapshot, and what of it counts for nobody because several claim it.
#[derive(Debug, Clone, Default)]
pub struct ReadDirectory {
    /// The snapshot.
    pub directory: Directory,
    /// `ImId`s, folded, and the mailboxes that claim them.
    pub contested: BTreeMap<String, Vec<Mailbox>>,
    /// Addresses, likewise.
    pub addresses: BTreeMap<Mailbox, Vec<Mailbox>>,
}

impl Directory {
    /// The snapshot that these users make. What two of them claim counts for neither: to guess would archive somebody's
    /// chats under another's name.
    pub fn of(members: impl IntoIterator<Item = Member>) -> ReadDirectory {
        let (mut addresses, mut im_ids) = (Claims::default(), Claims::default());
        for Member { primary, further, im_id } in members {
            for address in further.into_iter().chain([primary.clone()]) {
                addresses.add(address, &primary);
            }
            if let Some(im_id) = im_id {
                im_ids.add(im_id.folded().to_owned(), &primary);
            }
        }
        let (mailboxes, addresses) = addresses.settle();
        let (im_ids, contested) = im_ids.settle();
        let mailboxes = MailboxList::of(mailboxes);
        // Whose primary address is somebody else's too has no mailbox to lead to.
        let im_ids = im_ids.filter(|(_, primary)| mailboxes.resolve(primary.as_str()).is_some());
        let im_ids = Mapping::always(im_ids.map(|(im_id, primary)| (im_id.into(), Target::Mailbox(primary))));
        let directory = Self { mailboxes: Arc::new(mailboxes), im_ids: Arc::new(im_ids) };
        ReadDirectory { directory, contested, addresses }
    }

    /// The snapshot as bytes that depend on nothing but what it says: sorted lines `address TAB primary LF` and
    /// `im:imid TAB primary LF`.
    pub fn canonical(&self) -> Vec<u8> {
        let im_ids: Vec<(String, &str)> = self
            .im_ids
            .bindings()
            .flat_map(|(im_id, binding)| {
                binding.targets().map(move |target| (format!("{IM_ID}{im_id}"), target.as_str()))
            })
            .collect();
        let addresses = self.mailboxes.addresses().map(|(address, primary)| (address, primary.as_str()));
        lines(addresses.chain(im_ids.iter().map(|(im_id, primary)| (im_id.as_str(), *primary))))
    }

    /// Reads what [`Directory::canonical`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let mailbox = |text: &str| Mailbox::parse(text).ok().filter(|mailbox| mailbox.as_str() == text);
        let read = |key: &str, primary: &str| {
            // What is no ImId is an address.
            let is_key = key.starts_with(IM_ID) || mailbox(key).is_some();
            Some((is_key.then(|| key.to_owned())?, mailbox(primary)?))
        };
        let (mut addresses, mut im_ids) = (Vec::new(), Vec::new());
        for (key, primary) in pairs(bytes, read)? {
            match (key.strip_prefix(IM_ID), mailbox(&key)) {
                (Some(im_id), _) => im_ids.push((im_id.into(), Target::Mailbox(primary))),
                (None, address) => addresses.extend(address.map(|address| (address, primary))),
            }
        }
        Ok(Self { mailboxes: Arc::new(MailboxList::of(addresses)), im_ids: Arc::new(Mapping::always(im_ids)) })
    }
}

/// Who claims what.
struct Claims<K> {
    first: BTreeMap<K, Mailbox>,
    contested: BTreeMap<K, Vec<Mailbox>>,
}

impl<K> Default for Claims<K> {
    fn default() -> Self {
        Self { first: BTreeMap::new(), contested: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Claims<K> {
    fn add(&mut self, what: K, by: &Mailbox) {
        match self.first.entry(what) {
            Entry::Vacant(vacant) => drop(vacant.insert(by.clone())),
            Entry::Occupied(first) if first.get() == by => {}
            Entry::Occupied(first) => {
                let claimants = self.contested.entry(first.key().clone()).or_insert_with(|| vec![first.get().clone()]);
                if !claimants.contains(by) {
                    claimants.push(by.clone());
                }
            }
        }
    }

    /// What one alone claims, and the rest.
    fn settle(self) -> (impl Iterator<Item = (K, Mailbox)>, BTreeMap<K, Vec<Mailbox>>) {
        let Self { first, contested } = self;
        let theirs: Vec<_> = first.into_iter().filter(|(what, _)| !contested.contains_key(what)).collect();
        (theirs.into_iter(), contested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text).unwrap()
    }

    fn member(primary: &str, further: &[&str], im_id: Option<&str>) -> Member {
        let further = further.iter().map(|text| mailbox(text)).collect();
        Member { primary: mailbox(primary), further, im_id: im_id.and_then(ImId::new) }
    }

    #[test]
    fn what_is_kept_is_what_was_read_whatever_the_order() {
        let (amy, bob) =
            (member("amy@c.com", &["a@c.com"], Some("AMY:1")), member("bob@c.com", &["bob@c.com"], Some("im:bob")));
        let one = Directory::of([amy.clone(), bob.clone()]).directory;
        assert_eq!(one.canonical(), Directory::of([bob, amy]).directory.canonical());
        let text = "a@c.com\tamy@c.com\namy@c.com\tamy@c.com\nbob@c.com\tbob@c.com\nim:amy:1\tamy@c.com\nim:im:bob\tbob@c.com\n";
        assert_eq!(String::from_utf8(one.canonical()).unwrap(), text);
        assert_eq!(Directory::from_canonical(text.as_bytes()).unwrap(), one);
        assert_eq!(Directory::from_canonical(b"").unwrap(), Directory::default());
        for damaged in
            ["a@c.com\tB@c.com\n", "a\tb@c.com\n", "a@c.com\tb@c.com", "b@c.com\tb@c.com\na@c.com\tb@c.com\n"]
        {
            assert!(Directory::from_canonical(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn what_two_claim_counts_for_neither() {
        let read = Directory::of([
            member("amy@c.com", &["shared@c.com"], Some("desk1")),
            member("bob@c.com", &["shared@c.com", "cat@c.com"], Some("DESK1")),
            member("cat@c.com", &[], Some("cat")),
            member("dan@c.com", &[], Some("dan")),
        ]);
        let list = &read.directory.mailboxes;
        assert_eq!(list.resolve("amy@c.com"), Some(&mailbox("amy@c.com")));
        for contested in ["shared@c.com", "cat@c.com"] {
            assert_eq!(list.resolve(contested), None);
            assert!(read.addresses.contains_key(&mailbox(contested)));
        }
        assert_eq!(read.contested["desk1"], [mailbox("amy@c.com"), mailbox("bob@c.com")]);
        assert_eq!(read.directory.im_ids.len(), 1, "dan's alone: cat has no address that is hers");
    }
}
