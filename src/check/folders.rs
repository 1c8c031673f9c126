//! The part of `check` that looks at staging and state: that they can be written, and that there is room.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Level, Lines};
use crate::cause::chain;
use crate::config::Config;
use crate::durable::space::{Space, free};
use crate::durable::{self, Disk, PathError};
use crate::ledger::{Ledger, RunSize};
use crate::owner;
use crate::stage::local::{Layout, open_root};
use crate::stage::room;

/// So many runs like the largest of the last ones must fit, or it is worth a warning: two weeks of working days.
const RUNS: u64 = 10;
/// An EML without attachment takes one block of the usual size, bytes.
const BLOCK: u64 = 4096;
/// What ledger and manifests take for an item or a placement, rounded up, bytes.
const RECORD: u64 = 512;
/// Before the first run there is nothing to compare with; below this nobody should begin, bytes.
const LEAST: u64 = 100 << 20;

pub(super) fn check(lines: &mut Lines, config: &Config, ledger: Option<&Ledger>) {
    let local = config.staging.local.as_deref();
    let mut can_link = false;
    if let Some(local) = local {
        if !is_ours(lines, local, ledger) {
            return;
        }
        match staging(lines, config, local) {
            Some(it_can) => can_link = it_can,
            None => return,
        }
    }
    let Some(ledger) = ledger else { return };
    if let Some(local) = local {
        group(lines, config, local);
    }
    let state = &config.state.directory;
    if let Err(error) = probe(state, 0o700) {
        return unusable(lines, "state", "state.directory", &error);
    }
    lines.add("state", Level::Ok, format!("{}: can be written", state.display()));
    match ledger.largest_of_last_runs() {
        Ok(largest) => space(lines, config, largest, can_link && !config.staging.copies),
        Err(error) => lines.failed("ledger", &error),
    }
}

/// Whether nobody else's EMLs stand in the staging folder. Without a ledger there is no telling, and it has its line already.
fn is_ours(lines: &mut Lines, local: &Path, ledger: Option<&Ledger>) -> bool {
    let Some(ledger) = ledger else { return true };
    match owner::of_staging(local, ledger) {
        Ok(_) => true,
        Err(error) => {
            lines.failed("staging", &error);
            false
        }
    }
}

/// Who imports, and what they may do. A run does the same, and mends what it may.
fn group(lines: &mut Lines, config: &Config, local: &Path) {
    let staging = &config.staging;
    let layout = Layout::configured(staging.copies, staging.group.as_deref(), staging.importer_may_delete);
    let may = if staging.importer_may_delete { "take and remove" } else { "read" };
    let text = match &staging.group {
        Some(group) => format!("members of {group} may {may} what is staged"),
        None => format!("staging.group is not set; members of the staging folder's group may {may} what is staged"),
    };
    match layout.and_then(|layout| open_root(&Disk, local, &layout).map(drop)) {
        Ok(()) => lines.add("staging group", Level::Ok, text),
        Err(error) => lines.failed("staging group", &error),
    }
}

/// Folders are made where they are missing, but not their parents.
pub(super) fn unusable(lines: &mut Lines, name: &'static str, key: &str, error: &PathError) {
    let advice = match error.source.kind() {
        io::ErrorKind::NotFound => "make the folder that it is to stand in",
        _ => "this user must be able to write there",
    };
    lines.add(name, Level::Failure, format!("{}; {advice}, or correct {key}", chain(error)));
}

/// Whether hard links are possible there.
fn staging(lines: &mut Lines, config: &Config, local: &Path) -> Option<bool> {
    let can_link = match probe(local, 0o750) {
        Ok(can_link) => can_link,
        Err(error) => {
            unusable(lines, "staging", "staging.local", &error);
            return None;
        }
    };
    let text = match (config.staging.copies, can_link) {
        (true, _) => "can be written; a file for each mailbox (staging.copies)",
        (false, true) => "can be written, hard links are possible",
        (false, false) => "can be written, but there are no hard links: every mailbox gets a copy of its own",
    };
    let level = if config.staging.copies || can_link { Level::Ok } else { Level::Note };
    lines.add("staging", level, format!("{}: {text}", local.display()));
    Some(can_link)
}

fn space(lines: &mut Lines, config: &Config, largest: Option<RunSize>, are_linked: bool) {
    let (staging, state) = (config.staging.local.as_deref(), &config.state.directory);
    let for_staging = largest.map(|run| of_staging(run, are_linked));
    let for_state = largest.map(of_state);
    let are_one = staging.is_some_and(|staging| same_disk(staging, state));
    let both = for_staging.zip(for_state).map(|(one, other)| one + other).filter(|_| are_one);
    let least = config.staging.min_free;
    match staging.map(|staging| room::ensure(staging, least.bytes, least.inodes)) {
        None => {}
        Some(Ok(free)) => compared(lines, "staging space", free, both.or(for_staging)),
        Some(Err(error)) => lines.failed("staging space", &error),
    }
    match free(state) {
        Ok(free) => compared(lines, "state space", free, both.or(for_state)),
        Err(error) => lines.failed("state space", &error),
    }
}

fn compared(lines: &mut Lines, name: &'static str, free: Space, run: Option<Space>) {
    let (level, text) = verdict(free, run);
    lines.add(name, level, text);
}

/// A file can be written, and removed; whether it can be linked.
fn probe(folder: &Path, mode: u32) -> Result<bool, PathError> {
    Disk::open_or_make(folder, mode)?;
    let (file, link) = (folder.join(".check"), folder.join(".check-link"));
    let _ = (std::fs::remove_file(&file), std::fs::remove_file(&link));
    durable::write_new(&file, 0o440, b"icechatd check\n")?;
    let linked = std::fs::hard_link(&file, &link).is_ok();
    let _ = (std::fs::remove_file(&file), std::fs::remove_file(&link));
    Ok(linked)
}

fn same_disk(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    device(one) == device(other)
}

/// One run's EMLs: a block for each, and twice the originals for attachments, which are base64 there.
fn of_staging(run: RunSize, links: bool) -> Space {
    let files = if links { run.staged } else { run.placements };
    let bytes = files.saturating_mul(BLOCK).saturating_add(run.originals.saturating_mul(2));
    Space { bytes, files: Some(files) }
}

/// One run's originals, and what is recorded.
fn of_state(run: RunSize) -> Space {
    let records = run.staged.saturating_add(run.placements).saturating_mul(RECORD);
    Space { bytes: run.originals.saturating_add(records), files: Some(0) }
}

fn verdict(free: Space, run: Option<Space>) -> (Level, String) {
    let Some(run) = run else {
        let text = format!("{free} free; there is no run yet to compare with");
        let level = if free.bytes < LEAST { Level::Warning } else { Level::Ok };
        return (level, text);
    };
    let files = run.files.map(|files| files.saturating_mul(RUNS));
    let need = Space { bytes: run.bytes.saturating_mul(RUNS), files };
    let text = format!("{free} free; {RUNS} runs like the largest of the last take up to {need}");
    if !free.holds(need) {
        return (Level::Warning, format!("{text}: make room, or give it a larger disk"));
    }
    (Level::Ok, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_ten_runs_is_enough_and_less_is_a_warning() {
        let run = RunSize { originals: 1000, staged: 10, placements: 30 };
        let need = of_staging(run, true);
        assert_eq!(need, Space { bytes: 10 * 4096 + 2000, files: Some(10) });
        assert_eq!(of_staging(run, false).files, Some(30));
        assert_eq!((need + of_state(run)).bytes, need.bytes + 1000 + 40 * 512);
        let free = |bytes, files| Space { bytes, files };
        for (free, level) in [
            (free(10 * need.bytes, Some(100)), Level::Ok),
            (free(10 * need.bytes, None), Level::Ok),
            (free(10 * need.bytes - 1, Some(100)), Level::Warning),
            (free(10 * need.bytes, Some(99)), Level::Warning),
        ] {
            let (found, text) = verdict(free, Some(need));
            assert_eq!(found, level, "{text}");
        }
        assert_eq!(verdict(free(LEAST, None), None).0, Level::Ok);
        assert_eq!(verdict(free(LEAST - 1, None), None).0, Level::Warning);
    }
}
