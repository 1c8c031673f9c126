//! SFTP packets as bytes (draft-ietf-secsh-filexfer-02), true ones and others.
#![expect(missing_docs, reason = "what they are is in their names, and in the protocol")]

use super::lies::{Dice, Lie};
use super::rack::Filed;

pub const REGULAR: u32 = 0o100_644;
pub const LINK: u32 = 0o120_777;
pub const STATUS: u8 = 101;
pub const HANDLE: u8 = 102;
pub const DATA: u8 = 103;
pub const NAME: u8 = 104;
pub const ATTRS: u8 = 105;
pub const EXTENDED_REPLY: u8 = 201;
pub const NO_SUCH_FILE: u32 = 2;
pub const FAILURE: u32 = 4;
/// Where a status stands for the end.
pub const EOF: u32 = 1;
/// A name, path or message that means harm to logs and terminals.
pub const HOSTILE: &str = "\u{1b}[2J\r\n2026-11-19T00:00:00Z  INFO everything is well\u{202e}\0";

/// Bytes of a request, read from the front.
pub struct Request<'a>(pub &'a [u8]);

impl Request<'_> {
    pub fn number(&mut self) -> u32 {
        self.bytes(4).iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    pub fn offset(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    pub fn text(&mut self) -> String {
        let len = self.number() as usize;
        String::from_utf8_lossy(self.bytes(len)).into_owned()
    }

    pub fn bytes(&mut self, len: usize) -> &[u8] {
        let (front, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        front
    }
}

/// One reply, not yet framed.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its type.
    pub kind: u8,
    /// None in a version packet.
    pub id: Option<u32>,
    /// What follows.
    pub body: Vec<u8>,
}

impl Reply {
    pub fn packet(&self) -> Vec<u8> {
        let id = self.id.map(u32::to_be_bytes);
        let content = [&[self.kind][..], id.as_ref().map_or(&[], |id| &id[..]), &self.body].concat();
        [&u32::try_from(content.len()).unwrap().to_be_bytes()[..], &content].concat()
    }
}

pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = text.as_ref();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

pub fn status(code: u32, said: &str) -> (u8, Vec<u8>) {
    (STATUS, [&code.to_be_bytes()[..], &string(said), &string("en")].concat())
}

/// Size, mode, and mtime, each if given.
pub fn attributes(size: Option<u64>, mode: Option<u32>, mtime: Option<u32>) -> Vec<u8> {
    let flags = u32::from(size.is_some()) | u32::from(mode.is_some()) << 2 | u32::from(mtime.is_some()) << 3;
    let mut bytes = flags.to_be_bytes().to_vec();
    bytes.extend(size.into_iter().flat_map(u64::to_be_bytes));
    bytes.extend(mode.into_iter().flat_map(u32::to_be_bytes));
    bytes.extend(mtime.into_iter().flat_map(|mtime| [mtime.to_be_bytes(), mtime.to_be_bytes()].concat()));
    bytes
}

pub fn attributes_of(file: &Filed) -> Vec<u8> {
    attributes(Some(file.bytes.len() as u64), Some(file.mode), Some(file.mtime))
}

pub fn entry(name: impl AsRef<[u8]>, attributes: &[u8]) -> Vec<u8> {
    [&string(name)[..], &string("-rw-r--r-- a line"), attributes].concat()
}

pub fn names(entries: &[Vec<u8>]) -> (u8, Vec<u8>) {
    (NAME, [&u32::try_from(entries.len()).unwrap().to_be_bytes()[..], &entries.concat()].concat())
}

/// One answer of an endless listing: of ever new names, of names of 60 kB, or of the same name.
pub fn further(endless: Lie, dice: &mut Dice) -> (u8, Vec<u8>) {
    let plain = attributes(Some(5), Some(REGULAR), Some(7));
    let (count, length) = if endless == Lie::ListingLong { (4, 60_000) } else { (1000, 100) };
    let number = |dice: &mut Dice| if endless == Lie::ListingSame { 7 } else { dice.roll() };
    let many = (0..count).map(|_| entry(format!("{:x}-{}.pgp", number(dice), "n".repeat(length)), &plain));
    names(&many.collect::<Vec<_>>())
}

/// Names that mean harm, with attributes or without.
pub fn hostile(with_attributes: bool) -> Vec<Vec<u8>> {
    let long = format!("{}.pgp", "x".repeat(4096));
    let names: [&[u8]; 12] = [
        b"../../etc/cron.d/x.pgp",
        b"/etc/x.pgp",
        b"..",
        b".",
        b"",
        b"a\0b.pgp",
        b"a\nb.pgp",
        HOSTILE.as_bytes(),
        b"\xff\xfe.pgp",
        long.as_bytes(),
        b"a/b.pgp",
        "\u{202e}pgp.x.pgp".as_bytes(),
    ];
    let plain = attributes(Some(5), Some(REGULAR), Some(7));
    let shown = if with_attributes { plain } else { attributes(None, None, None) };
    names.iter().map(|name| entry(name, &shown)).collect()
}

/// What is no file: a link, devices, a pipe, a socket, a folder, and what nobody knows.
pub fn odd() -> Vec<Vec<u8>> {
    let modes = [LINK, 0o060_666, 0o020_666, 0o010_666, 0o140_777, 0o040_755, 0, u32::MAX];
    modes.map(|mode| entry(format!("{mode:o}.pgp"), &attributes(Some(1), Some(mode), Some(1)))).to_vec()
}

/// Sizes that no file has, but for one.
pub fn absurd() -> Vec<Vec<u8>> {
    let sizes: [u64; 4] = [1 << 63, u64::MAX, (1 << 63) - 1, 0];
    let shown = |size| attributes(Some(size), Some(REGULAR), Some(u32::MAX));
    sizes.map(|size| entry(format!("{size}.pgp"), &shown(size))).to_vec()
}
