//! How well a profile fits an export: numbers and names of elements, never what was said.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use serde::Serialize;

use super::fault::ExportError;
use super::identity::message_hash;
use super::profile::Profile;
use super::reader::{ReadLimits, Reader, Step};
use super::{Header, Record};

/// What `profile lint` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The firm the export was made for.
    pub firm_code: Option<String>,
    /// The day it is about.
    pub date: Option<String>,
    /// Conversations.
    pub conversations: u64,
    /// Conversations that give no room id.
    pub without_room_id: u64,
    /// Messages and attachments that become items.
    pub items: u64,
    /// How often each place that the profile names was found; a profile that fits leaves few at 0.
    pub fields: Vec<Count>,
    /// What the export holds and the profile does not name.
    pub unknown: Vec<Count>,
    /// Why messages and attachments were rejected, and how often.
    pub rejected: Vec<Count>,
    /// Times that could not be read.
    pub unreadable_times: u64,
    /// Items whose room and message id an earlier item has as well.
    pub repeated_message_ids: u64,
    /// Items without a message id.
    pub without_message_id: u64,
    /// Recipients without `ImId` and e-mail; they count as absent.
    pub participants_without_identity: u64,
}

/// Something, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// A path of the export, or a reason.
    pub path: String,
    /// How often.
    pub count: u64,
}

/// Holds a profile against an export. Needs memory for the message ids: it is a person's tool, no part of a run.
///
/// # Errors
/// Where the export cannot be read to its end.
pub fn lint(profile: &Profile, limits: ReadLimits, input: impl Read) -> Result<Lint, ExportError> {
    let mut reader = Reader::new(profile, limits, input);
    let mut lint = Lint::default();
    let mut tally = Tally::default();
    while let Some(step) = reader.step()? {
        match step {
            Step::Begin => lint.conversations += 1,
            Step::Record { record, .. } => lint.note(record, &mut tally),
            Step::End(room) => {
                lint.without_room_id += u64::from(room.id.is_none());
                for message_id in tally.ids.drain(..) {
                    let fresh = tally.seen.insert(message_hash(room.id.as_deref(), &message_id));
                    lint.repeated_message_ids += u64::from(!fresh);
                }
            }
        }
    }
    let summary = reader.finish();
    let Header { firm_code, date } = summary.header;
    Ok(Lint {
        firm_code,
        date: date.map(|date| date.to_string()),
        fields: counts(summary.found),
        unknown: counts(summary.unknown),
        rejected: counts(tally.reasons),
        unreadable_times: summary.unreadable_times,
        participants_without_identity: summary.nameless_recipients,
        ..lint
    })
}

#[derive(Default)]
struct Tally {
    /// The message ids of the open conversation, whose room may not be known yet.
    ids: Vec<Box<str>>,
    seen: HashSet<u64>,
    reasons: BTreeMap<String, u64>,
}

impl Lint {
    fn note(&mut self, record: Record, tally: &mut Tally) {
        match record {
            Record::Item(item) => {
                self.items += 1;
                self.without_message_id += u64::from(item.message_id.is_none());
                tally.ids.extend(item.message_id);
            }
            Record::Rejected(rejected) => *tally.reasons.entry(rejected.reason).or_default() += 1,
            Record::Presence(_) => {}
        }
    }
}

fn counts(pairs: impl IntoIterator<Item = (String, u64)>) -> Vec<Count> {
    pairs.into_iter().map(|(path, count)| Count { path, count }).collect()
}

#[cfg(test)]
mod tests;
