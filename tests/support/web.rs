//! A web server that does as a test says with each request, and keeps what it was asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// When all of it was there.
    pub at: Instant,
    /// GET, PUT, …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in small letters.
    pub fields: BTreeMap<String, String>,
    /// What follows the fields.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one from a connection; none at its end.
    pub fn read(from: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let fields = fields(from)?;
        let len = fields.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        from.read_exact(&mut body).ok()?;
        Some(Self { at: Instant::now(), method, target, fields, body })
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A field's value, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

fn fields(from: &mut impl BufRead) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(fields.insert(name.to_lowercase(), value.trim().to_owned())),
            None => return Some(fields),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub code: u16,
    /// Fields beside the length.
    pub fields: Vec<(String, String)>,
    /// What follows them.
    pub body: Vec<u8>,
}

impl Reply {
    /// Nothing but a code and fields.
    pub fn of(code: u16, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { code, fields, body: Vec::new() }
    }

    /// JSON.
    pub fn json(text: &str) -> Self {
        Self { body: text.as_bytes().to_vec(), ..Self::of(200, &[("content-type", "application/json")]) }
    }

    /// What another server on loopback answers to the same request.
    pub fn from(server: SocketAddr, request: &Request) -> Self {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        for (name, value) in request.fields.iter().filter(|(name, _)| *name != "connection") {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let code = line.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = fields(&mut reader).unwrap();
        let mut body = Vec::new();
        if request.method != "HEAD" {
            reader.read_to_end(&mut body).unwrap();
        }
        let is_chunked = fields.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
        let body = if is_chunked { unchunked(&body) } else { body };
        let dropped = ["transfer-encoding", "connection", "keep-alive"];
        Self { code, fields: fields.into_iter().filter(|(name, _)| !dropped.contains(&name.as_str())).collect(), body }
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap().trim(), 16).unwrap();
        whole.extend_from_slice(&body[end + 2..end + 2 + len]);
        body = &body[end + 2 + len..];
        body = body.strip_prefix(b"\r\n").unwrap_or(body);
        if len == 0 {
            break;
        }
    }
    whole
}

/// A server on loopback, until the test ends.
#[derive(Debug)]
pub struct Web {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    /// Answers as told; where that is nothing, the connection is closed without a word.
    pub fn start(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::serve(answer, true)
    }

    /// The same, and keeps nothing of what it was asked.
    pub fn forgetful(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::serve(answer, false)
    }

    fn serve(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static, keeps: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                thread::spawn(move || converse(&stream.unwrap(), keeps.then_some(&log), answer.as_ref()));
            }
        });
        Self { address, asked }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn converse(stream: &TcpStream, log: Option<&Arc<Mutex<Vec<Request>>>>, answer: &dyn Fn(&Request) -> Option<Reply>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        if let Some(log) = log {
            log.lock().unwrap().push(request.clone());
        }
        let Some(reply) = answer(&request) else { return };
        let mut head = format!("HTTP/1.1 {} Reply\r\n", reply.code);
        let has_length = reply.fields.iter().any(|(name, _)| name == "content-length");
        for (name, value) in &reply.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !has_length {
            let _ = write!(head, "content-length: {}\r\n", reply.body.len());
        }
        let mut stream = stream;
        if stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&reply.body)).is_err() {
            return;
        }
    }
}
