//! The form in which the ledger keeps a mapping or a mailbox list: bytes that depend on nothing but what the set says,
//! so that equal sets have equal digests, and that no later change of the CSV rules can read differently.

use std::collections::HashMap;

/// Bytes that this program did not write as a canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a stored rule set is damaged; restore the ledger from a backup")]
pub struct CanonicalError {
    /// From 1.
    pub line: usize,
}

/// Sorted lines `key TAB value LF`; neither may hold a control character.
pub(super) fn lines<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    let mut bytes = Vec::with_capacity(pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum());
    for (key, value) in pairs {
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(b'\t');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// Reads what [`lines`] wrote.
pub(super) fn pairs<V>(
    bytes: &[u8],
    mut value: impl FnMut(&str) -> Option<V>,
) -> Result<HashMap<Box<str>, V>, CanonicalError> {
    let damaged = |line| CanonicalError { line };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged(1))?;
    let mut pairs = HashMap::new();
    let mut last = "";
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let pair = line.strip_suffix('\n').and_then(|line| line.split_once('\t'));
        let (key, text) = pair.ok_or(damaged(at + 1))?;
        if key <= last {
            return Err(damaged(at + 1));
        }
        pairs.insert(key.into(), value(text).ok_or(damaged(at + 1))?);
        last = key;
    }
    Ok(pairs)
}
