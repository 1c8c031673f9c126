//! `keys show`: what the keys are, and what each is used for.

use jiff::Timestamp;
use serde_json::json;

use super::{Failure, entra, key_file, output, passphrases, place};
use crate::config::{Credential, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys::{self, EntraCertificate, PgpKey, Protection, Shown, SshKey, Unused};

pub(super) fn show(config: &KeysConfig, json: bool) -> Result<(), Failure> {
    let passphrases = passphrases(config)?;
    let mut failure = None;
    // What is wrong with one key must not hide the others.
    let mut describe = |credentials: &[Credential], is_ssh: bool| {
        let mut all = Shown { ssh: Vec::new(), pgp: Vec::new() };
        for credential in credentials {
            let shown = key_file(credential).and_then(|key| {
                let key = [key];
                let (ssh, pgp): (&[_], &[_]) = if is_ssh { (&key, &[]) } else { (&[], &key) };
                Ok(keys::show(ssh, pgp, &passphrases)?)
            });
            match shown {
                Ok(Shown { ssh, pgp }) => {
                    all.ssh.extend(ssh);
                    all.pgp.extend(pgp);
                }
                Err(error) => note(&mut failure, error),
            }
        }
        all
    };
    let ssh = describe(&config.keys.ssh, true).ssh;
    let pgp = describe(&config.keys.pgp, false).pgp;
    let retired = describe(&config.keys.retired, false).pgp;
    let certificates = certificates(config, &mut failure);
    let unused = unused(config, &passphrases);
    if json {
        let facts = json!({"ssh": ssh, "pgp": pgp, "retired": retired, "entra": certificates, "unused": unused});
        output::print_json(&facts)?;
    } else {
        let text = [text(&ssh, &pgp, &retired), entra_text(&certificates), unused_text(&unused)].concat().join("\n");
        if !text.is_empty() {
            output::print(&text)?;
        }
    }
    failure.map_or(Ok(()), |failure| Err(Failure::new(ExitCode::Failed, failure.line)))
}

fn certificates(config: &KeysConfig, failure: &mut Option<Failure>) -> Vec<EntraCertificate> {
    let mut all = Vec::new();
    for credential in entra::certificates(config) {
        match key_file(credential).and_then(|file| Ok(keys::show_entra(&[file])?)) {
            Ok(shown) => all.extend(shown),
            Err(error) => note(failure, error),
        }
    }
    all
}

/// The last failure is the verb's; those before it are said.
fn note(failure: &mut Option<Failure>, error: Failure) {
    if let Some(earlier) = failure.replace(error) {
        output::complain(&earlier.line);
    }
}

fn unused(config: &KeysConfig, passphrases: &[impl AsRef<[u8]>]) -> Vec<Unused> {
    let keys = &config.keys;
    let secret = || keys.ssh.iter().chain(&keys.pgp).chain(&keys.retired).chain(&config.certificates);
    let folders: Vec<_> = secret().filter_map(|credential| credential.own_path().parent()).collect();
    let named: Vec<_> = secret().chain(&keys.passphrases).chain(&keys.signers).map(place).collect();
    keys::unused(&folders, &named, passphrases)
}

fn text(ssh: &[SshKey], pgp: &[PgpKey], retired: &[PgpKey]) -> Vec<String> {
    let mut lines = Vec::new();
    for key in ssh {
        lines.push(format!("ssh  {}  {}  {}", key.algorithm, key.fingerprint, key.file.display()));
        let written = key.written.map_or_else(String::new, |written| format!("; file of {written}"));
        lines.push(format!("     in use{written}{}", protected(key.protection)));
        lines.push(format!("     {}", key.public_line));
    }
    for (key, standing) in pgp.iter().map(|key| (key, "in use")).chain(retired.iter().map(|key| (key, "retired"))) {
        let revoked = if key.revoked { "; REVOKED" } else { "" };
        lines.push(format!("pgp  {}  {}  {}", key.algorithm, key.fingerprint, key.file.display()));
        lines.push(format!(
            "     {standing}; made {}; expires {}{revoked}{}",
            key.created,
            end(key.expires),
            protected(key.protection)
        ));
        let user = key.user_id.as_deref().unwrap_or("no user id");
        lines.push(format!("     {user}; decrypts what is encrypted to {}", key.decrypts.join(", ")));
    }
    lines
}

fn entra_text(certificates: &[EntraCertificate]) -> Vec<String> {
    let lines = certificates.iter().flat_map(|certificate| {
        let EntraCertificate { subject, bits, thumbprint, sha1_thumbprint, begins, expires, file, .. } = certificate;
        [
            format!("entra  RSA {bits}  {thumbprint}  {}", file.display()),
            format!("     in use; made {begins}; expires {expires}; {subject}"),
            format!("     thumbprint on Entra's pages (SHA-1): {sha1_thumbprint}"),
        ]
    });
    lines.collect()
}

fn unused_text(unused: &[Unused]) -> Vec<String> {
    let lines = unused.iter().flat_map(|key| {
        let fingerprint = key.fingerprint.as_deref().unwrap_or("locked, no passphrase of keys.passphrases fits");
        let named_by = if key.kind == "entra" { "entra.certificate".to_owned() } else { format!("keys.{}", key.kind) };
        [
            format!("{}  {fingerprint}  {}", key.kind, key.file.display()),
            format!("     NOT IN USE: {named_by} of the configuration does not name it"),
        ]
    });
    lines.collect()
}

fn end(expires: Option<Timestamp>) -> String {
    expires.map_or_else(|| "never".to_owned(), |expires| expires.to_string())
}

fn protected(protection: Protection) -> &'static str {
    match protection {
        Protection::None => "",
        Protection::Opened => "; opened with a passphrase of keys.passphrases",
        Protection::Locked => "; LOCKED: no passphrase of keys.passphrases fits",
    }
}
