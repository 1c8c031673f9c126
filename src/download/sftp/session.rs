//! One connection to the site: reached, known by its pinned key, logged in, and speaking SFTP.
//!
//! Nothing is shown to a host before one of its keys was found among the pinned ones.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{AlgorithmKind, ChannelMsg, Names, Preferred, cipher, compression, kex, mac};
use russh_sftp::client::RawSftpSession;
use russh_sftp::extensions;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use super::Timeouts;
use super::error::Trouble;
use super::login::{Credentials, Login};
use super::transfer;
use crate::config;
use crate::download::listing::escaped;

/// Bytes that the site may send unasked: twice what is in flight (`transfer`), so that the window never limits the rate.
const WINDOW: u32 = 8 << 20;
/// A silent site is asked for a sign of life this often.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A site that gives none for so long is gone.
const INACTIVITY: Duration = Duration::from_mins(1);
/// Two addresses of each kind are plenty; a name with hundreds must not keep us busy for hours.
const MAX_ADDRESSES: usize = 4;

/// AES only. ChaCha20-Poly1305, and CBC with encrypt-then-MAC, let someone on the line drop packets unseen where strict
/// key exchange is missing (Terrapin, CVE-2023-48795); GCM and CTR do not lend themselves to it, so that older servers
/// without strict key exchange are safe too. GCM first: it is the fastest where the processor has AES.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
const MACS: &[mac::Name] = &[mac::HMAC_SHA512, mac::HMAC_SHA256, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];
/// The library's order, with the NIST curves that some vendors' servers offer alone; nothing with SHA-1.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// Where a site is and how it is known; no secrets.
#[derive(Debug, Clone)]
pub(super) struct Address {
    host: String,
    port: u16,
    source: Option<IpAddr>,
    pinned: Arc<[String]>,
    pub(super) timeouts: Timeouts,
    met: Arc<Mutex<Option<Met>>>,
}

/// Who answered, and showed a key that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Its address.
    pub address: SocketAddr,
    /// The fingerprint of the key that it showed, as `site.host_keys` takes it.
    pub host_key: String,
}

/// A connection that is logged in. Dropping it closes it.
pub(super) struct Session {
    pub(super) sftp: RawSftpSession,
    /// Whether the server says what it answers whole.
    pub(super) tells_limits: bool,
    /// The site's folder as an absolute path, as the server itself writes it.
    pub(super) folder: String,
    pub(super) timeouts: Timeouts,
    _connection: Handle<Gatekeeper>,
}

impl Session {
    pub(super) async fn open(address: &Address, credentials: &Credentials, directory: &str) -> Result<Self, Trouble> {
        let Timeouts { authentication, operation, .. } = address.timeouts;
        let (mut connection, ending) = address.greet().await?;
        let login = Login::new(&mut connection, &ending, credentials).run();
        within(authentication, "logging in", login).await?;
        let (sftp, tells_limits) = within(operation, "starting SFTP", start_sftp(&connection)).await?;
        let (folder, timeouts) = (String::new(), address.timeouts.clone());
        let mut session = Self { sftp, tells_limits, folder, timeouts, _connection: connection };
        session.folder = session.resolve(directory).await?;
        Ok(session)
    }
}

/// The session, and whether the server tells its limits.
async fn start_sftp(connection: &Handle<Gatekeeper>) -> Result<(RawSftpSession, bool), Trouble> {
    let doing = "starting SFTP";
    let lost = |source: russh::Error| Trouble::Lost { doing, source: source.into() };
    let mut channel = connection.channel_open_session().await.map_err(lost)?;
    channel.request_subsystem(true, "sftp").await.map_err(lost)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure) => return Err(Trouble::NoSftp),
            Some(_) => {}
            None => return Err(lost(russh::Error::Disconnect)),
        }
    }
    let sftp = RawSftpSession::new_with_config(channel.into_stream(), transfer::sftp_config());
    let version = sftp.init().await.map_err(|source| Trouble::Lost { doing, source: source.into() })?;
    Ok((sftp, version.extensions.contains_key(extensions::LIMITS)))
}

impl Address {
    pub(super) fn of(settings: &config::Site, timeouts: Timeouts) -> Self {
        Self {
            host: settings.host.clone(),
            port: settings.port,
            source: settings.source_address,
            pinned: Arc::from(settings.host_keys.as_slice()),
            timeouts,
            met: Arc::default(),
        }
    }

    /// Who answered last, if its key was accepted.
    pub(super) fn met(&self) -> Option<Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Connects and checks the host's key. A host has keys of several kinds and shows one of a kind that we ask for: so
    /// each kind is asked for until one is pinned or none is left. Whoever pinned the RSA key that a vendor published
    /// need not know that the host would rather show another. Whoever shows a key of a kind that it was not asked for
    /// will go on doing so.
    async fn greet(&self) -> Result<(Handle<Gatekeeper>, Ending), Trouble> {
        let mut kinds = HOST_KEYS.to_vec();
        let mut offered = Vec::new();
        loop {
            match self.greet_as(&kinds).await {
                Ok(greeted) => return Ok(greeted),
                Err(Broken::HostKey { fingerprint, kind }) => {
                    offered.push(format!("{fingerprint} ({kind})"));
                    let asked = kinds.len();
                    kinds.retain(|other| !same_kind(other, &kind));
                    if kinds.len() == asked {
                        kinds.clear();
                    }
                }
                Err(Broken::Ssh(russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. }))
                    if !offered.is_empty() =>
                {
                    kinds.clear();
                }
                Err(broken) => return Err(broken.into()),
            }
            if kinds.is_empty() {
                return Err(Trouble::HostKey { offered, pinned: self.pinned.to_vec() });
            }
        }
    }

    /// The fingerprint that the host offers first. It is shown no secret, and no login begins.
    pub(super) async fn offered(&self) -> Result<String, Trouble> {
        let unpinned = Self { pinned: Arc::default(), ..self.clone() };
        match unpinned.greet_as(HOST_KEYS).await {
            Err(Broken::HostKey { fingerprint, .. }) => Ok(fingerprint),
            Err(broken) => Err(broken.into()),
            // Nothing is pinned, so nothing is accepted.
            Ok(_) => Err(Trouble::HostCertificate),
        }
    }

    async fn greet_as(&self, kinds: &[Algorithm]) -> Result<(Handle<Gatekeeper>, Ending), Broken> {
        let stream = self.connect().await?;
        let ending = Ending::default();
        let met = stream.peer_addr().ok().map(|address| (address, self.met.clone()));
        let gatekeeper = Gatekeeper { pinned: self.pinned.clone(), ending: ending.clone(), kind: None, met };
        let limit = self.timeouts.connect;
        let greeting = timeout(limit, client::connect_stream(Arc::new(ssh_config(kinds)), stream, gatekeeper)).await;
        let greeting = greeting.map_err(|_| Trouble::Deadline { doing: "greeting the SSH server", limit })?;
        Ok((greeting?, ending))
    }

    /// Every address that the host name has.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, Trouble> {
        let limit = self.timeouts.connect;
        let found = timeout(limit, lookup_host((self.host.as_str(), self.port))).await;
        let found = found.map_err(|_| Trouble::Deadline { doing: "resolving the host name", limit })?;
        Ok(found.map_err(Trouble::Resolve)?.collect())
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let limit = self.timeouts.connect;
        let found = self.resolve().await?.into_iter();
        let fits = |found: &SocketAddr| self.source.is_none_or(|source| source.is_ipv4() == found.is_ipv4());
        let mut trouble = self.no_address();
        for address in found.filter(fits).take(MAX_ADDRESSES) {
            match timeout(limit, self.connect_to(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => trouble = error,
                Err(_) => trouble = Trouble::Deadline { doing: "connecting", limit },
            }
        }
        Err(trouble)
    }

    fn no_address(&self) -> Trouble {
        let source = io::Error::new(io::ErrorKind::NotFound, "the host name has no address of that kind");
        match self.source {
            Some(address) => Trouble::SourceAddress { address, source },
            None => Trouble::Resolve(source),
        }
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<TcpStream, Trouble> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(Trouble::Connect)?;
        if let Some(source) = self.source {
            let bound = socket.bind((source, 0).into());
            bound.map_err(|error| Trouble::SourceAddress { address: source, source: error })?;
        }
        let stream = socket.connect(address).await.map_err(Trouble::Connect)?;
        // Requests are small and wait for nobody.
        stream.set_nodelay(true).map_err(Trouble::Connect)?;
        Ok(stream)
    }
}

/// RSA is one key under two signature algorithms.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    let rsa = |kind: &Algorithm| matches!(kind, Algorithm::Rsa { .. });
    a == b || (rsa(a) && rsa(b))
}

fn ssh_config(kinds: &[Algorithm]) -> client::Config {
    client::Config {
        window_size: WINDOW,
        inactivity_timeout: Some(INACTIVITY),
        keepalive_interval: Some(KEEPALIVE),
        nodelay: true,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: Cow::Owned(kinds.to_vec()),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        ..client::Config::default()
    }
}

/// Waits no longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(limit, work).await.unwrap_or(Err(Trouble::Deadline { doing, limit }))
}

/// Lets in only a host whose key is pinned.
pub(super) struct Gatekeeper {
    pinned: Arc<[String]>,
    ending: Ending,
    /// The kind of host key that was accepted.
    kind: Option<Algorithm>,
    /// Whom it lets in, and where that is noted.
    met: Option<(SocketAddr, Arc<Mutex<Option<Met>>>)>,
}

impl client::Handler for Gatekeeper {
    type Error = Broken;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Broken> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Err(Broken::HostCertificate) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if self.pinned.contains(&fingerprint) {
            if let Some((address, met)) = &self.met {
                let host_key = fingerprint;
                *met.lock().unwrap_or_else(PoisonError::into_inner) = Some(Met { address: *address, host_key });
            }
            return Ok(true);
        }
        Err(Broken::HostKey { fingerprint, kind: key.algorithm() })
    }

    /// Runs after every key exchange. At a rekey the library verifies the signature but does not show the host key; what
    /// it shows is the kind, so a change of that is refused. A rekey runs inside the channel that the pinned key
    /// authenticated: nobody but that host can take part in it.
    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut client::Session,
    ) -> Result<(), Broken> {
        let first = self.kind.get_or_insert_with(|| names.key.clone());
        if same_kind(first, &names.key) { Ok(()) } else { Err(russh::Error::UnknownKey.into()) }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Broken>) -> Result<(), Broken> {
        self.ending.set(match reason {
            DisconnectReason::ReceivedDisconnect(said) => End::Farewell(escaped(&said.message)),
            DisconnectReason::Error(Broken::Ssh(russh::Error::NoAuthMethod)) => {
                End::Farewell("no login method is left".to_owned())
            }
            DisconnectReason::Error(_) => End::Lost,
        });
        Ok(())
    }
}

/// How a connection ended, if it did; shared between the library's task and whoever waits for an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Option<End>>>);

#[derive(Debug, Clone)]
enum End {
    Farewell(String),
    Lost,
}

impl Ending {
    fn set(&self, end: End) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    fn get(&self) -> Option<End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the site said when it closed the connection, escaped.
    pub(super) fn farewell(&self) -> Option<String> {
        match self.get() {
            Some(End::Farewell(said)) => Some(said),
            _ => None,
        }
    }

    /// Whether it broke without a word.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.get(), Some(End::Lost))
    }
}

/// Why a connection came to nothing.
#[derive(Debug)]
pub(super) enum Broken {
    HostKey { fingerprint: String, kind: Algorithm },
    HostCertificate,
    Ssh(russh::Error),
    Before(Trouble),
}

impl From<russh::Error> for Broken {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self::Before(trouble)
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Before(trouble) => trouble,
            Broken::HostCertificate => Self::HostCertificate,
            Broken::HostKey { fingerprint, .. } => Self::HostKey { offered: vec![fingerprint], pinned: Vec::new() },
            Broken::Ssh(russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
                let kind = format!("{kind:?}").to_lowercase();
                Self::NoCommonAlgorithm { kind, theirs: escaped(&theirs.join(",")) }
            }
            Broken::Ssh(source) => Self::Lost { doing: "greeting the SSH server", source: source.into() },
        }
    }
}
