//! The part of `check` that looks at what a run lives among: the calendar, the clock, and whoever is told.

use jiff::{Timestamp, ToSpan};

use super::{Level, Lines};
use crate::cause::chain;
use crate::config::{Config, Credential};
use crate::ledger::Ledger;
use crate::mailbox::Mailbox;
use crate::schedule;

/// A clock before this program was written is wrong for certain: 2026-10-26, in Unix seconds.
const WRITTEN: i64 = 1_793_000_000;

/// The next run, and whether the holidays are those of this time.
pub(super) fn schedule(lines: &mut Lines, config: &Config, now: Timestamp) {
    let zone = &config.schedule.time_zone;
    match schedule::next_slot(&config.schedule, now) {
        Some(next) => {
            let next = next.to_zoned(zone.clone());
            let name = zone.iana_name().filter(|name| *name != next.strftime("%Z").to_string());
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            lines.add("schedule", Level::Ok, format!("next run {}{name}", next.strftime("%a %Y-%m-%d %H:%M %Z")));
        }
        None => lines.add("schedule", Level::Failure, "no next run can be found; check [schedule]".to_owned()),
    }
    let today = now.to_zoned(zone.clone()).date();
    if let Some(last) = config.schedule.holidays.last().filter(|last| **last < today) {
        let text = format!(
            "the last day in schedule.holidays is {last}, which is over: a later holiday will be taken for a day whose \
             export is missing; add the coming ones"
        );
        lines.add("holidays", Level::Note, text);
    }
}

/// The clock, against the age of this program and what the ledger recorded.
pub(super) fn clock(lines: &mut Lines, ledger: Option<&Ledger>, now: Timestamp) {
    let shown = now.strftime("%Y-%m-%d %H:%M:%S UTC");
    if now.as_second() < WRITTEN {
        return lines.add("clock", Level::Failure, format!("it says {now}; set it (timedatectl set-ntp true)"));
    }
    let latest = match ledger.map_or(Ok(None), Ledger::latest_time) {
        Ok(latest) => latest,
        Err(error) => return lines.failed("ledger", &error),
    };
    match latest.filter(|latest| *latest > now.saturating_add(1.minute()).unwrap_or(now)) {
        Some(latest) => lines.add(
            "clock",
            Level::Warning,
            format!("it says {shown}, and a run has recorded {latest}: it is wrong, or was; see timedatectl"),
        ),
        None => lines.add("clock", Level::Ok, shown.to_string()),
    }
}

/// Who hears of what needs a person.
pub(super) fn telling(lines: &mut Lines, config: &Config) {
    const NAME: &str = "alerts";
    let mut told = Vec::new();
    for (what, credential) in [("webhook", &config.alerts.webhook), ("ping", &config.alerts.ping)] {
        if let Some(credential) = credential {
            told.push(what.to_owned());
            if let Some(problem) = problem_with_address(credential) {
                lines.add(NAME, Level::Warning, problem);
            }
        }
    }
    if let Some(mail) = &config.mail {
        let to: Vec<_> = mail.to.iter().map(Mailbox::as_str).collect();
        told.push(format!("mail to {} by {}", to.join(", "), mail.server));
    }
    if config.alerts.webhook.is_none() && config.mail.is_none() {
        let text = "nobody is told of what needs a person; see [alerts] and [mail]";
        lines.add(NAME, Level::Note, text.to_owned());
    } else {
        lines.add(NAME, Level::Ok, told.join("; "));
    }
}

/// One that cannot be read has its line already. What is in it is a secret and not shown.
fn problem_with_address(credential: &Credential) -> Option<String> {
    use secrecy::ExposeSecret;
    credential.read().ok()?;
    let key = credential.key();
    match credential.read_line() {
        Err(error) => Some(chain(&error)),
        Ok(line) => {
            let is_address = ["https://", "http://"].iter().any(|scheme| line.expose_secret().starts_with(scheme));
            (!is_address).then(|| format!("{key}: holds no web address; write one that begins with https://"))
        }
    }
}
