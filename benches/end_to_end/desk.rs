//! A firm to measure: its site by a real `sshd`, its keys, and a configuration wherever it is wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Arguments;
use crate::input::{TRADERS, mapping, seal, write};
use crate::support::gpg::Gpg;
use crate::support::measured::{Measured, measured_of};
use crate::support::sshd::{Sshd, SshdOptions};

/// The day of the exports.
pub(crate) const DATE: &str = "2026-11-19";

/// A firm, gone when dropped.
pub(crate) struct Desk {
    /// Its keys and its mapping.
    dir: TempDir,
    pub(crate) sshd: Sshd,
    pub(crate) gpg: Gpg,
    recipient: String,
    program: PathBuf,
}

impl Desk {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sshd, gpg) = (Sshd::start(SshdOptions::default()), Gpg::new());
        let recipient = gpg.generate("bench@contoso.com", "");
        fs::write(dir.path().join("pgp-key"), gpg.export_secret("bench@contoso.com", "")).unwrap();
        fs::copy(sshd.client_key(), dir.path().join("ssh-key")).unwrap();
        fs::create_dir(dir.path().join("mapping")).unwrap();
        fs::write(dir.path().join("mapping/desk.csv"), mapping(TRADERS)).unwrap();
        let program = arguments.program.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_icechatd").into());
        Self { dir, sshd, gpg, recipient, program }
    }

    /// Encrypts an export and puts it at the site, which has nothing else then. Its size.
    pub(crate) fn deliver(&self, messages: std::ops::Range<u64>, padding: usize) -> u64 {
        for old in fs::read_dir(self.sshd.root()).unwrap() {
            fs::remove_file(old.unwrap().path()).unwrap();
        }
        let path = self.export();
        seal(&self.gpg, &self.recipient, &path, |export| write(export, DATE, messages, padding));
        path.metadata().unwrap().len()
    }

    /// The export at the site.
    pub(crate) fn export(&self) -> PathBuf {
        self.sshd.root().join("BENCH_20261119.xml.pgp")
    }

    /// The secret key that opens the exports.
    pub(crate) fn secret(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("pgp-key")).unwrap()
    }

    /// The operators' mapping.
    pub(crate) fn mapping(&self) -> PathBuf {
        self.dir.path().join("mapping/desk.csv")
    }

    /// A configuration whose state and staging are in this folder.
    pub(crate) fn configure(&self, ground: &Path) -> PathBuf {
        let (port, user, host_key) = (self.sshd.port(), self.sshd.user(), self.sshd.host_key_fingerprint());
        let (site, keys) = (self.sshd.root(), self.dir.path());
        for credential in ["ssh-key", "pgp-key"] {
            fs::copy(keys.join(credential), ground.join(credential)).unwrap();
        }
        let text = format!(
            "[site]\nhost = \"127.0.0.1\"\nport = {port}\nfirm_code = \"{user}\"\nhost_keys = [\"{host_key}\"]\n\
             directory = \"{}\"\nsettle = \"0s\"\n\
             [mapping]\ndirectory = \"{}/mapping\"\n[mailboxes]\ndomains = [\"contoso.com\"]\n\
             [staging]\nlocal = \"staging\"\n[state]\ndirectory = \"state\"\n",
            site.display(),
            keys.display()
        );
        let config = ground.join("config.toml");
        fs::write(&config, text).unwrap();
        config
    }

    /// The program with a configuration.
    pub(crate) fn command(&self, config: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a verb and measures it. All must be well.
    pub(crate) fn run(&self, config: &Path, arguments: &[&str]) -> Measured {
        let measured = measured_of(&self.program, config, arguments);
        assert_eq!(measured.code, 0, "{}", measured.err);
        measured
    }
}
