//! `verify`: what it notices, and what is no fault.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use support::firm::{Firm, sample_export};

fn firm_with_a_day() -> Firm {
    let firm = Firm::of_the_samples();
    firm.deliver_export("icechat.xml.pgp", &sample_export());
    firm.ingest(3);
    let facts = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&facts["files"], &facts["manifests"], &facts["originals"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&facts["items"], &facts["placements"], &facts["standing"]), (&4.into(), &7.into(), &7.into()));
    firm
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    // Staging has lists of its files as well, and says whose it is.
    found.retain(|path| path.extension().is_none_or(|suffix| suffix != "jsonl") && !path.ends_with(".owner"));
    found.sort();
    found
}

/// Changes one byte in the middle, whatever the mode.
fn alter(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Not in place: an EML is one file under several names.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o440)).unwrap();
}

/// The one fault that is found, which says this.
fn fault(firm: &Firm, says: &str) {
    let said = firm.run(&["verify", "--json"]).expect(1).json();
    let faults = said["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{said:#}");
    assert!(faults[0].as_str().unwrap().contains(says), "{said:#}");
    assert!(firm.run(&["verify"]).expect(1).out.contains("faults (1):"));
}

#[test]
fn what_the_importer_took_is_no_fault() {
    let firm = firm_with_a_day();
    let emls = files(&firm.path("staging"));
    fs::remove_file(&emls[0]).unwrap();
    let facts = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&facts["standing"], &facts["taken"]), (&6.into(), &1.into()));
    fs::remove_dir_all(firm.path("staging")).unwrap();
    let facts = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&facts["standing"], &facts["taken"]), (&0.into(), &7.into()));
}

#[test]
fn an_altered_eml_is_named() {
    let firm = firm_with_a_day();
    let eml = files(&firm.path("staging")).remove(2);
    alter(&eml);
    fault(&firm, eml.to_str().unwrap());
}

#[test]
fn an_altered_or_lost_original_is_named() {
    let firm = firm_with_a_day();
    let original = files(&firm.path("state/originals")).remove(0);
    alter(&original);
    fault(&firm, "the original of icechat.xml.pgp was changed");
    fs::remove_file(&original).unwrap();
    fault(&firm, original.to_str().unwrap());
}

#[test]
fn an_altered_or_lost_manifest_is_named() {
    let firm = firm_with_a_day();
    let manifest = files(&firm.path("state/manifests")).remove(0);
    let whole = fs::read(&manifest).unwrap();
    alter(&manifest);
    let said = firm.run(&["verify", "--json"]).expect(1).json();
    let name = manifest.file_name().unwrap().to_str().unwrap();
    assert!(said["faults"][0].as_str().unwrap().contains(name), "{said:#}");
    fs::remove_file(&manifest).unwrap();
    fault(&firm, name);
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    let said = firm.run(&["verify", "--json"]).expect(1).json();
    assert!(said["faults"][0].as_str().unwrap().contains(name), "{said:#}");
    fs::write(&manifest, whole).unwrap();
    firm.run(&["verify"]).expect(0);
}

#[test]
fn rows_that_are_missing_from_the_ledger_are_noticed() {
    for (sql, says) in [
        (
            "DELETE FROM items WHERE id = (SELECT id FROM items WHERE held = 0 LIMIT 1)",
            "the ledger has 4 items of icechat.xml.pgp",
        ),
        ("DELETE FROM manifests", "icechat.xml.pgp is committed without a manifest"),
        ("UPDATE files SET staged = staged + 1", ""),
        ("UPDATE files SET available = available + 1", ""),
    ] {
        let firm = firm_with_a_day();
        let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
        assert_eq!(ledger.execute(sql, []).unwrap(), 1, "{sql}");
        drop(ledger);
        let said = firm.run(&["verify", "--json"]).expect(1).json();
        assert!(
            said["faults"].as_array().unwrap().iter().any(|fault| fault.as_str().unwrap().contains(says)),
            "{sql}: {said:#}"
        );
    }
}

#[test]
fn nothing_recorded_is_no_fault() {
    let firm = Firm::new();
    assert!(firm.run(&["verify"]).expect(0).out.contains("all agree"));
    assert!(!firm.path("state").exists());
}
