//! `<file>.error.txt` beside a CSV that does not count: what is wrong with it, for the colleague who dropped it and sees
//! no log.
//!
//! Who may write to the folder may also plant things there, so nothing is written through a name that is not ours: a file
//! is written whole under a hidden name that did not exist, then renamed within the folder, which is held open. What
//! stands under its name already is replaced only if its first line says that this program wrote it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use tracing::{info, warn};

use crate::durable::{AtPath, Disk, FileSystem, Folder, PathError};

/// The first line of all that is ours.
const MARK: &str = "icechatd did not take this file.";
const SUFFIX: &str = ".error.txt";
/// For one file at a time; a crash leaves at most this one behind, and the next file replaces it.
const HIDDEN: &str = ".icechatd-error.tmp";
/// The operator reads it, and anybody who sees the CSV may.
const MODE: u32 = 0o644;
/// More lines than anybody mends at a time.
const MOST: usize = 1000;

/// What is wrong with each file of a folder, by name.
pub(super) type Faults = BTreeMap<String, Vec<String>>;

/// Keeps the error files of a folder as the faults of its files are.
#[derive(Debug, Default)]
pub(super) struct ErrorFiles {
    /// What was complained about: a folder that cannot be written is not said again at each set.
    said: HashSet<String>,
}

impl ErrorFiles {
    /// Writes what is wrong beside each file of `faults`, and removes what is beside those of `candidates` that are good or
    /// gone. What cannot be written is said once: ledger and log say what is wrong with the files in any case.
    pub(super) fn keep(&mut self, folder: &Path, faults: &Faults, candidates: impl Fn(&str) -> bool) {
        match keep(folder, faults, candidates) {
            Ok(obstacles) => {
                for obstacle in obstacles.into_iter().filter(|obstacle| self.said.insert(obstacle.clone())) {
                    warn!("{obstacle}");
                }
            }
            // The folder itself is gone, which is said elsewhere.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let line = format!("no error files in {}: {}", error.path.display(), error.source);
                if self.said.insert(line.clone()) {
                    info!("{line}; to have them, let this user write there (systemd: ReadWritePaths=)");
                }
            }
        }
    }
}

/// What stood in the way, file by file.
///
/// # Errors
/// Where the folder cannot be read, or allows no file to be made or removed.
fn keep(folder: &Path, faults: &Faults, candidates: impl Fn(&str) -> bool) -> Result<Vec<String>, PathError> {
    let open = Disk::open(folder)?;
    let mut obstacles = Vec::new();
    for (file, lines) in faults {
        let name = format!("{file}{SUFFIX}");
        match obstacle(&open, &name) {
            Some(why) => obstacles.push(format!("{} is not written: {why}", folder.join(&name).display())),
            None => keep_one(&open, &name, &text(lines)).at(folder)?,
        }
    }
    for entry in std::fs::read_dir(folder).at(folder)? {
        let Ok(name) = entry.at(folder)?.file_name().into_string() else { continue };
        let is_over = |file: &str| candidates(file) && !faults.contains_key(file);
        if name.strip_suffix(SUFFIX).is_some_and(is_over) && standing(&open, &name).is_ok_and(|ours| ours) {
            Disk.unlink(&open, &name).at(folder)?;
        }
    }
    Ok(obstacles)
}

fn text(lines: &[String]) -> String {
    let mut text = format!(
        "{MARK} None of its rows counts; the last good version stays in force.\nMend what is named below, in this file \
         and in all others that have such a page beside them; this page then goes by itself.\n\n"
    );
    for line in lines.iter().take(MOST) {
        text.push_str(line);
        text.push('\n');
    }
    if lines.len() > MOST {
        let _ = writeln!(text, "and {} more", lines.len() - MOST);
    }
    text
}

/// Why a name cannot be used: something bears it that is not ours.
fn obstacle(folder: &Folder, name: &str) -> Option<String> {
    match standing(folder, name) {
        Ok(true) => None,
        Ok(false) => Some("a file that this program did not write has that name; remove it".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Some("a link has that name, and is not followed; remove it".to_owned())
        }
        Err(error) => Some(format!("what has that name cannot be read: {error}")),
    }
}

/// Whether the file of this name is ours.
fn standing(folder: &Folder, name: &str) -> io::Result<bool> {
    Ok(Disk.read(folder, name, MARK.len() as u64)?.starts_with(MARK.as_bytes()))
}

/// What says the same already is left alone: a file that cannot be read is judged every few seconds.
fn keep_one(folder: &Folder, name: &str, text: &str) -> io::Result<()> {
    match Disk.read(folder, name, text.len() as u64 + 1) {
        Ok(standing) if standing == text.as_bytes() => Ok(()),
        _ => write(folder, name, text),
    }
}

/// Whatever is planted under the name meanwhile is replaced, as the name it is, and never written through.
fn write(folder: &Folder, name: &str, text: &str) -> io::Result<()> {
    let written = Disk
        .unlink(folder, HIDDEN)
        .and_then(|()| Disk.write_new(folder, HIDDEN, MODE, text.as_bytes()))
        .and_then(|()| Disk.sync_file(folder, HIDDEN))
        .and_then(|()| Disk.rename_over(folder, HIDDEN, folder, name));
    if written.is_err() {
        // The error that matters is the first.
        let _ = Disk.unlink(folder, HIDDEN);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn faults(names: &[&str]) -> Faults {
        names.iter().map(|name| ((*name).to_owned(), vec!["line 2: bad".to_owned()])).collect()
    }

    fn is_csv(name: &str) -> bool {
        crate::config::is_mapping(name.as_bytes())
    }

    #[test]
    fn files_come_and_go_with_the_faults() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(keep(dir.path(), &faults(&["a.csv", "b.csv"]), is_csv).unwrap().is_empty());
        let text = fs::read_to_string(path("a.csv.error.txt")).unwrap();
        assert!(text.starts_with(MARK) && text.ends_with("\n\nline 2: bad\n"), "{text}");
        assert_eq!(path("a.csv.error.txt").metadata().unwrap().permissions().mode() & 0o7777, 0o644);
        fs::write(path("c.csv.error.txt"), "a colleague's note").unwrap();
        fs::write(path("d.txt.error.txt"), &text).unwrap();
        assert!(keep(dir.path(), &faults(&["b.csv"]), is_csv).unwrap().is_empty());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["b.csv.error.txt", "c.csv.error.txt", "d.txt.error.txt"]);
        assert!(text.lines().count() < 10);
        let many: Vec<_> = (0..MOST + 7).map(|line| format!("line {line}: bad")).collect();
        assert!(super::text(&many).ends_with("line 999: bad\nand 7 more\n"));
    }

    #[test]
    fn what_is_said_already_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("a.csv.error.txt");
        let inode = || std::os::unix::fs::MetadataExt::ino(&page.metadata().unwrap());
        keep(dir.path(), &faults(&["a.csv"]), is_csv).unwrap();
        let first = fs::File::open(&page).unwrap();
        let before = inode();
        keep(dir.path(), &faults(&["a.csv"]), is_csv).unwrap();
        assert_eq!(inode(), before, "the same page");
        fs::OpenOptions::new().append(true).open(&page).unwrap().set_len(40).unwrap();
        keep(dir.path(), &faults(&["a.csv"]), is_csv).unwrap();
        assert_ne!(inode(), before, "one that was cut short is put right");
        drop(first);
    }

    #[test]
    fn nothing_that_is_not_ours_is_written_or_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, outside) = (dir.path().join("mapping"), dir.path().join("outside"));
        fs::create_dir_all(folder.join("folder.csv.error.txt")).unwrap();
        // One that would pass for ours, were it looked at through the link.
        fs::write(&outside, format!("{MARK}\n")).unwrap();
        symlink(&outside, folder.join("link.csv.error.txt")).unwrap();
        symlink("nowhere", folder.join("dangling.csv.error.txt")).unwrap();
        fs::hard_link(&outside, folder.join(HIDDEN)).unwrap();
        fs::write(folder.join("note.csv.error.txt"), "a colleague's note").unwrap();
        let pipe = folder.join("pipe.csv.error.txt");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let before = fs::read_to_string(&outside).unwrap();
        let names = ["dangling.csv", "folder.csv", "good.csv", "link.csv", "note.csv", "pipe.csv"];
        let obstacles = keep(&folder, &faults(&names), is_csv).unwrap();
        assert_eq!(obstacles.len(), 5, "{obstacles:#?}");
        assert!(obstacles[0].contains("dangling.csv.error.txt is not written: a link has that name"), "{obstacles:#?}");
        assert!(folder.join("good.csv.error.txt").is_file());
        assert!(!folder.join("nowhere").exists() && !folder.join(HIDDEN).exists());
        keep(&folder, &Faults::new(), is_csv).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), before);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "only good.csv's was ours");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_once_for_all() {
        // The kernel lets nobody make files there, not even root.
        let folder = Path::new("/sys/kernel");
        let error = keep(folder, &faults(&["a.csv", "b.csv"]), is_csv).unwrap_err();
        assert_eq!(error.path, folder);
        let mut files = ErrorFiles::default();
        for _ in 0..3 {
            files.keep(folder, &faults(&["a.csv", "b.csv"]), is_csv);
            files.keep(Path::new("/nowhere"), &Faults::new(), is_csv);
        }
        assert_eq!(files.said.len(), 1, "{:?}", files.said);
    }
}
