//! Ledgers of every age become today's, whoever opens them first.

use super::*;

#[test]
fn an_older_ledger_can_be_read_by_whoever_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let ledger = super::super::Ledger::read(dir.path()).unwrap().unwrap();
    assert!(ledger.versions().unwrap().is_empty() && ledger.open_rejections().unwrap().is_empty());
}

#[test]
fn the_first_programs_after_an_update_do_not_stumble_over_each_other() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("ledger.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch(FIRST).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            let programs = [0; 4].map(|_| {
                scope.spawn(|| {
                    start.wait();
                    super::super::Ledger::read(dir.path()).map(|ledger| ledger.is_some())
                })
            });
            assert!(programs.into_iter().all(|program| program.join().unwrap().unwrap()));
        });
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection).unwrap();
    assert_eq!(version(&connection).unwrap(), MIGRATIONS.len());
    migrate(&mut connection).unwrap();
    connection.pragma_update(None, "user_version", MIGRATIONS.len() + 1).unwrap();
    let error = migrate(&mut connection).unwrap_err();
    assert!(matches!(error, LedgerError::Newer { .. }), "{error}");
}
