//! `verify`: the proof that ledger, chain, manifests and originals agree.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::progress::Bars;
use super::{Failure, output, stop};
use crate::cause::chain;
use crate::config::Config;
use crate::digest::Sha256;
use crate::exit_code::ExitCode;
use crate::ingest::{self, IngestError, Job, Options, Proven, Watch};
use crate::inputs::Inputs;
use crate::ledger::Ledger;
use crate::verify::{Verified, verify as verified};

#[derive(Debug, Args)]
#[command(
    after_help = "Whoever may write to the state folder can alter it and the chain together. So note the hash of the newest \
                  link somewhere else now and then, or have the reconciliation mailed, which has it; --head asks later whether \
                  all up to it is still there."
)]
pub(super) struct Arguments {
    /// Decrypt every kept original and render every mail again, and compare; needs the PGP keys, and takes as long as
    /// staging them all
    #[arg(long)]
    deep: bool,

    /// A hash of the chain that was noted before: it must still be there
    #[arg(long, value_name = "HASH", value_parser = digest)]
    head: Option<Sha256>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn digest(text: &str) -> Result<Sha256, &'static str> {
    Sha256::from_hex(text).ok_or("no hash of the chain; that has 64 hexadecimal digits")
}

pub(super) fn verify(config: &Path, arguments: &Arguments, bars: &Bars) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    // What a deep proof needs is asked for before anything takes its time.
    let inputs = arguments.deep.then(|| Inputs::read(&config)).transpose()?;
    let mut found = match Ledger::read_as_it_is(&config.state.directory)? {
        Some(ledger) => verified(&ledger, &config, arguments.head)?,
        None => Verified::default(),
    };
    let proven = inputs.map(|inputs| prove(&config, &inputs, bars));
    let (mut proven, failed) = match proven {
        Some(Err(error)) => (None, Some(error)),
        Some(Ok(proven)) => (Some(proven), None),
        None => (None, None),
    };
    if let Some(proven) = &mut proven {
        found.faults.append(&mut proven.faults);
    }
    if arguments.json {
        let mut facts = serde_json::to_value(&found).unwrap_or_default();
        facts["deep"] = proven.map_or(Value::Null, |proven| serde_json::to_value(proven).unwrap_or_default());
        output::print_json(&facts)?;
    } else {
        output::print(&text(&found, proven.as_ref()))?;
    }
    if let Some(error) = failed {
        let line = format!("the deep proof did not come to its end: {}; what stands above is the rest", chain(&error));
        return Err(Failure::new(ExitCode::Failed, line));
    }
    Ok(if found.faults.is_empty() { ExitCode::Complete } else { ExitCode::Failed })
}

fn prove(config: &Config, inputs: &Inputs, bars: &Bars) -> Result<Proven, IngestError> {
    let staging = bars.staging();
    let watch = Watch { settle: &(), download: &(), survey: &(), staging: &staging };
    let (options, stop) = (Options::default(), stop::on_signal());
    let job = Job { config, inputs, options: &options, watch, stop: &stop, clock: Timestamp::now };
    ingest::prove(&job)
}

fn text(found: &Verified, proven: Option<&Proven>) -> String {
    let mut lines = vec![
        format!("exports    {} committed, {} manifests as committed", found.files, found.manifests),
        format!("originals  {} as they came, {} removed by retention", found.originals, found.removed),
        format!("items      {} placed, with {} placements", found.items, found.placements),
        format!("staging    {} still stand as placed, {} were taken by the importer", found.standing, found.taken),
    ];
    if let Some(head) = &found.chain.head {
        let began = found.chain.founded.as_deref().unwrap_or("nobody knows when");
        lines.push(format!("chain      {} links since {began}, the newest {head}", found.chain.links));
        if found.chain.from_before > 0 {
            let before = found.chain.from_before;
            lines.push(format!(
                "           the first {before} of them tell of what the ledger knew of before the chain began"
            ));
        }
    }
    if let Some(proven) = proven {
        let Proven { exports, records, emls, without_original, .. } = proven;
        lines.push(format!(
            "deep       {exports} exports worked out again: {records} records, {emls} mails; {without_original} without original"
        ));
        lines.extend(
            proven.not_comparable.iter().map(|name| format!("  not comparable, of another EML format: {name}")),
        );
    }
    if found.faults.is_empty() {
        lines.push("all agree".to_owned());
    } else {
        lines.push(format!("faults ({}):", found.faults.len()));
        lines.extend(found.faults.iter().map(|fault| format!("  {fault}")));
    }
    lines.join("\n")
}
