//! An SSH server that asks for logins, and answers SFTP requests, in ways that no OpenSSH can be configured for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use russh_sftp::protocol::{Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

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
    /// The most that one read gives.
    pub longest_read: usize,
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
            longest_read: usize::MAX,
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
    _runtime: Runtime,
}

impl Scripted {
    /// Starts one.
    pub fn start(script: Script) -> Self {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let host_key = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let events = Arc::new(Mutex::new(Vec::new()));
        let mut config = Config { keys: vec![key], auth_rejection_time: Duration::from_millis(1), ..Config::default() };
        if !script.signature_algorithms {
            config.preferred.key = Cow::Borrowed(&[Algorithm::Ed25519]);
        }
        runtime.spawn(accept(listener, Arc::new(config), Arc::new(script), events.clone()));
        Self { port, host_key, events, _runtime: runtime }
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
}

async fn accept(listener: TcpListener, config: Arc<Config>, script: Arc<Script>, events: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let client = Client { script: script.clone(), events: events.clone(), passed: 0, channels: HashMap::new() };
        if let Ok(session) = run_stream(config.clone(), stream, client).await {
            tokio::spawn(session);
        }
    }
}

struct Client {
    script: Arc<Script>,
    events: Arc<Mutex<Vec<String>>>,
    passed: usize,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Client {
    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }

    fn factor(&mut self, method: MethodKind, good: bool) -> Auth {
        let good = good && self.script.factors[self.passed] == method;
        self.passed += usize::from(good);
        match self.script.factors.get(self.passed) {
            None => Auth::Accept,
            Some(next) => {
                Auth::Reject { proceed_with_methods: Some(MethodSet::from([*next].as_slice())), partial_success: good }
            }
        }
    }

    fn question(&self) -> Auth {
        let prompts = self.script.questions.iter().map(|(text, echo)| (Cow::Borrowed(*text), *echo)).collect();
        Auth::Partial { name: "".into(), instructions: "".into(), prompts: Cow::Owned(prompts) }
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.note(format!("publickey {}", key.algorithm));
        if self.events.lock().unwrap().len() <= self.script.hang_ups {
            return Err(russh::Error::HUP);
        }
        Ok(self.factor(MethodKind::PublicKey, true))
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.note(format!("password {password}"));
        let good = password == self.script.password;
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
        if self.script.endless_questions {
            return Ok(self.question());
        }
        let good = answer.as_deref() == Some(self.script.password);
        Ok(self.factor(MethodKind::KeyboardInteractive, good))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.script.no_sftp {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        let channel = self.channels.remove(&id).unwrap();
        russh_sftp::server::run(channel.into_stream(), Shelf { script: self.script.clone(), listed: false }).await;
        Ok(())
    }
}

struct Shelf {
    script: Arc<Script>,
    listed: bool,
}

impl Shelf {
    fn content(&self, path: &str) -> Result<&[u8], StatusCode> {
        let name = path.trim_start_matches('/');
        let file = self.script.files.iter().find(|(other, _)| other == name);
        file.map(|(_, bytes)| bytes.as_slice()).ok_or(StatusCode::NoSuchFile)
    }
}

fn attributes(bytes: &[u8]) -> FileAttributes {
    FileAttributes {
        size: Some(bytes.len() as u64),
        permissions: Some(0o100_644),
        atime: Some(0),
        mtime: Some(1_000_000_000),
        ..FileAttributes::empty()
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() }
}

impl russh_sftp::server::Handler for Shelf {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn realpath(&mut self, id: u32, _path: String) -> Result<Name, StatusCode> {
        Ok(Name { id, files: vec![File::dummy("/")] })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        self.listed = false;
        Ok(Handle { id, handle: path })
    }

    async fn readdir(&mut self, id: u32, _handle: String) -> Result<Name, StatusCode> {
        if self.listed && !self.script.endless_listing {
            return Err(StatusCode::Eof);
        }
        self.listed = true;
        let shown = |bytes: &[u8]| if self.script.bare_listing { FileAttributes::empty() } else { attributes(bytes) };
        let file =
            |name: &str, bytes: &[u8]| File { filename: name.into(), longname: String::new(), attrs: shown(bytes) };
        Ok(Name { id, files: self.script.files.iter().map(|(name, bytes)| file(name, bytes)).collect() })
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        Ok(Attrs { id, attrs: attributes(self.content(&path)?) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusCode> {
        self.lstat(id, handle).await
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        _flags: OpenFlags,
        _attrs: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        self.content(&filename)?;
        Ok(Handle { id, handle: filename })
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        let bytes = self.content(&handle)?;
        let end = self.script.early_end.unwrap_or(u64::MAX).min(bytes.len() as u64);
        let start = usize::try_from(offset.min(end)).unwrap();
        let asked = (len as usize).min(self.script.longest_read) + self.script.excess;
        let stop = (start + asked).min(usize::try_from(end).unwrap());
        Ok(Data { id, data: bytes[start..stop].to_vec() })
    }

    async fn close(&mut self, id: u32, _handle: String) -> Result<Status, StatusCode> {
        Ok(done(id))
    }
}
