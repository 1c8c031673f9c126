//! An SSH server that asks for logins, and answers SFTP requests, in ways that no OpenSSH can be configured for: as a script
//! says, always the same, or as a liar decides from reply to reply.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, ChannelOpenFailure, Limits, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::lies::{Dice, Liar, Lie, State};
use super::rack::Shared;
use super::rude;
use super::shelf::Shelf;

/// How the server behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is one way to misbehave, on its own")]
#[derive(Debug, Clone)]
pub struct Script {
    /// The factors of a login, in the order in which they are asked for.
    pub factors: Vec<MethodKind>,
    /// What the password is.
    pub password: &'static str,
    /// The questions of a keyboard-interactive login, each with whether it is echoed.
    pub questions: &'static [(&'static str, bool)],
    /// Ask again and again, whatever the answers.
    pub endless_questions: bool,
    /// Files by name; the mtime is 1,000,000,000.
    pub files: Vec<(String, Vec<u8>)>,
    /// Those of them that a listing names a second time.
    pub twice: &'static [&'static str],
    /// The most that one read gives.
    pub longest_read: usize,
    /// What it says is the most that one read gives, if it says so (`limits@openssh.com`).
    pub said_longest_read: Option<u64>,
    /// So many bytes more than were asked for in each read.
    pub excess: usize,
    /// Read beyond so many bytes as though the file ended there.
    pub early_end: Option<u64>,
    /// Never end a listing.
    pub endless_listing: bool,
    /// Leave attributes out of listings.
    pub bare_listing: bool,
    /// Break so many connections during the login, without a word.
    pub hang_ups: usize,
    /// Say which RSA signatures are taken (RFC 8308).
    pub signature_algorithms: bool,
    /// Have no SFTP.
    pub no_sftp: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            factors: vec![MethodKind::PublicKey],
            password: "correct horse",
            questions: &[("Password: ", false)],
            endless_questions: false,
            files: Vec::new(),
            twice: &[],
            longest_read: usize::MAX,
            said_longest_read: None,
            excess: 0,
            early_end: None,
            endless_listing: false,
            bare_listing: false,
            hang_ups: 0,
            signature_algorithms: true,
            no_sftp: false,
        }
    }
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub struct Scripted {
    port: u16,
    host_key: String,
    events: Arc<Mutex<Vec<String>>>,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Scripted {
    /// Starts one.
    pub fn start(script: Script) -> Self {
        Self::lying(script, Liar::honest())
    }

    /// Starts one that lies besides.
    pub fn lying(script: Script, liar: Liar) -> Self {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let host_key = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let events = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared::new(&script.files, liar));
        let house = House { key, script, shared: shared.clone(), events: events.clone() };
        runtime.spawn(accept(listener, Arc::new(house)));
        Self { port, host_key, events, shared, _runtime: runtime }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host key's fingerprint.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// What clients did: `publickey`, `password ...`, `answer ...`.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    /// What is at the site, and who lies about it.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// What all connections have in common.
struct House {
    key: PrivateKey,
    script: Script,
    shared: Arc<Shared>,
    events: Arc<Mutex<Vec<String>>>,
}

impl House {
    fn config(&self, lie: Option<Lie>) -> Config {
        let quick = Duration::from_millis(1);
        let mut config = Config { keys: vec![self.key.clone()], auth_rejection_time: quick, ..Config::default() };
        if !self.script.signature_algorithms {
            config.preferred.key = Cow::Borrowed(&[Algorithm::Ed25519]);
        }
        match lie {
            Some(Lie::EndlessRekeys) => config.limits = Limits::new(4096, 4096, Duration::from_millis(20)),
            Some(Lie::EndlessKeepalives) => {
                (config.keepalive_interval, config.keepalive_max) = (Some(Duration::from_micros(10)), usize::MAX);
            }
            Some(Lie::NoWindow) => config.window_size = 64,
            _ => {}
        }
        config
    }
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    while let Ok((stream, _)) = listener.accept().await {
        let lie = house.shared.liar().at(State::Connect);
        tokio::spawn(serve(stream, house.clone(), lie));
    }
}

async fn serve(stream: TcpStream, house: Arc<House>, lie: Option<Lie>) {
    let dice = Dice::new(house.shared.liar().dice.roll());
    let config = Arc::new(house.config(lie));
    let is_deaf = lie == Some(Lie::NoWindow);
    let client = Client { house, passed: 0, is_deaf, channels: HashMap::new() };
    // A client that leaves, or that breaks off, is no event here: what it saw is what matters.
    match lie {
        Some(lie @ (Lie::FlippedBit | Lie::CutLine | Lie::DeafLine)) => {
            if let Ok(session) = run_stream(config, rude::flawed(stream, lie, dice), client).await {
                let _ = session.await;
            }
        }
        None | Some(Lie::EndlessRekeys | Lie::EndlessKeepalives | Lie::NoWindow) => {
            if let Ok(session) = run_stream(config, stream, client).await {
                let _ = session.await;
            }
        }
        Some(lie) => rude::insult(stream, lie, dice).await,
    }
}

struct Client {
    house: Arc<House>,
    passed: usize,
    is_deaf: bool,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Client {
    fn note(&self, event: String) {
        self.house.events.lock().unwrap().push(event);
    }

    fn factor(&mut self, method: MethodKind, good: bool) -> Auth {
        let good = good && self.house.script.factors[self.passed] == method;
        self.passed += usize::from(good);
        match self.house.script.factors.get(self.passed) {
            None => Auth::Accept,
            Some(next) => {
                Auth::Reject { proceed_with_methods: Some(MethodSet::from([*next].as_slice())), partial_success: good }
            }
        }
    }

    fn question(&self) -> Auth {
        let prompts = self.house.script.questions.iter().map(|(text, echo)| (Cow::Borrowed(*text), *echo)).collect();
        Auth::Partial { name: "".into(), instructions: "".into(), prompts: Cow::Owned(prompts) }
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.note(format!("publickey {}", key.algorithm));
        if self.house.events.lock().unwrap().len() <= self.house.script.hang_ups {
            return Err(russh::Error::HUP);
        }
        let lie = self.house.shared.liar().at(State::Login);
        match lie {
            None => return Ok(self.factor(MethodKind::PublicKey, true)),
            Some(Lie::LoginHungUp) => return Err(russh::Error::HUP),
            Some(Lie::LoginRefused) => return Ok(Auth::reject()),
            Some(Lie::LoginHalf) => {
                let proceed_with_methods = Some(MethodSet::from([MethodKind::PublicKey].as_slice()));
                return Ok(Auth::Reject { proceed_with_methods, partial_success: true });
            }
            Some(_) => {}
        }
        std::future::pending().await
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.note(format!("password {password}"));
        let good = password == self.house.script.password;
        Ok(self.factor(MethodKind::Password, good))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut response) = response else { return Ok(self.question()) };
        let answer = response.next().map(|answer| String::from_utf8_lossy(&answer).into_owned());
        self.note(format!("answer {}", answer.as_deref().unwrap_or("nothing")));
        if self.house.script.endless_questions {
            return Ok(self.question());
        }
        let good = answer.as_deref() == Some(self.house.script.password);
        Ok(self.factor(MethodKind::KeyboardInteractive, good))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let lie = self.house.shared.liar().at(State::Channel);
        match lie {
            Some(Lie::ChannelRefused) => reply.reject(ChannelOpenFailure::ResourceShortage).await,
            Some(_) => std::future::pending().await,
            None => {
                self.channels.insert(channel.id(), channel);
                reply.accept().await;
            }
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.house.script.no_sftp {
            return session.channel_failure(id);
        }
        let lie = self.house.shared.liar().at(State::Subsystem);
        match lie {
            Some(Lie::SubsystemRefused) => return session.channel_failure(id),
            Some(Lie::SubsystemStalled) => return Ok(()),
            Some(_) => {
                session.channel_success(id)?;
                return session.eof(id);
            }
            None => session.channel_success(id)?,
        }
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        let (house, handle) = (self.house.clone(), session.handle());
        tokio::spawn(async move {
            let (stream, House { script, shared, .. }) = (channel.into_stream(), &*house);
            Shelf { script, shared, stream, handle, channel: id, listed: false, endless: None }.serve().await;
        });
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, current: u32) -> u32 {
        if self.is_deaf { 0 } else { current }
    }
}
