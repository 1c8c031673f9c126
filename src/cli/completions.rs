//! `completions`: what lets a shell complete verbs and options. Alone knows the library that writes it.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::{Failure, output};
use crate::exit_code::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(program: &Command, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut visible(program), program.get_name(), &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Complete)
}

/// The command without what `--help` hides: the library would offer it.
fn visible(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(visible));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    match command.get_version() {
        Some(version) => shown.version(version.to_owned()),
        None => shown,
    }
}
