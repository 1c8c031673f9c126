//! What the program costs beside what nobody can save: one bench that makes its input, starts a real `sshd`, and measures
//! the bare file system, the pipeline that a firm would script, and `icechatd`, side by side in one run.
//!
//! `cargo bench --bench end_to_end -- 100000` runs all of it at that size; `--only` chooses, `--help` says the rest. What
//! the figures mean, and those of one machine, are in docs/performance.md.
#![cfg(test)]

mod desk;
mod download;
mod floor;
mod ground;
mod growth;
mod input;
mod memory;
mod overlap;
mod pipeline;
mod rest;
pub mod support;
mod table;

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use self::table::Table;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the site to the committed ledger, beside the bare file system and the scripted pipeline.
    Pipeline,
    /// Download beside OpenSSH's `sftp`, at hand and far away.
    Download,
    /// Decrypting and parsing, each alone and together.
    Overlap,
    /// Peak memory of a dry run, as exports grow.
    Memory,
    /// Time for an item and bytes of ledger for an item, as the ledger grows.
    Growth,
    /// The daemon at rest; the verbs that people wait for.
    Rest,
}

#[derive(Debug, Parser)]
#[command(about = "Measures icechatd beside the bare file system and a scripted pipeline")]
struct Arguments {
    /// Messages of the export, each with four placements; the other sizes follow from it.
    #[arg(default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..))]
    messages: u64,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Part::Pipeline, Part::Download, Part::Overlap, Part::Memory, Part::Growth, Part::Rest,
    ])]
    only: Vec<Part>,
    /// How often each thing is measured, in turn with what it is compared to; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// A folder on a disk. A fresh ext4 is made in a file there for each figure, if this may be done (as root).
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    disk: PathBuf,
    /// Leaves the scripted pipeline out, which takes the longest.
    #[arg(long)]
    no_script: bool,
    /// Another program than the one that was built, to compare with; a path.
    #[arg(long)]
    program: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    // Where the site and the keys lie should cost nothing.
    if Path::new("/dev/shm").is_dir() {
        tempfile::env::override_temp_dir(Path::new("/dev/shm")).unwrap();
    }
    for part in &arguments.only {
        let table = match part {
            Part::Pipeline => pipeline::measure(&arguments),
            Part::Download => download::measure(&arguments),
            Part::Overlap => overlap::measure(&arguments),
            Part::Memory => memory::measure(&arguments),
            Part::Growth => growth::measure(&arguments),
            Part::Rest => rest::measure(&arguments),
        };
        println!("{}", Table::markdown(&table));
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
