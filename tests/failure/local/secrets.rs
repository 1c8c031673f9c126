//! Secrets are read by who needs them, for as long as it works: they stand in no argument and no environment, the daemon
//! holds none, and no dump of a program's memory is written where it may be found.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{day, is_root};
use crate::support::daemon::{Daemon, around_now};
use crate::support::firm::{Firm, Settings};

const PASSWORD: &str = "canary-password-5502";
const PASSPHRASE: &str = "canary-passphrase-7731";

/// A firm whose runs read a password, a passphrase and two keys, and then wait for the site long enough to be looked at.
fn firm() -> Firm {
    let (more, _) = around_now();
    let firm = Firm::new();
    firm.configure(&Settings {
        site: "settle = \"60s\"\npassword = \"sftp-password\"\n".to_owned(),
        keys: "passphrases = \"words\"\n".to_owned(),
        more,
        ..Settings::default()
    });
    for (name, secret) in [("sftp-password", PASSWORD), ("words", PASSPHRASE)] {
        fs::write(firm.path(name), format!("{secret}\n")).unwrap();
        fs::set_permissions(firm.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    firm.deliver_export("day.pgp", &day(1));
    firm
}

/// What must not be found: both words, and every whole line of the secret keys' files.
fn canaries(firm: &Firm) -> BTreeSet<String> {
    let keys = ["ssh-key", "pgp-key"].map(|name| fs::read_to_string(firm.path(name)).unwrap());
    let lines = keys.iter().flat_map(|key| key.lines().skip(key.lines().count() / 2));
    let secret = lines.filter(|line| line.len() > 40).map(str::to_owned);
    let canaries: BTreeSet<String> = secret.chain([PASSWORD, PASSPHRASE].map(str::to_owned)).collect();
    assert!(canaries.len() > 5, "{canaries:?}");
    canaries
}

fn assert_none(what: &str, text: &str, canaries: &BTreeSet<String>) {
    let found: Vec<&String> = canaries.iter().filter(|canary| text.contains(*canary)).collect();
    assert!(found.is_empty(), "{what} holds {found:#?}");
}

/// Everything that a process could write to: its heap, stacks and data. None where this user may not look.
fn memory(process: &str) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let mut all = Vec::new();
    for map in maps.lines().filter(|map| map.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut piece = vec![0; usize::try_from(to - from).unwrap()];
        // What was unmapped meanwhile, or is the kernel's.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            all.extend(piece);
        }
    }
    // A secret is of letters and digits, which stay as they are.
    (!all.is_empty()).then(|| String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn the_daemon_holds_no_secret_and_passes_none_on() {
    let firm = firm();
    let canaries = canaries(&firm);
    let daemon = Daemon::start(&firm);
    daemon.wait_until("a run waits at the site", || firm.path("state/in-flight.json").exists());
    let children = daemon.children();
    assert_eq!(children.len(), 1, "{children:?}");
    for process in children.iter().chain([&daemon.id().to_string()]) {
        for part in ["cmdline", "environ"] {
            // Of a process that shows itself to nobody, only root sees the environment.
            let Ok(text) = fs::read(format!("/proc/{process}/{part}")) else { continue };
            assert_none(part, &String::from_utf8_lossy(&text), &canaries);
        }
    }
    if is_root() {
        let daemons = memory(&daemon.id().to_string()).unwrap();
        assert!(daemons.contains("pgp-key"), "what it knows by name is found");
        assert_none("the daemon's memory", &daemons, &canaries);
        // Of a run that has its keys, nothing of the files that they stood in is left.
        let runs = memory(&children[0]).unwrap();
        assert!(runs.contains("pgp-key"));
        let files: BTreeSet<String> = canaries.into_iter().filter(|canary| canary.len() > 40).collect();
        assert_none("the memory of a run", &runs, &files);
    }
}

/// As it would be dumped: into the folder that it runs in, however large.
fn dumps(command: &Command, folder: &Path, until: impl Fn(&Child) -> bool) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    let mut child = shell.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !until(&child) {
        assert!(begun.elapsed() < Duration::from_mins(1) && child.try_wait().unwrap().is_none(), "it does not work");
        sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(6));
    ended.core_dumped() || fs::read_dir(folder).unwrap().count() > 0
}

#[test]
fn who_holds_keys_leaves_no_dump_of_its_memory() {
    let firm = firm();
    let (control, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sleeper = Command::new("sleep");
    sleeper.arg("60");
    let is_asleep =
        |child: &Child| fs::read(format!("/proc/{}/cmdline", child.id())).is_ok_and(|line| line.starts_with(b"sleep"));
    if !dumps(&sleeper, control.path(), is_asleep) {
        return eprintln!("nothing leaves a dump here: not tried");
    }
    let works = |_: &Child| firm.path("state/in-flight.json").exists();
    assert!(!dumps(&firm.command(&["ingest"]), folder.path(), works), "its memory was dumped");
}
