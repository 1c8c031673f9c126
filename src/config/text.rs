//! A configuration as it was written: what one program read and checked, another can be handed, whatever has become of the
//! files since.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::{Document, read, salvaged};
use super::load::{LEAST, holidays_file};
use super::{Config, ConfigError};

/// The configuration file's text, and that of the file it includes. It holds no secret: credentials are names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// The TOML.
    pub toml: String,
    /// What stands in the file that `schedule.holidays` names, if it names one.
    pub holidays: Option<String>,
}

impl ConfigText {
    /// Reads the configuration file, and what it includes.
    ///
    /// # Errors
    /// Where one of them cannot be read, or the file is no TOML or has unknown keys.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let toml = read(file, LEAST)?;
        let document = Document::parse(file, &toml)?;
        let holidays = document.section("schedule").get("holidays", |value| {
            let path = holidays_file(value, file)?;
            std::fs::read_to_string(&path).map_err(|error| {
                value.problem(format_args!("cannot read {}: {error}; write one day to a line there", path.display()))
            })
        })?;
        Ok(Self { toml, holidays })
    }
}

/// The state folder that a configuration file names, if that much of it can be read: to find a daemon that works by a
/// better one.
pub fn state_directory_of(file: &Path) -> Option<PathBuf> {
    let toml = std::fs::read_to_string(file).ok()?;
    let directory = salvaged(&toml, "state", "directory")?;
    std::path::absolute(std::path::absolute(file).ok()?.parent()?.join(directory)).ok()
}

impl Config {
    /// The configuration that `text` is, as if it stood in `file`: relative paths are relative to that.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of_text(file: &Path, text: &ConfigText) -> Result<Self, ConfigError> {
        super::load::of_text(file, text, super::load::Pins::Required)
    }
}
