//! The daemon at rest, and what people wait for at a prompt.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::desk::Desk;
use crate::ground::Kind;
use crate::table::{Table, mebibytes};
use crate::{Arguments, median};

/// How long the daemon is watched, once it has come to rest.
const WATCHED: Duration = Duration::from_secs(30);
/// How long it has for that.
const SETTLES: Duration = Duration::from_secs(5);
/// How often a verb is asked.
const TIMES: usize = 20;

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let desk = Desk::new(arguments);
    desk.deliver(0..arguments.messages, 0);
    let ground = Kind::Memory.lay();
    let config = desk.configure(&ground.path());
    desk.run(&config, &["ingest", "--json"]);
    let mut table = Table::new("At rest and at the prompt", &["what", "figure"]);
    for verb in [&["--version"][..], &["status"], &["status", "--json"]] {
        table.row(&[&format!("`{}`", verb.join(" ")), &format!("{:.1} ms", verb_milliseconds(&desk, &config, verb))]);
    }
    let (memory, share) = at_rest(&desk, &config);
    table.row(&["the daemon's memory", &mebibytes(memory)]);
    table.row(&["the daemon's share of a core", &format!("{:.2} %", share * 100.0)]);
    table
}

fn verb_milliseconds(desk: &Desk, config: &Path, verb: &[&str]) -> f64 {
    let once = |_| {
        let begun = Instant::now();
        // What status says of the schedule is its exit code; here only its time matters.
        desk.command(config, verb).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        begun.elapsed().as_secs_f64() * 1000.0
    };
    median((0..TIMES).map(once).collect())
}

/// KiB that the daemon holds, and its share of a core.
fn at_rest(desk: &Desk, config: &Path) -> (u64, f64) {
    let mut child = desk.command(config, &["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(SETTLES);
    let before = cpu_seconds(child.id());
    sleep(WATCHED);
    let share = (cpu_seconds(child.id()) - before) / WATCHED.as_secs_f64();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
    let memory = line.trim_end_matches("kB").trim().parse().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    (memory, share)
}

/// User and system time of a process and of the children it has waited for, from `/proc/PID/stat` (proc(5)), whose ticks
/// are hundredths of a second.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(4).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
