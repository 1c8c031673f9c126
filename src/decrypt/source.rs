//! The ciphertext as the library reads it: from its beginning, whatever else reads the same open file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use sequoia_openpgp as openpgp;

use openpgp::armor::{Kind, Reader, ReaderMode};
use openpgp::parse::Cookie;
use openpgp::parse::buffered_reader::{BufferedReader, Generic};

/// Reads the file at its own offset, so that neither pass disturbs the other, and remembers this machine's errors: the
/// library makes up I/O errors of its own for what is wrong with the content.
pub(super) struct Source<'a> {
    file: &'a File,
    offset: u64,
    failed: &'a OnceLock<io::Error>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a File, failed: &'a OnceLock<io::Error>) -> Self {
        Self::at(file, 0, failed)
    }

    pub(super) fn at(file: &'a File, offset: u64, failed: &'a OnceLock<io::Error>) -> Self {
        Self { file, offset, failed }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.file.read_at(buf, self.offset) {
            Ok(len) => {
                self.offset += len as u64;
                Ok(len)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read(buf),
            Err(error) => {
                let kind = error.kind();
                // Only the first matters.
                let _ = self.failed.set(error);
                Err(kind.into())
            }
        }
    }
}

pub(super) type Ciphertext<'a> = Box<dyn BufferedReader<Cookie> + 'a>;

pub(super) fn ciphertext(source: Source<'_>, armoured: bool) -> Ciphertext<'_> {
    if armoured {
        Box::new(Reader::from_reader(source, ReaderMode::Tolerant(Some(Kind::Message))))
    } else {
        Box::new(Generic::with_cookie(source, None, Cookie::default()))
    }
}

/// Behind the end of armour, where the library does not look.
pub(super) fn rest_is_blank(reader: Ciphertext<'_>) -> bool {
    let Some(mut behind) = reader.into_inner() else { return true };
    loop {
        match behind.data(1) {
            Ok([]) => return true,
            Ok(bytes) if bytes.trim_ascii().is_empty() => {
                let len = bytes.len();
                behind.consume(len);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_this_machine_is_remembered() {
        let (folder, failed) = (File::open("/").unwrap(), OnceLock::new());
        let error = Source::new(&folder, &failed).read(&mut [0]).unwrap_err();
        assert_eq!(failed.get().unwrap().kind(), error.kind());
    }
}
