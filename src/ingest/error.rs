//! Why a run fails, and what then happens next.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::books::Counts;
use crate::cause::chain;
use crate::config::CredentialError;
use crate::decrypt::DecryptError;
use crate::download::sftp::SiteError;
use crate::durable::PathError;
use crate::export::fault::ExportError;
use crate::inputs::InputError;
use crate::ledger::{LedgerError, RunTrouble};
use crate::lock::LockError;
use crate::owner::OwnerError;
use crate::stage::StageError;

/// Why a run failed. What it had committed stays; what it had begun is finished by the next.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Another instance works.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// State or staging are another firm's.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Keys, profile, mapping or list.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The target.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] PathError),
    /// The second pass could not decrypt what the first could.
    #[error("the second reading of an original failed; run again, and check the disk if it happens again")]
    Reread(#[source] DecryptError),
    /// The second pass could not parse what the first could.
    #[error("the second reading of an original differs from the first; please report this")]
    Reparse(#[source] ExportError),
    /// An original that was readable is not any more.
    #[error("the original of {name} cannot be read again: {reason}")]
    Original {
        /// The export.
        name: String,
        /// Why.
        reason: String,
    },
    /// A newer or a very old version staged it.
    #[error(
        "the original of {name} cannot be read again: it was staged as EML format {format}, which this version does not \
         write; use the version that does"
    )]
    OtherFormat {
        /// The export.
        name: String,
        /// The format.
        format: u32,
    },
    /// The books.
    #[error("the books of {name} do not balance ({items:?}): nothing of it is committed; please report this")]
    Unbalanced {
        /// The export.
        name: String,
        /// The books.
        items: Counts,
    },
    /// The two passes over an export did not see the same records.
    #[error(
        "the first reading of {name} found {surveyed} messages, attachments and rejected records, the second {read}: nothing of \
         it is committed; please report this"
    )]
    Miscounted {
        /// The export.
        name: String,
        /// By the survey.
        surveyed: u64,
        /// In what was staged, held, known or skipped.
        read: String,
    },
    /// What the ledger keeps of an export's shape.
    #[error("the recorded shape of an export cannot be read or written")]
    Shape(#[source] serde_json::Error),
    /// Files at the site that would not stand still.
    #[error(
        "still growing at the site when the transfer deadline (limits.transfer_deadline) came: {0}; the next run takes them"
    )]
    Growing(String),
    /// Where an attachment is to be written.
    #[error("the attachment could not be written")]
    Output(#[source] io::Error),
    /// Someone asked.
    #[error("stopped before the end; the next run goes on from here")]
    Stopped,
    /// Someone asked; no other run goes on with this one.
    #[error("stopped before the end; give the same command again, which leaves alone what stands by then")]
    RestagingStopped,
    /// A restaging that would do nothing.
    #[error("{0}")]
    NothingAsked(String),
    /// An original or a manifest is not what it was.
    #[error(
        "the manifests of {name} have {what}: for these nothing was put there; keep the state folder as it is, and see \
         what icechatd verify says"
    )]
    NotTheSame {
        /// The export.
        name: String,
        /// What they have.
        what: String,
    },
}

impl IngestError {
    pub(super) fn shape(error: serde_json::Error) -> Self {
        Self::Shape(error)
    }

    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        Self::File(PathError { path: path.to_owned(), source })
    }

    /// What kind of failure it is, if it is one that is treated differently.
    pub(super) fn trouble(&self) -> Option<RunTrouble> {
        match self {
            Self::Site(error) if error.is_refused_login() => Some(RunTrouble::Login),
            Self::Site(error) if error.is_unreachable() => Some(RunTrouble::Unreachable),
            Self::Stage(StageError::NoRoom { .. }) => Some(RunTrouble::NoRoom),
            Self::Stopped | Self::RestagingStopped => Some(RunTrouble::Stopped),
            _ => None,
        }
    }

    /// Whether the other exports of the run can go on.
    pub(super) fn concerns_one_export(&self) -> bool {
        matches!(
            self,
            Self::Original { .. }
                | Self::OtherFormat { .. }
                | Self::NotTheSame { .. }
                | Self::Stage(StageError::Other { .. })
        )
    }

    /// Whether it is that the books of one export do not balance.
    pub(super) fn is_about_the_books(&self) -> bool {
        matches!(self, Self::Unbalanced { .. } | Self::Miscounted { .. })
    }

    pub(super) fn original_gone(name: &str) -> Self {
        let reason = "it is gone; restore it from a backup, or give the export again (icechatd ingest FILE)".to_owned();
        Self::Original { name: name.to_owned(), reason }
    }

    /// Only people who were external then, or whose items a person dismissed, can be concerned: retention keeps whatever
    /// anyone of ours may need.
    pub(super) fn original_removed(name: &str) -> Self {
        let reason =
            "retention removed it (state.originals_days) when everyone without a mailbox in it was external or \
                      dismissed; copies for them cannot be made any more"
                .to_owned();
        Self::Original { name: name.to_owned(), reason }
    }

    /// Of a restaging, which retention has no regard for.
    pub(super) fn original_not_kept(name: &str) -> Self {
        let reason = "retention removed it (state.originals_days); a backup of it put back among the originals will do";
        Self::Original { name: name.to_owned(), reason: reason.to_owned() }
    }

    pub(super) fn original(name: &str, error: &dyn Error) -> Self {
        Self::Original { name: name.to_owned(), reason: chain(error) }
    }
}
