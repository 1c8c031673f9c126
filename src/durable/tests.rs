//! The seam to the file system, on a real one.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_new_file_has_its_mode_and_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_new(&path, 0o600, b"one").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let error = write_new(&path, 0o600, b"two").unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    replace(&path, 0o640, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
}

#[test]
fn new_content_keeps_mode_and_links() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("real"), dir.path().join("link"));
    write_new(&path, 0o640, b"one").unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    replace_content(&link, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(replace_content(&dir.path().join("none"), b"").is_err());
    assert!(!dir.path().join("none").exists());
}

#[test]
fn links_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("file")).unwrap();
    let folder = Disk::open(dir.path()).unwrap();
    assert!(Disk.open_folder(&folder, "real").is_ok());
    assert!(Disk.open_folder(&folder, "link").is_err());
    assert!(Disk.read(&folder, "file", 10).is_err());
    fs::mknodat(&folder, "pipe", fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(Disk.read(&folder, "pipe", 10).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(Disk.read(&folder, "real", 10).is_err());
    assert!(Disk.write_new(&folder, "file", 0o600, b"x").is_err());
}

#[test]
fn what_a_killed_writer_left_goes_with_the_next_write_and_what_others_write_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let own = std::process::id();
    // The first process of all always works.
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let here: String = link.to_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    let stays = [
        format!(".key.{here}.1.tmp"),
        format!(".other.{here}.{}.tmp", dead.id()),
        format!(".key.{here}.x.tmp"),
        // Of another container.
        format!(".key.1.{}.tmp", dead.id()),
    ];
    let goes = [format!(".key.{here}.{}.tmp", dead.id()), format!(".key.{here}.{own}.tmp")];
    for name in stays.iter().chain(&goes) {
        std::fs::write(dir.path().join(name), "half of i").unwrap();
    }
    write_new(&dir.path().join("key"), 0o600, b"one").unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> = stays.into_iter().chain(["key".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
}
