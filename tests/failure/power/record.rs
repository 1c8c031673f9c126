//! What a run does to its disk, written down at the system calls: `SQLite` writes without the program's own seam to the file
//! system, and so would any library that is added one day. A call that the recorder does not know and that may concern
//! state or staging is a failure, and so is a disk that is not in the end what the record says.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

use super::call::{Call, calls};
use super::model::{Change, Content, Disk, Fate, Node, ROOT, Recording, Thing, What};

/// Everything that makes, changes, names or syncs a file, and what may do it in a way that is not known here. The question
/// mark: not every machine has them all.
const TRACED: &str = "?open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,write,writev,pwrite64,pwritev,\
    pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,mmap,msync,link,linkat,symlink,symlinkat,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,chmod,fchmod,fchmodat,fchmodat2,\
    fsync,fdatasync,sync_file_range,sync,syncfs,io_uring_setup";

/// Longer than any write.
const LONGEST: &str = "1048576";

/// What a program run with this folder as its own does to the disk; and what it says.
pub(super) fn record(folder: &Path, command: &Command) -> (Recording, Output) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let before = Disk::scan(folder);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-xx", "-s", LONGEST, "-o"])
        .arg(log.path())
        .arg(format!("--trace={}", TRACED.replace(',', ",?")));
    let output = strace.arg(command.get_program()).args(command.get_args()).current_dir(folder).output().unwrap();
    let log = fs::read_to_string(log.path()).unwrap();
    let recording = Recorder::new(folder, before).follow(&calls(&log));
    assert_is(&recording, &Disk::scan(folder));
    (recording, output)
}

/// The record tells all that happened, or this is another disk than the real one.
fn assert_is(recording: &Recording, real: &Disk) {
    let ours = recording.cut(recording.calls.len(), super::model::Loss::Nothing);
    for part in ["state", "staging"] {
        let (ours_by_path, real_by_path) = (ours.files(part), real.files(part));
        assert!(ours_by_path.keys().eq(real_by_path.keys()), "{ours_by_path:?} {real_by_path:?}");
        for (path, node) in ours_by_path {
            let is_same = ours.nodes[node] == real.nodes[real_by_path[&path]];
            assert!(is_same || path.ends_with("ledger.db-shm"), "{} is not what was recorded", path.display());
        }
    }
}

/// An open file or folder of the firm's.
#[derive(Debug, Clone, Copy)]
struct Open {
    node: Node,
    at: usize,
    appends: bool,
}

struct Recorder<'a> {
    root: &'a Path,
    before: Disk,
    now: Disk,
    open: HashMap<u64, Open>,
    changes: Vec<(Change, usize)>,
    calls: Vec<String>,
}

impl<'a> Recorder<'a> {
    fn new(root: &'a Path, before: Disk) -> Self {
        let (open, changes, calls) = (HashMap::new(), Vec::new(), Vec::new());
        Self { root, now: before.clone(), before, open, changes, calls }
    }

    fn follow(mut self, calls: &[Call]) -> Recording {
        for call in calls {
            self.take(call);
        }
        let mut before = self.before;
        // Every node that was made stands ready, as new as it was born; names and bytes come with the changes.
        for made in &self.now.nodes[before.nodes.len()..] {
            let is_folder = matches!(made.content, Content::Folder(_));
            before.nodes.push(if is_folder { Thing::folder(made.mode) } else { Thing::file(made.mode) });
        }
        Recording { before, changes: self.changes.into_iter().map(|(change, _)| change).collect(), calls: self.calls }
    }

    fn take(&mut self, call: &Call) {
        match call.name.as_str() {
            "open" | "openat" | "openat2" | "creat" => self.open(call),
            "close" => drop(self.open.remove(&call.number(0))),
            "fcntl" => self.duplicate(call),
            "lseek" => {
                let at = usize::try_from(call.result).unwrap();
                self.open.entry(call.number(0)).and_modify(|open| open.at = at);
            }
            "mmap" => self.map(call),
            "write" | "pwrite64" | "ftruncate" | "fchmod" => self.change_open(call),
            "mkdir" | "mkdirat" => self.make_folder(call),
            "link" | "linkat" | "rename" | "renameat" | "renameat2" => self.name_anew(call),
            "unlink" | "unlinkat" | "rmdir" => self.remove(call),
            "fsync" | "fdatasync" | "syncfs" => self.sync(call),
            _ => self.refuse(call),
        }
    }

    /// A call that is not known may be anything but the firm's.
    fn refuse(&self, call: &Call) {
        let said = format!("{:.300}", format!("{call:?}"));
        let names_ours = (0..call.arguments.len())
            .any(|index| call.arguments[index].starts_with('"') && self.place(call, index).is_some());
        let is_open = |argument: &String| argument.parse().is_ok_and(|fd: u64| self.open.contains_key(&fd));
        let is_known = !["sync", "io_uring_setup", "close_range"].contains(&call.name.as_str());
        assert!(is_known && !names_ours && !call.arguments.first().is_some_and(is_open), "not known: {said}");
    }

    /// The folder and name that the argument at `index` means, if it is the firm's; the folder it is relative to stands before
    /// it, if it is not the first.
    fn place(&self, call: &Call, index: usize) -> Option<(Node, String)> {
        let path = PathBuf::from(call.text(index));
        let (mut folder, mut parts) = match (path.strip_prefix(self.root), index.checked_sub(1)) {
            (Ok(inner), _) => (ROOT, inner),
            (Err(_), _) if path.is_absolute() => return None,
            (Err(_), Some(before)) if call.arguments[before] != "AT_FDCWD" => {
                (self.open.get(&call.number(before))?.node, path.as_path())
            }
            (Err(_), _) => (ROOT, path.as_path()),
        };
        let name = parts.file_name().map_or_else(String::new, |name| name.to_str().unwrap().to_owned());
        parts = parts.parent().unwrap_or(Path::new(""));
        for part in parts.components() {
            let Component::Normal(part) = part else { panic!("{}", path.display()) };
            let names = match &self.now.nodes[folder].content {
                Content::Folder(names) => names,
                Content::File(_) => return None,
            };
            folder = *names.get(part.to_str().unwrap())?;
        }
        // Of the firm's folder only these two are looked after.
        let is_ours = folder != ROOT || ["", "state", "staging"].contains(&name.as_str());
        is_ours.then_some((folder, name))
    }

    fn open(&mut self, call: &Call) {
        let index = usize::from(call.name != "open" && call.name != "creat");
        let Some((folder, name)) = self.place(call, index) else { return };
        let flags = &call.arguments[index + 1];
        assert!(!flags.contains("O_TMPFILE") && !call.name.ends_with('2') && call.name != "creat", "{call:?}");
        let known = if name.is_empty() { Some(folder) } else { self.now.names(folder).get(&name).copied() };
        let node = known.unwrap_or_else(|| {
            let mode = u32::try_from(call.number(index + 2)).unwrap() & !0o007;
            self.make(call, folder, name, Thing::file(mode))
        });
        if flags.contains("O_TRUNC") {
            self.note(call, What::Length { file: node, len: 0 });
        }
        self.open.insert(call.result, Open { node, at: 0, appends: flags.contains("O_APPEND") });
    }

    fn make_folder(&mut self, call: &Call) {
        let index = usize::from(call.name == "mkdirat");
        if let Some((folder, name)) = self.place(call, index) {
            let mode = u32::try_from(call.number(index + 1)).unwrap() & !0o007;
            self.make(call, folder, name, Thing::folder(mode));
        }
    }

    fn make(&mut self, call: &Call, folder: Node, name: String, thing: Thing) -> Node {
        let node = self.now.nodes.len();
        self.now.nodes.push(thing);
        self.note(call, What::Name { folder, name, node });
        node
    }

    fn duplicate(&mut self, call: &Call) {
        let known = self.open.get(&call.number(0)).copied();
        if let Some(open) = known.filter(|_| call.arguments[1].starts_with("F_DUPFD")) {
            self.open.insert(call.result, open);
        }
    }

    /// Of the firm's only `SQLite`'s index of its log may be written behind the recorder's back: it is made anew from the log
    /// by whoever opens the database first.
    fn map(&self, call: &Call) {
        let is_written = call.arguments[2].contains("PROT_WRITE") && call.arguments[3].contains("MAP_SHARED");
        if is_written && let Some(open) = call.arguments[4].parse().ok().and_then(|fd: u64| self.open.get(&fd)) {
            let files = self.now.files("state");
            let names: Vec<_> = files.iter().filter(|(_, node)| **node == open.node).map(|(path, _)| path).collect();
            assert!(names == [Path::new("state/ledger.db-shm")], "{names:?} is mapped for writing");
        }
    }

    fn change_open(&mut self, call: &Call) {
        let Some(Open { node, at, appends }) = self.open.get(&call.number(0)).copied() else { return };
        let what = match call.name.as_str() {
            "ftruncate" => What::Length { file: node, len: usize::try_from(call.number(1)).unwrap() },
            "fchmod" => What::Mode { node, mode: u32::try_from(call.number(1)).unwrap() },
            name => {
                let mut bytes = call.bytes(1);
                bytes.truncate(usize::try_from(call.result).unwrap());
                let at = match name {
                    "pwrite64" => usize::try_from(call.number(3)).unwrap(),
                    _ if appends => self.now.bytes(node).len(),
                    _ => at,
                };
                if name == "write" {
                    self.open.entry(call.number(0)).and_modify(|open| open.at = at + bytes.len());
                }
                What::Write { file: node, at, bytes }
            }
        };
        self.note(call, what);
    }

    fn name_anew(&mut self, call: &Call) {
        let (from, to) = if call.name.contains("at") { (1, 3) } else { (0, 1) };
        let (Some((folder, name)), Some((to, new_name))) = (self.place(call, from), self.place(call, to)) else {
            return;
        };
        let node = self.now.names(folder)[&name];
        if call.name.starts_with("link") {
            self.note(call, What::Name { folder: to, name: new_name, node });
        } else if folder == to {
            self.note(call, What::Rename { folder, from: name, to: new_name, node });
        } else {
            self.calls.push(shown(call));
            self.note_part(call, What::Name { folder: to, name: new_name, node });
            self.note_part(call, What::NoName { folder, name });
        }
    }

    fn remove(&mut self, call: &Call) {
        let index = usize::from(call.name == "unlinkat");
        if let Some((folder, name)) = self.place(call, index) {
            self.note(call, What::NoName { folder, name });
        }
    }

    fn sync(&mut self, call: &Call) {
        let Some(open) = self.open.get(&call.number(0)).copied() else { return };
        let everything = call.name == "syncfs";
        let staging = everything.then(|| self.below_staging());
        let number = self.calls.len();
        self.calls.push(shown(call));
        // What another thread did while the sync was under way may have come too late for it.
        for (change, _) in self.changes.iter_mut().filter(|(_, done)| *done < call.begun) {
            let is_meant = match &staging {
                Some(staging) => staging.contains(&change.what.of()) || is_name_of_staging(&change.what),
                None => change.what.of() == open.node,
            };
            if is_meant {
                change.durable = change.durable.min(number);
            }
        }
    }

    /// Every node that is, or was, below the staging folder.
    fn below_staging(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = self.now.at(Path::new("staging")).into_iter().collect();
        let mut next = 0;
        while next < nodes.len() {
            if let Content::Folder(names) = &self.now.nodes[nodes[next]].content {
                nodes.extend(names.values());
            }
            next += 1;
        }
        nodes
    }

    fn note(&mut self, call: &Call, what: What) {
        self.calls.push(shown(call));
        self.note_part(call, what);
    }

    fn note_part(&mut self, call: &Call, what: What) {
        self.now.apply(&what, Fate::Kept);
        let made = self.calls.len() - 1;
        self.changes.push((Change { what, made, durable: usize::MAX }, call.done));
    }
}

fn is_name_of_staging(what: &What) -> bool {
    matches!(what, What::Name { folder: ROOT, name, .. } if name == "staging")
}

/// The call as a person reads it.
fn shown(call: &Call) -> String {
    let argument = |index: usize| {
        let text = &call.arguments[index];
        let is_text = text.starts_with('"') && text.len() < 800;
        if is_text { format!("{:?}", String::from_utf8_lossy(&call.bytes(index))) } else { format!("{text:.20}") }
    };
    let arguments: Vec<String> = (0..call.arguments.len()).map(argument).collect();
    format!("{}({})", call.name, arguments.join(", "))
}
