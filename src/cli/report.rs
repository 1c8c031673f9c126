//! `report`: what a run did, file by file; which runs there were; the reconciliation of a day; and who is missing from
//! capture.

use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::ingest::start_of;
use super::{Failure, day_of, output};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::inputs::{self, RulesFrom};
use crate::ledger::Ledger;
use crate::report::{self, coverage, runs};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,

    /// The run's name, as `report list` and `ingest` print it; the last run by default
    run: Option<String>,

    /// Print the report as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print a row for each file, and the sum, as CSV
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// The reconciliation of a day: what came for it, what became of every item, and who did what about it since
    Day {
        /// The day that the exports are about
        #[arg(value_name = "DATE", value_parser = day_of)]
        date: Date,

        #[command(flatten)]
        format: Format,
    },
    /// Every run there was, the newest last
    List {
        /// Only those that began on or after this day (in the schedule's time zone)
        #[arg(long, value_name = "DATE")]
        since: Option<Date>,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Staff missing from capture: people of the mailbox list (of the mapping where there is none) with no item for a while
    Coverage {
        /// How long is a while
        #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,

        /// Print the facts as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
struct Format {
    /// Print a page for paper or PDF: one file, nothing from elsewhere
    #[arg(long)]
    html: bool,

    /// Print a row for each file as CSV
    #[arg(long)]
    csv: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn report(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    match arguments.other {
        Some(Other::Coverage { days, json }) => coverage(&config, days, json),
        Some(Other::List { since, json }) => list(&config, since, json),
        Some(Other::Day { date, format }) => of_day(&config, date, format),
        None => of_run(&config, arguments),
    }
}

fn of_day(config: &Config, date: Date, format: Format) -> Result<ExitCode, Failure> {
    let ledger = Ledger::read(&config.state.directory)?.map_or_else(Ledger::none, Ok)?;
    // A profile that cannot be read now is no reason to show nothing.
    let profile = inputs::profile(&config.export.profile).ok();
    let date_in_name = |name: &str| profile.as_ref().and_then(|profile| profile.date_in_name(name));
    let day = report::day::day(&ledger, config, &date_in_name, date, Timestamp::now())?;
    match format {
        Format { html: true, .. } => output::print(&report::day::to_html(&day)),
        Format { csv: true, .. } => output::print(&report::day::to_csv(&day)),
        Format { json: true, .. } => output::print_json(&serde_json::to_value(&day).unwrap_or_default()),
        Format { .. } => output::print(&report::day::to_text(&day)),
    }?;
    Ok(ExitCode::Complete)
}

fn of_run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let run = arguments.run.as_deref();
    let ledger = Ledger::read(&config.state.directory)?;
    let found = ledger.map(|ledger| ledger.run_report(run)).transpose()?.flatten();
    let Some(found) = found else {
        let which = run.map_or_else(|| "a run".to_owned(), |run| format!("run {run}"));
        let line = format!("there is no record of {which} in {}", config.state.directory.display());
        return Err(Failure::new(ExitCode::Failed, line));
    };
    if arguments.json {
        output::print_json(&report::to_json(&found))?;
    } else if arguments.csv {
        output::print(&report::rows::to_csv(std::slice::from_ref(&found)))?;
    } else {
        output::print(&report::to_text(&found))?;
    }
    Ok(ExitCode::Complete)
}

fn list(config: &Config, since: Option<Date>, json: bool) -> Result<ExitCode, Failure> {
    let since = since.map(|date| start_of(config, date)).transpose()?.unwrap_or(Timestamp::MIN);
    let ledger = Ledger::read(&config.state.directory)?;
    let runs = ledger.map(|ledger| ledger.runs_since(since)).transpose()?.unwrap_or_default();
    if json { output::print_json(&runs::to_json(&runs)) } else { output::print(&runs::to_text(&runs)) }?;
    Ok(ExitCode::Complete)
}

fn coverage(config: &Config, days: u32, json: bool) -> Result<ExitCode, Failure> {
    let ledger = Ledger::read(&config.state.directory)?.map_or_else(Ledger::none, Ok)?;
    let captured = ledger.captured()?;
    let now = Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut staff = inputs::rules(config, &ledger, RulesFrom::Folder)?.staff(today);
    // They are nobody's, unless somebody's own mailbox was named.
    let beside = [&config.mailboxes.catch_all, &config.mailboxes.journal].into_iter().flatten();
    for mailbox in beside.filter(|beside| captured.iter().all(|(seen, _)| seen != *beside)) {
        staff.remove(mailbox);
    }
    let absent = coverage::absent(&staff, &captured, days, now, &config.schedule.time_zone);
    if json {
        output::print_json(&coverage::to_json(&absent, days, staff.len()))?;
    } else {
        output::print(&coverage::to_csv(&absent))?;
        output::complain(&format!("{} of {} people had no item for {days} days", absent.len(), staff.len()));
    }
    Ok(ExitCode::Complete)
}
