//! What the file system itself takes for a tree that `icechatd` made: each file created, written from ready bytes and
//! linked, and one `syncfs` at the end. Nothing that stages durably can do with less.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags};

/// An EML and where it stands.
#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    spots: Vec<(usize, String)>,
}

/// All EMLs of a staging folder.
#[derive(Debug)]
pub(crate) struct Tree {
    folders: Vec<String>,
    files: Vec<File>,
}

impl Tree {
    /// Reads what stands in a staging folder, in the order in which it was made.
    pub(crate) fn read(staging: &Path) -> Self {
        let (mut folders, mut files) = (Vec::new(), BTreeMap::new());
        let mut by_inode: HashMap<u64, String> = HashMap::new();
        for mailbox in fs::read_dir(staging).unwrap() {
            let mailbox = mailbox.unwrap().file_name().into_string().unwrap();
            if mailbox.starts_with('.') {
                continue;
            }
            for entry in fs::read_dir(staging.join(&mailbox).join("ICE Chat")).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                // Names begin with the item's time.
                let first = by_inode.entry(entry.metadata().unwrap().ino()).or_insert_with(|| name.clone());
                let bytes = || File { bytes: fs::read(entry.path()).unwrap(), spots: Vec::new() };
                files.entry(first.clone()).or_insert_with(bytes).spots.push((folders.len(), name));
            }
            folders.push(mailbox);
        }
        Self { folders, files: files.into_values().collect() }
    }

    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn placements(&self) -> usize {
        self.files.iter().map(|file| file.spots.len()).sum()
    }

    /// Seconds that it takes to make it in an empty folder, on so many threads.
    pub(crate) fn make(&self, root: &Path, threads: usize) -> f64 {
        let begun = Instant::now();
        let open = |mailbox: &String| {
            let folder = root.join(mailbox).join("ICE Chat");
            fs::create_dir_all(&folder).unwrap();
            rustix::fs::open(&folder, OFlags::DIRECTORY | OFlags::PATH, Mode::empty()).unwrap()
        };
        let folders: Vec<OwnedFd> = self.folders.iter().map(open).collect();
        std::thread::scope(|scope| {
            for part in self.files.chunks(self.files.len().div_ceil(threads)) {
                scope.spawn(|| part.iter().for_each(|file| file.make(&folders)));
            }
        });
        rustix::fs::syncfs(fs::File::open(root).unwrap()).unwrap();
        begun.elapsed().as_secs_f64()
    }
}

impl File {
    fn make(&self, folders: &[OwnedFd]) {
        let ((first, name), others) = self.spots.split_first().unwrap();
        let folder = folders[*first].as_fd();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::from(0o440)).unwrap();
        assert_eq!(rustix::io::write(&file, &self.bytes).unwrap(), self.bytes.len());
        for (other, other_name) in others {
            rustix::fs::linkat(folder, name, &folders[*other], other_name, AtFlags::empty()).unwrap();
        }
    }
}
