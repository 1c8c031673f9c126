//! Fifty instances at once on the same state, from its first moment on: at most one works at a time, the others say so, and
//! what they come to together is what one would have come to.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use rusqlite::Connection;

use crate::scene::{Scene, random};
use crate::support::archive::cases;
use crate::support::firm::Said;

const INSTANCES: usize = 50;
/// Of another one that works.
const BUSY: i32 = 75;

/// Starts fifty of these verbs at once, and waits for all; what each was asked and said.
fn at_once<'a>(scene: &Scene, verbs: &[&'a [&'a str]]) -> Vec<(&'a [&'a str], Said)> {
    let start = |verb: &&'a [&'a str]| -> (&'a [&'a str], Child) {
        let mut command = scene.firm.command(verb);
        (*verb, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let first = random(verbs.len());
    let started: Vec<_> = verbs.iter().cycle().skip(first).take(INSTANCES).map(start).collect();
    started.into_iter().map(|(verb, child)| (verb, Said::from(&child.wait_with_output().unwrap()))).collect()
}

/// No run began before the one before it had ended. A run that finds another one not ended takes it for dead and says that
/// it was interrupted: nobody was killed here, so none may be.
fn assert_one_at_a_time(scene: &Scene) -> usize {
    let ledger = Connection::open(scene.firm.path("state/ledger.db")).unwrap();
    let mut statement = ledger.prepare("SELECT started, finished, outcome, error FROM runs ORDER BY id").unwrap();
    let runs = statement.query_map([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, Option<i64>>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, Option<String>>(3)?,
        ))
    });
    let mut before = 0;
    let mut count = 0;
    for (started, finished, outcome, error) in runs.unwrap().map(Result::unwrap) {
        assert!(started >= before && error.is_none() && outcome != "failed", "{started} {finished:?} {error:?}");
        before = finished.unwrap();
        count += 1;
    }
    count
}

fn count(said: &[(&[&str], Said)], works: &[&str]) -> BTreeMap<i32, usize> {
    let mut codes = BTreeMap::new();
    for (verb, said) in said {
        let allowed: &[i32] = if works.contains(&verb[0]) { &[0, 3, BUSY] } else { &[0] };
        assert!(allowed.contains(&said.code), "{verb:?}: {said:#?}");
        assert!(said.code != BUSY || said.err.contains("another icechatd is working"), "{said:#?}");
        *codes.entry(said.code).or_default() += 1;
    }
    codes
}

/// What works, and what only reads.
fn rounds(scene: &Scene, verbs: &[&[&str]]) {
    let mut codes: BTreeMap<i32, usize> = BTreeMap::new();
    let mut runs = 0;
    let rounds = cases(1).min(40);
    for _ in 0..rounds {
        scene.again();
        let said = at_once(scene, verbs);
        for (code, times) in count(&said, &["ingest", "replay", "restage"]) {
            *codes.entry(code).or_default() += times;
        }
        // Whichever came first: all of the work was done by one of them or is done now.
        scene.firm.run(verbs[0]);
        runs += assert_one_at_a_time(scene);
        scene.assert_as_undisturbed("by fifty at once");
    }
    println!("{}: {rounds} rounds of {INSTANCES}, exit codes {codes:?}, {runs} runs", scene.name);
}

#[test]
fn at_the_first_start() {
    let scene = Scene::first();
    let arguments = scene.arguments();
    rounds(&scene, &[&arguments]);
}

#[test]
fn at_the_first_start_with_others_that_look() {
    let scene = Scene::first();
    let arguments = scene.arguments();
    let looks: [&[&str]; 3] = [&["verify"], &["status"], &["report", "list"]];
    rounds(&scene, &[&arguments, looks[0], looks[1], &arguments, looks[2], &["replay"]]);
}

#[test]
fn of_every_kind() {
    let scene = Scene::replay();
    let restage = ["restage", "--since", "2020-01-01", "--reason", "who knows"];
    rounds(&scene, &[&["replay"], &["verify"], &restage, &["replay"], &["status"], &["mapping", "unresolved"]]);
}
