//! The supervisor in trouble: faulty configurations, refused logins, exports that are late, runs that hang, a site that is
//! slow while the machine goes down, a service manager that does not listen.

use crate::support;

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::Connection;
use support::daemon::{Daemon, around_now, has_begun_staging};
use support::firm::{Firm, Settings, export, message};
use support::proxy::{Line, Proxy};
use support::sshd::keygen;

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

/// As long as the daemon takes to look twice.
const TWO_LOOKS: Duration = Duration::from_secs(7);

fn ledger(firm: &Firm) -> Connection {
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(20)).unwrap();
    ledger
}

/// The clock of these tests: all runs that there were lie so much further back.
fn let_time_pass(firm: &Firm, seconds: i64) {
    let sql = "UPDATE runs SET started = started - ?1, finished = finished - ?1";
    assert!(ledger(firm).execute(sql, [seconds]).unwrap() > 0);
}

fn runs(firm: &Firm) -> Vec<(String, String)> {
    let ledger = ledger(firm);
    let mut statement =
        ledger.prepare("SELECT coalesce(outcome, '-'), coalesce(trouble, '-') FROM runs ORDER BY id").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn of_day(day: Date, id: &str) -> String {
    export(&message(id, AMY, &[JOE], "hello")).replace("2026-11-19\"", &format!("{day}\""))
}

fn large_export(messages: usize) -> String {
    let records: Vec<String> = (0..messages).map(|n| message(&format!("m-{n}"), AMY, &[JOE], "10 lots")).collect();
    export(&records.concat())
}

/// Those that mostly wait, side by side.
#[test]
fn the_supervisor() {
    let scenarios = [
        a_configuration_is_read_again_and_a_faulty_one_is_not,
        a_run_goes_on_with_the_configuration_it_began_with,
        a_refused_login_is_tried_once_an_hour,
        an_export_that_is_late_is_taken_without_a_restart,
        a_run_that_hangs_is_ended_and_counts_as_failed,
        a_run_that_cannot_begin_is_in_the_ledger,
        a_slow_download_does_not_keep_the_machine_from_going_down,
        a_service_manager_that_does_not_listen_stops_nothing,
        what_killed_runs_left_is_swept_and_finished,
    ];
    std::thread::scope(|scope| {
        for scenario in scenarios {
            scope.spawn(scenario);
        }
    });
}

fn a_configuration_is_read_again_and_a_faulty_one_is_not() {
    let mailboxes = "domains = [\"contoso.com\", \"unlisted.contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    let settings = Settings { mailboxes, ..Settings::default() };
    let firm = Firm::with(&settings);
    fs::write(firm.path("mailboxes.csv"), format!("PrimarySmtpAddress\n{AMY}\n")).unwrap();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "new@unlisted.contoso.com", &["x@y.example"], "hello")));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    assert!(firm.placements().is_empty());

    let good = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), format!("{good}[schedule]\nat = \"06:30\"\nfrequency = \"daily\"\n")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration is rejected, the one before stays in force: ", 1);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("the configuration is rejected")).unwrap();
    let at = good.lines().count() + 3;
    assert!(line.contains(&format!("config.toml:{at}: schedule.frequency: unknown key")), "{line}");
    daemon.wait_until("the sentence", || daemon.status().contains("the configuration is rejected since 2"));
    let rejected: String =
        ledger(&firm).query_row("SELECT errors FROM rejections WHERE mended IS NULL", [], |row| row.get(0)).unwrap();
    assert!(rejected.contains("schedule.frequency") && rejected.starts_with("[\""), "{rejected}");
    let said = daemon.said();
    let heard: Vec<&str> = said
        .iter()
        .map(|word| word.split('=').next().unwrap())
        .filter(|word| ["READY", "RELOADING", "MONOTONIC_USEC"].contains(word))
        .collect();
    assert_eq!(heard, ["READY", "RELOADING", "MONOTONIC_USEC", "READY"]);

    // Its children work by what is in force: with the file on disk, this replay could not even begin.
    firm.run(&["ingest"]).expect(78);
    let said = firm.run(&["status"]).expect(0);
    assert!(said.out.contains("config     REJECTED since 2") && said.out.contains("schedule.frequency"), "{said:?}");
    assert!(
        said.out.contains("daemon     running") && said.out.contains("correct it, then systemctl reload"),
        "{said:?}"
    );
    fs::write(firm.path("mailboxes.csv"), format!("PrimarySmtpAddress\n{AMY}\nnew@unlisted.contoso.com\n")).unwrap();
    daemon.wait_for_log("replay is done", 1);
    assert_eq!(firm.placements()["m-1"].len(), 1);

    // A faulty file that it includes is the same; one that moves the ledger needs a restart.
    fs::write(firm.path("config.toml"), format!("{good}[schedule]\nholidays = \"holidays.txt\"\n")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("holidays.txt", 1);
    fs::write(firm.path("config.toml"), good.replace("directory = \"state\"", "directory = \"other\"")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("restart the daemon (systemctl restart icechatd)", 1);
    assert!(!firm.path("other").exists());

    // Until it is mended and read again, `status` says so.
    fs::write(firm.path("holidays.txt"), "2026-12-25 # Christmas\n").unwrap();
    fs::write(firm.path("config.toml"), format!("{good}[schedule]\nat = \"07:15\"\nholidays = \"holidays.txt\"\n"))
        .unwrap();
    let said = firm.run(&["status"]).expect(0);
    assert!(said.out.contains("config     REJECTED since 2") && !said.out.contains("nothing needs"), "{said:?}");
    daemon.signal("HUP");
    daemon.wait_for_log("configuration read again: the new one is in force", 1);
    daemon.wait_until("the new time", || {
        daemon.status().contains("next run 2") && daemon.status().contains(" 07:15 UTC")
    });
    assert!(!daemon.status().contains("rejected"), "{}", daemon.status());
    assert!(firm.run(&["status", "--json"]).expect(0).json()["configuration_rejected"].is_null());
}

fn a_run_goes_on_with_the_configuration_it_began_with() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &large_export(8_000));
    let mut daemon = Daemon::start(&firm);
    daemon.wait_until("staging has begun", || has_begun_staging(&firm.path("staging")));
    daemon.wait_until("how far it is", || daemon.status().contains("ingest works since "));
    let good = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), format!("{good}what is this?\n")).unwrap();
    let facts = firm.run(&["status", "--json"]).expect(0).json();
    let invalid = facts["configuration_invalid"].as_str().unwrap();
    assert!(invalid.contains("not TOML") && facts["working"] == true, "{facts:#}");
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration is rejected", 1);
    assert_eq!(daemon.children().len(), 1, "the run was over before the signal came");
    fs::write(firm.path("config.toml"), good.replace("[eml]\n", "") + "[eml]\nfooter = false\n").unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration read again: the new one is in force", 1);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(daemon.logged("starting ingest"), 1);
    let staged = firm.staged();
    assert_eq!(staged.len(), 16_000);
    assert!(
        staged.values().all(|eml| support::firm::body(eml).contains("\n-- \n")),
        "the footer is that of its beginning"
    );
    assert_eq!(daemon.stop().0, 0);
}

fn a_refused_login_is_tried_once_an_hour() {
    let firm = Firm::with(&Settings { more: around_now().0, ..Settings::default() });
    let key = fs::read(firm.path("ssh-key")).unwrap();
    fs::remove_file(firm.path("ssh-key")).unwrap();
    keygen(&firm.path("ssh-key"), &["-t", "ed25519"], "");
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("the next try is at", 1);
    let refused = || ("failed".to_owned(), "login".to_owned());
    assert_eq!(runs(&firm), [refused()]);
    daemon.wait_until("the sentence", || daemon.status().contains("; the site refuses the login, next try 2"));
    assert!(firm.run(&["status"]).expect(0).out.contains("tried once an hour"));

    // Neither time, nor a restart, nor a new reading of the configuration brings a second try within the hour.
    let_time_pass(&firm, 50 * 60);
    daemon.signal("HUP");
    sleep(TWO_LOOKS);
    assert_eq!(daemon.stop().0, 0);
    let daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    sleep(TWO_LOOKS);
    assert_eq!(runs(&firm).len(), 1, "{}", daemon.log());

    let_time_pass(&firm, 11 * 60);
    daemon.wait_for_log("the next try is at", 1);
    assert_eq!(runs(&firm), [refused(), refused()]);

    // Mended, and asked by hand, it is all well.
    fs::write(firm.path("ssh-key"), key).unwrap();
    firm.run(&["ingest"]).expect(0);
    sleep(TWO_LOOKS);
    assert_eq!(runs(&firm).len(), 3);
    assert!(firm.run(&["status", "--json"]).expect(0).json()["next_run_because"] == "schedule");
}

fn an_export_that_is_late_is_taken_without_a_restart() {
    let (more, today) = around_now();
    let firm = Firm::with(&Settings { more, ..Settings::default() });
    let yesterday = today.checked_sub(1.day()).unwrap();
    let before = today.checked_sub(2.days()).unwrap();
    firm.deliver_export("early.xml.pgp", &of_day(before, "m-0"));
    firm.deliver("unexpected.zip", b"what is this");
    firm.ingest(0);
    let_time_pass(&firm, 2 * 86_400);

    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(runs(&firm).last().unwrap(), &("complete".to_owned(), "no_export".to_owned()));
    let sentence = format!("; no export for {yesterday} yet, next look ");
    daemon.wait_until("the sentence", || daemon.status().contains(&sentence));
    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!(facts["awaited"][0], yesterday.to_string(), "{facts:#}");
    assert_eq!((&facts["next_run_because"], &facts["run_due"]), (&"no_export".into(), &false.into()));
    let stranger: String = ledger(&firm).query_row("SELECT name FROM strangers", [], |row| row.get(0)).unwrap();
    assert_eq!(stranger, "unexpected.zip");

    // Another day's export, however late, is not this one.
    let_time_pass(&firm, 15 * 60);
    firm.deliver_export("late.xml.pgp", &of_day(before, "m-1"));
    daemon.wait_for_log("ingest is done", 2);
    assert_eq!(runs(&firm).last().unwrap().1, "no_export");

    // This one says its day by its name alone.
    let undated = of_day(yesterday, "m-2").replace(&format!(" date=\"{yesterday}\""), "");
    firm.deliver_export(&yesterday.strftime("ACME-%Y%m%d.xml.pgp").to_string(), &undated);
    sleep(TWO_LOOKS);
    assert_eq!(daemon.logged("starting ingest"), 2, "it does not ask all the time: {}", daemon.log());
    let_time_pass(&firm, 15 * 60);
    daemon.wait_for_log("ingest is done", 3);
    assert_eq!(firm.placements()["m-2"].len(), 2);
    assert_eq!(runs(&firm).last().unwrap(), &("complete".to_owned(), "-".to_owned()));
    daemon.wait_until("the sentence", || daemon.status().contains("; next run 2"));
    let_time_pass(&firm, 15 * 60);
    sleep(TWO_LOOKS);
    assert_eq!(daemon.logged("starting ingest"), 3, "{}", daemon.log());
}

/// A firm whose site is behind a line that carries next to nothing, with more to fetch than it ever will.
fn far_away() -> Firm {
    let firm = Firm::with(&Settings { more: around_now().0, ..Settings::default() });
    let noise: Vec<u8> = (0..8_000_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    firm.deliver("day.xml.pgp", &noise);
    let proxy = Proxy::start(firm.sshd.port(), &[Line::Slow(Duration::from_millis(100))]);
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let config = config.replace(&format!("port = {}", firm.sshd.port()), &format!("port = {}", proxy.port()));
    fs::write(firm.path("config.toml"), config).unwrap();
    firm
}

fn is_downloading(firm: &Firm) -> bool {
    fs::read_to_string(firm.path("state/in-flight.json")).is_ok_and(|text| text.contains("download"))
}

fn a_run_that_hangs_is_ended_and_counts_as_failed() {
    let firm = far_away();
    let daemon = Daemon::start_with(&firm, &["--stalled-after", "15s"]);
    daemon.wait_until("a download", || is_downloading(&firm));
    // As long as it gets on, however slowly, it is left alone.
    sleep(Duration::from_secs(20));
    let children = daemon.children();
    assert_eq!((children.len(), daemon.logged("no progress")), (1, 0), "{}", daemon.log());
    let stopped = Command::new("kill").args(["-STOP", &children[0]]).status().unwrap();
    assert!(stopped.success());
    let fed = || daemon.said().iter().filter(|word| *word == "WATCHDOG=1").count();
    let before = fed();
    daemon.wait_for_log("ingest has shown no progress for long and is told to stop", 1);
    daemon.wait_for_log("ingest does not stop and is killed", 1);
    daemon.wait_for_log("ingest showed no progress for long and was ended", 1);
    assert!(fed() > before + 8, "the daemon itself was alive all the time");
    assert_eq!(runs(&firm), [("failed".to_owned(), "-".to_owned())]);
    let report = firm.run(&["report", "--json"]).expect(0).json();
    assert!(report["error"].as_str().unwrap().contains("no progress"), "{report}");
    assert!(daemon.status().contains("ingest failed, next try"), "{}", daemon.status());
}

fn a_run_that_cannot_begin_is_in_the_ledger() {
    let firm = Firm::with(&Settings { more: around_now().0, ..Settings::default() });
    let key = fs::read(firm.path("pgp-key")).unwrap();
    fs::remove_file(firm.path("pgp-key")).unwrap();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("the next try is at", 1);
    sleep(TWO_LOOKS);
    let report = firm.run(&["report", "--json"]).expect(0).json();
    assert!(report["error"].as_str().unwrap().contains("no credential pgp-key"), "{report}");
    assert_eq!(runs(&firm), [("failed".to_owned(), "-".to_owned())]);
    fs::write(firm.path("pgp-key"), key).unwrap();
    let_time_pass(&firm, 60);
    daemon.wait_for_log("ingest is done", 1);
}

fn a_slow_download_does_not_keep_the_machine_from_going_down() {
    let firm = far_away();
    let mut daemon = Daemon::start(&firm);
    daemon.wait_until("a download", || is_downloading(&firm));
    let (code, took) = daemon.stop();
    assert_eq!(code, 0, "{}", daemon.log());
    assert!(took < Duration::from_secs(40), "the unit allows 60 s: {took:?}");
    println!("stopped within {took:?} during a slow download");
    // It was told to stop, and did: that is no failure, and the next daemon goes on at once.
    assert_eq!(runs(&firm), [("failed".to_owned(), "stopped".to_owned())]);
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("starting ingest", 1);
    drop(daemon);
}

fn a_service_manager_that_does_not_listen_stops_nothing() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", AMY, &[JOE], "hello")));
    let (mut daemon, socket) = Daemon::start_unheard(&firm);
    daemon.wait_for_log("ingest is done", 1);
    // More than any socket's queue holds by default (net.unix.max_dgram_qlen is 10, or a few hundred).
    for turn in 1..=15 {
        daemon.signal("HUP");
        daemon.wait_for_log("configuration read again: unchanged", turn);
    }
    let begun = Instant::now();
    assert_eq!(daemon.stop().0, 0, "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(socket);
}

fn what_killed_runs_left_is_swept_and_finished() {
    let firm = Firm::new();
    firm.ingest(0);
    fs::write(firm.path("state/spool/download-1-0"), "half an export").unwrap();
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    assert_eq!(fs::read_dir(firm.path("state/spool")).unwrap().count(), 0);
    assert_eq!(daemon.stop().0, 0);
}
