//! What a run of the program takes of memory and time, as the kernel counts it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Memory of its own that a measured program can have, in MiB; it dies where it asks for more.
const BOUND: u32 = 1024;

/// A run that was measured.
#[derive(Debug)]
pub struct Measured {
    /// Its exit code.
    pub code: i32,
    /// Its report.
    pub report: Value,
    /// What it said beside.
    pub err: String,
    /// The most memory that it held, in KiB.
    pub peak: u64,
    /// How long it ran.
    pub milliseconds: u64,
}

/// Runs the program under test, which prints JSON.
pub fn measured(config: &Path, arguments: &[&str]) -> Measured {
    measured_of(Path::new(env!("CARGO_BIN_EXE_icechatd")), config, arguments)
}

/// As [`measured`], of another build of the program.
pub fn measured_of(program: &Path, config: &Path, arguments: &[&str]) -> Measured {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/measure.py");
    let mut command = Command::new("python3");
    command.args([script, &BOUND.to_string()]).arg(program).arg("--config").arg(config);
    let Output { status, stdout, stderr } =
        command.args(arguments).env_remove("CREDENTIALS_DIRECTORY").output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    let figures: Vec<u64> = err.lines().last().unwrap().split(' ').map(|figure| figure.parse().unwrap()).collect();
    let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {status:?} {err}"));
    Measured { code: status.code().unwrap(), report, err, peak: figures[0], milliseconds: figures[1] }
}
