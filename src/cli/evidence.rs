//! `evidence`: who did what, when and why, and the proof of it for an auditor.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::ingest::start_of;
use super::{Failure, day_of, output};
use crate::config::Config;
use crate::evidence::{self, HandedOut};
use crate::exit_code::ExitCode;
use crate::ledger::{Ledger, LedgerError, Link};
use crate::report::{counted, deed};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Every change of consequence, the newest last: what came, was committed, dismissed, put in force, restaged, removed
    List {
        /// Only what was done on or after this day (in the schedule's time zone)
        #[arg(long, value_name = "DATE", value_parser = day_of)]
        since: Option<Date>,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the chain and the manifests to a folder, with what it takes to check them without this program
    Export {
        /// A folder that is not there yet
        #[arg(value_name = "DIR")]
        folder: PathBuf,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn evidence(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let ledger = Ledger::read(&config.state.directory)?.map_or_else(Ledger::none, Ok)?;
    match verb {
        Verb::List { since, json } => list(&config, &ledger, *since, *json),
        Verb::Export { folder, json } => export(&ledger, folder, *json),
    }
}

fn list(config: &Config, ledger: &Ledger, since: Option<Date>, as_json: bool) -> Result<ExitCode, Failure> {
    let since = since.map(|date| start_of(config, date)).transpose()?.unwrap_or(Timestamp::MIN);
    let mut links = Vec::new();
    ledger.each_link(|link| {
        let says: Value = serde_json::from_str(&link.line).unwrap_or_default();
        let at: Option<Timestamp> = says["at"].as_str().and_then(|at| at.parse().ok());
        // One that cannot be read is shown in any case.
        if at.is_none_or(|at| at >= since) {
            links.push((link, says));
        }
        Ok::<_, LedgerError>(())
    })?;
    if as_json {
        let links =
            links.iter().map(|(link, says)| json!({"link": link.seq, "hash": link.hash.to_string(), "says": says}));
        output::print_json(&json!({ "links": links.collect::<Vec<_>>() }))?;
    } else if links.is_empty() {
        output::print("nothing is recorded")?;
    } else {
        output::print(&links.iter().map(|(link, says)| words(link, says) + "\n").collect::<String>())?;
    }
    Ok(ExitCode::Complete)
}

/// One line: place, when, who, what and why.
fn words(link: &Link, says: &Value) -> String {
    let word = |key: &str| says[key].as_str().unwrap_or("-").to_owned();
    format!("{:>6}  {}  {}  {}", link.seq, word("at"), word("by"), deed::words(says))
}

fn export(ledger: &Ledger, folder: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let HandedOut { head, manifests, missing } = evidence::export(ledger, folder)?;
    let links = head.as_ref().map_or(0, |head| head.seq);
    let head = head.map(|head| head.hash.to_string());
    if as_json {
        output::print_json(
            &json!({ "folder": folder, "links": links, "head": head, "manifests": manifests, "missing": missing }),
        )?;
    } else {
        let newest = head.map_or_else(String::new, |head| format!(", the newest {head}"));
        output::print(&format!(
            "{} of the chain and {} are in {}{newest}; README.txt there says how to check them",
            counted(links, "link"),
            counted(manifests as u64, "manifest"),
            folder.display()
        ))?;
    }
    if missing.is_empty() {
        return Ok(ExitCode::Complete);
    }
    let line = format!("manifests that could not be handed out ({}): {}", missing.len(), missing.join("; "));
    Err(Failure::new(ExitCode::Failed, line))
}
