//! Downloads over lines that break, fall silent, crawl or are long.

use super::*;

#[test]
fn a_dropped_connection_goes_on_where_it_stopped() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let bytes = noise(12_000_001);
    let file = place(&sshd.root(), "a.pgp", &bytes);
    let proxy = Proxy::start(sshd.port(), &[Line::CutAfter(5_000_000), Line::CutAfter(3_000_000), Line::Good]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let mut site = site(&settings, &key(&sshd.client_key()));
    let progress = Recorder::default();
    let taken = site.fetch(&file, spool.path(), &progress).unwrap();
    assert_eq!((taken.len, taken.sha256), (file.size, Sha256::of(&bytes)));
    assert_eq!(fs::read(&taken.spool).unwrap(), bytes);
    assert_eq!(*progress.1.lock().unwrap(), file.size, "bytes were counted twice");
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_line_that_always_breaks_ends_and_leaves_nothing() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(20_000_000));
    let proxy = Proxy::start(sshd.port(), &[Line::CutAfter(1_000_000)]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let error = site(&settings, &key(&sshd.client_key())).fetch(&file, spool.path(), &()).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Lost { .. }) && !error.is_final(), "{error}");
    assert_eq!(proxy.connections(), 3, "first try and two retries");
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_file_that_changes_between_two_connections_is_not_mixed() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(8_000_000));
    let proxy = Proxy::start(sshd.port(), &[Line::CutAfter(4_000_000), Line::Good]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let slow = Timeouts { first_wait: Duration::from_millis(800), ..timeouts() };
    let mut site = Site::with_timeouts(&settings, &limits(), &key(&sshd.client_key()), slow).unwrap();
    let path = sshd.root().join("a.pgp");
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        let mtime = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(5);
        fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    });
    let error = site.fetch(&file, spool.path(), &()).unwrap_err();
    later.join().unwrap();
    assert!(matches!(error.trouble(), Trouble::Changed(_)) && error.is_final(), "{error}");
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_silent_line_is_given_up() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(8_000_000));
    let proxy = Proxy::start(sshd.port(), &[Line::SilentAfter(2_000_000)]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let start = Instant::now();
    let once = Timeouts { retries: 0, ..timeouts() };
    let mut site = Site::with_timeouts(&settings, &limits(), &key(&sshd.client_key()), once).unwrap();
    let error = site.fetch(&file, spool.path(), &()).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Slow { .. }) && !error.is_final(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_slow_line_meets_the_transfer_deadline() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(20_000_000));
    let proxy = Proxy::start(sshd.port(), &[Line::Slow(Duration::from_millis(10))]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let limits = config::Limits { transfer_deadline: Duration::from_secs(3), ..limits() };
    let mut site = Site::with_timeouts(&settings, &limits, &key(&sshd.client_key()), timeouts()).unwrap();
    let error = site.fetch(&file, spool.path(), &()).unwrap_err();
    assert!(line(&error).contains("`a.pgp` was not here within limits.transfer_deadline"), "{}", line(&error));
    assert!(error.is_about_one_file());
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_file_that_changes_while_it_comes_is_refused() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let file = place(&sshd.root(), "a.pgp", &noise(2_000_000));
    let proxy = Proxy::start(sshd.port(), &[Line::Slow(Duration::from_millis(4))]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let mut site = site(&settings, &key(&sshd.client_key()));
    site.list().unwrap();
    let path = sshd.root().join("a.pgp");
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        let mtime = fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(5);
        fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    });
    let error = site.fetch(&file, spool.path(), &()).unwrap_err();
    later.join().unwrap();
    assert!(matches!(error.trouble(), Trouble::Changed(_)), "{error}");
    assert_eq!(count(spool.path()), 0);
}

#[test]
fn a_long_line_is_filled() {
    let sshd = Sshd::start(SshdOptions::default());
    let spool = tempfile::tempdir().unwrap();
    let bytes = noise(30_000_000);
    let file = place(&sshd.root(), "a.pgp", &bytes);
    let proxy = Proxy::start(sshd.port(), &[Line::Far(Duration::from_millis(50))]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let mut site = site(&settings, &key(&sshd.client_key()));
    site.list().unwrap();
    let start = Instant::now();
    assert_eq!(site.fetch(&file, spool.path(), &()).unwrap().sha256, Sha256::of(&bytes));
    let took = start.elapsed();
    println!("30 MB over 100 ms: {took:?}");
    // 916 blocks one after the other would take 92 s; with sixteen in flight, 6 s.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_session_that_died_between_two_calls_is_renewed() {
    let sshd = Sshd::start(SshdOptions::default());
    let file = place(&sshd.root(), "a.pgp", b"x");
    let proxy = Proxy::start(sshd.port(), &[Line::CutAfter(6_000), Line::Good]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let mut site = site(&settings, &key(&sshd.client_key()));
    for _ in 0..20 {
        assert_eq!(site.list().unwrap().exports, std::slice::from_ref(&file));
    }
    assert_eq!(proxy.connections(), 2);
}
