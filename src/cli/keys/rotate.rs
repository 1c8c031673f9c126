//! `keys rotate` and `keys retire`: new keys beside the old ones, until the old ones are out of use.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::{Failure, key_file, output, passphrases};
use crate::cause::chain;
use crate::config::{Change, Credential, KeyNames, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys::{self, NewKey, Rotation};

/// What is to be made.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag of the verb")]
pub(super) struct Wanted {
    pub(super) ssh: bool,
    pub(super) pgp: bool,
    pub(super) entra: bool,
    pub(super) rsa: bool,
}

pub(super) fn rotate(config: &KeysConfig, wanted: Wanted, json: bool) -> Result<(), Failure> {
    if wanted.rsa && !wanted.ssh {
        return Err(Failure::new(ExitCode::Usage, "--rsa is for SSH keys; add --ssh"));
    }
    let ssh = if wanted.ssh { Some(Succession::of(config, &config.keys.ssh)?) } else { None };
    let pgp = if wanted.pgp { Some(Succession::of(config, &config.keys.pgp)?) } else { None };
    let entra = if wanted.entra { Some(of_entra(config)?) } else { None };
    let names = KeyNames {
        ssh: ssh.as_ref().map(|kind| kind.names(&config.keys.ssh)),
        pgp: pgp.as_ref().map(|kind| kind.names(&config.keys.pgp)),
        retired: None,
        certificates: entra.as_ref().map(|kind| kind.names(&config.certificates)),
    };
    // Worked out before a key is made, so that none is made that cannot be named.
    let change = Change::of(&config.file, &names)?;
    let rsa = wanted.rsa || ssh.as_ref().is_some_and(|ssh| ssh.is_rsa(config));
    let [new_ssh, new_pgp, new_entra] = [&ssh, &pgp, &entra].map(|kind| kind.as_ref().map(Succession::new_key));
    let rotation = Rotation { ssh: new_ssh, rsa, pgp: new_pgp, entra: new_entra };
    keys::rotate(rotation, config.firm_code.as_deref(), Timestamp::now())?;
    let made =
        [("ssh", &ssh), ("pgp", &pgp), ("entra", &entra)].map(|(kind, succession)| Some((kind, succession.as_ref()?)));
    let made: Vec<(&str, &Succession<'_>)> = made.into_iter().flatten().collect();
    change.write().map_err(|error| not_named(&made, config, &names, &chain(&error)))?;
    if json {
        let list: Vec<_> = made.iter().map(|(kind, made)| made.facts(kind)).collect();
        return output::print_json(&json!({"made": list, "configuration": config.file}));
    }
    for (kind, made) in &made {
        output::print(&format!("{kind} key: made: {}", made.new.own_path().display()))?;
    }
    output::print(&format!("{}: {}", config.file.display(), names.lines().join(", ")))?;
    for (_, made) in &made {
        made.complain_of_systemd();
    }
    if entra.is_some() {
        output::print(
            "next: icechatd keys export DIR, upload entra-certificate.cer at the app registration beside the old one, and \
             when icechatd check signs in by the new one, icechatd keys retire NAME for the old one",
        )?;
    }
    if ssh.is_none() && pgp.is_none() {
        return Ok(());
    }
    output::print(
        "next: icechatd keys export DIR, send it to ICE, and when ICE uses the new keys, icechatd keys retire NAME for \
         each old one; keep a copy of a new PGP key in a safe",
    )
}

/// Without the section, the new certificate's name could be written nowhere.
fn of_entra(config: &KeysConfig) -> Result<Succession<'_>, Failure> {
    if !config.has_entra {
        return Err(Failure::new(
            ExitCode::Config,
            "there is no section [entra]; icechatd keys init --entra comes first",
        ));
    }
    Succession::of(config, &config.certificates)
}

/// Keys were made and the configuration does not say so: then a person must, and hears what.
fn not_named(made: &[(&str, &Succession<'_>)], config: &KeysConfig, names: &KeyNames, why: &str) -> Failure {
    let files: Vec<_> = made.iter().map(|(_, made)| made.new.own_path().display().to_string()).collect();
    let line = format!(
        "{why}. The new keys are made ({}) but not in use: write into [keys] of {}: {}",
        files.join(", "),
        config.file.display(),
        names.lines().join("  and  ")
    );
    Failure::new(ExitCode::Failed, line)
}

/// A new key and the one it follows.
struct Succession<'a> {
    present: &'a Credential,
    new: Credential,
}

impl<'a> Succession<'a> {
    fn of(config: &KeysConfig, present: &'a [Credential]) -> Result<Self, Failure> {
        let Some(present) = present.first() else {
            return Err(Failure::new(ExitCode::Config, "keys.ssh and keys.pgp must each name a credential"));
        };
        let keys = &config.keys;
        let named: Vec<&Credential> =
            [&keys.ssh, &keys.pgp, &keys.retired, &keys.passphrases, &keys.signers, &config.certificates]
                .into_iter()
                .flatten()
                .collect();
        let is_free = |new: &Credential| {
            !named.iter().any(|other| other.name() == new.name())
                && new.places().all(|place| place.symlink_metadata().is_err())
        };
        let (stem, number) = numbered(present.name());
        let mut candidates = (number + 1..).map(|number| present.renamed(&format!("{stem}-{number}")));
        let new = candidates.find(is_free);
        let new = new.ok_or_else(|| Failure::new(ExitCode::Failed, "no name is left for a new key"))?;
        Ok(Self { present, new })
    }

    fn names(&self, present: &[Credential]) -> Vec<String> {
        [&self.new].into_iter().chain(present).map(|credential| credential.name().to_owned()).collect()
    }

    fn new_key(&self) -> NewKey<'_> {
        NewKey { path: self.new.own_path(), beside: self.present.path() }
    }

    /// Whether the site is likely to need it: the present key is.
    fn is_rsa(&self, config: &KeysConfig) -> bool {
        let shown = key_file(self.present).and_then(|key| Ok(keys::show(&[key], &[], &passphrases(config)?)?));
        shown.is_ok_and(|shown| shown.ssh.iter().any(|key| key.algorithm == "ssh-rsa"))
    }

    fn facts(&self, kind: &str) -> serde_json::Value {
        let line = self.load_credential();
        json!({"kind": kind, "name": self.new.name(), "path": self.new.own_path(), "load_credential": line})
    }

    /// The unit's line, where systemd hands over the present key, or hands it to the daemon and not to us.
    fn load_credential(&self) -> Option<String> {
        let beside = self.present.path() == Some(self.present.own_path());
        (!beside).then(|| load_credential(self.new.name(), self.new.own_path()))
    }

    fn complain_of_systemd(&self) {
        if let Some(line) = self.load_credential() {
            let present = self.present.name();
            output::complain(&format!(
                "{present} is not beside the configuration but, it seems, a credential of systemd; to have it hand over \
                 the new one too, add to the unit: {line}"
            ));
        }
    }
}

fn load_credential(name: &str, path: &Path) -> String {
    format!("LoadCredential={name}:{}", path.display())
}

/// `pgp-key-2` is the second `pgp-key`.
fn numbered(name: &str) -> (&str, u32) {
    let parts = name.rsplit_once('-').and_then(|(stem, number)| Some((stem, number.parse().ok()?)));
    parts.filter(|(stem, number)| !stem.is_empty() && *number < 1_000_000).unwrap_or((name, 1))
}

pub(super) fn retire(config: &KeysConfig, name: &str, json: bool) -> Result<(), Failure> {
    let keys = &config.keys;
    let (kind, list) = kind_of(config, name)?;
    let left: Vec<String> =
        list.iter().map(Credential::name).filter(|other| *other != name).map(str::to_owned).collect();
    if left.is_empty() {
        let key = if kind == "entra" { "entra.certificate".to_owned() } else { format!("keys.{kind}") };
        let line = format!("{name} is the last of {key}; icechatd keys rotate --{kind} makes another one first");
        return Err(Failure::new(ExitCode::Failed, line));
    }
    let names = match kind {
        "ssh" => KeyNames { ssh: Some(left.clone()), ..KeyNames::default() },
        "entra" => KeyNames { certificates: Some(left.clone()), ..KeyNames::default() },
        _ => {
            let retired = [name].into_iter().chain(keys.retired.iter().map(Credential::name)).map(str::to_owned);
            KeyNames { pgp: Some(left.clone()), retired: Some(retired.collect()), ..KeyNames::default() }
        }
    };
    let written = Change::of(&config.file, &names).and_then(|change| change.write());
    written.map_err(|error| {
        let lines = names.lines().join("  and  ");
        let section = if kind == "entra" { "entra" } else { "keys" };
        let line = format!("{}. {name} stays in use; to retire it, write {lines} into [{section}]", chain(&error));
        Failure::new(ExitCode::Failed, line)
    })?;
    if json {
        let facts = json!({"retired": name, "kind": kind, "in_use": left, "configuration": config.file});
        return output::print_json(&facts);
    }
    output::print(&format!("{}: {}", config.file.display(), names.lines().join(", ")))?;
    output::print(&format!("in use: {}. {}", left.join(", "), what_of_the_file(kind, name)))
}

/// Of which list a key in use is.
fn kind_of<'a>(config: &'a KeysConfig, name: &str) -> Result<(&'static str, &'a [Credential]), Failure> {
    let keys = &config.keys;
    let has = |list: &[Credential]| list.iter().any(|credential| credential.name() == name);
    if has(&keys.ssh) {
        return Ok(("ssh", &keys.ssh));
    }
    if has(&keys.pgp) {
        return Ok(("pgp", &keys.pgp));
    }
    if has(&config.certificates) {
        return Ok(("entra", &config.certificates));
    }
    let known: Vec<_> = keys.ssh.iter().chain(&keys.pgp).map(Credential::name).collect();
    let why = if has(&keys.retired) { "is retired already" } else { "is neither in keys.ssh nor in keys.pgp" };
    Err(Failure::new(ExitCode::Failed, format!("{name} {why}; in use: {}", known.join(", "))))
}

fn what_of_the_file(kind: &str, name: &str) -> String {
    match kind {
        "ssh" => format!(
            "The file of {name} stays; delete it, and its LoadCredential= line in a unit, once the site has removed its \
             public key"
        ),
        "entra" => format!(
            "The file of {name} stays; remove its certificate at the app registration, then delete the file, and its \
             LoadCredential= line in a unit"
        ),
        _ => format!(
            "A new export that is encrypted to {name} is held from now on. Never delete its file, nor its LoadCredential= \
             line in a unit, while originals that are encrypted to it are kept: replay needs it"
        ),
    }
}
