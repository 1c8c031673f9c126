//! A disk that forgets: every change since it was last synced may be lost when the power goes, whole or in part.
//!
//! The rules are POSIX's alone, and harsher than any file system that is in use:
//! - `fsync` of a file makes its bytes, length and mode durable, not its name. `fsync` of a folder makes its names durable,
//!   not its own name above. (On ext4, XFS and btrfs the first sync of a new file brings its name along. `SQLite` does not
//!   count on that and syncs the folder when it has made a journal, so the same rule serves for its files.)
//! - `syncfs` makes everything below staging durable, and nothing of the state folder: they may be two file systems.
//! - Of what is not durable any part may have reached the disk, in any order: one name and not another, a later write and
//!   not an earlier one, a length without its bytes (zeros stand there), a write cut off anywhere.
//! - Within one folder a rename is done or not. Between two folders the new name may be there with the old, or neither.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or folder, whatever its names.
pub(super) type Node = usize;

/// The firm's folder.
pub(super) const ROOT: Node = 0;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<String, Node>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Thing {
    pub mode: u32,
    pub content: Content,
}

impl Thing {
    pub(super) fn folder(mode: u32) -> Self {
        Self { mode, content: Content::Folder(BTreeMap::new()) }
    }

    pub(super) fn file(mode: u32) -> Self {
        Self { mode, content: Content::File(Vec::new()) }
    }
}

/// All that lies on it. A node without a name is out of reach.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub nodes: Vec<Thing>,
}

/// A part of one step that is lost or kept by itself.
#[derive(Debug, Clone)]
pub(super) enum What {
    Name { folder: Node, name: String, node: Node },
    NoName { folder: Node, name: String },
    Rename { folder: Node, from: String, to: String, node: Node },
    Write { file: Node, at: usize, bytes: Vec<u8> },
    Length { file: Node, len: usize },
    Mode { node: Node, mode: u32 },
}

impl What {
    /// Whose sync makes it durable.
    pub(super) fn of(&self) -> Node {
        match *self {
            Self::Name { folder, .. } | Self::NoName { folder, .. } | Self::Rename { folder, .. } => folder,
            Self::Write { file, .. } | Self::Length { file, .. } => file,
            Self::Mode { node, .. } => node,
        }
    }

    fn is_of_data(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Length { .. })
    }
}

/// What became of a change that was not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// The length is there, the bytes are not.
    Zeros,
    /// So many thousandths of the write are there.
    Torn(usize),
}

impl Disk {
    /// What lies in a folder; links and devices have no place there.
    pub(super) fn scan(root: &Path) -> Self {
        let mut disk = Self { nodes: vec![Thing::folder(0o700)] };
        let mut known = HashMap::new();
        for part in ["state", "staging"].map(|part| root.join(part)).iter().filter(|part| part.exists()) {
            disk.scan_into(ROOT, part, &mut known);
        }
        disk
    }

    fn scan_into(&mut self, folder: Node, path: &Path, known: &mut HashMap<u64, Node>) {
        let meta = fs::symlink_metadata(path).unwrap();
        assert!(meta.is_dir() || meta.is_file(), "{}", path.display());
        let mode = meta.mode() & 0o7777;
        let node = *known.entry(meta.ino()).or_insert(self.nodes.len());
        if node == self.nodes.len() {
            self.nodes.push(if meta.is_dir() { Thing::folder(mode) } else { Thing::file(mode) });
            if meta.is_file() {
                self.nodes[node].content = Content::File(fs::read(path).unwrap());
            } else {
                for entry in fs::read_dir(path).unwrap() {
                    self.scan_into(node, &entry.unwrap().path(), known);
                }
            }
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        self.apply(&What::Name { folder, name, node }, Fate::Kept);
    }

    pub(super) fn names(&self, folder: Node) -> &BTreeMap<String, Node> {
        match &self.nodes[folder].content {
            Content::Folder(names) => names,
            Content::File(_) => panic!("{folder} is a file"),
        }
    }

    fn names_mut(&mut self, folder: Node) -> &mut BTreeMap<String, Node> {
        match &mut self.nodes[folder].content {
            Content::Folder(names) => names,
            Content::File(_) => panic!("{folder} is a file"),
        }
    }

    pub(super) fn bytes(&self, file: Node) -> &[u8] {
        match &self.nodes[file].content {
            Content::File(bytes) => bytes,
            Content::Folder(_) => panic!("{file} is a folder"),
        }
    }

    fn bytes_mut(&mut self, file: Node) -> &mut Vec<u8> {
        match &mut self.nodes[file].content {
            Content::File(bytes) => bytes,
            Content::Folder(_) => panic!("{file} is a folder"),
        }
    }

    /// The file or folder at a path below the root.
    pub(super) fn at(&self, path: &Path) -> Option<Node> {
        path.components().try_fold(ROOT, |node, part| match &self.nodes[node].content {
            Content::Folder(names) => names.get(part.as_os_str().to_str()?).copied(),
            Content::File(_) => None,
        })
    }

    /// Lets a change happen, as far as its fate lets it.
    pub(super) fn apply(&mut self, what: &What, fate: Fate) {
        if fate == Fate::Lost {
            return;
        }
        match what {
            What::Name { folder, name, node } => drop(self.names_mut(*folder).insert(name.clone(), *node)),
            What::NoName { folder, name } => drop(self.names_mut(*folder).remove(name)),
            What::Rename { folder, from, to, node } => {
                let names = self.names_mut(*folder);
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            What::Write { file, at, bytes } => write(self.bytes_mut(*file), *at, bytes, fate),
            What::Length { file, len } => self.bytes_mut(*file).resize(*len, 0),
            What::Mode { node, mode } => self.nodes[*node].mode = *mode,
        }
    }

    /// Every file with a name below a folder, by path.
    pub(super) fn files(&self, below: &str) -> BTreeMap<PathBuf, Node> {
        let mut found = BTreeMap::new();
        let mut open: Vec<_> = self.at(Path::new(below)).map(|node| (PathBuf::from(below), node)).into_iter().collect();
        while let Some((path, node)) = open.pop() {
            match &self.nodes[node].content {
                Content::File(_) => drop(found.insert(path, node)),
                Content::Folder(names) => open.extend(names.iter().map(|(name, node)| (path.join(name), *node))),
            }
        }
        found
    }

    /// A digest of all that can be reached.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut open = vec![ROOT];
        while let Some(node) = open.pop() {
            self.nodes[node].hash(&mut hasher);
            if let Content::Folder(names) = &self.nodes[node].content {
                open.extend(names.values());
            }
        }
        hasher.finish()
    }

    /// Makes it real in a folder.
    pub(super) fn write_to(&self, folder: &Path, parts: &[&str]) {
        let mut known = HashMap::new();
        for (name, node) in self.names(ROOT).iter().filter(|(name, _)| parts.contains(&name.as_str())) {
            self.write_node(*node, &folder.join(name), &mut known);
        }
    }

    fn write_node(&self, node: Node, path: &Path, known: &mut HashMap<Node, PathBuf>) {
        let thing = &self.nodes[node];
        match &thing.content {
            Content::Folder(names) => {
                fs::DirBuilder::new().mode(0o700).create(path).unwrap();
                for (name, node) in names {
                    self.write_node(*node, &path.join(name), known);
                }
            }
            Content::File(bytes) => {
                if let Some(other) = known.insert(node, path.to_owned()) {
                    return fs::hard_link(other, path).unwrap();
                }
                fs::write(path, bytes).unwrap();
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(thing.mode)).unwrap();
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8], fate: Fate) {
    let kept = match fate {
        Fate::Torn(thousandths) => bytes.len() * thousandths / 1000,
        _ => bytes.len(),
    };
    file.resize(file.len().max(at + kept), 0);
    if fate != Fate::Zeros {
        file[at..at + kept].copy_from_slice(&bytes[..kept]);
    }
}

/// A change, with when it happened and when it was safe, in numbers of calls.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub what: What,
    pub made: usize,
    pub durable: usize,
}

/// How much of what was not synced is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Loss {
    All,
    Nothing,
    /// Names are there, of the files they name no byte is.
    Bytes,
    /// Names and lengths are there, bytes are not.
    BytesForZeros,
    /// As this seed has it.
    Some(u64),
}

/// What a run did to the disk.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    /// Before it, with every node that it made, out of reach as yet.
    pub before: Disk,
    pub changes: Vec<Change>,
    /// Every call that changed or synced something.
    pub calls: Vec<String>,
}

impl Recording {
    /// The disk when the power goes just before a call.
    pub(super) fn cut(&self, call: usize, loss: Loss) -> Disk {
        let mut disk = self.before.clone();
        let mut chance = Chance::of(loss, call);
        for change in self.changes.iter().filter(|change| change.made < call) {
            let fate = if change.durable < call { Fate::Kept } else { chance.fate(&change.what, loss) };
            disk.apply(&change.what, fate);
        }
        disk
    }
}

/// The same numbers for the same seed, always: splitmix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(super) struct Chance {
    state: u64,
    /// Of ten changes so many are lost.
    tenths: u64,
}

impl Chance {
    fn of(loss: Loss, call: usize) -> Self {
        let seed = if let Loss::Some(seed) = loss { seed } else { 0 };
        let mut chance = Self::new(seed.wrapping_mul(0x1_0000).wrapping_add(call as u64));
        chance.tenths = [1, 3, 5, 7, 9][chance.below(5)];
        chance
    }

    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, tenths: 5 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn fate(&mut self, what: &What, loss: Loss) -> Fate {
        match loss {
            Loss::All => Fate::Lost,
            Loss::Bytes if what.is_of_data() => Fate::Lost,
            Loss::BytesForZeros if matches!(what, What::Write { .. }) => Fate::Zeros,
            Loss::Some(_) if self.next() % 10 < self.tenths => Fate::Lost,
            Loss::Some(_) if matches!(what, What::Write { .. }) => match self.below(4) {
                0 => Fate::Zeros,
                1 => Fate::Torn(self.below(1000)),
                _ => Fate::Kept,
            },
            _ => Fate::Kept,
        }
    }
}
