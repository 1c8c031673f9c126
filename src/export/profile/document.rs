//! What may stand in a profile: its keys, as TOML has them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

use super::{Presence, Spanned};
use crate::export::files::FileKind;
use crate::export::layout::Part;
use crate::export::totals::Total;

pub(super) type Place = Option<Spanned<Paths>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) root: Spanned<String>,
    #[serde(default)]
    pub(super) unknown: Unknown,
    #[serde(default)]
    pub(super) presence: Presence,
    #[serde(default)]
    pub(super) guesses: Vec<String>,
    #[serde(default)]
    pub(super) file: Vec<FileNames>,
    #[serde(default)]
    pub(super) time: Times,
    #[serde(default)]
    pub(super) header: HeaderPlaces,
    pub(super) conversation: ConversationPlaces,
    pub(super) record: Vec<RecordPlaces>,
    #[serde(default)]
    pub(super) totals: TotalPlaces,
}

/// What becomes of a file that holds what the profile does not name.
#[derive(Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unknown {
    #[default]
    Report,
    Hold,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileNames {
    pub(super) kind: NamedKind,
    pub(super) name: Spanned<Paths>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamedKind {
    Export,
    Attachments,
    Totals,
}

impl NamedKind {
    pub(super) fn file(self) -> FileKind {
        match self {
            Self::Export => FileKind::Export,
            Self::Attachments => FileKind::Attachments,
            Self::Totals => FileKind::Totals,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Times {
    pub(super) formats: Option<Spanned<Vec<String>>>,
    pub(super) zone: Option<Spanned<String>>,
    pub(super) ambiguous: Ambiguity,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ambiguity {
    #[default]
    Reject,
    Earlier,
    Later,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeaderPlaces {
    pub(super) firm_code: Place,
    pub(super) date: Place,
    pub(super) file_date: Option<Spanned<String>>,
    pub(super) ignore: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversationPlaces {
    pub(super) path: Spanned<Paths>,
    pub(super) room_id: Place,
    pub(super) room_name: Place,
    pub(super) ignore: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordPlaces {
    pub(super) kind: Spanned<Kind>,
    pub(super) path: Spanned<Paths>,
    pub(super) message_id: Place,
    pub(super) time: Place,
    pub(super) content: Place,
    pub(super) file_name: Place,
    pub(super) content_type: Place,
    pub(super) data: Place,
    pub(super) data_encoding: Place,
    pub(super) file_id: Place,
    pub(super) reference: Option<Spanned<ReferenceKey>>,
    pub(super) disclaimer: Place,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Spanned<Paths>>,
    #[serde(default)]
    pub(super) person: PersonPlaces,
    #[serde(default)]
    pub(super) recipient: Vec<RecipientPlaces>,
    #[serde(default)]
    pub(super) invited: Vec<RecipientPlaces>,
    pub(super) ignore: Place,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Entered,
    Left,
    Invited,
    Message,
    History,
    Attachment,
    Disclaimer,
    System,
    Event,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReferenceKey {
    FileId,
    FileName,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PersonPlaces {
    im_id: Place,
    email: Place,
    name: Place,
    first_name: Place,
    last_name: Place,
    company: Place,
}

impl PersonPlaces {
    pub(super) fn parts(&self) -> [(&Place, Part); 6] {
        [
            (&self.im_id, Part::ImId),
            (&self.email, Part::Email),
            (&self.name, Part::Name),
            (&self.first_name, Part::FirstName),
            (&self.last_name, Part::LastName),
            (&self.company, Part::Company),
        ]
    }

    /// Whether it can say who someone is.
    pub(super) fn identifies(&self) -> bool {
        self.im_id.is_some() || self.email.is_some()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipientPlaces {
    pub(super) path: Spanned<Paths>,
    pub(super) person: PersonPlaces,
    pub(super) delimiter: Option<Spanned<String>>,
    pub(super) ignore: Place,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TotalPlaces {
    messages: Place,
    attachments: Place,
    conversations: Place,
    records: Place,
    pub(super) sidecar: SidecarPatterns,
}

impl TotalPlaces {
    pub(super) fn places(&self) -> impl Iterator<Item = (Total, &Spanned<Paths>)> {
        by_total([&self.messages, &self.attachments, &self.conversations, &self.records])
    }
}

/// Lines of a file of control totals.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SidecarPatterns {
    messages: Option<Spanned<String>>,
    attachments: Option<Spanned<String>>,
    conversations: Option<Spanned<String>>,
    records: Option<Spanned<String>>,
}

impl SidecarPatterns {
    pub(super) fn patterns(&self) -> impl Iterator<Item = (Total, &Spanned<String>)> {
        by_total([&self.messages, &self.attachments, &self.conversations, &self.records])
    }
}

/// In the order of [`Total::ALL`].
fn by_total<T>(values: [&Option<T>; 4]) -> impl Iterator<Item = (Total, &T)> {
    Total::ALL.into_iter().zip(values).filter_map(|(total, value)| Some((total, value.as_ref()?)))
}

/// One path, or a list of them.
pub(super) struct Paths(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathsVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("one text or a list of them")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Paths, E> {
        Ok(Paths(vec![path.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        Ok(Paths(paths))
    }
}
