//! The part of `check` that looks at a container: the signature, the sign-in, whose it is, and that it can be written.

use jiff::Timestamp;

use super::{Level, Lines};
use crate::cause::chain;
use crate::config::{Azure, Config, SignIn};
use crate::ledger::Ledger;
use crate::owner;
use crate::stage::StageError;
use crate::stage::azure::{Container, Kind, Patience, signature};

const NAME: &str = "azure";
const SIGN_IN: &str = "azure sign-in";
/// A signature that ends sooner is worth a warning; 30 days, in seconds.
const SOON: i64 = 30 * 86_400;
/// What is written and removed again; its name begins with a dot, so no importer takes it.
const PROBE: &str = ".check";
/// What placing asks for, by a signature's letters: read, write (ready lists replace each other), create, delete, list.
const NEEDED: &str = "rwcdl";

pub(super) fn check(lines: &mut Lines, config: &Config, ledger: Option<&Ledger>, offline: bool, now: Timestamp) {
    let Some(azure) = &config.staging.azure else { return };
    if !signed(lines, azure, now) {
        return;
    }
    if offline {
        return lines.add(NAME, Level::Note, "not asked (--offline)".to_owned());
    }
    let container = match Container::configured(config, Patience::Look) {
        Ok(Some(container)) => container,
        Ok(None) => return,
        Err(error) => return lines.failed(SIGN_IN, &error),
    };
    if !matches!(azure.sign_in, SignIn::Sas(_)) {
        match container.sign_in() {
            Ok(()) => lines.add(SIGN_IN, Level::Ok, format!("{} gives a token", who(azure))),
            Err(error) => return lines.failed(SIGN_IN, &error),
        }
    }
    if let Some(ledger) = ledger
        && let Err(error) = owner::of_container(&container, ledger)
    {
        return lines.failed(NAME, &error);
    }
    probe(lines, &container);
}

fn who(azure: &Azure) -> &'static str {
    match azure.sign_in {
        SignIn::Sas(_) => "the signature",
        SignIn::Managed(None) => "this machine's managed identity",
        SignIn::Managed(Some(_)) => "the managed identity with staging.azure.client_id",
        SignIn::App => "the app registration of [entra]",
    }
}

/// Whether the signature, where there is one, can be used: its form, its end, and what it allows.
fn signed(lines: &mut Lines, azure: &Azure, now: Timestamp) -> bool {
    let SignIn::Sas(credential) = &azure.sign_in else { return true };
    // One that is missing or unreadable has its line already.
    if credential.read().is_err() {
        return false;
    }
    let sas = match signature(credential) {
        Ok(sas) => sas,
        Err(error) => {
            lines.failed(SIGN_IN, &error);
            return false;
        }
    };
    let (level, text) = match sas.expires {
        None => (Level::Ok, "the signature goes by a stored access policy, which says when it ends".to_owned()),
        Some(end) if end <= now => (
            Level::Failure,
            format!("the signature ended {end}; put a new one into the credential {}", credential.name()),
        ),
        Some(end) if end.as_second() - now.as_second() < SOON => (
            Level::Warning,
            format!("the signature ends {end}; put a new one into the credential {}", credential.name()),
        ),
        Some(end) => (Level::Ok, format!("the signature ends {end}")),
    };
    lines.add(SIGN_IN, level, text);
    if let Some(lacking) = sas.permissions.map(|has| NEEDED.replace(|letter| has.contains(letter), ""))
        && !lacking.is_empty()
    {
        let text = format!(
            "the signature does not allow what these letters stand for: {lacking}; runs need {NEEDED} (list only to see \
             whether another firm is staged there)"
        );
        lines.add(SIGN_IN, Level::Warning, text);
    }
    level != Level::Failure
}

/// A small blob is written, and removed again. Who may not remove can still place.
fn probe(lines: &mut Lines, container: &Container) {
    let name = container.name(PROBE);
    if let Err(error) = container.write(&name, b"icechatd check\n") {
        return lines.failed(NAME, &error);
    }
    let shown = container.shown();
    match container.remove(&name) {
        Ok(()) => lines.add(NAME, Level::Ok, format!("{shown}: can be written")),
        Err(StageError::Container(refusal)) if refusal.kind == Kind::Denied => {
            let text = format!(
                "{shown}: can be written, and nothing may be removed: {PROBE} and spent ready lists stay, and each run says \
                 so; allow it to delete, if that is not meant"
            );
            lines.add(NAME, Level::Note, text);
        }
        Err(error) => lines.add(NAME, Level::Warning, chain(&error)),
    }
}
