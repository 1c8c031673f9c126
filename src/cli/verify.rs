//! `verify`: the proof that ledger, manifests and originals agree.

use std::path::Path;

use clap::Args;

use super::{Failure, output};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::verify::{Verified, verify as verified};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let found = match Ledger::read(&config.state.directory)? {
        Some(ledger) => verified(&ledger, &config)?,
        None => Verified::default(),
    };
    if arguments.json {
        output::print_json(&serde_json::to_value(&found).unwrap_or_default())?;
    } else {
        output::print(&text(&found))?;
    }
    Ok(if found.faults.is_empty() { ExitCode::Complete } else { ExitCode::Failed })
}

fn text(found: &Verified) -> String {
    let mut lines = vec![
        format!("exports    {} committed, {} manifests as committed", found.files, found.manifests),
        format!("originals  {} as they came, {} removed by retention", found.originals, found.removed),
        format!("items      {} placed, with {} placements", found.items, found.placements),
        format!("staging    {} still stand as placed, {} were taken by the importer", found.standing, found.taken),
    ];
    if found.faults.is_empty() {
        lines.push("all agree".to_owned());
    } else {
        lines.push(format!("faults ({}):", found.faults.len()));
        lines.extend(found.faults.iter().map(|fault| format!("  {fault}")));
    }
    lines.join("\n")
}
