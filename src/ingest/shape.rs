//! What shapes an export's bytes and placements beside its profile and rule sets, as the ledger keeps it: a restart and
//! every replay use what was recorded, whatever the configuration says by then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::IngestError;
use super::attached::Attached;
use crate::config::{Config, Grouping, Limits};
use crate::eml;
use crate::export::passes::{self, ByDay};
use crate::export::reader::ReadLimits;
use crate::mailbox::Mailbox;
use crate::template::{Placeholder, Template};

/// The shape of one export's EMLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Which layout of EML; another one gives other bytes.
    pub eml_format: u32,
    pub grouping: Grouping,
    /// Whether events are items as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub events: bool,
    /// Bytes of an EML beyond which a transcript continues in another part; of grouping `conversation` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    pub footer: bool,
    /// The subject in place of the usual one, and further header fields, each as a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
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
    /// Bytes of an attachment beyond which it is named only. Absent in records older than the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attachment: Option<u64>,
    /// The archives with whose files it was staged, by the digests of their ciphertexts, in the order in which they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<String>,
    /// Those that came after that, in the order in which they were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<String>,
    /// Of those, the archives that serve only the records at these places of the export: a record that other exports have as
    /// well, of which only the archive of one had the attachment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub later_only: BTreeMap<String, BTreeSet<u64>>,
    /// The places of records of whose attachments its archives have something that the mails of another export, which the
    /// records are in, lack: it follows them, and whoever gets a copy of these mails gets the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aside: BTreeSet<u64>,
    /// Who was in its rooms before: the digest of what the ledger keeps of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<String>,
    /// Gets a copy of each item that has no mailbox when it is taken in. Absent in records older than the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<Mailbox>,
    /// Gets a copy of each item that is taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Mailbox>,
    /// What it says of EMLs, made once: templates are parsed, and a zone is looked for.
    #[serde(skip)]
    eml: OnceLock<eml::Shape>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
        let firm = &config.site.firm_code;
        let known = |text: &str| {
            Template::parse(text).map_or(String::new(), |text| text.with(Placeholder::FirmCode, firm).to_string())
        };
        Self {
            eml_format: eml::FORMAT_VERSION,
            grouping: config.eml.grouping,
            events: config.eml.events,
            max_size: (config.eml.grouping == Grouping::Conversation).then_some(config.eml.max_size),
            footer: config.eml.footer,
            subject: config.eml.subject.as_deref().map(&known),
            headers: config.eml.headers.iter().map(|(name, text)| (name.clone(), known(text))).collect(),
            not_before,
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            limits: RecordedLimits::of(&config.limits),
            let_in: Vec::new(),
            max_attachment: Some(config.eml.max_attachment),
            archives: Vec::new(),
            later: Vec::new(),
            later_only: BTreeMap::new(),
            aside: BTreeSet::new(),
            carried: None,
            catch_all: config.mailboxes.catch_all.clone(),
            journal: config.mailboxes.journal.clone(),
            eml: OnceLock::new(),
        }
    }

    /// What is to be recorded, where a pass set records aside.
    pub(super) fn with_aside(&self, attached: &Attached) -> Result<Option<String>, IngestError> {
        let aside = attached.aside();
        if aside == self.aside {
            return Ok(None);
        }
        serde_json::to_string(&Self { aside, ..self.clone() }).map(Some).map_err(IngestError::shape)
    }

    /// Adds an archive that came later, or records that it serves as well; all where none are named. Its turn, from 0.
    pub(super) fn follow(&mut self, archive: &str, records: Option<&BTreeSet<u64>>) -> usize {
        let known = self.later.iter().position(|later| later == archive);
        match (records, known) {
            (None, _) => drop(self.later_only.remove(archive)),
            // It serves all records already.
            (Some(_), Some(_)) if !self.later_only.contains_key(archive) => {}
            (Some(records), _) => self.later_only.entry(archive.to_owned()).or_default().extend(records),
        }
        known.unwrap_or_else(|| {
            self.later.push(archive.to_owned());
            self.later.len() - 1
        })
    }

    /// Who, beside the participants, gets a copy of an item when it is taken in: nobody's mailboxes, so that an item that
    /// only they have is held all the same.
    pub(super) fn beside(&self, has_no_mailbox: bool) -> impl Iterator<Item = &Mailbox> {
        self.journal.iter().chain(self.catch_all.iter().filter(move |_| has_no_mailbox))
    }

    /// Other formats give other bytes under the same names: whatever wrote them must go on with them.
    pub(super) fn check(&self, name: &str) -> Result<(), IngestError> {
        if (1..=eml::FORMAT_VERSION).contains(&self.eml_format) {
            return Ok(());
        }
        Err(IngestError::OtherFormat { name: name.to_owned(), format: self.eml_format })
    }

    pub(super) fn skips(&self, time: Timestamp) -> bool {
        self.not_before.is_some_and(|start| time.as_second() < start)
    }

    /// What of an export becomes an item.
    pub(super) fn grouping(&self) -> passes::Grouping {
        let by_day = self.max_size.filter(|_| self.grouping == Grouping::Conversation).map(|max_size| ByDay {
            zone: self.zone(),
            max_size,
            words: self.knows_words(),
            measure: eml::measure,
            attached: Arc::default(),
            frame: eml::frame,
        });
        passes::Grouping { by_day, events: self.events }
    }

    /// Whether transcripts are known by the words in them that are no items as well.
    pub(super) fn knows_words(&self) -> bool {
        self.eml_format >= eml::WITH_WORDS
    }

    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    pub(super) fn eml(&self) -> &eml::Shape {
        self.eml.get_or_init(|| self.make_eml())
    }

    fn make_eml(&self) -> eml::Shape {
        // They were checked when they were recorded.
        let template = |text: &str| Template::parse(text).ok();
        let headers = self.headers.iter().filter_map(|(name, text)| Some((name.clone(), template(text)?)));
        eml::Shape {
            format: self.eml_format,
            footer: self.footer,
            zone: self.zone(),
            subject: self.subject.as_deref().and_then(template),
            headers: headers.collect(),
        }
    }
}
