//! What needs a person, told once: conditions are read from the ledger, never from the pipeline.
//!
//! [`look`] compares what is the matter with what is open, and queues what is new in the ledger; [`deliver`] sends what is
//! queued, in a process of its own. So nothing that happens to a webhook or a mail server touches a run or the daemon, and
//! what was told when, and by which channel, is on record.

mod conditions;
mod days;
pub mod deliver;
mod kind;
mod letter;
mod message;
mod reconciliation;
mod telling;
#[cfg(test)]
mod tests;
mod web;

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

pub use self::conditions::{Condition, Facts, conditions};
pub use self::kind::{Kind, Severity};

use self::message::{Message, News};
use self::reconciliation::Day;
use self::telling::{Changes, compare, end_is_told, is_acknowledged, is_due, severity};
use crate::config::Config;
use crate::ledger::{AlertRow, Channel, Horizon, Ledger, LedgerError};
use crate::{report, schedule};

/// How long a run may work before alerts are looked for all the same.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// How far back exports say what is usual: eight of the same weekday, with room for holidays.
const USUAL: SignedDuration = SignedDuration::from_hours(200 * 24);
/// How old a run may be that is still worth a ping.
const PING: SignedDuration = SignedDuration::from_hours(24);

/// Brings the ledger's alerts up to date with how things stand, and queues what is to be told: all that is new as one
/// message to each channel.
///
/// A run that works is waited for, an hour at most: half of what it does would be told, and then the other half.
///
/// # Errors
/// Where the ledger cannot be read or written.
pub fn look(ledger: &Ledger, config: &Config, now: Timestamp) -> Result<(), LedgerError> {
    let working = ledger.working_since()?.map(|since| now.duration_since(since));
    if working.is_some_and(|since| SignedDuration::ZERO <= since && since < PATIENCE) {
        return Ok(());
    }
    let missing = report::needs(ledger, config, now)?.missing;
    let circumstances = ledger.circumstances(horizon(now))?;
    let facts = Facts {
        circumstances: &circumstances,
        missing: &missing,
        schedule: &config.schedule,
        firm_code: &config.site.firm_code,
        max_age: config.mailboxes.graph.as_ref().and_then(|graph| graph.max_age.try_into().ok()),
    };
    let found = conditions(&facts, now);
    let changes = compare(found, ledger.open_alerts()?, &ledger.acknowledged_alerts()?);
    announce(ledger, config, changes, now)?;
    ping(ledger, config, &missing, now)?;
    let tried = circumstances.last_run.map(|run| run.began);
    reconcile(ledger, config, &missing, tried, now)
}

/// Whether an open alert is silenced by a person's word.
pub fn is_silenced(alert: &AlertRow, config: &Config, now: Timestamp) -> bool {
    is_acknowledged(alert, &config.schedule.time_zone, now)
}

/// One line for `status`: how many alerts are open, and the most urgent of those that nobody acknowledged. None where
/// there is nothing to say.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn summary(ledger: &Ledger, config: &Config, now: Timestamp) -> Result<Option<String>, LedgerError> {
    let open = ledger.open_alerts()?;
    let silent = open.iter().filter(|alert| is_silenced(alert, config, now)).count();
    let worst = open
        .iter()
        .filter(|alert| !is_silenced(alert, config, now))
        .min_by_key(|alert| (severity(alert), Kind::named(&alert.kind), alert.id));
    let silent = if silent > 0 { format!(" ({silent} acknowledged)") } else { String::new() };
    let worst = worst.map_or_else(String::new, |alert| format!("; first {}: {}", alert.kind, alert.words));
    let dead: Vec<String> = ledger.undelivered()?.iter().map(|dead| dead.channel.as_str().to_owned()).collect();
    let dead = if dead.is_empty() { String::new() } else { format!("; not delivered by {}", dead.join(", ")) };
    if open.is_empty() && dead.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("{} open{silent}, icechatd alert list shows them{worst}{dead}", open.len())))
}

fn horizon(now: Timestamp) -> Horizon {
    let back = |time| now.checked_sub(time).unwrap_or(Timestamp::MIN);
    Horizon { exports: back(USUAL), unknown: back(conditions::UNKNOWN), versions: back(conditions::EVENT) }
}

/// Records the changes, queues what is to be told of them, and logs what is new.
fn announce(ledger: &Ledger, config: &Config, changes: Changes, now: Timestamp) -> Result<(), LedgerError> {
    let zone = &config.schedule.time_zone;
    let Changes { raise, reword, last, end } = changes;
    let due: Vec<AlertRow> = reword.iter().chain(&last).filter(|alert| is_due(alert, zone, now)).cloned().collect();
    if raise.is_empty() && reword.is_empty() && end.is_empty() && due.is_empty() {
        return Ok(());
    }
    let told = ledger.all_or_none(|| {
        let mut told = Vec::new();
        for one in &raise {
            told.push((News::New, ledger.raise_alert(one.kind.name(), &one.subject, &one.words, now)?));
        }
        for alert in &reword {
            ledger.reword_alert(alert.id, &alert.words)?;
        }
        told.extend(due.into_iter().map(|alert| (News::Lasts, alert)));
        for (_, alert) in &told {
            ledger.note_told(alert.id, now)?;
        }
        for alert in &end {
            ledger.end_alert(alert.id, now)?;
        }
        told.extend(end.iter().filter(|alert| end_is_told(alert)).map(|alert| (News::Resolved, alert.clone())));
        let message = Message::new(&config.site.firm_code, told);
        tell(ledger, config, &message, now)?;
        Ok(message.alerts)
    })?;
    told.iter().for_each(log);
    Ok(())
}

fn tell(ledger: &Ledger, config: &Config, message: &Message<'_>, now: Timestamp) -> Result<(), LedgerError> {
    if message.alerts.is_empty() {
        return Ok(());
    }
    if config.alerts.webhook.is_some() {
        ledger.queue_notice(Channel::Webhook, "alerts", &message.json().to_string(), now)?;
    }
    if config.mail.is_some() {
        ledger.queue_notice(Channel::Mail, "alerts", &message.letter().to_json(), now)?;
    }
    Ok(())
}

/// The log is told of what is new and of what is over, once.
fn log((news, alert): &(News, AlertRow)) {
    let message_id = Kind::named(&alert.kind).map_or("", Kind::message_id);
    let kind = alert.kind.as_str();
    match (news, severity(alert)) {
        (News::New, Severity::Critical) => error!(message_id, alert = kind, "{}", alert.words),
        (News::New, Severity::Warning) => warn!(message_id, alert = kind, "{}", alert.words),
        (News::Resolved, _) => info!(message_id, alert = kind, "resolved: {}", alert.words),
        (News::Lasts, _) => {}
    }
}

/// A dead man's switch is told of each run at the site that went well, unless an export is missing that nobody has
/// acknowledged: then silence is what it is there for.
fn ping(ledger: &Ledger, config: &Config, missing: &[Date], now: Timestamp) -> Result<(), LedgerError> {
    if config.alerts.ping.is_none() {
        return Ok(());
    }
    let Some((run, _, ended)) = ledger.last_good_run()? else { return Ok(()) };
    let told = ledger.last_notice(Channel::Ping, "run")?.is_some_and(|(_, body)| body == run);
    if told || now.duration_since(ended) >= PING || !all_acknowledged(ledger, config, missing, now)? {
        return Ok(());
    }
    ledger.all_or_none(|| {
        ledger.withdraw_notices(Channel::Ping, "run")?;
        ledger.queue_notice(Channel::Ping, "run", &run, now)
    })
}

fn all_acknowledged(ledger: &Ledger, config: &Config, missing: &[Date], now: Timestamp) -> Result<bool, LedgerError> {
    if missing.is_empty() {
        return Ok(true);
    }
    let open = ledger.open_alerts()?.into_iter();
    let silent = open.filter(|alert| alert.kind == Kind::ExportMissing.name() && is_silenced(alert, config, now));
    let silent: BTreeSet<String> = silent.map(|alert| alert.subject).collect();
    Ok(missing.iter().all(|day| silent.contains(&day.to_string())))
}

/// The day's books go out by mail once for each scheduled run: after the first that went well and left no export to be
/// awaited, or at the deadline where runs were tried.
fn reconcile(
    ledger: &Ledger,
    config: &Config,
    missing: &[Date],
    tried: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if !config.mail.as_ref().is_some_and(|mail| mail.reconciliation) {
        return Ok(());
    }
    let slot = schedule::last_slot(&config.schedule, now);
    let last = ledger.last_notice(Channel::Mail, "reconciliation")?.map(|(made, _)| made);
    if last.is_some_and(|made| made >= slot) {
        return Ok(());
    }
    let went_well = ledger.last_good_run()?.is_some_and(|(_, began, _)| began >= slot);
    let is_late = || days::first_at(&config.schedule, config.schedule.deadline, slot).is_some_and(|late| late <= now);
    let is_whole = went_well && report::awaited_days(ledger, config, now)?.is_empty();
    let is_over = tried.is_some_and(|began| began >= slot) && is_late();
    if !(is_whole || is_over) {
        return Ok(());
    }
    let mut runs = Vec::new();
    for name in ledger.runs_between(last.unwrap_or(slot), now)? {
        runs.extend(ledger.run_report(Some(&name))?);
    }
    let alerts = ledger.open_alerts()?.iter().filter(|alert| !is_silenced(alert, config, now)).count();
    let date = slot.to_zoned(config.schedule.time_zone.clone()).date();
    let head = ledger.chain_head()?;
    let day = Day { firm_code: &config.site.firm_code, date, runs, went_well, alerts, missing, head };
    ledger.queue_notice(Channel::Mail, "reconciliation", &day.letter().to_json(), now)
}
