//! The part of `check` that looks at credentials and keys.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::{Level, Lines};
use crate::cause::chain;
use crate::config::{Config, Credential, SignIn};
use crate::keys::{self, KeyFile, PgpKey};

/// A PGP certificate that ends sooner is worth a warning; 30 days, in seconds: a new one has to reach ICE first.
const SOON: i64 = 30 * 86_400;

/// Each credential is there, and nobody else's to read or replace. Without those for alerts and for the tenant a run does not
/// fail by itself.
pub(super) fn credentials(lines: &mut Lines, config: &Config) {
    let keys = &config.keys;
    let named = keys.ssh.iter().chain(&keys.pgp).chain(&keys.retired).chain(&keys.passphrases).chain(&keys.signers);
    let sas = config.staging.azure.iter().filter_map(|azure| match &azure.sign_in {
        SignIn::Sas(credential) => Some(credential),
        SignIn::Managed(_) | SignIn::App => None,
    });
    for each in named.chain(&config.site.password).chain(sas) {
        credential(lines, each, Level::Failure);
    }
    let mail = config.mail.iter().filter_map(|mail| mail.login.as_ref().map(|(_, password)| password));
    let entra = config.entra.iter().flat_map(|entra| &entra.certificates);
    for each in config.alerts.webhook.iter().chain(&config.alerts.ping).chain(mail).chain(entra) {
        credential(lines, each, Level::Warning);
    }
}

fn credential(lines: &mut Lines, credential: &Credential, missing: Level) {
    const NAME: &str = "credential";
    if let Err(error) = credential.read() {
        return lines.add(NAME, missing, chain(&error));
    }
    if let Some(exposed) = credential.exposed() {
        return lines.add(NAME, Level::Warning, chain(&exposed));
    }
    let path = credential.path().unwrap_or_else(|| credential.own_path());
    let (owner, is_ours) = owner(path);
    let mode = path.metadata().map_or(0, |found| found.mode() & 0o7777);
    let text = format!("{}: {}, mode {mode:04o}, of {owner}", credential.key(), path.display());
    if credential.is_from_systemd() {
        lines.add(NAME, Level::Ok, format!("{text}, handed over by systemd"));
    } else if is_ours {
        lines.add(NAME, Level::Ok, text);
    } else {
        let advice = "who could replace it; run this as the service's user, or change the owner (chown)";
        lines.add(NAME, Level::Warning, format!("{text}, {advice}"));
    }
}

/// Whose a file is, and whether that is this user or root.
fn owner(path: &Path) -> (String, bool) {
    let ours = rustix::process::geteuid().as_raw();
    match path.metadata().map(|found| found.uid()) {
        Ok(0) => ("root".to_owned(), true),
        Ok(user) if user == ours => ("this user".to_owned(), true),
        Ok(user) => (format!("user {user}"), false),
        Err(_) => ("nobody known".to_owned(), false),
    }
}

/// What the keys are, and when they expire. A key that another outlives is one that was rotated out: it still decrypts.
pub(super) fn keys(lines: &mut Lines, config: &Config, now: Timestamp) {
    let passphrases: Vec<_> = config.keys.passphrases.iter().filter_map(|key| key.read_line().ok()).collect();
    let passphrases: Vec<&[u8]> = passphrases.iter().map(|text| text.expose_secret().as_bytes()).collect();
    let shown = match keys::show(&key_files(&config.keys.ssh), &key_files(&config.keys.pgp), &passphrases) {
        Ok(shown) => shown,
        Err(error) => return lines.failed("keys", &error),
    };
    for key in &shown.ssh {
        lines.add("ssh key", Level::Ok, format!("{} {}", key.algorithm, key.fingerprint));
    }
    let lasts = |key: &PgpKey| key.expires.is_none_or(|end| end.as_second() - now.as_second() >= SOON) && !key.revoked;
    let is_covered = shown.pgp.iter().any(lasts);
    for key in &shown.pgp {
        let text = described(key, now);
        if is_covered || lasts(key) {
            lines.add("pgp key", Level::Ok, text);
        } else {
            let advice = "ICE may refuse to encrypt to it: move its end (icechatd keys extend DIR) or make a new key \
                          (icechatd keys rotate), and send ICE the hand-outs";
            lines.add("pgp key", Level::Warning, format!("{text}; {advice}"));
        }
    }
    match keys::show(&[], &key_files(&config.keys.retired), &passphrases) {
        Ok(retired) => {
            for key in &retired.pgp {
                let text = format!("{} {}: opens kept originals alone", key.algorithm, key.fingerprint);
                lines.add("retired key", Level::Ok, text);
            }
        }
        Err(error) => lines.failed("retired key", &error),
    }
}

fn described(key: &PgpKey, now: Timestamp) -> String {
    let expiry = match key.expires {
        None => "never expires".to_owned(),
        Some(end) if end <= now => format!("expired {end}"),
        Some(end) => format!("expires {end}"),
    };
    let revoked = if key.revoked { " and is revoked" } else { "" };
    format!("{} {} {expiry}{revoked}", key.algorithm, key.fingerprint)
}

fn key_files(credentials: &[Credential]) -> Vec<KeyFile> {
    let read = |credential: &Credential| {
        let secret = Zeroizing::new(credential.read().ok()?.expose_secret().to_vec());
        Some(KeyFile { name: credential.name().to_owned(), path: credential.path()?.to_owned(), secret })
    };
    credentials.iter().filter_map(read).collect()
}
