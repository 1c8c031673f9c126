//! Every byte of an export flipped, every length of truncation, through the whole pipeline: nothing is staged. What the change
//! does not reach (an armour's frame, a bit that the curve ignores) is staged as it was, or not at all.
//!
//! `ICECHATD_CASES` says how many of the changes are tried, evenly spread; a large number tries all.

use crate::support;

use std::collections::BTreeMap;
use std::io::Write;

use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::stream::{Armorer, Encryptor, LiteralWriter, Message, Recipient};
use openpgp::types::Features;
use support::archive::{Archive, cases};
use support::firm::{export, message, staged};
use support::gpg::{Encrypt, Gpg};

/// Changes that are taken in one run.
const AT_ONCE: usize = 250;
/// Each bit, and all of them.
const MASKS: [u8; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 255];

/// What is staged, as a test compares it.
type Staged = BTreeMap<(String, String), Vec<u8>>;

/// A small export.
fn small() -> String {
    export(&message("m-1", "amy@contoso.com", &["joe@contoso.com"], "buy 100 at 17"))
}

/// With the container that RFC 9580 added: each chunk of it is authenticated by itself.
fn seal_with_aead(certificate: &[u8], text: &[u8]) -> Vec<u8> {
    let cert = Cert::from_bytes(certificate).unwrap();
    let policy = StandardPolicy::new();
    let keys = cert.keys().with_policy(&policy, None).supported().for_transport_encryption();
    let features = Features::empty().set_seipdv2();
    let recipients = keys.map(|key| Recipient::new(features.clone(), key.key().key_handle(), key.key()));
    let mut sink = Vec::new();
    let encryptor = Encryptor::for_recipients(Message::new(&mut sink), recipients);
    let mut writer = LiteralWriter::new(encryptor.build().unwrap()).build().unwrap();
    writer.write_all(text).unwrap();
    writer.finalize().unwrap();
    let packets = openpgp::PacketPile::from_bytes(&sink).unwrap();
    assert_eq!(packets.children().last().unwrap().version(), Some(2), "the container's version");
    sink
}

fn armoured(message: &[u8]) -> Vec<u8> {
    let mut sink = Vec::new();
    let mut armourer = Armorer::new(Message::new(&mut sink)).build().unwrap();
    armourer.write_all(message).unwrap();
    armourer.finalize().unwrap();
    sink
}

/// The kinds of messages, each with its name.
fn messages(archive: &Archive) -> [(&'static str, Vec<u8>); 4] {
    let gpg = Gpg::new();
    gpg.import(&archive.certificate());
    let recipient = Cert::from_bytes(&archive.certificate()).unwrap().fingerprint().to_hex();
    let seal = |armour, compress| {
        let how = Encrypt { recipients: &[&recipient], armour, compress: Some(compress), ..Encrypt::default() };
        gpg.encrypt(small().as_bytes(), &how)
    };
    let aead = seal_with_aead(&archive.certificate(), small().as_bytes());
    [
        ("gpg, compressed", seal(false, "zlib")),
        ("gpg, armoured", seal(true, "none")),
        ("AEAD, armoured", armoured(&aead)),
        ("AEAD", aead),
    ]
}

/// A change of a message, in words, and what becomes of it.
fn changes(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let flips = (0..whole.len()).flat_map(|at| MASKS.map(|mask| (at, mask)));
    let flipped = flips.map(|(at, mask)| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= mask;
        (format!("byte {at} with {mask:#04x}"), bytes)
    });
    let cut = (0..whole.len()).map(|len| (format!("the first {len} bytes"), whole[..len].to_vec()));
    flipped.chain(cut).collect()
}

/// Where a change may leave the text as it was: in the armour's frame, and before the container, where a curve ignores a bit.
fn is_frame(what: &str, whole: &[u8]) -> bool {
    if what.starts_with("the first") {
        return true;
    }
    let at: usize = what.split(' ').nth(1).unwrap().parse().unwrap();
    if !whole.starts_with(b"-----") {
        return at < 80;
    }
    let end_of = |pattern: &[u8]| whole.windows(pattern.len()).position(|window| window == pattern);
    let (begin, checksum) = (end_of(b"\n\n").unwrap(), end_of(b"\n-----END").unwrap().saturating_sub(6));
    // The first 80 bytes of the message take 108 characters, with their line ends.
    at < begin + 112 || at >= checksum || whole[at] == b'\n' || matches!(whole[at] ^ 0x20, b'\n' | b'\r')
}

#[test]
fn whatever_byte_is_flipped_or_cut_nothing_is_staged() {
    let mut archive = Archive::new();
    let messages = messages(&archive);
    let share = cases(700) as usize / messages.len();
    for (kind, whole) in messages {
        archive.clear();
        archive.attempt(std::slice::from_ref(&whole));
        let intact: Staged = staged(&archive.staging());
        assert_eq!(intact.len(), 2, "{kind}: the message itself is not staged");
        archive.clear();
        let all = changes(&whole);
        let step = all.len().div_ceil(share.max(1)).max(1);
        let tried: Vec<_> = all.into_iter().step_by(step).collect();
        let mut accepted = 0;
        for batch in tried.chunks(AT_ONCE) {
            accepted += take(&mut archive, kind, &whole, batch, &intact);
        }
        println!("{kind}: {} changes, {accepted} of them reach nothing", tried.len());
        assert!(accepted * 10 <= tried.len(), "{kind}: {accepted} changes of {} were accepted", tried.len());
    }
}

/// Takes altered messages in one run; says how many were taken as if nothing had happened, which is then so.
fn take(archive: &mut Archive, kind: &str, whole: &[u8], batch: &[(String, Vec<u8>)], intact: &Staged) -> usize {
    let bytes: Vec<_> = batch.iter().map(|(_, bytes)| bytes.clone()).collect();
    let report = archive.attempt(&bytes).report;
    assert_eq!(report.files.len(), batch.len());
    let mut accepted = 0;
    for (file, (what, _)) in report.files.iter().zip(batch) {
        if file.state == "staged" {
            accepted += 1;
            assert!(is_frame(what, whole), "{kind}: {what} was accepted");
        } else {
            let reason = file.reason.as_deref().unwrap_or_default();
            assert!(file.state == "held" && reason.len() > 10, "{kind}: {what}: {file:?}");
        }
    }
    let found: Staged = staged(&archive.staging());
    assert!(found.is_empty() || found == *intact, "{kind}: something else than the message is staged");
    accepted
}
