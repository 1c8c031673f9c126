//! What needs a person, told once: conditions are read from the ledger, never from the pipeline.

use jiff::Timestamp;

use crate::config::Config;
use crate::ledger::{Ledger, LedgerError};

/// Brings the ledger's alerts up to date with how things stand, and queues what is to be told.
///
/// # Errors
/// Where the ledger cannot be read or written.
pub fn look(_ledger: &Ledger, _config: &Config, _now: Timestamp) -> Result<(), LedgerError> {
    Ok(())
}
