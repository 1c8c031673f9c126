//! "Validate connection", and everything else a run needs: one line each, with what to do about a failure.

mod container;
mod folders;
mod rules;
mod secrets;
mod site;
mod surroundings;
mod tenant;

use jiff::{Timestamp, Unit};
use serde::Serialize;

use crate::cause::chain;
use crate::config::Config;
use crate::durable::Disk;
use crate::inputs::{self, InputError, Inputs};
use crate::ledger::Ledger;
use crate::{owner, report};

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

/// Checks everything; without the site and the tenant if `offline`.
pub fn check(config: &Config, offline: bool, now: Timestamp) -> Vec<Line> {
    let mut lines = Lines(Vec::new());
    lines.add("configuration", Level::Ok, config.file.display().to_string());
    secrets::credentials(&mut lines, config);
    let inputs = lines.inputs(config);
    secrets::keys(&mut lines, config, now);
    let ledger = lines.ledger(config, offline, now);
    folders::check(&mut lines, config, ledger.as_ref());
    container::check(&mut lines, config, ledger.as_ref(), offline, now);
    surroundings::schedule(&mut lines, config, now);
    surroundings::clock(&mut lines, ledger.as_ref(), now);
    surroundings::telling(&mut lines, config);
    if offline {
        if config.site.host_keys.is_empty() {
            let text = "site.host_keys is empty; icechatd check without --offline shows the key that the site offers";
            lines.add("host key", Level::Failure, text.to_owned());
        }
        lines.add("site", Level::Note, "not asked (--offline)".to_owned());
    } else {
        site::check(&mut lines, config, inputs.as_ref(), now);
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

    /// Keys can be used, profile can be read.
    fn inputs(&mut self, config: &Config) -> Option<Inputs> {
        match inputs::profile(&config.export.profile).and_then(inputs::decided) {
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
            Some(signers) => self.add("signers", Level::Ok, signers.fingerprints().join(", ")),
            None => self.add(
                "signers",
                Level::Note,
                "none: whoever can write to the site can forge chat; ask ICE to sign, and set keys.signers".to_owned(),
            ),
        }
        Some(inputs)
    }

    /// The ledger, the operators' files beside it, and what needs a person.
    fn ledger(&mut self, config: &Config, offline: bool, now: Timestamp) -> Option<Ledger> {
        if let Err(error) = owner::of_state(config) {
            self.failed("state", &error);
            return None;
        }
        if let Err(error) = Disk::open_or_make(&config.state.directory, 0o700) {
            folders::unusable(self, "state", "state.directory", &error);
            return None;
        }
        let ledger = match Ledger::for_dry_run(&config.state.directory) {
            Ok(ledger) => ledger,
            Err(error) => {
                self.failed("state", &error);
                return None;
            }
        };
        let directory = tenant::check(self, config, &ledger, offline, now);
        rules::check(self, config, &ledger, directory, now);
        match report::needs(&ledger, config, now) {
            Err(error) => self.failed("ledger", &error),
            Ok(needs) if needs.is_clear() => self.add("open matters", Level::Ok, "nothing needs a person".to_owned()),
            Ok(needs) => {
                let text = needs.to_string();
                self.add("open matters", Level::Warning, text.trim().replace("\n  ", "; "));
            }
        }
        Some(ledger)
    }
}

/// A moment as a person reads it, and how long it is over.
fn dated(then: Timestamp, now: Timestamp) -> String {
    let days = days_between(then, now);
    let ago = match days {
        ..0 => "to come".to_owned(),
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    };
    format!("{} UTC ({ago})", then.strftime("%Y-%m-%d %H:%M"))
}

/// Whole days of UTC from one moment's to the other's.
fn days_between(then: Timestamp, now: Timestamp) -> i64 {
    let day = |time: Timestamp| time.as_second().div_euclid(86_400);
    day(now) - day(then)
}

/// When a file was last changed.
fn changed(path: &std::path::Path) -> Option<Timestamp> {
    let time = path.metadata().and_then(|found| found.modified()).ok()?;
    Timestamp::try_from(time).ok()?.round(Unit::Second).ok()
}
