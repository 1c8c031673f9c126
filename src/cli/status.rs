//! `status`: on one screen, how things stand.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::mapping::{Standing, standing};
use super::{Failure, output};
use crate::alert;
use crate::cause::chain;
use crate::config::{Config, state_directory_of};
use crate::daemon::configuration_in_force;
use crate::exit_code::ExitCode;
use crate::in_flight::InFlight;
use crate::inputs::{self, InputError};
use crate::ledger::{Ledger, LedgerError, Rejection, RunReport};
use crate::lock::is_held;
use crate::report::{self, Needs, Outlook};
use crate::schedule::{self, Next, Why};
use crate::waiting::{Observer, Waiting};

/// How long to look into staging at most.
const TO_LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

struct Facts {
    /// Why the configuration file as it stands is no good, while a daemon works by the one before.
    invalid: Option<String>,
    daemon: bool,
    working: bool,
    in_flight: Option<InFlight>,
    /// Why the operators' files as they stand are no good.
    mapping_rejected: Option<String>,
    /// Whether that is for the mailbox list.
    is_list_rejected: bool,
    rules: Standing,
    recorded: Recorded,
    now: Timestamp,
}

/// What the ledger knows.
struct Recorded {
    /// The configuration that the daemon was to load and did not.
    rejected: Option<Rejection>,
    last: Option<RunReport>,
    needs: Needs,
    /// Files that are held or cannot be read again, and rejected records: what, and why.
    matters: Vec<(String, String)>,
    /// How many alerts are open, and the most urgent.
    alerts: Option<String>,
    outlook: Outlook,
    dates: Vec<Date>,
    /// What the importer has not taken.
    waiting: Waiting,
}

pub(super) fn status(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (config, invalid) = match Config::load(config) {
        Ok(config) => (config, None),
        Err(error) => match in_force(config) {
            Some(config) => (config, Some(chain(&error))),
            None => return Err(error.into()),
        },
    };
    let facts = facts(&config, invalid)?;
    if arguments.json {
        output::print_json(&to_json(&config, &facts))?;
    } else {
        output::print(&text(&config, &facts))?;
    }
    Ok(ExitCode::Complete)
}

/// What a daemon works by, although the file is faulty by now.
fn in_force(file: &Path) -> Option<Config> {
    configuration_in_force(&state_directory_of(file)?, file)
}

fn facts(config: &Config, invalid: Option<String>) -> Result<Facts, Failure> {
    let now = Timestamp::now();
    let state = &config.state.directory;
    // A first look at the lock: a run that ends while this reads is shown as one that works, and never as one that failed.
    let working = is_held(&state.join("work.lock"));
    let ledger = match Ledger::read(state)? {
        Some(ledger) => ledger,
        None => Ledger::none()?,
    };
    let rejected = inputs::rules_strictly(config, None).err();
    Ok(Facts {
        invalid,
        daemon: is_held(&state.join("daemon.lock")),
        working,
        in_flight: InFlight::read(state).filter(|_| working),
        is_list_rejected: rejected.as_ref().is_some_and(InputError::is_about_the_list),
        mapping_rejected: rejected.map(|error| chain(&error)),
        rules: standing(Some(&ledger))?,
        recorded: recorded(&ledger, config, working, now)?,
        now,
    })
}

fn recorded(ledger: &Ledger, config: &Config, working: bool, now: Timestamp) -> Result<Recorded, LedgerError> {
    let mut outlook = report::outlook(ledger, config, now, None)?;
    if working {
        // How the run in flight ends nobody knows: what comes for certain is the next day's.
        outlook.next = schedule::next_slot(&config.schedule, now).map(|at| Next { at, why: Why::Schedule });
    }
    Ok(Recorded {
        rejected: ledger.configuration_rejection()?,
        last: ledger.run_report(None)?,
        needs: report::needs(ledger, config, now)?,
        matters: ledger.open_matters()?,
        alerts: alert::summary(ledger, config, now)?,
        outlook,
        dates: report::last_dates(ledger, 5)?,
        waiting: Observer::default().look(ledger, config, Instant::now() + TO_LOOK)?,
    })
}

fn to_json(config: &Config, facts: &Facts) -> serde_json::Value {
    let Recorded { rejected, last, needs, matters, alerts, outlook, dates, waiting } = &facts.recorded;
    json!({
        "firm_code": config.site.firm_code,
        "daemon": if facts.daemon { "running" } else { "stopped" },
        "configuration_rejected": rejected.as_ref().map(|rejected| json!({
            "since": rejected.since.to_string(), "errors": rejected.errors
        })),
        "configuration_invalid": facts.invalid,
        "working": facts.working,
        "in_flight": facts.in_flight,
        "mapping_rejected": facts.mapping_rejected,
        "rules": facts.rules.to_json(),
        "last_run": last.as_ref().map(report::to_json),
        "needs": needs,
        "matters": matters.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
        "alerts": alerts,
        "run_due": is_due(facts),
        "next_run": outlook.next.map(|next| next.at.to_string()),
        "next_run_because": outlook.next.map(|next| next.why),
        "missing": outlook.missing,
        "awaited": outlook.awaited,
        "last_dates": dates,
        "importer": waiting.since.map(|since| json!({
            "oldest_eml": since.to_string(), "is_lower_bound": waiting.is_unfinished, "commits": waiting.commits
        })),
    })
}

fn is_due(facts: &Facts) -> bool {
    facts.recorded.outlook.next.is_some_and(|next| next.at <= facts.now)
}

fn text(config: &Config, facts: &Facts) -> String {
    let Recorded { rejected, last, needs, matters, alerts, outlook, dates, waiting } = &facts.recorded;
    let zone = &config.schedule.time_zone;
    let mut lines = vec![format!("firm       {}", config.site.firm_code)];
    let daemon = if facts.daemon { "running" } else { "not running (systemctl start icechatd)" };
    lines.push(format!("daemon     {daemon}"));
    lines.extend(configuration(rejected.as_ref(), facts.invalid.as_deref(), zone));
    if facts.working {
        let how_far = facts.in_flight.as_ref().map(|run| format!(": {run}")).unwrap_or_default();
        lines.push(format!("run        in flight{how_far}"));
    }
    lines.push(last_run(last.as_ref(), facts.working));
    lines.push(format!("next run   {}", next_run(facts, zone)));
    lines.push(format!("last days  {}", listed(dates).unwrap_or_else(|| "none yet".to_owned())));
    lines.extend(listed(&outlook.missing).map(|days| format!("missing    {days}")));
    lines.extend(listed(&outlook.awaited).map(|days| format!("awaited    {days}")));
    lines.extend(importer(waiting, zone));
    lines.extend(facts.rules.lines(zone));
    // What the daemon has said is not said twice; what stands there without a daemon is.
    if let Some(rejected) = facts.mapping_rejected.as_ref().filter(|_| !facts.rules.is_rejected()) {
        let which = if facts.is_list_rejected { "mailboxes" } else { "mapping" };
        lines.push(format!("{which:<11}REJECTED, the last good one (if any) stays in force: {rejected}"));
    }
    lines.extend(alerts.as_ref().map(|alerts| format!("alerts     {alerts}")));
    if !needs.is_clear() {
        lines.push(format!("needs a person:\n{needs}"));
    } else if facts.mapping_rejected.is_none() && rejected.is_none() && facts.invalid.is_none() {
        lines.push("nothing needs a person".to_owned());
    }
    lines.extend(matters.iter().map(|(what, why)| format!("  {what}: {why}")));
    lines.join("\n")
}

fn configuration(rejected: Option<&Rejection>, invalid: Option<&str>, zone: &TimeZone) -> Option<String> {
    let state = match rejected {
        Some(rejected) => format!("REJECTED since {}", local(rejected.since, zone)),
        None => invalid.map(|_| "INVALID".to_owned())?,
    };
    let why = match (invalid, rejected) {
        (Some(invalid), _) => format!("correct it, then systemctl reload icechatd: {invalid}"),
        (None, rejected) => {
            let errors = rejected.map(|rejected| rejected.errors.join("; ")).unwrap_or_default();
            format!("the file is good now, so systemctl reload icechatd; it was: {errors}")
        }
    };
    Some(format!("config     {state}, the daemon works by the one before; {why}"))
}

fn last_run(last: Option<&RunReport>, working: bool) -> String {
    let Some(run) = last else { return "last run   none yet".to_owned() };
    let outcome = match run.outcome.as_deref() {
        Some(outcome) => outcome,
        // Its books would be those of what it has done so far.
        None if working => return format!("this run   {} {} still works", run.name, run.verb),
        None => "was cut off, the next one finishes it",
    };
    format!(
        "last run   {} {} {outcome}: {}",
        run.name,
        run.verb,
        run.error.clone().unwrap_or_else(|| report::books_line(&report::totals(run)))
    )
}

fn importer(waiting: &Waiting, zone: &TimeZone) -> Option<String> {
    let since = local(waiting.since?, zone);
    let least = if waiting.is_unfinished { " at the earliest: there was no time to look at all" } else { "" };
    Some(format!("importer   has EMLs to take, the oldest since {since}{least}"))
}

fn next_run(facts: &Facts, zone: &TimeZone) -> String {
    let Some(next) = facts.recorded.outlook.next else { return "-".to_owned() };
    if next.at <= facts.now {
        return "due now: the daemon starts it".to_owned();
    }
    let why = match next.why {
        Why::Schedule => "",
        Why::Failed => ": the last one failed",
        Why::LoginRefused => ": the site refused the login, which is tried once an hour",
        Why::NoExport => ": the export was not there yet",
        Why::Attachments => ": an export waits for an archive of its attachments",
    };
    format!("{}{why}", local(next.at, zone))
}

fn listed(days: &[Date]) -> Option<String> {
    (!days.is_empty()).then(|| days.iter().map(Date::to_string).collect::<Vec<_>>().join(" "))
}

fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
