//! `profile infer`: a first profile for an export that none fits.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::open;
use crate::cli::{Failure, output};
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::export::infer::{Proposal, infer as inferred};

pub(super) fn infer(config: &Path, path: &Path, name: &str, to: Option<&Path>) -> Result<ExitCode, Failure> {
    let file_name = path.file_name().and_then(|name| name.to_str());
    let proposal = open::read(config, path, |_, input| inferred(name, file_name, input))?;
    let Some(to) = to else {
        output::print(&proposal.text)?;
        return Ok(ExitCode::Complete);
    };
    // Never over a profile that somebody has gone through.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(to).at(to)?;
    file.write_all(proposal.text.as_bytes()).at(to)?;
    file.sync_all().at(to)?;
    output::print(&next(&proposal, to))?;
    Ok(ExitCode::Complete)
}

/// What to do with it.
fn next(proposal: &Proposal, to: &Path) -> String {
    let to = to.display();
    let mut lines = vec![format!("{to}: a profile to go through. You must decide:")];
    lines.extend(proposal.guesses.iter().map(|guess| format!("  - {guess}")));
    lines.push(format!(
        "Correct the file, take out of `guesses` what you have decided, and try it: icechatd profile lint --profile {to} FILE"
    ));
    lines.join("\n")
}
