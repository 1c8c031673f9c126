//! `alert`: what needs a person, and whether telling them works.

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::place::Place;
use super::{Failure, day_of, output};
use crate::alert::deliver::{channels, deliver, test};
use crate::alert::{Kind, is_silenced};
use crate::cause::chain;
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::ledger::{AlertId, AlertRow, Ledger, Undelivered};
use crate::lock::{Lock, is_held};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List what is the matter, with the numbers that `ack` takes
    #[command(after_help = "docs/alerts.md says what each kind means and what to do about it.")]
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,

        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say that somebody knows: the alert is not told again until the day is over
    #[command(after_help = "If it lasts longer than that, it is told again. What happened once (mapping_moved, \
                      mapping_overrides, mapping_removed, list_shrunk) is settled by it for good. The exit code of \
                      ingest is not changed: dismiss what is held with `icechatd held dismiss`.")]
    Ack {
        /// Numbers, as `alert list` shows them
        #[arg(required = true, value_name = "ID", value_parser = number)]
        ids: Vec<i64>,

        /// The last day of the silence, in the schedule's time zone, as in 2026-12-24
        #[arg(long, value_name = "DATE", value_parser = day_of)]
        until: Date,

        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Send a test by every channel that is configured, now
    #[command(
        after_help = "A test of alerts.ping counts as a sign of life there. Exit codes: 0 every channel took it, 1 one \
                      did not, 78 none is configured."
    )]
    Test {
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
    },
    /// Send what is queued: the daemon starts it
    #[command(hide = true)]
    Deliver,
}

pub(super) fn alert(place: &Place, verb: &Verb) -> Result<ExitCode, Failure> {
    let config = place.config()?;
    match verb {
        Verb::List { all, json } => list(&config, *all, *json),
        Verb::Ack { ids, until, reason } => ack(&config, ids, *until, reason.as_deref()),
        Verb::Test { json } => try_all(&config, *json),
        Verb::Deliver => deliver_now(&config),
    }
}

fn number(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "no number; icechatd alert list shows them")
}

fn list(config: &Config, all: bool, json: bool) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let (alerts, undelivered) = match Ledger::read(&config.state.directory)? {
        None => (Vec::new(), Vec::new()),
        Some(ledger) => {
            let alerts = if all { ledger.all_alerts()? } else { ledger.open_alerts()? };
            (alerts, ledger.undelivered()?)
        }
    };
    if json {
        let alerts: Vec<Value> = alerts.iter().map(|alert| facts(alert, config, now)).collect();
        output::print_json(&json!({"alerts": alerts, "undelivered": undelivered}))?;
    } else {
        output::print(&text(&alerts, &undelivered, config, now))?;
    }
    if !is_held(&config.state.directory.join("daemon.lock")) {
        output::complain("no daemon is running, so this is how things stood when one last looked");
    }
    Ok(ExitCode::Complete)
}

fn facts(alert: &AlertRow, config: &Config, now: Timestamp) -> Value {
    let kind = Kind::named(&alert.kind);
    let mut facts = serde_json::to_value(alert).unwrap_or(Value::Null);
    facts["severity"] = json!(kind.map(Kind::severity));
    facts["message_id"] = json!(kind.map(Kind::message_id));
    facts["what_to_do"] = json!(kind.map(Kind::advice));
    facts["silenced"] = json!(alert.ended.is_none() && is_silenced(alert, config, now));
    facts
}

fn text(alerts: &[AlertRow], undelivered: &[Undelivered], config: &Config, now: Timestamp) -> String {
    let mut lines = Vec::new();
    if alerts.is_empty() {
        lines.push("no alerts".to_owned());
    } else {
        let kinds = alerts.iter().map(|alert| alert.kind.len()).max().unwrap_or_default();
        lines.push(format!("{:>5}  {:<10}  {:<kinds$}  WORDS", "ID", "SINCE", "KIND"));
        for alert in alerts {
            let since = day(alert.raised, config);
            lines.push(format!("{:>5}  {since}  {:<kinds$}  {}", alert.id.0, alert.kind, alert.words));
            lines.extend(remarks(alert, config, now).into_iter().map(|remark| format!("{:>5}  {remark}", "")));
        }
    }
    lines.extend(undelivered.iter().map(|dead| {
        let (channel, since) = (dead.channel.as_str(), day(dead.given_up, config));
        format!(
            "{} message(s) by {channel} were not delivered, the last given up on {since}: {}",
            dead.notices, dead.error
        )
    }));
    lines.join("\n")
}

/// What became of it: its end, and whether somebody knows.
fn remarks(alert: &AlertRow, config: &Config, now: Timestamp) -> Vec<String> {
    let ended = alert.ended.map(|ended| format!("over since {}", day(ended, config)));
    let ack = alert.ack.as_ref().map(|ack| {
        let until = if alert.ended.is_some() || is_silenced(alert, config, now) { "until" } else { "only until" };
        let reason = ack.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("acknowledged {until} {} by {}{reason}", ack.until, ack.by)
    });
    ended.into_iter().chain(ack).collect()
}

fn day(time: Timestamp, config: &Config) -> Date {
    time.to_zoned(config.schedule.time_zone.clone()).date()
}

fn ack(config: &Config, ids: &[i64], until: Date, reason: Option<&str>) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    if until < day(now, config) {
        let line = format!("--until {until} is over already; name today or a later day");
        return Err(Failure::new(ExitCode::Usage, line));
    }
    let Some(_) = Ledger::read(&config.state.directory)? else { return Err(unknown(ids)) };
    let ledger = Ledger::open(&config.state.directory)?;
    let mut strangers = Vec::new();
    for id in ids {
        if ledger.ack_alert(AlertId(*id), until, reason, now)? {
            output::print(&format!("alert {id} is not told again until {until} is over"))?;
        } else {
            strangers.push(*id);
        }
    }
    if strangers.is_empty() { Ok(ExitCode::Complete) } else { Err(unknown(&strangers)) }
}

fn unknown(ids: &[i64]) -> Failure {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Failure::new(
        ExitCode::Failed,
        format!("no alert {} is open; icechatd alert list shows those that are", ids.join(", ")),
    )
}

fn try_all(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    if channels(config).is_empty() {
        let line = format!(
            "{} names no channel, so nobody is told: set alerts.webhook, alerts.ping or the section [mail]",
            config.file.display()
        );
        return Err(Failure::new(ExitCode::Config, line));
    }
    let results = test(config, Timestamp::now())?;
    let failed = results.iter().any(|(_, result)| result.is_err());
    if json {
        let facts = results.iter().map(|(channel, result)| {
            let error = result.as_ref().err().map(|error| chain(error));
            json!({"channel": channel, "ok": error.is_none(), "error": error})
        });
        output::print_json(&Value::Array(facts.collect()))?;
    } else {
        let line = |word: &str, result: &Result<(), _>| match result {
            Ok(()) => format!("ok      {word}"),
            Err(error) => format!("FAILED  {}", chain(error)),
        };
        let lines: Vec<String> = results.iter().map(|(channel, result)| line(channel.as_str(), result)).collect();
        output::print(&lines.join("\n"))?;
    }
    Ok(if failed { ExitCode::Failed } else { ExitCode::Complete })
}

fn deliver_now(config: &Config) -> Result<ExitCode, Failure> {
    if Ledger::read(&config.state.directory)?.is_none() {
        return Ok(ExitCode::Complete);
    }
    // Two at once would send everything twice.
    let _lock = Lock::take(&config.state.directory.join("deliver.lock"))?;
    let ledger = Ledger::open(&config.state.directory)?;
    let delivered = deliver(&ledger, config, Timestamp::now)?;
    Ok(if delivered.failed == 0 { ExitCode::Complete } else { ExitCode::Failed })
}
