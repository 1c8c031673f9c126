//! Single lies, each with what must become of it.

use super::hostile::{one_file, scripted_by};
use super::*;
use crate::support::handshake::Handshake;
use crate::support::lies::{Liar, Lie, State};
use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Long enough for what a site says to be answered, too short for what it never says.
fn within(deadline: Duration, server: &Scripted, secrets: &Secrets) -> Site {
    let limits = config::Limits { transfer_deadline: deadline, ..limits() };
    let settings = settings(server.port(), "ACME", server.host_key());
    Site::with_timeouts(&settings, &limits, secrets, timeouts()).unwrap()
}

fn some_key() -> Secrets {
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("key"), &["-t", "ed25519"], "");
    key(&dir.path().join("key"))
}

fn file(name: &str) -> (String, Vec<u8>) {
    (name.to_owned(), b"bytes".to_vec())
}

#[test]
fn a_site_cannot_write_lines_into_our_log() {
    // Its folder's name is its own.
    let says = [(State::Realpath, Lie::PathHostile), (State::Opendir, Lie::StatusDenied)];
    let (_server, mut site) = scripted_by(Script::default(), Liar::that_says(&says));
    let (_, said) = trouble(site.list());
    assert!(said.contains("denies permission") && !said.contains(char::is_control), "{said:?}");
    // Of a file that is called so, nothing is asked, so that no answer can be about it.
    let files = vec![file("a.pgp"), file("new\nline.pgp")];
    let script = Script { files, bare_listing: true, ..Script::default() };
    let (server, mut site) = scripted_by(script.clone(), Liar::that_says(&[(State::Lstat, Lie::Twice)]));
    assert_eq!(site.list().unwrap().others, ["new\\nline.pgp"]);
    assert_eq!(server.shared().liar().told[&(State::Lstat, Lie::Twice)], 1);
    let (_server, mut site) = scripted_by(script, Liar::that_says(&[(State::Lstat, Lie::StatusDenied)]));
    assert!(trouble(site.list()).1.contains("denies permission for `a.pgp`"));
}

/// Whatever it says its limits are, once, the file comes.
#[test]
fn a_site_that_lies_about_its_limits_costs_a_try_at_most() {
    let bytes = noise(9 << 20);
    let (script, file) = one_file(&bytes, Some(100_000));
    let secrets = some_key();
    thread::scope(|scope| {
        for lie in State::Limits.every_lie() {
            let (script, file, secrets, bytes) = (script.clone(), &file, &secrets, &bytes);
            scope.spawn(move || {
                let server = Scripted::lying(script, Liar::that_says(&[(State::Limits, lie)]).once());
                let spool = tempfile::tempdir().unwrap();
                let taken = within(Duration::from_mins(1), &server, secrets).fetch(file, spool.path(), &()).unwrap();
                assert_eq!(taken.sha256, Sha256::of(bytes), "{lie:?}");
                assert_eq!(server.shared().liar().told[&(State::Limits, lie)], 1);
            });
        }
    });
}

/// Each try would wait for it again, so it must not cost one.
#[test]
fn a_site_that_never_tells_its_limits_is_asked_for_what_every_site_answers() {
    let bytes = noise(9 << 20);
    let (script, file) = one_file(&bytes, Some(100_000));
    let says = [(State::Limits, Lie::Never)];
    let (server, mut site) = scripted_by(script, Liar::that_says(&says));
    let spool = tempfile::tempdir().unwrap();
    assert_eq!(site.fetch(&file, spool.path(), &()).unwrap().sha256, Sha256::of(&bytes));
    assert_eq!(server.shared().liar().told[&says[0]], 1);
    assert_eq!(server.shared().rack().longest_asked, 32 * 1024);
}

#[test]
fn a_listing_that_names_nothing_is_at_its_end() {
    let says = [(State::Readdir, Lie::ListingEmpty)];
    let (server, mut site) = scripted_by(Script::default(), Liar::that_says(&says));
    assert_eq!(site.list().unwrap().exports, []);
    assert_eq!(server.shared().liar().told[&says[0]], 1, "it was asked again and again");
}

#[test]
fn a_listing_whose_every_answer_comes_in_time_ends_too() {
    let files = (0..2000).map(|number| file(&format!("{number}.pgp"))).collect();
    let script = Script { files, bare_listing: true, ..Script::default() };
    let server = Scripted::lying(script, Liar::that_says(&[(State::Lstat, Lie::Late)]));
    let (is_final, said) = trouble(within(Duration::from_secs(1), &server, &some_key()).list());
    assert!(is_final && said.contains("longer than limits.transfer_deadline over listing site.directory"), "{said}");
}

#[test]
fn handles_and_paths_that_fill_our_memory_are_refused() {
    let cases = [
        (State::Realpath, Lie::PathEndless, "a path of more than 4096 bytes"),
        (State::Opendir, Lie::HandleEndless, "a handle of more than 256 bytes"),
    ];
    for (state, lie, words) in cases {
        let (_server, mut site) = scripted_by(Script::default(), Liar::that_says(&[(state, lie)]));
        let (is_final, said) = trouble(site.list());
        assert!(!is_final && said.contains(words), "{said}");
    }
    let script = Script { files: vec![file("a.pgp")], ..Script::default() };
    let (_server, mut site) = scripted_by(script, Liar::that_says(&[(State::Open, Lie::HandleEndless)]));
    let listed = site.list().unwrap().exports;
    let spool = tempfile::tempdir().unwrap();
    assert!(trouble(site.fetch(&listed[0], spool.path(), &())).1.contains("a handle of more than 256 bytes"));
}

#[test]
fn what_is_no_file_or_has_no_size_is_no_export() {
    for lie in [Lie::ListingOdd, Lie::ListingAbsurd, Lie::ListingHostile, Lie::ListingDoubled, Lie::ListingWithout] {
        let script = Script { files: vec![file("a.pgp")], ..Script::default() };
        let (_server, mut site) = scripted_by(script, Liar::that_says(&[(State::Readdir, lie)]).once());
        let listing = site.list().unwrap();
        let names: Vec<_> = listing.exports.iter().map(|file| file.name.as_str()).collect();
        let expected: &[&str] = match lie {
            // The largest size that there is, and none: files, as far as anybody can tell.
            Lie::ListingAbsurd => &["a.pgp", "0.pgp", "9223372036854775807.pgp"],
            _ => &["a.pgp"],
        };
        assert_eq!(names, expected, "{lie:?}");
    }
}

#[test]
fn a_host_that_always_shows_a_key_of_another_kind_is_asked_once() {
    let server = Scripted::lying(Script::default(), Liar::that_says(&[(State::Connect, Lie::KeyOfAnotherKind)]));
    let (is_final, said) = trouble(within(Duration::from_secs(20), &server, &some_key()).list());
    assert!(is_final && said.contains("host key refused") && said.contains("ecdsa-sha2-nistp384"), "{said}");
    // Once for the kinds that were agreed on, once for those without the one that was shown.
    assert_eq!(server.shared().liar().told.values().sum::<usize>(), 2);
}

#[test]
fn a_site_that_stops_at_any_state_is_given_up_there() {
    let limit = Duration::from_secs(3);
    let patience = Timeouts {
        connect: limit,
        authentication: limit,
        operation: limit,
        rate_window: limit,
        retries: 0,
        ..timeouts()
    };
    let stops = [
        (State::Connect, Lie::Silent, "no answer within 3 s while greeting the SSH server"),
        (State::Connect, Lie::KexThenSilent, "no answer within 3 s while greeting the SSH server"),
        (State::Login, Lie::LoginStalled, "no answer within 3 s while logging in"),
        (State::Channel, Lie::ChannelStalled, "no answer within 3 s while starting SFTP"),
        (State::Subsystem, Lie::SubsystemStalled, "no answer within 3 s while starting SFTP"),
        (State::Init, Lie::Stalled, "no answer within 3 s while starting SFTP"),
        (State::Realpath, Lie::Stalled, "no answer within 3 s while finding site.directory"),
        (State::Opendir, Lie::Never, "no answer within 3 s while opening site.directory"),
        (State::Readdir, Lie::Stalled, "no answer within 3 s while listing site.directory"),
        (State::Close, Lie::StrayId, "no answer within 3 s while closing site.directory"),
        (State::Open, Lie::Never, "no answer within 3 s while opening a file"),
        (State::Fstat, Lie::StrayId, "no answer within 3 s while looking at a file"),
        (State::Read, Lie::Stalled, "`a.pgp` comes at less than 1024 bytes a second"),
        (State::Lstat, Lie::Never, "no answer within 3 s while looking at a file"),
        (State::Remove, Lie::Stalled, "no answer within 3 s while removing a file"),
    ];
    let (secrets, spool) = (some_key(), tempfile::tempdir().unwrap());
    let stop = |(state, lie, words): (State, Lie, &str)| {
        let server = Scripted::lying(
            Script { files: vec![file("a.pgp")], ..Script::default() },
            Liar::that_says(&[(state, lie)]),
        );
        let settings = settings(server.port(), "ACME", server.host_key());
        let mut site = Site::with_timeouts(&settings, &limits(), &secrets, patience.clone()).unwrap();
        let known = RemoteFile { name: "a.pgp".to_owned(), size: 5, mtime: 1_000_000_000 };
        let done = site.list().and_then(|_| site.fetch(&known, spool.path(), &())).and_then(|_| site.remove(&known));
        let (is_final, said) = trouble(done);
        assert!(!is_final && said.contains(words), "{state:?}, {lie:?}: {said}");
    };
    thread::scope(|scope| {
        for case in stops {
            let stop = &stop;
            scope.spawn(move || stop(case));
        }
    });
}

#[test]
fn what_is_another_file_by_now_is_not_removed() {
    for lie in [Lie::FileGrew, Lie::FileShrank, Lie::FileReplaced, Lie::FileVanished, Lie::FileBecameLink] {
        let script = Script { files: vec![file("a.pgp")], ..Script::default() };
        let (server, mut site) = scripted_by(script, Liar::that_says(&[(State::Lstat, lie)]));
        let listed = site.list().unwrap().exports;
        assert!(!site.remove(&listed[0]).unwrap());
        assert!(server.shared().rack().removed.is_empty(), "{lie:?}");
    }
}

#[test]
fn what_a_host_offers_is_shown_and_not_done() {
    let cases = [
        (Lie::KexOfZip, "no compression that both sides accept; the site offers zlib,zlib@openssh.com"),
        (Lie::KexOfHostileNames, "no key that both sides accept; the site offers \\u{1b}[2J\\r\\n2026"),
        (Lie::KeyNotItsOwn, "Wrong server signature"),
        (Lie::EndlessBanner, "invalid SSH version string"),
        (Lie::HugePacket, "Bad packet size"),
    ];
    let secrets = some_key();
    for (lie, words) in cases {
        let server = Scripted::lying(Script::default(), Liar::that_says(&[(State::Connect, lie)]));
        let (_, said) = trouble(within(Duration::from_secs(20), &server, &secrets).list());
        assert!(said.contains(words) && !said.contains(char::is_control), "{lie:?}: {said:?}");
    }
}

/// A host that shows one key first, and renews its keys with another once the client is in. Whether the client went on.
fn renewed_with(first: &PrivateKey, second: &PrivateKey) -> bool {
    let kind = |key: &PrivateKey| key.algorithm().to_string();
    let (first, second) = (first.clone(), second.clone());
    let pinned = first.public_key().fingerprint(HashAlg::Sha256).to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let went_on = Arc::new(Mutex::new(false));
    let noted = went_on.clone();
    let host = runtime.spawn(async move {
        let mut client = Handshake::begin(listener.accept().await?.0).await?;
        client.exchange(&kind(&first), &first, &first).await?;
        client.let_in().await?;
        client.exchange(&kind(&second), &second, &second).await?;
        client.ask().await?;
        *noted.lock().unwrap() = true;
        std::io::Result::Ok(())
    });
    let once = Timeouts { retries: 0, operation: Duration::from_secs(2), ..timeouts() };
    let settings = settings(port, "ACME", &pinned);
    let listed = Site::with_timeouts(&settings, &limits(), &some_key(), once).unwrap().list();
    assert!(listed.is_err());
    drop(runtime.block_on(host));
    *went_on.lock().unwrap()
}

/// What the library shows of a renewal is the kind of key, and a change of that is refused. Another key of the same kind it
/// does not show: inside the channel that the pinned key opened, only the host itself can come with one.
#[test]
fn a_host_that_renews_its_keys_with_a_key_of_another_kind_is_left() {
    let ed25519 = || PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
    let (pinned, ecdsa) = (ed25519(), PrivateKey::random(&mut safe_rng(), ecdsa).unwrap());
    assert!(renewed_with(&pinned, &pinned), "a renewal is no fault");
    assert!(!renewed_with(&pinned, &ecdsa));
    assert!(renewed_with(&pinned, &ed25519()), "the library shows it now: let session.rs look");
}
