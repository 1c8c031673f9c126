//! A firm as icechatd meets it: a configuration, keys, a mapping folder, an SFTP site by a real sshd, and a sender with
//! a real gpg. The program under test is run as its users run it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::gpg::{Encrypt, Gpg};
use super::planted;
use super::sshd::{Sshd, SshdOptions};

/// A firm with everything set up; gone when dropped.
pub struct Firm {
    /// Its folder: `config.toml`, keys, `mapping/`, `staging/`, `state/`.
    pub dir: TempDir,
    /// Its site.
    pub sshd: Sshd,
    /// ICE's gpg, which knows the firm's certificate.
    pub gpg: Gpg,
}

/// What a verb said.
#[derive(Debug)]
pub struct Said {
    /// The exit code; 128 and the signal's number if one killed it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// What a program that has ended said: no chat text and no secret, whatever was asked of it.
    pub fn from(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = Self { code, out: text(&output.stdout), err: text(&output.stderr) };
        planted::look_through("standard output", &said.out);
        planted::look_through("standard error", &said.err);
        said
    }

    /// What the program under test says to these arguments, without any firm.
    pub fn to(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
        Self::from(&command.args(arguments).env_remove("CREDENTIALS_DIRECTORY").output().unwrap())
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, if it exited with this code.
    #[expect(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "most only want it checked")]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// The settings of a firm that a test may want otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[mailboxes]`, `[eml]`, `[schedule]`, … as TOML, after the sections every firm has.
    pub more: String,
    /// Lines in `[site]`.
    pub site: String,
    /// Lines in `[keys]`.
    pub keys: String,
    /// Lines in `[mapping]`.
    pub mapping: String,
    /// The line of `[staging]` that names its folder, if it has one.
    pub folder: String,
    /// Lines in `[staging]`.
    pub staging: String,
    /// The whole of `[mailboxes]`.
    pub mailboxes: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            more: String::new(),
            site: "settle = \"0s\"\n".to_owned(),
            keys: String::new(),
            mapping: String::new(),
            folder: "local = \"staging\"\n".to_owned(),
            staging: String::new(),
            mailboxes: "domains = [\"contoso.com\"]\n".to_owned(),
        }
    }
}

impl Firm {
    /// A firm whose valid users are everybody at contoso.com, with an empty mapping.
    pub fn new() -> Self {
        Self::with(&Settings::default())
    }

    /// A firm with the samples' mapping and mailbox list.
    pub fn of_the_samples() -> Self {
        let mailboxes = "domains = [\"contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
        let firm = Self::with(&Settings { mailboxes, ..Settings::default() });
        fs::copy(sample("mailboxes.csv"), firm.path("mailboxes.csv")).unwrap();
        firm.map("desk.csv", &fs::read_to_string(sample("mapping.csv")).unwrap());
        firm
    }

    /// A firm with these settings.
    pub fn with(settings: &Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sshd = Sshd::start(SshdOptions::default());
        let firm = Self { dir, sshd, gpg: Gpg::new() };
        fs::create_dir(firm.path("mapping")).unwrap();
        firm.configure(settings);
        fs::copy(firm.sshd.client_key(), firm.path("ssh-key")).unwrap();
        firm.run(&["keys", "init"]).expect(0);
        firm.run(&["keys", "export", firm.path("handouts").to_str().unwrap()]).expect(0);
        firm.gpg.import(&fs::read(firm.path("handouts/pgp-public-key.asc")).unwrap());
        firm
    }

    /// Writes the configuration.
    pub fn configure(&self, settings: &Settings) {
        let Settings { more, site, keys, mapping, folder, staging, mailboxes } = settings;
        let (port, user, host_key) = (self.sshd.port(), self.sshd.user(), self.sshd.host_key_fingerprint());
        let directory = self.sshd.root();
        let directory = directory.to_str().unwrap();
        let text = format!(
            "[site]\nhost = \"127.0.0.1\"\nport = {port}\nfirm_code = \"{user}\"\nhost_keys = [\"{host_key}\"]\n\
             directory = \"{directory}\"\n{site}\
             [keys]\n{keys}[mapping]\ndirectory = \"mapping\"\n{mapping}[mailboxes]\n{mailboxes}\
             [staging]\n{folder}{staging}[state]\ndirectory = \"state\"\n{more}"
        );
        fs::write(self.path("config.toml"), text).unwrap();
    }

    /// A path in the firm's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Drops a mapping file.
    pub fn map(&self, name: &str, csv: &str) {
        fs::write(self.path("mapping").join(name), csv).unwrap();
    }

    /// Encrypts as ICE does: to the firm's certificate, compressed.
    pub fn encrypt(&self, xml: &str) -> Vec<u8> {
        self.encrypt_how(xml, &Encrypt { compress: Some("zlib"), ..Encrypt::default() })
    }

    /// Encrypts to the firm's certificate, otherwise as told; chat text is planted in each message.
    pub fn encrypt_how(&self, xml: &str, how: &Encrypt<'_>) -> Vec<u8> {
        let recipient = self.recipient();
        let named =
            if how.recipients.is_empty() && how.hidden.is_empty() { vec![recipient.as_str()] } else { Vec::new() };
        let recipients: Vec<&str> = how.recipients.iter().copied().chain(named).collect();
        self.gpg.encrypt(planted::plant(xml).as_bytes(), &Encrypt { recipients: &recipients, ..how.clone() })
    }

    /// The firm's certificate's fingerprint.
    pub fn recipient(&self) -> String {
        self.run(&["keys", "show", "--json"]).expect(0).json()["pgp"][0]["fingerprint"].as_str().unwrap().to_owned()
    }

    /// Puts a file at the site.
    pub fn deliver(&self, name: &str, bytes: &[u8]) {
        let path = self.sshd.root().join(name);
        let before = path.metadata().and_then(|known| known.modified()).ok();
        fs::write(&path, bytes).unwrap();
        // SFTP knows whole seconds: a file of the same size that takes another's place within one looks like it.
        if let Some(before) = before {
            let after = before + std::time::Duration::from_secs(1);
            fs::File::options().write(true).open(&path).unwrap().set_modified(after).unwrap();
        }
    }

    /// Encrypts an export and puts it at the site.
    pub fn deliver_export(&self, name: &str, xml: &str) {
        self.deliver(name, &self.encrypt(xml));
    }

    /// The program under test with this firm's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        planted::keep_secrets_of(self.dir.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
        command.arg("--config").arg(self.path("config.toml")).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let said = Said::from(&self.command(arguments).output().unwrap());
        planted::look_through_state(&self.path("state"));
        said
    }

    /// Encrypts bytes that are no text of ours, or in another way than [`Firm::encrypt`].
    pub fn encrypt_bytes(&self, plaintext: &[u8]) -> Vec<u8> {
        self.gpg.encrypt(plaintext, &Encrypt { recipients: &[&self.recipient()], ..Encrypt::default() })
    }

    /// Makes the ledger say something else was done, and takes its chain away, as in a ledger from before there was one:
    /// whoever opens it next begins the chain with what it says by then.
    pub fn rewrite_ledger(&self, sql: &str) {
        let ledger = rusqlite::Connection::open(self.path("state/ledger.db")).unwrap();
        ledger.pragma_update(None, "foreign_keys", "OFF").unwrap();
        ledger.execute_batch(sql).unwrap();
        ledger
            .execute_batch(
                "DROP TABLE chain; DROP INDEX manifests_by_file;
                 DROP TRIGGER files_linked; DROP TRIGGER versions_linked; DROP TRIGGER dismissals_linked;
                 DROP TRIGGER restagings_linked; DROP TRIGGER manifests_linked;
                 ALTER TABLE manifests DROP COLUMN position; ALTER TABLE manifests DROP COLUMN shape;
                 ALTER TABLE files DROP COLUMN original_removed_by; ALTER TABLE files DROP COLUMN linked;
                 ALTER TABLE versions DROP COLUMN linked; ALTER TABLE dismissals DROP COLUMN linked;
                 ALTER TABLE restagings DROP COLUMN linked; PRAGMA user_version = 9",
            )
            .unwrap();
        drop(ledger);
        self.run(&["evidence", "list"]).expect(0);
    }

    /// Runs `ingest --json` and reads its report, whose books must balance, in all and for each file.
    pub fn ingest(&self, code: i32) -> Value {
        let report = self.run(&["ingest", "--json"]).expect(code).json();
        assert_balanced(&report);
        report
    }

    /// Runs `replay --json` likewise.
    pub fn replay(&self, code: i32) -> Value {
        let report = self.run(&["replay", "--json"]).expect(code).json();
        assert_balanced(&report);
        report
    }

    /// Every EML that stands in staging, by mailbox and file name; nothing else may stand there (contract 7), but ready lists.
    pub fn staged(&self) -> BTreeMap<(String, String), Vec<u8>> {
        staged(&self.path("staging"))
    }

    /// Which mailboxes each message went to, by its `X-ICE-Chat-Message-ID`, as an independent parser reads it.
    pub fn placements(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut placements: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for ((mailbox, name), bytes) in self.staged() {
            let id = header(&bytes, "X-ICE-Chat-Message-ID").unwrap_or_default();
            assert!(placements.entry(id).or_default().insert(mailbox), "{name} twice");
        }
        placements
    }
}

impl Default for Firm {
    fn default() -> Self {
        Self::new()
    }
}

/// Contract 8: the books balance, for each file and for the run.
pub fn assert_balanced(report: &Value) {
    let balanced = |items: &Value| {
        let of = |key: &str| items[key].as_u64().unwrap();
        let sum: u64 = ["staged", "held", "duplicate", "rejected", "skipped"].iter().map(|key| of(key)).sum();
        assert_eq!(of("available"), sum, "{report:#}");
    };
    balanced(&report["items"]);
    for file in report["files"].as_array().unwrap() {
        balanced(&file["items"]);
    }
}

/// What a report says of the file of this name.
pub fn file<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut files = report["files"].as_array().unwrap().iter();
    files.find(|file| file["name"] == name).unwrap_or_else(|| panic!("{name} is not in {report:#}"))
}

/// Every EML below a staging folder; anything that is not where the contract puts it is a failure.
pub fn staged(staging: &Path) -> BTreeMap<(String, String), Vec<u8>> {
    let mut found = BTreeMap::new();
    for mailbox in names(staging).into_iter().filter(|name| !name.starts_with('.')) {
        assert_eq!(names(&staging.join(&mailbox)), ["ICE Chat"]);
        let folder = staging.join(&mailbox).join("ICE Chat");
        for name in names(&folder) {
            assert_eq!(Path::new(&name).extension().unwrap(), "eml");
            found.insert((mailbox.clone(), name.clone()), fs::read(folder.join(name)).unwrap());
        }
    }
    for hidden in names(staging).into_iter().filter(|name| name.starts_with('.')) {
        let inside = names(&staging.join(&hidden));
        let allowed =
            |name: &String| hidden == ".ready" && !name.starts_with('.') && name.strip_suffix(".jsonl").is_some();
        assert!(inside.iter().all(allowed), "{hidden} has {inside:?} between runs");
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A header field's text, as an independent parser reads it.
pub fn header(eml: &[u8], name: &str) -> Option<String> {
    let mail = mail_parser::MessageParser::default().parse(eml).unwrap();
    mail.header(name).and_then(|value| value.as_text()).map(str::to_owned)
}

/// The text body, as an independent parser reads it, with `\n` line ends.
pub fn body(eml: &[u8]) -> String {
    let mail = mail_parser::MessageParser::default().parse(eml).unwrap();
    mail.body_text(0).unwrap().replace("\r\n", "\n")
}

/// A file of the samples.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/samples").join(name)
}

/// The samples' export.
pub fn sample_export() -> String {
    fs::read_to_string(sample("icechat.xml")).unwrap()
}

/// An export of one conversation with these records.
pub fn export(records: &str) -> String {
    format!(
        "<IceChatExport firmCode=\"ACME\" date=\"2026-11-19\"><Conversation><RoomID>R-1</RoomID>{records}</Conversation>\
         </IceChatExport>"
    )
}

/// A message from one address to others.
pub fn message(id: &str, from: &str, to: &[&str], text: &str) -> String {
    let recipients: Vec<String> = to.iter().map(|to| format!("<RecipientEmail>{to}</RecipientEmail>")).collect();
    let recipients = recipients.concat();
    let id = if id.is_empty() { String::new() } else { format!("<MessageID>{id}</MessageID>") };
    format!(
        "<Message>{id}<SenderEmail>{from}</SenderEmail>{recipients}<DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC>\
         <Content>{text}</Content></Message>"
    )
}
