//! A real OpenSSH `sshd` with `internal-sftp` on a free loopback port, for one test; killed when dropped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How the server and its one client key are made.
#[derive(Debug, Clone, Copy)]
pub struct SshdOptions<'a> {
    /// Arguments of `ssh-keygen` for the client's key.
    pub client_key: &'a [&'a str],
    /// The client key's passphrase.
    pub passphrase: &'a str,
    /// Kinds of host key, as `ssh-keygen -t` takes them.
    pub host_keys: &'a [&'a str],
    /// Whether the first host key has a certificate too.
    pub host_certificate: bool,
    /// Further lines of the configuration, before ours, so that they count; e.g. `AuthenticationMethods publickey,password`.
    pub config: &'a str,
}

impl Default for SshdOptions<'_> {
    fn default() -> Self {
        let client_key = &["-t", "ed25519"];
        Self { client_key, passphrase: "", host_keys: &["ed25519"], host_certificate: false, config: "" }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    user: String,
    dir: TempDir,
    host_keys: Vec<String>,
}

impl Sshd {
    /// Starts one and waits until it answers.
    pub fn start(options: SshdOptions<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::create_dir(path.join("site")).unwrap();
        // sshd insists on its privilege-separation folder.
        let _ = fs::create_dir_all("/run/sshd");
        keygen(&path.join("client"), options.client_key, options.passphrase);
        fs::copy(path.join("client.pub"), path.join("authorized_keys")).unwrap();
        for kind in options.host_keys {
            keygen(&path.join(format!("host-{kind}")), &["-t", kind], "");
        }
        if options.host_certificate {
            certify(path, options.host_keys[0]);
        }
        let host_keys =
            options.host_keys.iter().map(|kind| fingerprint(&path.join(format!("host-{kind}.pub")))).collect();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        fs::write(path.join("config"), configuration(path, port, options)).unwrap();
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        let mut sshd = Self { child: spawn(path), port, user, dir, host_keys };
        sshd.wait();
        sshd
    }

    fn wait(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "sshd ended: {}", self.log());
            assert!(Instant::now() < end, "sshd does not answer: {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first host key's fingerprint, as `site.host_keys` takes it.
    pub fn host_key_fingerprint(&self) -> &str {
        &self.host_keys[0]
    }

    /// All of them, in the order of the options.
    pub fn host_key_fingerprints(&self) -> &[String] {
        &self.host_keys
    }

    /// The folder that is served; a login starts in it.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// Who may log in: the user that runs the test.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The private key file that is let in.
    pub fn client_key(&self) -> PathBuf {
        self.dir.path().join("client")
    }

    /// Lets in these keys, and none else.
    pub fn authorize(&self, public_keys: &str) {
        fs::write(self.dir.path().join("authorized_keys"), public_keys).unwrap();
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Stops the server, as an outage does.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a key pair with `ssh-keygen`.
pub fn keygen(path: &Path, arguments: &[&str], passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    let status = command.args(arguments).args(["-q", "-N", passphrase, "-C", "test", "-f"]).arg(path).status().unwrap();
    assert!(status.success(), "ssh-keygen {arguments:?}");
}

fn certify(path: &Path, kind: &str) {
    keygen(&path.join("authority"), &["-t", "ed25519"], "");
    let mut command = Command::new("ssh-keygen");
    command.arg("-q").arg("-s").arg(path.join("authority")).args(["-I", "host", "-h"]);
    assert!(command.arg(path.join(format!("host-{kind}.pub"))).status().unwrap().success());
}

/// A public key's fingerprint, as `ssh-keygen` shows it.
pub fn fingerprint(public_key: &Path) -> String {
    let output = Command::new("ssh-keygen").args(["-l", "-E", "sha256", "-f"]).arg(public_key).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

fn configuration(path: &Path, port: u16, options: SshdOptions<'_>) -> String {
    let at = path.display();
    let mut keys: Vec<_> = options.host_keys.iter().map(|kind| format!("HostKey {at}/host-{kind}")).collect();
    if options.host_certificate {
        keys.push(format!("HostCertificate {at}/host-{}-cert.pub", options.host_keys[0]));
    }
    let keys = keys.join("\n");
    format!(
        "{}\nPort {port}\nListenAddress 127.0.0.1\n{keys}\nPidFile none\nAuthorizedKeysFile {at}/authorized_keys\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 100\nLogLevel VERBOSE\n\
         Subsystem sftp internal-sftp -d {at}/site\n",
        options.config
    )
}

fn spawn(path: &Path) -> Child {
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-D").arg("-f").arg(path.join("config")).arg("-E").arg(path.join("log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("openssh-server is installed")
}
