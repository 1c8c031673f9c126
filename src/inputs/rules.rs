//! The rule set of a run: from the operators' files as they stand, or from what is in force, and as the ledger keeps it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::InputError;
use super::directory::{ask_tenant, directory_or_kept, kept_directory, say_tenant};
use super::found::{Found, Good, Kind, Read, Rejected, find, kept_list, kept_mapping};
use crate::config::Config;
use crate::domain::Domain;
use crate::events;
use crate::ledger::{Ledger, StoredRules};
use crate::resolve::{Directory, MailboxList, Mapping, RuleSet};

/// How many errors of a rejected set are said one by one.
const SAID: usize = 20;

/// Where a run takes mapping, mailbox list and the tenant's users from (contract 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RulesFrom {
    /// The operators' files as they stand, and the tenant as it answers: for a verb that a person starts.
    #[default]
    Folder,
    /// The set in force, never the files: for a run that the daemon starts. They are read where none is in force, but
    /// only to say why.
    Force,
}

/// The rule set of this run, and what of it came from the files as they stand and from the tenant, which is asked where the
/// run is a person's. What is rejected, or does not answer, leaves the last good one in force (contract 6).
///
/// # Errors
/// Where there is no good one at all.
pub fn choose(config: &Config, ledger: &Ledger, from: RulesFrom) -> Result<(RuleSet, Good), InputError> {
    let asked = if from == RulesFrom::Folder { ask_tenant(config, ledger, true)? } else { None };
    asked.iter().for_each(say_tenant);
    let directory = directory_or_kept(config, ledger, asked.as_ref())?;
    if directory.is_none() && config.mailboxes.graph.is_some() {
        warn!("no snapshot of the tenant's users is in force yet: this run goes by mapping and mailbox list alone");
    }
    let (rules, good) = with_directory(config, ledger, from, directory)?;
    Ok((rules, Good { tenant: asked, ..good }))
}

/// The same by a snapshot of the tenant's users that is known already.
fn with_directory(
    config: &Config,
    ledger: &Ledger,
    from: RulesFrom,
    directory: Option<Arc<Directory>>,
) -> Result<(RuleSet, Good), InputError> {
    let mapping = kept_mapping(ledger)?;
    let list = if config.mailboxes.list.is_some() { kept_list(ledger)? } else { None };
    if let (RulesFrom::Force, Some(mapping)) = (from, &mapping)
        && (list.is_some() || config.mailboxes.list.is_none())
    {
        return Ok((rule_set(config, Arc::clone(mapping), list, directory), Good::default()));
    }
    let found = find(config, Some(ledger))?;
    let good = if from == RulesFrom::Folder { found.good() } else { Good::default() };
    let chosen = Chosen { from, kept: mapping };
    let mapping = chosen.take(Kind::Mapping, found.mapping)?;
    let list = found.list.map(|found| Chosen { from, kept: list }.take(Kind::List, found)).transpose()?;
    Ok((rule_set(config, mapping, list, directory), good))
}

/// The rule set that [`choose`] chooses, by the snapshot in force: the tenant is not asked.
///
/// # Errors
/// As [`choose`].
pub fn rules(config: &Config, ledger: &Ledger, from: RulesFrom) -> Result<RuleSet, InputError> {
    let directory = directory_or_kept(config, ledger, None)?;
    with_directory(config, ledger, from, directory).map(|(rules, _)| rules)
}

/// The rule set that the operators' files make as they stand, whatever is in force, with this snapshot of the tenant's
/// users, or the one in force. (A list is still measured against the one in force.)
///
/// # Errors
/// Where a file cannot be read or is rejected.
pub fn rules_strictly(config: &Config, directory: Option<Arc<Directory>>) -> Result<RuleSet, InputError> {
    let ledger = Ledger::read(&config.state.directory)?;
    let Found { mapping, list } = find(config, ledger.as_ref())?;
    let mapping = mapping.map_err(|rejected| rejected.into_error(Kind::Mapping))?;
    let list = list.transpose().map_err(|rejected| rejected.into_error(Kind::List))?;
    let kept = || ledger.as_ref().map(kept_directory).transpose().map(Option::flatten);
    let directory = match (directory, &config.mailboxes.graph) {
        (_, None) => None,
        // That there is none yet is no fault of the files.
        (None, Some(_)) => kept()?.or_else(|| Some(Arc::default())),
        (directory, _) => directory,
    };
    Ok(rule_set(config, mapping.set, list.map(|list| list.set), directory))
}

/// Mapping, list and the tenant's users with the settings beside them.
pub(super) fn rule_set(
    config: &Config,
    mapping: Arc<Mapping>,
    list: Option<Arc<MailboxList>>,
    directory: Option<Arc<Directory>>,
) -> RuleSet {
    RuleSet {
        mapping,
        list,
        directory,
        domains: config.mailboxes.domains.clone(),
        companies: config.mailboxes.companies.clone(),
        automatic: config.mapping.automatic,
    }
}

/// What a run may take: the set in force, and the files if it is a person's.
struct Chosen<T> {
    from: RulesFrom,
    kept: Option<Arc<T>>,
}

impl<T> Chosen<T> {
    fn take(self, kind: Kind, found: Result<Read<T>, Rejected>) -> Result<Arc<T>, InputError> {
        match (self.from, self.kept, found) {
            (RulesFrom::Force, Some(kept), _) => Ok(kept),
            (RulesFrom::Force, None, Ok(_)) => Err(InputError::NotInForce(kind.words())),
            (RulesFrom::Folder, _, Ok(found)) => Ok(found.set),
            (_, None, Err(rejected)) => Err(rejected.into_error(kind)),
            (RulesFrom::Folder, Some(kept), Err(rejected)) => {
                say_rejected(kind, &rejected);
                Ok(kept)
            }
        }
    }
}

/// Loudly, because the run goes on.
fn say_rejected(kind: Kind, rejected: &Rejected) {
    let (what, lines) = (kind.words(), rejected.lines(kind));
    for line in lines.iter().take(SAID) {
        warn!("{what} rejected: {line}");
    }
    warn!(
        message_id = events::RULES_REJECTED,
        "the new {what} is rejected (errors: {}); the last good one stays in force",
        lines.len()
    );
}

/// The settings of a rule set, as the ledger keeps them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    domains: Vec<String>,
    companies: Vec<String>,
    automatic: bool,
}

/// A rule set in the form in which the ledger keeps it.
pub fn to_stored(rules: &RuleSet) -> StoredRules {
    let settings = serde_json::json!(Settings {
        domains: rules.domains.iter().map(|domain| domain.as_str().to_owned()).collect(),
        companies: rules.companies.clone(),
        automatic: rules.automatic,
    });
    StoredRules {
        mapping: rules.mapping.canonical(),
        list: rules.list.as_ref().map(|list| list.canonical()),
        directory: rules.directory.as_ref().map(|directory| directory.canonical()),
        settings: settings.to_string(),
    }
}

/// A rule set that the ledger kept.
///
/// # Errors
/// Where it is not what was kept.
pub fn from_stored(stored: &StoredRules) -> Result<RuleSet, InputError> {
    let settings: Settings = serde_json::from_str(&stored.settings).map_err(InputError::Settings)?;
    Ok(RuleSet {
        mapping: Arc::new(Mapping::from_canonical(&stored.mapping)?),
        list: stored.list.as_deref().map(MailboxList::from_canonical).transpose()?.map(Arc::new),
        directory: stored.directory.as_deref().map(Directory::from_canonical).transpose()?.map(Arc::new),
        domains: settings.domains.iter().filter_map(|domain| Domain::parse(domain)).collect(),
        companies: settings.companies,
        automatic: settings.automatic,
    })
}
