//! `mapping`: what operators need to fill the mapping folder.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, output};
use crate::cause::chain;
use crate::config::Config;
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::ledger::{Ledger, UnplacedPerson};
use crate::resolve::mapping::Mapping;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Validate mapping files as one set, without a configuration
    Check {
        /// CSV files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print an example
    Template,
    /// Participants of ours that resolved to no mailbox, as the CSV an operator can fill in
    Unresolved {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn mapping(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Check { files, json } => check(files, *json),
        Verb::Template => {
            output::print(include_str!("../../mapping/example.csv"))?;
            Ok(ExitCode::Complete)
        }
        Verb::Unresolved { json } => unresolved(config, *json),
    }
}

fn check(files: &[PathBuf], json: bool) -> Result<ExitCode, Failure> {
    let mut read = Vec::new();
    for path in files {
        read.push((path.display().to_string(), std::fs::read(path).at(path)?));
    }
    let (entries, errors) = match Mapping::parse(&read) {
        Ok(mapping) => (mapping.len(), Vec::new()),
        Err(errors) => (0, errors.iter().map(|error| chain(error)).collect()),
    };
    if json {
        output::print_json(&json!({"valid": errors.is_empty(), "entries": entries, "errors": errors}))?;
    } else if errors.is_empty() {
        output::print(&format!("ok: {entries} ImIds in {} file(s)", files.len()))?;
    } else {
        output::print(&errors.join("\n"))?;
        output::print(&format!("rejected: {} error(s); none of these files would count", errors.len()))?;
    }
    Ok(if errors.is_empty() { ExitCode::Complete } else { ExitCode::Failed })
}

fn unresolved(config: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let people = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger.unplaced(false)?,
        None => Vec::new(),
    };
    if json {
        output::print_json(&json!(people))?;
        return Ok(ExitCode::Complete);
    }
    // A row without an ImId would reject the whole set.
    let (known, nameless): (Vec<_>, Vec<_>) = people.into_iter().partition(|person| person.im_id.is_some());
    output::print(&csv(&known))?;
    advise(&config.mapping.directory, &known, &nameless);
    Ok(ExitCode::Complete)
}

/// What to do with the CSV, beside it rather than in it.
fn advise(folder: &Path, known: &[UnplacedPerson], nameless: &[UnplacedPerson]) {
    if known.is_empty() && nameless.is_empty() {
        output::complain("everybody of ours has a mailbox");
    }
    if !known.is_empty() {
        output::complain(&format!(
            "fill in Mailbox in every row (a mailbox, or external), remove the rows you cannot fill in, and drop the file \
             into {}: a row with an empty cell rejects the whole set",
            folder.display()
        ));
    }
    if known.iter().any(|person| person.im_id.as_deref().is_some_and(is_formula)) {
        output::complain(
            "an apostrophe stands before each ImId that a spreadsheet would take for a formula: remove it before you drop \
             the file",
        );
    }
    for person in nameless {
        output::complain(&format!(
            "{} has no ImId in the export, so no mapping can help: make that address a valid mailbox ([mailboxes])",
            person.email.as_deref().unwrap_or("somebody")
        ));
    }
}

/// The columns `ImId` and `Mailbox` are what the mapping folder takes; the others help a person and are ignored there.
fn csv(people: &[UnplacedPerson]) -> String {
    let mut text = "ImId,Mailbox,Name,Company,EmailAddress,FirstSeen,LastSeen,Items\r\n".to_owned();
    for person in people {
        let word = |cell: &Option<String>| cell_of(cell.as_deref().unwrap_or_default());
        let cells = [
            word(&person.im_id),
            String::new(),
            word(&person.name),
            word(&person.company),
            word(&person.email),
            person.first_seen.to_string(),
            person.last_seen.to_string(),
            person.items.to_string(),
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// A cell as RFC 4180 has it. What a spreadsheet would take for a formula gets an apostrophe before it, because names
/// come from outside the firm.
fn cell_of(text: &str) -> String {
    let defused = if is_formula(text) { format!("'{text}") } else { text.to_owned() };
    if defused.contains([',', '"', '\n', '\r', ';']) {
        format!("\"{}\"", defused.replace('"', "\"\""))
    } else {
        defused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_defused() {
        assert_eq!(cell_of("plain"), "plain");
        assert_eq!(cell_of("a,b"), "\"a,b\"");
        assert_eq!(cell_of("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(cell_of("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(cell_of("-1"), "'-1");
    }
}
