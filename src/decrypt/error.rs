//! Why a ciphertext is refused: one variant for each reason, in words that an operator can act on.

use std::error::Error;
use std::io;

/// What the OpenPGP library said, kept as the cause.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A ciphertext that cannot be taken. The file is held with this reason, except where [`DecryptError::is_local`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// This machine could not read the file.
    #[error("the downloaded file cannot be read on this machine")]
    Read(#[source] io::Error),
    /// The second pass met other bytes than the first.
    #[error("the downloaded file is no longer what was verified a moment ago; is the disk sound?")]
    Changed,
    /// This machine could not start the thread that decrypts.
    #[error("no thread to decrypt with")]
    Thread(#[source] io::Error),
    /// Nothing there.
    #[error("the file is empty")]
    Empty,
    /// Neither binary nor armoured OpenPGP.
    #[error("not an OpenPGP message; ask the sender for the export encrypted to our certificate")]
    NotOpenPgp,
    /// OpenPGP, but no encryption around it.
    #[error("not encrypted ({found}); ask the sender to encrypt to our certificate")]
    NotEncrypted {
        /// What stands where the encryption should.
        found: &'static str,
    },
    /// A container whose tampering nobody could notice (tag 9 of RFC 9580 section 5.7).
    #[error("encrypted without integrity protection, so anybody could have altered it; ask the sender for MDC or AEAD")]
    Unprotected,
    /// A container, cipher or compression that is not supported.
    #[error("encrypted in a way that is not supported; ask the sender for plain RFC 4880 or RFC 9580")]
    Unsupported(#[source] Cause),
    /// None of our secret keys is among the recipients.
    #[error("not encrypted to any of our keys but to {recipients}; compare with `keys show`")]
    NotForUs {
        /// Key ids, or what takes their place.
        recipients: String,
    },
    /// Only a key that is out of use opens it.
    #[error(
        "encrypted to {fingerprint}, which is retired; send the sender the certificate of `keys export`, and to take \
         this file move that key from keys.retired to keys.pgp"
    )]
    Retired {
        /// The certificate's.
        fingerprint: String,
    },
    /// The integrity check failed.
    #[error("altered or damaged: the integrity check failed; ask the sender for it again")]
    Tampered(#[source] Cause),
    /// The file ends before the message does.
    #[error("cut short: the file ends before the message does; ask the sender for it again")]
    Truncated,
    /// Something stands behind the message; ignoring it could lose an export.
    #[error("data follows the end of the message; ask the sender for one message in each file")]
    Trailing,
    /// `keys.signers` is set and there is no signature.
    #[error("not signed, but keys.signers requires a signature")]
    Unsigned,
    /// `keys.signers` is set and nobody there signed.
    #[error("signed by {issuer}, which is not in keys.signers")]
    UnknownSigner {
        /// The key that claims to have signed.
        issuer: String,
    },
    /// A signer's signature that does not hold.
    #[error("the signature by {signer} is not valid")]
    BadSignature {
        /// The certificate's fingerprint.
        signer: String,
        /// What is wrong with it.
        #[source]
        reason: Cause,
    },
    /// More plaintext than allowed.
    #[error("more than {limit} bytes when decrypted; raise limits.max_plaintext if that is expected")]
    TooLarge {
        /// The setting, in bytes.
        limit: u64,
    },
    /// More plaintext for its size than allowed: a decompression bomb, or a very repetitive export.
    #[error("more than {limit} times its size when decrypted; raise limits.max_ratio if that is expected")]
    RatioTooHigh {
        /// The setting.
        limit: u64,
    },
    /// Layers within layers, or more packets than any honest message has.
    #[error("{what}, which no honest export is")]
    Nested {
        /// Which.
        what: &'static str,
    },
    /// The library gave up in a way that it should not.
    #[error("the OpenPGP library failed on this file")]
    Crashed,
}

impl DecryptError {
    /// Whether this machine is at fault rather than the content: such a file is always tried again (contract 8).
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Changed | Self::Thread(_))
    }
}

/// How a pass over a ciphertext failed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError<E: Error + 'static> {
    /// The ciphertext is refused, or could not be read; whatever the consumer said of it is void.
    #[error(transparent)]
    Decrypt(DecryptError),
    /// The ciphertext is authentic, but the consumer refused what it says.
    #[error(transparent)]
    Content(E),
}
