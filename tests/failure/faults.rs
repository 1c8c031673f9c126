//! Each call fails: the run does without it, or fails with one line that says what and where; nothing wrong stands anywhere,
//! and the next undisturbed run makes good.

use std::collections::BTreeMap;

use crate::scene::{Scene, some_of};
use crate::strace::{Aim, Call, Injection, inject};
use crate::support::archive::cases;
use crate::support::firm::Said;

/// By a signal: it says nothing about the disk, and whoever gets it may try again.
const INTERRUPTED: &str = "EINTR";

/// Why a run that could not do its work says so: in the last line of its log, and once.
pub(crate) fn assert_says_why(said: &Said, when: &str) {
    let complaints = said.err.lines().filter(|line| line.starts_with("icechatd: ")).count();
    assert_eq!(complaints, 1, "{when}: {said:#?}");
    assert!(said.err.ends_with('\n') && !said.err.contains("panicked"), "{when}: {said:#?}");
}

/// Has one call of the scene's run fail. Whether the run failed by it.
fn fail(scene: &Scene, call: &Call, aim: Aim<'_>, error: &'static str) -> bool {
    let when = format!("{error} at {aim:?}: {}({}", call.name, call.words);
    scene.again();
    let (said, calls) = inject(&scene.command(), &scene.log, aim, Injection::Error(error));
    let has_failed = said.code == if call.words.contains("/config.toml") { 78 } else { 1 };
    assert!(has_failed || said.code == scene.code, "{} {when}: {said:#?}", scene.name);
    if has_failed {
        assert_says_why(&said, &when);
    }
    if error != INTERRUPTED {
        assert_not_synced_again(&calls, &when);
    }
    if !has_failed {
        assert_noticed(scene, call, error, &when);
    }
    scene.assert_sound(&when);
    scene.recover(&when);
    has_failed
}

/// The kernel may have dropped what it could not write, and a second sync would not say so.
fn assert_not_synced_again(calls: &[Call], when: &str) {
    let failed = calls.iter().position(|call| call.synced().is_some() && call.words.contains("(INJECTED)"));
    let Some(failed) = failed else { return };
    let place = calls[failed].synced().unwrap();
    let again = calls[failed + 1..].iter().any(|call| call.synced() == Some(place));
    assert!(!again || may_be_synced_again(place), "{when}: {place} was synced again");
}

/// What was written anew in between: SQLite takes a transaction back whose sync failed, and writes the next one's pages; a
/// ready list is another file each time; in the spool each export is one of its own, and nobody relies on its name.
fn may_be_synced_again(place: &str) -> bool {
    ["/ledger.db", "/.ready", "/spool"].iter().any(|anew| place.contains(anew)) || is_sqlites(place)
}

/// SQLite syncs the folder when it has made a journal there, and does not look whether that succeeded.
fn is_sqlites(place: &str) -> bool {
    place.ends_with("/state")
}

/// Whatever could not be made durable fails the run. Once all is committed and listed, SQLite moves its log into the database at leisure: where it cannot, the log
/// stays, and the next run does it.
fn assert_noticed(scene: &Scene, call: &Call, error: &str, when: &str) {
    let Some(place) = call.synced().filter(|place| !is_sqlites(place)) else { return };
    let at = |wanted: &dyn Fn(&Call) -> bool| scene.calls.iter().rposition(wanted);
    let listed = at(&|call| call.synced().is_some_and(|place| place.contains("/.ready")));
    let is_last = place.contains("/ledger.db") && at(&|other| other == call) > listed;
    assert!(is_last || error == INTERRUPTED, "{when}: not noticed");
}

fn sweep(scene: &Scene) {
    let folder = scene.firm.dir.path();
    let main = scene.calls[0].thread;
    let calls: Vec<&Call> = scene.calls.iter().filter(|call| call.thread == main && call.is_below(folder)).collect();
    let all: Vec<(&Call, &str)> =
        ["EIO", "ENOSPC", INTERRUPTED].iter().flat_map(|error| calls.iter().map(|call| (*call, *error))).collect();
    let mut counts: BTreeMap<(&str, &str), [u32; 2]> = BTreeMap::new();
    for (call, error) in some_of(&all, cases(12), |(call, error)| (call.name.as_str(), *error)) {
        let failed = fail(scene, call, call.aim(), error);
        counts.entry((error, &call.name)).or_default()[usize::from(failed)] += 1;
    }
    println!("{}: [survived, failed] of {}: {counts:?}", scene.name, all.len());
}

/// What other threads do is read originals.
#[test]
fn an_original_that_cannot_be_read() {
    for scene in [Scene::first(), Scene::replay()] {
        let main = scene.calls[0].thread;
        let read = scene.calls.iter().filter(|call| call.thread != main && call.is_below(scene.firm.dir.path()));
        let read: Vec<&Call> = read.collect();
        let all: Vec<(&Call, usize)> = read.iter().flat_map(|call| (1..=4).map(|nth| (*call, nth))).collect();
        let some = some_of(&all, cases(4), |(call, nth)| (call.name.as_str(), *nth));
        for (call, nth) in &some {
            let place = call.place().filter(|place| place.contains("/originals/"));
            assert!(place.is_some(), "{call:?}");
            fail(&scene, call, Aim { name: &call.name, nth: *nth, place }, "EIO");
        }
        println!("{}: {} reads of originals failed", scene.name, some.len());
    }
}

#[test]
fn a_sync_that_fails() {
    for scene in [Scene::first(), Scene::replay()] {
        let calls: Vec<&Call> = scene.calls.iter().filter(|call| call.synced().is_some()).collect();
        let some = some_of(&calls, cases(8), |call| call.synced().map(str::to_owned));
        for call in &some {
            fail(&scene, call, call.aim(), "EIO");
        }
        println!("{}: {} of {} syncs tried", scene.name, some.len(), calls.len());
    }
}

#[test]
fn first() {
    sweep(&Scene::first());
}

#[test]
fn replay() {
    sweep(&Scene::replay());
}
