//! Reads what operators drop: the mapping folder and the mailbox list, as bytes for the pure room that parses them.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::durable::{AtPath, Disk, FileSystem, PathError};

/// 64 MiB, a hundred times what a mapping of 10,000 people needs.
const LARGEST_MAPPING: u64 = 64 << 20;
/// 256 MiB, several times what a list of 100,000 mailboxes needs.
const LARGEST_LIST: u64 = 256 << 20;

/// The mapping's files in `folder`, sorted by name: all `*.csv` (any case), no dotfiles, no `~$*` (Excel's locks),
/// regular files only, no link followed (contract 6).
///
/// # Errors
/// The folder or a file of it cannot be read, is larger than 64 MiB, or has a name that is not UTF-8 or holds a control
/// character: then nothing of the set counts, for a set without one of its files would be another set.
pub fn read_folder(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, PathError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let name = entry.file_name();
        if is_mapping(name.as_encoded_bytes()) && entry.file_type().is_ok_and(|kind: FileType| kind.is_file()) {
            let not_utf8 = |_| io::Error::other("the name is not UTF-8; rename the file");
            let name = name.into_string().map_err(not_utf8).at(entry.path())?;
            // It would make lines of its own in logs and error files.
            if name.contains(char::is_control) {
                return Err(io::Error::other("the name holds a control character; rename the file")).at(folder);
            }
            names.push(name);
        }
    }
    names.sort_unstable();
    let open = Disk::open(folder)?;
    let read = |name: String| {
        let path = folder.join(&name);
        let bytes = Disk.read(&open, &name, LARGEST_MAPPING).at(&path)?;
        Ok((name, capped(bytes, LARGEST_MAPPING).at(path)?))
    };
    names.into_iter().map(read).collect()
}

/// The bytes of the mailbox list.
///
/// # Errors
/// The file cannot be read, is no regular file, or is larger than 256 MiB.
pub fn read_list(file: &Path) -> Result<Vec<u8>, PathError> {
    if !fs::metadata(file).at(file)?.is_file() {
        return Err(io::Error::other("not a regular file; name the CSV file")).at(file);
    }
    let mut bytes = Vec::new();
    fs::File::open(file).at(file)?.take(LARGEST_LIST + 1).read_to_end(&mut bytes).at(file)?;
    capped(bytes, LARGEST_LIST).at(file)
}

/// What operators' files look like from outside: two equal stamps, taken a while apart, say that nothing was written in
/// between, without a byte being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    folder_can_be_read: bool,
    files: Vec<(OsString, Option<[i64; 6]>)>,
}

impl Stamp {
    /// The stamp of the files that [`read_folder`] would read, and of the list. What cannot be looked at is part of it.
    pub fn of(folder: &Path, list: Option<&Path>) -> Self {
        let entries = fs::read_dir(folder);
        let folder_can_be_read = entries.is_ok();
        let entries = entries.into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .filter(|entry| is_mapping(entry.file_name().as_encoded_bytes()))
            .map(|entry| (entry.file_name(), entry.metadata().ok().map(|found| facts(&found))))
            .collect();
        files.sort_unstable();
        files.extend(list.map(|list| (list.into(), fs::metadata(list).ok().map(|found| facts(&found)))));
        Self { folder_can_be_read, files }
    }
}

/// The change time among them: it cannot be set back, as a copying tool does with the modification time.
fn facts(found: &Metadata) -> [i64; 6] {
    let (inode, size) = (found.ino().cast_signed(), found.size().cast_signed());
    [inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]
}

/// Whether a file of the mapping folder counts by its name (contract 6).
pub fn is_mapping(name: &[u8]) -> bool {
    let suffix = name.len().checked_sub(4).map(|at| &name[at..]);
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b".csv"))
        && !name.starts_with(b".")
        && !name.starts_with(b"~$")
}

fn capped(bytes: Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    let fits = bytes.len() as u64 <= most;
    fits.then_some(bytes).ok_or_else(|| io::Error::other(format!("larger than {} MiB; split it", most >> 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_mapping_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["b.csv", "A.CSV", "c.Csv", ".hidden.csv", ".csv", "~$b.csv", "d.csv.bak", "e.txt", "csv"] {
            fs::write(path(name), name).unwrap();
        }
        fs::create_dir(path("folder.csv")).unwrap();
        fs::write(path("folder.csv/x.csv"), "x").unwrap();
        std::os::unix::fs::symlink("b.csv", path("link.csv")).unwrap();
        let pipe = rustix::fs::CWD;
        rustix::fs::mknodat(pipe, path("pipe.csv"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let read: Vec<_> = read_folder(dir.path()).unwrap();
        let expected = ["A.CSV", "b.csv", "c.Csv"].map(|name| (name.to_owned(), name.as_bytes().to_vec()));
        assert_eq!(read, expected);
        assert!(read_folder(&path("missing")).is_err());
        assert_eq!(read_list(&path("link.csv")).unwrap(), b"b.csv");
        for bad in ["folder.csv", "pipe.csv", "missing.csv"] {
            assert_eq!(read_list(&path(bad)).unwrap_err().path, path(bad));
        }
    }

    #[test]
    fn a_stamp_changes_with_what_would_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, list) = (dir.path().join("mapping"), dir.path().join("list.csv"));
        let stamp = || Stamp::of(&folder, Some(&list));
        let mut seen = vec![stamp()];
        let mut changes = |what: &str| {
            let now = stamp();
            assert_eq!(now, stamp());
            assert!(!seen.contains(&now), "{what} is not noticed");
            seen.push(now);
        };
        fs::create_dir(&folder).unwrap();
        changes("a folder");
        fs::write(folder.join("a.csv"), "one").unwrap();
        changes("a file");
        fs::write(&list, "").unwrap();
        changes("a list");
        fs::write(folder.join("b.csv"), "").unwrap();
        fs::rename(folder.join("b.csv"), folder.join("a.csv")).unwrap();
        changes("another file under the same name");
        fs::rename(folder.join("a.csv"), folder.join("c.csv")).unwrap();
        changes("another name");
        let before = stamp();
        fs::write(folder.join("notes.txt"), "").unwrap();
        assert_eq!(stamp(), before);
    }

    #[test]
    fn names_that_are_not_utf8_and_files_too_large_are_heard_of() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large.csv");
        fs::File::create(&large).unwrap().set_len(LARGEST_MAPPING + 1).unwrap();
        assert_eq!(read_folder(dir.path()).unwrap_err().source.to_string(), "larger than 64 MiB; split it");
        fs::remove_file(large).unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"m\xfcller.csv")), "").unwrap();
        assert!(read_folder(dir.path()).unwrap_err().source.to_string().contains("not UTF-8"));
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("two\nlines.csv"), "").unwrap();
        let error = read_folder(dir.path()).unwrap_err();
        assert!(error.path == dir.path() && error.source.to_string().contains("control character"));
    }
}
