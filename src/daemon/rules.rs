//! The operators' files: looked at every few seconds, and put in force once a set has stood still and is good.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use crate::cause::chain;
use crate::config::{Config, Stamp};
use crate::events;
use crate::inputs::{self, InputError};
use crate::ledger::Ledger;
use crate::resolve::RuleSet;

/// A set that changes for longer than this keeps no export waiting: runs go on with the set in force.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the looks at mapping folder and mailbox list have shown so far.
#[derive(Debug, Default)]
pub(super) struct OperatorFiles {
    /// As they were at the last look. A set counts when it stood still from one look to the next: one that is still being
    /// copied in changes between two looks.
    seen: Option<Stamp>,
    /// Since when no two looks agreed.
    moving_since: Option<Instant>,
    /// The set that was read last, and whether it was good.
    judged: Option<(Stamp, bool)>,
}

impl OperatorFiles {
    /// Whether runs may start: not while a set is on its way that will be in force a moment later.
    pub(super) fn are_settled(&self) -> bool {
        self.moving_since.is_none_or(|since| since.elapsed() > PATIENCE)
    }

    /// Whether the set that stands there was rejected.
    pub(super) fn are_rejected(&self) -> bool {
        matches!(self.judged, Some((_, false)))
    }

    /// Looks. Whether a new mapping or list came into force; one that is rejected leaves the last good one in force.
    pub(super) fn look(&mut self, config: &Config, ledger: &Ledger, now: Timestamp) -> Result<bool, InputError> {
        let stamp = Stamp::of(&config.mapping.directory, config.mailboxes.list.as_deref());
        if self.seen.as_ref() != Some(&stamp) {
            self.seen = Some(stamp);
            self.moving_since.get_or_insert_with(Instant::now);
            return Ok(false);
        }
        self.moving_since = None;
        let known = self.judged.as_ref().filter(|(judged, _)| *judged == stamp).map(|(_, good)| *good);
        if known == Some(true) {
            return Ok(false);
        }
        let was_rejected = self.are_rejected();
        match inputs::rules_strictly(config) {
            Ok(rules) => {
                let came = put_in_force(config, ledger, &rules, now)?;
                if was_rejected && !came {
                    info!("mapping and mailbox list are as they were before they were rejected");
                }
                self.judged = Some((stamp, true));
                Ok(came)
            }
            Err(error) => {
                if known.is_none() {
                    warn!(
                        message_id = events::RULES_REJECTED,
                        "the new mapping or mailbox list is rejected, the last good one (if any) stays in force: {}",
                        chain(&error)
                    );
                }
                self.judged = Some((stamp, false));
                Ok(false)
            }
        }
    }
}

/// Whether anything of it was not in force already. A set that is suddenly empty is a mistake more often than a wish, and
/// is said aloud; it is obeyed all the same.
fn put_in_force(config: &Config, ledger: &Ledger, rules: &RuleSet, now: Timestamp) -> Result<bool, InputError> {
    let stored = inputs::to_stored(rules);
    let mapping = ledger.put_in_force("mapping", &stored.mapping, now)?;
    let list = match &stored.list {
        Some(list) => ledger.put_in_force("list", list, now)?,
        None => false,
    };
    if mapping && rules.mapping.is_empty() {
        warn!("the mapping is empty: there is no CSV file with rows in {}", config.mapping.directory.display());
    }
    if mapping || list {
        info!(
            message_id = events::RULES_ACCEPTED,
            im_ids = rules.mapping.len(),
            "a new mapping or mailbox list is in force"
        );
    }
    Ok(mapping || list)
}
