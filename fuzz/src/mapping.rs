//! Any bytes as a mapping file. What is taken says the same in the form that the ledger keeps, in UTF-16, and beside an empty
//! file; what is rejected is so for a reason with a place in the file.

use icechatd::resolve::{Mapping, RowError};

use super::utf_16;

/// # Panics
/// Where one of these is not so.
pub fn target(bytes: &[u8]) {
    // The bytes may also be what a ledger kept, or rather what became of it.
    if let Ok(kept) = Mapping::from_canonical(bytes) {
        assert_eq!(Mapping::from_canonical(&kept.canonical()).as_ref(), Ok(&kept));
    }
    let read = |bytes: Vec<u8>| Mapping::parse(&[("fuzz.csv".to_owned(), bytes)]).map(|read| read.mapping);
    let outcome = read(bytes.to_vec());
    check(outcome.as_ref(), bytes);
    if let Some(wide) = utf_16(bytes) {
        let shown =
            |outcome: &Result<Mapping, Vec<RowError>>| format!("{:?}", outcome.as_ref().map(Mapping::canonical));
        assert_eq!(shown(&read(wide)), shown(&outcome), "in UTF-16 it is another mapping");
    }
    if let Ok(mapping) = outcome {
        let files = [("a.csv".to_owned(), b"ImId,Mailbox\n".to_vec()), ("b.csv".to_owned(), bytes.to_vec())];
        assert_eq!(Mapping::parse(&files).map(|read| read.mapping).ok(), Some(mapping), "a file without rows counts");
    }
}

fn check(outcome: Result<&Mapping, &Vec<RowError>>, bytes: &[u8]) {
    match outcome {
        Ok(mapping) => assert_eq!(Mapping::from_canonical(&mapping.canonical()).as_ref(), Ok(mapping)),
        Err(errors) => {
            assert!(!errors.is_empty(), "rejected without a reason");
            let lines = bytes.len() as u64 + 1;
            assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)), "{errors:?}");
        }
    }
}
