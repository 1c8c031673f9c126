//! Mail by SMTP; alone knows the mail library that sends.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox as Address, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::message::Letter;
use crate::cause::chain;
use crate::config::{CredentialError, Mail, MailSecurity};
use crate::mailbox::Mailbox;

/// For each answer of the server.
const LONGEST: Duration = Duration::from_secs(30);
/// Of what a server says, in characters.
const WORDS: usize = 300;

/// Why a mail was not sent. No password is in it.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The password.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// It cannot be written as a mail.
    #[error("mail: the message could not be written: {0}")]
    Unwritable(String),
    /// The server was not reached, or TLS with it did not come about.
    #[error("mail: {server}: {words}{hint}")]
    NoAnswer {
        /// As configured.
        server: String,
        /// What happened.
        words: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server would not take it.
    #[error("mail: {server} refused it: {words}")]
    Refused {
        /// As configured.
        server: String,
        /// In the server's words.
        words: String,
    },
}

impl MailError {
    /// Whether nobody was there at all, so that the next mail would fare no better.
    pub fn is_dead(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Credential(_))
    }
}

/// Sends a letter. Its Message-ID is made of `name` and `made`, so that one that was sent twice, because the server's
/// answer was lost, is one mail to its readers.
///
/// # Errors
/// Where it was not sent. With `starttls`, nothing is sent before TLS stands.
pub(super) async fn send(mail: &Mail, letter: &Letter, name: &str, made: Timestamp) -> Result<(), MailError> {
    let message = write(mail, letter, name, made).map_err(MailError::Unwritable)?;
    let password = mail.login.as_ref().map(|(_, password)| password.read_line()).transpose()?;
    let failed = |error: &lettre::transport::smtp::Error| complaint(mail, error, password.as_ref());
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server)
        .port(mail.port)
        .timeout(Some(LONGEST))
        .tls(tls(mail).map_err(|error| failed(&error))?);
    if let (Some((user, _)), Some(password)) = (&mail.login, &password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    builder.build().send(message).await.map_err(|error| failed(&error))?;
    Ok(())
}

fn tls(mail: &Mail) -> Result<Tls, lettre::transport::smtp::Error> {
    let parameters = || TlsParameters::new(mail.server.clone());
    Ok(match mail.security {
        MailSecurity::StartTls => Tls::Required(parameters()?),
        MailSecurity::Tls => Tls::Wrapper(parameters()?),
        MailSecurity::Plain => Tls::None,
    })
}

fn write(mail: &Mail, letter: &Letter, name: &str, made: Timestamp) -> Result<Message, String> {
    let address = |mailbox: &Mailbox| mailbox.as_str().parse::<Address>().map_err(|error| error.to_string());
    let domain = mail.from.as_str().rsplit('@').next().unwrap_or("localhost");
    let mut builder = Message::builder()
        .from(address(&mail.from)?)
        .subject(&letter.subject)
        .date(SystemTime::from(made))
        .message_id(Some(format!("<icechatd.{name}.{}@{domain}>", made.as_second())));
    for to in &mail.to {
        builder = builder.to(address(to)?);
    }
    let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(letter.text.replace('\n', "\r\n"));
    let written = match &letter.csv {
        None => builder.singlepart(text),
        Some((name, csv)) => {
            let kind = ContentType::parse("text/csv; charset=utf-8").map_err(|error| error.to_string())?;
            let csv = Attachment::new(name.clone()).body(csv.clone(), kind);
            builder.multipart(MultiPart::mixed().singlepart(text).singlepart(csv))
        }
    };
    written.map_err(|error| error.to_string())
}

/// What went wrong, in the server's words where it has some. A server may repeat what it was told: the password is taken
/// out, in each form in which it was sent.
fn complaint(mail: &Mail, error: &lettre::transport::smtp::Error, password: Option<&SecretString>) -> MailError {
    let server = format!("{}:{}", mail.server, mail.port);
    let words = without_password(mail, &chain(error), password);
    let words: String = words.chars().filter(|letter| !letter.is_control()).take(WORDS).collect();
    if error.is_transient() || error.is_permanent() {
        return MailError::Refused { server, words };
    }
    let hint = match mail.security {
        MailSecurity::StartTls => "; nothing was sent: mail.security asks for STARTTLS, with a good certificate",
        MailSecurity::Tls => "; nothing was sent: mail.security asks for TLS, with a good certificate",
        MailSecurity::Plain => "; check mail.server and mail.port",
    };
    MailError::NoAnswer { server, words, hint }
}

fn without_password(mail: &Mail, words: &str, password: Option<&SecretString>) -> String {
    let Some((password, (user, _))) = password.zip(mail.login.as_ref()) else { return words.to_owned() };
    let password = password.expose_secret();
    let encode = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    // RFC 4616, and the LOGIN that many servers still have.
    let forms = [encode(&format!("\0{user}\0{password}")), encode(password), password.to_owned()];
    forms.iter().fold(words.to_owned(), |words, form| words.replace(form.as_str(), "***"))
}
