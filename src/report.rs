//! What a run did and what needs a person, for people and for programs (contract 8). Reads the ledger, never the
//! pipeline.

pub mod cell;
pub mod coverage;
pub mod day;
pub mod deed;
mod outlook;
pub mod rows;
pub mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::books::Books;
use crate::config::Config;
use crate::ledger::{AttachmentCounts, FileReport, Ledger, LedgerError, Restaging, RunReport, StateNow};

pub use self::outlook::{Outlook, awaited_days, missing_days, next_replay, next_run, outlook};

/// What needs a person: the state of contract 2's exit code 3.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Needs {
    /// What the ledger knows.
    #[serde(flatten)]
    pub state: StateNow,
    /// Days whose export is still missing after its deadline.
    pub missing: Vec<Date>,
}

impl Needs {
    /// Whether nothing does.
    pub fn is_clear(&self) -> bool {
        self.state.is_clear() && self.missing.is_empty()
    }

    /// Adds what a dry run foresees of one file.
    pub fn add_foreseen(&mut self, file: &FileReport) {
        self.state.held_files += u64::from(file.state == "held");
        self.state.held_items += file.books.items.held;
        self.state.rejected_records += file.books.items.rejected;
        self.state.unresolved += parsed(&file.unresolved).as_array().map_or(0, Vec::len) as u64;
    }
}

/// One line for each thing, with the verb that shows more.
impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.state;
        let lines = [
            (state.held_files, "file", "held", "icechatd held list says why; mend the cause and run icechatd ingest"),
            (state.unfinished_files, "file", "not finished", "icechatd ingest goes on with it"),
            (
                state.failed_replays,
                "export",
                "not replayed",
                "icechatd status says why; put it right and run icechatd replay",
            ),
            (
                state.held_items,
                "item",
                "held",
                "in nobody's mailbox; icechatd held list shows whom they concern; map one who is yours, then icechatd replay",
            ),
            (
                state.rejected_records,
                "record",
                "rejected",
                "icechatd held list names them; icechatd replay tries them again",
            ),
            (state.unresolved, "participant of ours", "unresolved", "icechatd mapping unresolved lists them"),
        ];
        for (count, noun, what, hint) in lines {
            if count > 0 {
                let plural = match (count, noun) {
                    (1, _) => noun.to_owned(),
                    (_, "participant of ours") => "participants of ours".to_owned(),
                    _ => format!("{noun}s"),
                };
                writeln!(f, "  {count} {plural} {what}: {hint}")?;
            }
        }
        if !self.missing.is_empty() {
            let days: Vec<String> = self.missing.iter().map(Date::to_string).collect();
            writeln!(f, "  export missing for {}: ask ICE, then icechatd ingest", days.join(", "))?;
        }
        Ok(())
    }
}

/// What needs a person at this time.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn needs(ledger: &Ledger, config: &Config, now: Timestamp) -> Result<Needs, LedgerError> {
    let missing = missing_days(ledger, config, now)?;
    Ok(Needs { state: ledger.state_now()?, missing })
}

/// The books of a whole run.
pub fn totals(report: &RunReport) -> Books {
    report.files.iter().fold(Books::default(), |mut sum, file| {
        sum += file.books;
        sum
    })
}

/// The report as contract 8 has it.
pub fn to_json(report: &RunReport) -> Value {
    let totals = totals(report);
    json!({
        "schema": 1,
        "run": report.name,
        "verb": report.verb,
        "firm_code": report.firm_code,
        "started": report.started.to_string(),
        "finished": report.finished.map(|time| time.to_string()),
        "outcome": report.outcome,
        "error": report.error,
        "restaging": report.restaging,
        "evidence": report.evidence.as_ref().map(|link| json!({"link": link.seq, "hash": link.hash.to_string()})),
        "items": totals.items,
        "placements": totals.placements,
        "changed": totals.changed,
        "attachments": attachments(report),
        "events": events(report.files.iter()),
        "files": report.files.iter().map(file_json).collect::<Vec<_>>(),
        "unresolved": unresolved(report),
    })
}

fn file_json(file: &FileReport) -> Value {
    json!({
        "name": file.name,
        "sha256": file.sha256.to_string(),
        "bytes": file.bytes,
        "date": file.date,
        "firm_code": file.export_firm,
        "state": file.state,
        "reason": file.reason,
        "dismissed": file.dismissed,
        "signed_by": signed_by(file),
        "items": file.books.items,
        "placements": file.books.placements,
        "changed": file.books.changed,
        "attachments": file.attachments,
        "unknown": parsed(&file.unknown),
        "events": events([file]),
        "supersedes": file.supersedes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rejected": file.rejected.iter().map(|rejected| json!({
            "line": rejected.line, "kind": rejected.kind, "reason": rejected.reason, "dismissed": rejected.dismissed
        })).collect::<Vec<_>>(),
    })
}

/// What became of the attachments of a run's files, each of which may be listed twice.
fn attachments(report: &RunReport) -> AttachmentCounts {
    let mut seen = BTreeSet::new();
    let once = report.files.iter().filter(|file| seen.insert(file.sha256));
    once.fold(AttachmentCounts::default(), |mut sum, file| {
        sum += file.attachments;
        sum
    })
}

/// What happened beside what was said, by kind; a kind that nobody met is not there.
fn events<'a>(files: impl IntoIterator<Item = &'a FileReport>) -> BTreeMap<&'a str, u64> {
    let mut sum = BTreeMap::new();
    for (kind, count) in files.into_iter().flat_map(|file| &file.events) {
        *sum.entry(kind.as_str()).or_default() += count;
    }
    sum
}

/// Of a held file nobody can say yet, nor of one that waits.
fn signed_by(file: &FileReport) -> Option<&str> {
    (!matches!(file.state.as_str(), "held" | "waiting")).then(|| file.signed_by.as_deref().unwrap_or("unsigned"))
}

/// The run's unresolved participants: each once, most affected first.
fn unresolved(report: &RunReport) -> Vec<Value> {
    let mut people: BTreeMap<(String, String), (Value, u64)> = BTreeMap::new();
    for file in &report.files {
        for person in parsed(&file.unresolved).as_array().into_iter().flatten() {
            let fold = |key: &str| person[key].as_str().unwrap_or_default().to_lowercase();
            let items = person["items"].as_u64().unwrap_or_default();
            let entry = people.entry((fold("im_id"), fold("email"))).or_insert_with(|| (person.clone(), 0));
            entry.1 += items;
        }
    }
    let mut list: Vec<(Value, u64)> = people.into_values().collect();
    list.sort_by_key(|(_, items)| std::cmp::Reverse(*items));
    list.into_iter()
        .map(|(mut person, items)| {
            person["items"] = items.into();
            person
        })
        .collect()
}

/// A number and what it counts.
pub fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// JSON that this program wrote into its own ledger.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// The report for a person.
pub fn to_text(report: &RunReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut text, report);
    text
}

fn write_text(text: &mut String, report: &RunReport) -> fmt::Result {
    let outcome = report.outcome.as_deref().unwrap_or("not ended");
    writeln!(text, "run {}  {}  {}  {outcome}", report.name, report.verb, report.firm_code)?;
    let finished = report.finished.map_or_else(|| "-".to_owned(), |time| time.to_string());
    writeln!(text, "started {}  finished {finished}", report.started)?;
    if let Some(error) = &report.error {
        writeln!(text, "error: {error}")?;
    }
    if let Some(restaging) = &report.restaging {
        write_restaging(text, restaging)?;
    }
    let totals = totals(report);
    writeln!(text, "{}", books_line(&totals))?;
    for file in &report.files {
        writeln!(text)?;
        write_file(text, file, report.restaging.is_some())?;
    }
    let unresolved = unresolved(report);
    if !unresolved.is_empty() {
        writeln!(text, "\nunresolved participants of ours ({}), most affected first:", unresolved.len())?;
        for person in unresolved.iter().take(20) {
            let word = |key: &str| person[key].as_str().unwrap_or("-").to_owned();
            writeln!(text, "  {}  {}  {}  {} items", word("im_id"), word("email"), word("name"), person["items"])?;
        }
        if unresolved.len() > 20 {
            writeln!(text, "  … all of them: icechatd mapping unresolved")?;
        }
    }
    Ok(())
}

/// The books on one line.
pub fn books_line(books: &Books) -> String {
    let items = books.items;
    format!(
        "{} items available = {} staged + {} held + {} duplicate + {} rejected + {} skipped; placements: {} staged, {} \
         existing; {} changed",
        items.available,
        items.staged,
        items.held,
        items.duplicate,
        items.rejected,
        items.skipped,
        books.placements.staged,
        books.placements.existing,
        books.changed,
    )
}

/// What became of attachments on one line; none where there were none.
fn attachments_line(counts: &AttachmentCounts) -> Option<String> {
    let AttachmentCounts { present, missing, oversize, orphan, refused } = *counts;
    let told = [
        (present, "present"),
        (missing, "missing"),
        (oversize, "oversize"),
        (orphan, "named by no export"),
        (refused, "refused"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!told.is_empty()).then(|| format!("attachments: {}", told.join(", ")))
}

fn write_restaging(text: &mut String, restaging: &Restaging) -> fmt::Result {
    let Restaging { by, reason, asked, not_placed } = restaging;
    let run = asked.run.iter().map(|run| format!("run {run}"));
    let since = asked.since.iter().map(|since| format!("committed since {since}"));
    let mailbox = asked.mailbox.iter().map(|mailbox| format!("mailbox {mailbox}"));
    let asked: Vec<String> = run.chain(since).chain(mailbox).collect();
    writeln!(text, "asked for by {by}: {}", asked.join(", "))?;
    writeln!(text, "because: {reason}")?;
    if *not_placed > 0 {
        writeln!(text, "placements that could not be made again: {not_placed}")?;
    }
    Ok(())
}

fn write_file(text: &mut String, file: &FileReport, is_restaged: bool) -> fmt::Result {
    let date = file.date.as_deref().unwrap_or("no date");
    writeln!(text, "{}  {}  {date}  {} bytes", file.name, file.state, file.bytes)?;
    writeln!(text, "  sha256 {}", file.sha256)?;
    if let Some(firm) = &file.export_firm {
        writeln!(text, "  made for firm: {firm}")?;
    }
    if let Some(reason) = &file.reason {
        let what = match (file.state.as_str(), file.dismissed) {
            ("held", true) => "held, and dismissed",
            ("held", false) => "held",
            ("waiting", _) => "waits",
            _ if is_restaged => "not all of it put there again",
            _ => "not replayed",
        };
        writeln!(text, "  {what}: {reason}")?;
        return if is_restaged { writeln!(text, "  {}", books_line(&file.books)) } else { Ok(()) };
    }
    for superseded in &file.supersedes {
        writeln!(text, "  settles a file of the same name that was held: sha256 {superseded}")?;
    }
    writeln!(text, "  signed by: {}", file.signed_by.as_deref().unwrap_or("unsigned"))?;
    if file.state != "read" {
        writeln!(text, "  {}", books_line(&file.books))?;
    }
    if let Some(line) = attachments_line(&file.attachments) {
        writeln!(text, "  {line}")?;
    }
    if !file.events.is_empty() {
        let events: Vec<String> = file.events.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(text, "  events: {}", events.join(", "))?;
    }
    for unknown in parsed(&file.unknown).as_array().into_iter().flatten() {
        let path = unknown["path"].as_str().unwrap_or_default();
        writeln!(text, "  not in the profile: {path} ({} times)", unknown["count"])?;
    }
    for rejected in file.rejected.iter().take(20) {
        let dismissed = if rejected.dismissed { ", dismissed" } else { "" };
        writeln!(text, "  rejected: line {}: {} ({}{dismissed})", rejected.line, rejected.reason, rejected.kind)?;
    }
    if file.rejected.len() > 20 {
        writeln!(text, "  … {} rejected in all; icechatd report --json lists them", file.rejected.len())?;
    }
    Ok(())
}

/// The days for which a committed export stands, for `status`.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn last_dates(ledger: &Ledger, count: usize) -> Result<Vec<Date>, LedgerError> {
    let dates: BTreeSet<Date> = ledger.committed_dates()?;
    Ok(dates.into_iter().rev().take(count).collect())
}
