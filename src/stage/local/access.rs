//! Who may read a staging folder and who may remove from it (`staging.group`, `staging.importer_may_delete`).
//!
//! Below a set-group-ID folder everything is of its group from its first moment on (inode(7)). The program counts on
//! that, for its unit lets it neither hand anything to a group nor set that bit; so the root has to have both, and what
//! is made below it has them by itself. Where the program may, it mends what is otherwise; where not, it says how.

use std::path::Path;

use super::Layout;
use crate::durable::{Access, FileSystem, Folder};
use crate::stage::StageError;

const SET_GROUP_ID: u32 = 0o2000;
const OF_GROUP: u32 = 0o070;
/// How a group that is not mapped is shown, unless somebody changed /proc/sys/kernel/overflowgid.
const NOBODY: u32 = 65534;

/// What the group may do in a folder, as permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Nothing; but what stands there is the group's, for it will be linked elsewhere.
    Nothing,
    /// Look and pass through.
    Read,
    /// The same, and an operator may have allowed more.
    ReadAtLeast,
    /// Remove as well.
    Remove,
}

impl Allowed {
    fn bits(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Read | Self::ReadAtLeast => 0o050,
            Self::Remove => 0o070,
        }
    }

    fn is_met_by(self, mode: u32) -> bool {
        match self {
            Self::ReadAtLeast => mode & self.bits() == self.bits(),
            _ => mode & OF_GROUP == self.bits(),
        }
    }
}

/// Sees to it that the folder is the group's as configured; `root` is the staging folder it is part of. Without a group,
/// and with nothing to remove for it, whatever an operator arranged is left alone.
pub(super) fn ensure<F: FileSystem>(
    fs: &F,
    folder: &Folder,
    layout: &Layout,
    allowed: Allowed,
    (shown, root): (&Path, &Path),
) -> Result<(), StageError> {
    if layout.group.is_none() && !layout.importer_may_delete {
        return Ok(());
    }
    adjust(fs, folder, layout, allowed, shown).map_err(|source| StageError::NotTheGroups {
        path: shown.display().to_string(),
        command: command(layout, root),
        source,
    })
}

fn adjust<F: FileSystem>(
    fs: &F,
    folder: &Folder,
    layout: &Layout,
    allowed: Allowed,
    shown: &Path,
) -> std::io::Result<()> {
    let now = fs.access(folder)?;
    let group = layout.group.as_ref().map_or(now.group, |group| group.number);
    let inherits = now.mode & layout.set_group_id() == layout.set_group_id();
    if is_of(now.group, group) && inherits && allowed.is_met_by(now.mode) {
        return Ok(());
    }
    if !is_of(now.group, group) && std::fs::read_dir(shown)?.next().is_some() {
        // The folder alone would look right then, and what stands in it stay another group's.
        return Err(std::io::Error::other("what stands there is another group's"));
    }
    let mode = (now.mode & !OF_GROUP) | allowed.bits() | layout.set_group_id();
    fs.set_access(folder, Access { group, mode })?;
    // A group that one is no member of takes the bit away without an error (chmod(2)).
    let now = fs.access(folder)?;
    if is_of(now.group, group) && now.mode == mode { Ok(()) } else { Err(std::io::ErrorKind::PermissionDenied.into()) }
}

/// Whether the group that the system shows is this one. Where groups are not mapped (`PrivateUsers=` of the unit) every one
/// but the program's own is shown as nobody's: which it is cannot be seen from there, and `check` looks from outside.
fn is_of(shown: u32, group: u32) -> bool {
    shown == group || (shown == NOBODY && !is_mapped(group))
}

/// Whether the program's user namespace knows the group (`user_namespaces(7)`): lines of first number within, first number
/// outside, and how many.
fn is_mapped(group: u32) -> bool {
    let Ok(map) = std::fs::read_to_string("/proc/self/gid_map") else { return true };
    map.lines().any(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [_, outside, count] if group >= outside && group - outside < count)
    })
}

/// What puts a whole staging folder right, for root.
fn command(layout: &Layout, root: &Path) -> String {
    let root = root.display();
    let mut steps = Vec::new();
    if let Some(group) = &layout.group {
        steps.push(format!("chgrp -R {} '{root}'", group.name));
    }
    let folders = format!("{:o}", 0o750 | layout.set_group_id());
    steps.push(format!("find '{root}' -type d -exec chmod {folders} {{}} +"));
    if layout.importer_may_delete {
        let removable = format!("{:o}", 0o770 | layout.set_group_id());
        steps.push(format!("find '{root}' -mindepth 2 -type d -exec chmod {removable} {{}} +"));
    }
    steps.join(" && ")
}

impl Layout {
    fn set_group_id(&self) -> u32 {
        if self.group.is_some() { SET_GROUP_ID } else { 0 }
    }
}
