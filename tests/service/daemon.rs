//! The supervisor: what systemd and operators see of it, and what becomes of a run that it is told to end.

use crate::support;

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use support::daemon::{Daemon, around_now, has_begun_staging};
use support::firm::{Firm, Settings, export, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

/// An export that needs a mapping: the sender has no e-mail.
fn from_newcomer(id: &str) -> String {
    export(
        &message(id, "", &["nils@northern.example"], "hello").replace(
            "<SenderEmail></SenderEmail>",
            "<ImId>new1</ImId><SenderEmail>new@unlisted.contoso.com</SenderEmail>",
        ),
    )
}

/// Settings under which the newcomer is ours and unresolved.
fn newcomers_are_ours() -> Settings {
    let mailboxes = "domains = [\"contoso.com\", \"unlisted.contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    Settings { mailboxes, more: around_now().0, ..Settings::default() }
}

fn firm_of_newcomers() -> Firm {
    let firm = Firm::with(&newcomers_are_ours());
    fs::write(firm.path("mailboxes.csv"), format!("PrimarySmtpAddress\n{AMY}\n{JOE}\n")).unwrap();
    firm
}

/// Those that mostly wait, side by side: the harness starts no more tests at a time than there are cores.
#[test]
fn the_daemon() {
    let scenarios = [
        systemd_is_told_the_truth,
        a_mapping_that_is_dropped_comes_into_force_and_is_replayed,
        what_a_person_put_in_force_is_replayed_too,
        a_first_run_waits_for_a_good_mapping_and_says_so,
        a_site_that_is_down_is_tried_again_later,
    ];
    std::thread::scope(|scope| {
        for scenario in scenarios {
            scope.spawn(scenario);
        }
    });
}

fn systemd_is_told_the_truth() {
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", AMY, &[JOE], "hello")));
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    daemon.wait_for_word("STATUS=no run yet; a run is due and starts now");
    daemon.wait_for_word("STATUS=ingest works since ");
    daemon.wait_for_word("STATUS=last run ");
    daemon.wait_for_word("WATCHDOG=1");
    let status = daemon.status();
    assert!(status.contains(": complete, 1 item; next run 2"), "{status}");
    let last = firm.run(&["report", "--json"]).expect(0).json();
    assert_eq!(last["verb"], "ingest");
    assert!(status.contains(last["run"].as_str().unwrap()), "{status}");
    assert_eq!(firm.placements().len(), 1, "the run that was due was not made up");

    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!((&facts["daemon"], &facts["working"]), (&"running".into(), &false.into()));
    let second = firm.run(&["run"]).expect(75);
    assert!(second.err.contains("a daemon runs already on "), "{second:?}");

    let (code, took) = daemon.stop();
    assert_eq!(code, 0, "{}", daemon.log());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(daemon.said().iter().filter(|word| *word == "STOPPING=1").count(), 1);
    assert_eq!(daemon.said().iter().filter(|word| *word == "READY=1").count(), 1);
    assert_eq!(firm.run(&["status", "--json"]).expect(0).json()["daemon"], "stopped");

    // Nothing is due any more today: a second start does nothing.
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    daemon.wait_for_word("WATCHDOG=1");
    std::thread::sleep(Duration::from_secs(7));
    daemon.stop();
    assert_eq!(daemon.logged("starting ingest"), 0, "{}", daemon.log());
    assert_eq!(firm.run(&["report", "--json"]).json()["run"], last["run"]);
}

fn a_mapping_that_is_dropped_comes_into_force_and_is_replayed() {
    let firm = firm_of_newcomers();
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    assert!(firm.placements().is_empty());

    firm.map("new.csv", &format!("ImId,Mailbox\nnew1,{AMY}\n"));
    daemon.wait_for_log("replay is done", 1);
    assert_eq!(firm.placements()["m-1"].len(), 1);
    assert_eq!(daemon.logged("a new mapping is in force: +0 -0 ~0, 0 entries"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("a new mapping is in force: +1 -0 ~0, 1 entries"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("a new mailbox list is in force: +2 -0 ~0, 2 entries"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("starting replay"), 1, "there was nothing to replay at first: {}", daemon.log());

    // A bad one is said once, and the last good one stays.
    firm.map("worse.csv", "ImId,Mailbox\nnew1,not an address\n");
    daemon.wait_for_log("is rejected, the last good one", 1);
    firm.deliver_export("more.xml.pgp", &from_newcomer("m-2"));
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(daemon.logged("is rejected, the last good one"), 1, "{}", daemon.log());
    assert!(daemon.log().contains("worse.csv:2: column 2 (Mailbox)"), "{}", daemon.log());

    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert!(facts["mapping_rejected"].as_str().unwrap().contains("worse.csv:2"), "{facts:#}");
    assert!(firm.run(&["status"]).expect(0).out.contains("mapping    REJECTED"));

    // A verb that a person starts reads the folder, says the same, and works by the last good set as well.
    let said = firm.run(&["ingest"]).expect(0);
    assert!(said.err.contains("worse.csv:2"), "{said:?}");
    assert_eq!(firm.placements()["m-2"].len(), 1);
    drop(daemon);

    // So it is after a restart.
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("is rejected, the last good one", 1);
    fs::remove_file(firm.path("mapping/worse.csv")).unwrap();
    daemon.wait_for_log("the mapping is no longer rejected", 1);
    assert_eq!(daemon.logged("starting replay"), 0, "{}", daemon.log());
    assert!(daemon.is_running());
}

fn what_a_person_put_in_force_is_replayed_too() {
    let firm = firm_of_newcomers();
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    firm.run(&["ingest"]).expect(3);
    firm.map("new.csv", &format!("ImId,Mailbox\nnew1,{AMY}\n"));
    // This run reads the folder, so the daemon finds nothing new in it; yet nobody has replayed.
    firm.run(&["ingest"]).expect(3);
    assert!(firm.placements().is_empty());
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("replay is done", 1);
    assert_eq!(firm.placements()["m-1"].len(), 1);
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(daemon.logged("starting replay"), 1, "{}", daemon.log());
}

fn a_first_run_waits_for_a_good_mapping_and_says_so() {
    let firm = firm_of_newcomers();
    firm.map("desk.csv", "ImId,Mailbox\nnew1,\n");
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("the next try is at", 1);
    daemon.wait_for_word("STATUS=last run ");
    let status = daemon.status();
    assert!(status.contains("rejected: icechatd check") && status.contains("ingest failed, next try"), "{status}");
    let report = firm.run(&["report", "--json"]).expect(0).json();
    assert_eq!(report["outcome"], "failed");
    assert!(report["error"].as_str().unwrap().contains("desk.csv:2"), "{report}");
    assert!(firm.staged().is_empty());

    // Mended, the run is made at once, by the mapping.
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{AMY}\n"));
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(firm.placements()["m-1"].len(), 1);
}

#[test]
fn the_daemons_runs_use_the_set_in_force_and_never_the_folder() {
    let firm = firm_of_newcomers();
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{AMY}\n"));
    let said = firm.run(&["ingest", "--in-force"]).expect(1);
    assert!(said.err.contains("no mapping is in force yet"), "{said:?}");
    firm.run(&["ingest"]).expect(0);
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{JOE}\n"));
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    firm.run(&["ingest", "--in-force"]).expect(0);
    assert!(firm.placements()["m-1"].contains(AMY));
}

fn a_site_that_is_down_is_tried_again_later() {
    let mut firm = Firm::with(&Settings { more: around_now().0, ..Settings::default() });
    firm.sshd.stop();
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("the next try is at", 1);
    assert!(daemon.log().contains("cannot connect"), "{}", daemon.log());
    assert!(daemon.is_running());
    daemon.wait_for_word("STATUS=last run ");
    let status = daemon.status();
    assert!(status.contains(": failed; ") && status.contains("ingest failed, next try"), "{status}");
    assert_eq!(daemon.stop().0, 0);
}

/// As many messages, in rooms of a hundred.
fn large_export(messages: usize) -> String {
    let mut rooms = String::new();
    for room in 0..messages / 100 {
        let _ = write!(rooms, "<Conversation><RoomID>R-{room}</RoomID>");
        for number in 0..100 {
            rooms += &message(&format!("m-{room}-{number}"), AMY, &[JOE], "10 lots at 2.40, thanks");
        }
        rooms += "</Conversation>";
    }
    format!("<IceChatExport firmCode=\"ACME\" date=\"2026-11-19\">{rooms}</IceChatExport>")
}

#[test]
fn a_run_that_is_told_to_stop_is_finished_by_the_next() {
    let text = large_export(10_000);
    let firm = Firm::new();
    firm.deliver_export("day.xml.pgp", &text);
    let mut daemon = Daemon::start(&firm);
    daemon.wait_until("staging has begun", || has_begun_staging(&firm.path("staging")));
    let (code, took) = daemon.stop_all();
    assert_eq!(code, 0, "{}", daemon.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(daemon.log().contains("stopped before the end"), "{}", daemon.log());
    let facts = firm.run(&["status", "--json"]).expect(0).json();
    assert_eq!(facts["needs"]["unfinished_files"], 1, "{facts:#}");
    assert!(firm.staged().len() < 20_000, "the run was not stopped in its middle");

    let report = firm.ingest(0);
    assert_eq!(report["items"]["staged"], 10_000);
    assert_eq!(
        report["placements"]["staged"].as_u64().unwrap() + report["placements"]["existing"].as_u64().unwrap(),
        20_000
    );
    assert!(report["placements"]["existing"].as_u64().unwrap() > 0);
    let undisturbed = Firm::new();
    undisturbed.deliver_export("day.xml.pgp", &text);
    undisturbed.ingest(0);
    assert!(firm.staged() == undisturbed.staged(), "the staging is another");
    firm.run(&["verify"]).expect(0);
}
