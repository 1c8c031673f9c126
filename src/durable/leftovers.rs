//! What a process that was killed left behind under a hidden name: nobody else would ever remove it, and of a key it would
//! be a second copy.

use std::io;

use rustix::fs::Dir;
use rustix::process::{Pid, test_kill_process};

use super::{Disk, FileSystem, Folder};

/// The hidden name under which this process writes the file `name`; another process may write the same file at once.
pub(super) fn hidden(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

/// Removes the hidden files of `name` whose writers have died, and one of this process's own number. Where a number was
/// given to another process since, its file stays until the next time.
pub(super) fn remove(folder: &Folder, name: &str) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if let Ok(found) = entry.file_name().to_str()
            && writer(found, name).is_some_and(|writer| !is_working(writer))
        {
            Disk.unlink(folder, found)?;
        }
    }
    Ok(())
}

/// Who wrote a hidden file of `name`.
fn writer(found: &str, name: &str) -> Option<Pid> {
    let number = found.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".tmp")?;
    Pid::from_raw(number.parse().ok().filter(|number| *number > 0)?)
}

fn is_working(writer: Pid) -> bool {
    // Another user's process may not be signalled, and is one all the same.
    writer != rustix::process::getpid() && test_kill_process(writer) != Err(rustix::io::Errno::SRCH)
}
