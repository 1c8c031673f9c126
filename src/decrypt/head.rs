//! What a ciphertext says of itself before anything is opened: whether it is a message at all, and for whom.

use sequoia_openpgp as openpgp;

use openpgp::packet::{PKESK, Packet, SEIP, Tag};
use openpgp::parse::buffered_reader::BufferedReader;
use openpgp::parse::{PacketParser, PacketParserResult, Parse};
use openpgp::types::SymmetricAlgorithm;

use super::DecryptError;
use super::certificates::{SecretKeys, Unlocked};

/// The container must begin within so many bytes: room for hundreds of recipients, and a bound on memory.
pub(super) const HEAD: usize = 256 * 1024;

/// No container's body is shorter than 18 octets of random prefix and 22 of MDC (RFC 9580 section 5.13.1); on less the
/// library panics.
const SHORTEST: usize = 40;

const ARMOUR: &[u8] = b"-----BEGIN PGP MESSAGE-----";

/// The packets before the encryption container.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) armoured: bool,
    recipients: Vec<PKESK>,
    by_password: bool,
    algorithm: Option<SymmetricAlgorithm>,
}

impl Head {
    /// Reads the beginning of a ciphertext, its first [`HEAD`] bytes or all of it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, DecryptError> {
        let first = *bytes.first().ok_or(DecryptError::Empty)?;
        // Every binary packet begins with this bit set (RFC 9580 section 4.2), no character of armour does.
        let armoured = first & 0x80 == 0;
        if armoured {
            check_armour(bytes)?;
        }
        let mut head = Self { armoured, ..Self::default() };
        let mut packets = PacketParser::from_bytes(bytes).map_err(|_| head.unfinished(bytes))?;
        while let PacketParserResult::Some(mut packet) = packets {
            if head.take(&packet.packet, bytes)? {
                let begins = packet.data(SHORTEST).is_ok_and(|body| body.len() >= SHORTEST);
                return if begins { Ok(head) } else { Err(DecryptError::Truncated) };
            }
            packets = packet.next().map_err(|_| head.unfinished(bytes))?.1;
        }
        Err(head.unfinished(bytes))
    }

    /// Notes a packet; true once it is the container.
    fn take(&mut self, packet: &Packet, bytes: &[u8]) -> Result<bool, DecryptError> {
        match packet {
            Packet::PKESK(pkesk) => self.recipients.push(pkesk.clone()),
            Packet::SKESK(_) => self.by_password = true,
            Packet::SEIP(SEIP::V2(container)) => self.algorithm = Some(container.symmetric_algo()),
            _ => {}
        }
        match packet.tag() {
            Tag::SEIP => Ok(true),
            Tag::PKESK | Tag::SKESK | Tag::Marker | Tag::Padding => Ok(false),
            Tag::SED => Err(DecryptError::Unprotected),
            Tag::AED => Err(DecryptError::Unsupported("GnuPG's own AEAD packet, which no RFC defines".into())),
            Tag::Literal => Err(DecryptError::NotEncrypted { found: "plain data" }),
            Tag::CompressedData => Err(DecryptError::NotEncrypted { found: "only compressed" }),
            Tag::OnePassSig | Tag::Signature => Err(DecryptError::NotEncrypted { found: "only signed" }),
            Tag::PublicKey | Tag::SecretKey => Err(DecryptError::NotEncrypted { found: "a key" }),
            _ => Err(self.unfinished(bytes)),
        }
    }

    /// Why there is no container: with a recipient before it and nothing behind, it was cut off.
    fn unfinished(&self, bytes: &[u8]) -> DecryptError {
        let began = !self.recipients.is_empty() || self.by_password || is_recipient(bytes, self.armoured);
        if began && bytes.len() < HEAD { DecryptError::Truncated } else { DecryptError::NotOpenPgp }
    }

    /// Opens the session key as far as that can be told without the container.
    pub(super) fn open<'a>(&self, keys: &'a SecretKeys) -> Result<&'a Unlocked, DecryptError> {
        keys.open(&self.recipients, self.algorithm, &mut |_, _| true).ok_or_else(|| self.not_opened(keys))
    }

    /// Why no key opens it.
    pub(super) fn not_opened(&self, keys: &SecretKeys) -> DecryptError {
        if keys.are_named_in(&self.recipients) {
            return DecryptError::Tampered("the session key does not open".into());
        }
        let mut names: Vec<String> = self.recipients.iter().map(name_of).collect();
        names.extend(self.by_password.then(|| "a password".to_owned()));
        names.dedup();
        if names.is_empty() {
            names.push("nobody whose kind of key is known".to_owned());
        }
        DecryptError::NotForUs { recipients: names.join(", ") }
    }
}

fn name_of(recipient: &PKESK) -> String {
    recipient.recipient().map_or_else(|| "a hidden recipient".to_owned(), |handle| format!("{handle:X}"))
}

/// Whether the first byte of a binary file is that of a packet which stands before a container.
fn is_recipient(bytes: &[u8], armoured: bool) -> bool {
    let first = bytes.first().copied().unwrap_or_default();
    let tag = if first & 0x40 == 0 { (first & 0x3f) >> 2 } else { first & 0x3f };
    armoured || matches!(Tag::from(tag), Tag::PKESK | Tag::SKESK)
}

/// Armour must begin the file and its header fields must end within the head: the library would search and buffer
/// without bound.
fn check_armour(bytes: &[u8]) -> Result<(), DecryptError> {
    let text = bytes.trim_ascii_start();
    let Some(body) = text.strip_prefix(ARMOUR) else {
        return Err(match text {
            _ if ARMOUR.starts_with(text) && !text.is_empty() => DecryptError::Truncated,
            _ if text.starts_with(b"-----BEGIN PGP ") => {
                DecryptError::NotEncrypted { found: "armoured, but no message" }
            }
            _ => DecryptError::NotOpenPgp,
        });
    };
    let mut lines = body.split_inclusive(|byte| *byte == b'\n').skip(1);
    let ends = lines.any(|line| line.ends_with(b"\n") && line.trim_ascii().is_empty());
    match (ends, bytes.len() < HEAD) {
        (true, _) => Ok(()),
        (false, true) => Err(DecryptError::Truncated),
        (false, false) => Err(DecryptError::NotOpenPgp),
    }
}
