//! "Validate connection", and everything else a run needs: one line each, with what to do about a failure.

mod site;

use std::path::Path;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use crate::cause::chain;
use crate::config::{Config, Credential};
use crate::durable::{self, Disk};
use crate::inputs::{self, InputError, Inputs, RulesFrom};
use crate::keys::{self, KeyFile, PgpKey};
use crate::ledger::Ledger;
use crate::report;
use crate::schedule;

/// A PGP certificate that ends sooner is worth a warning; 30 days, in seconds: a new one has to reach ICE first.
const SOON: i64 = 30 * 86_400;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; no fault.
    Note,
    /// Works, but needs a person.
    Warning,
    /// A run would fail.
    Failure,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was checked.
    pub name: &'static str,
    /// How it came out.
    pub level: Level,
    /// What was found, and what to do where it is no `ok`.
    pub text: String,
}

/// Checks everything; without the site if `offline`.
pub fn check(config: &Config, offline: bool, now: Timestamp) -> Vec<Line> {
    let mut lines = Lines(Vec::new());
    lines.add("configuration", Level::Ok, config.file.display().to_string());
    lines.credentials(config);
    let inputs = lines.inputs(config);
    lines.keys(config, now);
    lines.state(config, now);
    lines.staging(&config.staging.local);
    lines.schedule(config, now);
    if offline {
        if config.site.host_keys.is_empty() {
            let text = "site.host_keys is empty; icechatd check without --offline shows the key that the site offers";
            lines.add("host key", Level::Failure, text.to_owned());
        }
        lines.add("site", Level::Note, "not asked (--offline)".to_owned());
    } else {
        site::check(&mut lines, config, inputs.as_ref().map(|inputs| &inputs.keys));
    }
    lines.0
}

struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, name: &'static str, level: Level, text: String) {
        self.0.push(Line { name, level, text });
    }

    fn failed(&mut self, name: &'static str, error: &dyn std::error::Error) {
        self.add(name, Level::Failure, chain(error));
    }

    /// Each credential is there, and readable by nobody else.
    fn credentials(&mut self, config: &Config) {
        let keys = &config.keys;
        let named = keys.ssh.iter().chain(&keys.pgp).chain(&keys.passphrases).chain(&keys.signers);
        for credential in named.chain(&config.site.password) {
            match (credential.read(), credential.exposed()) {
                (Err(error), _) => self.failed("credential", &error),
                (Ok(_), Some(exposed)) => self.add("credential", Level::Warning, chain(&exposed)),
                (Ok(_), None) => {
                    let path = credential.path().unwrap_or_else(|| credential.own_path());
                    self.add("credential", Level::Ok, format!("{}: {}", credential.key(), path.display()));
                }
            }
        }
    }

    /// Keys can be used, profile can be read.
    fn inputs(&mut self, config: &Config) -> Option<Inputs> {
        match inputs::profile(&config.export.profile) {
            Ok(profile) => self.add("profile", Level::Ok, profile.name().to_owned()),
            Err(error) => self.failed("profile", &error),
        }
        let inputs = match Inputs::read(config) {
            Ok(inputs) => inputs,
            Err(error) => {
                // What is missing or unreadable has its line already.
                if matches!(error, InputError::Key(_)) {
                    self.failed("keys", &error);
                }
                return None;
            }
        };
        match &inputs.signers {
            Some(signers) => {
                self.add("signers", Level::Ok, format!("{} certificates", signers.fingerprints().len()));
            }
            None => self.add(
                "signers",
                Level::Note,
                "none: whoever can write to the site can forge chat; ask ICE to sign, and set keys.signers".to_owned(),
            ),
        }
        Some(inputs)
    }

    /// What the keys are, and when they expire. A key that another outlives is one that was rotated out: it still decrypts.
    fn keys(&mut self, config: &Config, now: Timestamp) {
        let passphrases: Vec<_> = config.keys.passphrases.iter().filter_map(|key| key.read_line().ok()).collect();
        let passphrases: Vec<&[u8]> = passphrases.iter().map(|text| text.expose_secret().as_bytes()).collect();
        let shown = match keys::show(&key_files(&config.keys.ssh), &key_files(&config.keys.pgp), &passphrases) {
            Ok(shown) => shown,
            Err(error) => return self.failed("keys", &error),
        };
        for key in &shown.ssh {
            self.add("ssh key", Level::Ok, format!("{} {}", key.algorithm, key.fingerprint));
        }
        let lasts = |key: &PgpKey| key.expires.is_none_or(|end| end.as_second() - now.as_second() >= SOON);
        let is_covered = shown.pgp.iter().any(|key| lasts(key) && !key.revoked);
        for key in &shown.pgp {
            let expiry = key.expires.map_or_else(|| "never expires".to_owned(), |end| format!("expires {end}"));
            let text = format!("{} {expiry}", key.fingerprint);
            if is_covered || lasts(key) && !key.revoked {
                self.add("pgp key", Level::Ok, text);
            } else {
                let advice = "ICE may refuse to encrypt to it: make a new key and send it to ICE";
                let revoked = if key.revoked { " and is revoked" } else { "" };
                self.add("pgp key", Level::Warning, format!("{text}{revoked}; {advice}"));
            }
        }
    }

    /// The state folder, the ledger, mapping and list, and what needs a person.
    fn state(&mut self, config: &Config, now: Timestamp) {
        let ledger = Disk::open_or_make(&config.state.directory, 0o700)
            .map_err(crate::ledger::LedgerError::from)
            .and_then(|_| Ledger::for_dry_run(&config.state.directory));
        let ledger = match ledger {
            Ok(ledger) => ledger,
            Err(error) => return self.failed("state", &error),
        };
        self.add("state", Level::Ok, config.state.directory.display().to_string());
        self.rules(config, &ledger);
        match report::needs(&ledger, config, now) {
            Err(error) => self.failed("ledger", &error),
            Ok(needs) if needs.is_clear() => self.add("open matters", Level::Ok, "nothing needs a person".to_owned()),
            Ok(needs) => {
                let text = needs.to_string();
                self.add("open matters", Level::Warning, text.trim().replace("\n  ", "; "));
            }
        }
    }

    /// The operators' files as they stand. A run goes on without them if it has an earlier, good set.
    fn rules(&mut self, config: &Config, ledger: &Ledger) {
        match inputs::rules_strictly(config) {
            Ok(rules) => {
                self.add("mapping", Level::Ok, format!("{} ImIds", rules.mapping.len()));
                match &rules.list {
                    Some(list) => self.add("mailboxes", Level::Ok, format!("{} in the list", list.mailboxes())),
                    None => self.add("mailboxes", Level::Ok, "any address of mailboxes.domains".to_owned()),
                }
            }
            Err(error) => match inputs::rules(config, ledger, RulesFrom::Force) {
                Ok(kept) => {
                    let kept = format!("runs go on with the last good set, of {} ImIds", kept.mapping.len());
                    self.add("mapping", Level::Warning, format!("{}; {kept}", chain(&error)));
                }
                Err(_) => self.failed("mapping", &error),
            },
        }
    }

    /// A file can be written, linked and removed.
    fn staging(&mut self, path: &Path) {
        let probe = || -> Result<bool, durable::PathError> {
            Disk::open_or_make(path, 0o750)?;
            let (file, link) = (path.join(".check"), path.join(".check-link"));
            let _ = (std::fs::remove_file(&file), std::fs::remove_file(&link));
            durable::write_new(&file, 0o440, b"icechatd check\n")?;
            let linked = std::fs::hard_link(&file, &link).is_ok();
            let _ = (std::fs::remove_file(&file), std::fs::remove_file(&link));
            Ok(linked)
        };
        match probe() {
            Ok(true) => self.add("staging", Level::Ok, path.display().to_string()),
            Ok(false) => {
                let text = format!("{}: no hard links there, every mailbox gets a copy of its own", path.display());
                self.add("staging", Level::Note, text);
            }
            Err(error) => self.failed("staging", &error),
        }
    }

    fn schedule(&mut self, config: &Config, now: Timestamp) {
        let zone = &config.schedule.time_zone;
        match schedule::next_slot(&config.schedule, now) {
            Some(next) => self.add(
                "schedule",
                Level::Ok,
                format!("next run {}", next.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z")),
            ),
            None => self.add("schedule", Level::Failure, "no next run can be found; check [schedule]".to_owned()),
        }
        // A clock before this program was written is wrong for certain.
        if now.as_second() < 1_793_000_000 {
            self.add("clock", Level::Failure, format!("it says {now}; set it (timedatectl set-ntp true)"));
        } else {
            self.add("clock", Level::Ok, now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        }
    }
}

fn key_files(credentials: &[Credential]) -> Vec<KeyFile> {
    let read = |credential: &Credential| {
        let secret = Zeroizing::new(credential.read().ok()?.expose_secret().to_vec());
        Some(KeyFile { name: credential.name().to_owned(), path: credential.path()?.to_owned(), secret })
    };
    credentials.iter().filter_map(read).collect()
}
