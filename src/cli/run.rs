//! `run`: the daemon, for systemd.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::{Failure, logging};
use crate::config::Config;
use crate::daemon::{self, DaemonError};
use crate::exit_code::ExitCode;
use crate::inputs;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End a run that shows no progress for so long; it counts as failed and is tried again
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    stalled_after: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: Option<Duration> = text.parse().ok().and_then(|parsed: SignedDuration| parsed.try_into().ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "write it as in 30m or 1h".to_owned())
}

pub(super) fn run(config: &Path, arguments: &Arguments, log: logging::LogArguments) -> Result<ExitCode, Failure> {
    if let Ok(profile) = inputs::profile(&Config::load(config)?.export.profile) {
        // Anything else that a run lacks may come before the run does; each run says so by itself.
        inputs::decided(profile)?;
    }
    match daemon::run(config, arguments.stalled_after, log.to_pass_on()) {
        Ok(()) => Ok(ExitCode::Complete),
        Err(DaemonError::Config(error)) => Err(error.into()),
        Err(error @ DaemonError::Running(_)) => Err(Failure::new(ExitCode::Busy, error.to_string())),
        Err(error) => Err(Failure::failed(&error)),
    }
}
