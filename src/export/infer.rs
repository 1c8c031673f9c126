//! A profile proposed from an export that none fits yet. One pass counts what elements there are, how they nest and
//! repeat and what their texts look like; from that and from their names a person gets a profile to correct, with every
//! guess marked. What it says are names of elements and attributes, and numbers: never a text of the export.

mod fields;
mod find;
mod groups;
mod names;
mod people;
mod plan;
mod survey;
mod times;
mod values;
mod write;

use std::io::Read;

use self::find::{Leaf, Structure, is_id_name, structure};
use self::names::Name;
use self::plan::{Kind, Line, Plan, RecordPlan};
use self::survey::{Id, ROOT, Survey};
use super::fault::ExportError;
use super::file_date::FileDate;
use super::profile::Profile;
use super::xml::Walk;

/// A profile for a person to go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The TOML.
    pub text: String,
    /// What a person must decide before anything but `profile lint` reads by it.
    pub guesses: Vec<String>,
}

/// Why no profile can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The export cannot be read.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// It is something else than XML.
    #[error("this is {0}; a profile can only read XML")]
    NotXml(&'static str),
    /// It can be read, and is nothing that a profile could describe.
    #[error("no profile can be proposed: {0}")]
    Inexpressible(String),
}

/// Proposes a profile called `name`. `file_name` may show how the vendor writes a day in names of files.
///
/// # Errors
/// Where the export cannot be read to its end, or the language of profiles cannot say how it is made.
pub fn infer(name: &str, file_name: Option<&str>, input: impl Read) -> Result<Proposal, InferError> {
    let (first, input) = first(input).map_err(ExportError::Input)?;
    if let Some(other) = other_than_xml(&first) {
        return Err(InferError::NotXml(other));
    }
    let mut survey = Survey::default();
    let mut walk = Walk::new(input);
    while walk.step(&mut survey)? {}
    if survey.overflowed {
        let what = "it has more than 4000 different elements and attributes, which is no schema";
        return Err(InferError::Inexpressible(what.to_owned()));
    }
    let plan = plan(&survey, file_name).map_err(InferError::Inexpressible)?;
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let text = write::text(&plan, &name);
    let parsed = Profile::parse(&name, &text);
    parsed.map_err(|error| InferError::Inexpressible(format!("it would be none: {}", error.reason)))?;
    Ok(Proposal { text, guesses: plan.decisions() })
}

/// The first bytes, and everything all the same.
fn first(mut input: impl Read) -> std::io::Result<(Vec<u8>, impl Read)> {
    let mut first = Vec::new();
    input.by_ref().take(64).read_to_end(&mut first)?;
    Ok((first.clone(), std::io::Cursor::new(first).chain(input)))
}

/// What a file is that vendors send in place of XML.
fn other_than_xml(first: &[u8]) -> Option<&'static str> {
    let text = first.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(first).trim_ascii_start();
    match text {
        [] => Some("empty"),
        [b'<', ..] => None,
        [b'{' | b'[', ..] => Some("JSON"),
        [b'P', b'K', ..] => Some("a zip archive"),
        [0x1f, 0x8b, ..] => Some("compressed by gzip"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16, and only UTF-8 is read"),
        _ if text.is_ascii() => Some("text of another kind"),
        _ => Some("of another kind"),
    }
}

fn plan(survey: &Survey, file_name: Option<&str>) -> Result<Plan, String> {
    let found = structure(survey)?;
    let Structure { message, conversation, .. } = found;
    let records: Vec<RecordPlan> = found
        .records
        .iter()
        .map(|id| fields::record(survey, conversation, *id, *id == message, &found.entities))
        .collect();
    let (people, fields): (Vec<Leaf>, Vec<Leaf>) =
        found.fields.iter().partition(|leaf| group(survey, conversation, **leaf).is_some());
    let (mut room, room_ignore) = room(survey, conversation, &fields);
    for line in &mut room {
        repeated_room(survey, conversation, line);
    }
    let (header, header_ignore, totals) = header(survey, conversation, &found, &records, file_name);
    let mut plan = Plan {
        root: survey.elements[ROOT].name.to_string(),
        header,
        header_ignore,
        conversation: conversation_line(survey, &found),
        room,
        room_ignore,
        records,
        formats: Vec::new(),
        formats_why: String::new(),
        needs_zone: false,
        totals,
        guesses: Vec::new(),
    };
    times(survey, &found, &mut plan);
    outside(survey, &mut plan, &found);
    let mut groups: Vec<String> = people.iter().filter_map(|leaf| group(survey, conversation, *leaf)).collect();
    groups.dedup();
    plan.guesses.extend(groups.into_iter().map(|path| {
        format!(
            "{path} repeats in a conversation and has no time: nothing of it is read, and it is reported as unknown; \
             people who are named nowhere else get no copies"
        )
    }));
    Ok(plan)
}

fn conversation_line(survey: &Survey, found: &Structure) -> Line {
    let element = &survey.elements[found.conversation];
    let path = survey.path(ROOT, found.conversation);
    let line = Line::new("path", path.clone(), format!("found {} times; the messages stand in it", element.count));
    if found.rivals.is_empty() {
        return line;
    }
    let rivals: Vec<String> = found.rivals.iter().map(|id| survey.path(ROOT, *id)).collect();
    let guess = format!("{path} is one conversation of one room, rather than {}", rivals.join(", "));
    line.unsure(guess)
}

/// What repeats around a field of the conversation: a list of people, as a rule.
fn group(survey: &Survey, conversation: Id, leaf: Leaf) -> Option<String> {
    let around = survey.between(conversation, leaf).into_iter().chain([leaf.id]);
    let repeated = around.filter(|id| *id != conversation).find(|id| survey.elements[*id].most > 1)?;
    Some(survey.path(conversation, repeated))
}

/// What a conversation says of itself.
fn room(survey: &Survey, conversation: Id, fields: &[Leaf]) -> (Vec<Line>, Vec<String>) {
    let place = |leaf: Leaf| survey.place(conversation, leaf);
    let id_score = |leaf: &Leaf| {
        let (name, values) = (survey.name(*leaf), survey.values(*leaf));
        let is_id = values.are_ids() && is_id_name(&name) && !survey.is_time(*leaf) && !name.has("name");
        let of_room = name.any(&["room", "conversation", "channel", "chat", "thread"]);
        if is_id { 1 + u32::from(of_room) * 2 + u32::from(name.ends("id")) } else { 0 }
    };
    let name_score = |leaf: &Leaf| {
        let name = survey.name(*leaf);
        let by_word = name.any(&["name", "subject", "topic", "title"]);
        let of_person = name.any(&["user", "first", "last", "firm", "company", "owner", "creator"]);
        u32::from(by_word && !of_person) * 2
            + u32::from(by_word && name.any(&["room", "chat", "conversation", "channel"]))
    };
    let best = |score: &dyn Fn(&Leaf) -> u32| {
        let scored = fields.iter().rev().filter(|leaf| score(leaf) > 0);
        scored.max_by_key(|leaf| score(leaf)).copied()
    };
    let id = best(&id_score);
    let name = best(&name_score).filter(|leaf| Some(*leaf) != id);
    let mut lines = Vec::new();
    if let Some(leaf) = id {
        let others: Vec<String> =
            fields.iter().filter(|other| **other != leaf && id_score(other) > 0).map(|leaf| place(*leaf)).collect();
        let line = Line::new("room_id", place(leaf), "its name says so, and its texts are short");
        lines.push(if others.is_empty() {
            line
        } else {
            line.unsure(format!("the room's id is {}, rather than {}", place(leaf), others.join(", ")))
        });
    }
    lines.extend(name.map(|leaf| Line::new("room_name", place(leaf), "its name says so")));
    let used = [id, name];
    let rest = fields.iter().filter(|leaf| !used.contains(&Some(**leaf))).map(|leaf| place(*leaf));
    (lines, rest.filter(|place| place != ".").collect())
}

/// A room's id that never comes again may be the conversation's, new every day.
fn repeated_room(survey: &Survey, conversation: Id, line: &mut Line) {
    if line.key == "room_id" && line.guess.is_none() && survey.elements[conversation].count > 0 {
        line.guess = Some(format!(
            "{} is the room's own id, the same every day, and not a number that each day's conversation gets anew",
            line.paths[0]
        ));
    }
}

type Header = (Vec<Line>, Vec<String>, Vec<Line>);

/// What the root says of the export.
fn header(
    survey: &Survey,
    conversation: Id,
    found: &Structure,
    records: &[RecordPlan],
    file_name: Option<&str>,
) -> Header {
    let (mut lines, mut ignore, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    for leaf in survey.leaves(ROOT, &[conversation]) {
        let above = survey.between(ROOT, leaf).into_iter().chain([leaf.id]);
        if above.clone().any(|id| id != ROOT && survey.elements[id].count > 1) || holds(survey, leaf.id, conversation) {
            // What repeats beside the conversations is told of separately.
            continue;
        }
        if leaf.attribute.is_none() && survey.is_below(conversation, leaf.id) {
            // Text around the conversations cannot be named: a profile that ignored it would ignore them with it.
            continue;
        }
        let (name, values, place) = (survey.name(leaf), survey.values(leaf), survey.place(ROOT, leaf));
        let has = |key: &str, lines: &[Line]| lines.iter().any(|line| line.key == key);
        let is_firm = name.any(&["firm", "customer", "client", "tenant", "subscriber"]) && values.are_ids();
        let total = total(&name, values.number, found, survey, records);
        if let Some(key) = total.filter(|key| !has(key, &totals)) {
            let why = "it is the number that was found";
            totals.push(Line::new(key, place.clone(), why).unsure(format!("{place} is a control total of {key}")));
        } else if is_firm && !has("firm_code", &lines) {
            lines.push(Line::new("firm_code", place, "its name says so"));
        } else if values.mostly(values.days) && !has("date", &lines) {
            lines.push(Line::new("date", place, "its text is a day"));
        } else if place != "." {
            ignore.push(place);
        }
    }
    if !lines.iter().any(|line| line.key == "date")
        && let Some(pattern) = file_name.and_then(day_in_name)
    {
        let guess = format!("the day in the file's name ({pattern}) is the day that the export is about");
        lines.push(Line::new("file_date", pattern.to_owned(), "the file's name has such a day").unsure(guess));
    }
    (lines, ignore, totals)
}

fn holds(survey: &Survey, id: Id, conversation: Id) -> bool {
    id != ROOT && (id == conversation || survey.is_below(conversation, id)) && survey.elements[id].count > 1
}

/// Of what a number at the root is the total, if it is as large.
fn total(
    name: &Name,
    number: Option<u64>,
    found: &Structure,
    survey: &Survey,
    records: &[RecordPlan],
) -> Option<&'static str> {
    let number = number?;
    let of =
        |kinds: &[Kind]| -> u64 { records.iter().filter(|one| kinds.contains(&one.kind)).map(|one| one.count).sum() };
    if !name.any(&["count", "total", "number", "messages", "conversations", "attachments", "records"]) {
        return None;
    }
    let called = |id: Id| survey.elements[id].name.to_lowercase();
    let (conversation, message) = (called(found.conversation), called(found.message));
    let all: [(&str, &[&str], u64); 4] = [
        (
            "conversations",
            &["conversation", "conversations", "chats", "rooms", &conversation],
            survey.elements[found.conversation].count,
        ),
        ("attachments", &["attachment", "attachments", "files"], of(&[Kind::Attachment])),
        ("messages", &["message", "messages", "msgs", &message], of(&[Kind::Message, Kind::History])),
        ("records", &["record", "records", "entries", "events"], records.iter().map(|one| one.count).sum()),
    ];
    all.into_iter().find(|(_, words, count)| name.any(words) && *count == number).map(|(key, _, _)| key)
}

/// How the file's name writes a day.
fn day_in_name(file_name: &str) -> Option<&'static str> {
    let patterns = ["%Y-%m-%d", "%Y%m%d", "%d-%m-%Y", "%d%b%Y", "%y%m%d"];
    patterns.into_iter().find(|pattern| FileDate::new(pattern).and_then(|date| date.find(file_name)).is_some())
}

/// The notations of all times that are read.
fn times(survey: &Survey, found: &Structure, plan: &mut Plan) {
    let mut formats: Vec<String> = Vec::new();
    let mut rivals: Vec<String> = Vec::new();
    for record in &found.records {
        let nested: Vec<Id> = found.records.iter().copied().filter(|other| survey.is_below(*other, *record)).collect();
        for leaf in survey.leaves(*record, &nested).into_iter().filter(|leaf| survey.is_time(*leaf)) {
            let times = &survey.values(leaf).times;
            for format in times.formats() {
                if !formats.iter().any(|known| known == format) {
                    formats.push(format.to_owned());
                    rivals
                        .extend(times.rivals(format).into_iter().map(|rival| format!("{format}, rather than {rival}")));
                }
            }
        }
    }
    if formats.iter().all(|format| matches!(format.as_str(), "rfc3339" | "unix")) {
        return;
    }
    // Numbers and offsets cannot be taken for anything else: they are tried first.
    formats.sort_by_key(|format| !matches!(format.as_str(), "rfc3339" | "unix" | "unix_ms"));
    let says_utc = |format: &String| [" UTC", " GMT", "Z"].iter().any(|end| format.ends_with(end));
    let open: Vec<&String> = formats.iter().filter(|format| fields::needs_zone(format)).collect();
    plan.needs_zone = !open.is_empty();
    if !open.iter().all(|format| says_utc(format)) {
        plan.guesses.push("times without an offset are UTC (time.zone)".to_owned());
    }
    plan.guesses.extend(rivals.into_iter().map(|which| format!("times are written {which} (time.formats)")));
    "tried in this order; every time of the export is in one of them".clone_into(&mut plan.formats_why);
    plan.formats = formats;
}

/// What repeats and stands in no conversation.
fn outside(survey: &Survey, plan: &mut Plan, found: &Structure) {
    let holds = |id: Id| id == found.conversation || survey.is_below(found.conversation, id);
    let outside = (1..survey.elements.len()).filter(|id| {
        let element = &survey.elements[*id];
        let top = element.parent == ROOT || holds(element.parent);
        top && element.parent != found.conversation && !survey.is_below(*id, found.conversation) && !holds(*id)
    });
    for id in outside.filter(|id| survey.elements[*id].count > 1) {
        let path = survey.path(ROOT, id);
        plan.guesses
            .push(format!("{path} stands in no conversation: nothing of it is read, and it is reported as unknown"));
    }
}

#[cfg(test)]
mod tests;
