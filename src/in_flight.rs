//! How far the run in flight is, for `status`: one small file in the state folder, written by the run and read by anybody.
//! It is a run's sign of life as well: the daemon sees from outside whether it gets on.
//!
//! It proves nothing and survives nothing: whether a run works at all, the work lock says.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::download::Progress;
use crate::durable::read_small;

/// In the state folder.
const NAME: &str = "in-flight.json";
/// Bytes of it that are read.
const LONGEST: u64 = 16 * 1024;
/// Readers are people: the file is written no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// What is being done to an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// New files at the site are waited for until they stand still; those that do are counted.
    Settle,
    /// It comes from the site; bytes are counted.
    Download,
    /// It is read for the first time, to its end; decrypted bytes are counted, and nobody knows how many there will be.
    Survey,
    /// Its records go to their places; those are counted.
    Staging,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The export.
    pub file: String,
    /// What is being done to it.
    pub step: Step,
    /// Files, bytes or records done.
    pub done: u64,
    /// Files, bytes or records in all; 0 where nobody knows.
    pub total: u64,
}

/// When a run told of itself: two equal signs, taken a while apart, say that it told nothing in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign(Option<(u64, i64, i64)>);

impl Sign {
    /// The sign in the state folder now.
    pub fn of(state: &Path) -> Self {
        let found = fs::metadata(state.join(NAME)).ok();
        Self(found.map(|found| (found.ino(), found.mtime(), found.mtime_nsec())))
    }
}

/// How far the run is, in words.
impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, step, done, total } = self;
        match step {
            Step::Settle => {
                write!(f, "{file}: waiting until new files stand still (site.settle), {done} of {total} do")
            }
            Step::Download => write!(f, "{file}: {done} of {total} bytes downloaded"),
            Step::Survey => write!(f, "{file}: {done} bytes read in the first pass"),
            Step::Staging => write!(f, "{file}: {done} of {total} items done"),
        }
    }
}

impl InFlight {
    /// What the last run that wrote here said last; to be believed only while the work lock is held.
    pub fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&read_small(&state.join(NAME), LONGEST).ok()??).ok()
    }
}

/// Passes one step's progress on to whoever is shown, and tells readers of it.
pub struct Teller<'a> {
    state: PathBuf,
    step: Step,
    shown: &'a dyn Progress,
    /// What is told, and when it was told last.
    current: Mutex<Option<(InFlight, Instant)>>,
}

impl<'a> Teller<'a> {
    /// Tells of `step` in the state folder.
    pub fn new(state: &Path, step: Step, shown: &'a dyn Progress) -> Self {
        // A run that was killed left its last word.
        let _ = fs::remove_file(state.join(NAME));
        Self { state: state.to_owned(), step, shown, current: Mutex::new(None) }
    }

    /// In one piece, but not durably: nobody misses it after a crash.
    fn tell(&self, now: &InFlight) -> io::Result<()> {
        let hidden = self.state.join(format!(".{NAME}"));
        // One that a killed run left, or that somebody planted, is not written through.
        let _ = fs::remove_file(&hidden);
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&hidden)?;
        file.write_all(&serde_json::to_vec(now)?)?;
        fs::rename(hidden, self.state.join(NAME))
    }
}

// A word that cannot be told, as on a full disk, must not end a run.
impl Progress for Teller<'_> {
    fn begin(&self, name: &str, total: u64) {
        self.shown.begin(name, total);
        let now = InFlight { file: name.to_owned(), step: self.step, done: 0, total };
        let _ = self.tell(&now);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
    }

    fn advance(&self, amount: u64) {
        self.shown.advance(amount);
        if let Some((now, told)) = &mut *self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            now.done += amount;
            if told.elapsed() >= PAUSE {
                *told = Instant::now();
                let _ = self.tell(now);
            }
        }
    }

    fn end(&self) {
        self.shown.end();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = fs::remove_file(self.state.join(NAME));
    }
}
