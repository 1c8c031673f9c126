//! What an archive may call its files, and what in it is no file.

use std::fmt;

/// The longest name, in bytes: what file systems take is a quarter of it.
const LONGEST: usize = 1024;

/// Why an entry is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its name leads out of the archive: it begins with a slash or a drive, or has a `..`.
    Path,
    /// Its name is not UTF-8, empty, too long, or has control characters.
    Name,
    /// It is a link to something else.
    Link,
    /// It is a device, a pipe, or something else that holds no bytes of its own.
    Device,
    /// It is a file with holes, of which no chat export has need.
    Sparse,
    /// Another entry has the same name and other bytes: nobody can say which is meant, so neither is taken.
    Duplicate,
    /// It is encrypted once more.
    Encrypted,
    /// It is compressed in a way that is not known.
    Compression,
}

impl Refusal {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Name => "name",
            Self::Link => "link",
            Self::Device => "device",
            Self::Sparse => "sparse",
            Self::Duplicate => "duplicate",
            Self::Encrypted => "encrypted",
            Self::Compression => "compression",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name by which an entry is known: without `.` parts, and with `/` between the others, whichever slash the archive
/// has there.
pub(super) fn name_of(raw: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(raw).map_err(|_| Refusal::Name)?;
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(Refusal::Name);
    }
    let has_drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if text.starts_with(['/', '\\']) || has_drive {
        return Err(Refusal::Path);
    }
    let mut name = String::with_capacity(text.len());
    for part in text.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(Refusal::Path);
        }
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(part);
    }
    if name.is_empty() { Err(Refusal::Name) } else { Ok(name) }
}

/// The last part of a name: the file's own.
pub fn base_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

/// A name that is not taken, fit to be shown.
pub(super) fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * LONGEST)]);
    text.chars().take(120).map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere() {
        for (raw, name) in [
            ("F-1", "F-1"),
            ("./F-1", "F-1"),
            ("a/./b//c.pdf", "a/b/c.pdf"),
            ("a\\b.pdf", "a/b.pdf"),
            ("..a/b..", "..a/b.."),
            ("Übersicht 2026.pdf", "Übersicht 2026.pdf"),
        ] {
            assert_eq!(name_of(raw.as_bytes()), Ok(name.to_owned()), "{raw}");
        }
        for raw in ["/etc/passwd", "\\x", "..", "../a", "a/../b", "a\\..\\b", "a/..", "C:x", "c:\\x", "/"] {
            assert_eq!(name_of(raw.as_bytes()), Err(Refusal::Path), "{raw}");
        }
        for raw in [&b""[..], b".", b"./", b"a\xff", b"a\nb", b"a\0b", "\u{85}".as_bytes(), &[b'x'; 1025]] {
            assert_eq!(name_of(raw), Err(Refusal::Name), "{raw:?}");
        }
        assert_eq!(name_of(&[b'x'; 1024]).unwrap().len(), 1024);
        assert_eq!((base_of("a/b/c.pdf"), base_of("c.pdf")), ("c.pdf", "c.pdf"));
        assert_eq!(shown(b"a\n\xff"), "a\u{fffd}\u{fffd}");
        assert_eq!(shown(&[b'x'; 9999]).len(), 120);
    }
}
