//! What shapes an export's bytes and placements beside its profile and rule sets, as the ledger keeps it: a restart and
//! every replay use what was recorded, whatever the configuration says by then.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::IngestError;
use crate::config::{Config, Limits};
use crate::eml;
use crate::export::reader::ReadLimits;
use crate::mailbox::Mailbox;

/// The one grouping there is: each item is an EML.
const MESSAGE: &str = "message";

/// The shape of one export's EMLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Which layout of EML; another one gives other bytes.
    pub eml_format: u32,
    pub grouping: String,
    pub footer: bool,
    /// Items before this are skipped: the initial date's first moment, Unix seconds.
    pub not_before: Option<i64>,
    /// The zone in which that date and the export's days are meant.
    pub time_zone: String,
    /// The widest that any pass read it under.
    pub limits: RecordedLimits,
    /// Places of records without MessageID that were rejected at first, by the replay that let them in: they are numbered
    /// after their equals, whose numbers stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub let_in: Vec<BTreeSet<u64>>,
    /// Gets a copy of each item that has no mailbox when it is taken in. Absent in records older than the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<Mailbox>,
    /// Gets a copy of each item that is taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Mailbox>,
}

/// The limits that decide whether a record is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the configuration's keys")]
pub(super) struct RecordedLimits {
    pub max_message: u64,
    pub max_attachment: u64,
    pub max_participants: u64,
}

impl RecordedLimits {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            max_message: limits.max_message,
            max_attachment: limits.max_attachment,
            max_participants: limits.max_participants,
        }
    }

    /// The wider of each.
    pub(super) fn widened(&self, other: &Self) -> Self {
        Self {
            max_message: self.max_message.max(other.max_message),
            max_attachment: self.max_attachment.max(other.max_attachment),
            max_participants: self.max_participants.max(other.max_participants),
        }
    }

    pub(super) fn for_reading(&self) -> ReadLimits {
        ReadLimits {
            max_message: self.max_message,
            max_attachment: self.max_attachment,
            max_participants: self.max_participants,
        }
    }
}

impl Shape {
    /// What today's configuration gives.
    pub(super) fn of(config: &Config) -> Self {
        let zone = &config.schedule.time_zone;
        let not_before = config
            .site
            .initial_date
            .and_then(|date| zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).compatible().ok())
            .map(|start| start.timestamp().as_second());
        Self {
            eml_format: eml::FORMAT_VERSION,
            grouping: MESSAGE.to_owned(),
            footer: config.eml.footer,
            not_before,
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            limits: RecordedLimits::of(&config.limits),
            let_in: Vec::new(),
            catch_all: config.mailboxes.catch_all.clone(),
            journal: config.mailboxes.journal.clone(),
        }
    }

    /// Who, beside the participants, gets a copy of an item when it is taken in: nobody's mailboxes, so that an item that
    /// only they have is held all the same.
    pub(super) fn beside(&self, has_no_mailbox: bool) -> impl Iterator<Item = &Mailbox> {
        self.journal.iter().chain(self.catch_all.iter().filter(move |_| has_no_mailbox))
    }

    /// Other formats and groupings give other bytes under the same names: whatever wrote them must go on with them.
    pub(super) fn check(&self, name: &str) -> Result<(), IngestError> {
        if (self.eml_format, self.grouping.as_str()) == (eml::FORMAT_VERSION, MESSAGE) {
            return Ok(());
        }
        let reason = format!(
            "it was staged as EML format {} by {}, which this version does not write; use the version that does",
            self.eml_format, self.grouping
        );
        Err(IngestError::Original { name: name.to_owned(), reason })
    }

    pub(super) fn skips(&self, time: Timestamp) -> bool {
        self.not_before.is_some_and(|start| time.as_second() < start)
    }

    pub(super) fn eml(&self) -> eml::Shape {
        eml::Shape { footer: self.footer }
    }
}
