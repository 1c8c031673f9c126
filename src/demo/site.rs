//! An SFTP site inside the process, on 127.0.0.1, for the demo: one folder, one user, one key. It can list, read and
//! remove; it cannot write.

use std::collections::HashMap;
use std::fs::{File as LocalFile, Metadata, OpenOptions, ReadDir};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use russh_sftp::protocol::{Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode};
use rustix::fs::OFlags;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Entries in one answer to a listing, and bytes in one answer to a read: well within a packet.
const ENTRIES: usize = 100;
const LONGEST_READ: u32 = 128 * 1024;

/// A running site; it stops when it is dropped.
pub struct LoopbackSite {
    runtime: Option<Runtime>,
    port: u16,
    host_key: String,
}

impl LoopbackSite {
    /// Serves the files of `folder`, not those below it, to `user` with the key of that OpenSSH public key line. The host
    /// key is fresh.
    ///
    /// # Errors
    /// A key line that is none; no free port; no randomness.
    pub fn serve(folder: &Path, user: &str, client_key: &str) -> io::Result<Self> {
        let client_key = PublicKey::from_openssh(client_key).map_err(io::Error::other)?;
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(io::Error::other)?;
        let host_key = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let house = House { folder: folder.canonicalize()?, user: user.to_owned(), client_key };
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("demo-site").enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        runtime.spawn(accept(listener, Arc::new(config(key)), Arc::new(house)));
        Ok(Self { runtime: Some(runtime), port, host_key })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host key's fingerprint, as `site.host_keys` takes it.
    pub fn host_key(&self) -> String {
        self.host_key.clone()
    }
}

impl Drop for LoopbackSite {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting, so that it may be dropped anywhere.
            runtime.shutdown_background();
        }
    }
}

fn config(key: PrivateKey) -> Config {
    Config {
        keys: vec![key],
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::from_millis(100),
        window_size: 8 << 20,
        nodelay: true,
        ..Config::default()
    }
}

async fn accept(listener: TcpListener, config: Arc<Config>, house: Arc<House>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (config, guest) = (config.clone(), Guest { house: house.clone(), channels: HashMap::new() });
        tokio::spawn(async move {
            // A guest that leaves, or is not let in, is no event here: the client reports what it saw.
            if stream.set_nodelay(true).is_ok()
                && let Ok(session) = run_stream(config, stream, guest).await
            {
                let _ = session.await;
            }
        });
    }
}

/// What is served, and to whom.
struct House {
    folder: PathBuf,
    user: String,
    client_key: PublicKey,
}

/// Whoever connects, before and after the login.
struct Guest {
    house: Arc<House>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let known = user == self.house.user && key.public_key.key_data() == self.house.client_key.key_data();
        Ok(if known { Auth::Accept } else { Auth::reject() })
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
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let channel = self.channels.remove(&id).filter(|_| name == "sftp");
        let Some(channel) = channel else { return session.channel_failure(id) };
        session.channel_success(id)?;
        russh_sftp::server::run(channel.into_stream(), Shelf::new(self.house.folder.clone())).await;
        Ok(())
    }
}

/// The one folder, as SFTP sees it: `/`, with files in it.
struct Shelf {
    folder: PathBuf,
    files: HashMap<String, LocalFile>,
    listings: HashMap<String, ReadDir>,
    opened: u64,
}

impl Shelf {
    fn new(folder: PathBuf) -> Self {
        Self { folder, files: HashMap::new(), listings: HashMap::new(), opened: 0 }
    }

    /// The local path of `/NAME`: one plain component, so that nothing outside the folder has a name here.
    fn local(&self, path: &str) -> Result<PathBuf, StatusCode> {
        let name = path.trim_start_matches('/');
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(self.folder.join(only)),
            _ => Err(StatusCode::NoSuchFile),
        }
    }

    fn next_handle(&mut self) -> String {
        self.opened += 1;
        self.opened.to_string()
    }

    fn open_file(&self, handle: &str) -> Result<&LocalFile, StatusCode> {
        self.files.get(handle).ok_or(StatusCode::Failure)
    }
}

impl russh_sftp::server::Handler for Shelf {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusCode> {
        let name = path.trim_start_matches(['.', '/']);
        Ok(Name { id, files: vec![File::dummy(format!("/{name}"))] })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        if path != "/" {
            return Err(StatusCode::NoSuchFile);
        }
        let listing = std::fs::read_dir(&self.folder).map_err(status)?;
        let handle = self.next_handle();
        self.listings.insert(handle.clone(), listing);
        Ok(Handle { id, handle })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        let listing = self.listings.get_mut(&handle).ok_or(StatusCode::Failure)?;
        let mut files = Vec::new();
        for entry in listing.take(ENTRIES) {
            let entry = entry.map_err(status)?;
            let attributes = attributes(&entry.metadata().map_err(status)?);
            files.push(File::new(entry.file_name().to_string_lossy(), attributes));
        }
        if files.is_empty() { Err(StatusCode::Eof) } else { Ok(Name { id, files }) }
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        _attrs: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        if pflags.bits() != OpenFlags::READ.bits() {
            return Err(StatusCode::PermissionDenied);
        }
        let no_links = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(no_links).open(self.local(&filename)?).map_err(status)?;
        let handle = self.next_handle();
        self.files.insert(handle.clone(), file);
        Ok(Handle { id, handle })
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        let mut data = vec![0; len.min(LONGEST_READ) as usize];
        let read = self.open_file(&handle)?.read_at(&mut data, offset).map_err(status)?;
        data.truncate(read);
        if data.is_empty() { Err(StatusCode::Eof) } else { Ok(Data { id, data }) }
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusCode> {
        Ok(Attrs { id, attrs: attributes(&self.open_file(&handle)?.metadata().map_err(status)?) })
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        Ok(Attrs { id, attrs: attributes(&self.local(&path)?.symlink_metadata().map_err(status)?) })
    }

    /// There are no links to follow.
    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        self.lstat(id, path).await
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusCode> {
        self.files.remove(&handle);
        self.listings.remove(&handle);
        Ok(done(id))
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusCode> {
        std::fs::remove_file(self.local(&filename)?).map_err(status)?;
        Ok(done(id))
    }
}

fn attributes(metadata: &Metadata) -> FileAttributes {
    FileAttributes {
        size: Some(metadata.len()),
        permissions: Some(metadata.mode()),
        atime: u32::try_from(metadata.atime()).ok(),
        mtime: u32::try_from(metadata.mtime()).ok(),
        ..FileAttributes::empty()
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn status(error: io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}
