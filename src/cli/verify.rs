//! `verify`: the proof that ledger, chain, manifests and originals agree.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::progress::Bars;
use super::{Failure, output, stop};
use crate::config::Config;
use crate::digest::Sha256;
use crate::exit_code::ExitCode;
use crate::ingest::{self, Job, Options, Proven, Watch};
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
    let mut found = match Ledger::read(&config.state.directory)? {
        Some(ledger) => verified(&ledger, &config, arguments.head)?,
        None => Verified::default(),
    };
    let mut proven = if arguments.deep { Some(prove(&config, bars)?) } else { None };
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
    Ok(if found.faults.is_empty() { ExitCode::Complete } else { ExitCode::Failed })
}

fn prove(config: &Config, bars: &Bars) -> Result<Proven, Failure> {
    let inputs = Inputs::read(config)?;
    let staging = bars.staging();
    let watch = Watch { settle: &(), download: &(), survey: &(), staging: &staging };
    let (options, stop) = (Options::default(), stop::on_signal());
    let job = Job { config, inputs: &inputs, options: &options, watch, stop: &stop, clock: Timestamp::now };
    Ok(ingest::prove(&job)?)
}

fn text(found: &Verified, proven: Option<&Proven>) -> String {
    let mut lines = vec![
        format!("exports    {} committed, {} manifests as committed", found.files, found.manifests),
        format!("originals  {} as they came, {} removed by retention", found.originals, found.removed),
        format!("items      {} placed, with {} placements", found.items, found.placements),
        format!("staging    {} still stand as placed, {} were taken by the importer", found.standing, found.taken),
    ];
    if let Some(head) = &found.chain.head {
        lines.push(format!("chain      {} links, the newest {head}", found.chain.links));
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
