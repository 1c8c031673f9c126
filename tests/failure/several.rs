//! A program with several workers, which places two batches at once, is killed, or has a call fail, wherever its threads
//! happen to be. `death` and `faults` try each call of one worker in turn; here each run makes its calls in another order, so
//! that which one it is must be left to chance.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::scene::{Scene, random};
use crate::strace::{Aim, Call, Injection, inject};
use crate::support::archive::cases;

/// The calls by which placing and what goes on beside it change files.
const NAMES: [&str; 7] = ["openat", "write", "linkat", "renameat2", "syncfs", "pwrite64", "fsync"];

/// A call of any thread, by its name and how many of its name its thread makes: each name as likely as any other.
fn any(calls: &[&Call]) -> (String, usize) {
    let name = NAMES[random(NAMES.len())];
    let of_it: Vec<_> = calls.iter().filter(|call| call.name == name).collect();
    (name.to_owned(), of_it[random(of_it.len())].nth)
}

fn each_time(injection: Injection, times: u32, ended: impl Fn(&Scene, i32) -> bool) {
    let scene = Scene::by_several_workers();
    let changing: Vec<&Call> = scene.calls.iter().filter(|call| call.changes_files()).collect();
    let threads: BTreeSet<u32> = changing.iter().map(|call| call.thread).collect();
    assert!(threads.len() > 4, "only {threads:?} changed files");
    let mut codes: BTreeMap<(String, i32), u32> = BTreeMap::new();
    for _ in 0..times {
        let (name, nth) = any(&changing);
        scene.again();
        let (said, _) = inject(&scene.command(), &scene.log, Aim { name: &name, nth, place: None }, injection);
        let when = format!("{injection:?} at {name} {nth}");
        let log = fs::read_to_string(&scene.log).unwrap();
        let is_unsynced = log.lines().any(|line| line.contains("syncfs") && line.contains("(INJECTED)"));
        assert!(!is_unsynced || said.code == 1, "a failed sync was not noticed; {when}: {said:#?}");
        assert!(ended(&scene, said.code), "{when}: {said:#?}");
        scene.assert_sound(&when);
        scene.recover(&when);
        *codes.entry((name, said.code)).or_default() += 1;
    }
    println!("{injection:?}: {codes:?}");
}

#[test]
fn killed_anywhere() {
    each_time(Injection::Kill, cases(6), |scene, code| code == 128 + 9 || code == scene.code);
}

#[test]
fn refused_anywhere() {
    for error in ["EIO", "ENOSPC"] {
        // 127 is the loader's, which could not open a library: the program did not begin.
        each_time(Injection::Error(error), cases(4), |scene, code| [1, 78, 127, scene.code].contains(&code));
    }
}
