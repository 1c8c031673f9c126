//! The verbs (contract 1): one thin file each. Results go to standard output, everything else to standard error.

mod alert;
mod attachment;
mod check;
mod completions;
mod demo;
mod evidence;
mod held;
mod ingest;
mod keys;
mod logging;
mod mailboxes;
mod man;
mod mapping;
mod output;
mod place;
mod profile;
mod progress;
mod report;
mod restage;
mod run;
mod status;
mod stop;
mod verify;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use self::place::Place;
use self::progress::Bars;
use crate::cause::chain;
use crate::config::ConfigError;
use crate::exit_code::ExitCode;
use crate::ingest::IngestError;
use crate::inputs::InputError;
use crate::lock::LockError;

/// Where the configuration is unless `--config` says otherwise.
const CONFIG: &str = "/etc/icechatd/config.toml";

#[derive(Debug, Parser)]
#[command(
    name = "icechatd",
    version = crate::VERSION,
    about = "Archives a firm's ICE Chat: takes the encrypted exports from the SFTP site and stages every chat item as an \
             EML in each participant's mailbox folder",
    after_help = "Begin with `icechatd demo`, which needs nothing set up. Exit codes: 0 complete, 1 failed, 2 wrong usage, \
                  3 done but something needs a person, 75 another instance is working, 78 configuration invalid."
)]
struct Arguments {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,

    #[command(flatten)]
    log: logging::LogArguments,

    /// The configuration comes on standard input, and the file only says where it stands: for the daemon's own runs
    #[arg(long, global = true, hide = true)]
    config_on_stdin: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the whole job with nothing set up: its own SFTP server, keys, mapping and export
    Demo(demo::Arguments),
    /// The daemon, for systemd: waits for the schedule and starts each run
    Run(run::Arguments),
    /// One run now: fetch, decrypt, resolve, stage, record
    Ingest(ingest::Arguments),
    /// Check everything a run needs: configuration, keys, host key, login, staging, mapping
    Check(check::Arguments),
    /// Make, show, hand out, rotate and prolong the SSH and PGP keys
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Validate mapping files, list who is missing, show and confirm what is in force
    #[command(subcommand)]
    Mapping(mapping::Verb),
    /// The tenant's users: ask for them now; why is an address valid or not
    #[command(subcommand)]
    Mailboxes(mailboxes::Verb),
    /// The export profiles, and how well one fits an export
    #[command(subcommand)]
    Profile(profile::Verb),
    /// On one screen: the daemon, a run in flight, the last run, what needs a person
    Status(status::Arguments),
    /// What needs a person: list alerts, silence one for a while, try the channels
    #[command(subcommand)]
    Alert(alert::Verb),
    /// What a run did, file by file; or who is missing from capture
    Report(report::Arguments),
    /// What is held, and the decision that it needs nothing more
    #[command(subcommand)]
    Held(held::Verb),
    /// Stage what could not be placed before and now can
    Replay(ingest::ReplayArguments),
    /// Write an attachment that a mail names by its SHA-256, because it was too large for it
    Attachment(attachment::Arguments),
    /// Put what was placed there again, because an importer lost it: the same files, recorded with who and why
    Restage(restage::Arguments),
    /// Prove that ledger, chain, manifests and kept originals agree, and compare what still stands in staging
    Verify(verify::Arguments),
    /// Who did what, when and why, and the proof of it for an auditor
    #[command(subcommand)]
    Evidence(evidence::Verb),
    /// Print what lets a shell complete verbs and options; the package installs it for bash, zsh and fish
    Completions(completions::Arguments),
    /// Write the man pages: for the package
    #[command(hide = true)]
    ManPages(man::Arguments),
}

/// Why a verb did not do what it was asked, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ExitCode,
    line: String,
}

impl Failure {
    fn new(code: ExitCode, line: impl Into<String>) -> Self {
        Self { code, line: line.into() }
    }

    /// Any error that has no exit code of its own.
    fn failed(error: &dyn std::error::Error) -> Self {
        Self::new(ExitCode::Failed, chain(error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(ExitCode::Config, chain(&error))
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let code = if matches!(error, LockError::Busy(_)) { ExitCode::Busy } else { ExitCode::Failed };
        Self::new(code, chain(&error))
    }
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Lock(error) => error.into(),
            error => Self::failed(&error),
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        // A profile that nobody has gone through is a configuration that is not finished.
        let code = if matches!(error, InputError::Guesses { .. }) { ExitCode::Config } else { ExitCode::Failed };
        Self::new(code, chain(&error))
    }
}

macro_rules! plainly_failed {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::failed(&error)
            }
        }
    )+};
}

plainly_failed!(
    crate::alert::deliver::DeliverError,
    crate::config::CredentialError,
    crate::config::EditError,
    crate::download::sftp::SiteError,
    crate::durable::PathError,
    crate::evidence::EvidenceError,
    crate::keys::KeysError,
    crate::ledger::LedgerError,
    crate::owner::OwnerError,
    crate::stage::StageError,
    std::io::Error,
);

/// Runs the verb that the arguments name.
pub fn main() -> ExitCode {
    // Each file and folder is made with the mode that it is to have; a stricter umask would take from staging what its
    // group needs, and systemd's RestrictSUIDSGID keeps us from mending that where a set-group-ID bit was inherited.
    rustix::process::umask(rustix::fs::Mode::RWXO);
    keep_memory_to_ourselves();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too; clap knows which stream each belongs to.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Complete };
        }
    };
    let bars = Bars::new();
    let as_text = arguments.log.start(&bars);
    dispatch(arguments, &bars).unwrap_or_else(|failure| {
        logging::complain(&failure, as_text);
        failure.code
    })
}

/// Keys and chat are in the memory of who works with them: the kernel dumps it nowhere, and shows it to root alone. Where it
/// refuses to promise that, the archive goes on: a crash is rarer than a day without it.
fn keep_memory_to_ourselves() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn dispatch(arguments: Arguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let place = Place::of(arguments.config, arguments.config_on_stdin)?;
    let config = place.file();
    match arguments.verb {
        Verb::Demo(demo) => demo::demo(&demo, bars),
        Verb::Run(run) => run::run(config, &run, arguments.log),
        Verb::Ingest(ingest) => ingest::ingest(&place, &ingest, bars),
        Verb::Check(check) => check::check(config, &check),
        Verb::Keys(verb) => keys::keys(config, &verb),
        Verb::Mapping(verb) => mapping::mapping(config, &verb),
        Verb::Mailboxes(verb) => mailboxes::mailboxes(&place, &verb),
        Verb::Profile(verb) => profile::profile(config, &verb),
        Verb::Status(status) => status::status(config, &status),
        Verb::Alert(verb) => alert::alert(&place, &verb),
        Verb::Report(report) => report::report(config, &report),
        Verb::Held(verb) => held::held(config, &verb),
        Verb::Replay(replay) => ingest::replay(&place, &replay, bars),
        Verb::Attachment(attachment) => attachment::attachment(config, &attachment),
        Verb::Restage(restage) => restage::restage(&place, &restage, bars),
        Verb::Verify(verify) => verify::verify(config, &verify, bars),
        Verb::Evidence(verb) => evidence::evidence(config, &verb),
        Verb::Completions(shell) => completions::completions(&Arguments::command(), &shell),
        Verb::ManPages(man) => man::man_pages(Arguments::command(), &man),
    }
}

/// A day, as arguments take it.
fn day_of(text: &str) -> Result<jiff::civil::Date, &'static str> {
    text.parse().map_err(|_| "no day; write it as in 2026-12-24")
}
