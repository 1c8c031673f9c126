//! The form in which the ledger keeps a mapping or a mailbox list: bytes that depend on nothing but what the set says,
//! so that equal sets have equal digests, and that no later change of the CSV rules can read differently.

use std::collections::HashMap;
use std::hash::Hash;

/// Bytes that this program did not write as a canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a stored rule set is damaged; restore the ledger from a backup")]
pub struct CanonicalError {
    /// From 1.
    pub line: usize,
}

/// Sorted lines `key TAB value LF`, each key once; a key may hold no control character, a value none but tabs.
pub(super) fn lines<'a, V: AsRef<str>>(pairs: impl Iterator<Item = (&'a str, V)>) -> Vec<u8> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable_by_key(|(key, _)| *key);
    let mut bytes = Vec::with_capacity(pairs.iter().map(|(key, value)| key.len() + value.as_ref().len() + 2).sum());
    for (key, value) in pairs {
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(b'\t');
        bytes.extend_from_slice(value.as_ref().as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// Reads what [`lines`] wrote.
pub(super) fn pairs<K: Hash + Eq, V>(
    bytes: &[u8],
    mut pair: impl FnMut(&str, &str) -> Option<(K, V)>,
) -> Result<HashMap<K, V>, CanonicalError> {
    let damaged = |line| CanonicalError { line };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged(1))?;
    let mut pairs = HashMap::with_capacity(text.matches('\n').count());
    let mut last = "";
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let parts = line.strip_suffix('\n').and_then(|line| line.split_once('\t'));
        let (key, text) = parts.ok_or(damaged(at + 1))?;
        if key <= last {
            return Err(damaged(at + 1));
        }
        let (read, value) = pair(key, text).ok_or(damaged(at + 1))?;
        pairs.insert(read, value);
        last = key;
    }
    Ok(pairs)
}
