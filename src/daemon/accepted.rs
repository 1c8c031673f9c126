//! The configuration in force: the last good one that was read, whatever stands in the file since.

use std::path::Path;

use crate::cause::chain;
use crate::config::{Config, ConfigError, ConfigText};
use crate::durable::{PathError, replace};
use crate::owner;

/// Where the state folder holds the configuration in force, for `status` while the file is faulty.
const NAME: &str = "config-in-force.json";

/// A configuration that was read and found good, with the text that it was read from.
pub(super) struct Accepted {
    pub config: Config,
    pub text: ConfigText,
}

impl Accepted {
    /// Reads the file.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = ConfigText::read(file)?;
        Ok(Self { config: Config::of_text(file, &text)?, text })
    }

    /// Lets others find it.
    pub(super) fn publish(&self) -> Result<(), PathError> {
        let text = serde_json::to_vec(&self.text).unwrap_or_default();
        replace(&self.config.state.directory.join(NAME), 0o600, &text)
    }

    /// What the daemon on this state folder published last, as if it stood in this file.
    pub(super) fn published(state: &Path, file: &Path) -> Option<Config> {
        let text = serde_json::from_slice(&std::fs::read(state.join(NAME)).ok()?).ok()?;
        Config::of_text(file, &text).ok()
    }

    /// Reads the file again. What is wrong with it, or cannot be changed while the daemon works, as one line.
    pub(super) fn read_again(&self) -> Result<Self, String> {
        let again = Self::read(&self.config.file).map_err(|error| chain(&error))?;
        let (now, then) = (&self.config.state.directory, &again.config.state.directory);
        if now != then {
            return Err(format!(
                "{}: state.directory: {} is in use; to go over to {}, restart the daemon (systemctl restart icechatd)",
                self.config.file.display(),
                now.display(),
                then.display()
            ));
        }
        // It would be recorded as another firm's run in this firm's ledger.
        owner::of_state(&again.config).map_err(|error| chain(&error))?;
        Ok(again)
    }
}
