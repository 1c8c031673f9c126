//! `report`: what a run did, file by file.

use std::path::Path;

use clap::Args;

use super::{Failure, output};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::ledger::Ledger;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The run's name, as `status` and `ingest` print it; the last run by default
    run: Option<String>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn report(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let ledger = Ledger::read(&config.state.directory)?;
    let found = ledger.map(|ledger| ledger.run_report(arguments.run.as_deref())).transpose()?.flatten();
    let Some(found) = found else {
        let which = arguments.run.as_ref().map_or_else(|| "a run".to_owned(), |run| format!("run {run}"));
        let line = format!("there is no record of {which} in {}", config.state.directory.display());
        return Err(Failure::new(ExitCode::Failed, line));
    };
    if arguments.json {
        output::print_json(&report::to_json(&found))?;
    } else {
        output::print(&report::to_text(&found))?;
    }
    Ok(ExitCode::Complete)
}
