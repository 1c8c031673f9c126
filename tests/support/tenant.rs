//! A Microsoft Entra tenant with its Microsoft Graph, on loopback: it gives tokens to whoever signs an assertion, holds
//! users, pages and deltas, writes down what it is asked, and fails as often as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

use super::planted;

/// The tenant's name.
pub const TENANT: &str = "contoso.example";
/// The app that is registered in it.
pub const CLIENT: &str = "11111111-2222-3333-4444-555555555555";

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// As in `GET /path?query`.
    pub line: String,
    /// The token that came with it, if any.
    pub bearer: Option<String>,
    /// A form's fields, decoded.
    pub form: BTreeMap<String, String>,
    /// What was answered.
    pub status: u16,
}

/// An answer in place of the usual one.
#[derive(Debug, Clone)]
pub struct Fault {
    /// It is for the first request whose line holds this.
    pub on: String,
    /// The status; 0 hangs up.
    pub status: u16,
    /// Further header lines, each with its line end.
    pub head: String,
    /// What it holds.
    pub body: String,
}

impl Fault {
    /// One without further header lines.
    pub fn new(on: &str, status: u16, body: impl Into<String>) -> Self {
        Self { on: on.to_owned(), status, head: String::new(), body: body.into() }
    }

    /// With a header line.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.head = format!("{line}\r\n");
        self
    }
}

#[derive(Default)]
struct State {
    users: BTreeMap<String, Value>,
    /// What changed since the beginning, in order; a delta link names a place in it.
    changes: Vec<Value>,
    page: usize,
    faults: VecDeque<Fault>,
    asked: Vec<Asked>,
    tokens: Vec<String>,
    lasts: u64,
}

/// A tenant; it serves until the test ends.
#[derive(Clone)]
pub struct Tenant {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Tenant {
    /// A tenant without users.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { page: 2, lasts: 3600, ..State::default() }));
        let tenant = Self { port, state };
        let serving = tenant.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                // Who hangs up early is no matter of the tenant's.
                thread::spawn(move || drop(serving.serve(stream.unwrap())));
            }
        });
        tenant
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The section of a configuration that signs in here.
    pub fn entra(&self) -> String {
        let endpoint = self.endpoint();
        format!(
            "[entra]\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\nauthority = \"{endpoint}\"\ngraph = \"{endpoint}\"\n"
        )
    }

    /// Adds a user, or changes one; each field replaces the one before.
    pub fn set(&self, id: &str, fields: &Value) {
        let mut state = self.state();
        let user = state.users.entry(id.to_owned()).or_insert_with(|| json!({"id": id}));
        for (key, value) in fields.as_object().unwrap() {
            user[key] = value.clone();
        }
        // A delta names what changed, and not always the rest.
        let mut change = fields.clone();
        change["id"] = json!(id);
        state.changes.push(change);
    }

    /// Takes a user away.
    pub fn remove(&self, id: &str) {
        let mut state = self.state();
        state.users.remove(id);
        state.changes.push(json!({"id": id, "@removed": {"reason": "changed"}}));
    }

    /// Answers otherwise, once.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// The faults that have not been met.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// Forgets the tokens given so far: they open nothing any more.
    pub fn revoke(&self) {
        self.state().tokens.clear();
    }

    /// So long the tokens last that it gives from now on, in seconds.
    pub fn tokens_last(&self, seconds: u64) {
        self.state().lasts = seconds;
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// The same, and begins to count anew.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// How often a token was asked for.
    pub fn sign_ins(&self) -> usize {
        self.asked().iter().filter(|asked| asked.line.contains("/oauth2/")).count()
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let (mut length, mut bearer) = (0, None);
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            let Some((name, value)) = field.trim_end().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => bearer = value.strip_prefix("Bearer ").map(str::to_owned),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = line.split(' ');
        let line = format!("{} {}", words.next().unwrap_or_default(), decoded(words.next().unwrap_or_default()));
        let mut asked = Asked { line, bearer, form: form(&String::from_utf8(body).unwrap()), status: 0 };
        if let Some(assertion) = asked.form.get("client_assertion") {
            planted::keep_secret(assertion);
        }
        let fault = self.answer(&mut asked);
        let Fault { status, head, body, .. } = fault;
        if status == 0 {
            return Ok(());
        }
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{head}\r\n{body}"
        );
        reader.get_mut().write_all(answer.as_bytes())
    }

    fn answer(&self, asked: &mut Asked) -> Fault {
        let mut state = self.state();
        let at = state.faults.iter().position(|fault| asked.line.contains(&fault.on));
        let answer = match at.and_then(|at| state.faults.remove(at)) {
            Some(fault) => fault,
            None if asked.line.contains("/oauth2/v2.0/token") => state.token(),
            None if !asked.bearer.as_ref().is_some_and(|bearer| state.tokens.contains(bearer)) => {
                Fault::new("", 401, json!({"error": {"code": "InvalidAuthenticationToken"}}).to_string())
            }
            None => state.users(&asked.line, &self.endpoint()),
        };
        asked.status = answer.status;
        state.asked.push(asked.clone());
        answer
    }
}

impl State {
    fn token(&mut self) -> Fault {
        let token = format!("planted-access-token-{}-{}", std::process::id(), self.tokens.len() + self.asked.len());
        planted::keep_secret(&token);
        self.tokens.push(token.clone());
        let body = json!({"token_type": "Bearer", "expires_in": self.lasts, "access_token": token});
        Fault::new("", 200, body.to_string())
    }

    /// A page of all users, or of what changed since.
    fn users(&self, line: &str, endpoint: &str) -> Fault {
        let number = |key: &str| {
            line.split(&format!("{key}="))
                .nth(1)
                .map(|rest| rest.split(['&', ' ']).next().unwrap().parse::<usize>().unwrap())
        };
        if !line.starts_with("GET /v1.0/users/delta?") {
            return Fault::new("", 404, json!({"error": {"code": "Request_ResourceNotFound"}}).to_string());
        }
        let all: Vec<Value> = match number("$deltatoken") {
            Some(since) => self.changes[since..].to_vec(),
            None => self.users.values().cloned().collect(),
        };
        let from = number("$skiptoken").unwrap_or(0);
        let page: Vec<Value> = all.iter().skip(from).take(self.page).cloned().collect();
        let mut body = json!({"@odata.context": "x", "value": page});
        let since = number("$deltatoken").map(|since| format!("$deltatoken={since}&")).unwrap_or_default();
        let to = |query: String| json!(format!("{endpoint}/v1.0/users/delta?{query}"));
        if from + self.page < all.len() {
            body["@odata.nextLink"] = to(format!("{since}$skiptoken={}", from + self.page));
        } else {
            body["@odata.deltaLink"] = to(format!("$deltatoken={}", self.changes.len()));
        }
        Fault::new("", 200, body.to_string())
    }
}

fn form(body: &str) -> BTreeMap<String, String> {
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A member with a mailbox and its plan: the fields that Microsoft Graph gives.
pub fn member(mail: &str, proxies: &[&str]) -> Value {
    json!({
        "userPrincipalName": mail, "mail": mail, "proxyAddresses": proxies, "accountEnabled": true, "userType": "Member",
        "assignedPlans": [{"service": "exchange", "capabilityStatus": "Enabled"}],
    })
}
