//! Keys as the real `ssh-keygen` and gpg see them, and what an admin sends to ICE.

use crate::support;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use icechatd::decrypt::{Caps, Opener, SecretKeys, survey};
use icechatd::keys::{Exported, HandOut, KeyFile, KeyPaths, KeysError, Made, Protection, export, init, show};
use support::gpg::{Encrypt, Gpg};

/// A folder that only we may write to, with the paths of two keys.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn init(&self, rsa: bool) -> Result<(Made, Made), KeysError> {
        init(KeyPaths { ssh: &self.path("ssh-key"), pgp: &self.path("pgp-key") }, Some("ACME"), rsa)
    }

    fn key(&self, name: &str) -> KeyFile {
        KeyFile::read(name, self.path(name)).unwrap()
    }
}

const NO_PASSPHRASE: &[&str] = &[];

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn ssh_keygen(args: &[&str], path: &Path) -> String {
    let output = Command::new("ssh-keygen").args(args).arg("-f").arg(path).output().unwrap();
    assert!(output.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Encrypts to whom the home's gpg knows as `user`, and opens it with the secret key in `bytes`.
fn round_trip(gpg: &Gpg, user: &str, bytes: &[u8], passphrases: &[&str]) {
    let ciphertext = gpg.encrypt(b"chat", &Encrypt { recipients: &[user], ..Encrypt::default() });
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&ciphertext).unwrap();
    let keys = SecretKeys::parse(&[("pgp-key".to_owned(), bytes)], passphrases).unwrap();
    let opener = Opener { keys: &keys, signers: None, caps: Caps { max_plaintext: 100, max_ratio: 100 } };
    let (plaintext, _) = survey(&file, &opener, |plaintext| {
        let mut bytes = Vec::new();
        plaintext.read_to_end(&mut bytes).map(|_| bytes)
    })
    .unwrap();
    assert_eq!(plaintext, b"chat");
}

#[test]
fn new_keys_are_what_ssh_keygen_and_gpg_take() {
    let home = Home::new();
    assert_eq!(home.init(false).unwrap(), (Made::New, Made::New));
    assert_eq!((mode(&home.path("ssh-key")), mode(&home.path("pgp-key"))), (0o600, 0o600));
    let shown = show(&[home.key("ssh-key")], &[home.key("pgp-key")], NO_PASSPHRASE).unwrap();
    let (ssh, pgp) = (&shown.ssh[0], &shown.pgp[0]);

    let listed = ssh_keygen(&["-l"], &home.path("ssh-key"));
    assert_eq!(listed, format!("256 {} icechatd ACME (ED25519)\n", ssh.fingerprint));
    assert_eq!(ssh_keygen(&["-y"], &home.path("ssh-key")).trim_end(), ssh.public_line);
    assert_eq!((ssh.algorithm.as_str(), ssh.protection), ("ssh-ed25519", Protection::None));

    let gpg = Gpg::new();
    gpg.import(&home.key("pgp-key").secret);
    assert_eq!(gpg.fingerprint("ACME"), pgp.fingerprint);
    assert_eq!(pgp.user_id.as_deref(), Some("icechatd ACME"));
    assert_eq!((pgp.algorithm.as_str(), pgp.protection, pgp.revoked), ("Ed25519, Curve25519", Protection::None, false));
    let days =
        (pgp.expires.unwrap() - pgp.created).total((jiff::Unit::Hour, jiff::SpanRelativeTo::days_are_24_hours()));
    assert!((days.unwrap() / 24.0 - 730.0).abs() < 1.0);
    let secret = gpg.run(&["--with-colons", "--list-secret-keys"], b"");
    let secret = String::from_utf8(secret).unwrap();
    assert!(secret.contains("sec:") && secret.contains("ssb:"), "{secret}");
    // gpg can decrypt with what it imported, without a passphrase.
    let ciphertext = gpg.encrypt(b"chat", &Encrypt { recipients: &["ACME"], ..Encrypt::default() });
    assert_eq!(gpg.run(&["--decrypt"], &ciphertext), b"chat");
    round_trip(&gpg, "ACME", &home.key("pgp-key").secret, &[]);
}

/// A sender's program compresses as it is set up, and must not be told that we might not read it.
#[test]
fn gpg_finds_its_compression_among_our_preferences() {
    let home = Home::new();
    home.init(false).unwrap();
    let gpg = Gpg::new();
    gpg.import(&home.key("pgp-key").secret);
    for algorithm in ["zlib", "bzip2", "zip"] {
        let how = ["--compress-algo", algorithm, "--encrypt", "-r", "ACME"];
        let said = String::from_utf8(gpg.try_run(&how, b"chat").stderr).unwrap();
        assert!(!said.contains("preferences"), "{said}");
    }
}

/// A held file's reason names key ids; an operator compares them with `keys show`.
#[test]
fn the_key_id_that_a_message_names_is_shown() {
    let home = Home::new();
    home.init(false).unwrap();
    let gpg = Gpg::new();
    gpg.import(&fs::read(home.path("pgp-key")).unwrap());
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys"], b"")).unwrap();
    let subkey = listing.lines().find(|line| line.starts_with("sub:")).unwrap().split(':').nth(4).unwrap().to_owned();
    let shown = show(&[], &[home.key("pgp-key")], NO_PASSPHRASE).unwrap();
    assert_eq!(shown.pgp[0].decrypts, [subkey]);
}

#[test]
fn rsa_where_the_site_needs_it() {
    let home = Home::new();
    home.init(true).unwrap();
    let listed = ssh_keygen(&["-l"], &home.path("ssh-key"));
    assert!(listed.starts_with("4096 ") && listed.ends_with("(RSA)\n"), "{listed}");
    let shown = show(&[home.key("ssh-key")], &[], NO_PASSPHRASE).unwrap();
    assert_eq!(ssh_keygen(&["-y"], &home.path("ssh-key")).trim_end(), shown.ssh[0].public_line);
}

#[test]
fn what_stands_is_kept_and_what_is_missing_made() {
    let home = Home::new();
    fs::write(home.path("pgp-key"), b"mine").unwrap();
    assert_eq!(home.init(false).unwrap(), (Made::New, Made::Kept));
    let ssh = fs::read(home.path("ssh-key")).unwrap();
    assert_eq!(home.init(false).unwrap(), (Made::Kept, Made::Kept));
    assert_eq!(fs::read(home.path("ssh-key")).unwrap(), ssh);
    assert_eq!(fs::read(home.path("pgp-key")).unwrap(), b"mine");
    fs::remove_file(home.path("ssh-key")).unwrap();
    std::os::unix::fs::symlink("elsewhere", home.path("ssh-key")).unwrap();
    assert_eq!(home.init(false).unwrap(), (Made::Kept, Made::Kept));
    assert!(!home.path("elsewhere").exists());
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let home = Home::new();
    for open in [0o770, 0o702] {
        fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(open)).unwrap();
        let error = home.init(false).unwrap_err();
        assert!(matches!(error, KeysError::OpenToOthers { .. }));
        assert!(error.to_string().contains(&format!("chmod go-w {}", home.folder.path().display())), "{error}");
    }
    fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_dir(home.folder.path()).unwrap().count(), 0);
    home.init(false).unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let home = Home::new();
    let paths = (home.path("none/ssh-key"), home.path("none/pgp-key"));
    let error = init(KeyPaths { ssh: &paths.0, pgp: &paths.1 }, None, false).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.ends_with("/none"), "{error}: {source}");
}

#[test]
fn protected_keys_of_the_operators_own_are_shown() {
    let home = Home::new();
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "ssh secret", "-C", "own"], &home.path("ssh-key"));
    ssh_keygen(&["-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "ssh secret", "-C", "own"], &home.path("pkcs8-key"));
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("Own <own@example.com>", "pgp secret");
    fs::write(home.path("pgp-key"), gpg.export_secret("own@example.com", "pgp secret")).unwrap();

    let shown = |passphrases: &[&str]| {
        show(&[home.key("ssh-key")], &[home.key("pgp-key")], passphrases)
            .map(|all| (all.ssh[0].clone(), all.pgp[0].clone()))
    };
    let (ssh, pgp) = shown(&["wrong"]).unwrap();
    assert_eq!((ssh.protection, pgp.protection), (Protection::Locked, Protection::Locked));
    assert_eq!(pgp.fingerprint, fingerprint);
    assert!(ssh_keygen(&["-l"], &home.path("ssh-key")).contains(&ssh.fingerprint));
    let (ssh, pgp) = shown(&["ssh secret\n", "pgp secret"]).unwrap();
    assert_eq!((ssh.protection, pgp.protection), (Protection::Opened, Protection::Opened));
    assert!(pgp.expires.is_some());
    round_trip(&gpg, "own@example.com", &home.key("pgp-key").secret, &["wrong", "pgp secret"]);

    let hidden = show(&[home.key("pkcs8-key")], &[], &["ssh secret"]).unwrap();
    assert_eq!(hidden.ssh[0].protection, Protection::Opened);
    let error = show(&[home.key("pkcs8-key")], &[], &["wrong"]).unwrap_err();
    assert!(error.to_string().starts_with("pkcs8-key: "), "{error}");
}

#[test]
fn what_is_no_key_is_named() {
    let home = Home::new();
    fs::write(home.path("ssh-key"), b"garbage").unwrap();
    assert!(show(&[home.key("ssh-key")], &[], NO_PASSPHRASE).unwrap_err().to_string().contains("ssh-key: not an SSH"));
    assert!(show(&[], &[home.key("ssh-key")], NO_PASSPHRASE).unwrap_err().to_string().contains("not an OpenPGP"));
    fs::write(home.path("ssh-key"), b"").unwrap();
    assert!(show(&[home.key("ssh-key")], &[], NO_PASSPHRASE).is_err());
    assert!(show(&[], &[home.key("ssh-key")], NO_PASSPHRASE).is_err());
}

/// What a firm has to know of ICE before the first export can be taken.
const QUESTIONS: [&str; 11] = [
    "host key",
    "format of the exports",
    "a sample",
    "how the files are named",
    "time zone",
    "how long files stay",
    "a day without chats",
    "attachments",
    "maintenance window",
    "issued again",
    "announce new host keys",
];

/// Two key pairs, the newer first, handed out to `folder`.
fn hand_out(home: &Home, folder: &Path) -> Exported {
    let (ssh, pgp) = (["ssh-key", "old-ssh-key"], ["pgp-key", "old-pgp-key"]);
    let (ssh, pgp) = (ssh.map(|name| home.key(name)), pgp.map(|name| home.key(name)));
    let egress_ip = ["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    let hand_out = HandOut { firm_code: Some("ACME"), egress_ip: &egress_ip, ssh: &ssh, pgp: &pgp, entra: &[] };
    export(folder, hand_out, NO_PASSPHRASE).unwrap()
}

#[test]
fn the_hand_outs_are_what_gpg_and_sshd_take_and_hold_no_secret() {
    let home = Home::new();
    let old = (home.path("old-ssh-key"), home.path("old-pgp-key"));
    init(KeyPaths { ssh: &old.0, pgp: &old.1 }, None, false).unwrap();
    home.init(false).unwrap();
    let folder = home.path("for-ice");
    let exported = hand_out(&home, &folder);
    assert_eq!(exported.missing, [""; 0]);
    // Once more, over what stands.
    assert_eq!(hand_out(&home, &folder).files, exported.files);
    let names = ["README.txt", "egress-ip.txt", "pgp-public-key.asc", "ssh-public-key.pub"];
    let mut seen: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    seen.sort();
    assert_eq!(seen, names);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();

    assert_eq!(read("egress-ip.txt"), "203.0.113.7\n2001:db8::7\n");
    assert_eq!(read("ssh-public-key.pub"), ssh_keygen(&["-y"], &home.path("ssh-key")));
    ssh_keygen(&["-l"], &folder.join("ssh-public-key.pub"));

    let shown = show(&[home.key("ssh-key")], &[home.key("pgp-key"), home.key("old-pgp-key")], NO_PASSPHRASE).unwrap();
    let gpg = Gpg::new();
    gpg.import(read("pgp-public-key.asc").as_bytes());
    let first = fs::read(folder.join("pgp-public-key.asc")).unwrap();
    assert!(gpg.run(&["--with-colons", "--show-keys"], &first).starts_with(b"pub:"));
    assert!(gpg.run(&["--list-secret-keys"], b"").is_empty());
    round_trip(&gpg, &shown.pgp[0].fingerprint, &home.key("pgp-key").secret, &[]);
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys"], b"")).unwrap();
    assert_eq!(listing.matches("pub:").count(), 1, "only the newest is handed out: {listing}");

    let letter = read("README.txt");
    let (ssh, pgp) = (&shown.ssh[0].fingerprint, &shown.pgp[0].fingerprint);
    for needed in ["ACME", "203.0.113.7", "2001:db8::7", ssh, pgp].into_iter().chain(QUESTIONS) {
        assert!(letter.contains(needed), "{needed} is not in the letter:\n{letter}");
    }
    assert!(letter.contains(&format!("in place of\n    {}\n", shown.pgp[1].fingerprint)), "{letter}");
    assert!(letter.lines().all(|line| line.len() <= 120), "{letter}");
    for name in names {
        assert_eq!(mode(&folder.join(name)), 0o644);
        assert_no_secret(&home, &read(name));
    }
}

/// Neither the armour of a secret key nor any line of one that is not in its public part as well.
fn assert_no_secret(home: &Home, content: &str) {
    assert!(!content.contains("PRIVATE"));
    for name in ["ssh-key", "old-ssh-key", "pgp-key", "old-pgp-key"] {
        let secret = fs::read_to_string(home.path(name)).unwrap();
        let lines: Vec<&str> = secret.lines().filter(|line| line.len() > 40 && !line.contains(' ')).collect();
        assert!(lines.len() > 3);
        assert!(lines[1..].iter().all(|line| !content.contains(line)), "a line of {name} was handed out");
    }
}

#[test]
fn gaps_in_the_letter_are_named() {
    let home = Home::new();
    let hand_out = HandOut { firm_code: None, egress_ip: &[], ssh: &[], pgp: &[], entra: &[] };
    let exported = export(&home.path("out"), hand_out, NO_PASSPHRASE).unwrap();
    assert_eq!(exported.missing, ["site.firm_code", "site.egress_ip", "keys.ssh", "keys.pgp"]);
}

#[test]
fn nothing_printed_holds_a_secret() {
    let home = Home::new();
    home.init(false).unwrap();
    let (ssh, pgp) = (home.key("ssh-key"), home.key("pgp-key"));
    assert_no_private(&format!("{ssh:?} {pgp:?}"));
    let shown = show(&[ssh], &[pgp], NO_PASSPHRASE).unwrap();
    assert_no_private(&format!("{shown:?} {}", serde_json::to_string(&shown).unwrap()));
}

fn assert_no_private(text: &str) {
    assert!(!text.contains("PRIVATE") && !text.contains("45, 45, 45"), "{text}");
}

#[test]
fn an_unreadable_file_is_an_error_with_its_path() {
    let error = KeyFile::read("ssh-key", "/nowhere/ssh-key").unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/ssh-key");
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
}
