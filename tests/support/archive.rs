//! A firm without a site: exports delivered by hand, through the library and within the test, fast enough for properties
//! of thousands of cases.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use icechatd::config::Config;
use icechatd::ingest::{self, Finished, Job, Options, Watch};
use icechatd::inputs::Inputs;
use icechatd::ledger::Ledger;
use icechatd::report::totals;
use icechatd::verify::verify;
use jiff::Timestamp;
use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use tempfile::TempDir;

use super::measured::{Measured, measured};

/// A firm whose valid users are everybody at contoso.com, with an empty mapping.
pub struct Archive {
    dir: TempDir,
    /// Its settings, for a test to change.
    pub config: Config,
    inputs: Inputs,
    certificate: Cert,
    exports: usize,
}

impl Archive {
    /// Sets one up: in memory, where there is such a place.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let file = dir.path().join("config.toml");
        fs::create_dir(dir.path().join("mapping")).unwrap();
        let host_key = format!("SHA256:{}", "A".repeat(43));
        let text = format!(
            "[site]\nhost = \"127.0.0.1\"\nfirm_code = \"ACME\"\nhost_keys = [\"{host_key}\"]\n[mailboxes]\n\
             domains = [\"contoso.com\"]\n[staging]\nlocal = \"staging\"\n[state]\ndirectory = \"state\"\n[limits]\n\
             workers = 1\n"
        );
        fs::write(&file, text).unwrap();
        for arguments in [&["keys", "init"][..], &["keys", "export", dir.path().join("handouts").to_str().unwrap()]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
            let status = command.arg("-c").arg(&file).args(arguments).output().unwrap();
            assert!(status.status.success(), "{status:?}");
        }
        let config = Config::load(&file).unwrap();
        let inputs = Inputs::read(&config).unwrap();
        let certificate = Cert::from_file(dir.path().join("handouts/pgp-public-key.asc")).unwrap();
        Self { dir, config, inputs, certificate, exports: 0 }
    }

    /// Forgets everything that was staged and recorded.
    pub fn clear(&self) {
        for folder in [self.staging(), self.config.state.directory.clone()] {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Its staging folder.
    pub fn staging(&self) -> PathBuf {
        self.config.staging.local.clone().unwrap()
    }

    /// Drops the one mapping file.
    pub fn map(&self, csv: &str) {
        fs::write(self.dir.path().join("mapping/desk.csv"), csv).unwrap();
    }

    /// Encrypts exports and takes them in one run.
    pub fn ingest(&mut self, exports: &[String]) -> Finished {
        let files = exports.iter().map(|xml| self.write(xml)).collect();
        self.run(&Options { files, ..Options::default() }, ingest::run)
    }

    /// Takes ciphertexts in one run, whatever they are; the run itself must go well, and its books balance.
    pub fn attempt(&mut self, ciphertexts: &[Vec<u8>]) -> Finished {
        let files = ciphertexts.iter().map(|bytes| self.put(bytes)).collect();
        self.work(&Options { files, ..Options::default() }, ingest::run)
    }

    /// Takes files of these names in a run of the program itself, and measures it.
    pub fn measure(&self, files: &[(&str, Vec<u8>)]) -> Measured {
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| self.dir.path().join(name)).collect();
        for (path, (_, bytes)) in paths.iter().zip(files) {
            fs::write(path, bytes).unwrap();
        }
        let arguments = ["ingest", "--json"].into_iter().chain(paths.iter().map(|path| path.to_str().unwrap()));
        let seen = measured(&self.dir.path().join("config.toml"), &arguments.collect::<Vec<_>>());
        for path in &paths {
            fs::remove_file(path).unwrap();
        }
        seen
    }

    /// Has the program itself keep further limits: lines of `[limits]`.
    pub fn limit(&self, lines: &str) {
        let file = self.dir.path().join("config.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("[limits]\n", &format!("[limits]\n{lines}\n"))).unwrap();
    }

    /// The certificate to which exports are encrypted, armoured.
    pub fn certificate(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("handouts/pgp-public-key.asc")).unwrap()
    }

    /// One replay.
    pub fn replay(&mut self) -> Finished {
        self.run(&Options::default(), |job| ingest::replay(job, None))
    }

    fn run(&self, options: &Options, work: impl FnOnce(&Job<'_>) -> Result<Finished, ingest::IngestError>) -> Finished {
        let finished = self.work(options, work);
        assert!(finished.report.files.iter().all(|file| file.state == "staged"), "{:#?}", finished.report);
        finished
    }

    fn work(
        &self,
        options: &Options,
        work: impl FnOnce(&Job<'_>) -> Result<Finished, ingest::IngestError>,
    ) -> Finished {
        let finished = work(&self.job(options, &AtomicBool::new(false))).unwrap();
        assert!(finished.error.is_none(), "{:?}", finished.error);
        assert!(totals(&finished.report).items.balance(), "{:#?}", finished.report);
        finished
    }

    fn write(&mut self, xml: &str) -> PathBuf {
        let sealed = self.seal(xml);
        self.put(&sealed)
    }

    fn put(&mut self, bytes: &[u8]) -> PathBuf {
        self.exports += 1;
        let path = self.dir.path().join(format!("{}.pgp", self.exports));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Encrypts an export, and does not compress it.
    pub fn seal(&self, xml: &str) -> Vec<u8> {
        let policy = StandardPolicy::new();
        let mut sink = Vec::new();
        let recipients = self.certificate.keys().with_policy(&policy, None).supported().for_transport_encryption();
        let message = Encryptor::for_recipients(Message::new(&mut sink), recipients).build().unwrap();
        let mut message = LiteralWriter::new(message).build().unwrap();
        message.write_all(xml.as_bytes()).unwrap();
        message.finalize().unwrap();
        sink
    }

    /// What `verify --deep` finds at fault: nothing, unless something is wrong.
    pub fn faults(&self) -> Vec<String> {
        let ledger = Ledger::read(&self.config.state.directory).unwrap().unwrap();
        let mut faults = verify(&ledger, &self.config, None).unwrap().faults;
        let options = Options::default();
        let proven = ingest::prove(&self.job(&options, &AtomicBool::new(false))).unwrap();
        assert!(proven.not_comparable.is_empty());
        faults.extend(proven.faults);
        faults
    }

    fn job<'a>(&'a self, options: &'a Options, stop: &'a AtomicBool) -> Job<'a> {
        let watch = Watch { settle: &(), download: &(), survey: &(), staging: &() };
        Job { config: &self.config, inputs: &self.inputs, options, watch, stop, clock: Timestamp::now }
    }
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

/// How many cases a property is tried with: `ICECHATD_CASES`, or else so many.
pub fn cases(few: u32) -> u32 {
    std::env::var("ICECHATD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}
