//! A ready list in the staging folder. An importer may look at any moment, so it is written under a hidden name.

use std::path::PathBuf;

use super::Local;
use super::access::{Allowed, ensure};
use crate::durable::{AtPath, FileSystem, Folder};
use crate::stage::StageError;
use crate::stage::ready::{Listed, READY, ReadyList};

/// The program adds to it until it is visible; the group reads it.
const LIST_MODE: u32 = 0o640;
/// Bytes kept before they are written.
const PIECE: usize = 1 << 20;

impl<F: FileSystem> Local<F> {
    /// Removes the lists that a killed run had not made visible yet; to be called where nobody writes one.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn clear_lists(&self) -> Result<(), StageError> {
        let path = self.path.join(READY);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.at(&path)?,
        };
        let folder = self.fs.open_folder(&self.root, READY).at(&path)?;
        for entry in entries {
            let name = entry.at(&path)?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.starts_with('.')) {
                self.fs.unlink(&folder, name).at(path.join(name))?;
            }
        }
        Ok(())
    }
}

pub(super) struct LocalList<'a, F> {
    local: &'a Local<F>,
    folder: Folder,
    run: String,
    lines: Vec<u8>,
    is_empty: bool,
}

impl<'a, F: FileSystem> LocalList<'a, F> {
    pub(super) fn begin(local: &'a Local<F>, run: &str) -> Result<Self, StageError> {
        let path = local.path.join(READY);
        local.fs.make_folder(&local.root, READY, 0o750).at(&path)?;
        let folder = local.fs.open_folder(&local.root, READY).at(&path)?;
        ensure(&local.fs, &folder, &local.layout, Allowed::Read, (&path, &local.path))?;
        let list = Self { local, folder, run: run.to_owned(), lines: Vec::new(), is_empty: true };
        list.local.fs.unlink(&list.folder, &list.hidden()).at(list.shown())?;
        list.local.fs.write_new(&list.folder, &list.hidden(), LIST_MODE, b"").at(list.shown())?;
        Ok(list)
    }

    fn hidden(&self) -> String {
        format!(".{}.tmp", self.run)
    }

    fn shown(&self) -> PathBuf {
        self.local.path.join(READY).join(self.hidden())
    }

    fn flush(&mut self) -> Result<(), StageError> {
        let lines = std::mem::take(&mut self.lines);
        Ok(self.local.fs.append(&self.folder, &self.hidden(), &lines).at(self.shown())?)
    }
}

/// Removes the list of a run. One that came back after a power cut would stay for ever, so its end is durable.
pub(super) fn remove<F: FileSystem>(local: &Local<F>, run: &str) -> Result<(), StageError> {
    let (path, name) = (local.path.join(READY), shown_name(run));
    if !path.join(&name).exists() {
        return Ok(());
    }
    let folder = local.fs.open_folder(&local.root, READY).at(&path)?;
    local.fs.unlink(&folder, &name).at(path.join(&name))?;
    Ok(local.fs.sync_folder(&folder).at(path)?)
}

fn shown_name(run: &str) -> String {
    format!("{run}.jsonl")
}

impl<F: FileSystem> ReadyList for LocalList<'_, F> {
    fn add(&mut self, line: &Listed<'_>) -> Result<(), StageError> {
        self.is_empty = false;
        serde_json::to_writer(&mut self.lines, line).at_path(|| self.shown())?;
        self.lines.push(b'\n');
        if self.lines.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn publish(mut self: Box<Self>) -> Result<(), StageError> {
        let (fs, hidden, name) = (&self.local.fs, self.hidden(), shown_name(&self.run));
        if self.is_empty {
            return Ok(fs.unlink(&self.folder, &hidden).at(self.shown())?);
        }
        self.flush()?;
        fs.sync_file(&self.folder, &hidden).at(self.shown())?;
        fs.rename_over(&self.folder, &hidden, &self.folder, &name).at(self.shown())?;
        fs.sync_folder(&self.folder).at(self.local.path.join(READY))?;
        // The folder may be as new as its first list, and goes with its own name if that is lost.
        Ok(fs.sync_folder(&self.local.root).at(&self.local.path)?)
    }
}
