//! `keys`: make, show and hand out the SSH and PGP keys (contract 3).

use std::path::{Path, PathBuf};

use clap::Subcommand;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::{Failure, output};
use crate::config::{Credential, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys::{self, HandOut, KeyFile, KeyPaths, Made, Protection, Shown};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the SSH and PGP key pairs that are missing; never overwrites one
    Init {
        /// RSA-4096 for SSH, where the site does not take Ed25519
        #[arg(long)]
        rsa: bool,

        /// Print what was made as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fingerprints, creation and expiry
    Show {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write what an admin sends to ICE: public keys, address, and a letter
    Export {
        /// Where to write; made if it is missing
        dir: PathBuf,

        /// Print what was written as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn keys(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    let config = KeysConfig::load(config)?;
    match verb {
        Verb::Init { rsa, json } => init(&config, *rsa, *json),
        Verb::Show { json } => show(&config, *json),
        Verb::Export { dir, json } => export(&config, dir, *json),
    }?;
    Ok(ExitCode::Complete)
}

fn init(config: &KeysConfig, rsa: bool, json: bool) -> Result<(), Failure> {
    let (Some(ssh), Some(pgp)) = (config.keys.ssh.first(), config.keys.pgp.first()) else {
        return Err(Failure::new(ExitCode::Config, "keys.ssh and keys.pgp must each name a credential"));
    };
    let paths = KeyPaths { ssh: place(ssh), pgp: place(pgp) };
    let (ssh_made, pgp_made) = keys::init(paths, config.firm_code.as_deref(), rsa)?;
    let facts = [("ssh", paths.ssh, ssh_made), ("pgp", paths.pgp, pgp_made)];
    if json {
        let list: Vec<_> = facts
            .iter()
            .map(|(kind, path, made)| serde_json::json!({"kind": kind, "path": path, "made": made}))
            .collect();
        return output::print_json(&list.into());
    }
    for (kind, path, made) in facts {
        let what = match made {
            Made::New => "made",
            Made::Kept => "kept as it is",
        };
        output::print(&format!("{kind} key: {what}: {}", path.display()))?;
    }
    if rsa && ssh_made == Made::Kept {
        output::complain("--rsa made no key, for one stands there; to have both, name a new one first in keys.ssh");
    }
    output::print("next: icechatd keys export DIR writes what ICE needs; keep a copy of the PGP key in a safe")
}

/// A key that is there, wherever it was found, is not made a second time elsewhere.
fn place(credential: &Credential) -> &Path {
    credential.path().unwrap_or_else(|| credential.own_path())
}

struct Secrets {
    ssh: Vec<KeyFile>,
    pgp: Vec<KeyFile>,
    passphrases: Vec<Zeroizing<Vec<u8>>>,
}

fn secrets(config: &KeysConfig) -> Result<Secrets, Failure> {
    Ok(Secrets {
        ssh: config.keys.ssh.iter().map(key_file).collect::<Result<_, _>>()?,
        pgp: config.keys.pgp.iter().map(key_file).collect::<Result<_, _>>()?,
        passphrases: config.keys.passphrases.iter().map(bytes).collect::<Result<_, _>>()?,
    })
}

fn key_file(credential: &Credential) -> Result<KeyFile, Failure> {
    let path = place(credential).to_owned();
    Ok(KeyFile { name: credential.name().to_owned(), path, secret: bytes(credential)? })
}

fn bytes(credential: &Credential) -> Result<Zeroizing<Vec<u8>>, Failure> {
    Ok(Zeroizing::new(credential.read()?.expose_secret().to_vec()))
}

fn show(config: &KeysConfig, json: bool) -> Result<(), Failure> {
    let secrets = secrets(config)?;
    let shown = keys::show(&secrets.ssh, &secrets.pgp, &secrets.passphrases)?;
    if json {
        return output::print_json(&serde_json::to_value(&shown).unwrap_or_default());
    }
    output::print(&text(&shown))
}

fn export(config: &KeysConfig, dir: &Path, json: bool) -> Result<(), Failure> {
    let secrets = secrets(config)?;
    let hand_out = HandOut {
        firm_code: config.firm_code.as_deref(),
        egress_ip: &config.egress_ip,
        ssh: &secrets.ssh,
        pgp: &secrets.pgp,
    };
    let exported = keys::export(dir, hand_out, &secrets.passphrases)?;
    if json {
        let facts = serde_json::json!({"directory": dir, "files": exported.files, "missing": exported.missing});
        return output::print_json(&facts);
    }
    for file in &exported.files {
        output::print(&file.display().to_string())?;
    }
    for key in &exported.missing {
        output::complain(&format!("{key} is not set: README.txt has a gap there; set it and export again"));
    }
    output::print("send these to ICE; README.txt has the words. None of them is secret.")
}

fn text(shown: &Shown) -> String {
    let mut lines = Vec::new();
    for key in &shown.ssh {
        lines.push(format!("ssh  {}  {}  {}", key.algorithm, key.fingerprint, key.file.display()));
        lines.push(format!("     {}{}", key.public_line, protected(key.protection)));
    }
    for key in &shown.pgp {
        let expires = key.expires.map_or_else(|| "never".to_owned(), |expires| expires.to_string());
        let revoked = if key.revoked { "; REVOKED" } else { "" };
        lines.push(format!("pgp  {}  {}  {}", key.algorithm, key.fingerprint, key.file.display()));
        lines.push(format!("     decrypts what is encrypted to {}", key.decrypts.join(", ")));
        lines.push(format!(
            "     {}; made {}; expires {expires}{revoked}{}",
            key.user_id.as_deref().unwrap_or("no user id"),
            key.created,
            protected(key.protection)
        ));
    }
    lines.join("\n")
}

fn protected(protection: Protection) -> &'static str {
    match protection {
        Protection::None => "",
        Protection::Opened => "; opened with a passphrase of keys.passphrases",
        Protection::Locked => "; LOCKED: no passphrase of keys.passphrases fits",
    }
}
