//! `demo`: the whole job with nothing set up.

use std::path::PathBuf;

use clap::Args;

use super::progress::Bars;
use super::{Failure, output, stop};
use crate::demo::{Demo, demo as show};
use crate::exit_code::ExitCode;
use crate::ingest::Watch;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to put everything; an earlier demo's folder is made anew, any other folder must be empty or missing
    #[arg(long, value_name = "DIR", default_value = "icechatd-demo")]
    dir: PathBuf,

    /// Messages in the export; one of them is held
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

/// As it was called, so that the commands shown work as they stand.
fn program() -> String {
    let called = std::env::args().next().filter(|called| !called.is_empty() && !called.contains(char::is_whitespace));
    called.unwrap_or_else(|| "icechatd".to_owned())
}

pub(super) fn demo(arguments: &Arguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let (download, staging) = (bars.download(), bars.staging());
    let watch = Watch { settle: &(), download: &download, survey: &(), staging: &staging };
    let stop = stop::on_signal();
    let say = |step: &str| {
        // A closed pipe must not end the work; the last screen says whether anybody listens.
        let _ = output::print(step);
    };
    let program = program();
    let Arguments { dir: folder, messages } = arguments;
    let asked = Demo { folder, messages: *messages, watch, stop: &stop, program: &program, say: &say };
    let last = show(&asked).map_err(|error| Failure::failed(&error))?;
    output::print(&last)?;
    Ok(ExitCode::Complete)
}
