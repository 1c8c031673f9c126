//! An importer that takes whatever stands, whenever it stands, and the folders as well: runs do not mind, and what it took
//! and what still stands are together what one would have found who came after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::scene::{firm, settings, write};
use crate::support::archive::cases;
use crate::support::firm::{Firm, Settings, export, message};

type Taken = BTreeMap<(String, String), Vec<Vec<u8>>>;

/// Mailboxes have one or two EMLs each at any time, so that folders come and go.
const MAILBOXES: usize = 40;

fn messages(count: usize) -> String {
    let records = (0..count).map(|n| {
        let name = |n: usize| format!("m{}@contoso.com", n % MAILBOXES);
        let nils = if n % 3 == 0 { "<Recipient><ImId>nils9</ImId></Recipient>" } else { "" };
        let one = message(&n.to_string(), &name(n), &[&name(n * 7 + 1), &name(n * 3 + 2)], "lots");
        one.replacen("<RecipientEmail>", &format!("{nils}<RecipientEmail>"), 1)
    });
    export(&records.collect::<String>())
}

/// Takes all that stands at this moment under a final name, and removes folders that are empty.
fn take(staging: &Path, taken: &mut Taken) {
    let names = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for mailbox in names(staging).into_iter().filter(|path| !name(path).starts_with('.')) {
        let folder = mailbox.join("ICE Chat");
        for file in names(&folder).into_iter().filter(|path| !name(path).starts_with('.')) {
            let bytes = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            taken.entry((name(&mailbox), name(&file))).or_default().push(bytes);
        }
        let _ = (fs::remove_dir(&folder), fs::remove_dir(&mailbox));
    }
}

/// Runs these verbs while the importer takes; what it took.
fn disturbed(firm: &Firm, verbs: &[&[&str]], codes: &[i32]) -> Taken {
    let (staging, mut taken, working) = (firm.path("staging"), Taken::new(), AtomicBool::new(true));
    thread::scope(|scope| {
        scope.spawn(|| {
            while working.load(Ordering::Relaxed) {
                take(&staging, &mut taken);
            }
            take(&staging, &mut taken);
        });
        let said: Vec<_> = verbs.iter().map(|verb| firm.run(verb)).collect();
        working.store(false, Ordering::Relaxed);
        for (said, code) in said.into_iter().zip(codes) {
            said.expect(*code);
        }
    });
    taken
}

#[test]
fn everything_comes_exactly_once() {
    for copies in [false, true] {
        for _ in 0..cases(1).min(10) {
            let firm = firm("");
            firm.configure(&Settings { staging: format!("copies = {copies}\n"), ..settings("") });
            write(&firm, "day.pgp", &messages(600));
            let day = firm.path("day.pgp");
            let ingest = ["ingest", day.to_str().unwrap()];
            firm.run(&ingest).expect(3);
            firm.map("new.csv", "ImId,Mailbox\nnils9,nils@contoso.com\n");
            firm.run(&["replay"]).expect(0);
            let quiet = firm.staged();

            for folder in ["state", "staging"] {
                fs::remove_dir_all(firm.path(folder)).unwrap();
            }
            fs::write(firm.path("mapping/new.csv"), "ImId,Mailbox\n").unwrap();
            let mut taken = disturbed(&firm, &[&ingest], &[3]);
            firm.map("new.csv", "ImId,Mailbox\nnils9,nils@contoso.com\n");
            for (key, bytes) in disturbed(&firm, &[&["replay"], &ingest], &[0, 0]) {
                taken.entry(key).or_default().extend(bytes);
            }
            assert!(firm.staged().is_empty());
            assert!(taken.keys().eq(quiet.keys()), "{} of {}", taken.len(), quiet.len());
            for (key, bytes) in &taken {
                assert_eq!(bytes[..], [quiet[key].clone()], "{key:?} came {} times", bytes.len());
            }
            let verified = firm.run(&["verify", "--json"]).expect(0).json();
            assert_eq!(verified["taken"], quiet.len());
            println!("copies = {copies}: {} placements, each taken once", taken.len());
        }
    }
}
