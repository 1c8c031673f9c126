//! `keys`: make, show, hand out, replace and prolong the SSH and PGP keys (contract 3).

mod entra;
mod extend;
mod rotate;
mod show;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::civil::Date;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::{Failure, output};
use crate::config::{Credential, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys::{self, HandOut, KeyFile, KeyPaths, Made};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the SSH and PGP key pairs that are missing; never overwrites one
    Init {
        /// In their place a key and a certificate to sign in to Microsoft Entra with
        #[arg(long, conflicts_with = "rsa")]
        entra: bool,

        /// RSA-4096 for SSH, where the site does not take Ed25519
        #[arg(long)]
        rsa: bool,

        /// Print what was made as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fingerprints, creation and expiry of the keys in use, the retired ones, and those that nothing names
    Show {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write what an admin sends to ICE, and the certificate for Microsoft Entra if there is one
    ///
    /// For ICE: public keys, address, and a letter. For an administrator of the tenant: entra-certificate.cer to upload at
    /// the app registration, and entra-key-credentials.json with all certificates in use, as Microsoft Graph takes them.
    Export {
        /// Where to write; made if it is missing
        dir: PathBuf,

        /// Print what was written as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make new keys beside the present ones and name them first in the configuration
    ///
    /// Old and new keys are in use together until `keys retire`. Nothing is overwritten, and the configuration keeps its
    /// remarks and its layout.
    Rotate {
        /// A new SSH key alone
        #[arg(long)]
        ssh: bool,

        /// A new PGP key alone
        #[arg(long)]
        pgp: bool,

        /// A new certificate for Microsoft Entra alone
        #[arg(long)]
        entra: bool,

        /// RSA-4096 for SSH; without it the new key is RSA only if the present one is
        #[arg(long)]
        rsa: bool,

        /// Print what was made as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a key out of use, when ICE uses the new one
    ///
    /// An SSH key's name leaves keys.ssh. A PGP key's name moves from keys.pgp to keys.retired: it still opens the
    /// originals that are kept, and no new export. A certificate's name leaves entra.certificate. No file is deleted.
    Retire {
        /// The key, as the configuration names it; `keys show` lists them
        name: String,

        /// Print what is in use afterwards as JSON
        #[arg(long)]
        json: bool,
    },
    /// Move the end of the PGP certificate, and write the hand-outs once more
    Extend {
        /// So many years from today
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(i16).range(1..=30))]
        years: i16,

        /// To the end of this day, in UTC
        #[arg(long, value_name = "DATE", conflicts_with = "years", value_parser = super::day_of)]
        until: Option<Date>,

        /// The key, as the configuration names it; the newest by default
        #[arg(long, value_name = "NAME")]
        key: Option<String>,

        /// Where to write the hand-outs; made if it is missing
        dir: PathBuf,

        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn keys(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    let config = KeysConfig::load(config)?;
    match verb {
        Verb::Init { entra: true, json, .. } => entra::init(&config, *json),
        Verb::Init { rsa, json, .. } => init(&config, *rsa, *json),
        Verb::Show { json } => show::show(&config, *json),
        Verb::Export { dir, json } => export(&config, dir, *json),
        Verb::Rotate { ssh, pgp, entra, rsa, json } => {
            let (ssh, pgp) = if *ssh || *pgp || *entra { (*ssh, *pgp) } else { (true, true) };
            rotate::rotate(&config, rotate::Wanted { ssh, pgp, entra: *entra, rsa: *rsa }, *json)
        }
        Verb::Retire { name, json } => rotate::retire(&config, name, *json),
        Verb::Extend { years, until, key, dir, json } => {
            let until = extend::end(*years, *until)?;
            extend::extend(&config, key.as_deref(), until, dir, *json)
        }
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
        output::complain(
            "--rsa made no key, for one stands there; icechatd keys rotate --ssh --rsa makes one beside it",
        );
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
    entra: Vec<KeyFile>,
    passphrases: Vec<Zeroizing<Vec<u8>>>,
}

fn secrets(config: &KeysConfig) -> Result<Secrets, Failure> {
    Ok(Secrets {
        ssh: config.keys.ssh.iter().map(key_file).collect::<Result<_, _>>()?,
        pgp: config.keys.pgp.iter().map(key_file).collect::<Result<_, _>>()?,
        entra: entra::standing(config).map(key_file).collect::<Result<_, _>>()?,
        passphrases: passphrases(config)?,
    })
}

fn passphrases(config: &KeysConfig) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
    config.keys.passphrases.iter().map(bytes).collect()
}

fn key_file(credential: &Credential) -> Result<KeyFile, Failure> {
    let path = place(credential).to_owned();
    Ok(KeyFile { name: credential.name().to_owned(), path, secret: bytes(credential)? })
}

fn bytes(credential: &Credential) -> Result<Zeroizing<Vec<u8>>, Failure> {
    Ok(Zeroizing::new(credential.read()?.expose_secret().to_vec()))
}

fn export(config: &KeysConfig, dir: &Path, json: bool) -> Result<(), Failure> {
    let exported = hand_out(config, dir)?;
    if json {
        let facts = serde_json::json!({"directory": dir, "files": exported.files, "missing": exported.missing});
        return output::print_json(&facts);
    }
    for file in &exported.files {
        output::print(&file.display().to_string())?;
    }
    output::print("send these to ICE; README.txt has the words. None of them is secret.")?;
    if entra::standing(config).next().is_some() {
        output::print("but for entra-*: an administrator of your tenant uploads the .cer at the app registration")?;
    }
    Ok(())
}

/// Writes the hand-outs, and says what is missing in them.
fn hand_out(config: &KeysConfig, dir: &Path) -> Result<keys::Exported, Failure> {
    let secrets = secrets(config)?;
    let hand_out = HandOut {
        firm_code: config.firm_code.as_deref(),
        egress_ip: &config.egress_ip,
        ssh: &secrets.ssh,
        pgp: &secrets.pgp,
        entra: &secrets.entra,
    };
    let exported = keys::export(dir, hand_out, &secrets.passphrases)?;
    for key in &exported.missing {
        output::complain(&format!("{key} is not set: README.txt has a gap there; set it and export again"));
    }
    for missing in entra::certificates(config).filter(|certificate| certificate.path().is_none()) {
        output::complain(&format!(
            "entra.certificate: there is no {} yet; icechatd keys init --entra makes it",
            missing.name()
        ));
    }
    if exported.others {
        output::complain(&format!("{} holds other files too; send ICE only those named here", dir.display()));
    }
    Ok(exported)
}
