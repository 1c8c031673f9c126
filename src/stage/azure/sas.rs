//! What stands in the credential that opens a container: a shared access signature, or a connection string that holds one.
//! Its text is a secret, and no error here repeats any of it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use crate::config::service;

/// How to make one that is good enough.
const MAKE: &str = "make a signature for this container alone: az storage container generate-sas";
/// Why no account key.
const NO_KEY: &str = "a shared account key, which opens the whole storage account for ever and is not used; put a shared \
                      access signature there in its place (az storage container generate-sas), or set \
                      staging.azure.identity";

/// A shared access signature.
#[derive(Debug, Clone)]
pub struct Sas {
    /// What goes behind the question mark.
    pub(super) token: SecretString,
    /// The service's address, where a connection string says it.
    pub endpoint: Option<String>,
    /// When it ends; none where a stored access policy decides.
    pub expires: Option<Timestamp>,
    /// What it allows, by letter; none where a stored access policy decides.
    pub permissions: Option<String>,
}

impl Sas {
    /// Reads either form.
    ///
    /// # Errors
    /// What is wrong with it, and what to do, in words that follow "holds".
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let text = text.expose_secret().trim();
        if text.contains("AccountKey=") || text.contains("UseDevelopmentStorage=") || is_bare_key(text) {
            return Err(NO_KEY.to_owned());
        }
        let parts: Vec<_> = text.split(';').filter_map(|part| part.trim().split_once('=')).collect();
        let part = |name: &str| parts.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let Some(token) = part("SharedAccessSignature") else {
            if text.contains(';') || part("BlobEndpoint").is_some() {
                return Err(format!("a connection string without a shared access signature; {MAKE}"));
            }
            return Self::of_token(text, None);
        };
        let endpoint = part("BlobEndpoint").map(service).transpose();
        let endpoint = endpoint.map_err(|problem| format!("as BlobEndpoint {problem}"))?;
        Self::of_token(token, endpoint)
    }

    fn of_token(token: &str, endpoint: Option<String>) -> Result<Self, String> {
        let token = token.trim_start_matches('?');
        if token.contains("://") || token.contains(char::is_whitespace) {
            return Err("more than a shared access signature; put only what follows the question mark there".to_owned());
        }
        let fields: Vec<_> = token.split('&').filter_map(|field| field.split_once('=')).collect();
        let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| decoded(value));
        if field("sig").is_none_or(|signature| signature.is_empty()) || field("sv").is_none() {
            return Err(format!("no shared access signature (sv=... and sig=... are not there); {MAKE}"));
        }
        let expires = match field("se").map(|text| moment(&text)) {
            Some(None) => return Err(format!("a signature whose end (se=) is no time; {MAKE}")),
            expires => expires.flatten(),
        };
        Ok(Self { endpoint, expires, permissions: field("sp"), token: SecretString::from(token) })
    }
}

/// Sixty-four bytes in base64, and nothing else.
fn is_bare_key(text: &str) -> bool {
    text.len() == 88 && text.ends_with("==") && !text.contains('&')
}

/// ISO 8601, as far as a signature may have it: with or without seconds, or a day alone.
fn moment(text: &str) -> Option<Timestamp> {
    let day = || text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let whole = text.strip_suffix('Z').filter(|text| text.len() == 16).map(|text| format!("{text}:00Z"));
    let time = whole.as_deref().unwrap_or(text).parse().ok();
    time.or_else(|| Some(day()?.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

/// What is percent-encoded in times and letters; anything else is left as it is.
fn decoded(value: &str) -> String {
    value.replace("%3A", ":").replace("%3a", ":").replace("%2B", "+").replace("%2b", "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sas, String> {
        Sas::parse(&SecretString::from(text))
    }

    const TOKEN: &str = "sv=2020-12-06&ss=b&srt=co&sp=rwdlac&se=2027-01-31T12%3A00%3A00Z&spr=https&sig=c2VjcmV0c2Vj%3D";

    #[test]
    fn a_token_or_what_a_connection_string_holds() {
        for text in [TOKEN.to_owned(), format!("?{TOKEN}"), format!(" {TOKEN}\n")] {
            let sas = parse(&text).unwrap();
            assert_eq!(sas.token.expose_secret(), TOKEN);
            assert_eq!(sas.expires.unwrap().to_string(), "2027-01-31T12:00:00Z");
            assert_eq!((sas.permissions.as_deref(), sas.endpoint), (Some("rwdlac"), None));
        }
        let text = format!("BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature={TOKEN}");
        let sas = parse(&text).unwrap();
        assert_eq!(sas.token.expose_secret(), TOKEN);
        assert_eq!(sas.endpoint.as_deref(), Some("https://acme.blob.core.windows.net"));
    }

    #[test]
    fn the_end_in_every_form() {
        for (text, found) in [
            ("2027-01-31", Some("2027-01-31T00:00:00Z")),
            ("2027-01-31T12:30Z", Some("2027-01-31T12:30:00Z")),
            ("2027-01-31T12:30:05Z", Some("2027-01-31T12:30:05Z")),
            ("2027-01-31T12:30:05.1234567Z", Some("2027-01-31T12:30:05.1234567Z")),
            ("soon", None),
        ] {
            assert_eq!(moment(text).map(|time| time.to_string()).as_deref(), found, "{text}");
        }
        assert_eq!(parse("sv=1&sig=abcdefgh&si=policy").unwrap().expires, None);
    }

    #[test]
    fn what_is_none_is_refused_without_being_repeated() {
        let key = format!("{}==", "k".repeat(86));
        for (text, what) in [
            (format!("DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={key}"), "a shared account key"),
            (key, "a shared account key"),
            ("UseDevelopmentStorage=true".to_owned(), "a shared account key"),
            ("BlobEndpoint=https://acme.blob.core.windows.net".to_owned(), "without a shared access signature"),
            ("BlobEndpoint=https://a.b;QueueEndpoint=https://c.d".to_owned(), "without a shared access signature"),
            (format!("BlobEndpoint=http://acme.example/;SharedAccessSignature={TOKEN}"), "an address without TLS"),
            (format!("https://acme.blob.core.windows.net/icechat?{TOKEN}"), "put only what follows the question mark"),
            ("sv=2020-12-06&se=soon&sig=secretsecret".to_owned(), "is no time"),
            ("secretsecret".to_owned(), "no shared access signature"),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(what) && said.contains("; "), "{said}");
            assert!(!said.contains("secretsecret") && !said.contains("c2VjcmV0") && !said.contains("kkkk"), "{said}");
        }
    }
}
