//! What is what within a record: time, ids, what was said, files, people; and which kind of record it is.

use super::find::{Leaf, content_score};
use super::groups::groups;
use super::names::{ACTOR, CONVERSATION, INVITED, MESSAGE, Name, RECIPIENT};
use super::people::person;
use super::plan::{Kind, Line, RecordPlan};
use super::survey::{Id, Survey};

/// A record while its texts are given to keys.
pub(super) struct Fields<'a> {
    pub(super) survey: &'a Survey,
    pub(super) conversation: Id,
    pub(super) record: Id,
    left: Vec<Leaf>,
    lines: Vec<Line>,
}

/// A record of the conversation, as far as a profile can say it.
pub(super) fn record(survey: &Survey, conversation: Id, id: Id, is_message: bool, nested: &[Id]) -> RecordPlan {
    let nested: Vec<Id> = nested.iter().copied().filter(|other| *other != id && survey.is_below(*other, id)).collect();
    let left = survey.leaves(id, &nested);
    let mut fields = Fields { survey, conversation, record: id, left, lines: Vec::new() };
    let wanted = fields.kind(is_message);
    let mut plan = fields.plan(wanted);
    plan.left_out.extend(nested.iter().map(|other| survey.path(id, *other)));
    let lacks = plan.lacks();
    if let Some(lacks) = lacks {
        let path = plan.path.clone();
        let said =
            format!("{path}: looks like \"{}\", but has no {lacks}; as \"event\" nothing of it is read", wanted.word());
        plan = RecordPlan { count: plan.count, ..RecordPlan::event(path, said) };
    }
    plan
}

impl RecordPlan {
    fn event(path: String, guess: String) -> Self {
        Self {
            kind: Kind::Event,
            path,
            count: 0,
            why: "nothing of it is looked at".to_owned(),
            guess: Some(guess),
            lines: Vec::new(),
            person: Vec::new(),
            recipients: Vec::new(),
            invited: Vec::new(),
            extra: Vec::new(),
            ignore: Vec::new(),
            left_out: Vec::new(),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.lines.iter().any(|line| line.key == key)
    }

    /// What a record of this kind must have and this one has not.
    fn lacks(&self) -> Option<&'static str> {
        let identity = self.person.iter().any(|line| matches!(line.key, "im_id" | "email"));
        let acts = self.kind.is_item() || matches!(self.kind, Kind::Entered | Kind::Left);
        let said = matches!(self.kind, Kind::Message | Kind::History | Kind::Disclaimer | Kind::System);
        let file = self.has("data") || self.has("file_id") || self.has("file_name");
        if (acts || self.kind == Kind::Invited) && !self.has("time") {
            Some("time that can be read")
        } else if acts && !identity {
            Some("person with an id or an address")
        } else if said && !self.has("content") {
            Some("text")
        } else if self.kind == Kind::Invited && self.invited.is_empty() {
            Some("person who is invited")
        } else if self.kind == Kind::Attachment && !file {
            Some("data, file id or file name")
        } else {
            None
        }
    }
}

impl Fields<'_> {
    fn kind(&self, is_message: bool) -> Kind {
        let name = Name::new(&self.survey.elements[self.record].name);
        let kinds: [(&[&str], Kind); 8] = [
            (
                &["left", "leave", "leaves", "leaving", "exit", "exited", "depart", "departed", "logout", "quit"],
                Kind::Left,
            ),
            (&["invite", "invited", "invitation", "inviting"], Kind::Invited),
            (&["entered", "enter", "enters", "join", "joined", "joins", "arrived", "login", "added"], Kind::Entered),
            (&["history"], Kind::History),
            (&["attachment", "attach", "file", "document", "upload"], Kind::Attachment),
            (&["disclaimer"], Kind::Disclaimer),
            (&["system", "notice", "notification"], Kind::System),
            (&MESSAGE, Kind::Message),
        ];
        let by_name = kinds.into_iter().find(|(words, _)| name.any(words)).map(|(_, kind)| kind);
        match by_name {
            _ if is_message => Kind::Message,
            Some(kind) => kind,
            None if self.left.iter().any(|leaf| content_score(self.survey, *leaf) > 40) => Kind::Message,
            None => Kind::Event,
        }
    }

    fn plan(&mut self, kind: Kind) -> RecordPlan {
        let survey = self.survey;
        let element = &survey.elements[self.record];
        let path = survey.path(self.conversation, self.record);
        let mut plan = RecordPlan { count: element.count, kind, ..RecordPlan::event(path.clone(), String::new()) };
        let times = if element.count == 1 { "once".to_owned() } else { format!("{} times", element.count) };
        plan.why = format!("found {times}; at most {} in one place", element.most);
        plan.guess = (kind == Kind::Event)
            .then(|| format!("{path}: nothing tells what it is; as \"event\" nothing of it is read"));
        if kind == Kind::Event {
            return plan;
        }
        self.times(&path);
        let groups = groups(survey, self.conversation, self.record, kind, &mut self.left);
        if kind.is_item() {
            self.message_id(&path);
        }
        match kind {
            Kind::Attachment => self.file(&path),
            Kind::Message | Kind::History | Kind::System => self.content(&path),
            Kind::Disclaimer => {
                self.disclaimer_id();
                self.content(&path);
            }
            _ => {}
        }
        if kind.is_item() {
            self.disclaimer_reference(&path);
        }
        let (mut own, repeated): (Vec<Leaf>, Vec<Leaf>) = self.left.iter().partition(|leaf| !self.repeats(**leaf));
        (plan.person, own) = person(survey, self.record, &own, &path);
        own.extend(repeated);
        self.left = own;
        if kind == Kind::Invited {
            plan.invited = groups;
        } else {
            plan.recipients = groups;
        }
        self.rest(kind, &mut plan);
        plan.lines = std::mem::take(&mut self.lines);
        plan
    }

    /// Takes the likeliest of the texts that `score` gives anything.
    fn take(&mut self, score: impl Fn(&Survey, Leaf, &Name) -> u64) -> Option<Leaf> {
        let survey = self.survey;
        let scored = self.left.iter().map(|leaf| (score(survey, *leaf, &survey.name(*leaf)), *leaf));
        let best =
            scored.filter(|(score, _)| *score > 0).rev().max_by_key(|(score, _)| *score).map(|(_, leaf)| leaf)?;
        self.left.retain(|leaf| *leaf != best);
        Some(best)
    }

    fn place(&self, leaf: Leaf) -> String {
        self.survey.place(self.record, leaf)
    }

    /// Times in order: those that say the offset first, those that say when something else happened not at all.
    fn times(&mut self, whose: &str) {
        const LATER: [&str; 9] =
            ["edited", "modified", "updated", "read", "delivered", "received", "expires", "deleted", "exported"];
        let survey = self.survey;
        let mut found: Vec<Leaf> = self.left.iter().copied().filter(|leaf| survey.is_time(*leaf)).collect();
        let needs_zone = |leaf: &Leaf| survey.values(*leaf).times.formats().iter().any(|format| needs_zone(format));
        found.sort_by_key(|leaf| {
            let name = survey.name(*leaf);
            (name.any(&LATER), needs_zone(leaf), !name.has("utc"), survey.between(self.record, *leaf).len())
        });
        let (others, own): (Vec<Leaf>, Vec<Leaf>) = found.into_iter().partition(|leaf| survey.name(*leaf).any(&LATER));
        let own = if own.is_empty() { &others[..] } else { &own[..] };
        let Some(first) = own.first() else { return };
        let mut line = Line::new("time", self.place(*first), "every text of it is a time");
        line.paths.extend(own[1..].iter().map(|leaf| self.place(*leaf)));
        if own.len() > 1 {
            "all are times; the first that is not empty counts".clone_into(&mut line.why);
            line.guess =
                Some(format!("{whose}: of its times, {} counts before {}", line.paths[0], line.paths[1..].join(", ")));
        }
        self.left.retain(|leaf| !own.contains(leaf));
        self.lines.push(line);
    }

    fn message_id(&mut self, whose: &str) {
        let record = self.record;
        let found = self.take(|survey, leaf, name| {
            let values = survey.values(leaf);
            let people = survey.between(record, leaf).into_iter().map(|id| Name::new(&survey.elements[id].name));
            let depth = people.filter(|name| name.any(&ACTOR) || name.any(&RECIPIENT)).count();
            let of_record =
                name.any(&["message", "msg", "record", "item", "event", "entry", "post"]) && name.ends("id");
            let of_another =
                name.any(&["user", "login", "im", "sender", "file", "room", "disclaimer", "reply", "parent", "thread"]);
            match () {
                () if !values.are_ids() || of_another || values.are_emails() => 0,
                () if of_record => 100,
                () if depth == 0 && (name.is("id") || name.is("guid") || name.is("uuid")) && values.are_unique() => 80,
                () if depth == 0
                    && name.ends("id")
                    && !name.ends("imid")
                    && values.are_unique()
                    && values.count > 2 =>
                {
                    20
                }
                () => 0,
            }
        });
        let Some(leaf) = found else { return };
        let place = self.place(leaf);
        let line = Line::new("message_id", place.clone(), "each text of it stands there once");
        let repeats = !self.survey.values(leaf).are_unique();
        self.lines.push(if repeats {
            line.unsure(format!("{whose}: {place} is the message's id, although ids repeat in this export"))
        } else {
            line
        });
    }

    fn content(&mut self, whose: &str) {
        let survey = self.survey;
        let mut scored: Vec<(u64, Leaf)> = self
            .left
            .iter()
            .map(|leaf| (content_score(survey, *leaf), *leaf))
            .filter(|(score, _)| *score > 0)
            .collect();
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let Some((score, leaf)) = scored.first().copied() else { return };
        let place = self.place(leaf);
        self.left.retain(|other| *other != leaf);
        let mut line = Line::new("content", place.clone(), "its texts are the longest, or its name says so");
        let second = scored.get(1).filter(|(other, _)| other * 2 > score).map(|(_, leaf)| self.place(*leaf));
        if let Some(second) = second {
            line.why = format!("its texts are the longest; it could also be {second}");
            line.guess = Some(format!("{whose}: what was said is {place}, rather than {second}"));
        } else if score < 70 {
            line.guess = Some(format!("{whose}: what was said is {place}; only the look of its texts says so"));
        }
        if leaf.attribute.is_none() && leaf.id != self.record && survey.is_mixed(leaf.id) {
            line.why += "; elements within it belong to the text, and are reported as unknown";
        }
        self.lines.push(line);
    }

    fn file(&mut self, whose: &str) {
        let of_file = |name: &Name| name.any(&["file", "attachment", "document", "doc"]);
        let found = [
            (
                "file_id",
                self.take(|_, _, name| {
                    u64::from(of_file(name) && (name.ends("id") || name.any(&["key", "reference", "ref"])))
                }),
            ),
            (
                "content_type",
                self.take(|survey, leaf, name| {
                    let values = survey.values(leaf);
                    u64::from(values.mostly(values.media)) * 2 + u64::from(name.has("mime") || name.is("contenttype"))
                }),
            ),
            ("data_encoding", self.take(|_, _, name| u64::from(name.has("encoding")))),
            (
                "data",
                self.take(|survey, leaf, name| {
                    let values = survey.values(leaf);
                    let by_name =
                        name.any(&["data", "base64", "bytes", "payload", "content", "body"]) && !name.ends("type");
                    u64::from(values.mostly(values.base64)) * 2 + u64::from(by_name)
                }),
            ),
            (
                "file_name",
                self.take(|survey, leaf, name| {
                    let values = survey.values(leaf);
                    let by_name = of_file(name) && name.has("name") || name.is("name");
                    u64::from(by_name) * 4 + u64::from(values.mostly(values.files)) * 2
                }),
            ),
        ];
        let is_there = |key: &str| found.iter().any(|(other, leaf)| *other == key && leaf.is_some());
        let (data, by_name) = (is_there("data"), !is_there("file_id") && !is_there("data") && is_there("file_name"));
        for (key, leaf) in found {
            match leaf {
                // An encoding of nothing is a field like any other.
                Some(leaf) if key == "data_encoding" && !data => self.left.push(leaf),
                Some(leaf) if key == "file_id" => {
                    self.lines.push(Line::new(key, self.place(leaf), "by this the archive beside the export knows it"));
                }
                Some(leaf) => self.lines.push(Line::new(key, self.place(leaf), "its name and texts say so")),
                None => {}
            }
        }
        if by_name {
            let line = Line::new("reference", "file_name".to_owned(), "no data and no file id stand in the export");
            self.lines.push(line.unsure(format!("{whose}: the archive beside the export knows files by their names")));
        }
    }

    /// By what records refer to a disclaimer.
    fn disclaimer_id(&mut self) {
        let found = self.take(|survey, leaf, name| {
            let refers = name.has("disclaimer") && name.any(&["reference", "ref", "number", "code", "key"]);
            u64::from((refers || name.ends("id")) && !name.any(&CONVERSATION) && survey.values(leaf).are_ids())
        });
        if let Some(leaf) = found {
            self.lines.push(Line::new("message_id", self.place(leaf), "by this records refer to it"));
        }
    }

    fn disclaimer_reference(&mut self, whose: &str) {
        let found = self.take(|survey, leaf, name| u64::from(name.has("disclaimer") && survey.values(leaf).are_ids()));
        if let Some(leaf) = found {
            let place = self.place(leaf);
            let guess = format!("{whose}: {place} refers to a disclaimer by its message_id");
            self.lines.push(Line::new("disclaimer", place, "its name says so").unsure(guess));
        }
    }

    /// What no key took: kept as a further field where a record may have one, ignored where it is a person's or empty, and
    /// left unknown where a profile cannot say it.
    fn rest(&mut self, kind: Kind, plan: &mut RecordPlan) {
        let survey = self.survey;
        for leaf in std::mem::take(&mut self.left) {
            let (place, values, name) = (self.place(leaf), survey.values(leaf), survey.name(leaf));
            let above: Vec<Name> =
                survey.between(self.record, leaf).iter().map(|id| Name::new(&survey.elements[*id].name)).collect();
            let is_data = values.mostly(values.base64) && values.longest > 200;
            let is_file = is_data || above.iter().chain([&name]).any(|name| name.any(&["attachment", "file", "data"]));
            let is_a_persons = above.iter().any(|name| name.any(&ACTOR) || name.any(&RECIPIENT) || name.any(&INVITED));
            let of_room = name.any(&CONVERSATION) && name.ends("id");
            if place == "." {
                continue;
            }
            if values.count > 0 && kind.is_item() && ((is_file && kind != Kind::Attachment) || self.repeats(leaf)) {
                plan.left_out.push(place);
            } else if values.count == 0 || is_a_persons || of_room {
                plan.ignore.push(place);
            } else {
                let name = extra_name(&place, &plan.extra);
                plan.extra.push((name, place));
            }
        }
    }

    /// Whether there can be several in one record.
    fn repeats(&self, leaf: Leaf) -> bool {
        let own = (leaf.attribute.is_none() && leaf.id != self.record).then_some(leaf.id);
        let between = self.survey.between(self.record, leaf);
        between.into_iter().chain(own).any(|id| self.survey.elements[id].most > 1)
    }
}

/// What a further field is called: letters, digits and hyphens, for it becomes part of a header's name.
fn extra_name(place: &str, others: &[(String, String)]) -> String {
    const TAKEN: [&str; 6] = ["room-id", "message-id", "sender-imid", "item-id", "history", "disclaimer"];
    let parts: Vec<&str> = place.split('/').collect();
    // One name alone may be anything: whose kind, whose count?
    let last = parts[parts.len().saturating_sub(2)..].join("-");
    let kept = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    let kept = kept.replace("--", "-");
    let kept = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric()).trim_start_matches(|c: char| c.is_ascii_digit());
    let base: String = if kept.is_empty() { "Field".to_owned() } else { kept.chars().take(24).collect() };
    let taken = |name: &str| {
        TAKEN.iter().any(|taken| name.eq_ignore_ascii_case(taken))
            || others.iter().any(|(other, _)| name.eq_ignore_ascii_case(other))
    };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

/// Whether times in this notation need a zone to be read.
pub(super) fn needs_zone(format: &str) -> bool {
    !matches!(format, "rfc3339" | "unix" | "unix_ms") && !format.ends_with("%z")
}
