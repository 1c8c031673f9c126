//! The house rules that a reader of one file cannot see broken: which room knows which, one foreign library to a file, how
//! pure rooms stay pure, and that files stay short. The tables are those of `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below `src/`, and its code without comments, text literals and unit tests.
struct Source {
    path: String,
    code: String,
    lines: usize,
    first: String,
}

impl Source {
    fn room(&self) -> &str {
        let (room, _) = self.path.split_once('/').unwrap_or((self.path.trim_end_matches(".rs"), ""));
        room
    }

    /// Whether it is within a place as the tables name it: a file, a folder with a slash, or a file and the folder below.
    fn is_in(&self, place: &str) -> bool {
        self.path == place || (place.ends_with('/') && self.path.starts_with(place))
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.ends_with("testing.rs")
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    assert!(paths.len() > 50, "{paths:?}");
    paths.iter().map(|path| source(&root, path)).collect()
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    Source {
        path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
        code: code.join("\n"),
        lines: text.lines().count(),
        first: text.lines().next().unwrap_or_default().to_owned(),
    }
}

fn architecture() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap()
}

/// The rows below a heading, cell by cell, without the header.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let below = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = below.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands in back quotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rooms that `code` names: `crate::room`, and those in `crate::{…}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => named.extend(list.split('}').next().unwrap().split(',').map(word)),
            None => drop(named.insert(word(after))),
        }
    }
    // Constants and macros of the crate itself are no rooms.
    named.retain(|name| name.starts_with(char::is_lowercase));
    named
}

#[test]
fn each_room_imports_what_the_page_says() {
    let all = sources();
    let mut real: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in
        all.iter().filter(|source| !source.is_test() && !["lib.rs", "main.rs"].contains(&source.path.as_str()))
    {
        let mut named = rooms_named(&source.code);
        named.remove(source.room());
        real.entry(source.room()).or_default().extend(named);
    }
    let mut said = BTreeMap::new();
    for row in table(&architecture(), "Rooms") {
        let path = &quoted(&row[0])[0];
        said.insert(path.trim_end_matches(".rs").trim_end_matches('/').to_owned(), row[2].clone());
    }
    assert_eq!(
        real.keys().collect::<Vec<_>>(),
        said.keys().map(String::as_str).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    for (room, imports) in real {
        if said[room] == "everything below" {
            continue;
        }
        let listed: BTreeSet<String> = quoted(&said[room]).into_iter().collect();
        assert_eq!(imports, listed, "{room}: what it imports, and what docs/architecture.md says");
    }
}

/// Nobody knows the verbs, and only the verbs know the daemon, the demo and the checks.
#[test]
fn the_shell_is_known_to_nobody() {
    for source in sources().iter().filter(|source| source.room() != "main" && source.room() != "lib") {
        let named = rooms_named(&source.code);
        assert!(!named.contains("cli") || source.room() == "cli", "{}", source.path);
        for room in ["daemon", "demo", "check", "ingest"] {
            let may = ["cli", "demo", room].contains(&source.room());
            assert!(may || !named.contains(room), "{} names {room}", source.path);
        }
    }
}

/// Each library has its place, so that leaving it touches that place alone.
const PLACES: &[(&str, &[&str])] = &[
    ("russh", &["download/sftp/", "keys/ssh.rs", "demo/site.rs"]),
    ("russh_sftp", &["download/sftp/", "demo/site.rs"]),
    ("backon", &["download/sftp.rs"]),
    ("sequoia_openpgp", &["decrypt/", "keys/pgp.rs", "keys/pgp/", "demo/seal.rs"]),
    ("quick_xml", &["export/xml.rs"]),
    ("toml", &["config/document.rs", "export/profile.rs"]),
    ("toml_edit", &["config/edit.rs"]),
    ("csv", &["resolve/table.rs"]),
    ("encoding_rs", &["resolve/table.rs"]),
    ("strsim", &["resolve/suggest.rs"]),
    ("mail_builder", &["eml/mod.rs"]),
    ("reqwest", &["alert/web.rs", "entra/web.rs", "stage/azure/transport.rs"]),
    // The room at the store has a file for each thing that it does with it.
    ("azure_core", &["entra/azure.rs", "stage/azure.rs", "stage/azure/"]),
    ("azure_storage_blob", &["stage/azure.rs", "stage/azure/blob.rs", "stage/azure/client.rs"]),
    ("azure_identity", &["stage/azure/sign_in.rs"]),
    ("md5", &["stage/azure.rs"]),
    ("lettre", &["alert/letter.rs"]),
    ("rusqlite", &["ledger/"]),
    ("flate2", &["ledger/", "archive/tar.rs", "archive/tests.rs"]),
    // The modules that know them bear their names.
    ("tar", &["archive.rs", "archive/tar.rs", "archive/tests.rs"]),
    ("zip", &["archive.rs", "archive/zip.rs", "archive/tests.rs"]),
    ("aws_lc_rs", &["archive/sealed.rs", "entra/assertion.rs"]),
    ("x509_cert", &["entra/certificate.rs"]),
    ("rcgen", &["keys/entra.rs"]),
    ("indicatif", &["cli/progress.rs"]),
    ("tracing_subscriber", &["cli/logging.rs"]),
    ("tracing_journald", &["cli/logging.rs"]),
    ("hyper", &["metrics/server.rs"]),
    ("hyper_util", &["metrics/server.rs"]),
    ("http_body_util", &["metrics/server.rs"]),
    ("prometheus_client", &["metrics/page.rs"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/completions.rs"]),
    ("clap_mangen", &["cli/man.rs"]),
    ("tokio_cron_scheduler", &["daemon/waker.rs"]),
    ("sd_notify", &["daemon/systemd.rs"]),
    ("notify", &["daemon/hints.rs"]),
    // A pattern is what `site.files` is made of.
    ("glob", &["config/", "download/"]),
    (
        "tokio",
        &[
            "download/sftp.rs",
            "download/sftp/",
            "demo/site.rs",
            "daemon.rs",
            "daemon/",
            "metrics/server.rs",
            "alert/deliver.rs",
            "cli/stop.rs",
            "entra/sign_in.rs",
            "stage/azure/client.rs",
            "stage/azure/transport.rs",
            "directory.rs",
            "directory/",
        ],
    ),
    ("russh_keys", &[]),
];

#[test]
fn each_foreign_library_is_known_to_its_place_alone() {
    let all = sources();
    for (library, places) in PLACES {
        for source in &all {
            let known = ["{}::", "use {};", "use {} "]
                .map(|form| form.replace("{}", library))
                .iter()
                .any(|name| has_word(&source.code, name));
            let may = places.iter().any(|place| source.is_in(place));
            assert!(may || !known, "{} knows {library}", source.path);
        }
        for place in *places {
            assert!(
                all.iter().any(|source| source.is_in(place) && has_word(&source.code, library)),
                "{place}: {library}"
            );
        }
    }
}

/// Whether the text stands in the code with no letter before it.
fn has_word(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn pure_rooms_know_no_world() {
    let world = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "tokio",
        "tracing",
        "Timestamp::now",
        "Zoned::now",
        "Disk",
        "File::open",
        "println!",
        "eprintln!",
        "rustix",
    ];
    for source in sources() {
        let pure = ["export", "resolve", "eml", "schedule", "books", "digest", "domain", "mailbox", "cause"]
            .contains(&source.room());
        // Arithmetic of one room that is not pure otherwise.
        let pure = pure
            || ["daemon/pulse.rs", "download/listing.rs", "directory/page.rs", "directory/users.rs"]
                .contains(&source.path.as_str());
        for word in world.iter().filter(|_| pure && !source.is_test()) {
            assert!(!has_word(&source.code, word), "{} knows {word}", source.path);
        }
    }
}

#[test]
fn every_file_says_why_it_is_and_is_short() {
    for source in sources() {
        assert!(source.first.starts_with("//! "), "{} opens with {:?}", source.path, source.first);
        assert!(source.is_test() || source.lines <= 400, "{} has {} lines", source.path, source.lines);
    }
}

/// The lints forbid `unsafe` and unexplained `allow`; this says that nobody turned the lints off.
#[test]
fn no_lint_is_turned_off_in_passing() {
    for source in sources() {
        assert!(!source.code.contains("#[allow(") && !source.code.contains("#![allow("), "{}", source.path);
    }
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}
