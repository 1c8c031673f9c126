//! From ciphertext to plaintext, and the proof that it is authentic. Alone knows OpenPGP reading.
//!
//! OpenPGP cannot say whether a message is authentic before it has been decrypted to its end, and an export may be
//! larger than memory. So there are two passes over the same open file. [`survey`] lets a consumer parse what nobody
//! vouches for yet and gives its result out only together with [`Authenticated`]. [`reread`] takes that proof and hands
//! a consumer nothing but what the proof covers: each chunk is compared with its digest before it is seen.
//!
//! Decryption has a thread of its own and hands its chunks through a bounded channel, so that it overlaps with parsing
//! and memory is constant.
//!
//! This room does not know what an export is, nor where the file came from.

mod certificates;
mod error;
mod head;
mod helper;
mod outline;
mod plaintext;
mod source;
mod stream;

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::sync::mpsc;
use std::thread;

use crate::digest::Sha256;

pub use certificates::{KeyError, OurCertificate, SecretKeys, Signers};
pub use error::{Cause, DecryptError, SurveyError};
pub use plaintext::Plaintext;

use head::{HEAD, Head};
use plaintext::Pipe;
use stream::{Stop, Whole};

/// Chunks between the two threads: one being read, one being filled, and some that even out their pace.
const IN_FLIGHT: usize = 3;

/// How much of a ciphertext [`can_open`] looks at, in bytes.
pub const BEGINNING: u64 = HEAD as u64;

/// What decryption may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of plaintext (`limits.max_plaintext`).
    pub max_plaintext: u64,
    /// Plaintext for each byte of the whole ciphertext (`limits.max_ratio`).
    pub max_ratio: u64,
}

impl Caps {
    fn allow(self, plaintext: u64, ciphertext: u64) -> Result<(), DecryptError> {
        if plaintext > self.max_plaintext {
            return Err(DecryptError::TooLarge { limit: self.max_plaintext });
        }
        if plaintext > ciphertext.saturating_mul(self.max_ratio) {
            return Err(DecryptError::RatioTooHigh { limit: self.max_ratio });
        }
        Ok(())
    }
}

/// What opens a ciphertext, and under which conditions.
#[derive(Debug, Clone, Copy)]
pub struct Opener<'a> {
    /// Our secret keys.
    pub keys: &'a SecretKeys,
    /// If there are any, one of them must have signed; without, signatures are not looked at.
    pub signers: Option<&'a Signers>,
    /// Bounds.
    pub caps: Caps,
}

/// The proof that a ciphertext was decrypted to its end, that its integrity held, and that one of the signers signed
/// it if there are any. Only [`survey`] makes it.
#[derive(Debug)]
pub struct Authenticated {
    chunks: Vec<Sha256>,
    whole: Whole,
}

impl Authenticated {
    /// The signer's fingerprint and user id; `None` where no signature was asked for, whether or not there is one.
    pub fn signed_by(&self) -> Option<&str> {
        self.whole.signed_by.as_deref()
    }

    /// The fingerprint of our certificate that opened it.
    pub fn opened_with(&self) -> &str {
        &self.whole.opened_with
    }

    /// Bytes.
    pub fn plaintext_len(&self) -> u64 {
        self.whole.len
    }
}

/// The first pass: decrypts the file from its beginning to its end while `consume` reads, and gives what `consume` made
/// of it only if all of it verified. If both fail, the ciphertext is to blame: altered text is seldom well-formed.
///
/// # Errors
/// Where the ciphertext is refused or cannot be read; else where `consume` fails.
pub fn survey<T, E: Error>(
    ciphertext: &File,
    opener: &Opener<'_>,
    consume: impl FnOnce(&mut Plaintext) -> Result<T, E>,
) -> Result<(T, Authenticated), SurveyError<E>> {
    let mut chunks = Vec::new();
    let keep = |chunk: &[u8]| {
        chunks.push(Sha256::of(chunk));
        Ok(())
    };
    let (outcome, ended) = overlap(ciphertext, opener, keep, |mut plaintext| {
        let outcome = consume(&mut plaintext);
        plaintext.drain();
        outcome
    });
    match ended {
        Ok(whole) => Ok((outcome.map_err(SurveyError::Content)?, Authenticated { chunks, whole })),
        Err(Stop::Refused(error)) => Err(SurveyError::Decrypt(error)),
        // The consumer reads to the end above, so it cannot have gone before.
        Err(Stop::Abandoned) => Err(SurveyError::Decrypt(DecryptError::Crashed)),
    }
}

/// The second pass, over the same open file: `consume` sees only what `proof` covers.
///
/// # Errors
/// Where the file is not what it was or cannot be read; else where `consume` fails, which ends the pass at once.
pub fn reread<T, E: Error>(
    ciphertext: &File,
    opener: &Opener<'_>,
    proof: &Authenticated,
    consume: impl FnOnce(&mut Plaintext) -> Result<T, E>,
) -> Result<T, SurveyError<E>> {
    let mut expected = proof.chunks.iter();
    let compare = |chunk: &[u8]| match expected.next() {
        Some(digest) if *digest == Sha256::of(chunk) => Ok(()),
        _ => Err(DecryptError::Changed.into()),
    };
    let (outcome, ended) = overlap(ciphertext, opener, compare, |mut plaintext| {
        let outcome = consume(&mut plaintext);
        if outcome.is_ok() {
            plaintext.drain();
        }
        outcome
    });
    match (ended, outcome) {
        (Ok(whole), _) if whole.len != proof.whole.len => Err(SurveyError::Decrypt(DecryptError::Changed)),
        (Err(Stop::Refused(error)), _) => Err(SurveyError::Decrypt(error)),
        (Err(Stop::Abandoned), Ok(_)) => Err(SurveyError::Decrypt(DecryptError::Crashed)),
        (_, outcome) => outcome.map_err(SurveyError::Content),
    }
}

/// Whether one of our keys opens the ciphertext's session key, and which certificate's: by its beginning alone, so that
/// nothing is known of its integrity.
///
/// # Errors
/// Where it is refused as far as its beginning tells.
pub fn can_open(ciphertext: impl Read, keys: &SecretKeys) -> Result<String, DecryptError> {
    let mut bytes = Vec::new();
    ciphertext.take(BEGINNING).read_to_end(&mut bytes).map_err(DecryptError::Read)?;
    Ok(Head::parse(&bytes)?.open(keys)?.cert.fingerprint().to_hex())
}

/// Whether a file that begins like this is an encrypted OpenPGP message, for whomever.
pub fn is_message(beginning: &[u8]) -> bool {
    matches!(Head::parse(beginning), Ok(_) | Err(DecryptError::Unprotected | DecryptError::Unsupported(_)))
}

/// Runs `consume` here and decryption on a thread of its own.
fn overlap<R>(
    ciphertext: &File,
    opener: &Opener<'_>,
    inspect: impl FnMut(&[u8]) -> Result<(), Stop> + Send,
    consume: impl FnOnce(Plaintext) -> R,
) -> (R, Result<Whole, Stop>) {
    let (chunks, filled) = mpsc::sync_channel(IN_FLIGHT);
    let (empty, spare) = mpsc::channel();
    let plaintext = Plaintext::new(filled, empty);
    thread::scope(|scope| {
        let decrypting = move || {
            let mut pipe = Pipe { chunks, spare, inspect };
            let ended = stream::decrypt(ciphertext, opener, &mut pipe);
            if ended.is_ok() {
                pipe.end();
            }
            ended
        };
        let thread = thread::Builder::new().name("decrypt".to_owned()).spawn_scoped(scope, decrypting);
        let outcome = consume(plaintext);
        let ended = match thread {
            // A panic of the library on a crafted file must hold that file, not end the run.
            Ok(thread) => thread.join().unwrap_or(Err(DecryptError::Crashed.into())),
            Err(error) => Err(DecryptError::Thread(error).into()),
        };
        (outcome, ended)
    })
}
