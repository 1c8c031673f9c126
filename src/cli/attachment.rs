//! `attachment`: the bytes of an attachment that a mail names by its SHA-256.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::config::Config;
use crate::decrypt::SecretKeys;
use crate::digest::Sha256;
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::ingest;
use crate::inputs::Openers;
use crate::ledger::Ledger;

#[derive(Debug, Args)]
#[command(
    after_help = "An attachment that is larger than eml.max_attachment is named in its mail with its SHA-256 and kept in \
                        the encrypted original of its export or archive. Any other is found as well, as long as its original \
                        is kept."
)]
pub(super) struct Arguments {
    /// The SHA-256 of its bytes, as the mail has it
    #[arg(value_name = "SHA256", value_parser = digest)]
    sha256: Sha256,

    /// Write to this file, which must not exist yet, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn digest(text: &str) -> Result<Sha256, &'static str> {
    Sha256::from_hex(text).ok_or("no SHA-256; that has 64 hexadecimal digits")
}

pub(super) fn attachment(config: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let to_terminal = arguments.output.is_none() && io::stdout().is_terminal();
    if to_terminal {
        let line = "an attachment may hold anything, and is not written to a terminal; give --output FILE or a pipe";
        return Err(Failure::new(ExitCode::Usage, line));
    }
    let config = Config::load(config)?;
    let keys = Openers::read(&config)?.archive_keys;
    let ledger = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger,
        None => Ledger::none()?,
    };
    if let Some(path) = &arguments.output {
        to_file(&ledger, &keys, arguments.sha256, path)?;
    } else {
        let mut out = io::stdout().lock();
        ingest::extract(&ledger, &keys, arguments.sha256, &mut out)?;
        out.flush()?;
    }
    Ok(ExitCode::Complete)
}

/// For nobody else to read; gone again if it could not be written whole.
fn to_file(ledger: &Ledger, keys: &SecretKeys, sha256: Sha256, path: &Path) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    let written = ingest::extract(ledger, keys, sha256, &mut file).map_err(Failure::from);
    let written = written.and_then(|()| Ok(file.sync_all().at(path)?));
    if written.is_err() {
        // The error that matters is the first.
        let _ = std::fs::remove_file(path);
    }
    written
}
