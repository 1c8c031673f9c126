//! The man pages and the completions that the package ships: one page for each verb, rendered by groff without a warning,
//! with what `--help` does not say; and the exit codes, the same on every page that lists them.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use icechatd::exit_code::ExitCode;
use support::firm::Said;

/// Every verb that `--help` shows, with its verbs, as its page is named.
fn verbs() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![Vec::new()];
    while let Some(verb) = open.pop() {
        let help = Said::to(&[&verb[..], &["--help"]].concat()).expect(0).out;
        let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
        for line in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let name = line.split_whitespace().next().unwrap().to_owned();
            if name != "help" {
                let name: &'static str = name.leak();
                open.push([&verb[..], &[name]].concat());
            }
        }
        found.insert([&["icechatd"], &verb[..]].concat().join("-"));
    }
    found
}

/// The pages as they are written, by name.
fn pages() -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("man1");
    let said = Said::to(&["man-pages", into.to_str().unwrap()]).expect(0);
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(&into).unwrap() {
        let path = entry.unwrap().path();
        assert!(said.out.contains(path.to_str().unwrap()), "{said:?}");
        let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".1").unwrap().to_owned();
        pages.insert(name, fs::read_to_string(&path).unwrap());
    }
    pages
}

/// What groff makes of a page, and what it complains of.
fn rendered(page: &str) -> (String, String) {
    let mut command = Command::new("groff");
    // Neither colours nor overstriking.
    command.args(["-ww", "-man", "-Tutf8", "-P-cbou"]).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = command.spawn().expect("groff is of the package groff-base; .ci/setup installs it");
    groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = groff.wait_with_output().unwrap();
    let words = |bytes| String::from_utf8(bytes).unwrap();
    (words(output.stdout), words(output.stderr))
}

#[test]
fn every_verb_has_a_page_that_renders() {
    let (verbs, pages) = (verbs(), pages());
    assert!(verbs.contains("icechatd-keys-init") && verbs.len() > 30, "{verbs:?}");
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), verbs);
    for (name, page) in &pages {
        let (shown, complaints) = rendered(page);
        assert_eq!(complaints, "", "{name}");
        assert!(page.is_ascii(), "{name}");
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "SEE ALSO"] {
            assert!(shown.contains(&format!("\n{heading}\n")), "{name} lacks {heading}:\n{shown}");
        }
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for code in ExitCode::ALL {
            let line = format!(" {} {} ", code.code(), code.meaning());
            assert!(words.contains(&line), "{name} lacks {line:?}:\n{shown}");
        }
        assert!(shown.contains("/etc/icechatd/config.toml") && shown.contains("/var/lib/icechatd/staging"), "{name}");
        assert!(!shown.contains("config-on-stdin") && !shown.contains("man-pages"), "{name} shows what is hidden");
        let others = page.split(".SH \"SEE ALSO\"").nth(1).unwrap();
        let others = others.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-");
        for other in others.split(", ").filter_map(|other| other.trim().strip_suffix("(1)")) {
            assert!(pages.contains_key(other) || other == "systemd-creds", "{name} points to {other}");
        }
        assert!(others.contains("icechatd"), "{name} points to no other page: {others}");
    }
    let (main, _) = rendered(&pages["icechatd"]);
    assert!(main.contains("CREDENTIALS_DIRECTORY") && main.contains("icechatd-ingest(1)"), "{main}");
    let (_, complaints) = rendered(&format!("{}\n.nonsense\n", pages["icechatd"]));
    assert!(complaints.contains("nonsense"), "groff does not warn: {complaints}");
}

#[test]
fn a_page_is_replaced_and_a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("icechatd.1"), "old").unwrap();
    Said::to(&["man-pages", folder.path().to_str().unwrap()]).expect(0);
    assert!(fs::read_to_string(folder.path().join("icechatd.1")).unwrap().contains(".TH ICECHATD 1"));
    let said = Said::to(&["man-pages", "/nowhere/man1"]).expect(1);
    assert!(said.err.contains("/nowhere/man1"), "{said:?}");
}

#[test]
fn shells_complete_what_help_shows_and_nothing_hidden() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Said::to(&["completions", shell]).expect(0).out;
        for word in ["ingest", "rotate", "dry-run", "unresolved", "completions"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
        assert!(!script.contains("config-on-stdin") && !script.contains("man-pages"), "{shell} offers what is hidden");
    }
    let script = Said::to(&["completions", "bash"]).expect(0).out;
    let ask = "source /dev/stdin; COMP_WORDS=(icechatd keys ''); COMP_CWORD=2; _icechatd icechatd '' keys; \
               echo ${COMPREPLY[@]}";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ask]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    let offered = String::from_utf8(output.stdout).unwrap();
    assert!(
        ["init", "show", "rotate"].iter().all(|verb| offered.split_whitespace().any(|word| word == *verb)),
        "{offered}"
    );
    Said::to(&["completions", "nonsense"]).expect(2);
}

/// One list of exit codes, in the code; every page that lists them has these words.
#[test]
fn documents_list_the_exit_codes_as_they_are() {
    for page in ["README.md", "docs/exit-codes.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        for code in ExitCode::ALL {
            let row = format!("\n| {} | {} |", code.code(), code.meaning());
            assert!(text.contains(&row), "{page} lacks {row:?}");
        }
    }
}
