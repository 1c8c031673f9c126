//! A webhook and a mail server that write down what they get, and fail as often as they are told to. Real sockets; TLS
//! where asked for, by a certificate of their own.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// As in `POST /path`.
    pub line: String,
    /// What followed the header.
    pub body: String,
}

/// A web server that takes everything but what its script refuses.
pub struct WebSink {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl WebSink {
    /// Answers the first requests with these codes, all later ones with 200. 0 hangs up without a word.
    pub fn start(script: &[u16]) -> Self {
        Self::serve(script, None)
    }

    /// The same behind TLS.
    pub fn start_tls(script: &[u16], identity: &Identity) -> Self {
        Self::serve(script, Some(identity.server()))
    }

    fn serve(script: &[u16], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut script) = (Arc::clone(&requests), script.iter().copied().collect::<VecDeque<_>>());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let wire = Wire::new(stream.unwrap(), tls.as_ref());
                let code = script.front().copied().unwrap_or(200);
                // A handshake that failed is no request.
                if let Ok(request) = answer(wire, code) {
                    script.pop_front();
                    kept.lock().unwrap().push(request);
                }
            }
        });
        Self { port, requests }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it got so far, refused or not.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(wire: Wire, code: u16) -> io::Result<Request> {
    let mut reader = BufReader::new(wire);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut field = String::new();
        if reader.read_line(&mut field)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let field = field.trim_end().to_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if code != 0 {
        // A refusal repeats what it refuses, as some do: that must not end in a log.
        let text = format!("no: {line}");
        let head = format!("HTTP/1.1 {code} X\r\nLocation: /elsewhere\r\nContent-Length: {}\r\n", text.len());
        reader.get_mut().write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes())?;
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Ok(Request { line, body: String::from_utf8(body).unwrap() })
}

/// How a mail server behaves.
#[derive(Clone, Default)]
pub struct MailScript {
    /// TLS is offered, and used.
    pub starttls: bool,
    /// TLS from the first byte on.
    pub tls: bool,
    /// What the first mails are answered with, in the place of `250`.
    pub refusals: Vec<String>,
    /// A login is asked for; `Some(false)` refuses every one, and repeats what it was told.
    pub login: Option<bool>,
}

/// What a mail server heard.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Every line that is no mail.
    pub commands: Vec<String>,
    /// The mails it took.
    pub mails: Vec<Vec<u8>>,
}

/// A mail server.
pub struct MailSink {
    port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl MailSink {
    /// Starts one.
    pub fn start(script: MailScript, identity: Option<&Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (kept, tls) = (Arc::clone(&heard), identity.map(Identity::server));
        let refusals = Arc::new(Mutex::new(script.refusals.iter().cloned().collect::<VecDeque<_>>()));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let wire = Wire::new(stream.unwrap(), tls.as_ref().filter(|_| script.tls));
                let talk = Talk { wire, script: &script, tls: tls.as_ref(), heard: &kept, refusals: &refusals };
                // A client that goes away has said enough.
                let _ = talk.hold();
            }
        });
        Self { port, heard }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it heard so far.
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
}

struct Talk<'a> {
    wire: Wire,
    script: &'a MailScript,
    tls: Option<&'a Arc<ServerConfig>>,
    heard: &'a Mutex<Heard>,
    refusals: &'a Mutex<VecDeque<String>>,
}

impl Talk<'_> {
    fn hold(mut self) -> io::Result<()> {
        let mut protected = self.script.tls;
        self.say("220 sink ESMTP")?;
        loop {
            let line = self.hear()?;
            self.heard.lock().unwrap().commands.push(line.clone());
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    self.say("250-sink")?;
                    if self.script.starttls && !protected {
                        self.say("250-STARTTLS")?;
                    }
                    if self.script.login.is_some() {
                        self.say("250-AUTH PLAIN LOGIN")?;
                    }
                    self.say("250 8BITMIME")?;
                }
                "STARTTLS" => {
                    self.say("220 go ahead")?;
                    self.wire = self.wire.protect(self.tls.unwrap());
                    protected = true;
                }
                "AUTH" if self.script.login == Some(false) => self.say(&format!("535 5.7.8 not with {line}"))?,
                "AUTH" => self.say("235 welcome")?,
                "DATA" => self.take()?,
                "QUIT" => return self.say("221 bye"),
                _ => self.say("250 ok")?,
            }
        }
    }

    fn take(&mut self) -> io::Result<()> {
        self.say("354 go ahead")?;
        let mut mail = Vec::new();
        loop {
            let line = self.hear()?;
            if line == "." {
                break;
            }
            mail.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            mail.extend_from_slice(b"\r\n");
        }
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return self.say(&refusal);
        }
        self.heard.lock().unwrap().mails.push(mail);
        self.say("250 taken")
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.wire.write_all(format!("{line}\r\n").as_bytes())?;
        self.wire.flush()
    }

    /// Byte by byte: what follows STARTTLS must not be read before TLS stands.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            self.wire.read_exact(&mut byte)?;
            if byte[0] == b'\n' {
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            line.push(byte[0]);
        }
    }
}

/// A connection, protected or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let wire = Self::Plain(stream);
        match tls {
            Some(tls) => wire.protect(tls),
            None => wire,
        }
    }

    fn protect(&self, tls: &Arc<ServerConfig>) -> Self {
        let Self::Plain(stream) = self else { panic!("protected already") };
        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
        Self::Tls(Box::new(StreamOwned::new(connection, stream.try_clone().unwrap())))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A certificate for `localhost`, and the authority behind it, made by openssl.
pub struct Identity {
    folder: PathBuf,
}

impl Identity {
    /// Makes one in a folder.
    pub fn make(folder: &Path) -> Self {
        let extensions = "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n";
        fs::write(folder.join("extensions"), extensions).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
        for arguments in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=sink-authority"),
            format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost"),
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out leaf.pem"
                .to_owned(),
        ] {
            let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Self { folder: folder.to_owned() }
    }

    /// The file that `SSL_CERT_FILE` names for who is to trust it.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn server(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.folder.join("leaf.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.folder.join("leaf.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }
}
