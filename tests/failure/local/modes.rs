//! Everything that the program makes has the mode that the manual says, whatever the umask of the shell that started it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{all, bring, say, under};
use crate::support;
use crate::support::firm::Firm;

/// None takes away, all but everything is taken away, and nothing is left.
const UMASKS: [&str; 3] = ["000", "077", "777"];

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// Files of the state folder are the program's alone.
fn assert_state(state: &Path, when: &str) {
    let found = all(state);
    assert!(found.len() > 6, "{found:?}");
    for path in found {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(format!("{:o}", mode(&path)), format!("{wanted:o}"), "{} {when}", path.display());
    }
}

/// Of staging the importer's group reads what is its.
fn assert_staging(staging: &Path, when: &str) {
    let found = all(staging);
    assert!(found.iter().any(|path| path.extension().is_some_and(|suffix| suffix == "eml")), "{found:?}");
    for path in found {
        let wanted = match path.extension().and_then(|suffix| suffix.to_str()) {
            _ if path.ends_with(".incoming") => 0o700,
            _ if path.is_dir() => 0o750,
            Some("eml") => 0o440,
            _ => 0o640,
        };
        assert_eq!(format!("{:o}", mode(&path)), format!("{wanted:o}"), "{} {when}", path.display());
    }
}

#[test]
fn of_state_and_staging_whatever_the_umask() {
    support::in_memory();
    let firm = Firm::new();
    for (number, umask) in UMASKS.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let export = bring(&firm, number);
        let run = |arguments: &[&str]| say(&mut under(umask, &firm.command(arguments)));
        run(&["ingest", export.to_str().unwrap()]).expect(3);
        firm.map("new.csv", &format!("ImId,Mailbox\nnils9,dora{number}@contoso.com\n"));
        run(&["replay"]).expect(0);
        run(&["restage", "--mailbox", "amy@contoso.com", "--reason", "a disk died"]).expect(0);
        // A reader leaves SQLite's log and its index behind.
        run(&["status"]).expect(0);
        assert!(firm.path("state/ledger.db-shm").exists());
        assert_state(&firm.path("state"), umask);
        assert_staging(&firm.path("staging"), umask);
        fs::remove_dir_all(firm.path("state")).unwrap();
        fs::remove_dir_all(firm.path("staging")).unwrap();
        fs::remove_file(firm.path("mapping/new.csv")).unwrap();
    }
}

/// Working tables and downloads lie there only while a run works, and hold what a run knows.
#[test]
fn of_what_lies_in_the_spool_while_a_run_works() {
    let settings = support::firm::Settings { site: "settle = \"60s\"\n".to_owned(), ..Default::default() };
    let firm = Firm::with(&settings);
    firm.deliver_export("day.pgp", &super::day(1));
    let mut command = under("000", &firm.command(&["ingest"]));
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&firm.path("state/in-flight.json"));
    assert!(firm.path("state/spool/scratch.db").exists());
    assert_state(&firm.path("state"), "while a run works");
    run.kill().unwrap();
    run.wait().unwrap();
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{} never came", path.display());
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn of_keys_and_hand_outs_whatever_the_umask() {
    let firm = Firm::new();
    for umask in UMASKS {
        let folder = firm.path(umask);
        fs::create_dir(&folder).unwrap();
        fs::copy(firm.path("config.toml"), folder.join("config.toml")).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
            command.arg("--config").arg(folder.join("config.toml")).args(arguments);
            say(&mut under(umask, &command)).expect(0)
        };
        run(&["keys", "init"]);
        run(&["keys", "init", "--entra"]);
        run(&["keys", "export", folder.join("handouts").to_str().unwrap()]);
        for path in all(&folder).into_iter().skip(1).filter(|path| !path.ends_with("config.toml")) {
            let wanted = match path.parent().unwrap().ends_with("handouts") {
                true => 0o644,
                false if path.is_dir() => 0o755,
                false => 0o600,
            };
            assert_eq!(format!("{:o}", mode(&path)), format!("{wanted:o}"), "{} {umask}", path.display());
        }
    }
}

#[test]
fn of_the_demo_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    for umask in ["000", "777"] {
        let folder = dir.path().join(umask);
        let mut demo = Command::new(env!("CARGO_BIN_EXE_icechatd"));
        demo.args(["demo", "--messages", "3", "--dir"]).arg(&folder);
        say(&mut under(umask, &demo)).expect(0);
        assert_state(&folder.join("state"), umask);
        assert_staging(&folder.join("staging"), umask);
        let secrets: Vec<_> = all(&folder).into_iter().filter(|path| holds_a_secret_key(path)).collect();
        assert!(secrets.len() >= 2, "{secrets:?}");
        for path in secrets {
            assert_eq!(mode(&path), 0o600, "{} {umask}", path.display());
        }
    }
}

fn holds_a_secret_key(path: &Path) -> bool {
    let text = if path.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    String::from_utf8_lossy(&text).contains("PRIVATE KEY")
}

/// The daemon's files, and what it writes beside a mapping that is no good: for colleagues, who have no other access.
#[test]
fn of_the_daemon_whatever_the_umask() {
    let firm = Firm::new();
    firm.map("bad.csv", "ImId,Mailbox\nnils9,no address\n");
    let mut command = under("777", &firm.command(&["run"]));
    let mut daemon = command.stderr(File::create(firm.path("daemon.log")).unwrap()).spawn().unwrap();
    let page = firm.path("mapping/bad.csv.error.txt");
    wait_for(&page);
    for name in ["state/daemon.lock", "state/config-in-force.json"] {
        assert!(firm.path(name).exists(), "{name}");
    }
    assert_state(&firm.path("state"), "while the daemon runs");
    assert_eq!(mode(&page), 0o644);
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o111, 0);
    assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    assert!(daemon.wait().unwrap().success());
}
