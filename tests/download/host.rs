//! Reaching the host, and knowing it by its key before anything is said to it.

use super::*;

#[test]
fn a_host_with_another_key_is_refused_before_login() {
    let sshd = Sshd::start(SshdOptions { host_keys: &["ed25519", "rsa", "ecdsa"], ..SshdOptions::default() });
    let pinned = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut site = site(&settings(sshd.port(), sshd.user(), pinned), &key(&sshd.client_key()));
    let (is_final, said) = trouble(site.list());
    assert!(is_final);
    for shown in sshd.host_key_fingerprints().iter().map(String::as_str).chain([pinned]) {
        assert!(said.contains(shown), "{shown} is not in: {said}");
    }
    // Not even a user name was sent.
    assert!(!sshd.log().contains(" user "), "{}", sshd.log());
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
}

#[test]
fn any_pinned_host_key_will_do_whichever_the_host_prefers() {
    let sshd = Sshd::start(SshdOptions { host_keys: &["ed25519", "rsa", "ecdsa"], ..SshdOptions::default() });
    for pinned in sshd.host_key_fingerprints() {
        site(&settings(sshd.port(), sshd.user(), pinned), &key(&sshd.client_key())).list().unwrap();
    }
}

#[test]
fn the_offered_host_key_is_shown_without_a_login() {
    let sshd = Sshd::start(SshdOptions::default());
    let settings = settings(sshd.port(), sshd.user(), "");
    assert_eq!(Site::offered_host_key(&settings).unwrap(), sshd.host_key_fingerprint());
    assert!(!sshd.log().contains(" user "), "{}", sshd.log());
}

#[test]
fn host_certificates_are_not_asked_for() {
    let sshd = Sshd::start(SshdOptions { host_certificate: true, ..SshdOptions::default() });
    site(&of(&sshd), &key(&sshd.client_key())).list().unwrap();
}

#[test]
fn a_site_that_is_down_or_has_no_name_says_which() {
    let mut sshd = Sshd::start(SshdOptions::default());
    let mut site_down = open(&sshd);
    sshd.stop();
    let error = site_down.list().unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Connect(_)) && !error.is_final(), "{error}");
    let mut settings = of(&sshd);
    settings.host = "no-such-host.invalid".to_owned();
    let error = site(&settings, &key(&sshd.client_key())).list().unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Resolve(_)), "{error}");
    assert!(line(&error).starts_with("site no-such-host.invalid:"), "{}", line(&error));
}

#[test]
fn the_source_address_is_used() {
    let sshd = Sshd::start(SshdOptions::default());
    let mut settings = of(&sshd);
    settings.source_address = Some("127.0.0.9".parse().unwrap());
    site(&settings, &key(&sshd.client_key())).list().unwrap();
    assert!(sshd.log().contains("from 127.0.0.9"), "{}", sshd.log());
    settings.source_address = Some("192.0.2.1".parse().unwrap());
    let (is_final, said) = trouble(site(&settings, &key(&sshd.client_key())).list());
    assert!(is_final && said.contains("site.source_address 192.0.2.1"), "{said}");
}

#[test]
fn a_site_that_says_nothing_at_all_is_given_up() {
    let sshd = Sshd::start(SshdOptions::default());
    let proxy = Proxy::start(sshd.port(), &[Line::SilentAfter(0)]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let once = Timeouts { retries: 0, connect: Duration::from_secs(1), ..timeouts() };
    let mut site = Site::with_timeouts(&settings, &limits(), &key(&sshd.client_key()), once).unwrap();
    let (is_final, said) = trouble(site.list());
    assert!(!is_final && said.contains("no answer within 1 s while greeting the SSH server"), "{said}");
}

#[test]
fn the_ciphers_are_those_that_terrapin_cannot_harm() {
    let cases = [("aes256-gcm@openssh.com", true), ("aes128-gcm@openssh.com", true), ("aes256-ctr", true)];
    let refused = [("chacha20-poly1305@openssh.com", false), ("aes256-cbc", false)];
    for (cipher, good) in cases.into_iter().chain(refused) {
        let sshd = Sshd::start(SshdOptions { config: &format!("Ciphers {cipher}"), ..SshdOptions::default() });
        let listed = open(&sshd).list();
        assert_eq!(listed.is_ok(), good, "{cipher}: {listed:?}");
        if !good {
            let (is_final, said) = trouble(listed);
            assert!(is_final && said.contains(&format!("the site offers {cipher}")), "{said}");
        }
    }
}

#[test]
fn a_server_that_renews_its_keys_while_it_sends_is_followed() {
    let sshd = Sshd::start(SshdOptions { config: "RekeyLimit 1M", ..SshdOptions::default() });
    let spool = tempfile::tempdir().unwrap();
    let bytes = noise(12_000_000);
    let file = place(&sshd.root(), "a.pgp", &bytes);
    let proxy = Proxy::start(sshd.port(), &[Line::Good]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let taken = site(&settings, &key(&sshd.client_key())).fetch(&file, spool.path(), &()).unwrap();
    assert_eq!(taken.sha256, Sha256::of(&bytes));
    assert_eq!(proxy.connections(), 1);
}
