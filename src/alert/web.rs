//! Requests to the addresses that credentials hold; alone knows the HTTP library. Whoever knows such an address may use
//! it, so it stands in no error, and no redirect carries a message elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::cause::chain;
use crate::config::{Credential, CredentialError};

/// For one request, from the first packet to the last.
const LONGEST: Duration = Duration::from_secs(30);
/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a request did not get through. The address is never in it.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// It holds no address that may be used.
    #[error("{key}: the credential {name} holds {problem}")]
    Address {
        /// The configuration's key.
        key: &'static str,
        /// As the configuration names it.
        name: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// Nobody answered.
    #[error("{key}: no answer: {0}", key = .1)]
    NoAnswer(String, &'static str),
    /// It was refused.
    #[error("{key}: answered HTTP {status}{hint}")]
    Refused {
        /// The configuration's key.
        key: &'static str,
        /// The status code.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
}

impl WebError {
    /// Whether nobody was there at all, so that the next message would fare no better.
    pub fn is_dead(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// Sends JSON to the address.
///
/// # Errors
/// Where the credential holds no good address, or it did not take the message.
pub(super) async fn post(to: &Credential, json: &str) -> Result<(), WebError> {
    let (client, url) = prepare(to)?;
    let request = client.post(url).header("content-type", "application/json").body(json.to_owned());
    finish(to, request.send().await)
}

/// Asks the address for whatever it answers.
///
/// # Errors
/// As [`post`].
pub(super) async fn get(to: &Credential) -> Result<(), WebError> {
    let (client, url) = prepare(to)?;
    finish(to, client.get(url).send().await)
}

fn prepare(to: &Credential) -> Result<(Client, Url), WebError> {
    let line = to.read_line()?;
    let url =
        address(&line).map_err(|problem| WebError::Address { key: to.key(), name: to.name().to_owned(), problem })?;
    let client = Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(LONGEST)
        .user_agent(concat!("icechatd/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| WebError::NoAnswer(chain(&error.without_url()), to.key()))?;
    Ok((client, url))
}

/// Without TLS only to this machine itself.
fn address(line: &SecretString) -> Result<Url, &'static str> {
    let url = Url::parse(line.expose_secret().trim()).map_err(|_| "no address; it begins with https://")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err("an address without TLS, by which everybody on the way could read it; write https://"),
        _ => Err("no address of the web; it begins with https://"),
    }
}

fn finish(to: &Credential, sent: reqwest::Result<reqwest::Response>) -> Result<(), WebError> {
    let key = to.key();
    let answer = sent.map_err(|error| WebError::NoAnswer(why(error), key))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let hint = match status.as_u16() {
        300..=399 => ": it sends elsewhere, and is not followed; put the address it sends to into the credential",
        401 | 403 | 404 | 410 => ": the address is not valid any more; make a new one and put it into the credential",
        429 => ": too many messages",
        _ => "",
    };
    Err(WebError::Refused { key, status: status.as_u16(), hint })
}

/// The library's errors carry the address; their causes do not.
fn why(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("none within {} seconds", LONGEST.as_secs());
    }
    chain(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_is_written_to() {
        for (line, good) in [
            ("https://hooks.example/T0/secret", true),
            ("http://127.0.0.1:8080/secret", true),
            ("http://[::1]:8080/secret", true),
            ("http://localhost/secret", true),
            ("http://hooks.example/secret", false),
            ("http://127.0.0.1.example/secret", false),
            ("http://localhost.example/secret", false),
            ("ftp://hooks.example/secret", false),
            ("hooks.example/secret", false),
            ("file:///etc/passwd", false),
        ] {
            let found = address(&SecretString::from(line));
            assert_eq!(found.is_ok(), good, "{line}");
            assert!(!found.err().unwrap_or_default().contains("secret"));
        }
    }
}
