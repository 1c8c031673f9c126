//! Asks for tokens, and keeps each until shortly before its end.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::assertion::assertion;
use super::web::{Answer, Web};
use super::{Certificate, Refusal, SignInError, Token};
use crate::cause::chain;
use crate::config::Entra;

/// How often one request is sent before it counts as failed.
const TRIES: u32 = 3;
/// The first wait between two; each further one is twice as long. A server may ask for another.
const WAIT: Duration = Duration::from_secs(1);
/// Whoever signs in waits for it, so not for long.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who we are to the tenant, and the tokens that it gave us.
pub struct SignIn {
    entra: Entra,
    /// Newest first.
    certificates: Vec<Certificate>,
    web: Web,
    /// By scope. Whoever comes second waits for the first one's token.
    tokens: Mutex<HashMap<String, Token>>,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("tenant", &self.entra.tenant)
            .field("client_id", &self.entra.client_id)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    /// Seconds; Entra's older endpoints write it as text.
    expires_in: serde_json::Value,
}

impl SignIn {
    /// Reads the certificates; nobody is asked yet. One that cannot be used is said, as long as another can.
    ///
    /// # Errors
    /// Where none can be used.
    pub fn new(entra: &Entra) -> Result<Self, SignInError> {
        let (mut certificates, mut first) = (Vec::new(), None);
        for credential in &entra.certificates {
            match read(credential) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => {
                    if let Some(earlier) = first.replace(error) {
                        warn!("{}", chain(&earlier));
                    }
                }
            }
        }
        match first {
            Some(error) if certificates.is_empty() => return Err(error),
            error => error.iter().for_each(|error| warn!("{}", chain(error))),
        }
        Ok(Self { entra: entra.clone(), certificates, web: Web::new()?, tokens: Mutex::default() })
    }

    /// The client that signs in, for requests with its tokens.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// A token for a scope (`https://graph.microsoft.com/.default`): the one that is there, or a new one.
    ///
    /// # Errors
    /// Where the tenant gives none.
    pub async fn token(&self, scope: &str) -> Result<Token, SignInError> {
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(scope).filter(|token| token.is_fresh(Timestamp::now())) {
            return Ok(token.clone());
        }
        let (token, certificate) = match (self.ask(scope).await, tokens.get(scope)) {
            (Ok(given), _) => given,
            // It is renewed before its end, so that a tenant that does not answer for a moment stops nothing.
            (Err(error), Some(token)) if !error.needs_a_person() && Timestamp::now() < token.ends => {
                debug!("the token goes on: {}", chain(&error));
                return Ok(token.clone());
            }
            (Err(error), _) => return Err(error),
        };
        debug!("signed in by the certificate {}", certificate.name);
        tokens.insert(scope.to_owned(), token.clone());
        Ok(token)
    }

    /// Signs in now, for who has no runtime. The name of the certificate that the tenant took.
    ///
    /// # Errors
    /// As [`SignIn::token`].
    pub fn try_now(&self, scope: &str) -> Result<String, SignInError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask(scope)).map(|(_, certificate)| certificate.name.clone())
    }

    /// A token in place of one that was refused, which nobody uses any more.
    ///
    /// # Errors
    /// As [`SignIn::token`].
    pub async fn token_after(&self, scope: &str, refused: &Token) -> Result<Token, SignInError> {
        {
            let mut tokens = self.tokens.lock().await;
            if tokens.get(scope).is_some_and(|token| token.expose() == refused.expose()) {
                tokens.remove(scope);
            }
        }
        self.token(scope).await
    }

    /// By the newest certificate that the tenant knows. A new one may not be uploaded yet; then the one before counts.
    async fn ask(&self, scope: &str) -> Result<(Token, &Certificate), SignInError> {
        let now = Timestamp::now();
        let mut first = None;
        for certificate in self.certificates.iter().filter(|certificate| certificate.ends > now) {
            match self.ask_by(certificate, scope).await {
                Err(error) if error.is_unknown_certificate() => {
                    first.get_or_insert(error);
                }
                Ok(token) => {
                    if let Some(error) = first {
                        warn!("a newer certificate is not in use yet, signed in by {}; {error}", certificate.name);
                    }
                    return Ok((token, certificate));
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| {
            let newest = self.certificates.first();
            let name = newest.map(|certificate| certificate.name.clone()).unwrap_or_default();
            SignInError::Expired { name, ended: newest.map_or(now, |certificate| certificate.ends) }
        }))
    }

    async fn ask_by(&self, certificate: &Certificate, scope: &str) -> Result<Token, SignInError> {
        let Entra { tenant, client_id, authority, .. } = &self.entra;
        let endpoint = format!("{authority}/{tenant}/oauth2/v2.0/token");
        let mut wait = WAIT;
        for tries in 1.. {
            // Each try has an assertion of its own: one that was seen before may be refused.
            let now = Timestamp::now();
            let assertion = assertion(certificate, client_id, &endpoint, now).ok_or(SignInError::Randomness)?;
            let form = [
                ("client_id", client_id.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
                ("grant_type", "client_credentials"),
                ("scope", scope),
            ];
            let answered = self.web.post(&endpoint, &form).await;
            let may_pass = answered.as_ref().map_or(true, Answer::may_pass);
            if !may_pass || tries >= TRIES {
                return self.read(&answered?, now);
            }
            let asked_for = answered.ok().and_then(|answer| answer.retry_after);
            sleep(asked_for.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait *= 2;
        }
        Err(SignInError::Randomness)
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Result<Token, SignInError> {
        let granted = if answer.is_good() { granted(&answer.body, now) } else { None };
        granted.ok_or_else(|| {
            // What came with a good status is no refusal, whatever it says.
            let refusal = if answer.is_good() { None } else { Refusal::read(&answer.body, &self.entra) };
            let host = self.entra.authority.clone();
            let strange = SignInError::Strange { host, status: answer.status };
            refusal.map_or(strange, |refusal| SignInError::Refused(Box::new(refusal)))
        })
    }
}

fn read(credential: &crate::config::Credential) -> Result<Certificate, SignInError> {
    if let Some(exposed) = credential.exposed() {
        warn!("{exposed}");
    }
    let bytes = credential.read()?;
    Ok(Certificate::parse(credential.name(), bytes.expose_secret())?)
}

/// None where it is no token. What the JSON library would say of it may quote it.
fn granted(body: &[u8], now: Timestamp) -> Option<Token> {
    let Granted { access_token, token_type, expires_in } = serde_json::from_slice(body).ok()?;
    let access_token = SecretString::from(access_token);
    let lasts = expires_in.as_u64().or_else(|| expires_in.as_str()?.parse().ok())?;
    let fits = token_type.eq_ignore_ascii_case("Bearer") && is_token(access_token.expose_secret());
    fits.then(|| Token::new(access_token, now, Duration::from_secs(lasts)))
}

/// What a header field can hold (RFC 6750 section 2.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
