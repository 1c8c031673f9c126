//! Why a sign-in did not succeed, in words that say what to do. Of what the tenant answers, only its code and the first
//! sentence of its description are said: an answer may hold what nobody is to read.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use super::certificate::CertificateError;
use super::web::NoAnswer;
use crate::config::{CredentialError, Entra};

/// Of words from outside, in characters.
const LONGEST: usize = 240;
/// A longer word is no word of a sentence, but a token or the like.
const LONGEST_WORD: usize = 64;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No certificate can be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// One holds none that can be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The last one has ended.
    #[error(
        "the certificate {name} ended on {}; make another with icechatd keys rotate --entra, and upload what icechatd keys \
         export writes",
        .ended.strftime("%Y-%m-%d")
    )]
    Expired {
        /// The newest credential.
        name: String,
        /// When.
        ended: Timestamp,
    },
    /// The system gave no random bytes.
    #[error("no assertion could be signed: the system has no randomness")]
    Randomness,
    /// The system.
    #[error("the system refuses a runtime")]
    Runtime(#[from] std::io::Error),
    /// Nobody there.
    #[error("the sign-in could not be asked for")]
    NoAnswer(#[from] NoAnswer),
    /// The tenant says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer, but not one of the kind.
    #[error(
        "{host} answers HTTP {status} and neither a token nor a reason (not shown: it may hold a secret); check entra.authority"
    )]
    Strange {
        /// Who.
        host: String,
        /// The status code.
        status: u16,
    },
}

impl SignInError {
    /// Whether the tenant does not know the certificate, though it may know another one.
    pub(super) fn is_unknown_certificate(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == Some(700_027))
    }

    /// Whether a person must do something first: nothing of it passes by itself.
    pub fn needs_a_person(&self) -> bool {
        !matches!(self, Self::NoAnswer(_) | Self::Runtime(_) | Self::Strange { status: 429 | 500.., .. })
    }
}

/// The tenant's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number behind `AADSTS`.
    pub code: Option<u32>,
    /// What the tenant says.
    pub said: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sign-in is refused: {}", self.advice)?;
        if self.said.is_empty() { Ok(()) } else { write!(f, " ({})", self.said) }
    }
}

/// The error of RFC 6749 section 5.2, as Entra extends it.
#[derive(Deserialize)]
struct Body {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl Refusal {
    /// Reads an answer; none where it says no reason.
    pub(super) fn read(body: &[u8], entra: &Entra) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let number = body.error_description.strip_prefix("AADSTS").unwrap_or_default();
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        let code = body.error_codes.first().copied().or_else(|| number.parse().ok());
        let said = if number.is_empty() { tame(&body.error) } else { tame(&body.error_description) };
        Some(Self { code, said, advice: advice(code, entra) })
    }
}

/// What to do about a code of Entra's.
fn advice(code: Option<u32>, entra: &Entra) -> String {
    let Entra { tenant, client_id, .. } = entra;
    let consent = || format!("open {} as an administrator of the tenant", entra.admin_consent());
    match code {
        Some(65_001) => format!("the tenant has not consented to what the app asks for; {}", consent()),
        Some(700_027) => {
            "the tenant does not know this certificate; upload the .cer that icechatd keys export DIR writes, \
                          at App registrations, Certificates & secrets"
                .to_owned()
        }
        Some(90_002 | 900_023 | 90_013) => {
            format!("there is no tenant {tenant}; correct entra.tenant: the directory (tenant) ID, or a domain of it")
        }
        Some(700_016) => format!(
            "the tenant {tenant} has no application {client_id}; compare entra.client_id and entra.tenant with the app's \
             overview, then {}",
            consent()
        ),
        Some(7_000_229) => format!("the app {client_id} is registered, but not present in the tenant; {}", consent()),
        Some(7_000_215) => {
            "the tenant was given a client secret that is wrong; this program sends none: something on the way \
                            changes its requests, or entra.authority is no endpoint of Entra"
                .to_owned()
        }
        Some(7_000_222) => {
            "what the app has registered has ended; upload the .cer that icechatd keys export DIR writes".to_owned()
        }
        Some(700_024 | 700_023) => {
            "the tenant finds the assertion too old or too new, or meant for another; set this machine's \
                          clock (timedatectl set-ntp true)"
                .to_owned()
        }
        Some(7_000_112 | 7_000_113) => {
            "the app is disabled in the tenant; have it enabled at Enterprise applications".to_owned()
        }
        Some(53_003 | 530_035) => {
            "a Conditional Access policy of the tenant blocks the app; have this machine's address \
                                   allowed for workload identities"
                .to_owned()
        }
        Some(500_011) => "the tenant does not know the service that a token is asked for; check entra.graph".to_owned(),
        Some(code) => format!("see https://login.microsoftonline.com/error?code={code}"),
        None => "see the sign-in logs of the tenant, Service principal sign-ins".to_owned(),
    }
}

/// The first sentence of words from outside, on one line; nothing in it that could be a token.
pub fn tame(text: &str) -> String {
    let text = text.split(" Trace ID:").next().unwrap_or_default();
    let text = text.split_once(". ").map_or(text, |(first, _)| first);
    let is_wild =
        |letter: char| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words = text.split(|letter: char| letter.is_whitespace() || is_wild(letter)).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.map(|word| if word.chars().count() > LONGEST_WORD { "…" } else { word }).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entra() -> Entra {
        Entra {
            tenant: "contoso.com".to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            certificates: Vec::new(),
            authority: "https://login.microsoftonline.com".to_owned(),
            graph: "https://graph.microsoft.com".to_owned(),
        }
    }

    fn read(code: u32, words: &str) -> Refusal {
        let body = serde_json::json!({
            "error": "invalid_client", "error_codes": [code], "trace_id": "t",
            "error_description": format!("AADSTS{code}: {words} Trace ID: 1-2 Correlation ID: 3-4 Timestamp: 2026"),
        });
        Refusal::read(body.to_string().as_bytes(), &entra()).unwrap()
    }

    #[test]
    fn each_code_says_what_to_do() {
        for (code, words) in [
            (
                65001,
                "https://login.microsoftonline.com/contoso.com/adminconsent?client_id=11111111-2222-3333-4444-555555555555",
            ),
            (700_016, "adminconsent?client_id="),
            (700_027, "does not know this certificate"),
            (90002, "no tenant contoso.com"),
            (7_000_215, "client secret"),
            (700_024, "clock"),
            (12345, "https://login.microsoftonline.com/error?code=12345"),
        ] {
            let told = read(code, "Something is wrong. More of it.").to_string();
            assert!(told.contains(words) && told.contains(&format!("(AADSTS{code}: Something is wrong)")), "{told}");
        }
        let of_the_words =
            Refusal::read(br#"{"error":"x","error_description":"AADSTS700027: No."}"#, &entra()).unwrap();
        assert_eq!(of_the_words.code, Some(700_027));
    }

    #[test]
    fn nothing_of_an_answer_that_may_be_a_token_is_said() {
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL2dyYXBoIn0.signature-of-it";
        let told = read(700_027, &format!("no {token} here\r\n\u{202e}x")).to_string();
        assert!(!told.contains("eyJ") && !told.contains('\n') && told.contains("no … here x"), "{told}");
        assert_eq!(Refusal::read(format!("{{\"access_token\":\"{token}\"}}").as_bytes(), &entra()), None);
        let plain = Refusal::read(format!("{{\"error\":\"{token}\"}}").as_bytes(), &entra()).unwrap();
        assert!(!plain.to_string().contains("eyJ"));
        assert!(tame(&"word ".repeat(200)).len() <= LONGEST);
    }
}
