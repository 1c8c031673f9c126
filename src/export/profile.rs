//! Profiles: TOML files that say where in an export each field stands (contract 5), so that another schema needs another
//! file and no other reader.

use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};
use toml::Spanned;

use super::file_date::FileDate;
use super::grammar::is_name;
use super::layout::{Layout, NodeId, Opens, Part, ROOT, RecordKind, Slot};
use super::{ItemKind, Presence};

/// The profiles that come with the program, by name.
const BUILTIN: [(&str, &str); 1] = [("icechat", include_str!("profiles/icechat.toml"))];

/// A profile, checked and ready to read with.
#[derive(Debug)]
pub struct Profile {
    name: String,
    text: String,
    pub(super) layout: Layout,
    pub(super) root: Box<str>,
    file_date: Option<FileDate>,
}

/// Why a profile cannot be used; the operator corrects the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile {name}{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct ProfileError {
    /// The profile.
    pub name: String,
    /// The line at fault, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong, on one line.
    pub reason: String,
}

impl Profile {
    /// The built-in profile of that name.
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = BUILTIN.into_iter().find(|(builtin, _)| *builtin == name)?;
        Self::parse(name, text).ok()
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// Where it is no TOML, has an unknown key, lacks what a record needs, or names one place twice.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let error = |at: Option<usize>, reason: &str| ProfileError {
            name: name.to_owned(),
            line: at.map(|offset| text[..offset.min(text.len())].matches('\n').count() + 1),
            reason: reason.trim().replace('\n', "; "),
        };
        let file: File =
            toml::from_str(text).map_err(|toml| error(toml.span().map(|span| span.start), toml.message()))?;
        let layout = compile(&file).map_err(|(at, reason)| error(Some(at), &reason))?;
        let file_date = file.header.file_date().map_err(|(at, reason)| error(Some(at), &reason))?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            layout,
            root: file.root.into_inner().into(),
            file_date,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day that an export's file name says it is about, for one that does not say it inside.
    pub fn date_in_name(&self, file_name: &str) -> Option<jiff::civil::Date> {
        self.file_date.as_ref()?.find(file_name)
    }

    /// The TOML as it was given: what the ledger keeps, so that a replay reads as the first run did.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The names of the built-in profiles.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.into_iter().map(|(name, _)| name)
}

type Place = Option<Spanned<Paths>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    root: Spanned<String>,
    #[serde(default)]
    header: HeaderPlaces,
    conversation: ConversationPlaces,
    record: Vec<RecordPlaces>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct HeaderPlaces {
    firm_code: Place,
    date: Place,
    file_date: Option<Spanned<String>>,
    ignore: Place,
}

impl HeaderPlaces {
    fn file_date(&self) -> Result<Option<FileDate>, Wrong> {
        let Some(pattern) = &self.file_date else { return Ok(None) };
        let wrong = || {
            let what = "file_date must say year, month and day, and nothing else, as in \"%Y%m%d\"";
            (pattern.span().start, what.to_owned())
        };
        FileDate::new(pattern.get_ref()).map(Some).ok_or_else(wrong)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationPlaces {
    path: Spanned<Paths>,
    room_id: Place,
    room_name: Place,
    ignore: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordPlaces {
    kind: Spanned<Kind>,
    path: Spanned<Paths>,
    message_id: Place,
    time: Place,
    content: Place,
    file_name: Place,
    content_type: Place,
    data: Place,
    data_encoding: Place,
    #[serde(default)]
    person: PersonPlaces,
    #[serde(default)]
    recipient: Vec<RecipientPlaces>,
    ignore: Place,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Entered,
    Left,
    Message,
    Attachment,
    Event,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PersonPlaces {
    im_id: Place,
    email: Place,
    name: Place,
    first_name: Place,
    last_name: Place,
    company: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipientPlaces {
    path: Spanned<Paths>,
    person: PersonPlaces,
    ignore: Place,
}

/// One path, or a list of them.
struct Paths(Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathsVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a path or a list of paths")
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

/// Where in the TOML, and why.
type Wrong = (usize, String);

fn compile(file: &File) -> Result<Layout, Wrong> {
    if !is_name(file.root.get_ref()) {
        return Err((file.root.span().start, "root is no element name".to_owned()));
    }
    let mut tree = Tree(Layout::new(file.root.get_ref()));
    tree.fill(ROOT, &file.header.firm_code, Some(Slot::FirmCode))?;
    tree.fill(ROOT, &file.header.date, Some(Slot::Date))?;
    tree.fill(ROOT, &file.header.ignore, None)?;
    for conversation in tree.open(ROOT, &file.conversation.path, Opens::Conversation)? {
        tree.fill(conversation, &file.conversation.room_id, Some(Slot::RoomId))?;
        tree.fill(conversation, &file.conversation.room_name, Some(Slot::RoomName))?;
        tree.fill(conversation, &file.conversation.ignore, None)?;
        file.record.iter().try_for_each(|record| tree.record(conversation, record))?;
    }
    Ok(tree.0.seal())
}

struct Tree(Layout);

impl Tree {
    fn record(&mut self, conversation: NodeId, places: &RecordPlaces) -> Result<(), Wrong> {
        complete(places)?;
        let kind = places.kind.get_ref().record();
        for record in self.open(conversation, &places.path, Opens::Record(kind))? {
            self.fill(record, &places.message_id, Some(Slot::MessageId))?;
            self.fill(record, &places.time, Some(Slot::Time))?;
            self.fill(record, &places.content, Some(Slot::Content))?;
            self.fill(record, &places.file_name, Some(Slot::FileName))?;
            self.fill(record, &places.content_type, Some(Slot::ContentType))?;
            self.fill(record, &places.data, Some(Slot::Data))?;
            self.fill(record, &places.data_encoding, Some(Slot::DataEncoding))?;
            self.fill(record, &places.ignore, None)?;
            for (place, part) in places.person.parts() {
                self.fill(record, place, Some(Slot::Person(part)))?;
            }
            places.recipient.iter().try_for_each(|recipient| self.recipient(record, recipient))?;
        }
        Ok(())
    }

    fn recipient(&mut self, record: NodeId, places: &RecipientPlaces) -> Result<(), Wrong> {
        for recipient in self.open(record, &places.path, Opens::Recipient)? {
            for (place, part) in places.person.parts() {
                self.fill(recipient, place, Some(Slot::Recipient(part)))?;
            }
            self.fill(recipient, &places.ignore, None)?;
        }
        Ok(())
    }

    /// The nodes of elements that open something.
    fn open(&mut self, from: NodeId, place: &Spanned<Paths>, opens: Opens) -> Result<Vec<NodeId>, Wrong> {
        let mut nodes = Vec::new();
        for path in &place.get_ref().0 {
            let wrong = |why: &str| (place.span().start, format!("{path:?} {why}"));
            let (names, attribute) = split(path).ok_or_else(|| wrong("is no path"))?;
            if attribute.is_some() || names.is_empty() {
                return Err(wrong("must name an element"));
            }
            let node = self.0.grow(from, names.into_iter());
            if !self.0.open(node, opens) {
                return Err(wrong("is named twice"));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// Fills a slot from elements or attributes; without a slot, what stands there is known and not used.
    fn fill(&mut self, from: NodeId, place: &Place, slot: Option<Slot>) -> Result<(), Wrong> {
        let Some(place) = place else { return Ok(()) };
        for path in &place.get_ref().0 {
            let wrong = |why: &str| (place.span().start, format!("{path:?} {why}"));
            let (names, attribute) = split(path).ok_or_else(|| wrong("is no path"))?;
            let own = names.is_empty();
            let node = self.0.grow(from, names.into_iter());
            let free = match (attribute, slot) {
                (Some(attribute), slot) => self.0.attribute(node, attribute, slot),
                (None, None) => !own && self.0.open(node, Opens::Ignored),
                (None, slot) => (!own || node != ROOT) && self.0.fill(node, slot),
            };
            if !free {
                return Err(wrong("is named twice, or cannot stand here"));
            }
        }
        Ok(())
    }
}

/// The element names of a path and the attribute at its end; `None` where it is malformed.
fn split(path: &str) -> Option<(Vec<&str>, Option<&str>)> {
    if path == "." {
        return Some((Vec::new(), None));
    }
    let mut names: Vec<&str> = path.split('/').collect();
    let attribute = names.last().and_then(|last| last.strip_prefix('@'));
    if attribute.is_some() {
        names.pop();
    }
    let sound = names.iter().chain(&attribute).all(|name| is_name(name));
    sound.then_some((names, attribute))
}

/// Refuses a record of which no item or event could ever be made, and fields that its kind does not have.
fn complete(places: &RecordPlaces) -> Result<(), Wrong> {
    let kind = *places.kind.get_ref();
    let (message, attachment) = (kind == Kind::Message, kind == Kind::Attachment);
    let person = places.person.im_id.is_some() || places.person.email.is_some();
    let rules = [
        (kind != Kind::Event, places.time.is_some(), "time"),
        (kind != Kind::Event, person, "person.im_id or person.email"),
        (message, places.content.is_some(), "content"),
        (attachment, places.data.is_some(), "data"),
    ];
    let items_only = [
        (message || attachment, places.message_id.is_some(), "message_id"),
        (message || attachment, !places.recipient.is_empty(), "recipient"),
        (attachment, places.file_name.is_some(), "file_name"),
        (attachment, places.content_type.is_some(), "content_type"),
        (attachment, places.data_encoding.is_some(), "data_encoding"),
    ];
    let at = places.kind.span().start;
    for (has, given, key) in rules {
        if has != given {
            let verb = if has { "needs" } else { "has no" };
            return Err((at, format!("a record of this kind {verb} {key}")));
        }
    }
    match items_only.into_iter().find(|(has, given, _)| *given && !*has) {
        Some((_, _, key)) => Err((at, format!("a record of this kind has no {key}"))),
        None => Ok(()),
    }
}

impl Kind {
    fn record(self) -> RecordKind {
        match self {
            Self::Entered => RecordKind::Presence(Presence::Entered),
            Self::Left => RecordKind::Presence(Presence::Left),
            Self::Message => RecordKind::Item(ItemKind::Message),
            Self::Attachment => RecordKind::Item(ItemKind::Attachment),
            Self::Event => RecordKind::Event,
        }
    }
}

impl PersonPlaces {
    fn parts(&self) -> [(&Place, Part); 6] {
        [
            (&self.im_id, Part::ImId),
            (&self.email, Part::Email),
            (&self.name, Part::Name),
            (&self.first_name, Part::FirstName),
            (&self.last_name, Part::LastName),
            (&self.company, Part::Company),
        ]
    }
}

#[cfg(test)]
mod tests;
