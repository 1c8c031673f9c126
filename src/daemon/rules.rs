//! The operators' files: looked at every few seconds, judged once they have stood still, and put in force if they are
//! good. If not, the ledger, the log and a file beside each CSV say what is wrong.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use super::error_files::{ErrorFiles, Faults};
use crate::config::{Config, Stamp, is_mapping};
use crate::digest::Sha256;
use crate::events;
use crate::inputs::{self, Found, InputError, Kind, News, Rejected};
use crate::ledger::{Ledger, LedgerError};

/// A set counts when nothing of it was written for so long. What is copied in by hand or by a sync tool is written more
/// often than that.
const STILL: Duration = Duration::from_millis(2500);
/// A set that changes for longer than this keeps no export waiting: runs go on with the set in force.
const PATIENCE: Duration = Duration::from_mins(1);
/// Whom the ledger names where no person put a set in force.
const DAEMON: &str = "icechatd run";

/// What was judged: the files by their stamp, beside what was in force. Either may change without the other: a person's
/// verb puts sets in force too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judged {
    stamp: Stamp,
    in_force: [Option<Sha256>; 3],
}

/// What the looks at mapping folder and mailbox list have shown so far.
#[derive(Debug, Default)]
pub(super) struct OperatorFiles {
    /// As they were at the last look, and since when they have stood still so.
    seen: Option<(Stamp, Instant)>,
    /// Since when they have not stood still.
    moving_since: Option<Instant>,
    judged: Option<Judged>,
    /// What was rejected then, in the words in which it was said.
    rejected: HashMap<Kind, Vec<String>>,
    /// Whether they shall be judged again although nothing changed: what could not be read may be readable now.
    again: bool,
    error_files: ErrorFiles,
}

impl OperatorFiles {
    /// Whether runs may start: not while a set is on its way that will be in force a moment later.
    pub(super) fn are_settled(&self) -> bool {
        self.moving_since.is_none_or(|since| since.elapsed() > PATIENCE)
    }

    /// Whether the set that stands there was rejected.
    pub(super) fn are_rejected(&self) -> bool {
        !self.rejected.is_empty()
    }

    /// Looks. Whether another mapping, list or snapshot of the tenant's users is in force than at the last look; one that is
    /// rejected leaves the last good one in force.
    pub(super) fn look(&mut self, config: &Config, ledger: &Ledger, now: Timestamp) -> Result<bool, InputError> {
        let stamp = stamp(config);
        if !self.stands_still(&stamp) {
            return Ok(false);
        }
        let standing = Judged { stamp, in_force: in_force(ledger)? };
        if self.judged.as_ref() == Some(&standing) && !self.again {
            return Ok(false);
        }
        let found = inputs::find(config, Some(ledger))?;
        if !self.stands_still(&self::stamp(config)) {
            return Ok(false);
        }
        let news = inputs::put_in_force(config, ledger, &found.good(), DAEMON, now)?;
        for (kind, fault) in found.faults() {
            self.note(ledger, kind, fault, &news, now)?;
        }
        self.keep_error_files(config, &found);
        self.again = found.faults().iter().any(|(_, fault)| fault.is_some_and(Rejected::may_pass));
        let before = self.judged.replace(Judged { in_force: in_force(ledger)?, ..standing });
        Ok(!news.is_empty() || before.is_some_and(|before| self.in_force() != Some(before.in_force)))
    }

    fn in_force(&self) -> Option<[Option<Sha256>; 3]> {
        self.judged.as_ref().map(|judged| judged.in_force)
    }

    fn stands_still(&mut self, stamp: &Stamp) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == stamp => {
                let is_still = since.elapsed() >= STILL;
                if is_still {
                    self.moving_since = None;
                }
                is_still
            }
            _ => {
                self.seen = Some((stamp.clone(), Instant::now()));
                self.moving_since.get_or_insert_with(Instant::now);
                false
            }
        }
    }

    /// Records how the files of one kind came out, and says it if it is another verdict than the last.
    fn note(
        &mut self,
        ledger: &Ledger,
        kind: Kind,
        fault: Option<&Rejected>,
        news: &[News],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let what = kind.words();
        let Some(fault) = fault else {
            let was_rejected = self.rejected.remove(&kind).is_some() | ledger.note_mended(kind.as_str(), now)?;
            if was_rejected && !news.iter().any(|news| news.kind == kind) {
                info!("the {what} is no longer rejected");
            }
            return Ok(());
        };
        let lines = fault.lines(kind);
        ledger.note_rejected(kind.as_str(), &lines, now)?;
        if self.rejected.get(&kind) != Some(&lines) {
            let first = lines.first().map(String::as_str).unwrap_or_default();
            let more = lines.len().saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!(" (and {more} more: icechatd status)") };
            warn!(
                message_id = events::RULES_REJECTED,
                "the new {what} is rejected, the last good one (if any) stays in force: {first}{more}"
            );
            self.rejected.insert(kind, lines);
        }
        Ok(())
    }

    fn keep_error_files(&mut self, config: &Config, found: &Found) {
        let folder = &config.mapping.directory;
        self.error_files
            .keep(folder, &faults_in(folder, found.mapping.as_ref().err()), |name| is_mapping(name.as_bytes()));
        let Some((list, found)) = config.mailboxes.list.as_ref().zip(found.list.as_ref()) else { return };
        if let (Some(folder), Some(name)) = (list.parent(), list.file_name()) {
            self.error_files.keep(folder, &faults_in(folder, found.as_ref().err()), |file| *file == *name);
        }
    }
}

fn stamp(config: &Config) -> Stamp {
    Stamp::of(&config.mapping.directory, config.mailboxes.list.as_deref())
}

fn in_force(ledger: &Ledger) -> Result<[Option<Sha256>; 3], LedgerError> {
    let digest = |kind: Kind| ledger.in_force_digest(kind.as_str());
    Ok([digest(Kind::Mapping)?, digest(Kind::List)?, digest(Kind::Directory)?])
}

fn faults_in(folder: &Path, rejected: Option<&Rejected>) -> Faults {
    rejected.map(|rejected| rejected.by_file(folder)).unwrap_or_default()
}
