//! Encrypts the demo's export the way ICE does: to a certificate, compressed, as a stream. Alone knows OpenPGP writing.

use std::fs::File;
use std::io::{self, Write};

use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::{Compressor, Encryptor, LiteralWriter, Message};

/// Writes what `write` writes to `file`, encrypted to the certificate.
pub(super) fn seal(
    certificate: &[u8],
    file: File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let policy = StandardPolicy::new();
    let cert = Cert::from_bytes(certificate).map_err(io::Error::other)?;
    let recipients: Vec<_> =
        cert.keys().with_policy(&policy, None).supported().alive().revoked(false).for_transport_encryption().collect();
    let message = Message::new(io::BufWriter::new(file));
    let message = Encryptor::for_recipients(message, recipients).build().map_err(io::Error::other)?;
    let message = Compressor::new(message).build().map_err(io::Error::other)?;
    let mut literal = LiteralWriter::new(message).build().map_err(io::Error::other)?;
    write(&mut literal)?;
    literal.finalize().map_err(io::Error::other)
}
