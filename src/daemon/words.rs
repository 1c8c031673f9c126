//! The sentence that `systemctl status` shows: what was done last, what needs a person, what comes next.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::ledger::{Ledger, LedgerError};
use crate::report::{self, Outlook, totals};
use crate::schedule::Why;

/// What only the daemon itself knows.
pub(super) struct Known {
    /// See [`report::outlook`].
    pub anew: Option<Timestamp>,
    /// When a replay is due that cannot be made at once.
    pub replay: Option<Timestamp>,
    pub mapping_is_rejected: bool,
}

/// How things stand while no run works.
pub(super) fn sentence(ledger: &Ledger, config: &Config, known: &Known, now: Timestamp) -> Result<String, LedgerError> {
    let zone = &config.schedule.time_zone;
    let mut parts = vec![last_run(ledger)?];
    let needs = report::needs(ledger, config, now)?;
    if !needs.is_clear() {
        parts.push("something needs a person: icechatd status".to_owned());
    }
    if known.mapping_is_rejected {
        parts.push("the mapping or mailbox list in the folder is rejected: icechatd check".to_owned());
    }
    if let Some(rejection) = ledger.configuration_rejection()? {
        let since = local(rejection.since, zone);
        parts.push(format!("the configuration is rejected since {since}, the one before is in force"));
    }
    parts.extend(known.replay.map(|at| format!("replay failed, next try {}", local(at, zone))));
    parts.extend(coming(&report::outlook(ledger, config, now, known.anew)?, zone, now));
    Ok(parts.join("; "))
}

fn last_run(ledger: &Ledger) -> Result<String, LedgerError> {
    let Some(run) = ledger.run_report(None)? else { return Ok("no run yet".to_owned()) };
    let items = totals(&run).items.available;
    Ok(match run.outcome.as_deref() {
        Some("failed") => format!("last run {}: failed", run.name),
        Some(outcome) => format!("last run {}: {outcome}, {items} item{}", run.name, if items == 1 { "" } else { "s" }),
        None => format!("last run {}: not finished", run.name),
    })
}

/// When the site is asked next, and why then.
fn coming(outlook: &Outlook, zone: &TimeZone, now: Timestamp) -> Option<String> {
    let next = outlook.next?;
    if next.at <= now {
        return Some("a run is due and starts now".to_owned());
    }
    let at = local(next.at, zone);
    Some(match next.why {
        Why::Schedule => format!("next run {at}"),
        Why::Failed => format!("ingest failed, next try {at}"),
        Why::LoginRefused => format!("the site refuses the login, next try {at}"),
        Why::Attachments => format!("an export waits for an archive of its attachments, next look {at}"),
        Why::NoExport => {
            let days: Vec<String> = outlook.awaited.iter().map(ToString::to_string).collect();
            format!("no export for {} yet, next look {at}", days.join(", "))
        }
    })
}

/// A time as people in the firm's zone read it.
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}
