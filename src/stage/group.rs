//! The group that imports, found by its name. Alone knows the library that asks the system's databases (nsswitch.conf(5)).

use super::StageError;

/// A group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
}

impl Group {
    /// The group of this name.
    ///
    /// # Errors
    /// Where there is none, or the databases cannot be asked.
    pub fn named(name: &str) -> Result<Self, StageError> {
        let found = nix::unistd::Group::from_name(name);
        let found = found.map_err(|error| StageError::Groups { name: name.to_owned(), source: error.into() })?;
        let found = found.ok_or_else(|| StageError::NoGroup { name: name.to_owned() })?;
        Ok(Self { name: found.name, number: found.gid.as_raw() })
    }
}
