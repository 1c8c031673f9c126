//! Disks that are full, at each stage and for as long as they are; writes that are cut short; disks that may only be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::assert_says_why;
use crate::scene::{Scene, random, settings, some_of};
use crate::strace::{Injection, inject};
use crate::support::archive::cases;
use crate::support::firm::{Said, Settings};

/// A small disk, for whoever may mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn new(place: &Path, kib: usize) -> Option<Self> {
        fs::create_dir(place).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={kib}k,mode=0750"), "none"], place);
        mounted.then(|| Self(place.to_owned()))
    }

    fn becomes(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], place: &Path) -> bool {
    Command::new("mount").args(arguments).arg(place).status().is_ok_and(|status| status.success())
}

/// Says what could not be shown, so that nobody takes it for shown.
fn may_mount(mounted: Option<Mounted>) -> Option<Mounted> {
    if mounted.is_none() {
        assert!(!rustix::process::geteuid().is_root() || std::env::var_os("CI").is_none(), "root of CI may mount");
        println!("NOT SHOWN: this user may not mount a small disk");
    }
    mounted
}

fn assert_failed_or_done(scene: &Scene, said: &Said, when: &str) -> bool {
    assert!(said.code == 1 || said.code == scene.code, "{when}: {said:#?}");
    if said.code == 1 {
        assert_says_why(said, when);
        assert!(
            ["os error 28", "full", "os error 27", "os error 30", "disk I/O"]
                .iter()
                .any(|word| said.err.contains(word)),
            "{when}: {said:#?}"
        );
    }
    said.code == 1
}

/// Either folder on a disk of so many KiB, which grows once the run has failed.
fn on_a_small_disk(scene: &Scene, part: &str, sizes: &[usize]) {
    let (mut failed, sizes) = (0, some_of(sizes, cases(6), |size| *size));
    for kib in &sizes {
        scene.again();
        let Some(disk) = may_mount(Mounted::new(&scene.firm.path(part), *kib)) else { return };
        let when = format!("{part} on a disk of {kib} KiB");
        let said = Said::from(&scene.command().output().unwrap());
        failed += usize::from(assert_failed_or_done(scene, &said, &when));
        disk.becomes("size=64m");
        scene.assert_sound(&when);
        scene.recover(&when);
    }
    println!("{part}: {} sizes, {failed} of them too small", sizes.len());
    assert!(failed * 2 > sizes.len(), "most were large enough");
}

/// No run begins below `staging.min_free`; here it may.
fn however_little_is_free() -> Settings {
    Settings { staging: "min_free = \"0B\"\n".to_owned(), ..settings("") }
}

#[test]
fn a_full_disk_of_the_state() {
    let scene = Scene::first();
    let sizes: Vec<usize> = (1..=220).map(|pages| pages * 4).collect();
    on_a_small_disk(&scene, "state", &sizes);
}

#[test]
fn a_full_disk_of_staging() {
    let scene = Scene::large();
    scene.firm.configure(&however_little_is_free());
    let sizes: Vec<usize> = (1..=60).map(|step| step * 40).collect();
    on_a_small_disk(&scene, "staging", &sizes);
}

/// Before it is full, no run begins.
#[test]
fn a_staging_without_room_is_said_before_anything_is_taken() {
    let scene = Scene::first();
    scene.again();
    let Some(disk) = may_mount(Mounted::new(&scene.firm.path("staging"), 1024)) else { return };
    let said = scene.firm.run(&scene.arguments()).expect(1);
    assert!(said.err.contains("staging.min_free"), "{said:#?}");
    assert!(fs::read_dir(scene.firm.path("state/originals")).unwrap().next().is_none());
    disk.becomes("size=200m,nr_inodes=100k");
    scene.recover("without room");
}

/// From a call on the ledger has no room for any write.
#[test]
fn a_disk_that_stays_full() {
    let scene = Scene::first();
    let writes: Vec<_> = scene.calls.iter().filter(|call| call.name == "pwrite64").collect();
    let (mut failed, some) = (0, some_of(&writes, cases(6), |call| call.name.as_str()));
    for call in &some {
        scene.again();
        let when = format!("no room from {} {} on", call.name, call.nth);
        let (said, _) = inject(&scene.command(), &scene.log, call.aim(), Injection::ErrorFromThereOn("ENOSPC"));
        failed += usize::from(assert_failed_or_done(&scene, &said, &when));
        scene.assert_sound(&when);
        scene.recover(&when);
    }
    println!("no room from one of {} writes of the ledger on: {} tried, {failed} failed", writes.len(), some.len());
}

/// The kernel writes what still fits below the limit, and then nothing: a real short write, of whichever file is the first to
/// grow so large.
#[test]
fn writes_are_cut_short() {
    let scene = Scene::large();
    let mut failed = 0;
    let rounds = cases(6).min(200);
    for _ in 0..rounds {
        scene.again();
        // Blocks of 512 bytes, up to 4 MiB; small ones as often as large ones.
        let blocks = 1 + random(1 << (1 + random(13)));
        let when = format!("files of {blocks} blocks");
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let program = scene.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited, "sh"]).arg(program.get_program()).args(program.get_args());
        let said = Said::from(&shell.env_remove("CREDENTIALS_DIRECTORY").output().unwrap());
        failed += u32::from(assert_failed_or_done(&scene, &said, &when));
        scene.assert_sound(&when);
        scene.recover(&when);
    }
    println!("writes cut short: {failed} runs of {rounds} failed");
}

#[test]
fn a_disk_that_may_only_be_read() {
    for (scene, part) in [(Scene::first(), "state"), (Scene::first(), "staging")] {
        scene.again();
        let Some(disk) = may_mount(Mounted::new(&scene.firm.path(part), 200 << 10)) else { return };
        disk.becomes("ro");
        let said = scene.firm.run(&scene.arguments());
        assert!(assert_failed_or_done(&scene, &said, part));
        assert!(said.err.contains(scene.firm.path(part).to_str().unwrap()), "{said:#?}");
        disk.becomes("rw");
        scene.recover(part);
        scene.firm.run(&scene.arguments()).expect(scene.code);
        disk.becomes("ro");
        for verb in [&["verify"][..], &["status"], &["report"]] {
            // Readers lock with a file beside the ledger; where one cannot be made they say so.
            let said = scene.firm.run(verb).expect(i32::from(part == "state"));
            assert!(part != "state" || said.err.contains("state.directory"), "{said:#?}");
        }
    }
}
