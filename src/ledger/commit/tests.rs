//! What a commit costs does not grow with what was committed before.

use std::cell::Cell;

use rusqlite::StatementStatus;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::*;
use crate::digest::ItemId;
use crate::ledger::files::{Origin, ReceivedFile};
use crate::ledger::{Arrival, Seen, StoredRules, Verdict};

thread_local! {
    /// Rows that statements passed by while they looked through a table, or put into an index of their own, since the count began.
    static PASSED: Cell<i64> = const { Cell::new(0) };
}

fn count(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event {
        let passed = [StatementStatus::FullscanStep, StatementStatus::AutoIndex].map(|of| statement.get_status(of));
        PASSED.set(PASSED.get() + passed.into_iter().map(i64::from).sum::<i64>());
    }
}

fn id(number: i64) -> ItemId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    ItemId(id)
}

/// What a pass notes of ten items: one is named again, by others; one is held, for somebody who has no mailbox.
fn note_ten(scratch: &Scratch<'_>) {
    for number in 0..10_u8 {
        let participants = [number; 16];
        let (time, ordinal) = (i64::from(number), u64::from(number));
        scratch.admit(&Arrival { time, id: id(time + 1), ordinal, participants, message_key: Some(ordinal) }).unwrap();
    }
    let again = Arrival { time: 3, id: id(4), ordinal: 10, participants: [99; 16], message_key: None };
    assert_eq!(scratch.admit(&again).unwrap(), Verdict::Duplicate { naming: true });
    scratch.hold_item(5, id(6)).unwrap();
    scratch.lack(5, id(6), vec!["nils9 ".to_owned()]).unwrap();
    let seen = Seen {
        key: "nils9 ".to_owned(),
        im_id: Some("nils9".to_owned()),
        email: None,
        name: None,
        company: None,
        mailbox: None,
        external: false,
        items: 1,
        first_seen: 5,
        last_seen: 5,
    };
    scratch.add_seen(&seen).unwrap();
}

/// The rows that are passed by when an export of ten items is committed, which release one that was held, after `old` items of
/// another export.
fn passed_after(old: i64) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count)).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let run = ledger.begin_run("ingest", false, "CONTOSO", now).unwrap();
    let stored = StoredRules { mapping: Vec::new(), list: None, directory: None, settings: "{}".to_owned() };
    let rule_set = ledger.keep_rules(&stored, now).unwrap();
    let receive = |name: &str| {
        let spool = ledger.spool().join(name);
        std::fs::write(&spool, name).unwrap();
        let sha256 = Sha256::of(name.as_bytes());
        let file = ReceivedFile { spool: &spool, sha256, bytes: 1, name, origin: Origin::Hand };
        ledger.receive(&file, run, now).unwrap()
    };
    let before = receive("before.xml.pgp").id.0;
    ledger
        .connection
        .execute_batch(&format!(
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {old})
             INSERT INTO items (time, id, file, ordinal, held, participants)
               SELECT n, randomblob(16), {before}, n, n = 0, zeroblob(16) FROM n;
             UPDATE items SET id = zeroblob(16) WHERE time = 0;
             INSERT INTO message_keys SELECT time / 86400, time FROM items;
             INSERT INTO namings (time, id, file, ordinal, participants)
               SELECT time, id, {before}, ordinal, zeroblob(16) FROM items;
             INSERT INTO held_people SELECT time, id, {before}, zeroblob(16) FROM items;
             INSERT INTO people SELECT 'p' || time, NULL, NULL, NULL, NULL, NULL, 0, 0 FROM items"
        ))
        .unwrap();
    let row = receive("now.xml.pgp");
    let profile = ledger.keep_shape("profile", b"").unwrap();
    ledger.begin_staging(&row, profile, "{}", None, rule_set).unwrap();
    let scratch = ledger.scratch().unwrap();
    note_ten(&scratch);
    assert!(scratch.release_item(0, id(0)).unwrap());
    let manifest = Finished { name: "m".to_owned(), sha256: Sha256::of(b"m"), entries: 10 };
    let commit = Commit {
        file: &row,
        run,
        rule_set,
        books: Books::default(),
        unknown: "[]".to_owned(),
        events: BTreeMap::new(),
        date: None,
        export_firm: None,
        staying: Vec::new(),
        shape: None,
        manifest,
    };
    PASSED.set(0);
    ledger.commit(&scratch, &commit, now).unwrap();
    let passed = PASSED.get();
    let released: bool = ledger
        .connection
        .query_row("SELECT held = 0 FROM items WHERE time = 0 AND file = ?1", [before], |row| row.get(0))
        .unwrap();
    assert!(released);
    passed
}

#[test]
fn a_commit_does_not_look_through_what_was_committed_before() {
    let (few, many) = (passed_after(10), passed_after(5000));
    assert!(few > 0, "what the pass noted is looked through");
    assert_eq!(few, many);
}
