//! What a process that was killed left behind under a hidden name: nobody else would ever remove it, and of a key it would
//! be a second copy.

use std::io;

use rustix::fs::Dir;
use rustix::process::{Pid, test_kill_process};

use super::{Disk, FileSystem, Folder};

/// The hidden name under which this process writes the file `name`; another process may write the same file at once. In
/// another container it may have the same number.
pub(super) fn hidden(name: &str) -> String {
    format!(".{name}.{}.{}.tmp", namespace(), std::process::id())
}

/// What numbers of processes are counted in (`pid_namespaces(7)`).
fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { "0".to_owned() } else { digits }
}

/// Removes the hidden files of `name` whose writers have died, and one of this process's own number. Where a number was
/// given to another process since, its file stays until the next time; of another container's processes nothing is known here.
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
    let number = number.strip_prefix(&namespace())?.strip_prefix('.')?;
    Pid::from_raw(number.parse().ok().filter(|number| *number > 0)?)
}

fn is_working(writer: Pid) -> bool {
    // Another user's process may not be signalled, and is one all the same.
    writer != rustix::process::getpid() && test_kill_process(writer) != Err(rustix::io::Errno::SRCH)
}
