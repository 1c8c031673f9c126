//! The real gpg, in a home of its own: what a sender uses.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// A GNUPGHOME with a short path (its agent's socket path has a length limit), gone with its agent at drop.
pub struct Gpg {
    home: tempfile::TempDir,
    /// One call at a time: each ends the agent, which another may be signing with.
    turn: Mutex<()>,
}

/// How `encrypt` encrypts.
#[derive(Debug, Clone, Default)]
pub struct Encrypt<'a> {
    /// Named recipients (`-r`).
    pub recipients: &'a [&'a str],
    /// Hidden recipients (`-R`).
    pub hidden: &'a [&'a str],
    /// All recipients hidden (`--throw-keyids`).
    pub throw_keyids: bool,
    /// `zlib`, `zip`, `bzip2` or `none`; gpg's own choice where absent.
    pub compress: Option<&'a str>,
    /// ASCII armour.
    pub armour: bool,
    /// Who signs.
    pub sign_with: Option<&'a str>,
    /// Further arguments.
    pub more: &'a [&'a str],
}

impl Gpg {
    /// A new, empty home.
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("g").rand_bytes(5).tempdir_in("/tmp").unwrap();
        Self { home, turn: Mutex::new(()) }
    }

    /// Where it keeps its keys.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs gpg; its standard output, or a panic with what it said.
    pub fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.try_run(args, input);
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs gpg.
    pub fn try_run(&self, args: &[&str], input: &[u8]) -> Output {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--no-tty", "--yes", "--trust-model", "always", "--pinentry-mode", "loopback"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // gpg may stop reading before the end; what it says matters then.
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output().unwrap()
        });
        self.stop_agent();
        output
    }

    /// gpg leaves its agent behind; a home in a static is never dropped, and its agent would stay for ever.
    fn stop_agent(&self) {
        if self.home.path().join("S.gpg-agent").exists() {
            let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
        }
    }

    /// Imports keys or certificates.
    pub fn import(&self, keys: &[u8]) {
        self.run(&["--import"], keys);
    }

    /// Makes a key that can sign and decrypt; `passphrase` may be empty. The fingerprint.
    pub fn generate(&self, user: &str, passphrase: &str) -> String {
        self.run(&["--passphrase", passphrase, "--quick-gen-key", user, "future-default", "default", "1y"], b"");
        self.fingerprint(user)
    }

    /// A certificate's fingerprint.
    pub fn fingerprint(&self, user: &str) -> String {
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys", user], b"")).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// The armoured secret key.
    pub fn export_secret(&self, user: &str, passphrase: &str) -> Vec<u8> {
        self.run(&["--passphrase", passphrase, "--armor", "--export-secret-keys", user], b"")
    }

    /// The certificate.
    pub fn export(&self, user: &str) -> Vec<u8> {
        self.run(&["--export", user], b"")
    }

    /// Encrypts.
    pub fn encrypt(&self, plaintext: &[u8], how: &Encrypt<'_>) -> Vec<u8> {
        let mut args = how.more.to_vec();
        for recipient in how.recipients {
            args.extend(["-r", recipient]);
        }
        for recipient in how.hidden {
            args.extend(["-R", recipient]);
        }
        if let Some(algorithm) = how.compress {
            args.extend(["--compress-algo", algorithm]);
        }
        if let Some(signer) = how.sign_with {
            args.extend(["-u", signer, "--sign"]);
        }
        args.extend(how.throw_keyids.then_some("--throw-keyids"));
        args.extend(how.armour.then_some("--armor"));
        args.push("--encrypt");
        self.run(&args, plaintext)
    }
}

impl Default for Gpg {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        self.stop_agent();
    }
}
