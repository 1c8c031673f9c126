//! Download against a real OpenSSH `sshd`, over lines that fail, and from servers that misbehave.
#![cfg(test)]

#[path = "download/host.rs"]
mod host;
#[path = "download/hostile.rs"]
mod hostile;
#[path = "download/liars.rs"]
mod liars;
#[path = "download/lies.rs"]
mod lies;
#[path = "download/lines.rs"]
mod lines;
#[path = "download/login.rs"]
mod login;
pub mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use icechatd::config;
use icechatd::demo::site::LoopbackSite;
use icechatd::digest::Sha256;
use icechatd::download::sftp::{Secrets, Site, SiteError, Timeouts, Trouble};
use icechatd::download::{Progress, RemoteFile};
use russh::MethodKind::{KeyboardInteractive, Password, PublicKey};
use support::nearby;
use support::proxy::{Line, Proxy};
use support::scripted::{Script, Scripted};
use support::sshd::{Sshd, SshdOptions, fingerprint, keygen};
use zeroize::Zeroizing;

fn settings(port: u16, user: &str, host_key: &str) -> config::Site {
    nearby::site(port, user, host_key, ".")
}

fn limits() -> config::Limits {
    nearby::limits(Duration::from_mins(2))
}

/// Failures come quickly in tests.
fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(5),
        authentication: Duration::from_secs(20),
        operation: Duration::from_secs(5),
        least_rate: 1024,
        rate_window: Duration::from_secs(2),
        retries: 2,
        first_wait: Duration::from_millis(20),
    }
}

fn key(path: &Path) -> Secrets {
    Secrets::default().with_key("ssh-key", Zeroizing::new(fs::read(path).unwrap()))
}

fn site(settings: &config::Site, secrets: &Secrets) -> Site {
    Site::with_timeouts(settings, &limits(), secrets, timeouts()).unwrap()
}

fn open(sshd: &Sshd) -> Site {
    site(&of(sshd), &key(&sshd.client_key()))
}

fn of(sshd: &Sshd) -> config::Site {
    settings(sshd.port(), sshd.user(), sshd.host_key_fingerprint())
}

/// Bytes that do not repeat, so that a block at the wrong place shows.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(step).collect();
    bytes.truncate(len);
    bytes
}

fn place(folder: &Path, name: &str, bytes: &[u8]) -> RemoteFile {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    RemoteFile { name: name.to_owned(), size: bytes.len() as u64, mtime: path.metadata().unwrap().mtime() }
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// The whole chain of an error, as the program prints it: it must be one line.
fn line(error: &SiteError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        line = format!("{line}: {next}");
        cause = next.source();
    }
    assert!(!line.contains('\n'), "{line}");
    line
}

fn trouble<T: std::fmt::Debug>(result: Result<T, SiteError>) -> (bool, String) {
    let error = result.unwrap_err();
    (error.is_final(), line(&error))
}

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>, Mutex<u64>);

impl Progress for Recorder {
    fn begin(&self, name: &str, total: u64) {
        self.0.lock().unwrap().push(format!("begin {name} {total}"));
    }

    fn advance(&self, bytes: u64) {
        *self.1.lock().unwrap() += bytes;
    }

    fn end(&self) {
        self.0.lock().unwrap().push("end".to_owned());
    }
}

#[test]
fn an_export_is_listed_fetched_and_removed() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let bytes = noise(5_000_003);
    let file = place(&sshd.root(), "ACME 2026-11-19.pgp", &bytes);
    place(&sshd.root(), "readme.txt", b"hello");
    fs::create_dir(sshd.root().join("folder.pgp")).unwrap();
    std::os::unix::fs::symlink("ACME 2026-11-19.pgp", sshd.root().join("link.pgp")).unwrap();
    let mut site = open(&sshd);
    let listing = site.list().unwrap();
    assert_eq!(listing.exports, std::slice::from_ref(&file));
    let mut others = listing.others;
    others.sort();
    assert_eq!(others, ["folder.pgp", "link.pgp", "readme.txt"]);

    let progress = Recorder::default();
    let taken = site.fetch(&file, spool.path(), &progress).unwrap();
    assert_eq!((taken.name.as_str(), taken.len, taken.sha256), (file.name.as_str(), file.size, Sha256::of(&bytes)));
    assert_eq!(fs::read(&taken.spool).unwrap(), bytes);
    assert_eq!(taken.spool.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(*progress.0.lock().unwrap(), ["begin ACME 2026-11-19.pgp 5000003", "end"]);
    assert_eq!(*progress.1.lock().unwrap(), 5_000_003);

    let older = RemoteFile { mtime: file.mtime - 1, ..file.clone() };
    assert!(!site.remove(&older).unwrap(), "another file was removed");
    assert!(site.remove(&file).unwrap());
    assert!(!site.remove(&file).unwrap());
    assert!(!sshd.root().join(&file.name).exists());
}

#[test]
fn empty_small_and_block_sized_files_come_whole() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let mut site = open(&sshd);
    for len in [0, 1, 32_767, 32_768, 32_769, 128 * 32_768, 129 * 32_768 + 1] {
        let bytes = noise(len);
        let file = place(&sshd.root(), "a.pgp", &bytes);
        let taken = site.fetch(&file, spool.path(), &()).unwrap();
        assert_eq!((taken.len, taken.sha256), (len as u64, Sha256::of(&bytes)));
    }
}

#[test]
fn missing_folders_and_files_that_are_not_ours_are_named() {
    let sshd = Sshd::start(SshdOptions::default());
    let mut settings = of(&sshd);
    settings.directory = "no such folder".to_owned();
    let (is_final, said) = trouble(site(&settings, &key(&sshd.client_key())).list());
    assert!(is_final && said.contains("no such folder` does not exist"), "{said}");
    settings.directory = sshd.root().to_str().unwrap().to_owned();
    let file = place(&sshd.root(), "a.pgp", b"there");
    let mut site = site(&settings, &key(&sshd.client_key()));
    assert_eq!(site.list().unwrap().exports, std::slice::from_ref(&file));
    let gone = RemoteFile { name: "gone.pgp".to_owned(), ..file };
    let spool = tempfile::tempdir().unwrap();
    let error = site.fetch(&gone, spool.path(), &()).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Missing(_)) && error.is_about_one_file(), "{error}");
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_file_that_is_not_the_listed_one_is_refused() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", b"0123456789");
    let mut site = open(&sshd);
    for other in [RemoteFile { size: 9, ..file.clone() }, RemoteFile { mtime: file.mtime - 7, ..file.clone() }] {
        let progress = Recorder::default();
        let error = site.fetch(&other, spool.path(), &progress).unwrap_err();
        assert!(matches!(error.trouble(), Trouble::Changed(_)) && error.is_about_one_file(), "{error}");
        assert_eq!(*progress.1.lock().unwrap(), 0, "bytes of another file were asked for");
    }
    assert_eq!(count(spool.path()), 0);
    site.fetch(&file, spool.path(), &()).unwrap();
}

#[test]
fn a_growing_file_is_waited_for() {
    let sshd = Sshd::start(SshdOptions::default());
    let still = place(&sshd.root(), "still.pgp", b"still");
    let grown = noise(900);
    place(&sshd.root(), "grows.pgp", &grown[..100]);
    place(&sshd.root(), "vanishes.pgp", b"soon gone");
    let mut settings = of(&sshd);
    settings.settle = Duration::from_millis(700);
    let mut site = site(&settings, &key(&sshd.client_key()));
    let listed = site.list().unwrap().exports;
    assert_eq!(listed.len(), 3);
    let (root, bytes) = (sshd.root(), grown.clone());
    let uploader = thread::spawn(move || {
        for len in [300, 500, 700, 900] {
            thread::sleep(Duration::from_millis(300));
            fs::write(root.join("grows.pgp"), &bytes[..len]).unwrap();
        }
        fs::remove_file(root.join("vanishes.pgp")).unwrap();
    });
    thread::sleep(Duration::from_millis(600));
    let (settled, moving) = site.settled(listed, &()).unwrap();
    uploader.join().unwrap();
    let names: Vec<_> = settled.iter().map(|file| (file.name.as_str(), file.size)).collect();
    assert!(names.contains(&("grows.pgp", 900)) && settled.contains(&still), "{names:?}");
    assert_eq!(moving, []);
}

#[test]
fn what_still_grows_at_the_deadline_is_left() {
    let sshd = Sshd::start(SshdOptions::default());
    let file = place(&sshd.root(), "a.pgp", b"x");
    let mut settings = of(&sshd);
    settings.settle = Duration::from_millis(500);
    let limits = config::Limits { transfer_deadline: Duration::from_millis(1800), ..limits() };
    let mut site = Site::with_timeouts(&settings, &limits, &key(&sshd.client_key()), timeouts()).unwrap();
    let root = sshd.root();
    let uploader = thread::spawn(move || {
        for len in 2..20 {
            thread::sleep(Duration::from_millis(150));
            fs::write(root.join("a.pgp"), noise(len)).unwrap();
        }
    });
    let (settled, moving) = site.settled(vec![file.clone()], &()).unwrap();
    assert_eq!(settled, []);
    assert!(moving.len() == 1 && moving[0].size > 1, "{moving:?}");
    uploader.join().unwrap();
    settings.settle = Duration::ZERO;
    let mut at_once = self::site(&settings, &key(&sshd.client_key()));
    assert_eq!(at_once.settled(vec![file.clone()], &()).unwrap(), (vec![file], vec![]));
}

#[test]
fn the_loopback_site_serves_its_folder_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let spool = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("key"), &["-t", "ed25519"], "");
    let folder = dir.path().join("site");
    fs::create_dir(&folder).unwrap();
    let bytes = noise(10_000_019);
    let file = place(&folder, "demo.pgp", &bytes);
    std::os::unix::fs::symlink(dir.path().join("key"), folder.join("link.pgp")).unwrap();
    let public = fs::read_to_string(dir.path().join("key.pub")).unwrap();
    let served = LoopbackSite::serve(&folder, "DEMO", &public).unwrap();
    let settings = settings(served.port(), "DEMO", &served.host_key());
    let mut site = site(&settings, &key(&dir.path().join("key")));
    let listing = site.list().unwrap();
    assert_eq!(
        (listing.exports.as_slice(), listing.others.as_slice()),
        (&[file.clone()][..], &["link.pgp".to_owned()][..])
    );
    assert_eq!(site.fetch(&file, spool.path(), &()).unwrap().sha256, Sha256::of(&bytes));
    let link = RemoteFile { name: "link.pgp".to_owned(), ..file.clone() };
    assert!(site.fetch(&link, spool.path(), &()).is_err());
    assert!(site.remove(&file).unwrap() && !folder.join("demo.pgp").exists());
    keygen(&dir.path().join("other"), &["-t", "ed25519"], "");
    let stranger = self::site(&settings, &key(&dir.path().join("other"))).list();
    assert!(matches!(stranger.unwrap_err().trouble(), Trouble::Login { .. }));
    drop(served);
    assert!(!site.list().unwrap_err().is_final());
}

/// `cargo test --test download -- --ignored --nocapture`; 200 MB each way on loopback.
#[test]
#[ignore = "a measurement"]
fn how_fast_it_is() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(200_000_000));
    let mut site = open(&sshd);
    site.list().unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        site.fetch(&file, spool.path(), &()).unwrap();
        println!("200 MB from sshd: {:?}", start.elapsed());
    }
    let public = fs::read_to_string(sshd.client_key().with_extension("pub")).unwrap();
    let served = LoopbackSite::serve(&sshd.root(), "DEMO", &public).unwrap();
    let settings = settings(served.port(), "DEMO", &served.host_key());
    let mut site = self::site(&settings, &key(&sshd.client_key()));
    site.list().unwrap();
    let start = Instant::now();
    site.fetch(&file, spool.path(), &()).unwrap();
    println!("200 MB from the loopback site: {:?}", start.elapsed());
}
