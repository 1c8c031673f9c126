//! `mapping history` and `mapping accept`: what came into force, and a person's word for what did not come by itself.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::{Failure, output};
use crate::cause::chain;
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::inputs::{self, Asked, Good, News};
use crate::ledger::{Ledger, Rejection, Version, invoked_by};
use crate::owner;

pub(super) fn history(config: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let versions = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger.versions()?,
        None => Vec::new(),
    };
    if json {
        output::print_json(&json!(versions))?;
    } else if versions.is_empty() {
        output::complain("no mapping and no mailbox list has come into force yet");
    } else {
        let zone = &config.schedule.time_zone;
        let lines: Vec<String> = versions.iter().map(|version| entry(version, zone)).collect();
        output::print(&lines.join("\n"))?;
    }
    Ok(ExitCode::Complete)
}

fn entry(version: &Version, zone: &TimeZone) -> String {
    let mut text = format!("{}  {:<7}  {}", local(version.since, zone), version.kind, changes(version));
    for words in concerns(version) {
        text.push_str("\n    ");
        text.push_str(&words);
    }
    text
}

fn changes(version: &Version) -> String {
    let change = &version.change;
    let numbers = inputs::numbers(change.added, change.removed, change.changed, change.entries);
    format!("{numbers}, by {}", change.put_by)
}

fn concerns(version: &Version) -> Vec<String> {
    let concerns: Vec<Value> = serde_json::from_str(&version.change.concerns).unwrap_or_default();
    concerns.iter().filter_map(|concern| concern["words"].as_str().map(str::to_owned)).collect()
}

fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// What comes into force, as the ledger calls it.
const KINDS: [&str; 3] = ["mapping", "list", "directory"];

/// Mapping, list and the tenant's users as they are in force, and what the daemon rejected: what `status` says of them.
pub(in crate::cli) struct Standing {
    versions: Vec<Version>,
    rejections: Vec<Rejection>,
}

/// Reads what stands.
pub(in crate::cli) fn standing(ledger: Option<&Ledger>) -> Result<Standing, Failure> {
    let Some(ledger) = ledger else { return Ok(Standing { versions: Vec::new(), rejections: Vec::new() }) };
    let versions = KINDS.map(|kind| ledger.version_in_force(kind));
    let versions: Vec<_> = versions.into_iter().collect::<Result<_, _>>()?;
    let mut rejections = ledger.open_rejections()?;
    rejections.retain(|rejection| KINDS.contains(&rejection.kind.as_str()));
    Ok(Standing { versions: versions.into_iter().flatten().collect(), rejections })
}

impl Standing {
    /// For programs.
    pub(in crate::cli) fn to_json(&self) -> Value {
        let of = |kind: &str| json!(self.versions.iter().find(|version| version.kind == kind));
        let [mapping, list, directory] = KINDS.map(of);
        json!({"mapping": mapping, "list": list, "directory": directory, "rejections": self.rejections})
    }

    /// A line for each set in force, and each rejection with a few of its errors.
    pub(in crate::cli) fn lines(&self, zone: &TimeZone) -> Vec<String> {
        let in_force = |version: &Version| {
            let (name, since) = (name_of(&version.kind), local(version.since, zone));
            format!("{name:<10} in force since {since}: {}", changes(version))
        };
        let rejected = |rejection: &Rejection| {
            let since = local(rejection.since, zone);
            let name = name_of(&rejection.kind);
            let mut text = format!("{name:<10} REJECTED since {since}, the last good one (if any) stays in force");
            for error in rejection.errors.iter().take(SHOWN) {
                text.push_str("\n  ");
                text.push_str(error);
            }
            let more = rejection.errors.len().saturating_sub(SHOWN);
            if more > 0 {
                text.push_str("\n  and more; each file's are in <file>.error.txt beside it");
            }
            text
        };
        self.versions.iter().map(in_force).chain(self.rejections.iter().map(rejected)).collect()
    }

    /// Whether the daemon rejected something that is not mended yet.
    pub(in crate::cli) fn is_rejected(&self) -> bool {
        !self.rejections.is_empty()
    }
}

/// How many errors of a rejection fit on the screen.
const SHOWN: usize = 5;

fn name_of(kind: &str) -> &str {
    match kind {
        "list" => "mailboxes",
        "directory" => "tenant",
        kind => kind,
    }
}

pub(super) fn accept(config: &Path, dry_run: bool, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    // Measured against no list in force: that is what a person confirms.
    let found = inputs::find(&config, None)?;
    let faults = found.faults();
    let rejected = faults.iter().filter_map(|(kind, rejected)| Some((*kind, (*rejected)?)));
    let errors: Vec<String> = rejected.flat_map(|(kind, rejected)| rejected.lines(kind)).collect();
    if !errors.is_empty() {
        if json {
            output::print_json(&json!({"accepted": [], "errors": errors}))?;
        } else {
            output::print(&errors.join("\n"))?;
            output::print(&format!("rejected: {} error(s); nothing was put in force", errors.len()))?;
        }
        return Ok(ExitCode::Failed);
    }
    owner::of_state(&config)?;
    let state = &config.state.directory;
    let ledger = if dry_run { Ledger::read(state)?.map_or_else(Ledger::none, Ok)? } else { Ledger::open(state)? };
    let tenant = inputs::confirm_tenant(&config, &ledger)?;
    if let Some(Asked::Failed(error) | Asked::Confirmed(_, error)) = &tenant {
        let why = chain(error.as_ref());
        output::complain(&format!("the tenant's users are taken as they were said last, if ever, because: {why}"));
    }
    if let Some(Asked::Rejected(_, dwindled)) = &tenant {
        output::complain(&format!("the tenant's users stay as they are: {dwindled}"));
    }
    let is_rejected = matches!(tenant, Some(Asked::Rejected(..)));
    let good = Good { tenant, ..found.good() };
    let news = if dry_run {
        inputs::news(&config, &ledger, &good)?
    } else {
        let put_by = format!("{} (mapping accept)", invoked_by());
        inputs::put_in_force(&config, &ledger, &good, &put_by, Timestamp::now())?
    };
    if json {
        output::print_json(&json!({"accepted": news.iter().map(news_json).collect::<Vec<_>>(), "errors": []}))?;
    } else {
        output::print(&said(&news, dry_run))?;
    }
    Ok(if is_rejected { ExitCode::Failed } else { ExitCode::Complete })
}

fn news_json(news: &News) -> Value {
    let difference = &news.difference;
    json!({
        "kind": news.kind.as_str(),
        "entries": news.entries,
        "added": difference.added,
        "removed": difference.removed,
        "changed": difference.changed,
        "concerns": difference.concerns,
        "warnings": news.warnings,
    })
}

fn said(news: &[News], dry_run: bool) -> String {
    if news.is_empty() {
        return "mapping and mailbox list are in force as they stand".to_owned();
    }
    let mut lines = Vec::new();
    for set in news {
        lines.push(format!("{}: {}", set.kind.words(), set.numbers()));
        let concerns = set.difference.concerns.iter().map(|concern| &concern.words);
        lines.extend(set.warnings.iter().chain(concerns).map(|words| format!("  {words}")));
    }
    lines.push(if dry_run {
        "nothing was put in force (--dry-run)".to_owned()
    } else {
        "in force; a running daemon replays by itself, else: icechatd replay".to_owned()
    });
    lines.join("\n")
}
