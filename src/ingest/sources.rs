//! Where a run's exports come from: the site, or a person's hand.

use std::path::PathBuf;

use tracing::{info, warn};

use super::{IngestError, Session};
use crate::download::sftp::Site;
use crate::download::{self, Ciphertext, RemoteFile};
use crate::ledger::{FileRow, FileState, Origin, ReceivedFile, Sighting};

impl Session<'_> {
    /// Local exports, delivered by hand after an outage. One that cannot be read keeps no other.
    pub(super) fn take_by_hand(&mut self, files: &[PathBuf], retry: bool) -> Result<Option<IngestError>, IngestError> {
        let mut trouble = None;
        let mut files: Vec<&PathBuf> = files.iter().collect();
        files.sort_by_cached_key(|path| self.turn(&path.file_name().unwrap_or_default().to_string_lossy()));
        for path in files {
            let spool = self.tools.ledger.spool();
            match download::copy_local(path, &spool, self.tools.watch.download) {
                Ok(ciphertext) => self.take_ciphertext(&ciphertext, Origin::Hand, retry)?,
                Err(error) => {
                    warn!("not taken: {}", crate::cause::chain(&error));
                    trouble.get_or_insert(error.into());
                }
            }
        }
        Ok(trouble)
    }

    /// What the site has and the ledger has not. What stands in the way of some files must not keep the others: the
    /// first trouble is returned when those that could be fetched are done.
    pub(super) fn take_from_site(&mut self, retry: bool) -> Result<Option<IngestError>, IngestError> {
        let config = self.tools.config;
        let mut site = Site::new(&config.site, &config.limits, &crate::inputs::site_secrets(config)?)?;
        let listing = site.list()?;
        if !listing.others.is_empty() {
            info!(count = listing.others.len(), "files at the site do not match site.files and are left alone");
        }
        if !self.tools.is_dry() {
            self.tools.ledger.note_strangers(&listing.others, (self.tools.clock)())?;
        }
        let mut fresh = Vec::new();
        for file in listing.exports.clone() {
            // What came damaged is held under the same name, size and mtime as what lies there whole.
            let known = self.tools.ledger.sighted(sighting(&file))?;
            if known.is_none_or(|row| retry && row.state == FileState::Held) {
                fresh.push(file);
            }
        }
        let (mut fetched, mut trouble) = self.fetch(&mut site, fresh)?;
        fetched.sort_by_cached_key(|(file, _)| self.turn(&file.name));
        for (file, ciphertext) in &fetched {
            self.take_ciphertext(ciphertext, Origin::Site(sighting(file)), retry)?;
        }
        if config.site.delete_after && !self.tools.is_dry() {
            let removed = self.remove_committed(&mut site, &listing.exports)?;
            trouble = trouble.or(removed);
        }
        Ok(trouble)
    }

    /// Downloads first, works after: the connection to the site is open for minutes only.
    fn fetch(&self, site: &mut Site, fresh: Vec<RemoteFile>) -> Result<Fetched, IngestError> {
        if fresh.is_empty() {
            return Ok((Vec::new(), None));
        }
        if !self.tools.config.site.settle.is_zero() {
            let seconds = self.tools.config.site.settle.as_secs();
            info!(files = fresh.len(), seconds, "waiting until the new files stand still (site.settle)");
        }
        let (ready, growing) = site.settled(fresh, self.tools.watch.settle)?;
        let names: Vec<&str> = growing.iter().map(|file| file.name.as_str()).collect();
        let mut trouble = (!names.is_empty()).then(|| IngestError::Growing(names.join(", ")));
        let mut fetched = Vec::new();
        for file in ready {
            match site.fetch(&file, &self.tools.ledger.spool(), self.tools.watch.download) {
                Ok(ciphertext) => fetched.push((file, ciphertext)),
                Err(error) => {
                    let others_too = !error.is_about_one_file();
                    if trouble.is_some() {
                        warn!(file = file.name, "not fetched: {}", crate::cause::chain(&error));
                    }
                    trouble.get_or_insert(error.into());
                    if others_too {
                        break;
                    }
                }
            }
        }
        Ok((fetched, trouble))
    }

    fn take_ciphertext(&mut self, ciphertext: &Ciphertext, origin: Origin<'_>, retry: bool) -> Result<(), IngestError> {
        let file = ReceivedFile {
            name: &ciphertext.name,
            spool: &ciphertext.spool,
            sha256: ciphertext.sha256,
            bytes: ciphertext.len,
            origin,
        };
        if self.tools.is_dry() {
            return self.take_dry(&file);
        }
        let row = self.tools.ledger.receive(&file, self.tools.run, (self.tools.clock)())?;
        match row.state {
            // One that was superseded and comes again was not settled by the other file after all.
            FileState::Received | FileState::Superseded => self.take(&row, None),
            FileState::Held if self.is_worth_another_try(&row, retry)? => self.take(&row, None),
            _ if self.touched.contains(&row.sha256) => Ok(()),
            FileState::Held => {
                Ok(self.tools.ledger.note_held(&row, row.reason.as_deref().unwrap_or(""), self.tools.run)?)
            }
            FileState::Staging => Ok(()),
            FileState::Committed => {
                self.touched.insert(row.sha256);
                info!(file = file.name, sha256 = %row.sha256, "known already, byte for byte, as {}", row.name);
                Ok(self.tools.ledger.note_again(&row, file.name, self.tools.run)?)
            }
        }
    }

    fn take_dry(&mut self, file: &ReceivedFile<'_>) -> Result<(), IngestError> {
        if self.tools.ledger.file_by_digest(file.sha256)?.is_some_and(|row| row.state == FileState::Committed) {
            info!(file = file.name, "known already, byte for byte");
            return Ok(());
        }
        let row = FileRow::not_recorded(file);
        self.take(&row, Some(file.spool))
    }

    /// The ledger has committed: now the site's copy may go, if it is still the file that was taken (contract 4).
    fn remove_committed(&self, site: &mut Site, listed: &[RemoteFile]) -> Result<Option<IngestError>, IngestError> {
        for file in listed {
            let row = self.tools.ledger.sighted(sighting(file))?;
            if row.is_none_or(|row| row.state != FileState::Committed) {
                continue;
            }
            match site.remove(file) {
                Ok(true) => info!(file = file.name, "removed from the site"),
                Ok(false) => warn!(file = file.name, "not removed from the site: it is another file by now"),
                Err(error) => return Ok(Some(error.into())),
            }
        }
        Ok(None)
    }
}

type Fetched = (Vec<(RemoteFile, Ciphertext)>, Option<IngestError>);

fn sighting(file: &RemoteFile) -> Sighting<'_> {
    Sighting { name: &file.name, size: file.size, mtime: file.mtime }
}
