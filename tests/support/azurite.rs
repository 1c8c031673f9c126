//! A real Azurite, one for each test binary: Microsoft's own emulator of Azure Blob Storage, in memory.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::{Timestamp, ToSpan};

use super::http::free_address;
use super::planted;
use super::web::{Reply, Request, Web};

/// The account that every emulator has, and its key; both are published.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// What may be done with a signature, unless a test wants less.
pub const ALL: &str = "rwdlac";

/// A container of its own.
#[derive(Debug)]
pub struct Azurite {
    /// The container's name.
    pub container: String,
    address: SocketAddr,
}

/// A blob as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the server says of it; names in small letters.
    pub fields: BTreeMap<String, String>,
}

/// Accounts beside it, all with the same key.
const ACCOUNTS: usize = 64;
/// The fields of a signature, as they begin.
const SIGNED: [&str; 7] = ["sv=", "ss=", "srt=", "sp=", "se=", "spr=", "sig="];

/// Starts the server once. A shell waits beside it for the end of this program, and then ends it.
fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/azurite/node_modules/.bin/azurite-blob");
        assert!(program.exists(), "Azurite is not there; run .ci/setup tests");
        let address = free_address();
        let accounts: Vec<_> = (0..ACCOUNTS).map(|account| format!("a{account}:{KEY}")).collect();
        let script = format!(
            "AZURITE_ACCOUNTS='{ACCOUNT}:{KEY};{}' '{}' --inMemoryPersistence --skipApiVersionCheck --disableTelemetry --silent --blobHost 127.0.0.1 \
             --blobPort {} >/dev/null 2>&1 & server=$!; cat; kill -9 $server",
            accounts.join(";"),
            program.display(),
            address.port()
        );
        let mut shell = Command::new("sh");
        let child = shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Its standard input stays open until this program ends.
        std::mem::forget(child);
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "Azurite does not start");
            sleep(Duration::from_millis(50));
        }
        address
    })
}

/// A shared access signature for everything in the account, with these permissions, that ends so many hours from now.
pub fn sas(permissions: &str, hours: i64) -> String {
    sas_of(ACCOUNT, permissions, hours)
}

fn sas_of(account: &str, permissions: &str, hours: i64) -> String {
    let end = (Timestamp::now() + hours.hours()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (version, services, types, protocol) = ("2020-12-06", "b", "sco", "https,http");
    let fields = [account, permissions, services, types, "", &end, "", protocol, version, "", ""].join("\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(KEY.as_bytes()).unwrap());
    let signature = BASE64.encode(hmac::sign(&key, fields.as_bytes()).as_ref());
    let encoded = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D").replace(':', "%3A");
    planted::keep_secret(&encoded(&signature));
    planted::keep_secret(&signature);
    let (end, signature) = (encoded(&end), encoded(&signature));
    format!("sv={version}&ss={services}&srt={types}&sp={permissions}&se={end}&spr={protocol}&sig={signature}")
}

impl Azurite {
    /// A new container.
    pub fn new() -> Self {
        let random = BASE64URL_NOPAD.encode(tempfile::tempdir().unwrap().path().as_os_str().as_encoded_bytes());
        let letters: String = random.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let container = format!("t{}", &letters[letters.len().saturating_sub(24)..]);
        let azurite = Self { container, address: server() };
        assert_eq!(azurite.ask("PUT", "?restype=container", &[], b"").code, 201);
        azurite
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The account's address, of this server or of one that stands before it.
    pub fn endpoint_at(address: SocketAddr) -> String {
        format!("http://{address}/{ACCOUNT}")
    }

    /// The same of this one.
    pub fn endpoint(&self) -> String {
        Self::endpoint_at(self.address)
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Reply {
        let mark = if target.contains('?') { '&' } else { '?' };
        self.send(method, format!("/{ACCOUNT}/{}{target}{mark}{}", self.container, sas(ALL, 1)), fields, body)
    }

    fn send(&self, method: &str, target: String, fields: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut fields: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        fields.insert("host".to_owned(), self.address.to_string());
        fields.insert("x-ms-version".to_owned(), "2020-12-06".to_owned());
        fields.insert("content-length".to_owned(), body.len().to_string());
        let method = method.to_owned();
        Reply::from(self.address, &Request { at: Instant::now(), method, target, fields, body: body.to_vec() })
    }

    /// Puts a blob there, whatever stands there.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = format!("/{}", name.replace(' ', "%20"));
        assert_eq!(self.ask("PUT", &path, &[("x-ms-blob-type", "BlockBlob")], bytes).code, 201);
    }

    /// Removes a blob.
    pub fn remove(&self, name: &str) {
        assert_eq!(self.ask("DELETE", &format!("/{}", name.replace(' ', "%20")), &[], b"").code, 202);
    }

    /// Every name in the container, in order.
    pub fn names(&self) -> Vec<String> {
        self.names_in(ACCOUNT)
    }

    fn names_in(&self, account: &str) -> Vec<String> {
        let (mut names, mut marker) = (Vec::new(), String::new());
        let (container, sas) = (&self.container, sas_of(account, ALL, 1));
        loop {
            let list = format!("/{account}/{container}?restype=container&comp=list&marker={marker}&{sas}");
            let reply = self.send("GET", list, &[], b"");
            assert_eq!(reply.code, 200);
            let text = String::from_utf8(reply.body).unwrap();
            let between = |tag: &str| {
                let tag = format!("<{tag}>");
                let parts = text.split(&tag).skip(1).map(|part| part.split('<').next().unwrap().to_owned());
                parts.collect::<Vec<_>>()
            };
            names.extend(between("Name"));
            match between("NextMarker").pop().filter(|next| !next.is_empty()) {
                Some(next) => marker = next.replace('%', "%25").replace(' ', "%20").replace('&', "%26"),
                None => return names,
            }
        }
    }

    /// One blob.
    pub fn get(&self, name: &str) -> Blob {
        let reply = self.ask("GET", &format!("/{}", name.replace(' ', "%20")), &[], b"");
        assert_eq!(reply.code, 200, "{name}");
        Blob { bytes: reply.body, fields: reply.fields.into_iter().collect() }
    }

    /// The same container in many accounts, and a server before them that looks like one. Azurite takes the longer for each
    /// request the more blobs an account has; so many are spread, each by its name.
    pub fn spread(&self) -> Web {
        let (upstream, container) = (self.address, self.container.clone());
        for account in 0..ACCOUNTS {
            let target =
                format!("/a{account}/{container}?restype=container&{}", sas_of(&format!("a{account}"), ALL, 1));
            assert_eq!(self.send("PUT", target, &[], b"").code, 201);
        }
        let signatures: Vec<_> = (0..ACCOUNTS).map(|account| sas_of(&format!("a{account}"), ALL, 24)).collect();
        Web::forgetful(move |request| {
            let account =
                request.path().bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte)) % ACCOUNTS;
            let mut request = request.clone();
            let path = request.path().replacen(ACCOUNT, &format!("a{account}"), 1);
            let query = request.target.split_once('?').map_or("", |(_, query)| query);
            let ours = |field: &&str| SIGNED.iter().all(|name| !field.starts_with(name));
            let query: Vec<_> = query.split('&').filter(ours).chain([signatures[account].as_str()]).collect();
            request.target = format!("{path}?{}", query.join("&"));
            Some(Reply::from(upstream, &request))
        })
    }

    /// How many EMLs stand in all of them.
    pub fn count_spread(&self) -> usize {
        let count =
            |account| self.names_in(&format!("a{account}")).iter().filter(|name| name.contains("/ICE Chat/")).count();
        (0..ACCOUNTS).map(count).sum()
    }

    /// Every EML in the container, by its whole name.
    pub fn emls(&self) -> BTreeMap<String, Blob> {
        let names = self.names().into_iter().filter(|name| name.contains("/ICE Chat/"));
        names.map(|name| (name.clone(), self.get(&name))).collect()
    }
}

impl Default for Azurite {
    fn default() -> Self {
        Self::new()
    }
}
