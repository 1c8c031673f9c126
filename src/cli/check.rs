//! `check`: everything a run needs, one line each.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;

use super::{Failure, output};
use crate::check::{Level, Line, check as checked};
use crate::config::Config;
use crate::exit_code::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Do not ask the site, nor the tenant
    #[arg(long)]
    offline: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn check(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config::load_for_check(config)?;
    let lines = checked(&config, arguments.offline, Timestamp::now());
    if arguments.json {
        output::print_json(&serde_json::json!({"checks": lines}))?;
    } else {
        let text: Vec<String> = lines.iter().map(line).chain([verdict(&lines)]).collect();
        output::print(&text.join("\n"))?;
    }
    let worst = |level| lines.iter().any(|line| line.level == level);
    Ok(if worst(Level::Failure) {
        ExitCode::Failed
    } else if worst(Level::Warning) {
        ExitCode::Attention
    } else {
        ExitCode::Complete
    })
}

/// The last line, for who does not read the others.
fn verdict(lines: &[Line]) -> String {
    let counted = |level, noun: &str| match lines.iter().filter(|line| line.level == level).count() {
        0 => None,
        1 => Some(format!("1 {noun}")),
        count => Some(format!("{count} {noun}s")),
    };
    let (failures, warnings) = (counted(Level::Failure, "failure"), counted(Level::Warning, "warning"));
    match (failures, warnings) {
        (None, None) => "nothing to mend".to_owned(),
        (None, Some(warnings)) => format!("{warnings}: a run can work, but see to it"),
        (Some(failures), warnings) => {
            let both: Vec<String> = [failures].into_iter().chain(warnings).collect();
            format!("{}: a run would fail; mend it and check again", both.join(", "))
        }
    }
}

fn line(line: &Line) -> String {
    let level = match line.level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "WARNING",
        Level::Failure => "FAILURE",
    };
    format!("{level:<8} {:<14} {}", line.name, line.text)
}
