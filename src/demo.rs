//! The whole job with nothing set up, on this machine alone: a site in the process, fresh keys, an example mapping, an
//! export; from there on everything is the real path.

mod chat;
mod seal;
pub mod site;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use self::site::LoopbackSite;
use crate::config::{Config, ConfigError};
use crate::durable::{self, AtPath, Disk, PathError};
use crate::ingest::{self, Finished, IngestError, Job, Options, Watch};
use crate::inputs::{InputError, Inputs};
use crate::keys::{self, KeyFile, KeyPaths, KeysError};
use crate::ledger::{Ledger, LedgerError};

/// What the demo is asked.
pub struct Demo<'a> {
    /// Where everything goes.
    pub folder: &'a Path,
    /// Messages in the export; one of them is held.
    pub messages: u64,
    /// Who is shown.
    pub watch: Watch<'a>,
    /// Set to end it early.
    pub stop: &'a AtomicBool,
    /// How the program was called, for the commands that are shown.
    pub program: &'a str,
    /// Each step, said as it is done.
    pub say: &'a dyn Fn(&str),
}

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Something else is there.
    #[error("{} is there and no earlier demo made it; name another folder with --dir", .0.display())]
    Occupied(PathBuf),
    /// A file.
    #[error(transparent)]
    File(#[from] PathError),
    /// The site in the process.
    #[error("the demo's own SFTP site could not be started on 127.0.0.1")]
    Site(#[source] io::Error),
    /// The export could not be encrypted.
    #[error("the demo's export could not be encrypted")]
    Seal(#[source] io::Error),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The demo's own configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys or profile.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The run.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It did not go as it says.
    #[error("the demo did not go as it should: {0}; please report this")]
    Unexpected(String),
}

/// The file by which a later demo knows an earlier one's folder.
const MARK: &str = "made-by-icechatd-demo.txt";

/// What an earlier demo left; nothing else is ever removed.
const MADE: [&str; 9] =
    ["config.toml", "ssh-key", "pgp-key", "handouts", "mapping", "mailboxes.csv", "site", "staging", "state"];

/// Shows the whole job. The answer is the last screen.
///
/// # Errors
/// Where a step fails, or the books are not what they should be.
pub fn demo(demo: &Demo<'_>) -> Result<String, DemoError> {
    prepare_folder(demo.folder)?;
    let folder = demo.folder.canonicalize().at(demo.folder)?;
    (demo.say)(&format!("1. A folder for the demo: {}", folder.display()));

    let public_key = make_keys(&folder)?;
    (demo.say)("2. Fresh keys, SSH (Ed25519) and PGP, and the hand-outs an admin would send to ICE: handouts/");

    write_rules(&folder)?;
    (demo.say)("3. An operators' mapping (mapping/desk.csv) and a list of valid mailboxes (mailboxes.csv)");

    let export = write_export(&folder, demo.messages)?;
    (demo.say)(&format!("4. An export of {} messages, encrypted to the PGP key: site/{export}", demo.messages));

    let site = LoopbackSite::serve(&folder.join("site"), FIRM, &public_key).map_err(DemoError::Site)?;
    let config = write_config(&folder, &site)?;
    (demo.say)(&format!(
        "5. An SFTP site inside this process, 127.0.0.1:{}, and the configuration that pins its host key: config.toml",
        site.port()
    ));

    let config = Config::load(&config)?;
    let inputs = Inputs::read(&config)?;
    let options = Options::default();
    let job = Job {
        config: &config,
        inputs: &inputs,
        options: &options,
        watch: demo.watch,
        stop: demo.stop,
        clock: Timestamp::now,
    };
    let mut finished = ingest::run(&job)?;
    if let Some(error) = finished.error.take() {
        return Err(error.into());
    }
    (demo.say)("6. One run: connected, downloaded, decrypted, verified, parsed, resolved, staged, recorded");
    check(&finished, demo.messages)?;
    last_screen(demo.program, &folder, &config, &finished)
}

const FIRM: &str = "DEMO";

fn prepare_folder(folder: &Path) -> Result<(), DemoError> {
    let is_empty = || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if folder.exists() && !folder.join(MARK).is_file() && !is_empty() {
        return Err(DemoError::Occupied(folder.to_owned()));
    }
    std::fs::create_dir_all(folder).at(folder)?;
    // Others must not be able to put keys there, whatever the umask.
    let mode = std::fs::metadata(folder).at(folder)?.permissions().mode() & 0o755;
    std::fs::set_permissions(folder, Permissions::from_mode(mode)).at(folder)?;
    for name in MADE {
        let path = folder.join(name);
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at(path)?,
            _ => {}
        }
    }
    for name in ["site", "mapping"] {
        std::fs::DirBuilder::new().mode(0o750).create(folder.join(name)).at(folder.join(name))?;
    }
    let text = "icechatd demo made everything beside this file. The next demo here replaces it.\n";
    Ok(durable::replace(&folder.join(MARK), 0o644, text.as_bytes())?)
}

/// The public SSH key's line.
fn make_keys(folder: &Path) -> Result<String, DemoError> {
    let (ssh, pgp) = (folder.join("ssh-key"), folder.join("pgp-key"));
    keys::init(KeyPaths { ssh: &ssh, pgp: &pgp }, Some(FIRM), false)?;
    let ssh = [KeyFile::read("ssh-key", &ssh)?];
    let pgp = [KeyFile::read("pgp-key", &pgp)?];
    let loopback = [std::net::Ipv4Addr::LOCALHOST.into()];
    let none: [&[u8]; 0] = [];
    let hand_out = keys::HandOut { firm_code: Some(FIRM), egress_ip: &loopback, ssh: &ssh, pgp: &pgp, entra: &[] };
    keys::export(&folder.join("handouts"), hand_out, &none)?;
    let shown = keys::show(&ssh, &pgp, &none)?;
    let line = shown.ssh.into_iter().next().map(|key| key.public_line);
    line.ok_or_else(|| DemoError::Unexpected("no SSH key was made".to_owned()))
}

fn write_rules(folder: &Path) -> Result<(), DemoError> {
    durable::write_new(&folder.join("mapping/desk.csv"), 0o644, chat::MAPPING.as_bytes())?;
    Ok(durable::write_new(&folder.join("mailboxes.csv"), 0o644, chat::MAILBOXES.as_bytes())?)
}

/// The export's name at the site.
fn write_export(folder: &Path, messages: u64) -> Result<String, DemoError> {
    let certificate = folder.join("handouts/pgp-public-key.asc");
    let date = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let name = format!("icechat-{FIRM}-{date}.xml.pgp");
    let path = folder.join("site").join(&name);
    let file = std::fs::File::options().write(true).create_new(true).mode(0o640).open(&path).at(&path)?;
    let certificate = std::fs::read(&certificate).at(&certificate)?;
    seal::seal(&certificate, file, |export| chat::write(export, FIRM, date, messages)).map_err(DemoError::Seal)?;
    Ok(name)
}

fn write_config(folder: &Path, site: &LoopbackSite) -> Result<PathBuf, DemoError> {
    let text = format!(
        "# Written by icechatd demo. The site it names lives only as long as the demo runs;\n\
         # report, status, verify, mapping unresolved and replay work afterwards as well.\n\
         [site]\n\
         host = \"127.0.0.1\"\n\
         port = {}\n\
         firm_code = \"{FIRM}\"\n\
         host_keys = [\"{}\"]\n\
         settle = \"0s\"\n\n\
         [mapping]\n\
         directory = \"mapping\"\n\n\
         [mailboxes]\n\
         domains = [\"contoso.com\"]\n\
         list = \"mailboxes.csv\"\n\n\
         [staging]\n\
         local = \"staging\"\n\n\
         [state]\n\
         directory = \"state\"\n",
        site.port(),
        site.host_key(),
    );
    let path = folder.join("config.toml");
    durable::write_new(&path, 0o644, text.as_bytes())?;
    Ok(path)
}

/// All but one staged, one held: anything else is a fault, and the demo says so instead of showing it.
fn check(finished: &Finished, messages: u64) -> Result<(), DemoError> {
    let items = crate::report::totals(&finished.report).items;
    if (items.available, items.staged, items.held) == (messages, messages - 1, 1) && items.balance() {
        return Ok(());
    }
    Err(DemoError::Unexpected(format!("{messages} messages gave {items:?}")))
}

fn last_screen(program: &str, folder: &Path, config: &Config, finished: &Finished) -> Result<String, DemoError> {
    let staging = config.staging.local.clone().unwrap_or_default();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\nStaged for whom:\n\n  {:<28} {:>8}  FIRST", "MAILBOX", "EMLS");
    for (mailbox, (count, first)) in standing(&staging)? {
        let _ = writeln!(text, "  {mailbox:<28} {count:>8}  {first}");
    }
    let _ = writeln!(text, "\n{}", crate::report::books_line(&crate::report::totals(&finished.report)));
    let ledger = Ledger::read(&config.state.directory)?;
    let people = ledger.map(|ledger| ledger.unplaced(false)).transpose()?.unwrap_or_default();
    let who = people.first().and_then(|person| person.im_id.clone()).unwrap_or_default();
    let file = folder.join("config.toml");
    let _ = write!(
        text,
        "\nOne item is held: nobody in it has a mailbox ({who} is not in the mapping, and the address in the export is \
         not in the list).\nIt is not lost. Give {who} a mailbox and replay:\n\n  \
         echo '{who},{}' >> {}\n  {program} -c {} replay\n\n\
         Look at:  {}\nAnd try:  {program} -c {} status | report | verify | mapping unresolved\n",
        chat::RELEASE_TO,
        quoted(&folder.join("mapping/desk.csv")),
        quoted(&file),
        staging.display(),
        quoted(&file),
    );
    Ok(text)
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// How many EMLs stand in each mailbox's folder, and the first of them.
fn standing(staging: &Path) -> Result<BTreeMap<String, (usize, String)>, DemoError> {
    Disk::open(staging)?;
    let mut all = BTreeMap::new();
    for mailbox in std::fs::read_dir(staging).at(staging)? {
        let mailbox = mailbox.at(staging)?;
        let name = mailbox.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let folder = mailbox.path().join(crate::stage::FOLDER);
        let mut count = 0;
        let mut first: Option<String> = None;
        for eml in std::fs::read_dir(&folder).at(&folder)? {
            let eml = eml.at(&folder)?.file_name().to_string_lossy().into_owned();
            count += 1;
            first = Some(first.map_or_else(|| eml.clone(), |first| first.min(eml.clone())));
        }
        all.insert(name, (count, first.unwrap_or_default()));
    }
    Ok(all)
}
