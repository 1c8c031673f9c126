//! The mapping folder and the mailbox list as the colleagues meet them who drop files there: what counts, what is said of
//! what does not, and that nothing which is planted in the folder is followed.

use crate::support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::daemon::Daemon;
use support::firm::{Firm, Settings, export, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

/// An export of somebody of ours whom only a mapping resolves.
fn from_newcomer(id: &str) -> String {
    let plain = message(id, "new@unlisted.contoso.com", &["nils@northern.example", "olga@other.example"], "hello");
    export(&plain.replace("<SenderEmail>", "<ImId>new1</ImId><SenderEmail>"))
}

/// A firm with a mailbox list of Amy, Joe and as many more.
fn firm_with_list(more: usize) -> Firm {
    let mailboxes = "domains = [\"contoso.com\", \"unlisted.contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    let firm = Firm::with(&Settings { mailboxes, ..Settings::default() });
    fs::write(firm.path("mailboxes.csv"), list(more)).unwrap();
    firm
}

fn list(more: usize) -> String {
    let more = (0..more).map(|n| format!("user{n}@contoso.com"));
    let rows: Vec<String> = ["PrimarySmtpAddress", AMY, JOE].map(str::to_owned).into_iter().chain(more).collect();
    rows.join("\n") + "\n"
}

fn status(firm: &Firm) -> Value {
    firm.run(&["status", "--json"]).expect(0).json()
}

/// Every version of a kind, the newest first, as `+added -removed ~changed, entries, who`.
fn history(firm: &Firm, kind: &str) -> Vec<String> {
    let all = firm.run(&["mapping", "history", "--json"]).expect(0).json();
    let of_kind = all.as_array().unwrap().iter().filter(|version| version["kind"] == kind);
    of_kind
        .map(|version| {
            let of = |key: &str| version[key].to_string();
            let who = version["put_by"].as_str().unwrap();
            format!("+{} -{} ~{}, {}, {who}", of("added"), of("removed"), of("changed"), of("entries"))
        })
        .collect()
}

fn error_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains("error") && !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Those that mostly wait, side by side: the harness starts no more tests at a time than there are cores.
#[test]
fn the_folder_of_a_running_daemon() {
    let scenarios = [
        a_file_that_is_copied_in_slowly_is_never_read_half,
        what_is_wrong_is_said_beside_the_file_until_it_is_mended,
        what_is_planted_in_the_folder_is_neither_followed_nor_replaced,
        a_list_that_shrank_counts_once_a_person_says_so,
        the_folder_may_come_and_go,
    ];
    std::thread::scope(|scope| {
        for scenario in scenarios {
            scope.spawn(scenario);
        }
    });
}

fn a_file_that_is_copied_in_slowly_is_never_read_half() {
    let firm = firm_with_list(0);
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    // Several beginnings of it are good sets, and wrong ones: new1's mailbox would be another, or other rows missing.
    let text = format!("ImId,Mailbox\nnew1,{AMY}\nother2,{JOE}\n");
    let mut file = OpenOptions::new().create(true).append(true).open(firm.path("mapping/slow.csv")).unwrap();
    for (at, byte) in text.bytes().enumerate() {
        file.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        // Now and then it stands still for several looks, brought about by somebody else's file, yet not long enough.
        for _ in 0..if at % 8 == 7 { 3 } else { 0 } {
            std::thread::sleep(Duration::from_millis(350));
            fs::write(firm.path("mapping/notes.txt"), "no mapping").unwrap();
        }
    }
    drop(file);
    daemon.wait_for_log("replay is done", 1);
    assert_eq!(history(&firm, "mapping"), ["+2 -0 ~0, 2, icechatd run", "+0 -0 ~0, 0, icechatd run"]);
    assert_eq!(daemon.logged("is rejected"), 0, "{}", daemon.log());
    assert!(firm.placements()["m-1"].contains(AMY));

    // What is renamed into place is seen without waiting for the next look, and once.
    fs::write(firm.path("mapping/.next"), format!("ImId,Mailbox\nnew1,{AMY}\n")).unwrap();
    fs::rename(firm.path("mapping/.next"), firm.path("mapping/slow.csv")).unwrap();
    daemon.wait_for_log("a new mapping is in force: +0 -1 ~0, 1 entries", 1);
    let facts = status(&firm);
    let mapping = &facts["rules"]["mapping"];
    assert_eq!((&mapping["removed"], &mapping["put_by"]), (&1.into(), &"icechatd run".into()), "{facts:#}");
    let shown = firm.run(&["status"]).expect(0).out;
    assert!(
        shown.contains("mapping    in force since 2") && shown.contains("+0 -1 ~0, 1 entries, by icechatd run"),
        "{shown}"
    );
    assert!(shown.contains("mailboxes  in force since 2"), "{shown}");
}

fn what_is_wrong_is_said_beside_the_file_until_it_is_mended() {
    let firm = firm_with_list(0);
    firm.map("desk.csv", &format!("ImId,Mailbox\njoe1,{JOE}\n"));
    firm.deliver_export("day.xml.pgp", &from_newcomer("m-1"));
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    firm.map("one.csv", "ImId,Mailbox\nnew1,Secret Name of somebody\n\n,amy@contoso.com\n");
    firm.map("two.csv", "ImId;Address\nnew1;x\n");
    daemon.wait_for_log("is rejected, the last good one", 1);
    let folder = firm.path("mapping");
    daemon.wait_until("error files", || error_files(&folder).len() == 2);
    assert_eq!(error_files(&folder), ["one.csv.error.txt", "two.csv.error.txt"]);
    let page = fs::read_to_string(folder.join("one.csv.error.txt")).unwrap();
    assert!(page.contains("\nline 2, column 2 (Mailbox): malformed address"), "{page}");
    assert!(page.contains("\nline 4, column 1 (ImId): the cell is empty"), "{page}");
    assert!(!page.contains("Secret") && !daemon.log().contains("Secret"), "{page}");
    let mode = folder.join("one.csv.error.txt").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);

    // It is so in the ledger, whoever asks, and after a restart.
    let facts = status(&firm);
    let open = &facts["rules"]["rejections"];
    assert_eq!((open.as_array().unwrap().len(), &open[0]["kind"]), (1, &"mapping".into()), "{facts:#}");
    assert_eq!(open[0]["errors"].as_array().unwrap().len(), 3, "{facts:#}");
    assert!(open[0]["errors"][2].as_str().unwrap().starts_with("two.csv:1"), "{facts:#}");
    let shown = firm.run(&["status"]).expect(0).out;
    assert!(
        shown.contains("mapping    REJECTED since 2") && shown.contains("\n  one.csv:2: column 2 (Mailbox)"),
        "{shown}"
    );
    assert_eq!(shown.matches("REJECTED").count(), 1, "{shown}");
    daemon.stop();
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("is rejected, the last good one", 1);
    assert_eq!(status(&firm)["rules"]["rejections"], *open, "the same rejection, and no second one");
    assert_eq!(history(&firm, "mapping").len(), 1);

    // One is mended, the other one withdrawn while nobody looks.
    firm.map("two.csv", &format!("ImId;Mailbox\nnew1;{AMY}\n"));
    daemon.wait_until("one error file", || error_files(&folder) == ["one.csv.error.txt"]);
    daemon.stop();
    fs::remove_file(folder.join("one.csv")).unwrap();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("replay is done", 1);
    assert!(firm.placements()["m-1"].contains(AMY));
    assert!(error_files(&folder).is_empty(), "{:?}", error_files(&folder));
    assert!(status(&firm)["rules"]["rejections"].as_array().unwrap().is_empty());
    assert_eq!(history(&firm, "mapping"), ["+1 -0 ~0, 2, icechatd run", "+1 -0 ~0, 1, icechatd run"]);
}

fn what_is_planted_in_the_folder_is_neither_followed_nor_replaced() {
    let firm = firm_with_list(0);
    let outside = firm.path("outside.txt");
    fs::write(&outside, "not yours").unwrap();
    let at = |name: &str| firm.path("mapping").join(name);
    symlink(&outside, at("link.csv.error.txt")).unwrap();
    symlink(firm.path("nowhere"), at("dangling.csv.error.txt")).unwrap();
    symlink(&outside, at(".icechatd-error.tmp")).unwrap();
    fs::write(at("note.csv.error.txt"), "a colleague's").unwrap();
    symlink(&outside, at("gone.csv.error.txt")).unwrap();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("a new mapping is in force", 1);
    for name in ["link.csv", "dangling.csv", "note.csv", "plain.csv"] {
        firm.map(name, "ImId\nx\n");
    }
    daemon.wait_until("the page that can be written", || at("plain.csv.error.txt").is_file());
    daemon.wait_for_log("link.csv.error.txt is not written: a link has that name, and is not followed", 1);
    daemon.wait_for_log("dangling.csv.error.txt is not written: a link has that name", 1);
    daemon.wait_for_log("note.csv.error.txt is not written: a file that this program did not write", 1);

    // Nor are they when all is no longer rejected.
    for name in ["link.csv", "dangling.csv", "note.csv", "plain.csv"] {
        firm.map(name, "ImId,Mailbox\n");
    }
    daemon.wait_for_log("the mapping is no longer rejected", 1);
    daemon.wait_until("that page is gone", || !at("plain.csv.error.txt").exists());
    assert_eq!(fs::read_to_string(&outside).unwrap(), "not yours");
    assert!(!firm.path("nowhere").exists());
    assert_eq!(fs::read_to_string(at("note.csv.error.txt")).unwrap(), "a colleague's");
    for link in ["link.csv.error.txt", "dangling.csv.error.txt", "gone.csv.error.txt"] {
        assert!(at(link).is_symlink(), "{link}");
    }
    assert_eq!(daemon.logged("link.csv.error.txt is not written"), 1, "{}", daemon.log());
}

fn a_list_that_shrank_counts_once_a_person_says_so() {
    let firm = firm_with_list(98);
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", "user7@contoso.com", &[JOE], "hello")));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    fs::write(firm.path("mailboxes.csv"), list(0)).unwrap();
    daemon.wait_for_log("the new mailbox list is rejected, the last good one", 1);
    let page = firm.path("mailboxes.csv.error.txt");
    daemon.wait_until("a page", || page.is_file());
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.contains("mailboxes.csv names 2 mailboxes, the list in force 100"), "{text}");
    assert!(text.contains("icechatd mapping accept"), "{text}");
    assert_eq!(error_files(firm.dir.path()), ["mailboxes.csv.error.txt"]);
    assert!(status(&firm)["mapping_rejected"].as_str().unwrap().contains("names 2 mailboxes"));
    let said = firm.run(&["check", "--offline"]).expect(3).out;
    assert!(said.contains("WARNING  mailboxes      the mailbox list is rejected"), "{said}");

    // A run that a person starts does not take it either.
    firm.deliver_export("more.xml.pgp", &export(&message("m-2", "user7@contoso.com", &[JOE], "hello")));
    let said = firm.run(&["ingest"]).expect(0);
    assert!(said.err.contains("the new mailbox list is rejected (errors: 1); the last good one stays"), "{said:?}");
    assert_eq!(firm.placements()["m-2"].len(), 2);

    let dry = firm.run(&["mapping", "accept", "--dry-run"]).expect(0).out;
    assert!(dry.contains("mailbox list: +0 -98 ~0, 2 entries") && dry.contains("nothing was put in force"), "{dry}");
    assert_eq!(history(&firm, "list").len(), 1);
    // Nothing is put in force beside files that have errors.
    firm.map("bad.csv", "ImId,Mailbox\nx,\n");
    let said = firm.run(&["mapping", "accept", "--json"]).expect(1).json();
    assert_eq!((&said["accepted"], said["errors"].as_array().unwrap().len()), (&Value::Array(Vec::new()), 1), "{said}");
    fs::remove_file(firm.path("mapping/bad.csv")).unwrap();
    assert_eq!(history(&firm, "list").len(), 1);

    let said = firm.run(&["mapping", "accept"]).expect(0).out;
    assert!(said.contains("-98 ~0, 2 entries") && said.contains("in force"), "{said}");
    daemon.wait_for_log("the mailbox list is no longer rejected", 1);
    daemon.wait_until("the page is gone", || !page.exists());
    let versions = history(&firm, "list");
    assert!(versions.len() == 2 && versions[0].ends_with(" (mapping accept)"), "{versions:?}");
    assert!(status(&firm)["rules"]["rejections"].as_array().unwrap().is_empty());
    let said = firm.run(&["mapping", "accept"]).expect(0).out;
    assert!(said.contains("are in force as they stand"), "{said}");
}

fn the_folder_may_come_and_go() {
    let firm = Firm::new();
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{AMY}\n"));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("a new mapping is in force: +1 -0 ~0, 1 entries", 1);
    fs::rename(firm.path("mapping"), firm.path("elsewhere")).unwrap();
    daemon.wait_for_log("the new mapping is rejected, the last good one", 1);
    assert!(daemon.log().contains("mapping.directory cannot be read"), "{}", daemon.log());
    assert_eq!(status(&firm)["rules"]["mapping"]["entries"], 1);
    fs::rename(firm.path("elsewhere"), firm.path("mapping")).unwrap();
    daemon.wait_for_log("the mapping is no longer rejected", 1);
    // Another folder of that name is watched as well.
    fs::remove_dir_all(firm.path("mapping")).unwrap();
    fs::create_dir(firm.path("mapping")).unwrap();
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{JOE}\n"));
    daemon.wait_for_log("a new mapping is in force: +0 -0 ~1, 1 entries", 1);
    assert_eq!(daemon.logged("the new mapping is rejected"), 1, "{}", daemon.log());
}

#[test]
fn people_without_a_mailbox_are_listed_for_who_can_help() {
    let firm = firm_with_list(0);
    fs::write(firm.path("mailboxes.csv"), format!("PrimarySmtpAddress\n{AMY}\n{JOE}\nnina.new@contoso.com\n")).unwrap();
    let present = "<ParticipantEntered><User><ImId>=nina</ImId><FirstName>Nina</FirstName><LastName>New</LastName>\
                   <CompanyName>Contoso</CompanyName><EmailAddress>nn@contoso.com</EmailAddress></User>\
                   <DateTimeUTC>2026-11-19T12:00:00Z</DateTimeUTC></ParticipantEntered>";
    let speaks = |id: &str| {
        let plain = message(id, "nn@contoso.com", &["nils@northern.example", "OLGA@Northern.example"], "hello");
        plain.replace("<SenderEmail>", "<ImId>=nina</ImId><SenderEmail>")
    };
    let other = message("m-9", AMY, &["sue@other.example"], "hello");
    firm.deliver_export("day.xml.pgp", &export(&format!("{present}{}{}{other}", speaks("m-1"), speaks("m-2"))));
    firm.ingest(3);
    let said = firm.run(&["mapping", "unresolved"]).expect(0);
    let rows: Vec<_> = said.out.lines().collect();
    assert_eq!(rows[0], "ImId,Mailbox,Suggestion,Name,Company,EmailAddress,FirstSeen,LastSeen,Items");
    let row =
        "'=nina,,nina.new@contoso.com,Nina New,Contoso,nn@contoso.com,2026-11-19T13:00:00Z,2026-11-19T13:00:00Z,2";
    assert_eq!(rows[1..], [row], "{}", said.out);
    assert!(said.err.contains("copy it to Mailbox") && said.err.contains("apostrophe"), "{}", said.err);
    let people = firm.run(&["mapping", "unresolved", "--json"]).expect(0).json();
    assert_eq!((&people[0]["im_id"], &people[0]["suggestion"]), (&"=nina".into(), &"nina.new@contoso.com".into()));

    let text = firm.run(&["mapping", "externals"]).expect(0).out;
    let expected = "northern.example: people 2, items 4, first seen 2026-11-19\n  ";
    assert!(text.starts_with(expected) && text.contains("\nother.example: people 1, items 1, first seen "), "{text}");
    let domains = firm.run(&["mapping", "externals", "--json"]).expect(0).json();
    assert_eq!(domains[0]["domain"], "northern.example");
    assert_eq!(domains[0]["participants"].as_array().unwrap().len(), 2);
    assert_eq!(domains[0]["first_seen"], "2026-11-19T13:00:00Z");
}

#[test]
fn what_a_person_starts_is_named_in_the_history_and_writes_no_page() {
    let firm = firm_with_list(0);
    let said = firm.run(&["mapping", "history"]).expect(0);
    assert!(said.out.is_empty() && said.err.contains("no mapping and no mailbox list"), "{said:?}");
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{AMY}\nother2,{JOE}\n"));
    firm.run(&["ingest", "--dry-run"]).expect(0);
    assert!(history(&firm, "mapping").is_empty(), "a dry run puts nothing in force");
    firm.run(&["ingest"]).expect(0);
    firm.map("desk.csv", &format!("ImId,Mailbox\nnew1,{JOE}\nthird3,external\n"));
    firm.run(&["replay"]).expect(0);
    firm.run(&["replay"]).expect(0);
    firm.map("desk.csv", "ImId,Mailbox\nnew1,\n");
    firm.run(&["ingest"]).expect(0);
    let versions = history(&firm, "mapping");
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(versions[0].starts_with("+1 -1 ~1, 2, ") && versions[0].ends_with(" (replay)"), "{versions:?}");
    assert!(versions[1].starts_with("+2 -0 ~0, 2, ") && versions[1].ends_with(" (ingest)"), "{versions:?}");
    assert!(error_files(&firm.path("mapping")).is_empty());
    let text = firm.run(&["mapping", "history"]).expect(0).out;
    assert!(text.lines().next().unwrap().contains("  mapping  +1 -1 ~1, 2 entries, by "), "{text}");
}
