//! SIGKILL at every call that changes files: the next run finishes, and everything is as if nothing had happened.

use std::collections::BTreeMap;

use crate::scene::{Scene, random, some_of};
use crate::strace::{Aim, Call, Injection, inject};
use crate::support::archive::cases;

/// What a process killed by SIGKILL ends with, as a shell has it.
const KILLED: i32 = 128 + 9;

/// Kills the scene's run at a call. Whether it came to that call.
fn kill(scene: &Scene, name: &str, nth: usize) -> bool {
    let (said, calls) = inject(&scene.command(), &scene.log, Aim { name, nth, place: None }, Injection::Kill);
    let is_killed = said.code == KILLED;
    let main = calls.first().map(|call| call.thread);
    let last = calls.iter().rev().find(|call| Some(call.thread) == main).map(|call| (call.name.as_str(), call.nth));
    assert!(!is_killed || last == Some((name, nth)), "killed, but not at {name} {nth}: {last:?}");
    assert!(is_killed || said.code == scene.code, "{name} {nth}: {said:#?}");
    is_killed
}

/// The calls that change files: all are made by one thread. strace counts by thread, so those of others would be missed.
fn changing(scene: &Scene) -> Vec<&Call> {
    let changing: Vec<&Call> = scene.calls.iter().filter(|call| call.changes_files()).collect();
    let others: Vec<_> = changing.iter().filter(|call| call.thread != scene.calls[0].thread).collect();
    assert!(others.is_empty(), "{others:#?}");
    changing
}

/// Every call, or a share of them.
fn sweep(scene: &Scene) {
    let calls = changing(scene);
    let (mut killed, mut missed): (BTreeMap<&str, u32>, u32) = (BTreeMap::new(), 0);
    for Call { name, nth, .. } in some_of(&calls, cases(12), |call| call.name.as_str()) {
        scene.again();
        let when = format!("killed at {name} {nth}");
        // A slow run tells more often how far it is, and what comes over the network comes in more pieces.
        if !kill(scene, name, *nth) {
            missed += 1;
        }
        scene.assert_sound(&when);
        scene.recover(&when);
        *killed.entry(name).or_default() += 1;
    }
    let (count, of) = (killed.values().sum::<u32>() - missed, calls.len());
    println!("{}: killed {count} times at {of} calls, {missed} of which were not made again: {killed:?}", scene.name);
    assert!(missed <= 1 + count / 20);
}

/// And killed once more while it recovers, at a call of the same run's.
fn twice(scene: &Scene) {
    let calls = changing(scene);
    let (mut both, wanted) = (0, cases(3).min(100));
    for _ in 0..wanted {
        scene.again();
        let (first, second) = (calls[random(calls.len())], calls[random(calls.len())]);
        let once = kill(scene, &first.name, first.nth);
        // It may have less to do by now, and not come so far.
        both += u32::from(kill(scene, &second.name, second.nth) && once);
        let when = format!("killed at {} {} and at {} {}", first.name, first.nth, second.name, second.nth);
        scene.assert_sound(&when);
        scene.recover(&when);
    }
    println!("{}: killed twice {both} times of {wanted}", scene.name);
}

/// Whoever looks at a ledger that was being made when its maker died looks at an empty one, and whoever works makes it.
#[test]
fn a_ledger_that_is_half_made() {
    let scene = Scene::first();
    let mut calls = scene.calls.iter().filter(|call| call.name.starts_with("unlink"));
    let call = calls.find(|call| call.words.contains("ledger.db-journal")).unwrap();
    for verb in [&["verify"][..], &["status"]] {
        scene.again();
        assert!(kill(&scene, &call.name, call.nth));
        assert!(scene.firm.path("state/ledger.db-journal").exists());
        // Some verbs make a ledger before there is a mark.
        std::fs::remove_file(scene.firm.path("state/firm")).unwrap();
        scene.firm.run(verb).expect(0);
        scene.recover("half made");
    }
}

#[test]
fn first() {
    let scene = Scene::first();
    sweep(&scene);
    twice(&scene);
}

#[test]
fn replay() {
    let scene = Scene::replay();
    sweep(&scene);
    twice(&scene);
}

#[test]
fn restage() {
    let scene = Scene::restage();
    sweep(&scene);
    twice(&scene);
}

#[test]
fn retention() {
    let scene = Scene::retention();
    sweep(&scene);
    twice(&scene);
}

#[test]
fn site() {
    let scene = Scene::from_the_site();
    sweep(&scene);
    twice(&scene);
}
