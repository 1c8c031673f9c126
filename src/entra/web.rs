//! Requests to Entra and Microsoft Graph. Alone knows the HTTP library here. No redirect is followed: a token goes to the
//! host it is for, and nowhere else. Answers are bounded, and wiped when dropped, for some hold tokens.

use std::fmt::Write;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use zeroize::Zeroizing;

use super::Token;
use crate::cause::chain;

/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// For one request, from the first packet to the last.
const LONGEST: Duration = Duration::from_mins(1);
/// No answer is larger: a page of 999 users with hundreds of addresses each is a few MiB.
const LARGEST: usize = 64 << 20;
/// No wait that a server asks for is longer than this.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Nobody answered, in words for a person.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {host}: {why}")]
pub struct NoAnswer {
    /// Who should have.
    pub host: String,
    /// Why not.
    pub why: String,
}

/// An answer, whatever it says.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// How long it asks to wait (RFC 9110 section 10.2.3), five minutes at most.
    pub retry_after: Option<Duration>,
    /// What it holds.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Whether it did what was asked.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same request may do better a little later.
    pub fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..=599)
    }
}

/// One connection pool for all requests.
#[derive(Debug, Clone)]
pub struct Web(Client);

impl Web {
    /// A client that knows nobody yet.
    ///
    /// # Errors
    /// Where the system's trust anchors cannot be used.
    pub fn new() -> Result<Self, NoAnswer> {
        let client = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(LONGEST)
            .user_agent(concat!("icechatd/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| NoAnswer { host: "this machine".to_owned(), why: why(error) })
    }

    /// Asks for an address with a token.
    ///
    /// # Errors
    /// Where nobody answers, or not to the end.
    pub async fn get(&self, address: &str, token: &Token) -> Result<Answer, NoAnswer> {
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
        let unfit = |_| NoAnswer { host: host_of(address), why: "its token is none of HTTP's".to_owned() };
        let mut bearer = HeaderValue::from_str(&bearer).map_err(unfit)?;
        bearer.set_sensitive(true);
        sent(address, self.0.get(address).header(AUTHORIZATION, bearer)).await
    }

    /// Sends the fields of a form.
    ///
    /// # Errors
    /// As [`Web::get`].
    pub(super) async fn post(&self, address: &str, fields: &[(&str, &str)]) -> Result<Answer, NoAnswer> {
        let mut body = Zeroizing::new(String::new());
        for (name, value) in fields {
            let and = if body.is_empty() { "" } else { "&" };
            for text in [and, name, "=", &encoded(value)] {
                body.push_str(text);
            }
        }
        let request = self.0.post(address).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        sent(address, request.body(body.to_string())).await
    }
}

async fn sent(address: &str, request: RequestBuilder) -> Result<Answer, NoAnswer> {
    let no_answer = |error| NoAnswer { host: host_of(address), why: why(error) };
    let mut answer = request.send().await.map_err(no_answer)?;
    let (status, retry_after) = (answer.status().as_u16(), retry_after(answer.headers()));
    let body = body_of(&mut answer).await.map_err(no_answer)?;
    let too_large = || NoAnswer { host: host_of(address), why: "it answers without end".to_owned() };
    Ok(Answer { status, retry_after, body: body.ok_or_else(too_large)? })
}

/// None where it is too large.
async fn body_of(answer: &mut Response) -> reqwest::Result<Option<Zeroizing<Vec<u8>>>> {
    let expected = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut body = Zeroizing::new(Vec::with_capacity(expected.min(LARGEST)));
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// In seconds; the form with a date is used by neither service, and is a wait like any other.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// The library's errors carry the address, which may hold what a server put into it; their causes do not.
fn why(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("none within {} seconds", LONGEST.as_secs());
    }
    chain(&error.without_url())
}

fn host_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}

/// For a form's value (WHATWG URL section 5.2).
fn encoded(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_hosts() {
        assert_eq!(*encoded("urn:a b&c=d/é~"), "urn%3Aa%20b%26c%3Dd%2F%C3%A9~");
        assert_eq!(host_of("https://graph.microsoft.com:443/v1.0/users?$top=1"), "graph.microsoft.com:443");
        assert_eq!(host_of("x"), "x");
    }

    #[test]
    fn waits_are_bounded() {
        let of =
            |text: &str| retry_after(&HeaderMap::from_iter([("retry-after".parse().unwrap(), text.parse().unwrap())]));
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("86400"), Some(LONGEST_WAIT));
        assert_eq!(of("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
