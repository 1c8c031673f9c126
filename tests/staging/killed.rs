//! The program is killed at random moments of an ingest and of a replay, and started again: in the end staging is, byte
//! for byte, that of a firm where nothing happened, and at no moment did anything half written stand there.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::archive::cases;
use support::firm::{Firm, assert_balanced, export};

const MESSAGES: usize = 20_000;

/// Each message is Amy's to Joe, and to an outsider for whom a mapping comes later; each tenth is between outsiders.
fn messages() -> String {
    let records = (0..MESSAGES).map(|n| {
        let (from, to) = if n % 10 == 0 {
            ("ola@northern.example", "otto@northern.example")
        } else {
            ("amy@contoso.com", "joe@contoso.com")
        };
        let time = format!("2026-11-19T13:{:02}:{:02}Z", n / 60 % 60, n % 60);
        format!(
            "<Message><MessageID>{n}</MessageID><SenderEmail>{from}</SenderEmail><RecipientEmail>{to}</RecipientEmail>\
             <Recipient><ImId>nils9</ImId></Recipient><DateTimeUTC>{time}</DateTimeUTC><Content>{n} lots</Content></Message>"
        )
    });
    export(&records.collect::<String>())
}

fn map(firm: &Firm) {
    firm.map("new.csv", "ImId,Mailbox\nnils9,dora@contoso.com\n");
}

type Staged = BTreeMap<(String, String), Vec<u8>>;

/// What an importer sees at this moment is part of what will stand there, each file whole.
fn assert_part_of(firm: &Firm, whole: &Staged, when: &str) {
    let Ok(mailboxes) = fs::read_dir(firm.path("staging")) else { return };
    for mailbox in mailboxes.map(|entry| entry.unwrap()) {
        let name = mailbox.file_name().into_string().unwrap();
        let Ok(files) = fs::read_dir(mailbox.path().join("ICE Chat")) else { continue };
        for file in files.map(|entry| entry.unwrap()) {
            let key = (name.clone(), file.file_name().into_string().unwrap());
            assert!(whole.get(&key) == Some(&fs::read(file.path()).unwrap()), "{key:?} {when}");
        }
    }
}

fn random(below: Duration) -> Duration {
    let number = RandomState::new().build_hasher().finish();
    Duration::from_micros(number % u64::try_from(below.as_micros()).unwrap())
}

/// Runs a verb and kills it after a while; whether it had come to its end before.
fn kill(firm: &Firm, verb: &str, after: Duration) -> bool {
    let mut child = firm.command(&[verb]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    // SIGKILL: nothing of the program's own has a say in it.
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

/// Kills the verb so many times, or until it has come to its end, at moments within most of what it `takes`. How often it
/// was killed.
fn disturb(firm: &Firm, verb: &str, takes: Duration, times: u32, whole: &Staged) -> u32 {
    let mut killed = 0;
    for _ in 0..times {
        let after = random(takes * 6 / 10);
        if kill(firm, verb, after) {
            break;
        }
        killed += 1;
        assert_part_of(firm, whole, &format!("{verb} killed after {after:?}"));
    }
    killed
}

#[test]
fn whenever_it_is_killed_the_next_run_finishes() {
    support::in_memory();
    let export = messages();
    let (quiet, firm) = (Firm::new(), Firm::new());
    quiet.deliver_export("day.pgp", &export);
    firm.deliver_export("day.pgp", &export);
    let begun = Instant::now();
    let report = quiet.ingest(3);
    let takes = begun.elapsed();
    let (staged, counts) = (quiet.staged(), &report["items"]);
    let killed = disturb(&firm, "ingest", takes, cases(2), &staged);
    let report = firm.run(&["ingest", "--json"]).expect(3).json();
    assert_balanced(&report);
    println!("ingest ({takes:?}): killed {killed} times");
    assert!(firm.staged() == staged);
    if killed < cases(2) {
        // It came to its end in between.
        assert_eq!(report["files"].as_array().unwrap().len(), 0);
    } else {
        assert_eq!(&report["items"], counts);
    }
    firm.run(&["verify"]).expect(0);

    map(&quiet);
    map(&firm);
    let begun = Instant::now();
    let report = quiet.replay(0);
    let takes = begun.elapsed();
    assert_eq!(report["placements"]["staged"], MESSAGES);
    let staged = quiet.staged();
    let killed = disturb(&firm, "replay", takes, cases(2), &staged);
    println!("replay ({takes:?}): killed {killed} times");
    // The daemon's next run may be an ingest: it finishes the replay that was begun.
    firm.run(&["ingest"]);
    firm.replay(0);
    assert!(firm.staged() == staged);
    let (ours, theirs) =
        [&firm, &quiet].map(|firm| firm.run(&["status", "--json"]).expect(0).json()["needs"].clone()).into();
    assert_eq!(ours, theirs);
    firm.run(&["verify"]).expect(0);
}
