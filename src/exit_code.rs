//! The exit codes that scripts and systemd rely on (contract 2): one enum, so that no number stands anywhere else.

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Complete.
    Complete,
    /// The run failed, or the thing checked is faulty.
    Failed,
    /// Wrong usage; clap's own code as well.
    Usage,
    /// Done, but something needs a person.
    Attention,
    /// Another instance is working (`EX_TEMPFAIL` of sysexits.h).
    Busy,
    /// The configuration is invalid (`EX_CONFIG` of sysexits.h).
    Config,
}

impl ExitCode {
    /// The number the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Attention => 3,
            Self::Busy => 75,
            Self::Config => 78,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}
