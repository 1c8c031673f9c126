//! The part of `check` that looks at the sign-in to Microsoft Entra and at the tenant's users.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Level, Lines, dated};
use crate::cause::chain;
use crate::config::{Config, Entra};
use crate::entra::{Certificate, SignIn};
use crate::inputs::{self, Asked, Snapshot};
use crate::ledger::Ledger;
use crate::resolve::Directory;

/// A certificate that ends sooner is worth a warning: somebody has to upload the next one first.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The certificates, the sign-in by one of them, and the tenant's users. The snapshot that would come into force.
pub(super) fn check(
    lines: &mut Lines,
    config: &Config,
    ledger: &Ledger,
    offline: bool,
    now: Timestamp,
) -> Option<Arc<Directory>> {
    let entra = config.entra.as_ref()?;
    certificates(lines, &inputs::entra_certificates(config), now);
    if offline {
        lines.add("sign-in", Level::Note, "not tried (--offline)".to_owned());
        age(lines, config, ledger, now);
        return None;
    }
    let level = if has_fallback(config, ledger) { Level::Warning } else { Level::Failure };
    if !sign_in(lines, entra, level) {
        age(lines, config, ledger, now);
        return None;
    }
    match inputs::ask_tenant(config, ledger, true) {
        Err(error) => lines.failed("ledger", &error),
        Ok(None) => {}
        Ok(Some(Asked::Good(snapshot) | Asked::Confirmed(snapshot, _))) => {
            users(lines, &snapshot, Level::Ok, None);
            return Some(Arc::clone(&snapshot.set));
        }
        Ok(Some(Asked::Rejected(snapshot, dwindled))) => {
            users(lines, &snapshot, level, Some(dwindled.to_string()));
        }
        Ok(Some(Asked::Failed(error))) => {
            lines.add("tenant", level, chain(error.as_ref()));
            age(lines, config, ledger, now);
        }
    }
    None
}

/// Whether a run goes on without an answer: by the last good snapshot, or by a list. Without `mailboxes.graph` none asks.
fn has_fallback(config: &Config, ledger: &Ledger) -> bool {
    let is_kept = || matches!(inputs::kept_directory(ledger), Ok(Some(_)));
    config.mailboxes.graph.is_none() || config.mailboxes.list.is_some() || is_kept()
}

/// One that another outlives was rotated out.
fn certificates(lines: &mut Lines, all: &[Certificate], now: Timestamp) {
    let lasts = |one: &Certificate| one.ends.duration_since(now) > SOON;
    let is_covered = all.iter().any(lasts);
    for one in all {
        let when = if one.ends <= now { "ended" } else { "ends" };
        let (name, bits, thumbprint) = (&one.name, one.bits, one.thumbprint());
        let text = format!("{name}: RSA {bits} {thumbprint} {when} {}", one.ends.strftime("%Y-%m-%d"));
        if is_covered || lasts(one) {
            lines.add("certificate", Level::Ok, text);
        } else {
            let advice = "make the next one (icechatd keys rotate --entra), and have the .cer that icechatd keys export DIR \
                          writes uploaded at the app registration";
            lines.add("certificate", Level::Warning, format!("{text}; {advice}"));
        }
    }
}

fn sign_in(lines: &mut Lines, entra: &Entra, level: Level) -> bool {
    const NAME: &str = "sign-in";
    let tried = SignIn::new(entra).and_then(|sign_in| sign_in.try_now(&format!("{}/.default", entra.graph)));
    match tried {
        Ok(by) => {
            let text = format!("as {} in {} at {}, by {by}", entra.client_id, entra.tenant, entra.authority);
            let newest = entra.certificates.first().map(crate::config::Credential::name);
            if newest.is_some_and(|newest| newest != by) {
                let advice = "the tenant does not know the newer certificate yet: upload the .cer that icechatd keys export \
                              DIR writes, at the app registration";
                lines.add(NAME, Level::Note, format!("{text}; {advice}"));
            } else {
                lines.add(NAME, Level::Ok, text);
            }
            true
        }
        Err(error) => {
            lines.add(NAME, level, chain(&error));
            false
        }
    }
}

fn users(lines: &mut Lines, snapshot: &Snapshot, level: Level, why: Option<String>) {
    let Snapshot { users, judged, set, .. } = snapshot;
    let why = why.map_or_else(String::new, |why| format!("; {why}"));
    let text = format!(
        "{} users, {} with a mailbox, {} without; {} ImIds{why}",
        users.all.len(),
        set.mailboxes.mailboxes(),
        judged.without,
        set.im_ids.len()
    );
    lines.add("tenant", level, text);
    for line in judged.contested() {
        lines.add("tenant", Level::Warning, format!("{line}; it counts for none of them: correct it in the tenant"));
    }
}

/// How old what is in force is, where it is not read anew.
fn age(lines: &mut Lines, config: &Config, ledger: &Ledger, now: Timestamp) {
    const NAME: &str = "tenant";
    let Some(settings) = &config.mailboxes.graph else { return };
    let standing = match ledger.directory_standing() {
        Ok(standing) => standing,
        Err(error) => return lines.failed("ledger", &error),
    };
    let Some(refreshed) = standing.as_ref().and_then(|standing| standing.refreshed) else {
        let level = if has_fallback(config, ledger) { Level::Warning } else { Level::Failure };
        let text = "its users were never read; icechatd mailboxes refresh reads them";
        return lines.add(NAME, level, text.to_owned());
    };
    let text = format!("its users were read last {}", dated(refreshed, now));
    let is_old = SignedDuration::try_from(settings.max_age).is_ok_and(|max| now.duration_since(refreshed) > max);
    if is_old {
        let why = standing.and_then(|standing| standing.error).map_or_else(String::new, |error| format!(": {error}"));
        let text = format!("{text}, longer ago than mailboxes.graph.max_age; who joined since is not valid{why}");
        return lines.add(NAME, Level::Warning, text);
    }
    lines.add(NAME, Level::Ok, text);
}
