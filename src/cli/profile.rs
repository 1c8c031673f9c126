//! `profile`: how exports are written, how well a profile fits one, and a first profile for one that none fits.

mod infer;
mod lint;
mod open;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, output};
use crate::exit_code::ExitCode;
use crate::export::profile::builtin_names;
use crate::inputs::profile_named;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Name the built-in profiles
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a profile
    Show {
        /// A built-in name, or a path
        name: String,
    },
    /// Say how well a profile fits an export, and what to do next; never prints its content
    Lint {
        /// The export, decrypted, or encrypted to a key of the configuration
        file: PathBuf,

        /// A built-in name, or a path
        #[arg(long, value_name = "NAME", default_value = "icechat")]
        profile: String,

        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Propose a profile for an export that none fits, with every guess marked; never prints its content
    Infer {
        /// The export, decrypted, or encrypted to a key of the configuration
        file: PathBuf,

        /// What to call the profile
        #[arg(long, default_value = "proposal")]
        name: String,

        /// Write it to a new file, rather than to standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(super) fn profile(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List { json } => list(*json),
        Verb::Show { name } => {
            output::print(profile_named(name)?.text())?;
            Ok(ExitCode::Complete)
        }
        Verb::Lint { file, profile, json } => lint::lint(config, file, &profile_named(profile)?, *json),
        Verb::Infer { file, name, output } => infer::infer(config, file, name, output.as_deref()),
    }
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let names: Vec<&str> = builtin_names().collect();
    if json {
        output::print_json(&json!(names))?;
    } else {
        output::print(&names.join("\n"))?;
    }
    Ok(ExitCode::Complete)
}
