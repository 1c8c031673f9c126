//! However long the history, an item takes the same time; and what a ledger takes for each.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::desk::Desk;
use crate::ground::{Ground, Kind};
use crate::table::{Table, seconds, times};
use crate::{Arguments, median};

/// Ids that the ledger knows, for each message of the export.
const HISTORY: u64 = 100;
/// Seconds over which they are spread: a bit under three years before the export.
const SPAN: i64 = 90_000_000;
/// The export's day, in Unix seconds.
const NOW: i64 = 1_795_046_400;

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let desk = Desk::new(arguments);
    desk.deliver(0..100, 0);
    let (young, old) = (Kind::Memory.lay(), Kind::Memory.lay());
    let sizes = [&young, &old].map(|ground| {
        desk.run(&desk.configure(&ground.path()), &["ingest", "--json"]);
        ledger_size(&ground.path())
    });
    let items = arguments.messages * HISTORY;
    remember(&old.path().join("state/ledger.db"), items);
    let grown = ledger_size(&old.path());
    desk.deliver(1_000_000..1_000_000 + arguments.messages, 0);
    let (mut without, mut with, mut added) = (Vec::new(), Vec::new(), 0);
    for _ in 0..arguments.runs {
        let (seconds, bytes) = ingest(&desk, &young);
        without.push(seconds);
        added = bytes / arguments.messages;
        with.push(ingest(&desk, &old).0);
    }
    let (without, with) = (median(without), median(with));
    let heading = format!(
        "A run of {} messages with a ledger of {items} items and with one of none; the median of {}",
        arguments.messages, arguments.runs
    );
    let columns = [
        "ledger of none",
        "ledger of all",
        "ratio",
        "ledger for each old item",
        "ledger and its manifest for each new item",
    ];
    let mut table = Table::new(heading, &columns);
    table.row(&[
        &seconds(without),
        &seconds(with),
        &times(with / without),
        &format!("{} bytes", (grown - sizes[1]) / items),
        &format!("{added} bytes"),
    ]);
    table
}

/// Bytes of the ledger and its manifests.
fn ledger_size(ground: &Path) -> u64 {
    let state = ground.join("state");
    let manifests = fs::read_dir(state.join("manifests")).unwrap();
    let manifests: u64 = manifests.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    state.join("ledger.db").metadata().unwrap().len() + manifests
}

/// Seconds that a run takes, and bytes that it adds, with the state of another folder.
fn ingest(desk: &Desk, state: &Ground) -> (f64, u64) {
    let ground = Kind::Memory.lay();
    let status = std::process::Command::new("cp").arg("-r").arg(state.path().join("state")).arg(ground.path()).status();
    assert!(status.unwrap().success());
    // Of the same tenant still, by the mark that a first run left in staging.
    let status =
        std::process::Command::new("cp").arg("-r").arg(state.path().join("staging")).arg(ground.path()).status();
    assert!(status.unwrap().success());
    let before = ledger_size(&ground.path());
    let measured = desk.run(&desk.configure(&ground.path()), &["ingest", "--json"]);
    let seconds = f64::from(u32::try_from(measured.milliseconds).unwrap()) / 1000.0;
    (seconds, ledger_size(&ground.path()) - before)
}

/// Has the ledger know so many further items, as runs of three years would have left it: rows of another file, in order of time.
fn remember(ledger: &Path, items: u64) {
    let mut ledger = Connection::open(ledger).unwrap();
    let transaction = ledger.transaction().unwrap();
    {
        let mut item = transaction
            .prepare("INSERT INTO items (time, id, file, ordinal, held, participants) VALUES (?1, ?2, 1, ?3, 0, ?4)")
            .unwrap();
        let mut key = transaction.prepare("INSERT OR IGNORE INTO message_keys VALUES (?1, ?2)").unwrap();
        let items = i64::try_from(items).unwrap();
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for ordinal in 0..items {
            let time = NOW - SPAN + ordinal * SPAN / items;
            let mut bytes: Vec<u8> = (0..4).flat_map(|_| random().to_le_bytes()).collect();
            item.execute((time, &bytes, ordinal, &bytes[..16])).unwrap();
            bytes.truncate(8);
            key.execute((time.div_euclid(86_400), random().cast_signed())).unwrap();
        }
    }
    transaction.commit().unwrap();
    ledger.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}
