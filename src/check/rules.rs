//! The part of `check` that looks at mapping and mailbox list, and at the mailboxes that the configuration names.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Level, Lines, changed, dated, days_between};
use crate::cause::chain;
use crate::config::Config;
use crate::inputs::{self, RulesFrom};
use crate::ledger::{Ledger, LedgerError};
use crate::resolve::{Directory, RuleSet};

/// A mailbox list that is older is worth a warning: people join and leave. Days.
const OLD_LIST: i64 = 30;

/// The operators' files as they stand. A run goes on without them if it has an earlier, good set.
/// `directory`: the tenant's users as they were read now.
pub(super) fn check(
    lines: &mut Lines,
    config: &Config,
    ledger: &Ledger,
    directory: Option<Arc<Directory>>,
    now: Timestamp,
) {
    match inputs::rules_strictly(config, directory) {
        Ok(rules) => {
            mapping(lines, config, ledger, &rules, now);
            list(lines, config, ledger, &rules, now);
            addresses(lines, config, &rules);
        }
        Err(error) => {
            let name = if error.is_about_the_list() { "mailboxes" } else { "mapping" };
            match inputs::rules(config, ledger, RulesFrom::Force) {
                Ok(kept) => {
                    let kept = format!("runs go on with the last good set, of {} ImIds", kept.mapping.len());
                    lines.add(name, Level::Warning, format!("{}; {kept}", chain(&error)));
                }
                Err(_) => lines.failed(name, &error),
            }
        }
    }
}

fn mapping(lines: &mut Lines, config: &Config, ledger: &Ledger, rules: &RuleSet, now: Timestamp) {
    let files = config.mapping.read_files().unwrap_or_default();
    let newest = files.iter().filter_map(|(name, _)| changed(&config.mapping.directory.join(name))).max();
    let changed = newest.map_or_else(String::new, |newest| format!(", changed {}", dated(newest, now)));
    let plural = if files.len() == 1 { "file" } else { "files" };
    let held = format!("{} ImIds in {} {plural}{changed}", rules.mapping.len(), files.len());
    match in_force(ledger, "mapping", &rules.mapping.canonical(), now) {
        Ok(force) => lines.add("mapping", Level::Ok, format!("{held}; {force}")),
        Err(error) => lines.failed("ledger", &error),
    }
}

fn in_force(ledger: &Ledger, kind: &str, bytes: &[u8], now: Timestamp) -> Result<String, LedgerError> {
    let since = ledger.in_force_since(kind, bytes)?;
    Ok(since.map_or_else(
        || "not in force yet: the daemon puts it in force, or the next run that a person starts".to_owned(),
        |since| format!("in force since {}", dated(since, now)),
    ))
}

fn list(lines: &mut Lines, config: &Config, ledger: &Ledger, rules: &RuleSet, now: Timestamp) {
    const NAME: &str = "mailboxes";
    let (Some(path), Some(list)) = (&config.mailboxes.list, &rules.list) else {
        let Some(directory) = &rules.directory else {
            return lines.add(NAME, Level::Ok, "any address of mailboxes.domains".to_owned());
        };
        let found = directory.mailboxes.mailboxes();
        return match in_force(ledger, "directory", &directory.canonical(), now) {
            Ok(force) => lines.add(NAME, Level::Ok, format!("{found} of the tenant's users; {force}")),
            Err(error) => lines.failed("ledger", &error),
        };
    };
    let force = match in_force(ledger, "list", &list.canonical(), now) {
        Ok(force) => force,
        Err(error) => return lines.failed("ledger", &error),
    };
    let newest = changed(path);
    let date = newest.map_or_else(String::new, |newest| format!(", changed {}", dated(newest, now)));
    let text = format!("{} in the list{date}; {force}", list.mailboxes());
    if newest.is_some_and(|newest| days_between(newest, now) > OLD_LIST) {
        let advice = format!("older than {OLD_LIST} days: people join and leave; export it anew to {}", path.display());
        return lines.add(NAME, Level::Warning, format!("{text}; {advice}"));
    }
    lines.add(NAME, Level::Ok, text);
}

/// What would be staged for an address that is no valid user's, an importer could put nowhere.
fn addresses(lines: &mut Lines, config: &Config, rules: &RuleSet) {
    let named = [("catch_all", &config.mailboxes.catch_all), ("journal", &config.mailboxes.journal)];
    for (key, mailbox) in named.into_iter().filter_map(|(key, mailbox)| Some((key, mailbox.as_ref()?))) {
        let text = format!("mailboxes.{key}: {}", mailbox.as_str());
        if rules.is_valid(mailbox) {
            lines.add("mailboxes", Level::Ok, text);
        } else {
            let place = match (&rules.list, &rules.directory) {
                (Some(_), _) => "in mailboxes.list",
                (None, Some(_)) => "a mailbox of the tenant's users",
                (None, None) => "of any of mailboxes.domains",
            };
            let text = format!("{text} is not {place}; correct it, or add it there");
            lines.add("mailboxes", Level::Warning, text);
        }
    }
}
