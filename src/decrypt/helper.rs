//! What the decryptor must insist on, as the callbacks in which the library asks for it.

use std::cell::OnceCell;

use sequoia_openpgp as openpgp;

use openpgp::crypto::SessionKey;
use openpgp::packet::{PKESK, SKESK};
use openpgp::parse::PacketParser;
use openpgp::parse::stream::{
    DecryptionHelper, MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerificationResult,
};
use openpgp::policy::StandardPolicy;
use openpgp::types::SymmetricAlgorithm;
use openpgp::{Cert, KeyHandle, Packet, anyhow};

use super::head::Head;
use super::{DecryptError, Opener, Signers};

/// No honest message has more packets, counting its recipients.
const MAX_PACKETS: u32 = 10_000;

/// The library's standard, except for two old ciphers: which one protects the way is the sender's choice, and to refuse
/// it would lose chats and protect nobody. Signatures keep to the standard: no SHA-1.
#[expect(deprecated, reason = "for what senders write, not for what we write")]
pub(super) fn policy() -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::new();
    policy.accept_symmetric_algo(SymmetricAlgorithm::TripleDES);
    policy.accept_symmetric_algo(SymmetricAlgorithm::CAST5);
    policy
}

/// What the helper learns; the decryptor keeps the helper to itself when it fails.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) refusal: OnceCell<DecryptError>,
    pub(super) signed_by: OnceCell<String>,
    pub(super) opened_with: OnceCell<String>,
}

impl Notes {
    /// Keeps the reason, and the error that makes the library stop.
    fn refuse(&self, reason: DecryptError) -> anyhow::Error {
        let words = reason.to_string();
        // Only the first matters.
        let _ = self.refusal.set(reason);
        anyhow::Error::msg(words)
    }
}

pub(super) struct Helper<'a> {
    head: &'a Head,
    opener: &'a Opener<'a>,
    notes: &'a Notes,
    packets: u32,
    containers: u32,
    compressions: u32,
}

impl<'a> Helper<'a> {
    pub(super) fn new(head: &'a Head, opener: &'a Opener<'a>, notes: &'a Notes) -> Self {
        Self { head, opener, notes, packets: 0, containers: 0, compressions: 0 }
    }
}

impl DecryptionHelper for Helper<'_> {
    fn decrypt(
        &mut self,
        recipients: &[PKESK],
        _: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        let mut tried = false;
        let keys = self.opener.keys;
        let opened = keys.open(recipients, algorithm, &mut |algorithm, session_key| {
            tried = true;
            decrypt(algorithm, session_key)
        });
        match opened {
            Some(key) => {
                // Only the outermost container counts; a second one is refused before it comes here.
                let _ = self.notes.opened_with.set(key.cert.fingerprint().to_hex());
                Ok(Some((*key.cert).clone()))
            }
            None if tried || keys.are_named_in(recipients) => Err(anyhow::anyhow!("the session key does not fit")),
            None => Err(self.notes.refuse(self.head.not_opened(keys))),
        }
    }
}

impl VerificationHelper for Helper<'_> {
    fn inspect(&mut self, packet: &PacketParser<'_>) -> openpgp::Result<()> {
        self.packets += 1;
        match packet.packet {
            Packet::SEIP(_) => self.containers += 1,
            Packet::CompressedData(_) => self.compressions += 1,
            _ => {}
        }
        let what = match self {
            Self { containers: 2.., .. } => "encrypted twice over",
            Self { compressions: 2.., .. } => "compressed twice over",
            Self { packets: MAX_PACKETS.., .. } => "made of thousands of packets",
            _ => return Ok(()),
        };
        Err(self.notes.refuse(DecryptError::Nested { what }))
    }

    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.opener.signers.map(Signers::certs).unwrap_or_default())
    }

    fn check(&mut self, structure: MessageStructure) -> openpgp::Result<()> {
        if !matches!(structure.iter().next(), Some(MessageLayer::Encryption { .. })) {
            return Err(self.notes.refuse(DecryptError::NotEncrypted { found: "signed around the encryption" }));
        }
        if self.opener.signers.is_none() {
            return Ok(());
        }
        let results = structure.into_iter().filter_map(|layer| match layer {
            MessageLayer::SignatureGroup { results } => Some(results),
            _ => None,
        });
        match signer(results.flatten()) {
            Ok(signer) => {
                // `check` is called once.
                let _ = self.notes.signed_by.set(signer);
                Ok(())
            }
            Err(reason) => Err(self.notes.refuse(reason)),
        }
    }
}

/// The first of the signers whose signature holds; else what is wrong with the signature that came nearest.
fn signer<'a>(results: impl Iterator<Item = VerificationResult<'a>>) -> Result<String, DecryptError> {
    let mut nearest = DecryptError::Unsigned;
    for result in results {
        match result {
            Ok(good) => return Ok(describe(good.ka.cert())),
            Err(VerificationError::MissingKey { sig }) if matches!(nearest, DecryptError::Unsigned) => {
                let issuer = sig.get_issuers().first().map(ToString::to_string);
                nearest = DecryptError::UnknownSigner { issuer: issuer.unwrap_or_else(|| "an unnamed key".to_owned()) };
            }
            Err(VerificationError::MissingKey { .. }) => {}
            Err(error) => nearest = bad_signature(error),
        }
    }
    Err(nearest)
}

fn bad_signature(error: VerificationError<'_>) -> DecryptError {
    let signer = match &error {
        VerificationError::UnboundKey { cert, .. } => cert.fingerprint().to_hex(),
        VerificationError::BadKey { ka, .. } | VerificationError::BadSignature { ka, .. } => {
            ka.cert().fingerprint().to_hex()
        }
        _ => "an unreadable key".to_owned(),
    };
    let reason = match error {
        VerificationError::UnboundKey { error, .. }
        | VerificationError::BadKey { error, .. }
        | VerificationError::BadSignature { error, .. } => error.into(),
        other => other.to_string().into(),
    };
    DecryptError::BadSignature { signer, reason }
}

/// Fingerprint and user id. Whoever made the certificate chose the latter: no control characters.
fn describe(cert: &Cert) -> String {
    let fingerprint = cert.fingerprint().to_hex();
    match cert.userids().next() {
        Some(user) => {
            let name = String::from_utf8_lossy(user.userid().value());
            let name: String = name.chars().filter(|letter| !letter.is_control()).take(200).collect();
            format!("{fingerprint} {name}")
        }
        None => fingerprint,
    }
}
