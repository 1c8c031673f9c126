//! How well a profile fits an export: numbers and names of elements, never what was said.

mod advice;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use serde::Serialize;

use super::fault::ExportError;
use super::identity::message_hash;
use super::profile::Profile;
use super::reader::{ReadLimits, Reader, Step, Summary};
use super::{Header, ItemKind, Person, Record, totals};

/// What `profile lint` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The firm the export was made for, if what stands there looks like a firm's code: it may be an address.
    pub firm_code: Option<String>,
    /// The day it is about.
    pub date: Option<String>,
    /// Conversations.
    pub conversations: u64,
    /// Conversations that give no room id.
    pub without_room_id: u64,
    /// Messages and attachments that become items.
    pub items: u64,
    /// Records of each kind, rejected ones by themselves.
    pub kinds: Vec<Count>,
    /// How often each place that the profile names was found; a profile that fits leaves few at 0.
    pub fields: Vec<Count>,
    /// What the export holds and the profile does not name.
    pub unknown: Vec<Count>,
    /// Why messages and attachments were rejected, and how often.
    pub rejected: Vec<Count>,
    /// Times that could not be read.
    pub unreadable_times: u64,
    /// Where they stand and what they look like.
    pub unreadable: Vec<Count>,
    /// Items whose room and message id an earlier item has as well.
    pub repeated_message_ids: u64,
    /// Items without a message id.
    pub without_message_id: u64,
    /// Participants without `ImId` and e-mail; they count as absent.
    pub participants_without_identity: u64,
    /// The same by what they did.
    pub without_identity: Vec<Count>,
    /// How much the vendor says there is.
    pub totals: Vec<Total>,
    /// Why a run would hold this file, as far as the profile decides it.
    pub held: Option<String>,
    /// What no person has decided yet.
    pub guesses: Vec<String>,
}

/// Something, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// A path of the export, or a reason.
    pub path: String,
    /// How often.
    pub count: u64,
}

/// A control total that the profile names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Of what.
    pub what: &'static str,
    /// What the vendor says; none where it is missing or no number.
    pub told: Option<u64>,
    /// What there is.
    pub found: u64,
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
    lint.held = summary.check().err().map(|fault| fault.to_string());
    lint.totals = totals_of(profile, &summary);
    lint.guesses = profile.guesses().to_vec();
    tally.kind("event", summary.other_events);
    tally.nameless("recipients", summary.nameless_recipients);
    let nobody = summary.unknown.iter().filter(|(path, _)| path.contains(" (names nobody"));
    tally.nameless("who came, went, invited or was invited", nobody.map(|(_, count)| count).sum());
    let Header { firm_code, date } = summary.header;
    Ok(Lint {
        firm_code: firm_code.filter(|code| looks_like_a_code(code)),
        date: date.map(|date| date.to_string()),
        kinds: counts(tally.kinds),
        fields: counts(summary.found),
        unknown: counts(summary.unknown),
        rejected: counts(tally.reasons),
        unreadable_times: summary.unreadable_times,
        unreadable: counts(summary.unreadable),
        participants_without_identity: tally.nameless.values().sum(),
        without_identity: counts(tally.nameless),
        ..lint
    })
}

fn looks_like_a_code(text: &str) -> bool {
    text.len() <= MAX_CODE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn totals_of(profile: &Profile, summary: &Summary) -> Vec<Total> {
    let named = totals::Total::ALL.into_iter().filter(|total| profile.totals.contains(total));
    let of = |total: totals::Total| Total {
        what: total.as_str(),
        told: summary.told.of(total),
        found: summary.counted.of(total),
    };
    named.map(of).collect()
}

/// Bytes of what looks like a firm's code.
const MAX_CODE: usize = 32;

#[derive(Default)]
struct Tally {
    /// The message ids of the open conversation, whose room may not be known yet.
    ids: Vec<Box<str>>,
    seen: HashSet<u64>,
    reasons: BTreeMap<String, u64>,
    kinds: BTreeMap<String, u64>,
    nameless: BTreeMap<String, u64>,
}

impl Tally {
    fn kind(&mut self, kind: &str, count: u64) {
        if count > 0 {
            *self.kinds.entry(kind.to_owned()).or_default() += count;
        }
    }

    fn nameless(&mut self, who: &str, count: u64) {
        if count > 0 {
            *self.nameless.entry(who.to_owned()).or_default() += count;
        }
    }

    fn sender(&mut self, sender: &Person) {
        self.nameless("senders", u64::from(!sender.has_identity()));
    }
}

impl Lint {
    fn note(&mut self, record: Record, tally: &mut Tally) {
        match record {
            Record::Item(item) => {
                self.items += 1;
                self.without_message_id += u64::from(item.message_id.is_none());
                let is_history = item.details.as_ref().is_some_and(|details| details.history.is_some());
                tally.kind(if is_history { "history" } else { item.kind.as_str() }, 1);
                // What is shown again has the id that it had.
                tally.ids.extend(item.message_id.filter(|_| !is_history));
            }
            Record::Rejected(rejected) => {
                tally.kind(
                    if rejected.kind == ItemKind::Message { "message, rejected" } else { "attachment, rejected" },
                    1,
                );
                tally.sender(&rejected.sender);
                *tally.reasons.entry(rejected.reason).or_default() += 1;
            }
            Record::Event(event) => tally.kind(event.kind.as_str(), 1),
        }
    }
}

fn counts(pairs: impl IntoIterator<Item = (String, u64)>) -> Vec<Count> {
    pairs.into_iter().map(|(path, count)| Count { path, count }).collect()
}

#[cfg(test)]
mod tests;
