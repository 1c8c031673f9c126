//! From a profile's keys to the table that the reader walks, and what is wrong with them.

use std::collections::HashMap;

use super::document::{Document, Kind, Paths, Place, RecipientPlaces, RecordPlaces, ReferenceKey};
use super::{Spanned, Wrong};
use crate::export::EventKind;
use crate::export::grammar::is_name;
use crate::export::layout::{Layout, NodeId, Opens, ROOT, RecordKind, Reference, Slot, Target};

/// Places that one field may stand in.
const MAX_PLACES: usize = 100;
/// Bytes of what a further field is called; it becomes part of a header's name.
const MAX_EXTRA: usize = 32;
/// Headers that the renderer writes itself.
const TAKEN: [&str; 10] =
    ["attachment", "date", "disclaimer", "history", "item-id", "kind", "message-id", "part", "room-id", "sender-imid"];

/// `today`: whether what was let pass once is refused.
pub(super) fn compile(document: &Document, today: bool) -> Result<Layout, Wrong> {
    if !is_name(document.root.get_ref()) {
        return Err((document.root.span().start, "root is no element name".to_owned()));
    }
    let mut tree = Tree { layout: Layout::new(document.root.get_ref()), named: HashMap::new() };
    tree.fill(ROOT, &document.header.firm_code, Some(Slot::FirmCode))?;
    tree.fill(ROOT, &document.header.date, Some(Slot::Date))?;
    tree.fill(ROOT, &document.header.ignore, None)?;
    for conversation in tree.open(ROOT, &document.conversation.path, Opens::Conversation)? {
        tree.fill(conversation, &document.conversation.room_id, Some(Slot::RoomId))?;
        tree.fill(conversation, &document.conversation.room_name, Some(Slot::RoomName))?;
        tree.fill(conversation, &document.conversation.ignore, None)?;
        document.record.iter().try_for_each(|record| tree.record(conversation, record))?;
    }
    for (total, place) in document.totals.places() {
        tree.fill_from(ROOT, place, Some(Slot::Total(total)))?;
    }
    if today {
        tree.check_ignored(ROOT, false)?;
    }
    Ok(tree.layout.seal())
}

struct Tree {
    layout: Layout,
    /// Where in the profile each node is named.
    named: HashMap<NodeId, usize>,
}

impl Tree {
    fn record(&mut self, conversation: NodeId, places: &RecordPlaces) -> Result<(), Wrong> {
        complete(places)?;
        for record in self.open(conversation, &places.path, Opens::Record(kind(places)))? {
            self.fill(record, &places.message_id, Some(Slot::MessageId))?;
            self.fill(record, &places.time, Some(Slot::Time))?;
            self.fill(record, &places.content, Some(Slot::Content))?;
            self.fill(record, &places.file_name, Some(Slot::FileName))?;
            self.fill(record, &places.content_type, Some(Slot::ContentType))?;
            self.fill(record, &places.data, Some(Slot::Data))?;
            self.fill(record, &places.data_encoding, Some(Slot::DataEncoding))?;
            self.fill(record, &places.file_id, Some(Slot::FileId))?;
            self.fill(record, &places.disclaimer, Some(Slot::Disclaimer))?;
            for (name, place) in &places.extra {
                let extra = self.extra(name, place)?;
                self.fill_from(record, place, Some(extra))?;
            }
            self.fill(record, &places.ignore, None)?;
            for (place, part) in places.person.parts() {
                self.fill(record, place, Some(Slot::Person(part)))?;
            }
            let people = places.recipient.iter().chain(&places.invited);
            people.into_iter().try_for_each(|people| self.people(record, people))?;
        }
        Ok(())
    }

    fn extra(&mut self, name: &str, place: &Spanned<Paths>) -> Result<Slot, Wrong> {
        let wrong = |why: &str| (place.span().start, format!("extra {name:?} {why}"));
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let sound = begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !sound || name.len() > MAX_EXTRA {
            return Err(wrong(
                "must be letters, digits and hyphens, at most 32, for it becomes part of a header's name",
            ));
        }
        let same = self.layout.extras().iter().any(|other| other.eq_ignore_ascii_case(name) && **other != *name);
        if TAKEN.iter().any(|taken| name.eq_ignore_ascii_case(taken)) || same {
            return Err(wrong("is the name of another field"));
        }
        Ok(Slot::Extra(self.layout.extra(name)))
    }

    /// Recipients, or who was invited.
    fn people(&mut self, record: NodeId, places: &RecipientPlaces) -> Result<(), Wrong> {
        let Some(delimiter) = &places.delimiter else {
            for recipient in self.open(record, &places.path, Opens::Recipient)? {
                for (place, part) in places.person.parts() {
                    self.fill(recipient, place, Some(Slot::Recipient(part)))?;
                }
                self.fill(recipient, &places.ignore, None)?;
            }
            return Ok(());
        };
        let wrong = |why: &str| (delimiter.span().start, why.to_owned());
        if delimiter.get_ref().is_empty() {
            return Err(wrong("delimiter is empty"));
        }
        let mut given = places.person.parts().into_iter().filter(|(place, _)| place.is_some());
        let (Some((place, part)), None, true) = (given.next(), given.next(), places.person.identifies()) else {
            return Err(wrong("with a delimiter, the person has one field, which is im_id or email"));
        };
        let delimiter = self.layout.delimiter(delimiter.get_ref());
        let slot = Slot::Recipients(part, delimiter);
        if places.path.get_ref().0.iter().any(|path| path.contains('@')) {
            return self.attribute_list(record, places, place, slot);
        }
        for list in self.open(record, &places.path, Opens::Recipients)? {
            self.fill(list, place, Some(slot))?;
            self.fill(list, &places.ignore, None)?;
        }
        Ok(())
    }

    /// A list in an attribute, of the record or of an element in it: `path = "@to"`, and the person's field is `"."`.
    fn attribute_list(
        &mut self,
        record: NodeId,
        places: &RecipientPlaces,
        place: &Place,
        slot: Slot,
    ) -> Result<(), Wrong> {
        let is_own = place.as_ref().is_some_and(|place| place.get_ref().0 == ["."]);
        if !is_own || places.ignore.is_some() || !places.path.get_ref().0.iter().all(|path| path.contains('@')) {
            let what = "with an attribute as its path, a list has attributes alone, its person's field is \".\", and it \
                        ignores nothing";
            return Err((places.path.span().start, what.to_owned()));
        }
        // Each of them is a list: none is preferred to another.
        places.path.get_ref().0.iter().try_for_each(|path| self.fill_at(record, path, &places.path, Some(slot), 0))
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
            let above = names.iter().scan(from, |node, name| {
                *node = self.layout.grow(*node, std::iter::once(*name));
                Some(*node)
            });
            let above: Vec<NodeId> = above.collect();
            let node = above.last().copied().unwrap_or(from);
            if !self.layout.open(node, opens) {
                return Err(wrong("is named twice"));
            }
            self.named.insert(node, place.span().start);
            let within = above.iter().filter(|node| self.layout.is_record(**node)).count();
            if within > 1 || (self.layout.is_record(node) && self.layout.has_record_below(node)) {
                return Err(wrong("is a record within a record"));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn fill(&mut self, from: NodeId, place: &Place, slot: Option<Slot>) -> Result<(), Wrong> {
        place.as_ref().map_or(Ok(()), |place| self.fill_from(from, place, slot))
    }

    /// Fills a slot from elements or attributes, in order of preference; without a slot, what stands there is known and not
    /// used.
    fn fill_from(&mut self, from: NodeId, place: &Spanned<Paths>, slot: Option<Slot>) -> Result<(), Wrong> {
        let paths = &place.get_ref().0;
        if slot.is_some() && paths.len() > MAX_PLACES {
            return Err((place.span().start, format!("a field may stand in {MAX_PLACES} places at most")));
        }
        // 0 is for a place that is the only one: only there is a second value an error as soon as it is met.
        for (index, path) in paths.iter().enumerate() {
            let rank = if paths.len() > 1 { u8::try_from(index + 1).unwrap_or(u8::MAX) } else { 0 };
            self.fill_at(from, path, place, slot, rank)?;
        }
        Ok(())
    }

    fn fill_at(
        &mut self,
        from: NodeId,
        path: &str,
        place: &Spanned<Paths>,
        slot: Option<Slot>,
        rank: u8,
    ) -> Result<(), Wrong> {
        let wrong = |why: &str| (place.span().start, format!("{path:?} {why}"));
        let (names, attribute) = split(path).ok_or_else(|| wrong("is no path"))?;
        let own = names.is_empty();
        let node = self.layout.grow(from, names.into_iter());
        let target = slot.map(|slot| Target { slot, rank });
        let free = match (attribute, target) {
            (Some(attribute), target) => self.layout.attribute(node, attribute, target),
            (None, None) => !own && self.layout.open(node, Opens::Ignored),
            (None, target) => (!own || node != ROOT) && self.layout.fill(node, target),
        };
        if !free {
            return Err(wrong("is named twice, or cannot stand here"));
        }
        if slot.is_some() {
            self.named.insert(node, place.span().start);
        }
        Ok(())
    }

    /// Refuses what would never be read, because an element above it is known and not looked into.
    fn check_ignored(&self, id: NodeId, above: bool) -> Result<(), Wrong> {
        let node = self.layout.node(id);
        let is_ignored = matches!(node.opens, Opens::Ignored | Opens::Record(RecordKind::Ignored));
        let is_used = node.fills.is_some() || (node.opens != Opens::Nothing && !is_ignored);
        let is_looked_into = node.attributes.iter().any(|(_, attribute)| attribute.fills.is_some());
        if (above && is_used) || ((above || is_ignored) && is_looked_into) {
            let (path, at) = (&self.layout.paths()[id], self.named.get(&id).copied().unwrap_or_default());
            return Err((
                at,
                format!("{path:?} is never read: it stands in what is ignored, or in a record of kind event"),
            ));
        }
        node.children.iter().try_for_each(|(_, child)| self.check_ignored(*child, above || is_ignored))
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

/// What a kind of record does with a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Needs,
    May,
    Never,
}

/// Refuses a record of which no item or event could ever be made, and fields that its kind does not have.
fn complete(places: &RecordPlaces) -> Result<(), Wrong> {
    use Rule::{May, Needs, Never};

    let kind = *places.kind.get_ref();
    let is = |kinds: &[Kind]| kinds.contains(&kind);
    let (message, attachment, event) =
        (is(&[Kind::Message, Kind::History]), is(&[Kind::Attachment]), is(&[Kind::Event]));
    let (said, invited) = (is(&[Kind::Disclaimer, Kind::System]), is(&[Kind::Invited]));
    let if_so = |so: bool, rule: Rule| if so { rule } else { Never };
    let unless = |never: bool, rule: Rule| if never { Never } else { rule };
    let elsewhere = places.file_id.is_some() || places.reference.is_some();
    let rules = [
        ("time", unless(event, if said { May } else { Needs }), places.time.is_some()),
        (
            "person.im_id or person.email",
            unless(event, if said || invited { May } else { Needs }),
            places.person.identifies(),
        ),
        ("content", if_so(message || said, Needs), places.content.is_some()),
        ("data or file_id", if_so(attachment, Needs), places.data.is_some() || elsewhere),
        ("invited", if_so(invited, Needs), !places.invited.is_empty()),
        ("message_id", unless(event, May), places.message_id.is_some()),
        ("recipient", if_so(message || attachment, May), !places.recipient.is_empty()),
        ("file_name", if_so(attachment, May), places.file_name.is_some()),
        ("content_type", if_so(attachment, May), places.content_type.is_some()),
        ("data_encoding", if_so(attachment && places.data.is_some(), May), places.data_encoding.is_some()),
        ("disclaimer", if_so(message || attachment, May), places.disclaimer.is_some()),
        ("extra", unless(event, May), !places.extra.is_empty()),
    ];
    let at = places.kind.span().start;
    for (key, rule, given) in rules {
        let verb = match (rule, given) {
            (Needs, false) => "needs",
            (Never, true) => "has no",
            _ => continue,
        };
        return Err((at, format!("a record of this kind {verb} {key}")));
    }
    match &places.reference {
        Some(key) if *key.get_ref() == ReferenceKey::FileName && places.file_name.is_none() => {
            Err((key.span().start, "reference = \"file_name\" needs file_name".to_owned()))
        }
        Some(key) if *key.get_ref() == ReferenceKey::FileId && places.file_id.is_none() => {
            Err((key.span().start, "reference = \"file_id\" needs file_id".to_owned()))
        }
        _ => Ok(()),
    }
}

fn kind(places: &RecordPlaces) -> RecordKind {
    match places.kind.get_ref() {
        Kind::Entered => RecordKind::Event(EventKind::Entered),
        Kind::Left => RecordKind::Event(EventKind::Left),
        Kind::Invited => RecordKind::Event(EventKind::Invited),
        Kind::Disclaimer => RecordKind::Event(EventKind::Disclaimer),
        Kind::System => RecordKind::Event(EventKind::System),
        Kind::Message => RecordKind::Message,
        Kind::History => RecordKind::History,
        Kind::Attachment => RecordKind::Attachment(match places.reference.as_ref().map(|key| *key.get_ref()) {
            Some(ReferenceKey::FileName) => Reference::FileName,
            Some(ReferenceKey::FileId) => Reference::FileId,
            None if places.file_id.is_some() => Reference::FileId,
            None => Reference::None,
        }),
        Kind::Event => RecordKind::Ignored,
    }
}
