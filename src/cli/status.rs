//! `status`: on one screen, how things stand.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::mapping::{Standing, standing};
use super::{Failure, output};
use crate::cause::chain;
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::in_flight::{InFlight, Step};
use crate::inputs;
use crate::ledger::{Ledger, RunReport};
use crate::lock::is_held;
use crate::report::{self, Needs};
use crate::schedule;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

struct Facts {
    daemon: bool,
    working: bool,
    in_flight: Option<InFlight>,
    /// Why the operators' files as they stand are no good.
    rejected: Option<String>,
    rules: Standing,
    last: Option<RunReport>,
    needs: Needs,
    /// Files that are held or cannot be read again, and rejected records: what, and why.
    matters: Vec<(String, String)>,
    due: bool,
    next: Option<Timestamp>,
    dates: Vec<jiff::civil::Date>,
}

pub(super) fn status(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let facts = facts(&config)?;
    if arguments.json {
        output::print_json(&json!({
            "firm_code": config.site.firm_code,
            "daemon": if facts.daemon { "running" } else { "stopped" },
            "working": facts.working,
            "in_flight": facts.in_flight,
            "mapping_rejected": facts.rejected,
            "rules": facts.rules.to_json(),
            "last_run": facts.last.as_ref().map(report::to_json),
            "needs": facts.needs,
            "matters": facts.matters.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
            "run_due": facts.due,
            "next_run": facts.next.map(|next| next.to_string()),
            "last_dates": facts.dates,
        }))?;
    } else {
        output::print(&text(&config, &facts))?;
    }
    Ok(ExitCode::Complete)
}

fn facts(config: &Config) -> Result<Facts, Failure> {
    let now = Timestamp::now();
    let state = &config.state.directory;
    let ledger = Ledger::read(state)?;
    let (last, needs, dates, matters) = match &ledger {
        Some(ledger) => (
            ledger.run_report(None)?,
            report::needs(ledger, config, now)?,
            report::last_dates(ledger, 5)?,
            ledger.open_matters()?,
        ),
        None => (None, Needs::default(), Vec::new(), Vec::new()),
    };
    let rules = standing(ledger.as_ref())?;
    let last_done = ledger.map(|ledger| ledger.last_done_at_site(now)).transpose()?.flatten();
    let working = is_held(&state.join("work.lock"));
    Ok(Facts {
        daemon: is_held(&state.join("daemon.lock")),
        working,
        in_flight: InFlight::read(state).filter(|_| working),
        rejected: inputs::rules_strictly(config).err().map(|error| chain(&error)),
        rules,
        last,
        needs,
        matters,
        due: schedule::is_due(&config.schedule, now, last_done),
        next: schedule::next_slot(&config.schedule, now),
        dates,
    })
}

fn text(config: &Config, facts: &Facts) -> String {
    let zone = &config.schedule.time_zone;
    let mut lines = vec![format!("firm       {}", config.site.firm_code)];
    lines.push(format!(
        "daemon     {}",
        if facts.daemon { "running" } else { "not running (systemctl start icechatd)" }
    ));
    if facts.working {
        lines.push(format!("run        in flight{}", facts.in_flight.as_ref().map_or_else(String::new, progress)));
    }
    lines.push(match &facts.last {
        Some(run) => format!(
            "last run   {} {} {}: {}",
            run.name,
            run.verb,
            run.outcome.as_deref().unwrap_or("still working"),
            run.error.clone().unwrap_or_else(|| report::books_line(&report::totals(run)))
        ),
        None => "last run   none yet".to_owned(),
    });
    let next = facts.next.map_or_else(|| "-".to_owned(), |next| local(next, zone));
    lines.push(format!("next run   {}", if facts.due { "due now: the daemon starts it".to_owned() } else { next }));
    let dates: Vec<String> = facts.dates.iter().map(ToString::to_string).collect();
    lines.push(format!("last days  {}", if dates.is_empty() { "none yet".to_owned() } else { dates.join(" ") }));
    lines.extend(facts.rules.lines(zone));
    // What the daemon has said is not said twice; what stands there without a daemon is.
    if let Some(rejected) = facts.rejected.as_ref().filter(|_| !facts.rules.is_rejected()) {
        lines.push(format!("mapping    REJECTED, the last good one (if any) stays in force: {rejected}"));
    }
    match (facts.needs.is_clear(), &facts.rejected) {
        (true, None) => lines.push("nothing needs a person".to_owned()),
        (true, Some(_)) => {}
        (false, _) => lines.push(format!("needs a person:\n{}", facts.needs)),
    }
    lines.extend(facts.matters.iter().map(|(what, why)| format!("  {what}: {why}")));
    lines.join("\n")
}

fn progress(run: &InFlight) -> String {
    let unit = match run.step {
        Step::Download => "bytes downloaded",
        Step::Staging => "items done",
    };
    format!(": {}: {} of {} {unit}", run.file, run.done, run.total)
}

fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
