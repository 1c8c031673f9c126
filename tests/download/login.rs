//! Logins: keys, passwords, and sites that ask for both.

use super::*;

#[test]
fn keys_of_every_kind_open_the_site() {
    let kinds: [(&[&str], &str); 4] = [
        (&["-t", "ed25519"], "with a passphrase"),
        (&["-t", "rsa", "-b", "4096"], ""),
        (&["-t", "rsa", "-b", "2048", "-m", "PEM"], ""),
        (&["-t", "ecdsa"], ""),
    ];
    for (client_key, passphrase) in kinds {
        let sshd = Sshd::start(SshdOptions { client_key, passphrase, ..SshdOptions::default() });
        let phrase = Zeroizing::new(format!("{passphrase}\n").into_bytes());
        let wrong = Zeroizing::new(b"wrong".to_vec());
        let secrets = key(&sshd.client_key()).with_passphrase("old", wrong).with_passphrase("new", phrase);
        site(&of(&sshd), &secrets).list().unwrap_or_else(|error| panic!("{client_key:?}: {error}: {}", sshd.log()));
        let signed = sshd.log().lines().any(|line| line.contains("Accepted publickey") && !line.contains("ssh-rsa"));
        assert!(signed, "{}", sshd.log());
    }
}

#[test]
fn several_keys_are_tried_in_order() {
    let sshd = Sshd::start(SshdOptions::default());
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("old"), &["-t", "ed25519"], "");
    let old = Zeroizing::new(fs::read(dir.path().join("old")).unwrap());
    let new = Zeroizing::new(fs::read(sshd.client_key()).unwrap());
    let secrets = Secrets::default().with_key("old", old).with_key("new", new);
    site(&of(&sshd), &secrets).list().unwrap();
    let log = sshd.log();
    let refused = fingerprint(&dir.path().join("old.pub"));
    assert!(log.contains(&refused) && log.contains("Accepted publickey"), "{log}");
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let sshd = Sshd::start(SshdOptions { passphrase: "secret", ..SshdOptions::default() });
    let cases = [
        (key(&sshd.client_key()), "ssh key `ssh-key` in keys.ssh is no private key, or is protected and none of keys"),
        (
            Secrets::default().with_key("k2", Zeroizing::new(b"garbage".to_vec())),
            "ssh key `k2` in keys.ssh is no private",
        ),
        (Secrets::default().with_key("k3", Zeroizing::new(vec![0xff])), "ssh key `k3` in keys.ssh is no text file"),
        (Secrets::default(), "nothing to log in with"),
    ];
    for (secrets, message) in cases {
        let (is_final, said) = trouble(Site::new(&of(&sshd), &limits(), &secrets).map(|_| ()));
        assert!(is_final && said.contains(message), "{said}");
    }
}

#[test]
fn a_refused_login_is_final_and_says_what_was_tried() {
    let sshd = Sshd::start(SshdOptions::default());
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("other"), &["-t", "ed25519"], "");
    let proxy = Proxy::start(sshd.port(), &[Line::Good]);
    let mut settings = of(&sshd);
    settings.port = proxy.port();
    let (is_final, said) = trouble(site(&settings, &key(&dir.path().join("other"))).list());
    assert!(is_final && said.contains("refused (tried ssh-ed25519 `ssh-key`)"), "{said}");
    assert_eq!(proxy.connections(), 1, "a refused login was tried again");
    settings.firm_code = "nobody-here".to_owned();
    let (is_final, said) = trouble(site(&settings, &key(&sshd.client_key())).list());
    assert!(is_final && said.contains("login as `nobody-here` refused"), "{said}");
}

#[test]
fn too_many_keys_are_a_refused_login_too() {
    let sshd = Sshd::start(SshdOptions { config: "MaxAuthTries 2", ..SshdOptions::default() });
    let dir = tempfile::tempdir().unwrap();
    let mut secrets = Secrets::default();
    for name in ["a", "b", "c", "d"] {
        keygen(&dir.path().join(name), &["-t", "ed25519"], "");
        secrets = secrets.with_key(name, Zeroizing::new(fs::read(dir.path().join(name)).unwrap()));
    }
    let (is_final, said) = trouble(site(&of(&sshd), &secrets).list());
    assert!(is_final && said.contains("Too many authentication failures"), "{said}");
}

#[test]
fn a_second_factor_that_we_lack_is_a_refused_login() {
    let config = "PasswordAuthentication yes\nAuthenticationMethods publickey,password";
    let sshd = Sshd::start(SshdOptions { config, ..SshdOptions::default() });
    let secrets = key(&sshd.client_key());
    assert!(matches!(site(&of(&sshd), &secrets).list().unwrap_err().trouble(), Trouble::Login { .. }));
    let secrets = secrets.with_password("sftp-password", Zeroizing::new(b"wrong".to_vec()));
    let (is_final, said) = trouble(site(&of(&sshd), &secrets).list());
    assert!(is_final && said.contains("tried ssh-ed25519 `ssh-key`, password"), "{said}");
    assert!(!said.contains("wrong"), "{said}");
    assert!(sshd.log().contains("Partial publickey"), "{}", sshd.log());
}

/// Logs in at a scripted server with an Ed25519 key and a password; what the server saw, and what came of it.
fn log_in(script: Script, password: Option<&str>) -> (Vec<String>, Result<(), String>) {
    log_in_with("ed25519", script, password)
}

fn log_in_with(kind: &str, script: Script, password: Option<&str>) -> (Vec<String>, Result<(), String>) {
    let server = Scripted::start(script);
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("key"), &["-t", kind], "");
    let mut secrets = key(&dir.path().join("key"));
    if let Some(password) = password {
        secrets = secrets.with_password("sftp-password", Zeroizing::new(format!("{password}\r\n").into_bytes()));
    }
    let listed = site(&settings(server.port(), "ACME", server.host_key()), &secrets).list();
    let outcome = listed.map(|_| ()).map_err(|error| {
        assert!(error.is_final(), "{error}");
        line(&error)
    });
    (server.events(), outcome)
}

#[test]
fn passwords_and_two_factors_work_in_any_order() {
    let (key, password, answer) = ("publickey ssh-ed25519", "password correct horse", "answer correct horse");
    let cases = [
        (vec![PublicKey], vec![key]),
        (vec![Password], vec![key, password]),
        (vec![KeyboardInteractive], vec![key, answer]),
        (vec![PublicKey, Password], vec![key, password]),
        (vec![PublicKey, KeyboardInteractive], vec![key, answer]),
        (vec![Password, PublicKey], vec![key, password, key]),
        (vec![KeyboardInteractive, PublicKey], vec![key, answer, key]),
    ];
    for (factors, expected) in cases {
        let (events, outcome) = log_in(Script { factors: factors.clone(), ..Script::default() }, Some("correct horse"));
        assert_eq!((events, outcome), (expected.into_iter().map(String::from).collect(), Ok(())), "{factors:?}");
    }
}

#[test]
fn questions_that_are_no_password_prompt_are_not_answered() {
    let interactive = Script { factors: vec![KeyboardInteractive], ..Script::default() };
    let strange: [&'static [(&str, bool)]; 2] = [&[("Your name: ", true)], &[("Password: ", false), ("Code: ", false)]];
    for questions in strange {
        let (events, outcome) = log_in(Script { questions, ..interactive.clone() }, Some("correct horse"));
        assert!(outcome.unwrap_err().contains("a question that the password does not answer"));
        assert_eq!(events, ["publickey ssh-ed25519"]);
    }
    let (events, outcome) = log_in(Script { endless_questions: true, ..interactive.clone() }, Some("correct horse"));
    assert!(outcome.unwrap_err().contains("login as `ACME` refused"));
    assert_eq!(events, ["publickey ssh-ed25519", "answer correct horse"], "the password was shown twice");
    let endless = Script { questions: &[], endless_questions: true, ..interactive.clone() };
    assert!(log_in(endless, Some("correct horse")).1.unwrap_err().contains("does not stop asking"));
    for script in [interactive, Script { factors: vec![Password], ..Script::default() }] {
        let said = log_in(script, Some("battery staple")).1.unwrap_err();
        assert!(said.contains("refused") && !said.contains("battery"), "{said}");
    }
    assert!(log_in(Script { factors: vec![Password], ..Script::default() }, None).1.unwrap_err().contains("refused"));
}

#[test]
fn secrets_do_not_show() {
    let secret = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let secrets = Secrets::default().with_key("name", secret("KEY")).with_password("p", secret("WORD"));
    let shown = format!("{secrets:?}");
    assert!(shown.contains("name") && !shown.contains("KEY") && !shown.contains("WORD"), "{shown}");
}

#[test]
fn a_connection_that_breaks_during_the_login_is_no_refusal() {
    let (events, outcome) = log_in(Script { hang_ups: 1, ..Script::default() }, None);
    assert_eq!((events.len(), outcome), (2, Ok(())));
}

#[test]
fn an_rsa_key_signs_with_sha2_even_where_the_site_does_not_say_what_it_takes() {
    let script = Script { signature_algorithms: false, ..Script::default() };
    let (events, _) = log_in_with("rsa", script, None);
    assert_eq!(events, ["publickey rsa-sha2-512"]);
}
