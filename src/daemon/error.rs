//! Why there is no daemon: what ends it at its start. Nothing that comes later does.

use super::waker::WakerError;
use crate::config::ConfigError;
use crate::durable::PathError;
use crate::ledger::LedgerError;
use crate::lock::LockError;
use crate::owner::OwnerError;

/// Why the daemon could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another daemon.
    #[error("a daemon runs already on {0}; stop it first (systemctl stop icechatd)")]
    Running(String),
    /// The lock.
    #[error(transparent)]
    Lock(LockError),
    /// The state folder.
    #[error("the state folder cannot be used")]
    State(#[from] PathError),
    /// The state folder is another firm's.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The waker.
    #[error("the clock that wakes the daemon could not be started")]
    Waker(#[from] WakerError),
    /// The system.
    #[error("the daemon could not be started")]
    System(#[from] std::io::Error),
}
