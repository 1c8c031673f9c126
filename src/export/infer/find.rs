//! Which element is a message, which a conversation, and which the other records: from times, texts, nesting and
//! repetition, with names to decide between what looks alike.

use super::names::{CONVERSATION, MESSAGE, Name};
use super::survey::{Element, Id, ROOT, Survey};
use super::values::Values;

/// An element's text, or an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) id: Id,
    /// The index among the element's attributes.
    pub(super) attribute: Option<usize>,
}

impl Survey {
    pub(super) fn values(&self, leaf: Leaf) -> &Values {
        let element = &self.elements[leaf.id];
        leaf.attribute.map_or(&element.text, |index| &element.attributes[index].1)
    }

    pub(super) fn name(&self, leaf: Leaf) -> Name {
        let element = &self.elements[leaf.id];
        Name::new(leaf.attribute.map_or(&element.name, |index| &element.attributes[index].0))
    }

    /// How a profile writes the place, seen from `from`.
    pub(super) fn place(&self, from: Id, leaf: Leaf) -> String {
        let path = self.path(from, leaf.id);
        match leaf.attribute.map(|index| &self.elements[leaf.id].attributes[index].0) {
            None => path,
            Some(name) if path == "." => format!("@{name}"),
            Some(name) => format!("{path}/@{name}"),
        }
    }

    /// The elements between `from` and the leaf, outermost first, the leaf's own left out.
    pub(super) fn between(&self, from: Id, leaf: Leaf) -> Vec<Id> {
        let mut found = Vec::new();
        let mut at = if leaf.attribute.is_some() { leaf.id } else { self.elements[leaf.id].parent };
        if leaf.id == from {
            return found;
        }
        while at != from && at != ROOT {
            found.push(at);
            at = self.elements[at].parent;
        }
        found.reverse();
        found
    }

    /// Everything with a text in and below `id`, but for what is in an element that `stop` names.
    pub(super) fn leaves(&self, id: Id, stop: &[Id]) -> Vec<Leaf> {
        let element = &self.elements[id];
        let mut found: Vec<Leaf> =
            (0..element.attributes.len()).map(|index| Leaf { id, attribute: Some(index) }).collect();
        let is_bare = element.children.is_empty() && element.attributes.is_empty();
        if element.text.count > 0 || is_bare {
            found.push(Leaf { id, attribute: None });
        }
        let is_text = self.is_mixed(id) && !stop.contains(&id);
        for child in element.children.iter().filter(|child| !is_text && !stop.contains(child)) {
            found.extend(self.leaves(*child, stop));
        }
        found
    }

    /// Whether the texts are times. A number could be anything, unless its name says time.
    pub(super) fn is_time(&self, leaf: Leaf) -> bool {
        const TIME: [&str; 10] = ["time", "date", "timestamp", "utc", "ts", "at", "sent", "when", "created", "stamp"];
        let values = self.values(leaf);
        let formats = values.times.formats();
        let is_plain = formats.iter().all(|format| format.starts_with("unix"));
        values.times.are_times() && (!is_plain || self.name(leaf).any(&TIME) || self.name(leaf).has("unix"))
    }

    pub(super) fn is_below(&self, id: Id, above: Id) -> bool {
        let mut at = id;
        while at != ROOT {
            at = self.elements[at].parent;
            if at == above {
                return true;
            }
        }
        false
    }
}

/// What the structure comes to.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) message: Id,
    pub(super) conversation: Id,
    /// Every record, the message among them, in the export's order.
    pub(super) records: Vec<Id>,
    /// Everything that is something at a time.
    pub(super) entities: Vec<Id>,
    /// What stands in a conversation and is no record.
    pub(super) fields: Vec<Leaf>,
    /// Other elements that could be the conversation.
    pub(super) rivals: Vec<Id>,
}

/// Why no profile could be made of it, in words for an operator.
pub(super) type Cannot = String;

pub(super) fn structure(survey: &Survey) -> Result<Structure, Cannot> {
    let entities = entities(survey);
    let message = message(survey, &entities).ok_or_else(|| nothing_said(&entities))?;
    let (conversation, rivals) = conversation(survey, message)?;
    let (mut records, mut fields) = (Vec::new(), Vec::new());
    let own = Leaves { survey, entities: &entities };
    own.sort(conversation, conversation, &mut records, &mut fields);
    if !records.contains(&message) {
        records.push(message);
    }
    Ok(Structure { message, conversation, records, entities, fields, rivals })
}

fn nothing_said(entities: &[Id]) -> Cannot {
    if entities.is_empty() {
        return "nothing in it has a time that can be read, so nothing in it can be a message; write the time's notation \
                by hand: icechatd profile show icechat prints a profile to begin with"
            .to_owned();
    }
    "it has elements with times, but none of them has a text, a sender and a time together, as a message has; a profile \
     cannot read messages of which a part stands elsewhere"
        .to_owned()
}

/// The elements that are something at a time: whose own the times are.
fn entities(survey: &Survey) -> Vec<Id> {
    let mut found: Vec<Id> = Vec::new();
    for id in 0..survey.elements.len() {
        let attributes = (0..survey.elements[id].attributes.len()).map(|index| Leaf { id, attribute: Some(index) });
        for leaf in attributes.chain([Leaf { id, attribute: None }]) {
            if survey.is_time(leaf) {
                let owner = owner(survey, leaf);
                if !found.contains(&owner) {
                    found.push(owner);
                }
            }
        }
    }
    found.retain(|id| *id != ROOT);
    found.sort_unstable();
    found
}

/// Whose time it is: the element around it, or around what merely groups fields (`Header/Sent`).
fn owner(survey: &Survey, leaf: Leaf) -> Id {
    let element = &survey.elements[leaf.id];
    let is_box =
        leaf.attribute.is_some() && element.children.is_empty() && is_time_name(element) && element.text.count == 0;
    let mut owner = if leaf.attribute.is_some() && !is_box { leaf.id } else { element.parent };
    loop {
        let element = &survey.elements[owner];
        let parent = &survey.elements[element.parent];
        let is_group = owner != ROOT && element.most == 1 && element.count == parent.count && element.parent != ROOT;
        let name = Name::new(&element.name);
        let has_text = survey.leaves(owner, &[]).into_iter().any(|leaf| content_score(survey, leaf) > 0);
        if !is_group || has_text || name.any(&MESSAGE) || Name::new(&parent.name).any(&CONVERSATION) {
            return owner;
        }
        owner = element.parent;
    }
}

fn is_time_name(element: &Element) -> bool {
    Name::new(&element.name).any(&["time", "date", "timestamp", "sent", "when"])
}

/// How much a text looks like what was said; 0 for what does not.
pub(super) fn content_score(survey: &Survey, leaf: Leaf) -> u64 {
    const NOT: [&str; 19] = [
        "name",
        "company",
        "firm",
        "room",
        "user",
        "subject",
        "topic",
        "address",
        "title",
        "file",
        "email",
        "mail",
        "sender",
        "recipient",
        "id",
        "type",
        "time",
        "date",
        "organisation",
    ];
    let (values, name) = (survey.values(leaf), survey.name(leaf));
    let said = [("content", 100), ("body", 90), ("text", 80), ("message", 70), ("msg", 70), ("said", 70)];
    let by_name = said.iter().find(|(word, _)| name.has(word)).map_or(0, |(_, score)| *score);
    let is_other = name.any(&NOT) || name.ends("id") || survey.is_time(leaf) || values.are_emails();
    if values.count == 0 || is_other || values.mostly(values.media) {
        return 0;
    }
    let average = values.bytes / values.count;
    let wordy = values.spaced * 100 / values.count;
    let by_shape = if wordy >= 30 && average >= 8 { wordy / 2 + average.min(100) / 2 } else { 0 };
    match () {
        () if values.mostly(values.base64) => by_name / 10,
        // A firm's standing words beside what was said are longer than that.
        () if name.has("disclaimer") && by_name == 0 => by_shape / 4,
        () => by_name + by_shape,
    }
}

/// The entity that looks most like a message.
fn message(survey: &Survey, entities: &[Id]) -> Option<Id> {
    const OTHERS: [&str; 7] = ["history", "system", "disclaimer", "attachment", "notice", "event", "invite"];
    let score = |id: Id| {
        let stop: Vec<Id> = entities.iter().copied().filter(|other| *other != id).collect();
        let content = survey.leaves(id, &stop).into_iter().map(|leaf| content_score(survey, leaf)).max().unwrap_or(0);
        let name = Name::new(&survey.elements[id].name);
        let is_room = name.any(&CONVERSATION) && !name.any(&["message", "msg"]);
        let is_said = name.any(&MESSAGE) && !is_room;
        let is_other = name.any(&OTHERS) || is_room;
        (content > 0).then(|| (content + if is_said { 200 } else { 0 }).saturating_sub(if is_other { 150 } else { 0 }))
    };
    let scored = entities.iter().filter_map(|id| Some((score(*id)?, survey.elements[*id].count, *id)));
    scored.max_by_key(|(score, count, id)| (*score, *count, std::cmp::Reverse(*id))).map(|(_, _, id)| id)
}

/// What holds the messages of one room, and what else could be it.
fn conversation(survey: &Survey, message: Id) -> Result<(Id, Vec<Id>), Cannot> {
    let mut above = Vec::new();
    let mut at = survey.elements[message].parent;
    while at != ROOT {
        above.push(at);
        at = survey.elements[at].parent;
    }
    let score = |id: Id| {
        let element = &survey.elements[id];
        let name = Name::new(&element.name);
        let has_id = room_leaves(survey, id).into_iter().any(|leaf| is_id_name(&survey.name(leaf)));
        u64::from(has_id) * 4 + u64::from(name.any(&CONVERSATION) || name.is("chat")) * 2 + u64::from(element.most > 1)
    };
    // The innermost of equals: `above` begins with it, and max_by_key takes the last.
    let best = above.iter().rev().copied().max_by_key(|id| score(*id)).filter(|id| score(*id) > 0);
    let Some(best) = best else { return Err(flat(survey, message)) };
    let rivals =
        above.into_iter().filter(|id| *id != best && score(*id) > 0 && survey.elements[*id].most > 1).collect();
    Ok((best, rivals))
}

/// What an element says of itself: its attributes, and what stands in it once.
fn room_leaves(survey: &Survey, id: Id) -> Vec<Leaf> {
    let children = survey.elements[id].children.iter().copied();
    let simple =
        children.filter(|child| survey.elements[*child].most == 1 && survey.elements[*child].children.is_empty());
    let mut found: Vec<Leaf> = survey.leaves(id, &survey.elements[id].children);
    found.extend(simple.flat_map(|child| survey.leaves(child, &[])));
    found
}

pub(super) fn is_id_name(name: &Name) -> bool {
    let is_room = ["room", "channel", "conversation", "chat", "thread"].iter().any(|word| name.is(word));
    is_room || name.ends("id") || name.any(&["guid", "uuid", "code", "key"])
}

fn flat(survey: &Survey, message: Id) -> Cannot {
    let room = survey.leaves(message, &[]).into_iter().find(|leaf| {
        let name = survey.name(*leaf);
        name.any(&CONVERSATION) || (name.has("chat") && name.ends("id"))
    });
    let rooms = room
        .map_or_else(String::new, |leaf| format!(", and each names its room itself ({})", survey.place(message, leaf)));
    format!(
        "its messages ({}) stand in one list{rooms}; a profile can only read messages that stand within an element for \
         their conversation: ask the vendor for an export that groups them by room",
        survey.path(ROOT, message)
    )
}

struct Leaves<'a> {
    survey: &'a Survey,
    entities: &'a [Id],
}

impl Leaves<'_> {
    /// Sorts what stands in `at` into records and fields of the conversation.
    fn sort(&self, conversation: Id, at: Id, records: &mut Vec<Id>, fields: &mut Vec<Leaf>) {
        let survey = self.survey;
        let element = &survey.elements[at];
        // Text between records cannot be named: a profile that ignored it would ignore the records with it.
        let own = survey.leaves(at, &element.children).into_iter();
        fields.extend(own.filter(|leaf| at == conversation || leaf.attribute.is_some()));
        for child in &element.children {
            let below = self.entities.iter().any(|entity| survey.is_below(*entity, *child));
            if self.is_record(*child) {
                records.push(*child);
            } else if below || (at == conversation && self.holds_records(*child)) {
                self.sort(conversation, *child, records, fields);
            } else {
                fields.extend(survey.leaves(*child, &[]));
            }
        }
    }

    fn is_record(&self, id: Id) -> bool {
        const EVENTS: [&str; 16] = [
            "disclaimer",
            "system",
            "notice",
            "notification",
            "history",
            "attachment",
            "invite",
            "invitation",
            "entered",
            "left",
            "joined",
            "join",
            "leave",
            "event",
            "enter",
            "exit",
        ];
        let element = &self.survey.elements[id];
        let name = Name::new(&element.name);
        let has_parts = !element.children.is_empty() || !element.attributes.is_empty() || element.text.count > 0;
        let is_plural = element.children.len() == 1 && self.survey.elements[element.children[0]].most > 1;
        self.entities.contains(&id) || (name.any(&EVENTS) && has_parts && !is_plural && !name.ends("id"))
    }

    fn holds_records(&self, id: Id) -> bool {
        self.survey.elements[id].children.iter().any(|child| self.is_record(*child))
    }
}
