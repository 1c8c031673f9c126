//! Those to whom a record is addressed, and those who are invited: the elements that hold one of them each, or a list.

use super::find::Leaf;
use super::names::{INVITED, Name, RECIPIENT};
use super::people::person;
use super::plan::{Group, Kind};
use super::survey::{Id, Survey};

/// What holds one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener {
    Element(Id),
    /// An attribute of the record or of something in it, which is all there is.
    Attribute(Leaf),
}

/// Takes the texts of such people out of `left`.
pub(super) fn groups(survey: &Survey, conversation: Id, record: Id, kind: Kind, left: &mut Vec<Leaf>) -> Vec<Group> {
    if !kind.is_item() && kind != Kind::Invited {
        return Vec::new();
    }
    let mut openers: Vec<(Opener, Vec<Leaf>)> = Vec::new();
    for leaf in std::mem::take(left) {
        match opener(survey, record, leaf, kind) {
            None => left.push(leaf),
            Some(opener) => match openers.iter_mut().find(|(known, _)| *known == opener) {
                Some((_, leaves)) => leaves.push(leaf),
                None => openers.push((opener, vec![leaf])),
            },
        }
    }
    let mut groups = Vec::new();
    for (opener, leaves) in openers {
        match group(survey, conversation, record, opener, &leaves) {
            Some(group) => groups.push(group),
            None => left.extend(leaves),
        }
    }
    groups
}

fn group(survey: &Survey, conversation: Id, record: Id, opener: Opener, leaves: &[Leaf]) -> Option<Group> {
    let (id, path, why) = match opener {
        Opener::Element(id) if survey.elements[id].most > 1 => {
            (id, survey.path(record, id), "it repeats, and names people")
        }
        Opener::Element(id) => (id, survey.path(record, id), "its name says so"),
        Opener::Attribute(leaf) => (leaf.id, survey.place(record, leaf), "its name says so"),
    };
    let whose = format!("{}/{path}", survey.path(conversation, record));
    let (mut person, rest) = person(survey, id, leaves, &whose);
    if !person.iter().any(|line| matches!(line.key, "im_id" | "email")) {
        return None;
    }
    let mut delimiter = if leaves.len() == 1 { survey.values(leaves[0]).delimiter() } else { None };
    if let Opener::Attribute(_) = opener {
        for line in &mut person {
            line.paths = vec![".".to_owned()];
        }
        delimiter = delimiter.or(Some(';'));
    }
    let ignore = rest.into_iter().map(|leaf| survey.place(id, leaf)).filter(|place| place != ".").collect();
    Some(Group { path, why: why.to_owned(), person, delimiter, ignore })
}

/// What is one of them, for a text within.
fn opener(survey: &Survey, record: Id, leaf: Leaf, kind: Kind) -> Option<Opener> {
    let words = if kind == Kind::Invited { [&INVITED[..], &RECIPIENT[..]].concat() } else { RECIPIENT.to_vec() };
    let between = survey.between(record, leaf);
    let named = |id: &Id| Name::new(&survey.elements[*id].name).any(&words);
    if !between.iter().any(named) && !survey.name(leaf).any(&words) {
        return None;
    }
    let repeats = |id: &Id| survey.elements[*id].most > 1;
    if leaf.attribute.is_none() && (repeats(&leaf.id) || between.is_empty()) {
        return Some(Opener::Element(leaf.id));
    }
    let around = between.iter().rev().copied();
    let id = around.clone().find(repeats).or_else(|| around.clone().find(named));
    id.map(Opener::Element).or_else(|| leaf.attribute.map(|_| Opener::Attribute(leaf)))
}
