//! `held`: what is held, and the decision that it needs nothing more.

use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Failure, output};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::held::{Held, Selected, dismissals_json, dismissals_text};
use crate::ledger::{Ledger, Matter};
use crate::lock::Lock;
use crate::report;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Held files, items without a mailbox, and rejected records, each with its ID
    List {
        /// What was dismissed instead: when, by whom and why
        #[arg(long)]
        dismissed: bool,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Decide that held files, items or records need nothing more: nobody is asked about them again
    #[command(
        after_help = "What is dismissed stays in the archive. A file is tried again only by icechatd ingest --retry; \
                            an item is still placed by a replay when someone in it gets a mailbox."
    )]
    Dismiss {
        /// IDs as `held list` shows them, or their beginnings; `items:…` and `records:…` are all of one export
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Why a person does something that stays on record.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why, for whoever reads the record".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn held(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    match verb {
        Verb::List { dismissed: false, json } => list(&config, *json),
        Verb::List { dismissed: true, json } => list_dismissed(&config, *json),
        Verb::Dismiss { ids, reason, json } => dismiss(&config, ids, reason, *json),
    }?;
    Ok(ExitCode::Complete)
}

fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let held = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger.at_one_moment(|| Held::read(&ledger))?.asking(),
        None => Held::default(),
    };
    if json { output::print_json(&held.to_json()) } else { output::print(&held.to_string()) }
}

fn list_dismissed(config: &Config, json: bool) -> Result<(), Failure> {
    let dismissals = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger.dismissals()?,
        None => Vec::new(),
    };
    if json { output::print_json(&dismissals_json(&dismissals)) } else { output::print(&dismissals_text(&dismissals)) }
}

fn dismiss(config: &Config, ids: &[String], reason: &str, json: bool) -> Result<(), Failure> {
    let state = &config.state.directory;
    if Ledger::read(state)?.is_none() {
        let line = format!("there is no record of a run in {}, so nothing is held", state.display());
        return Err(Failure::new(ExitCode::Failed, line));
    }
    let _lock = Lock::take(&state.join("work.lock"))?;
    let ledger = Ledger::open(state)?;
    let held = Held::read(&ledger)?;
    let selected = ids.iter().map(|id| held.select(id)).collect::<Result<Vec<_>, _>>();
    let selected = selected.map_err(|error| Failure::failed(&error))?;
    let now = Timestamp::now();
    let fresh = |one: &Selected| one.matters.iter().filter(|(_, dismissed)| !dismissed).count();
    let matters: Vec<Matter> = selected.iter().flat_map(|one| &one.matters).map(|(matter, _)| *matter).collect();
    ledger.dismiss(&matters, reason, now)?;
    let needs = report::needs(&ledger, config, now)?;
    if json {
        let (newly, already): (Vec<_>, Vec<_>) = selected.iter().partition(|one| fresh(one) > 0);
        let ids = |all: Vec<&Selected>| all.into_iter().map(|one| Value::from(one.id.as_str())).collect::<Value>();
        return output::print_json(&json!({"dismissed": ids(newly), "already": ids(already), "needs": needs}));
    }
    let mut lines: Vec<String> = selected.iter().map(|one| told(one, fresh(one))).collect();
    lines.push(if needs.is_clear() {
        "nothing needs a person any more".to_owned()
    } else {
        format!("still needs a person:\n{needs}")
    });
    output::print(&lines.join("\n"))
}

fn told(one: &Selected, fresh: usize) -> String {
    match (one.matters.len(), fresh) {
        (_, 0) => format!("{} was dismissed already (icechatd held list --dismissed)", one.id),
        (1, _) => format!("dismissed {}", one.id),
        _ => format!("dismissed {} ({fresh} of them)", one.id),
    }
}
