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
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Complete, Self::Failed, Self::Usage, Self::Attention, Self::Busy, Self::Config];

    /// What it says, for people: `docs/exit-codes.md` has the same words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "the run failed, or the thing checked is faulty",
            Self::Usage => "wrong usage",
            Self::Attention => "done, but something needs a person",
            Self::Busy => "another instance is working",
            Self::Config => "the configuration is invalid",
        }
    }

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
