//! Where a verb's configuration is: in the file that `--config` names, or handed over by the daemon.

use std::io;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::{Config, ConfigError, ConfigText};
use crate::exit_code::ExitCode;

/// Where a verb finds its configuration.
pub(super) struct Place {
    file: PathBuf,
    /// What the daemon has in force, which is not what stands in the file while that is faulty or not re-read yet.
    handed: Option<ConfigText>,
}

impl Place {
    /// The file, or what stands on standard input.
    pub(super) fn of(file: PathBuf, on_stdin: bool) -> Result<Self, Failure> {
        let handed = on_stdin.then(|| serde_json::from_reader(io::stdin())).transpose();
        let no_text = |error| Failure::new(ExitCode::Config, format!("no configuration on standard input: {error}"));
        Ok(Self { file, handed: handed.map_err(no_text)? })
    }

    /// The file, for verbs that only people start.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The configuration, whole and checked.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        match &self.handed {
            Some(text) => Config::of_text(&self.file, text),
            None => Config::load(&self.file),
        }
    }
}
