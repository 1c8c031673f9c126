//! Why a container did not do what it was asked, and what to do: in words, for the SDK's own repeat the address with its
//! signature.

use azure_core::error::ErrorKind;
use azure_core::http::StatusCode;
use azure_core::http::headers::HeaderName;
use jiff::Timestamp;

use crate::cause::chain;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// What a refusal is about, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Who asks may not.
    Denied,
    /// There is no such container.
    NoContainer,
    /// Nobody answered.
    Unreachable,
    /// The sign-in failed before anybody was asked.
    SignIn,
    /// Anything else.
    Other,
}

/// A container that refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {doing}: {problem}")]
pub struct Refusal {
    /// Container or blob; never with a signature.
    place: String,
    /// What was asked of it.
    doing: &'static str,
    /// What came of it, and what to do.
    problem: String,
    /// What it is about.
    pub kind: Kind,
}

/// Who asked, as far as it tells what to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// A signature, with its end.
    Sas(Option<Timestamp>),
    /// A managed identity.
    Managed,
    /// The app registration.
    App,
}

impl Refusal {
    pub(super) fn new(place: &str, doing: &'static str, kind: Kind, problem: impl Into<String>) -> Self {
        Self { place: place.to_owned(), doing, problem: problem.into(), kind }
    }

    pub(super) fn of(error: &azure_core::Error, place: &str, doing: &'static str, asker: Asker) -> Self {
        let (kind, problem) = match error.kind() {
            ErrorKind::HttpResponse { status, error_code, raw_response } => {
                let code = error_code.as_deref().unwrap_or_default();
                let kind = kind_of(*status, code);
                let request = raw_response.as_ref().and_then(|raw| raw.headers().get_optional_str(&REQUEST_ID));
                let request = request.map_or_else(String::new, |id| format!(" (request {})", tame(id)));
                let advice = advice(*status, code, asker);
                (kind, format!("answered {} {}{request}{advice}", u16::from(*status), tame(code)))
            }
            ErrorKind::Credential => (Kind::SignIn, format!("{}{}", told(error), sign_in_advice(asker))),
            ErrorKind::Connection => {
                let what = "; correct staging.azure.account or endpoint, or see whether a firewall is in between";
                (Kind::Unreachable, format!("no connection: {}{what}", told(error)))
            }
            ErrorKind::Io => (Kind::Unreachable, format!("the connection failed: {}; run again", told(error))),
            _ => (Kind::Other, told(error)),
        };
        Self::new(place, doing, kind, problem)
    }

    /// Nothing came within the time.
    pub(super) fn late(place: &str, doing: &'static str, seconds: u64) -> Self {
        let problem =
            format!("not done within {seconds} s, tries anew included; the service is too busy, or out of reach");
        Self::new(place, doing, Kind::Unreachable, problem)
    }
}

/// A missing blob may be what was expected; a missing container never is.
pub(super) fn is_absent(error: &azure_core::Error) -> bool {
    matches!(error.kind(), ErrorKind::HttpResponse { status: StatusCode::NotFound, error_code: Some(code), .. }
        if code == "BlobNotFound")
}

/// What the service says where something stands under the name already.
pub(super) fn is_there(error: &azure_core::Error) -> bool {
    matches!(error.http_status(), Some(StatusCode::Conflict | StatusCode::PreconditionFailed))
}

fn kind_of(status: StatusCode, code: &str) -> Kind {
    match (status, code) {
        (StatusCode::Unauthorized | StatusCode::Forbidden, _) => Kind::Denied,
        (StatusCode::NotFound, "ContainerNotFound" | "ResourceNotFound") => Kind::NoContainer,
        _ => Kind::Other,
    }
}

fn advice(status: StatusCode, code: &str, asker: Asker) -> String {
    let now = Timestamp::now();
    match (status, code, asker) {
        (StatusCode::NotFound, "ContainerNotFound" | "ResourceNotFound", _) => {
            "; there is no such container: make it (az storage container create), or correct staging.azure.container".into()
        }
        (StatusCode::Unauthorized | StatusCode::Forbidden, _, Asker::Sas(Some(end))) if end <= now => {
            format!("; the shared access signature ended {end}: put a new one into the credential")
        }
        (StatusCode::Unauthorized | StatusCode::Forbidden, "AuthorizationFailure", _) => {
            "; the storage account's network rules do not let this machine in, or what it signs in with does not allow this"
                .into()
        }
        (StatusCode::Unauthorized | StatusCode::Forbidden, _, Asker::Sas(_)) => {
            "; the shared access signature is not valid (any more), or does not allow this: make one for this container with \
             the permissions racwdl, and put it into the credential"
                .into()
        }
        (StatusCode::Unauthorized | StatusCode::Forbidden, _, Asker::Managed | Asker::App) => {
            "; give the identity the role Storage Blob Data Contributor on this container, and allow ten minutes for it to \
             take effect"
                .into()
        }
        (StatusCode::TooManyRequests | StatusCode::ServiceUnavailable, ..) => {
            "; the service is too busy: run again later, or lower staging.azure.uploads".into()
        }
        (_, "BlobImmutableDueToPolicy", _) => {
            "; an immutability policy of the container forbids it: ready lists and the mark must be replaceable, so set the \
             policy on blobs (staging.azure.immutability), not on the container"
                .into()
        }
        _ => String::new(),
    }
}

fn sign_in_advice(asker: Asker) -> &'static str {
    match asker {
        Asker::Managed => {
            "; give this machine a managed identity (az vm identity assign), or correct staging.azure.client_id"
        }
        Asker::App => "; see what icechatd check says of [entra]",
        Asker::Sas(_) => "",
    }
}

/// The error with its causes, without what stands behind a question mark in any address.
fn told(error: &azure_core::Error) -> String {
    without_queries(&chain(error))
}

fn without_queries(text: &str) -> String {
    let mut out = String::new();
    let mut is_query = false;
    for letter in text.chars() {
        is_query = match letter {
            '?' => true,
            ' ' | ')' | '"' | '\'' | '>' => false,
            _ => is_query,
        };
        if !is_query {
            out.push(letter);
        }
    }
    out
}

/// Fit to be shown on one line, whoever sent it.
fn tame(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::without_queries;

    #[test]
    fn no_signature_is_told() {
        let text = "error sending request for url (https://a.b/c?sv=1&sig=secret%3D): \"x?sig=secret\" refused";
        assert_eq!(without_queries(text), "error sending request for url (https://a.b/c): \"x\" refused");
    }
}
