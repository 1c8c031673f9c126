//! The HTTP client below the SDK: one for all requests, with a deadline for each that grows with what it carries, and without
//! following anybody elsewhere.

use std::time::Duration;

use azure_core::Result;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use reqwest::Client;
use reqwest::redirect::Policy;

use super::refusal::{Kind, Refusal};
use crate::stage::StageError;

/// Slower than this, bytes a second, is as good as broken.
const SLOWEST: u64 = 100_000;

/// Requests with deadlines.
#[derive(Debug)]
pub(super) struct Paced {
    client: Client,
    /// For one request that carries nothing.
    each: Duration,
}

/// To a service somewhere.
pub(super) fn far(connect: Duration, each: Duration) -> std::result::Result<Paced, StageError> {
    built(Client::builder().connect_timeout(connect), each)
}

/// To what is on this machine or its host: no proxy is in between.
pub(super) fn near(connect: Duration) -> std::result::Result<Paced, StageError> {
    built(Client::builder().connect_timeout(connect).no_proxy(), Duration::from_secs(30))
}

fn built(builder: reqwest::ClientBuilder, each: Duration) -> std::result::Result<Paced, StageError> {
    let client = builder.redirect(Policy::none()).referer(false).build();
    let client =
        client.map_err(|error| Refusal::new("this machine", "making a client", Kind::Other, error.to_string()))?;
    Ok(Paced { client, each })
}

/// How long it may take to carry so many bytes.
pub(super) fn to_carry(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

#[async_trait::async_trait]
impl HttpClient for Paced {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let deadline = self.each + to_carry(request.body().len().unwrap_or_default());
        let sent = tokio::time::timeout(deadline, self.client.execute_request(request)).await;
        sent.unwrap_or_else(|_| {
            Err(Error::with_message(ErrorKind::Io, format!("no answer within {} s", deadline.as_secs())))
        })
    }
}
