//! What the operator's TOML file says, as types that hold no bad value (contract 4), and what stands beside it:
//! credentials and the operators' CSV files, as bytes.

mod credential;
mod document;
mod edit;
mod entra;
mod folder;
mod items;
mod load;
mod staging;
mod telling;
mod text;
mod values;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use glob::Pattern;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

pub use credential::{Credential, CredentialError, Places, Secrecy};
pub use document::ConfigError;
pub use edit::{Change, EditError, KeyNames};
pub use folder::{Stamp, is_mapping, read_folder, read_list};
pub use staging::{Azure, Immutability, SignIn, Staging};
pub use text::{ConfigText, state_directory_of};
pub use values::service;

use crate::domain::Domain;
use crate::durable::PathError;
use crate::mailbox::Mailbox;

/// The whole configuration, checked; every path absolute, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where the exports come from.
    pub site: Site,
    /// SSH and PGP keys.
    pub keys: Keys,
    /// How the exports are written.
    pub export: Export,
    /// Operators' mapping.
    pub mapping: Mapping,
    /// Who is a valid user.
    pub mailboxes: Mailboxes,
    /// How items are rendered.
    pub eml: Eml,
    /// Attachments that come in archives of their own.
    pub attachments: Attachments,
    /// Where items are placed.
    pub staging: Staging,
    /// Ledger, originals, spool.
    pub state: State,
    /// When runs are due.
    pub schedule: Schedule,
    /// Who we are to the firm's Microsoft tenant, if anyone.
    pub entra: Option<Entra>,
    /// Who is told of what needs a person.
    pub alerts: Alerts,
    /// The mail server for alerts and the daily reconciliation, if there is one.
    pub mail: Option<Mail>,
    /// Where metrics are served, if at all.
    pub metrics: Option<SocketAddr>,
    /// Bounds on what an export may cost.
    pub limits: Limits,
}

/// `[site]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The SFTP user name.
    pub firm_code: String,
    /// Pinned OpenSSH fingerprints, `SHA256:` and unpadded base64. Empty only after [`Config::load_for_check`]; no key
    /// matches an empty list.
    pub host_keys: Vec<String>,
    /// The remote folder.
    pub directory: String,
    /// Which names in it are exports.
    pub files: Vec<Pattern>,
    /// The password, where the site asks for one.
    pub password: Option<Credential>,
    /// How long size and mtime must stand still.
    pub settle: Duration,
    /// Whether a committed export is removed from the site.
    pub delete_after: bool,
    /// Local address to connect from.
    pub source_address: Option<std::net::IpAddr>,
    /// Addresses registered with ICE.
    pub egress_ip: Vec<std::net::IpAddr>,
    /// Items before this day are skipped.
    pub initial_date: Option<Date>,
}

/// `[keys]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// SSH private keys, tried in order.
    pub ssh: Vec<Credential>,
    /// PGP secret keys, newest first.
    pub pgp: Vec<Credential>,
    /// PGP secret keys that open only what was archived while they were in use.
    pub retired: Vec<Credential>,
    /// Passphrases tried on whatever is protected.
    pub passphrases: Vec<Credential>,
    /// Certificates of which one must have signed each export, if any are named.
    pub signers: Vec<Credential>,
}

/// The part of a configuration that the `keys` verbs need.
#[derive(Debug, Clone, PartialEq)]
pub struct KeysConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[keys]`.
    pub keys: Keys,
    /// The SFTP user name, if it stands there already; `keys export` names it.
    pub firm_code: Option<String>,
    /// Addresses registered with ICE; `keys export` names them.
    pub egress_ip: Vec<std::net::IpAddr>,
    /// The certificates of `[entra]`, newest first; named also before the section is there.
    pub certificates: Vec<Credential>,
    /// Whether the section is there.
    pub has_entra: bool,
}

/// `[export]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// How the exports are written.
    pub profile: ProfileSource,
}

/// Where a profile stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// In the program, under this name; whether there is such a one, `export::profile` knows.
    BuiltIn(String),
    /// In this file: the configured text has a slash or ends in `.toml`.
    File(PathBuf),
}

/// `[mapping]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Where operators drop CSV files.
    pub directory: PathBuf,
    /// Whether the configuration names the folder, which then must be there.
    pub named: bool,
    /// Fall back to the e-mail the export gives.
    pub automatic: bool,
}

impl Mapping {
    /// The folder's files, as [`read_folder`] takes them; none where the folder is the default one and not there.
    ///
    /// # Errors
    /// As [`read_folder`].
    pub fn read_files(&self) -> Result<Vec<(String, Vec<u8>)>, PathError> {
        match read_folder(&self.directory) {
            Err(error) if !self.named && error.source.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }
}

/// `[mailboxes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailboxes {
    /// Ours, exactly these; never empty, each once.
    pub domains: Vec<Domain>,
    /// Company names that are ours, trimmed.
    pub companies: Vec<String>,
    /// CSV of the only valid mailboxes.
    pub list: Option<PathBuf>,
    /// The tenant's users, asked by Microsoft Graph; where there is no list, they are the only valid ones.
    pub graph: Option<Directory>,
    /// Receives what would be held; it is nobody's mailbox.
    pub catch_all: Option<Mailbox>,
    /// Receives every item; it is nobody's mailbox.
    pub journal: Option<Mailbox>,
}

/// `[mailboxes.graph]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The property of a user that holds the `ImId`.
    pub im_id_attribute: Option<String>,
    /// A snapshot that is older needs a person.
    pub max_age: Duration,
}

/// `[entra]`: the app registration by which this program signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// The tenant's id, or one of its domains.
    pub tenant: String,
    /// The application's id.
    pub client_id: String,
    /// Certificates with their keys, newest first; never empty.
    pub certificates: Vec<Credential>,
    /// Who issues tokens: scheme and host.
    pub authority: String,
    /// Where Microsoft Graph is: scheme and host.
    pub graph: String,
}

impl Entra {
    /// Where an administrator gives the consent that is missing.
    pub fn admin_consent(&self) -> String {
        format!("{}/{}/adminconsent?client_id={}", self.authority, self.tenant, self.client_id)
    }
}

/// `[eml]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eml {
    /// What becomes one EML.
    pub grouping: Grouping,
    /// Whether events become items of their own.
    pub events: bool,
    /// Whether the body ends with who, where and when.
    pub footer: bool,
    /// A larger attachment is named in the EML and kept in the encrypted original; bytes.
    pub max_attachment: u64,
    /// A transcript whose EML would be larger continues in another part; bytes.
    pub max_size: u64,
    /// The subject in place of the usual one, with placeholders.
    pub subject: Option<String>,
    /// Further header fields, with placeholders, in the order of their names.
    pub headers: Vec<(String, String)>,
}

/// `eml.grouping`: what becomes one EML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Each message and each attachment.
    Message,
    /// Each conversation's day.
    Conversation,
}

/// `[attachments]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachments {
    /// How long an export waits for the archive that holds its attachments.
    pub wait: Duration,
    /// Files in one archive.
    pub max_entries: u64,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files that can still be made.
    pub inodes: u64,
}

/// `[state]`.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Ledger, originals, spool and locks live below it.
    pub directory: PathBuf,
    /// Days to keep encrypted originals; 0 for ever.
    pub originals_days: u32,
    /// Days to keep what was wrong with rejected mappings and lists; 0 for ever.
    pub rejected_days: u32,
}

/// `[schedule]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Local time of the daily run.
    pub at: Time,
    /// The zone of `at`, `deadline` and of days.
    pub time_zone: TimeZone,
    /// The days that have an export.
    pub days: Vec<Weekday>,
    /// The next day's local time after which a missing export is an alert.
    pub deadline: Time,
    /// Days of `days` that have none all the same.
    pub holidays: BTreeSet<Date>,
}

/// `[alerts]`: credentials that hold an address, for who knows such an address may use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Receives each alert as JSON.
    pub webhook: Option<Credential>,
    /// Asked after each run that went well: a dead man's switch rings when that stops.
    pub ping: Option<Credential>,
}

/// `[mail]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Host name or address.
    pub server: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Who logs in, where the server asks for it.
    pub login: Option<(String, Credential)>,
    /// The sender.
    pub from: Mailbox,
    /// The receivers; never empty.
    pub to: Vec<Mailbox>,
    /// Whether the day's books are mailed as well.
    pub reconciliation: bool,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS is asked for on a plain connection, and required (RFC 3207).
    StartTls,
    /// TLS from the first byte on (RFC 8314).
    Tls,
    /// None: for a relay on this machine or a trusted network.
    Plain,
}

/// `[limits]`; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of one decrypted export.
    pub max_plaintext: u64,
    /// Of plaintext to ciphertext.
    pub max_ratio: u64,
    /// Of one record, attachment data not counted.
    pub max_message: u64,
    /// Of one attachment's decoded data.
    pub max_attachment: u64,
    /// Of people and presence events in one conversation.
    pub max_participants: u64,
    /// Of one file's whole download.
    pub transfer_deadline: Duration,
    /// Threads that render and write; 0 means one for each core.
    pub workers: usize,
}

impl Default for Room {
    /// Where less is free, nobody should begin.
    fn default() -> Self {
        Self { bytes: 100 << 20, inodes: 1000 }
    }
}

impl Config {
    /// How many threads render and write: as configured, else one for each core.
    pub fn workers(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        NonZeroUsize::new(self.limits.workers).unwrap_or_else(cores)
    }
}
