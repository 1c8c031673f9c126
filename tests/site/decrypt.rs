//! Ciphertexts as a real gpg makes them, as sequoia makes them, and as an attacker would.

use crate::support;

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::LazyLock;

use icechatd::decrypt::{
    Authenticated, Caps, DecryptError, KeyError, Opener, Plaintext, SecretKeys, Signers, SurveyError, can_open, reread,
    survey,
};
use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::CertBuilder;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Armorer, Compressor, Encryptor, LiteralWriter, Message, Signer};
use openpgp::types::{CompressionAlgorithm, Features};
use support::gpg::{Encrypt, Gpg};

const CAPS: Caps = Caps { max_plaintext: 1 << 30, max_ratio: 1000 };
const POLICY: &StandardPolicy = &StandardPolicy::new();

/// Who takes part: keys made once by gpg, and a second certificate of ours made by sequoia.
struct Cast {
    gpg: Gpg,
    ours: SecretKeys,
    our_fingerprint: String,
    signer: Vec<u8>,
    signer_fingerprint: String,
    stranger: Vec<u8>,
}

static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let gpg = Gpg::new();
    let our_fingerprint = gpg.generate("Us <us@example.com>", "");
    let signer_fingerprint = gpg.generate("ICE <exports@example.org>", "");
    gpg.generate("Stranger <stranger@example.net>", "");
    Cast {
        ours: keys(&[&gpg.export_secret("us@example.com", "")]),
        our_fingerprint,
        signer: gpg.export("exports@example.org"),
        signer_fingerprint,
        stranger: gpg.export("stranger@example.net"),
        gpg,
    }
});

/// As gpg would for `us@example.com`.
const TO_US: Encrypt<'_> = Encrypt {
    recipients: &["us@example.com"],
    hidden: &[],
    throw_keyids: false,
    compress: None,
    armour: false,
    sign_with: None,
    more: &[],
};

fn keys(secret: &[&[u8]]) -> SecretKeys {
    let named: Vec<_> = secret.iter().map(|bytes| ("pgp-key".to_owned(), bytes)).collect();
    SecretKeys::parse(&named, &[] as &[&[u8]]).unwrap()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read_all(plaintext: &mut Plaintext) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plaintext.read_to_end(&mut bytes)?;
    Ok(bytes)
}

type Surveyed = Result<(Vec<u8>, Authenticated), SurveyError<io::Error>>;

fn open(ciphertext: &[u8], keys: &SecretKeys, signers: Option<&Signers>) -> Surveyed {
    survey(&file(ciphertext), &Opener { keys, signers, caps: CAPS }, read_all)
}

fn refusal(surveyed: Surveyed) -> DecryptError {
    match surveyed {
        Err(SurveyError::Decrypt(error)) => error,
        Err(SurveyError::Content(error)) => panic!("the consumer failed: {error}"),
        Ok((plaintext, _)) => panic!("accepted, {} bytes", plaintext.len()),
    }
}

fn refused(ciphertext: &[u8]) -> DecryptError {
    refusal(open(ciphertext, &CAST.ours, None))
}

/// Text that compresses about as well as chats do.
fn chats(lines: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let mut text = Vec::new();
    for line in 0..lines {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "<Message><MessageID>{line}</MessageID><Content>{seed:x} bid {}</Content></Message>", line % 97)
            .unwrap();
    }
    text
}

#[test]
fn whatever_gpg_writes_is_read_twice() {
    let text = chats(40_000);
    assert!(text.len() > 3 << 20);
    let both = ["stranger@example.net", "us@example.com"];
    let cases = [
        TO_US,
        Encrypt { compress: Some("zlib"), ..TO_US },
        Encrypt { compress: Some("zip"), ..TO_US },
        Encrypt { compress: Some("bzip2"), ..TO_US },
        Encrypt { compress: Some("none"), ..TO_US },
        Encrypt { armour: true, ..TO_US },
        Encrypt { armour: true, compress: Some("none"), ..TO_US },
        Encrypt { recipients: &both, ..TO_US },
        Encrypt { recipients: &[], hidden: &["us@example.com"], ..TO_US },
        Encrypt { recipients: &["stranger@example.net"], hidden: &["us@example.com"], ..TO_US },
        Encrypt { recipients: &both, throw_keyids: true, ..TO_US },
        Encrypt { sign_with: Some("exports@example.org"), ..TO_US },
        Encrypt { more: &["--cipher-algo", "3DES"], ..TO_US },
        Encrypt { more: &["--cipher-algo", "CAST5"], ..TO_US },
        Encrypt { more: &["--set-filename", "export.xml"], ..TO_US },
    ];
    for how in cases {
        let sealed = CAST.gpg.encrypt(&text, &how);
        assert_eq!(can_open(&sealed[..], &CAST.ours).unwrap(), CAST.our_fingerprint, "{how:?}");
        let ciphertext = file(&sealed);
        let opener = Opener { keys: &CAST.ours, signers: None, caps: CAPS };
        let (plaintext, proof) = survey(&ciphertext, &opener, read_all).unwrap();
        assert!(plaintext == text, "{how:?}");
        assert_eq!(proof.plaintext_len(), text.len() as u64);
        assert_eq!(proof.signed_by(), None);
        assert_eq!(proof.opened_with(), CAST.our_fingerprint);
        assert!(reread(&ciphertext, &opener, &proof, read_all).unwrap() == text, "{how:?}");
    }
}

#[test]
fn nothing_and_little_are_read_too() {
    for text in [&b""[..], b"x", &vec![b'y'; 1 << 20], &vec![b'z'; (1 << 20) + 1]] {
        for compress in ["none", "zlib"] {
            let ciphertext = CAST.gpg.encrypt(text, &Encrypt { compress: Some(compress), ..TO_US });
            let caps = Caps { max_ratio: 5000, ..CAPS };
            let opener = Opener { keys: &CAST.ours, signers: None, caps };
            let (plaintext, proof) = survey(&file(&ciphertext), &opener, read_all).unwrap();
            assert!(plaintext == text);
            assert!(reread(&file(&ciphertext), &opener, &proof, read_all).unwrap() == text);
        }
    }
}

/// A certificate of sequoia's, and its secret key.
fn sequoia_key(features: Features) -> Cert {
    CertBuilder::new()
        .set_features(features)
        .unwrap()
        .add_userid("ours")
        .add_transport_encryption_subkey()
        .add_signing_subkey()
        .generate()
        .unwrap()
        .0
}

fn secret(cert: &Cert) -> SecretKeys {
    keys(&[&cert.as_tsk().to_vec().unwrap()])
}

type Wrap = fn(Message<'_>) -> openpgp::Result<Message<'_>>;

/// Encrypts with sequoia; `wrap` adds layers inside the container.
fn seal(cert: &Cert, text: &[u8], wrap: Wrap) -> Vec<u8> {
    let mut sink = Vec::new();
    let recipients = cert.keys().with_policy(POLICY, None).supported().for_transport_encryption();
    let message = Encryptor::for_recipients(Message::new(&mut sink), recipients).build().unwrap();
    let mut message = LiteralWriter::new(wrap(message).unwrap()).build().unwrap();
    message.write_all(text).unwrap();
    message.finalize().unwrap();
    sink
}

#[test]
fn both_versions_of_the_container_are_read() {
    let text = chats(20_000);
    for (features, version) in [(Features::empty().set_seipdv1(), 1), (Features::empty().set_seipdv2(), 2)] {
        let cert = sequoia_key(features);
        for armour in [false, true] {
            let mut ciphertext = seal(&cert, &text, |message| Ok(message));
            let seen = openpgp::PacketPile::from_bytes(&ciphertext).unwrap();
            assert_eq!(seen.children().last().unwrap().version(), Some(version));
            if armour {
                let mut sink = Vec::new();
                let mut armourer = Armorer::new(Message::new(&mut sink)).build().unwrap();
                armourer.write_all(&ciphertext).unwrap();
                armourer.finalize().unwrap();
                ciphertext = sink;
            }
            let (plaintext, _) = open(&ciphertext, &secret(&cert), None).unwrap();
            assert!(plaintext == text);
            assert_eq!(can_open(&ciphertext[..], &secret(&cert)).unwrap(), cert.fingerprint().to_hex());
        }
    }
}

#[test]
fn an_expired_or_revoked_key_of_ours_still_opens() {
    let two_years_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(2 * 365 * 24);
    let (cert, revocation) = CertBuilder::general_purpose(Some("ours"))
        .set_creation_time(two_years_ago)
        .set_validity_period(std::time::Duration::from_hours(24))
        .generate()
        .unwrap();
    let recipients = cert.keys().with_policy(POLICY, two_years_ago).for_transport_encryption();
    let mut ciphertext = Vec::new();
    let message = Encryptor::for_recipients(Message::new(&mut ciphertext), recipients).build().unwrap();
    let mut message = LiteralWriter::new(message).build().unwrap();
    message.write_all(b"old").unwrap();
    message.finalize().unwrap();
    assert_eq!(open(&ciphertext, &secret(&cert), None).unwrap().0, b"old");
    let revoked = cert.insert_packets(revocation).unwrap().0;
    assert_eq!(open(&ciphertext, &secret(&revoked), None).unwrap().0, b"old");
}

#[test]
fn several_keys_are_tried_and_a_protected_one_needs_its_passphrase() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("new@example.com", "correct horse");
    let protected = gpg.export_secret("new@example.com", "correct horse");
    let named = |bytes: &[u8]| ("pgp-key".to_owned(), bytes.to_vec());
    let error = SecretKeys::parse(&[named(&protected)], &["wrong"]).unwrap_err();
    assert!(matches!(error, KeyError::Locked { .. }));
    assert!(error.to_string().contains("pgp-key") && error.to_string().contains(&fingerprint), "{error}");
    let old = sequoia_key(Features::empty().set_seipdv1());
    let both = [named(&protected), ("old".to_owned(), old.as_tsk().to_vec().unwrap())];
    let ours = SecretKeys::parse(&both, &["wrong", "correct horse\n"]).unwrap();
    assert_eq!(ours.fingerprints(), [fingerprint.clone(), old.fingerprint().to_hex()]);
    assert!(!format!("{ours:?}").contains("KeyPair"));
    let to_new = gpg.encrypt(b"new", &Encrypt { recipients: &["new@example.com"], ..TO_US });
    let (plaintext, proof) = open(&to_new, &ours, None).unwrap();
    assert_eq!((plaintext.as_slice(), proof.opened_with()), (&b"new"[..], fingerprint.as_str()));
    assert_eq!(open(&seal(&old, b"old", |message| Ok(message)), &ours, None).unwrap().0, b"old");
}

#[test]
fn a_key_that_cannot_decrypt_is_named() {
    let parse = |bytes: &[u8]| SecretKeys::parse(&[("pgp-key", bytes)].map(|(n, b)| (n.to_owned(), b)), &[""; 0]);
    assert!(matches!(parse(b"garbage").unwrap_err(), KeyError::Unreadable { .. }));
    assert!(matches!(parse(b"").unwrap_err(), KeyError::Empty { .. } | KeyError::Unreadable { .. }));
    assert!(matches!(parse(&CAST.stranger).unwrap_err(), KeyError::PublicOnly { .. }));
    let signing = CertBuilder::new().add_signing_subkey().generate().unwrap().0;
    assert!(matches!(parse(&signing.as_tsk().to_vec().unwrap()).unwrap_err(), KeyError::NoDecryptionKey { .. }));
}

fn signers(certs: &[&[u8]]) -> Signers {
    Signers::parse(&certs.iter().map(|bytes| ("signer".to_owned(), *bytes)).collect::<Vec<_>>()).unwrap()
}

#[test]
fn with_signers_one_of_them_must_have_signed() {
    let ice = signers(&[&CAST.stranger, &CAST.signer]);
    let both: Vec<u8> = [&CAST.stranger[..], &CAST.signer].concat();
    let signed = CAST.gpg.encrypt(b"signed", &Encrypt { sign_with: Some("exports@example.org"), ..TO_US });
    for signers in [&ice, &signers(&[&both])] {
        let (_, proof) = open(&signed, &CAST.ours, Some(signers)).unwrap();
        assert_eq!(proof.signed_by().unwrap(), format!("{} ICE <exports@example.org>", CAST.signer_fingerprint));
    }
    let plain = CAST.gpg.encrypt(b"unsigned", &TO_US);
    assert!(matches!(refusal(open(&plain, &CAST.ours, Some(&ice))), DecryptError::Unsigned));
    let other = refusal(open(&signed, &CAST.ours, Some(&signers(&[&CAST.stranger]))));
    assert!(matches!(other, DecryptError::UnknownSigner { .. }), "{other:?}");
    let old = Encrypt { sign_with: Some("exports@example.org"), more: &["--digest-algo", "SHA1"], ..TO_US };
    let weak = refusal(open(&CAST.gpg.encrypt(b"old", &old), &CAST.ours, Some(&ice)));
    assert!(matches!(weak, DecryptError::BadSignature { .. }), "{weak:?}");
}

/// The same text, a signature over another one, all of it encrypted anew: the container is sound, the signature is not.
#[test]
fn a_signature_over_other_text_is_refused() {
    let cert = sequoia_key(Features::empty().set_seipdv1());
    let signed = {
        let pair = cert.keys().secret().with_policy(POLICY, None).for_signing().next().unwrap();
        let mut sink = Vec::new();
        let signer = Signer::new(Message::new(&mut sink), pair.key().clone().into_keypair().unwrap()).unwrap();
        let mut message = LiteralWriter::new(signer.build().unwrap()).build().unwrap();
        message.write_all(b"buy 100").unwrap();
        message.finalize().unwrap();
        sink
    };
    let at = signed.windows(7).position(|window| window == b"buy 100").unwrap();
    let mut forged = signed.clone();
    forged[at..at + 7].copy_from_slice(b"buy 900");
    let ice = signers(&[&cert.clone().strip_secret_key_material().to_vec().unwrap()]);
    let enclose = |inner: &[u8]| {
        let mut sink = Vec::new();
        let recipients = cert.keys().with_policy(POLICY, None).for_transport_encryption();
        let mut message = Encryptor::for_recipients(Message::new(&mut sink), recipients).build().unwrap();
        message.write_all(inner).unwrap();
        message.finalize().unwrap();
        sink
    };
    assert_eq!(open(&enclose(&signed), &secret(&cert), Some(&ice)).unwrap().0, b"buy 100");
    let error = refusal(open(&enclose(&forged), &secret(&cert), Some(&ice)));
    assert!(matches!(error, DecryptError::BadSignature { .. }), "{error:?}");
}

#[test]
fn what_is_no_encrypted_message_is_told_apart() {
    assert!(matches!(refused(b""), DecryptError::Empty));
    for garbage in [&b"<IceChatExport/>"[..], b"\xff\xfe\x00", &[0x80; 5000], b"PK\x03\x04", &[0; 100], b"\n\n"] {
        assert!(matches!(refused(garbage), DecryptError::NotOpenPgp), "{garbage:?}: {:?}", refused(garbage));
    }
    let gpg = &CAST.gpg;
    let not_encrypted = [
        gpg.run(&["--store"], b"text"),
        gpg.run(&["--store", "--compress-algo", "none"], b"text"),
        gpg.run(&["-u", "us@example.com", "--sign"], b"text"),
        gpg.run(&["-u", "us@example.com", "--sign", "--armor"], b"text"),
        gpg.run(&["-u", "us@example.com", "--clearsign"], b"text"),
        gpg.run(&["-u", "us@example.com", "--detach-sign"], b"text"),
        gpg.run(&["--armor", "--export", "us@example.com"], b""),
        CAST.signer.clone(),
    ];
    for message in not_encrypted {
        assert!(matches!(refused(&message), DecryptError::NotEncrypted { .. }), "{:?}", refused(&message));
    }
    let password = gpg.run(&["--passphrase", "p", "--symmetric"], b"text");
    assert!(refused(&password).to_string().contains("a password"), "{}", refused(&password));
}

#[test]
fn a_message_for_others_names_its_recipients() {
    let named = CAST.gpg.encrypt(b"x", &Encrypt { recipients: &["stranger@example.net"], ..TO_US });
    let words = refused(&named).to_string();
    let DecryptError::NotForUs { recipients } = refused(&named) else { panic!("{words}") };
    assert_eq!(recipients.len(), 16, "{words}");
    let keys = String::from_utf8(CAST.gpg.run(&["--with-colons", "-k", "stranger@example.net"], b"")).unwrap();
    assert!(keys.contains(&recipients), "{words}");
    let hidden = CAST.gpg.encrypt(b"x", &Encrypt { recipients: &[], hidden: &["stranger@example.net"], ..TO_US });
    assert!(refused(&hidden).to_string().contains("a hidden recipient"), "{}", refused(&hidden));
    assert!(matches!(can_open(&named[..], &CAST.ours), Err(DecryptError::NotForUs { .. })));
}

/// The packet's header gone, its body's offset: new or old format, definite length.
fn body_at(packet: &[u8]) -> usize {
    match (packet[0] & 0x40, packet[0] & 3, packet[1]) {
        (0, 0, _) | (0x40, _, 0..=191) => 2,
        (0, 1, _) | (0x40, _, 192..=223) => 3,
        (0, _, _) => 5,
        _ => 6,
    }
}

#[test]
fn a_container_without_integrity_protection_is_refused() {
    // The same message with the container's tag 18 made 9, its version octet dropped: what gpg --disable-mdc wrote.
    let protected = CAST.gpg.encrypt(b"x", &Encrypt { compress: Some("none"), ..TO_US });
    let container = body_at(&protected) + usize::from(protected[1]);
    assert_eq!(protected[container], 0xd2);
    let mut bare = protected[..container].to_vec();
    let body = &protected[container + 3..];
    bare.extend([0xc9, u8::try_from(body.len()).unwrap()]);
    bare.extend(body);
    assert!(matches!(refused(&bare), DecryptError::Unprotected), "{:?}", refused(&bare));
    // GnuPG's own packet, tag 20, by its tag alone.
    bare[container] = 0xd4;
    assert!(matches!(refused(&bare), DecryptError::Unsupported(_)), "{:?}", refused(&bare));
}

#[test]
fn cut_anywhere_it_is_called_cut_short() {
    let text = chats(400);
    for how in [TO_US, Encrypt { armour: true, ..TO_US }, Encrypt { compress: Some("none"), ..TO_US }] {
        let whole = CAST.gpg.encrypt(&text, &how);
        let step = whole.len() / 150 + 1;
        let end = whole.len() - usize::from(how.armour);
        for len in (1..300).chain((300..end).step_by(step)).chain(end - 70..end) {
            let error = refused(&whole[..len]);
            assert!(matches!(error, DecryptError::Truncated), "{len} of {}: {error:?}", whole.len());
        }
    }
    // Where gpg knows the length, it announces it rather than mark the end: in one octet, or in five.
    let mut plain = tempfile::NamedTempFile::new().unwrap();
    plain.write_all(&chats(60_000)).unwrap();
    let path = plain.path().to_str().unwrap();
    let long =
        CAST.gpg.run(&["-r", "us@example.com", "--compress-algo", "none", "--output", "-", "--encrypt", path], b"");
    let short = CAST.gpg.encrypt(b"one", &Encrypt { compress: Some("none"), ..TO_US });
    assert_eq!((short[97], long[97]), (short[97].min(191), 0xff), "the length's first octet");
    for (whole, step) in [(&short, 1), (&long, long.len() / 12)] {
        for len in (1..whole.len()).step_by(step).chain([whole.len() - 22, whole.len() - 1]) {
            assert!(matches!(refused(&whole[..len]), DecryptError::Truncated), "{len} of {}", whole.len());
        }
    }
    let v2 = sequoia_key(Features::empty().set_seipdv2());
    let whole = seal(&v2, &text, |message| Ok(message));
    for len in (1..whole.len()).step_by(101).chain([whole.len() - 1, whole.len() - 16]) {
        let error = refusal(open(&whole[..len], &secret(&v2), None));
        assert!(matches!(error, DecryptError::Truncated), "{len} of {}: {error:?}", whole.len());
    }
}

#[test]
fn a_byte_changed_anywhere_is_never_accepted() {
    let v2 = sequoia_key(Features::empty().set_seipdv2());
    let ours = secret(&v2);
    let messages = [
        (CAST.gpg.encrypt(b"buy 100 at 17", &TO_US), &CAST.ours),
        (CAST.gpg.encrypt(b"buy 100 at 17", &Encrypt { compress: Some("none"), ..TO_US }), &CAST.ours),
        (seal(&v2, b"buy 100 at 17", |message| Ok(message)), &ours),
    ];
    for (whole, keys) in messages {
        for at in 0..whole.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut altered = whole.clone();
                altered[at] ^= mask;
                match open(&altered, keys, None) {
                    Err(SurveyError::Decrypt(error)) => assert!(!error.is_local(), "{error:?}"),
                    // Curve25519 ignores one bit of the sender's point, before the container: the text is the same.
                    Ok((text, _)) if at < 80 && mask == 128 => assert_eq!(text, b"buy 100 at 17"),
                    _ => panic!("byte {at} of {} with {mask:#x}", whole.len()),
                }
            }
        }
    }
}

#[test]
fn an_altered_message_is_called_altered_whatever_the_consumer_says() {
    let mut ciphertext = CAST.gpg.encrypt(&chats(100_000), &Encrypt { compress: Some("none"), ..TO_US });
    let middle = ciphertext.len() / 2;
    ciphertext[middle] ^= 1;
    assert!(matches!(refused(&ciphertext), DecryptError::Tampered(_)));
    let opener = Opener { keys: &CAST.ours, signers: None, caps: CAPS };
    let stops = |plaintext: &mut Plaintext| plaintext.fill_buf().map(<[u8]>::len);
    let error = survey(&file(&ciphertext), &opener, stops).unwrap_err();
    assert!(matches!(error, SurveyError::Decrypt(DecryptError::Tampered(_))));
    let fails = |_: &mut Plaintext| Err::<(), _>(io::Error::other("bad XML"));
    let error = survey(&file(&ciphertext), &opener, fails).unwrap_err();
    assert!(matches!(error, SurveyError::Decrypt(DecryptError::Tampered(_))));
    ciphertext[middle] ^= 1;
    let error = survey(&file(&ciphertext), &opener, fails).unwrap_err();
    assert!(matches!(error, SurveyError::Content(_)));
    assert!(survey(&file(&ciphertext), &opener, stops).is_ok());
}

#[test]
fn what_follows_the_message_is_not_ignored() {
    let one = CAST.gpg.encrypt(b"one", &TO_US);
    let armoured = CAST.gpg.encrypt(b"one", &Encrypt { armour: true, ..TO_US });
    let behind = [[&one[..], &one].concat(), [&one[..], b"\n"].concat(), [&one[..], &vec![0; 40_000]].concat()];
    let armoured_behind = [[&armoured[..], &armoured].concat(), [&armoured[..], b"\n\nregards"].concat()];
    for message in behind.iter().chain(&armoured_behind) {
        assert!(matches!(refused(message), DecryptError::Trailing), "{:?}", refused(message));
    }
    assert!(open(&[&armoured[..], b"\r\n\n "].concat(), &CAST.ours, None).is_ok());
    assert!(open(&[b"\n", &armoured[..]].concat(), &CAST.ours, None).is_ok());
}

#[test]
fn bombs_are_stopped_by_the_limit_they_exceed() {
    let zeros = vec![0; 64 << 20];
    for compress in ["zlib", "zip", "bzip2"] {
        let bomb = CAST.gpg.encrypt(&zeros, &Encrypt { compress: Some(compress), ..TO_US });
        // Deflate never exceeds 1032 to 1.
        let caps = Caps { max_ratio: 500, ..CAPS };
        let opener = Opener { keys: &CAST.ours, signers: None, caps };
        let error = refusal(survey(&file(&bomb), &opener, read_all));
        assert!(matches!(error, DecryptError::RatioTooHigh { limit: 500 }), "{compress}: {error:?}");
        assert!(error.to_string().contains("limits.max_ratio"));
    }
    let caps = Caps { max_plaintext: 3 << 20, ..CAPS };
    let opener = Opener { keys: &CAST.ours, signers: None, caps };
    let large = CAST.gpg.encrypt(&chats(60_000), &TO_US);
    let mut seen = 0;
    let count = |plaintext: &mut Plaintext| io::copy(plaintext, &mut io::sink()).inspect_err(|_| seen = 1);
    let error = survey(&file(&large), &opener, count).unwrap_err();
    assert!(error.to_string().contains("limits.max_plaintext"), "{error}");
    assert_eq!(seen, 1, "the consumer saw an end where there was none");
}

#[test]
fn layers_within_layers_are_refused() {
    let cert = sequoia_key(Features::empty().set_seipdv1());
    let ours = secret(&cert);
    let once: Wrap = |message| Compressor::new(message).algo(CompressionAlgorithm::Zlib).build();
    assert_eq!(open(&seal(&cert, b"x", once), &ours, None).unwrap().0, b"x");
    let twice: Wrap = |message| Compressor::new(Compressor::new(message).build()?).build();
    let error = refusal(open(&seal(&cert, b"x", twice), &ours, None));
    assert!(matches!(error, DecryptError::Nested { .. }), "{error:?}");
    let inner = seal(&cert, b"x", |message| Ok(message));
    let mut sink = Vec::new();
    let recipients = cert.keys().with_policy(POLICY, None).for_transport_encryption();
    let mut message = Encryptor::for_recipients(Message::new(&mut sink), recipients).build().unwrap();
    message.write_all(&inner).unwrap();
    message.finalize().unwrap();
    let error = refusal(open(&sink, &ours, None));
    assert!(matches!(error, DecryptError::Nested { .. }), "{error:?}");
}

#[test]
fn the_second_pass_shows_nothing_that_the_first_did_not_verify() {
    let text = chats(60_000);
    let mut other = text.clone();
    let changed_at = 2 << 20;
    other[changed_at] ^= 1;
    let how = Encrypt { compress: Some("none"), ..TO_US };
    let opener = Opener { keys: &CAST.ours, signers: None, caps: CAPS };
    let (_, proof) = survey(&file(&CAST.gpg.encrypt(&text, &how)), &opener, read_all).unwrap();
    for swapped in [other, text[..text.len() - 1].to_vec(), [&text[..], b"x"].concat(), text[..1 << 20].to_vec()] {
        let mut seen = Vec::new();
        let keep = |plaintext: &mut Plaintext| plaintext.read_to_end(&mut seen).map(|_| ());
        let swapped = file(&CAST.gpg.encrypt(&swapped, &how));
        let error = reread(&swapped, &opener, &proof, keep).unwrap_err();
        assert!(matches!(error, SurveyError::Decrypt(DecryptError::Changed)), "{error:?}");
        assert!(text.starts_with(&seen), "other text was shown");
    }
}

#[test]
fn a_consumer_that_fails_ends_the_second_pass() {
    let ciphertext = file(&CAST.gpg.encrypt(&chats(100_000), &TO_US));
    let opener = Opener { keys: &CAST.ours, signers: None, caps: CAPS };
    let ((), proof) = survey(&ciphertext, &opener, |_| Ok::<_, io::Error>(())).unwrap();
    let error = reread(&ciphertext, &opener, &proof, |_| Err::<(), _>(io::Error::other("disk full"))).unwrap_err();
    assert!(matches!(error, SurveyError::Content(error) if error.to_string() == "disk full"));
    reread(&ciphertext, &opener, &proof, |_| Ok::<_, io::Error>(())).unwrap();
}

#[test]
fn an_error_of_this_machine_is_not_the_files_fault() {
    let folder = File::open("/").unwrap();
    let opener = Opener { keys: &CAST.ours, signers: None, caps: CAPS };
    let Err(SurveyError::Decrypt(error)) = survey(&folder, &opener, read_all) else { panic!() };
    assert!(error.is_local(), "{error:?}");
}
