//! What a run stands on: room in staging, and folders that are this firm's alone.

use crate::support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;
use support::daemon::{Daemon, around_now};
use support::firm::{Firm, Said, Settings, export, message};

const HUGE: &str = "min_free = \"1EiB\"\n";

fn with_staging(staging: &str) -> Firm {
    Firm::with(&Settings { staging: staging.to_owned(), ..Settings::default() })
}

/// How runs ended, and what their trouble was.
fn runs(firm: &Firm) -> Vec<(String, String)> {
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(20)).unwrap();
    let sql = "SELECT coalesce(outcome, '-'), coalesce(trouble, '-') FROM runs ORDER BY id";
    let mut statement = ledger.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn run(outcome: &str, trouble: &str) -> (String, String) {
    (outcome.to_owned(), trouble.to_owned())
}

/// The text of the only line of `check` with this name.
fn checked(said: &Said, name: &str, level: &str) -> String {
    let json = said.json();
    let of_name: Vec<&Value> = json["checks"].as_array().unwrap().iter().filter(|line| line["name"] == name).collect();
    assert!(of_name.len() == 1 && of_name[0]["level"] == level, "{name} {level}: {json:#}");
    of_name[0]["text"].as_str().unwrap().to_owned()
}

fn check(firm: &Firm, config: &str, code: i32) -> Said {
    at(firm, config, &["check", "--offline", "--json"]).expect(code)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn deliver(firm: &Firm, id: &str) {
    firm.deliver_export(&format!("{id}.xml.pgp"), &export(&message(id, "amy@contoso.com", &[], "hello")));
}

/// The program with another configuration of the firm's folder.
fn at(firm: &Firm, config: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
    let command = command.arg("-c").arg(firm.path(config)).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
    Said::from(&command.output().unwrap())
}

#[test]
fn with_less_room_than_asked_for_no_run_starts_and_nothing_is_downloaded() {
    let firm = with_staging(HUGE);
    deliver(&firm, "room-1");
    for verb in [["ingest"].as_slice(), &["replay"]] {
        let said = firm.run(verb).expect(1);
        for words in ["staging.min_free", "free, and with less than 1.0 EiB", "give it a larger disk"] {
            assert!(said.err.contains(words), "{said:?}");
        }
        assert_eq!(said.err.trim_end().lines().count(), 1, "{said:?}");
    }
    assert_eq!(runs(&firm), [run("failed", "no_room"), run("failed", "no_room")]);
    assert!(!firm.sshd.log().contains("Accepted"), "{}", firm.sshd.log());
    assert!(firm.run(&["report"]).expect(0).out.contains("staging.min_free"));
    let text = checked(&check(&firm, "config.toml", 1), "staging space", "failure");
    assert!(text.contains("staging.min_free"), "{text}");
    let said = firm.run(&["ingest", "--dry-run"]).expect(0);
    assert!(said.err.contains("a run would not start") && said.out.contains("room-1.xml.pgp"), "{said:?}");

    firm.configure(&Settings::default());
    firm.run(&["ingest"]).expect(0);
    assert_eq!(runs(&firm)[2], run("complete", "-"));
    check(&firm, "config.toml", 0);
}

/// A file system of a few MiB, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(said) if said.status.success() => Some(Self(at)),
            said => {
                eprintln!("SKIPPED: no small file system can be mounted here: {said:?}");
                None
            }
        }
    }

    fn resize(&self, options: &str) {
        let how = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &how]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_small_disk_is_asked_for_its_bytes_and_its_files() {
    let firm = Firm::new();
    let Some(disk) = Small::mount(firm.path("staging"), "size=90m,nr_inodes=5000,mode=0750") else { return };
    deliver(&firm, "small-1");
    let said = firm.run(&["ingest"]).expect(1);
    assert!(
        said.err.contains("has 90.0 MiB and ") && said.err.contains("less than 100.0 MiB and 1000 files"),
        "{said:?}"
    );
    disk.resize("size=120m,nr_inodes=900");
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("has 120.0 MiB and 8"), "{said:?}");
    checked(&check(&firm, "config.toml", 1), "staging space", "failure");
    disk.resize("size=120m,nr_inodes=5000");
    firm.run(&["ingest"]).expect(0);
    // A file system without a number of files is not asked for one.
    disk.resize("nr_inodes=0");
    edit(
        &firm.path("config.toml"),
        "local = \"staging\"\n",
        "local = \"staging\"\nmin_free = { inodes = 100000000 }\n",
    );
    let text = checked(&check(&firm, "config.toml", 0), "staging space", "ok");
    assert!(!text.split(';').next().unwrap().contains("files"), "{text}");
    firm.run(&["ingest"]).expect(0);
    let ended = ["failed", "failed", "complete", "complete"];
    assert_eq!(runs(&firm).iter().map(|(outcome, _)| outcome.as_str()).collect::<Vec<_>>(), ended);
}

#[test]
fn a_full_staging_folder_is_told_and_its_end_too() {
    let (schedule, day) = around_now();
    let settings =
        |staging: &str| Settings { staging: staging.to_owned(), more: schedule.clone(), ..Settings::default() };
    let firm = Firm::with(&settings(HUGE));
    let of_today = export(&message("full-1", "amy@contoso.com", &[], "hello"))
        .replace("2026-11-19\"", &format!("{day}\""))
        .replace("ACME", firm.sshd.user());
    firm.deliver_export("full-1.xml.pgp", &of_today);
    let mut daemon = Daemon::start(&firm);
    let open = || {
        let alerts = firm.run(&["alert", "list", "--json"]).json();
        let alerts = alerts.as_array().or(alerts["alerts"].as_array()).unwrap_or_else(|| panic!("{alerts:#}")).clone();
        alerts.iter().map(|alert| alert["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    daemon.wait_until("staging_full", || firm.path("state/ledger.db").exists() && open() == ["staging_full"]);
    assert!(!runs(&firm).is_empty() && runs(&firm).iter().all(|ended| *ended == run("failed", "no_room")));
    assert!(daemon.log().contains("staging.min_free"), "{}", daemon.log());
    // The ledger knows whole seconds: what is new since the failure is tried at once.
    sleep(Duration::from_millis(1200));
    firm.configure(&settings(""));
    daemon.signal("HUP");
    daemon.wait_until("its end", || open().is_empty());
    assert_eq!(runs(&firm).last(), Some(&run("complete", "-")));
    assert_eq!(daemon.stop().0, 0);
}

/// The configuration of a second firm in the first one's folder: its own code, and folders that differ as told.
fn second(firm: &Firm, state: &str, staging: &str) {
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    let code = format!("firm_code = \"{}\"", firm.sshd.user());
    let text = text
        .replace(&code, "firm_code = \"NORTH\"")
        .replace("\"area/staging\"", "\"staging\"")
        .replace("local = \"staging\"", &format!("local = \"{staging}\""))
        .replace("directory = \"state\"", &format!("directory = \"{state}\""));
    assert!(text.contains("NORTH"), "{text}");
    fs::write(firm.path("north.toml"), text).unwrap();
}

/// Whoever works first has the folder; the other is refused by every verb that works, told why, and leaves no trace.
fn refused(firm: &Firm, config: &str, words: &[&str]) {
    let state = fs::read(firm.path("state/firm")).unwrap();
    let said: Vec<Said> = [["ingest"].as_slice(), &["replay"], &["ingest", "--dry-run"], &["ingest", "--in-force"]]
        .iter()
        .map(|verb| at(firm, config, verb).expect(1))
        .collect();
    for said in &said {
        let line = said.err.trim_end();
        assert!(line.lines().count() == 1 && words.iter().all(|words| line.contains(words)), "{line}");
    }
    assert!(words.iter().all(|words| check(firm, config, 1).out.contains(words)));
    assert_eq!(fs::read(firm.path("state/firm")).unwrap(), state);
}

#[test]
fn one_state_folder_is_one_firms() {
    let firm = Firm::new();
    let ours = firm.sshd.user().to_owned();
    second(&firm, "state", "staging-north");
    for (first, other, of) in [("config.toml", "north.toml", ours.as_str()), ("north.toml", "config.toml", "NORTH")] {
        for folder in ["state", "staging", "staging-north"] {
            let _ = fs::remove_dir_all(firm.path(folder));
        }
        // A check does not take the folder for its firm.
        check(&firm, other, 0);
        assert!(
            !firm.path("state/firm").exists() && fs::read_dir(firm.path("staging")).into_iter().flatten().count() == 0
        );
        at(&firm, first, &["replay"]).expect(0);
        let words = [format!("that of firm {of},"), "state.directory".to_owned(), "renamed".to_owned()];
        let words = words.each_ref().map(String::as_str);
        refused(&firm, other, &words);
        assert_eq!(runs(&firm), [run("complete", "-")], "the other firm's runs must not stand there");
        let said = at(&firm, other, &["run"]).expect(1);
        assert!(said.err.contains(words[0]), "{said:?}");
        assert!(!firm.path("state/config-in-force.json").exists());

        // As an update finds it: the ledger alone tells.
        fs::remove_file(firm.path("state/firm")).unwrap();
        assert!(at(&firm, other, &["replay"]).expect(1).err.contains(words[0]));
        at(&firm, first, &["replay"]).expect(0);
        assert_eq!(fs::read_to_string(firm.path("state/firm")).unwrap(), format!("{of}\n"));
        assert_eq!(firm.path("state/firm").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // Verbs that only read do not ask.
        for verb in ["verify", "report", "status"] {
            assert_ne!(at(&firm, other, &[verb]).code, 78);
            assert!(!at(&firm, other, &[verb]).err.contains("state.directory"), "{verb}");
        }
    }
    // ICE renamed the firm.
    fs::write(firm.path("state/firm"), format!("{ours}\n")).unwrap();
    at(&firm, "config.toml", &["replay"]).expect(0);
    at(&firm, "north.toml", &["replay"]).expect(1);
}

#[test]
fn a_running_daemon_does_not_go_over_to_another_firm() {
    let firm = Firm::new();
    firm.run(&["replay"]).expect(0);
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    second(&firm, "state", "staging");
    fs::copy(firm.path("north.toml"), firm.path("config.toml")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration is rejected", 1);
    assert!(daemon.log().contains("write NORTH into"), "{}", daemon.log());
    assert_eq!(daemon.stop().0, 0);
}

const ASK: [&str; 3] = ["staging.local", "give each firm a staging folder of its own", "remove the file"];

#[test]
fn one_staging_folder_is_one_ledgers_and_none_is_within_anothers() {
    let firm = Firm::new();
    let ours = firm.sshd.user().to_owned();
    edit(&firm.path("config.toml"), "\"staging\"", "\"area/staging\"");
    for staging in ["area/staging", "area/staging/inner", "area"] {
        for first in ["config.toml", "north.toml"] {
            for folder in ["state", "state-north", "area"] {
                let _ = fs::remove_dir_all(firm.path(folder));
            }
            fs::create_dir_all(firm.path("area/staging")).unwrap();
            second(&firm, "state-north", staging);
            let (other, of, file) = match first {
                "config.toml" => ("north.toml", ours.as_str(), "/area/staging/.owner".to_owned()),
                _ => ("config.toml", "NORTH", format!("/{staging}/.owner")),
            };
            let refused = |said: Said| {
                let line = said.expect(1).err;
                assert!(ASK.iter().all(|words| line.contains(words)), "{line}");
                assert!(line.contains(&format!("firm {of} in ")) && line.contains(&file), "{file}: {line}");
            };
            at(&firm, first, &["replay"]).expect(0);
            refused(at(&firm, other, &["ingest", "--dry-run"]));
            refused(at(&firm, other, &["replay"]));
            let text = checked(&check(&firm, other, 1), "staging", "failure");
            assert!(text.contains(&file), "{text}");
            let state = if other == "config.toml" { "state" } else { "state-north" };
            let ledger = Connection::open(firm.path(state).join("ledger.db")).unwrap();
            let said: String = ledger.query_row("SELECT error FROM runs", [], |row| row.get(0)).unwrap();
            assert!(said.contains(&file), "its own ledger tells: {said}");
            at(&firm, first, &["replay"]).expect(0);
            check(&firm, first, 0);
        }
    }
}

#[test]
fn a_refused_run_of_the_daemons_is_an_alert() {
    let (schedule, _) = around_now();
    let firm = Firm::with(&Settings { more: schedule, ..Settings::default() });
    fs::create_dir(firm.path("staging")).unwrap();
    fs::write(firm.path("staging/.owner"), "ledger: 00\nfirm: NORTH\nstate: /srv/north\n").unwrap();
    let mut daemon = Daemon::start(&firm);
    let listed = || firm.run(&["alert", "list"]).out;
    daemon.wait_until("run_failed", || firm.path("state/ledger.db").exists() && listed().contains("run_failed"));
    assert!(listed().contains("firm NORTH in /srv/north"), "{}", listed());
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn folders_may_move_and_come_back_from_a_backup_but_not_be_begun_anew() {
    let firm = Firm::new();
    deliver(&firm, "move-1");
    firm.run(&["ingest"]).expect(0);
    let owner = firm.path("staging/.owner");
    let text = fs::read_to_string(&owner).unwrap();
    let keys: Vec<&str> = text.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(keys, ["ledger", "firm", "state"], "{text}");
    assert!(text.contains(&format!("firm: {}\n", firm.sshd.user())) && text.ends_with("/state\n"), "{text}");
    assert_eq!(owner.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(
        !fs::read_dir(firm.path("staging"))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_str().unwrap().contains("tmp") })
    );

    let config = firm.path("config.toml");
    fs::create_dir(firm.path("moved")).unwrap();
    for folder in ["state", "staging"] {
        fs::rename(firm.path(folder), firm.path("moved").join(folder)).unwrap();
        edit(&config, &format!("= \"{folder}\""), &format!("= \"moved/{folder}\""));
    }
    deliver(&firm, "move-2");
    firm.run(&["ingest"]).expect(0);
    check(&firm, "config.toml", 0);
    firm.run(&["verify"]).expect(0);
    assert_eq!(fs::read_to_string(firm.path("moved/staging/.owner")).unwrap(), text, "it is never rewritten");

    let copied = Command::new("cp").arg("-a").arg(firm.path("moved/state")).arg(firm.path("backup")).status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(firm.path("moved/state")).unwrap();
    // A new state beside the old staging.
    let line = firm.run(&["ingest"]).expect(1).err;
    assert!(ASK.iter().all(|words| line.contains(words)), "{line}");
    assert!(firm.run(&["ingest", "--dry-run"]).expect(1).err.contains("remove the file"));
    checked(&check(&firm, "config.toml", 1), "staging", "failure");
    fs::remove_dir_all(firm.path("moved/state")).unwrap();
    fs::rename(firm.path("backup"), firm.path("moved/state")).unwrap();
    firm.run(&["ingest"]).expect(0);
    // Staging begun anew is this ledger's again.
    fs::remove_dir_all(firm.path("moved/staging")).unwrap();
    firm.run(&["ingest"]).expect(0);
    assert_eq!(fs::read_to_string(firm.path("moved/staging/.owner")).unwrap().lines().next(), text.lines().next());
    // The state was lost for good, and a person says so.
    fs::remove_dir_all(firm.path("moved/state")).unwrap();
    fs::remove_file(firm.path("moved/staging/.owner")).unwrap();
    firm.run(&["ingest"]).expect(0);
    assert_ne!(fs::read_to_string(firm.path("moved/staging/.owner")).unwrap().lines().next(), text.lines().next());
}

#[test]
fn a_mark_that_says_nothing_is_not_trusted_and_nobody_elses_file_is_one() {
    let firm = Firm::new();
    firm.run(&["replay"]).expect(0);
    let owner = firm.path("staging/.owner");
    let good = fs::read_to_string(&owner).unwrap();
    for text in ["", "firm: ACME\n", "ledger:\n"] {
        fs::write(&owner, text).unwrap();
        let line = firm.run(&["replay"]).expect(1).err;
        assert!(line.contains("does not say whose the folder is") && line.contains(".owner"), "{line}");
        checked(&check(&firm, "config.toml", 1), "staging", "failure");
    }
    fs::write(&owner, "ledger: \u{1b}[31m\nfirm: evil\u{7}\u{1b}[2J\n").unwrap();
    let line = firm.run(&["replay"]).expect(1).err;
    assert!(line.contains("firm evil") && !line.contains('\u{1b}') && !line.contains('\u{7}'), "{line:?}");
    // A link leads nowhere.
    fs::write(firm.path("elsewhere"), &good).unwrap();
    fs::remove_file(&owner).unwrap();
    symlink(firm.path("elsewhere"), &owner).unwrap();
    firm.run(&["replay"]).expect(1);
    fs::remove_file(&owner).unwrap();
    // The name is anybody's in a folder above.
    fs::write(firm.path(".owner"), "whoever\n").unwrap();
    firm.run(&["replay"]).expect(0);
    fs::remove_file(firm.path(".owner")).unwrap();
    fs::create_dir(firm.path(".owner")).unwrap();
    firm.run(&["replay"]).expect(0);
    assert_eq!(fs::read_to_string(&owner).unwrap(), good);
}

#[test]
fn check_says_who_imports_and_a_run_without_the_group_is_recorded() {
    let firm = with_staging("group = \"no-such-group-here\"\n");
    let text = checked(&check(&firm, "config.toml", 1), "staging group", "failure");
    assert!(text.contains("groupadd --system no-such-group-here"), "{text}");
    assert!(firm.run(&["ingest"]).expect(1).err.contains("groupadd"));
    assert_eq!(runs(&firm), [run("failed", "-")]);
    firm.configure(&Settings::default());
    let text = checked(&check(&firm, "config.toml", 0), "staging group", "ok");
    assert!(text.contains("staging.group is not set") && text.contains("may read"), "{text}");
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can hand a folder to any group");
        return;
    }
    firm.configure(&Settings {
        staging: "group = \"daemon\"\nimporter_may_delete = true\n".to_owned(),
        ..Settings::default()
    });
    let text = checked(&check(&firm, "config.toml", 0), "staging group", "ok");
    assert_eq!(text, "members of daemon may take and remove what is staged");
    assert_eq!(firm.path("staging").metadata().unwrap().permissions().mode() & 0o7777, 0o2750);
    firm.run(&["replay"]).expect(0);
    // What the importer is told of the owner, it may read.
    let gid = |name: &str| std::os::unix::fs::MetadataExt::gid(&firm.path(name).metadata().unwrap());
    assert_eq!(gid("staging/.owner"), gid("staging"));
}

/// Two runs of two firms at the same moment: at most one has the folder, and it stays so.
#[test]
fn of_two_that_come_at_once_one_has_the_folder() {
    let firm = Firm::new();
    second(&firm, "state-north", "staging");
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        for folder in ["state", "state-north", "staging"] {
            let _ = fs::remove_dir_all(firm.path(folder));
        }
        let codes = std::thread::scope(|scope| {
            let firm = &firm;
            let both =
                ["config.toml", "north.toml"].map(|config| scope.spawn(move || at(firm, config, &["replay"]).code));
            both.map(|code| code.join().unwrap())
        });
        assert!(codes.contains(&0) && codes.contains(&1), "{codes:?}");
        sleep(Duration::from_millis(20));
    }
}

/// A mount point without its disk is an empty folder; what is placed there is hidden as soon as the disk is back.
#[test]
fn a_staging_folder_whose_disk_is_not_mounted_is_refused() {
    let firm = with_staging("");
    deliver(&firm, "first");
    firm.ingest(0);
    let mark = firm.path("staging/.owner");
    let own = fs::read_to_string(&mark).unwrap();
    // Emptied on its own disk: told, and marked anew.
    fs::remove_dir_all(firm.path("staging")).unwrap();
    deliver(&firm, "second");
    let said = firm.run(&["ingest"]).expect(0);
    assert!(said.err.contains("did not say any more that it is this firm's"), "{}", said.err);
    assert_eq!(fs::read_to_string(&mark).unwrap(), own);

    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    let other_disk = || ledger.execute("UPDATE identity SET device = device + 1", []).unwrap();
    other_disk();
    deliver(&firm, "third");
    firm.ingest(0);
    other_disk();
    fs::remove_file(&mark).unwrap();
    deliver(&firm, "fourth");
    let said = firm.run(&["ingest"]).expect(1);
    let (_, line) = said.err.split_once("/.owner: ").unwrap_or_else(|| panic!("{}", said.err));
    assert!(
        checked(&check(&firm, "config.toml", 1), "staging", "failure").contains("if its disk is not mounted, mount it")
    );
    assert!(!mark.exists());
    fs::write(&mark, line).unwrap();
    firm.ingest(0);
}
