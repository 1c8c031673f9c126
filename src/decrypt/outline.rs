//! Why a message that began well did not verify, by its outermost packets: whether something is missing or too much.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

use sequoia_openpgp as openpgp;

use openpgp::anyhow;
use openpgp::packet::Tag;
use openpgp::parse::{PacketParser, PacketParserResult, Parse};

use super::DecryptError;
use super::source::{Ciphertext, Source, ciphertext};

/// How far from the end of the file the footer of armour is looked for: what may follow it is blank.
const TAIL: u64 = 64 * 1024;

const FOOTER: &[u8] = b"-----END PGP MESSAGE-----";

/// The reason for what the library said.
pub(super) fn explain(file: &File, armoured: bool, opened: bool, cause: anyhow::Error) -> DecryptError {
    check(file, armoured).err().unwrap_or_else(|| by_cause(opened, cause))
}

/// Whether armour ends with its last line, so far as that is near the end of the file. The library takes armour that
/// ends in the middle of its last octets for whole, and integrity would be blamed.
pub(super) fn check_footer(file: &File) -> Result<(), DecryptError> {
    let from = file.metadata().map_err(DecryptError::Read)?.len().saturating_sub(TAIL);
    let (mut tail, failed) = (Vec::new(), OnceLock::new());
    Source::at(file, from, &failed).take(TAIL).read_to_end(&mut tail).map_err(DecryptError::Read)?;
    let ends = tail.windows(FOOTER.len()).any(|window| window == FOOTER);
    if ends { Ok(()) } else { Err(DecryptError::Truncated) }
}

/// Whether the outermost packets end where the file does.
pub(super) fn check(file: &File, armoured: bool) -> Result<(), DecryptError> {
    let failed = OnceLock::new();
    let fault = outline(ciphertext(Source::new(file, &failed), armoured));
    // What this machine could not read looks cut short.
    failed.into_inner().map(DecryptError::Read).or(fault).map_or(Ok(()), Err)
}

fn by_cause(opened: bool, cause: anyhow::Error) -> DecryptError {
    match openpgp_error(&cause) {
        // What is altered may say anything of itself once it is opened.
        _ if opened => DecryptError::Tampered(cause.into()),
        Some(
            openpgp::Error::UnsupportedSymmetricAlgorithm(_)
            | openpgp::Error::UnsupportedAEADAlgorithm(_)
            | openpgp::Error::UnsupportedCompressionAlgorithm(_)
            | openpgp::Error::PolicyViolation(..),
        ) => DecryptError::Unsupported(cause.into()),
        _ => DecryptError::Tampered(cause.into()),
    }
}

/// The library's own error, also where its reader wrapped it.
fn openpgp_error(cause: &anyhow::Error) -> Option<&openpgp::Error> {
    cause.downcast_ref().or_else(|| {
        let wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
        wrapped.downcast_ref::<openpgp::Error>()
    })
}

/// Walks over the outermost packets without opening any.
fn outline(reader: Ciphertext<'_>) -> Option<DecryptError> {
    let mut packets = PacketParser::from_buffered_reader(reader).ok()?;
    let mut ended = false;
    while let PacketParserResult::Some(packet) = packets {
        match packet.packet.tag() {
            Tag::Marker | Tag::Padding => {}
            _ if ended => return Some(DecryptError::Trailing),
            tag => ended = tag == Tag::SEIP,
        }
        // Skips the body, which must be there to its announced or its marked end.
        let Ok((_, next)) = packet.next() else { return Some(DecryptError::Truncated) };
        packets = next;
    }
    (!ended).then_some(DecryptError::Truncated)
}
