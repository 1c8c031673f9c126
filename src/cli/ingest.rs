//! `ingest` and `replay`: one run now.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::place::Place;
use super::progress::Bars;
use super::{Failure, output, stop};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::in_flight::{Step, Teller};
use crate::ingest::{self, Finished, IngestError, Job, Options, Watch};
use crate::inputs::{Inputs, RulesFrom};
use crate::report;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// Download, decrypt, parse and resolve, but record and stage nothing; print what would happen
    #[arg(long)]
    dry_run: bool,

    /// Take held files up again, whatever held them; fetch those anew that the site still has
    #[arg(long, conflicts_with = "dry_run")]
    retry: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Use the mapping and mailbox list in force, not the folder: for the daemon's own runs
    #[arg(long, hide = true)]
    in_force: bool,

    /// Local exports, delivered by hand, instead of the site's
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// Only exports received on or after this day (in the schedule's time zone)
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Use the mapping and mailbox list in force, not the folder: for the daemon's own runs
    #[arg(long, hide = true)]
    in_force: bool,
}

fn rules_from(in_force: bool) -> RulesFrom {
    if in_force { RulesFrom::Force } else { RulesFrom::Folder }
}

pub(super) fn ingest(place: &Place, arguments: &Arguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let options = Options {
        dry_run: arguments.dry_run,
        retry: arguments.retry,
        files: arguments.files.clone(),
        rules: rules_from(arguments.in_force),
    };
    let config = place.config()?;
    let finished = work(&config, "ingest", &options, bars, ingest::run)?;
    show(&finished, arguments.json)
}

pub(super) fn replay(place: &Place, arguments: &ReplayArguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let options = Options { rules: rules_from(arguments.in_force), ..Options::default() };
    let config = place.config()?;
    let since = arguments.since.map(|date| start_of(&config, date)).transpose()?;
    let finished = work(&config, "replay", &options, bars, |job| ingest::replay(job, since))?;
    show(&finished, arguments.json)
}

/// A day's first moment, in the schedule's time zone.
pub(super) fn start_of(config: &Config, date: Date) -> Result<Timestamp, Failure> {
    let zoned = date.to_zoned(config.schedule.time_zone.clone());
    Ok(zoned.map_err(|error| Failure::new(ExitCode::Usage, format!("--since {date}: {error}")))?.timestamp())
}

/// Does a verb's run with keys and profile, watched and stopped as every run is.
pub(super) fn work(
    config: &Config,
    verb: &str,
    options: &Options,
    bars: &Bars,
    run: impl FnOnce(&Job<'_>) -> Result<Finished, IngestError>,
) -> Result<Finished, Failure> {
    let inputs = match Inputs::read(config) {
        Err(error) if options.rules == RulesFrom::Force => {
            // The daemon started this: its reason must be found in the ledger, not only in the log.
            ingest::note_not_begun(config, verb, &error, Timestamp::now())?;
            return Err(error.into());
        }
        read => read?,
    };
    let (download, staging) = (bars.download(), bars.staging());
    let state = &config.state.directory;
    let settle = Teller::new(state, Step::Settle, &());
    let download = Teller::new(state, Step::Download, &download);
    let survey = Teller::new(state, Step::Survey, &());
    let staging = Teller::new(state, Step::Staging, &staging);
    let watch = Watch { settle: &settle, download: &download, survey: &survey, staging: &staging };
    let stop = stop::on_signal();
    Ok(run(&Job { config, inputs: &inputs, options, watch, stop: &stop, clock: Timestamp::now })?)
}

fn show(finished: &Finished, json: bool) -> Result<ExitCode, Failure> {
    if json {
        let mut facts = report::to_json(&finished.report);
        facts["needs"] = serde_json::to_value(&finished.needs).unwrap_or(Value::Null);
        output::print_json(&facts)?;
    } else {
        output::print(&report::to_text(&finished.report))?;
        if !finished.needs.is_clear() {
            output::print(&format!("\nneeds a person:\n{}", finished.needs))?;
        }
    }
    match &finished.error {
        Some(error) => Err(Failure::failed(error)),
        None if finished.needs.is_clear() => Ok(ExitCode::Complete),
        None => Ok(ExitCode::Attention),
    }
}
