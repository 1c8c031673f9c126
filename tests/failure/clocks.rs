//! A clock that was set wrong for a run, and one that is set back and forward while runs work: names, bytes, books and proof
//! do not depend on it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::scene::{Scene, random};
use crate::support::archive::cases;
use crate::support::firm::Said;

/// Debian's libfaketime, for programs with threads.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path().join("faketime"));
    let mut libraries = folders.map(|folder| folder.join("libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime; .ci/setup tests installs it")
}

fn with_clock(mut command: Command, offset: &str) -> Command {
    command.env("LD_PRELOAD", library()).env("FAKETIME", offset);
    command
}

/// An offset from the real time, in seconds: up to ten days either way.
fn some_offset() -> String {
    let seconds = random(20 * 86_400).cast_signed() - 10 * 86_400;
    format!("{}{seconds}", if seconds < 0 { "" } else { "+" })
}

/// A run by a wrong clock, whose ledger then meets the right one; and the other way round.
#[test]
fn set_between_runs() {
    for scene in [Scene::first(), Scene::replay()] {
        for offset in ["-3000d".to_owned(), "+3000d".to_owned(), some_offset()] {
            scene.again();
            let said = Said::from(&with_clock(scene.command(), &offset).output().unwrap());
            assert_eq!(said.code, scene.code, "{offset}: {said:#?}");
            let this_year = format!("run {}", jiff::Zoned::now().year());
            assert!(!offset.ends_with('d') || !said.out.contains(&this_year), "the clock was not set: {said:#?}");
            scene.assert_same_books_and_staging(&format!("by a clock at {offset}"));
            scene.firm.run(&scene.arguments()).expect(scene.code);
            scene.assert_same_books_and_staging(&format!("after a clock at {offset}"));
        }
    }
}

/// Somebody turns the clock all the time.
#[test]
fn set_while_runs_work() {
    for scene in [Scene::first(), Scene::replay()] {
        let file = scene.firm.path("clock");
        for _ in 0..cases(2).min(40) {
            scene.again();
            fs::write(&file, "+0").unwrap();
            let mut command = scene.command();
            command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", &file).env("FAKETIME_NO_CACHE", "1");
            let turned = AtomicBool::new(true);
            let said = thread::scope(|scope| {
                scope.spawn(|| {
                    while turned.load(Ordering::Relaxed) {
                        let next = file.with_extension("next");
                        fs::write(&next, some_offset()).unwrap();
                        fs::rename(next, &file).unwrap();
                        thread::sleep(Duration::from_micros(200));
                    }
                });
                let said = Said::from(&command.stdin(Stdio::null()).output().unwrap());
                turned.store(false, Ordering::Relaxed);
                said
            });
            assert_eq!(said.code, scene.code, "{said:#?}");
            scene.assert_same_books_and_staging("by a clock that was turned");
            scene.firm.run(&scene.arguments()).expect(scene.code);
            scene.assert_same_books_and_staging("after a clock that was turned");
        }
    }
}
