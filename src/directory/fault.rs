//! Why the tenant's users could not be asked for, in words that say what to do. Nothing that Graph answered stands in
//! them but an error's code and the first sentence of its message.

use serde::Deserialize;

use crate::config::Entra;
use crate::entra::{Answer, NoAnswer, SignInError, tame};

/// Why there is no new snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no token.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// Nobody there.
    #[error("the tenant's users could not be asked for")]
    NoAnswer(#[from] NoAnswer),
    /// The app may not.
    #[error(
        "Microsoft Graph does not let the app read the tenant's users{said}: it needs the application permission \
         User.Read.All with an administrator's consent; open {consent} as an administrator of the tenant"
    )]
    Denied {
        /// What Graph says.
        said: String,
        /// Where consent is given.
        consent: String,
    },
    /// Graph says no for another reason.
    #[error("Microsoft Graph answers HTTP {status}{said}{advice}")]
    Refused {
        /// The status code.
        status: u16,
        /// What Graph says.
        said: String,
        /// What to do.
        advice: &'static str,
    },
    /// An answer, but no page of users.
    #[error("Microsoft Graph answers something that is no page of users: {0}; check entra.graph")]
    Faulty(&'static str),
    /// It goes on and on.
    #[error("Microsoft Graph asks to wait, or sends pages, for more than ten minutes; the next refresh tries it again")]
    TooSlow,
    /// The system.
    #[error("the system refuses a runtime")]
    Runtime(#[from] std::io::Error),
}

impl DirectoryError {
    /// Whether a person must do something first: nothing of it passes by itself.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::SignIn(error) => error.needs_a_person(),
            Self::Denied { .. } | Self::Faulty(_) => true,
            Self::Refused { status, .. } => !matches!(status, 408 | 429 | 500..),
            Self::NoAnswer(_) | Self::TooSlow | Self::Runtime(_) => false,
        }
    }

    /// What an answer means that has no good status.
    pub(super) fn of(answer: &Answer, entra: &Entra) -> Self {
        let Said { code, message } = Said::read(&answer.body);
        let said = match (tame(&code), tame(&message)) {
            (code, _) if code.is_empty() => String::new(),
            (code, message) if message.is_empty() => format!(" ({code})"),
            (code, message) => format!(" ({code}: {message})"),
        };
        match (answer.status, code.as_str()) {
            (403, _) => Self::Denied { said, consent: entra.admin_consent() },
            (401, _) => {
                Self::Refused { status: 401, said, advice: "; it takes no token of this tenant: check entra.graph" }
            }
            (400, "Request_BadRequest" | "BadRequest") => {
                Self::Refused { status: 400, said, advice: "; check mailboxes.graph.im_id_attribute" }
            }
            (status, _) => Self::Refused { status, said, advice: "" },
        }
    }
}

/// Graph's errors (its REST reference, "Error responses and resource types").
#[derive(Default)]
pub(super) struct Said {
    pub(super) code: String,
    pub(super) message: String,
}

impl Said {
    pub(super) fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Error,
        }
        #[derive(Deserialize)]
        struct Error {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let read: Result<Body, _> = serde_json::from_slice(body);
        read.map(|Body { error: Error { code, message } }| Self { code, message }).unwrap_or_default()
    }
}
