//! Attachment data as it arrives: base64 (RFC 4648 section 4) with white space anywhere, decoded piece by piece so that
//! the text and the bytes of a large attachment never stand side by side more than once.

use data_encoding::BASE64;

/// Characters decoded at a time; a multiple of four.
const BLOCK: usize = 4096;

/// Why data could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not base64.
    Malformed,
    /// More bytes than allowed.
    TooLong,
}

/// A decoder in the middle of its text.
#[derive(Debug)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    decoded: Vec<u8>,
    padded: bool,
    limit: u64,
    failure: Option<Failure>,
}

impl Decoder {
    /// A decoder of at most `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { pending: Vec::new(), decoded: Vec::new(), padded: false, limit, failure: None }
    }

    /// Takes the next piece of text; after a failure nothing more is kept.
    pub(super) fn feed(&mut self, text: &str) {
        for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            if self.failure.is_some() {
                return;
            }
            self.pending.push(byte);
            if self.pending.len() == BLOCK {
                self.decode();
            }
        }
    }

    /// Notes a failure found elsewhere and frees what was kept.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        self.pending = Vec::new();
        self.decoded = Vec::new();
    }

    /// The bytes.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Failure> {
        if self.failure.is_none() && !self.pending.is_empty() {
            self.decode();
        }
        self.failure.map_or(Ok(self.decoded), Err)
    }

    fn decode(&mut self) {
        // Padding ends the data: without this check two padded texts in a row would decode as one.
        let misplaced = self.padded || self.pending.split(|byte| *byte == b'=').skip(1).any(|rest| !rest.is_empty());
        self.padded = self.pending.last() == Some(&b'=');
        match BASE64.decode(&self.pending) {
            Ok(bytes) if !misplaced => self.decoded.extend_from_slice(&bytes),
            _ => return self.fail(Failure::Malformed),
        }
        self.pending.clear();
        if self.decoded.len() as u64 > self.limit {
            self.fail(Failure::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&str], limit: u64) -> Result<Vec<u8>, Failure> {
        let mut decoder = Decoder::new(limit);
        for piece in pieces {
            decoder.feed(piece);
        }
        decoder.finish()
    }

    #[test]
    fn only_base64_is_taken() {
        for (text, expected) in [("", ""), (" \n", ""), ("Zg==", "f"), ("Zm\r\n 9 v", "foo"), ("Zm9vYg==\n", "foob")] {
            assert_eq!(decode(&[text], 9), Ok(expected.as_bytes().to_vec()), "{text}");
        }
        for text in ["Zg", "Zg=", "Z", "Zg==Zg==", "Zg==Zm9v", "====", "Z=g=", "Zm9-", "Zm9vé", "Zh=="] {
            assert_eq!(decode(&[text], 9), Err(Failure::Malformed), "{text}");
        }
        assert_eq!(decode(&["Zm9v"], 3), Ok(b"foo".to_vec()));
        assert_eq!(decode(&["Zm9v"], 2), Err(Failure::TooLong));
        let twice = format!("{}Zg==", "QUFB".repeat(BLOCK / 4 - 1));
        assert_eq!(decode(&[&twice, "Zg=="], 1 << 20), Err(Failure::Malformed), "padding at a block's end");
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..9000), cut in 0usize..12000) {
            let text = BASE64.encode(&bytes);
            let (one, two) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(decode(&[one, "\n", two], 1 << 20), Ok(bytes));
        }
    }
}
