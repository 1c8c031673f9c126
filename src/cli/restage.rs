//! `restage`: what an importer lost is put there again.

use clap::{ArgGroup, Args};
use jiff::civil::Date;

use super::ingest::{start_of, work};
use super::place::Place;
use super::progress::Bars;
use super::{Failure, held, output};
use crate::exit_code::ExitCode;
use crate::ingest::{self, Finished, Options};
use crate::ledger::Asked;
use crate::mailbox::Mailbox;
use crate::report;

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").args(["run", "since", "mailbox"]).required(true).multiple(true),
    after_help = "Where several of --run, --since and --mailbox are given, all of them must hold. What still stands is left \
                  alone. The importer finds what stands in the ready list that bears this run's name."
)]
pub(super) struct Arguments {
    /// What this run committed; its name as `report` and `status` show it
    #[arg(long, value_name = "RUN")]
    run: Option<String>,

    /// What was committed on or after this day (in the schedule's time zone)
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,

    /// What was placed in this mailbox
    #[arg(long, value_name = "ADDRESS", value_parser = Mailbox::parse)]
    mailbox: Option<Mailbox>,

    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = held::reason)]
    reason: String,

    /// Count what would be put there and what still stands, but record and stage nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn restage(place: &Place, arguments: &Arguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let config = place.config()?;
    let since = arguments.since.map(|date| start_of(&config, date)).transpose()?;
    let asked = Asked { run: arguments.run.clone(), since, mailbox: arguments.mailbox.clone() };
    let options = Options { dry_run: arguments.dry_run, ..Options::default() };
    let finished = work(&config, "restage", &options, bars, |job| ingest::restage(job, &asked, &arguments.reason))?;
    show(&finished, arguments.json)
}

/// Judged by what was asked alone: what else waits for a person, `status` says.
fn show(finished: &Finished, json: bool) -> Result<ExitCode, Failure> {
    let Finished { report, error, .. } = finished;
    if json {
        output::print_json(&report::to_json(report))?;
    } else {
        output::print(&report::to_text(report))?;
    }
    let is_whole = report.restaging.as_ref().is_none_or(|restaging| restaging.not_placed == 0);
    match error {
        Some(error) => Err(Failure::failed(error)),
        None if is_whole => Ok(ExitCode::Complete),
        None => Ok(ExitCode::Attention),
    }
}
