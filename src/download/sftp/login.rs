//! Who we are to the site: keys and password, and the order in which they are shown.

use std::fmt;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{MethodKind, MethodSet};
use zeroize::Zeroizing;

use super::error::Trouble;
use super::session::{Ending, Gatekeeper};

/// Sites ask for one factor or two; whoever asks for more than this is playing.
const MAX_FACTORS: usize = 3;
/// How many questions of a keyboard-interactive login are looked at; real ones ask one and then say goodbye.
const MAX_QUESTIONS: usize = 4;

/// What to log in with, as read from credentials; wiped when dropped.
#[derive(Default)]
pub struct Secrets {
    keys: Vec<Secret>,
    passphrases: Vec<Secret>,
    password: Option<Secret>,
}

struct Secret {
    name: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secrets {
    /// Adds a private key, OpenSSH's own format or PEM; keys are tried in the order in which they are added.
    #[must_use]
    pub fn with_key(mut self, name: &str, bytes: Zeroizing<Vec<u8>>) -> Self {
        self.keys.push(Secret { name: name.to_owned(), bytes });
        self
    }

    /// Adds a passphrase, tried on every protected key. One line end at its end is not part of it.
    #[must_use]
    pub fn with_passphrase(mut self, name: &str, bytes: Zeroizing<Vec<u8>>) -> Self {
        self.passphrases.push(Secret { name: name.to_owned(), bytes });
        self
    }

    /// Sets the password, shown only where no key was enough. One line end at its end is not part of it.
    #[must_use]
    pub fn with_password(mut self, name: &str, bytes: Zeroizing<Vec<u8>>) -> Self {
        self.password = Some(Secret { name: name.to_owned(), bytes });
        self
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |secrets: &[Secret]| secrets.iter().map(|secret| secret.name.clone()).collect::<Vec<_>>();
        f.debug_struct("Secrets").field("keys", &names(&self.keys)).finish_non_exhaustive()
    }
}

impl Secret {
    fn line(&self) -> Result<Zeroizing<String>, Trouble> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| Trouble::NotText { name: self.name.clone() })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
    }

    fn open(&self, passphrases: &[Zeroizing<String>]) -> Result<PrivateKey, Trouble> {
        let unusable = |why| Trouble::Key { name: self.name.clone(), why };
        let key = match PrivateKey::from_openssh(&*self.bytes) {
            Ok(key) if !key.is_encrypted() => Some(key),
            Ok(key) => passphrases.iter().find_map(|phrase| key.decrypt(phrase.as_bytes()).ok()),
            Err(_) => {
                let text = std::str::from_utf8(&self.bytes).map_err(|_| unusable("is no text file"))?;
                open_other(text, passphrases)
            }
        };
        key.ok_or_else(|| unusable("is no private key, or is protected and none of keys.passphrases opens it"))
    }
}

/// A key in another format than OpenSSH's own. That one is not for this routine, which leaves a copy of the text in memory. The
/// library says in several ways that a key is protected, so whatever fails is tried with the passphrases.
fn open_other(text: &str, passphrases: &[Zeroizing<String>]) -> Option<PrivateKey> {
    let key = decode_secret_key(text, None).ok();
    let mut attempts = passphrases.iter();
    let key = key.or_else(|| attempts.find_map(|phrase| decode_secret_key(text, Some(phrase)).ok()));
    key.filter(|key| !key.is_encrypted())
}

/// Keys that were read and are ready for use.
pub(super) struct Credentials {
    user: String,
    keys: Vec<(String, Arc<PrivateKey>)>,
    password: Option<Zeroizing<String>>,
}

impl Credentials {
    pub(super) fn read(user: &str, secrets: &Secrets) -> Result<Self, Trouble> {
        let passphrases = secrets.passphrases.iter().map(Secret::line).collect::<Result<Vec<_>, _>>()?;
        let open = |secret: &Secret| secret.open(&passphrases).map(|key| (secret.name.clone(), Arc::new(key)));
        let keys = secrets.keys.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let password = secrets.password.as_ref().map(Secret::line).transpose()?;
        if keys.is_empty() && password.is_none() {
            return Err(Trouble::NothingToLogInWith);
        }
        Ok(Self { user: user.to_owned(), keys, password })
    }
}

/// One login: which methods the site still takes, and what was tried.
pub(super) struct Login<'a> {
    handle: &'a mut Handle<Gatekeeper>,
    ending: &'a Ending,
    credentials: &'a Credentials,
    /// None until the site said.
    allowed: Option<MethodSet>,
    tried: Vec<String>,
}

/// What one factor came to.
enum Step {
    In,
    Further,
    No,
}

impl<'a> Login<'a> {
    pub(super) fn new(handle: &'a mut Handle<Gatekeeper>, ending: &'a Ending, credentials: &'a Credentials) -> Self {
        Self { handle, ending, credentials, allowed: None, tried: Vec::new() }
    }

    /// Shows each key, then the password; and the rest again where the site took one and asks for another factor.
    pub(super) async fn run(mut self) -> Result<(), Trouble> {
        for _ in 0..MAX_FACTORS {
            match self.factor().await? {
                Step::In => return Ok(()),
                Step::Further => {}
                Step::No => break,
            }
        }
        Err(self.refused(None))
    }

    async fn factor(&mut self) -> Result<Step, Trouble> {
        for (name, key) in &self.credentials.keys {
            for hash in self.hashes(key).await? {
                if !self.allows(MethodKind::PublicKey, true) {
                    break;
                }
                let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
                self.tried.push(format!("{} `{name}`", key.algorithm()));
                let answer = self.handle.authenticate_publickey(&self.credentials.user, key).await;
                match self.step(answer)? {
                    Step::No => {}
                    step => return Ok(step),
                }
            }
        }
        self.password().await
    }

    async fn password(&mut self) -> Result<Step, Trouble> {
        let Some(password) = &self.credentials.password else { return Ok(Step::No) };
        if self.allows(MethodKind::Password, true) {
            self.tried.push("password".to_owned());
            let answer = self.handle.authenticate_password(&self.credentials.user, password.as_str()).await;
            match self.step(answer)? {
                Step::No => {}
                step => return Ok(step),
            }
        }
        if !self.allows(MethodKind::KeyboardInteractive, false) {
            return Ok(Step::No);
        }
        self.tried.push("keyboard-interactive".to_owned());
        self.questions(password).await
    }

    /// Answers a single hidden question with the password, once: a second one means that it was wrong, or that the site
    /// wants something only a person has.
    async fn questions(&mut self, password: &str) -> Result<Step, Trouble> {
        let user = &self.credentials.user;
        let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None::<String>).await;
        let mut spent = false;
        for _ in 0..MAX_QUESTIONS {
            let prompts = match answer.map_err(|error| self.broken(error))? {
                KeyboardInteractiveAuthResponse::Success => return Ok(Step::In),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    return self.step(Ok(AuthResult::Failure { remaining_methods, partial_success }));
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let responses = match prompts.as_slice() {
                [] => Vec::new(),
                [Prompt { echo: false, .. }] if !spent => vec![password.to_owned()],
                _ => return Err(self.refused(Some("the site asks a question that the password does not answer"))),
            };
            spent |= !responses.is_empty();
            answer = self.handle.authenticate_keyboard_interactive_respond(responses).await;
        }
        Err(self.refused(Some("the site does not stop asking")))
    }

    /// The signature algorithms to try a key with, best first; never the SHA-1 `ssh-rsa`.
    async fn hashes(&self, key: &PrivateKey) -> Result<Vec<Option<HashAlg>>, Trouble> {
        if !key.algorithm().is_rsa() {
            return Ok(vec![None]);
        }
        let said = self.handle.best_supported_rsa_hash().await.map_err(|error| self.broken(error))?;
        Ok(match said {
            Some(Some(hash)) => vec![Some(hash)],
            Some(None) => Vec::new(),
            None => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
        })
    }

    fn allows(&self, method: MethodKind, unless_known: bool) -> bool {
        self.allowed.as_ref().map_or(unless_known, |allowed| allowed.contains(&method))
    }

    fn step(&mut self, answer: Result<AuthResult, russh::Error>) -> Result<Step, Trouble> {
        match answer.map_err(|error| self.broken(error))? {
            AuthResult::Success => Ok(Step::In),
            AuthResult::Failure { remaining_methods, partial_success } => {
                // The library also says "failed, nothing remains" where the connection broke.
                if remaining_methods.is_empty() && self.ending.is_lost() {
                    return Err(self.broken(russh::Error::HUP));
                }
                self.allowed = Some(remaining_methods);
                Ok(if partial_success { Step::Further } else { Step::No })
            }
        }
    }

    /// A connection that ended during login: refused if the site said goodbye, which it does after too many keys.
    fn broken(&self, error: russh::Error) -> Trouble {
        match self.ending.farewell() {
            Some(said) => self.refused(Some(&said)),
            None => Trouble::Lost { doing: "logging in", source: error.into() },
        }
    }

    fn refused(&self, said: Option<&str>) -> Trouble {
        let mut tried = if self.tried.is_empty() {
            "the site takes neither key nor password of ours".to_owned()
        } else {
            format!("tried {}", self.tried.join(", "))
        };
        if let Some(said) = said.map(ToOwned::to_owned).or_else(|| self.ending.farewell()) {
            tried = format!("{tried}: {said}");
        }
        Trouble::Login { user: self.credentials.user.clone(), tried }
    }
}
