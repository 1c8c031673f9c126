//! The chain's rule, fixed by an example, and that it never forks.

use super::*;

fn keys(at: i64, certificate: &str) -> Deed {
    let what = What::Keys { certificates: vec![certificate.to_owned()] };
    Deed { at: timestamp(at), by: "amy".to_owned(), run: None, what }
}

fn links(ledger: &Ledger) -> Vec<Link> {
    let mut links = Vec::new();
    ledger
        .each_link(|link| {
            links.push(link);
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    links
}

/// The hashes are what `sha256sum` says (docs/evidence.md): a chain that was exported once must be checkable for ever.
#[test]
fn a_link_is_hashed_with_the_one_before_it() {
    let ledger = Ledger::none().unwrap();
    // That it began has a time of its own.
    ledger.connection.execute("DELETE FROM chain", []).unwrap();
    append_deed(&ledger.connection, &keys(0, "AA")).unwrap();
    append_deed(&ledger.connection, &keys(1, "BB")).unwrap();
    let links = links(&ledger);
    let line = r#"{"link":1,"at":"1970-01-01T00:00:00Z","by":"amy","what":"keys","certificates":["AA"]}"#;
    assert_eq!(links[0].line, line);
    assert_eq!(links[0].hash.to_string(), "1a3254fa88ecf32e5c622c3f21ad4661340d8c071dcd4e57e56ff3bafc8d82b5");
    assert_eq!(links[1].hash.to_string(), "8adf6387ab5d90a5bcbd9738f658b2eb8319f787277ef2e6e3ce73b35bcfc39c");
    assert_eq!(ledger.chain_head().unwrap().as_ref(), links.last());
}

#[test]
fn several_writers_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    Ledger::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = dir.path();
            scope.spawn(move || {
                let ledger = Ledger::open(folder).unwrap();
                for turn in 0..25 {
                    let transaction = ledger.writing().unwrap();
                    append_deed(&transaction, &keys(turn, &format!("{writer}-{turn}"))).unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
    });
    let ledger = Ledger::open(dir.path()).unwrap();
    let found = ledger.check_chain(None).unwrap();
    assert_eq!(found.links, 101);
    let unrelated = "the certificates in the ledger are others than the chain's newest";
    assert_eq!(found.faults, [unrelated], "these deeds are in no table");
}
