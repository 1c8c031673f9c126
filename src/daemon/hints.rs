//! Hints that operators' files change, from the kernel. They bring the next look forward and decide nothing: not every
//! file system gives them, and what is missed is found by the looks that come in any case.

use std::future::pending;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::debug;

use crate::config::{Config, is_mapping};

/// A file that is being copied in gives hints by the thousand; one is enough.
const GATHER: Duration = Duration::from_millis(200);

/// A folder, and which one it is: another of the same name has to be watched anew. Inode numbers are given again at once,
/// so its birth is part of it, where the file system knows that.
type Place = (PathBuf, Option<(u64, u64, Option<SystemTime>)>);

/// Listens for hints.
#[derive(Debug)]
pub(super) struct Hints {
    watcher: Option<RecommendedWatcher>,
    watched: Vec<Place>,
    hinted: mpsc::Sender<()>,
    heard: mpsc::Receiver<()>,
}

impl Default for Hints {
    fn default() -> Self {
        let (hinted, heard) = mpsc::channel(1);
        Self { watcher: None, watched: Vec::new(), hinted, heard }
    }
}

impl Hints {
    /// Listens where the operators' files are now, if it does not already.
    pub(super) fn listen(&mut self, config: &Config) {
        let (folder, list) = (config.mapping.directory.clone(), config.mailboxes.list.clone());
        let places = [Some(folder.as_path()), list.as_deref().and_then(Path::parent)];
        let places: Vec<Place> = places.into_iter().flatten().map(place).collect();
        if places == self.watched {
            return;
        }
        let hinted = self.hinted.clone();
        let concerns_us = move |path: &PathBuf| {
            // The pages that the daemon itself writes there are no news to it.
            let is_csv = || path.file_name().is_some_and(|name| is_mapping(name.as_encoded_bytes()));
            *path == folder
                || (path.parent() == Some(&folder) && is_csv())
                || list.as_ref().is_some_and(|list| list == path)
        };
        let listener = move |event: notify::Result<Event>| {
            let counts = event.map_or(true, |event| is_change(event.kind) && event.paths.iter().any(&concerns_us));
            if counts {
                // A full channel means that a look is due already.
                let _ = hinted.try_send(());
            }
        };
        self.watcher = watcher(listener, &places)
            .inspect_err(|error| debug!(%error, "the mapping folder is not watched; it is looked at every few seconds"))
            .ok();
        self.watched = places;
    }

    /// Ends when something may have changed; never, where nothing is heard.
    pub(super) async fn next(&mut self) {
        if self.heard.recv().await.is_none() {
            pending::<()>().await;
        }
        tokio::time::sleep(GATHER).await;
        // What was hinted at meanwhile is seen by the look that follows.
        let _ = self.heard.try_recv();
    }
}

fn place(path: &Path) -> Place {
    (path.to_owned(), std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.created().ok())))
}

fn watcher(
    listener: impl Fn(notify::Result<Event>) + Send + 'static,
    places: &[Place],
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(listener)?;
    for (path, _) in places.iter().filter(|(_, which)| which.is_some()) {
        watcher.watch(path, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether files may have changed. That somebody opened or read one says nothing: each look does.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::time::timeout;

    fn config(folder: &Path) -> Config {
        let file = folder.join("config.toml");
        let text = "[site]\nhost = \"h\"\nfirm_code = \"F\"\nhost_keys = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\n\
                    [mailboxes]\ndomains = [\"contoso.com\"]\nlist = \"list.csv\"\n[staging]\nlocal = \"staging\"\n\
                    [state]\ndirectory = \"state\"\n";
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    /// Whether a hint comes; what does not come is waited for as long as one would take by far.
    fn comes(hints: &mut Hints) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(Duration::from_secs(1), hints.next()).await.is_ok() })
    }

    #[test]
    fn changes_are_hinted_at_and_looks_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mapping = dir.path().join("mapping");
        let mut hints = Hints::default();
        hints.listen(&config);
        assert!(!comes(&mut hints));
        fs::create_dir(&mapping).unwrap();
        assert!(comes(&mut hints), "the folder comes");
        hints.listen(&config);
        fs::write(mapping.join("desk.csv"), "ImId,Mailbox\n").unwrap();
        assert!(comes(&mut hints));
        crate::config::read_folder(&mapping).unwrap();
        assert!(!comes(&mut hints), "a look is no change");
        fs::write(mapping.join("desk.csv.error.txt"), "what is wrong").unwrap();
        assert!(!comes(&mut hints), "the daemon's own page is none");
        fs::rename(mapping.join("desk.csv"), mapping.join("other.csv")).unwrap();
        assert!(comes(&mut hints));
        fs::write(dir.path().join("daemon.log"), "nothing of ours").unwrap();
        assert!(!comes(&mut hints), "what lies beside the list is not ours");
        fs::write(dir.path().join("list.csv"), "PrimarySmtpAddress\n").unwrap();
        assert!(comes(&mut hints));
        fs::remove_dir_all(&mapping).unwrap();
        fs::create_dir(&mapping).unwrap();
        hints.listen(&config);
        while comes(&mut hints) {}
        fs::write(mapping.join("desk.csv"), "").unwrap();
        assert!(comes(&mut hints), "another folder of that name");
    }
}
