//! Any bytes as a mailbox list. What is taken says the same in the form that the ledger keeps and in UTF-16, and every address
//! in it leads to a mailbox that leads to itself.

use icechatd::mailbox::Mailbox;
use icechatd::resolve::{MailboxList, RowError};

use super::utf_16;

/// # Panics
/// Where one of these is not so.
pub fn target(bytes: &[u8]) {
    if let Ok(kept) = MailboxList::from_canonical(bytes) {
        assert_eq!(kept.canonical(), bytes, "not what a ledger keeps");
    }
    let outcome = read(bytes);
    match &outcome {
        Ok(list) => check(list),
        Err(errors) => assert!(!errors.is_empty(), "rejected without a reason"),
    }
    if let Some(wide) = utf_16(bytes) {
        assert_eq!(outcome, read(&wide), "in UTF-16 it is another list");
    }
}

fn read(bytes: &[u8]) -> Result<MailboxList, Vec<RowError>> {
    MailboxList::parse("fuzz.csv", bytes).map(|read| read.list)
}

fn check(list: &MailboxList) {
    let canonical = list.canonical();
    assert_eq!(MailboxList::from_canonical(&canonical).as_ref(), Ok(list));
    assert!(!list.is_empty(), "a list without a mailbox");
    for line in String::from_utf8(canonical).expect("text").lines() {
        let (address, primary) = line.split_once('\t').expect("two cells");
        assert_eq!(list.resolve(address).map(Mailbox::as_str), Some(primary));
        assert_eq!(list.resolve(primary).map(Mailbox::as_str), Some(primary), "{line}");
    }
}
