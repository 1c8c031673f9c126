//! `mapping`: what operators need to fill the mapping folder, and to see what came of it.

mod people;
mod versions;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

pub(super) use self::versions::{Standing, standing};
use super::{Failure, output};
use crate::cause::chain;
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::resolve::mapping::Mapping;

/// What `check` warns of, since it does not know what is in force.
const OPEN: &str = "the last row has no line end, as in a file that was cut off; it will not take the place of another mapping \
                    without one";

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
    /// External participants by domain, with when they were seen first
    Externals {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Which mappings, mailbox lists and users of the tenant came into force: when, by whom, and what they changed
    History {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Put mapping, mailbox list and the tenant's users in force as they stand, also where they shrank sharply or may be cut
    #[command(
        long_about = "Put mapping, mailbox list and the tenant's users (mailboxes.graph) in force as they stand, and \
                            show what that changes. It is how a person confirms a list, or users, that were rejected \
                            because they shrank sharply, and files whose last row has no line end. Files with errors are never put in force."
    )]
    Accept {
        /// Only show what would change
        #[arg(short = 'n', long)]
        dry_run: bool,

        /// Print the result as JSON
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
        Verb::Unresolved { json } => people::unresolved(config, *json),
        Verb::Externals { json } => people::externals(config, *json),
        Verb::History { json } => versions::history(config, *json),
        Verb::Accept { dry_run, json } => versions::accept(config, *dry_run, *json),
    }
}

fn check(files: &[PathBuf], json: bool) -> Result<ExitCode, Failure> {
    let mut read = Vec::new();
    for path in files {
        if path.is_dir() {
            let line =
                format!("{0} is a folder; name the files in it: icechatd mapping check {0}/*.csv", path.display());
            return Err(Failure::new(ExitCode::Failed, line));
        }
        read.push((path.display().to_string(), std::fs::read(path).at(path)?));
    }
    // Rows that are warned of count; they only look damaged.
    let (entries, errors, warnings): (_, Vec<String>, Vec<String>) = match Mapping::parse(&read) {
        Ok(read) => {
            let open = read.open.iter().map(|file| format!("{}: {OPEN}", file.name));
            let warnings = read.warnings.iter().map(|warning| chain(warning)).chain(open);
            (read.mapping.len(), Vec::new(), warnings.collect())
        }
        Err(errors) => (0, errors.iter().map(|error| chain(error)).collect(), Vec::new()),
    };
    if json {
        let valid = errors.is_empty();
        output::print_json(&json!({"valid": valid, "entries": entries, "errors": errors, "warnings": warnings}))?;
    } else if errors.is_empty() {
        let warned = warnings.iter().map(|warning| format!("warning: {warning}"));
        let ok = format!("ok: {entries} ImIds in {} file(s)", files.len());
        output::print(&warned.chain([ok]).collect::<Vec<_>>().join("\n"))?;
    } else {
        output::print(&errors.join("\n"))?;
        output::print(&format!("rejected: {} error(s); none of these files would count", errors.len()))?;
    }
    Ok(if errors.is_empty() { ExitCode::Complete } else { ExitCode::Failed })
}
