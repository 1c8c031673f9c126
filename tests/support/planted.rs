//! What must be read nowhere but in an EML: every export that a firm of the tests sends has chat text planted in it, and
//! its secrets are known. Whatever the program says, and whatever it leaves in its state folder, is looked through here.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The chat text, at the end of each message's own.
pub const CHAT: &str = "nightjar over the marsh 7391";

/// What this test binary's firms keep to themselves.
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// Everything that was said, for a person to look at after the tests.
static LOG: Mutex<Option<File>> = Mutex::new(None);

/// Chat of the samples, which tests compare byte for byte.
const OF_THE_SAMPLES: [&str; 3] = ["hello from the new desk", "nobody of ours has a mailbox here", "<roll> 2.25 bid"];

/// An export with the text planted in each of its messages, but for the samples, which have their own.
pub fn plant(xml: &str) -> String {
    if xml.contains(OF_THE_SAMPLES[0]) {
        return xml.to_owned();
    }
    xml.replace("</Content>", &format!(" {CHAT}</Content>"))
}

/// Makes a secret known.
pub fn keep_secret(secret: &str) {
    // What is shorter stands in other words by chance.
    if secret.len() >= 8 {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }
}

/// Makes all secrets of a firm known: what the credentials hold that its configuration names, or that a verb makes.
pub fn keep_secrets_of(folder: &Path) {
    let text = fs::read_to_string(folder.join("config.toml")).unwrap_or_default();
    let config: toml::Table = text.parse().unwrap_or_default();
    let mut names = vec!["ssh-key".to_owned(), "pgp-key".to_owned(), "entra-certificate".to_owned()];
    for (section, keys) in [
        ("site", &["password"][..]),
        ("keys", &["ssh", "pgp", "retired", "passphrases"]),
        ("alerts", &["webhook", "ping"]),
        ("mail", &["password"]),
        ("entra", &["certificate"]),
    ] {
        let values = keys.iter().filter_map(|key| config.get(section)?.get(*key));
        names.extend(values.flat_map(|value| match value {
            toml::Value::Array(several) => several.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
        }));
    }
    let sas = config.get("staging").and_then(|staging| staging.get("azure")?.get("sas")?.as_str());
    names.extend(sas.map(str::to_owned));
    for name in names {
        keep_secrets_in(&fs::read_to_string(folder.join(name)).unwrap_or_default());
    }
}

/// Of a key its body, of an address what stands behind the host, of anything else each line.
fn keep_secrets_in(credential: &str) {
    // What follows the key is the certificate, which is public.
    let credential = credential.split("-----BEGIN CERTIFICATE").next().unwrap_or_default();
    // An SSH key's file begins with its public part, and an RSA key's secret part with the modulus again.
    let lines = credential.lines().count();
    // So does an RSA key in PKCS #8, whose modulus stands in the certificate too.
    let public = match credential {
        key if key.starts_with("-----BEGIN OPENSSH") => lines / 2,
        key if key.starts_with("-----BEGIN PRIVATE KEY") && lines > 10 => lines / 3,
        _ => 0,
    };
    let secret = credential.lines().skip(public).map(str::trim);
    for line in secret.filter(|line| !line.starts_with('-') && !line.contains(": ")) {
        keep_secret(line);
        // Of a connection string the address is no secret, and what is stands in it as a whole.
        if let Some((_, address)) = line.split_once("://").filter(|_| !line.contains(';')) {
            address.split(['/', '?', '&', '=']).skip(1).for_each(keep_secret);
        }
    }
}

fn forbidden() -> Vec<String> {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    OF_THE_SAMPLES.iter().chain([&CHAT]).map(|text| (*text).to_owned()).chain(secrets.iter().cloned()).collect()
}

/// Looks through what the program said, and keeps it.
pub fn look_through(what: &str, text: &str) {
    for forbidden in forbidden() {
        assert!(!text.contains(&forbidden), "{what} shows {forbidden:?}:\n{text}");
    }
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let log = log.get_or_insert_with(|| File::create(log_path()).unwrap());
    writeln!(log, "{what}:\n{text}").unwrap();
}

/// One file for each test binary, in the target folder; new with each start.
fn log_path() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("said");
    fs::create_dir_all(&folder).unwrap();
    let program = std::env::current_exe().unwrap();
    let stem = program.file_stem().unwrap().to_str().unwrap();
    folder.join(format!("{}.log", stem.rsplit_once('-').map_or(stem, |(theme, _)| theme)))
}

/// Looks through all that stands in a state folder: ledger, manifests, spool and whatever else a run left. The kept
/// originals are looked through too; they are encrypted.
pub fn look_through_state(state: &Path) {
    if !state.exists() {
        return;
    }
    let mut grep = Command::new("grep")
        .args(["-raFl", "-f", "-"])
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    grep.stdin.take().unwrap().write_all(forbidden().join("\n").as_bytes()).unwrap();
    let found = grep.wait_with_output().unwrap();
    // A file may go while grep looks, which it complains of; what it found, it prints.
    let found = String::from_utf8_lossy(&found.stdout);
    assert!(found.is_empty(), "chat text or a secret stands in {found}");
}
