//! `run`: the daemon, for systemd.

use std::path::Path;

use clap::Args;

use super::{Failure, logging};
use crate::daemon::{self, DaemonError};
use crate::exit_code::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Arguments {}

pub(super) fn run(config: &Path, _: &Arguments, log: logging::LogArguments) -> Result<ExitCode, Failure> {
    match daemon::run(config, log.to_pass_on()) {
        Ok(()) => Ok(ExitCode::Complete),
        Err(DaemonError::Config(error)) => Err(error.into()),
        Err(error @ DaemonError::Running(_)) => Err(Failure::new(ExitCode::Busy, error.to_string())),
        Err(error) => Err(Failure::failed(&error)),
    }
}
