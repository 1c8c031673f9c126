//! Puts good operators' files in force, whoever asks for it, and says and records what that changes.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};

use super::InputError;
use super::directory::{self, Asked, Snapshot, kept_directory};
use super::found::{Good, Kind, Read, kept_list, kept_mapping, known_emails};
use super::rules::rule_set;
use crate::config::Config;
use crate::digest::Sha256;
use crate::events;
use crate::ledger::{Change, Ledger};
use crate::resolve::{Difference, Directory, MailboxList, Mapping};

/// How many warnings and concerns are said one by one; the ledger keeps all concerns, `mapping check` shows all warnings.
const SAID: usize = 20;

/// A good mapping, list or snapshot that is not in force, and what it would change.
#[derive(Debug)]
pub struct News {
    /// Which of them.
    pub kind: Kind,
    /// `ImId`s of the mapping, or mailboxes of the list or the tenant.
    pub entries: usize,
    /// Against what is in force.
    pub difference: Difference,
    /// What looks odd in the files themselves, a line each.
    pub warnings: Vec<String>,
    canonical: Vec<u8>,
}

impl News {
    /// `+added -removed ~changed` and how many entries it has, as logs and `mapping history` show it.
    pub fn numbers(&self) -> String {
        let Difference { added, removed, changed, .. } = &self.difference;
        numbers(*added, *removed, *changed, self.entries as u64)
    }
}

/// What a set changes, and how large it is.
pub fn numbers(added: u64, removed: u64, changed: u64, entries: u64) -> String {
    format!("+{added} -{removed} ~{changed}, {entries} entries")
}

/// What of the good files is not in force yet.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn news(config: &Config, ledger: &Ledger, good: &Good) -> Result<Vec<News>, InputError> {
    let mut news = Vec::new();
    let mut directory = None;
    if let Some(snapshot) = good.tenant.as_ref().and_then(Asked::good) {
        news.extend(news_of_directory(ledger, snapshot)?);
        directory = Some(Arc::clone(&snapshot.set));
    }
    if let Some(list) = &good.list {
        news.extend(news_of_list(ledger, list)?);
    }
    if let Some(mapping) = &good.mapping {
        let list = good.list.as_ref().map(|list| Arc::clone(&list.set));
        news.extend(news_of_mapping(config, ledger, mapping, list, directory)?);
    }
    Ok(news)
}

fn news_of_list(ledger: &Ledger, list: &Read<MailboxList>) -> Result<Option<News>, InputError> {
    let Read { set, warnings } = list.clone();
    let Some(canonical) = unless_in_force(ledger, Kind::List, set.canonical())? else { return Ok(None) };
    let difference = Difference::of_list(kept_list(ledger)?.as_deref(), &set);
    Ok(Some(News { kind: Kind::List, entries: set.mailboxes(), difference, warnings, canonical }))
}

fn news_of_directory(ledger: &Ledger, snapshot: &Snapshot) -> Result<Option<News>, InputError> {
    let set = &snapshot.set;
    let Some(canonical) = unless_in_force(ledger, Kind::Directory, set.canonical())? else { return Ok(None) };
    let difference = Difference::of_directory(kept_directory(ledger)?.as_deref(), set, &known_emails(ledger)?);
    let skipped = snapshot.judged.skipped;
    let warnings = (skipped > 0).then(|| format!("{skipped} addresses and ImIds are malformed, and valid nowhere"));
    let (kind, entries) = (Kind::Directory, set.mailboxes.mailboxes());
    Ok(Some(News { kind, entries, difference, warnings: warnings.into_iter().collect(), canonical }))
}

fn news_of_mapping(
    config: &Config,
    ledger: &Ledger,
    mapping: &Read<Mapping>,
    list: Option<Arc<MailboxList>>,
    directory: Option<Arc<Directory>>,
) -> Result<Option<News>, InputError> {
    let Read { set, warnings } = mapping.clone();
    let Some(canonical) = unless_in_force(ledger, Kind::Mapping, set.canonical())? else { return Ok(None) };
    let list = match (&config.mailboxes.list, list) {
        (Some(_), None) => kept_list(ledger)?,
        (_, list) => list,
    };
    let directory = match (&config.mailboxes.graph, directory) {
        (Some(_), None) => kept_directory(ledger)?,
        (_, directory) => directory,
    };
    let rules = rule_set(config, set, list, directory);
    let difference = Difference::of_mapping(kept_mapping(ledger)?.as_deref(), &rules, &known_emails(ledger)?);
    Ok(Some(News { kind: Kind::Mapping, entries: rules.mapping.len(), difference, warnings, canonical }))
}

fn unless_in_force(ledger: &Ledger, kind: Kind, canonical: Vec<u8>) -> Result<Option<Vec<u8>>, InputError> {
    let in_force = ledger.in_force_digest(kind.as_str())?;
    Ok((in_force != Some(Sha256::of(&canonical))).then_some(canonical))
}

/// Puts the good files and the tenant's users in force, with a version in the ledger and a line in the log for each that was not. What came into
/// force. An empty mapping is a mistake more often than a wish, and is said aloud; it is obeyed all the same.
///
/// # Errors
/// Where the ledger cannot be read or written.
pub fn put_in_force(
    config: &Config,
    ledger: &Ledger,
    good: &Good,
    put_by: &str,
    now: Timestamp,
) -> Result<Vec<News>, InputError> {
    let news = news(config, ledger, good)?;
    if let Some(asked) = &good.tenant {
        directory::record(config, ledger, asked, now)?;
    }
    for set in &news {
        let change = change_of(set, put_by);
        if ledger.put_in_force(set.kind.as_str(), &set.canonical, &change, now)? {
            say(config, set);
        }
    }
    Ok(news)
}

fn change_of(news: &News, put_by: &str) -> Change {
    let Difference { added, removed, changed, concerns } = &news.difference;
    Change {
        put_by: put_by.to_owned(),
        entries: news.entries as u64,
        added: *added,
        removed: *removed,
        changed: *changed,
        concerns: serde_json::json!(concerns).to_string(),
    }
}

fn say(config: &Config, news: &News) {
    let what = news.kind.words();
    info!(message_id = events::RULES_ACCEPTED, "a new {what} is in force: {}", news.numbers());
    let concerns = news.difference.concerns.iter().map(|concern| &concern.words);
    for words in news.warnings.iter().take(SAID).chain(concerns.take(SAID)) {
        warn!("the new {what} should be looked at: {words}");
    }
    if news.kind == Kind::Mapping && news.entries == 0 {
        warn!("the mapping is empty: there is no CSV file with rows in {}", config.mapping.directory.display());
    }
}
