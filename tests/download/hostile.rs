//! Names and servers that mean harm, or are merely odd.

use super::*;
use crate::support::lies::{Liar, Lie, State};

#[test]
fn names_meant_to_harm_stay_names() {
    let sshd = Sshd::start(SshdOptions::default());
    let names: [&[u8]; 6] = [
        b"new\nline.pgp",
        b"\x1b[2Jclear.pgp",
        b"..\\..\\x.pgp",
        b"not\xffutf8.pgp",
        "pgp.\u{202e}txt.pgp".as_bytes(),
        b"~.pgp",
    ];
    for name in names {
        use std::os::unix::ffi::OsStrExt;
        fs::write(sshd.root().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let mut site = open(&sshd);
    let listing = site.list().unwrap();
    let mut exports: Vec<_> = listing.exports.iter().map(|file| file.name.as_str()).collect();
    exports.sort_unstable();
    assert_eq!(exports, ["..\\..\\x.pgp", "~.pgp"], "a backslash or a tilde is a letter like any other");
    assert_eq!(listing.others.len(), 4);
    assert!(!listing.others.iter().any(|name| name.contains(['\n', '\x1b', '\u{202e}'])), "{:?}", listing.others);
    let spool = tempfile::tempdir().unwrap();
    for file in &listing.exports {
        let taken = site.fetch(file, spool.path(), &()).unwrap();
        assert_eq!(taken.spool.parent(), Some(spool.path()));
        assert!(taken.spool.file_name().unwrap().to_str().unwrap().starts_with("download-"));
    }
}

/// A site at a scripted server that lets any key in.
fn scripted(script: Script) -> (Scripted, Site) {
    scripted_by(script, Liar::honest())
}

/// The same at one that lies besides.
pub(super) fn scripted_by(script: Script, liar: Liar) -> (Scripted, Site) {
    scripted_with(script, liar, timeouts())
}

/// The same for a client with this patience.
fn scripted_with(script: Script, liar: Liar, timeouts: Timeouts) -> (Scripted, Site) {
    let server = Scripted::lying(script, liar);
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("key"), &["-t", "ed25519"], "");
    let (settings, secrets) = (settings(server.port(), "ACME", server.host_key()), key(&dir.path().join("key")));
    let site = Site::with_timeouts(&settings, &limits(), &secrets, timeouts).unwrap();
    (server, site)
}

/// A server of one file, and how that is listed.
pub(super) fn one_file(bytes: &[u8], said_longest_read: Option<u64>) -> (Script, RemoteFile) {
    let files = vec![("a.pgp".to_owned(), bytes.to_vec())];
    let file = RemoteFile { name: "a.pgp".to_owned(), size: bytes.len() as u64, mtime: 1_000_000_000 };
    (Script { files, said_longest_read, ..Script::default() }, file)
}

#[test]
fn servers_that_answer_short_or_without_attributes_are_understood() {
    let bytes = noise(3_000_000);
    let files = vec![("a.pgp".to_owned(), bytes.clone())];
    let script = Script { files, longest_read: 10_000, bare_listing: true, ..Script::default() };
    let (_server, mut site) = scripted(script);
    let listed = site.list().unwrap().exports;
    assert_eq!(listed, [RemoteFile { name: "a.pgp".to_owned(), size: 3_000_000, mtime: 1_000_000_000 }]);
    let spool = tempfile::tempdir().unwrap();
    let taken = site.fetch(&listed[0], spool.path(), &()).unwrap();
    assert_eq!(taken.sha256, Sha256::of(&bytes));
}

/// What a server says that it answers whole, and what it is asked for.
#[test]
fn reads_are_as_large_as_the_server_says_it_answers() {
    let (kib, bytes) = (1024, noise(10 << 20));
    for (said, longest_read, asked) in [
        (None, usize::MAX, 32 * kib),
        (Some(0), usize::MAX, 32 * kib),
        (Some(1000), usize::MAX, 32 * kib),
        (Some(100_000), usize::MAX, 100_000),
        (Some(261_120), usize::MAX, 255 * kib),
        (Some(1 << 30), usize::MAX, 255 * kib),
        (Some(u64::MAX), usize::MAX, 32 * kib),
        // One that says more than it does.
        (Some(261_120), 50_000, 255 * kib),
        (Some(261_120), 10_000, 32 * kib),
    ] {
        let (script, file) = one_file(&bytes, said);
        let script = Script { longest_read, ..script };
        // A line that brings 4 MiB within the window is brisk, also on a machine that is busy.
        let patient = Timeouts { rate_window: Duration::from_mins(1), ..timeouts() };
        let (server, mut site) = scripted_with(script, Liar::honest(), patient);
        let spool = tempfile::tempdir().unwrap();
        let taken = site.fetch(&file, spool.path(), &()).unwrap();
        assert_eq!(taken.sha256, Sha256::of(&bytes), "{said:?}");
        assert_eq!(server.shared().rack().longest_asked, asked, "{said:?} {longest_read}");
    }
}

/// A line of the least rate would not bring a large answer within a window.
#[test]
fn a_slow_line_is_not_asked_for_large_reads() {
    let bytes = noise(10 << 20);
    let (script, file) = one_file(&bytes, Some(261_120));
    let slow = Timeouts { rate_window: Duration::from_millis(1), least_rate: 0, ..timeouts() };
    let (server, mut site) = scripted_with(script, Liar::honest(), slow);
    let spool = tempfile::tempdir().unwrap();
    assert_eq!(site.fetch(&file, spool.path(), &()).unwrap().sha256, Sha256::of(&bytes));
    assert_eq!(server.shared().rack().longest_asked, 32 * 1024);
}

/// What is in flight is bounded in number as well: a few bytes for an answer, and the rest of the file would be asked for in
/// as many requests as it has such pieces.
#[test]
fn a_server_that_answers_short_and_stops_is_asked_for_little() {
    let bytes = noise(8 << 20);
    let (script, file) = one_file(&bytes, None);
    let says = [(State::Read, Lie::ReadShort), (State::Read, Lie::Stalled)];
    let (server, mut site) = scripted_by(script, Liar::that_says(&says).once());
    let spool = tempfile::tempdir().unwrap();
    assert_eq!(site.fetch(&file, spool.path(), &()).unwrap().sha256, Sha256::of(&bytes));
    let ignored = server.shared().rack().ignored;
    assert!((1..32_000).contains(&ignored), "{ignored} bytes of requests");
}

/// A small file is not worth the question.
#[test]
fn a_site_is_asked_for_its_limits_once_that_pays() {
    let bytes = noise(8 << 20);
    let (script, file) = one_file(&bytes, Some(261_120));
    let (server, mut site) = scripted_by(script, Liar::that_says(&[(State::Limits, Lie::Farewell)]));
    let spool = tempfile::tempdir().unwrap();
    let taken = site.fetch(&file, spool.path(), &()).unwrap();
    assert_eq!((taken.sha256, server.shared().liar().told.len()), (Sha256::of(&bytes), 0));
}

#[test]
fn servers_that_send_too_much_or_too_little_are_not_believed() {
    let files = vec![("a.pgp".to_owned(), noise(1_000_000))];
    let file = RemoteFile { name: "a.pgp".to_owned(), size: 1_000_000, mtime: 1_000_000_000 };
    let spool = tempfile::tempdir().unwrap();
    let (_server, mut site) = scripted(Script { files: files.clone(), excess: 1, ..Script::default() });
    assert!(trouble(site.fetch(&file, spool.path(), &())).1.contains("the site sent more than was asked for"));
    let (_server, mut site) = scripted(Script { files, early_end: Some(600_000), ..Script::default() });
    let error = site.fetch(&file, spool.path(), &()).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Changed(_)), "{error}");
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn an_endless_listing_ends() {
    let files = (0..1000).map(|number| (format!("{number}.pgp"), Vec::new())).collect();
    let (_server, mut site) = scripted(Script { files, endless_listing: true, ..Script::default() });
    let (is_final, said) = trouble(site.list());
    assert!(is_final && said.contains("more than 100000 entries"), "{said}");
    let (_server, mut site) = scripted(Script { no_sftp: true, ..Script::default() });
    assert!(trouble(site.list()).1.contains("refuses the sftp subsystem"));
}

#[test]
fn hostile_listings_name_nothing_outside_the_folder() {
    let names = ["../../etc/passwd.pgp", "/etc/passwd.pgp", "a/b.pgp", "nul\0.pgp", "twice.pgp"];
    let files = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let (_server, mut site) = scripted(Script { files, twice: &["twice.pgp"], ..Script::default() });
    let listing = site.list().unwrap();
    assert_eq!(listing.exports.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["twice.pgp"]);
    assert_eq!(listing.others.len(), 5);
}
