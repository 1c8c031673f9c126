//! What others on the same machine may see and do: users, groups, and whoever may write where the program reads or writes.

mod importer;
mod links;
mod modes;
mod secrets;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::firm::{Firm, Said, export, message};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// An export of one item for two mailboxes, and one that nobody has yet.
fn day(number: u32) -> String {
    let held = message(&format!("h-{number}"), "ola@northern.example", &["otto@northern.example"], "none")
        .replace("<DateTimeUTC>", "<Recipient><ImId>nils9</ImId></Recipient><DateTimeUTC>");
    export(&format!("{}{held}", message(&format!("m-{number}"), AMY, &[JOE], "12 lots")))
}

/// An export that was brought by hand.
fn bring(firm: &Firm, number: u32) -> PathBuf {
    let path = firm.path(&format!("day-{number}.pgp"));
    fs::write(&path, firm.encrypt(&day(number))).unwrap();
    path
}

/// Under another umask.
fn under(umask: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_remove("CREDENTIALS_DIRECTORY");
    shell
}

fn say(command: &mut Command) -> Said {
    Said::from(&command.output().unwrap())
}

/// Everything below a folder and the folder itself; no link is followed.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if found[next].symlink_metadata().unwrap().is_dir() {
            found.extend(fs::read_dir(&found[next]).unwrap().map(|entry| entry.unwrap().path()));
        }
        next += 1;
    }
    found
}
