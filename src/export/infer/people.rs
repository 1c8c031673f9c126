//! Who is who: which field of a person a text is, by its name and by what the texts look like.

use super::find::Leaf;
use super::names::{ACTOR, CONVERSATION, Name, RECIPIENT};
use super::plan::Line;
use super::survey::{Id, Survey};

/// A text that could be a field of a person.
struct Candidate {
    path: String,
    key: &'static str,
    /// The higher, the likelier.
    score: u32,
    /// Whether the texts bear the name out.
    agrees: bool,
}

/// The fields of one person, of the texts in `leaves` seen from `from`; what is none of them is left over.
pub(super) fn person(survey: &Survey, from: Id, leaves: &[Leaf], whose: &str) -> (Vec<Line>, Vec<Leaf>) {
    let (mut candidates, mut left) = (Vec::new(), Vec::new());
    for leaf in leaves {
        match candidate(survey, from, *leaf) {
            Some(candidate) => candidates.push((candidate, *leaf)),
            None => left.push(*leaf),
        }
    }
    let mut lines = Vec::new();
    for key in ["im_id", "email", "name", "first_name", "last_name", "company"] {
        let mut of_key: Vec<&(Candidate, Leaf)> =
            candidates.iter().filter(|(candidate, _)| candidate.key == key).collect();
        of_key.sort_by_key(|(candidate, _)| std::cmp::Reverse(candidate.score));
        if !of_key.is_empty() {
            let (line, unused) = line(key, &of_key, whose);
            left.extend(unused);
            lines.push(line);
        }
    }
    // Whole names make their parts superfluous, but the parts cost nothing only where there is no whole one.
    if lines.iter().any(|line| line.key == "name") {
        left.extend(
            candidates.iter().filter(|(one, _)| matches!(one.key, "first_name" | "last_name")).map(|(_, leaf)| *leaf),
        );
        lines.retain(|line| !matches!(line.key, "first_name" | "last_name"));
    }
    (lines, left)
}

/// The line of a key, and the candidates it does not use. Of e-mails all are used, in order; else only the likeliest.
fn line(key: &'static str, of_key: &[&(Candidate, Leaf)], whose: &str) -> (Line, Vec<Leaf>) {
    let (first, rest) = (&of_key[0].0, &of_key[1..]);
    let shape = match (key, first.agrees) {
        ("email", true) => "its texts are addresses",
        ("im_id", true) => "its texts are short and without spaces",
        (_, true) => "its name says so",
        (_, false) => "its name says so, but no text bears it out",
    };
    let mut line = Line::new(key, first.path.clone(), shape);
    let others: Vec<&str> = rest.iter().map(|(candidate, _)| candidate.path.as_str()).collect();
    let mut unused = Vec::new();
    if key == "email" {
        line.paths.extend(others.iter().map(|path| (*path).to_owned()));
        if !others.is_empty() {
            line.guess = Some(format!("{whose}: of the addresses, {} counts before {}", first.path, others.join(", ")));
        }
    } else {
        unused.extend(rest.iter().map(|(_, leaf)| *leaf));
        if !others.is_empty() && matches!(key, "im_id" | "name") {
            line.why = format!("{shape}; it could also be {}", others.join(", "));
            line.guess = Some(format!("{whose}: {} is the {key}, rather than {}", first.path, others.join(", ")));
        }
    }
    if key == "im_id" && first.score < SURE && line.guess.is_none() {
        line.guess = Some(format!("{whose}: {} is the im_id, by which the mapping knows a person", first.path));
    }
    (line, unused)
}

/// A name that says what it is.
const SURE: u32 = 80;

fn candidate(survey: &Survey, from: Id, leaf: Leaf) -> Option<Candidate> {
    let (name, values) = (survey.name(leaf), survey.values(leaf));
    let path = survey.place(from, leaf);
    let made = |key, score, agrees| Some(Candidate { path: path.clone(), key, score, agrees });
    let is_empty = values.count == 0;
    if values.are_emails() || values.email_lists > 0 || (is_empty && name.any(&["email", "mail", "smtp"])) {
        let work = name.any(&["corporate", "company", "work", "business", "primary", "firm"]);
        return made("email", if work { 100 } else { 90 }, !is_empty);
    }
    if name.any(&["email", "mail"]) {
        // Some are, some are not: what is no address is shown as it stands and found nowhere.
        return made("email", 50, false);
    }
    if name.any(&["first", "given", "forename"]) && name.has("name") {
        return made("first_name", 100, true);
    }
    if name.any(&["last", "family", "surname"]) && (name.has("name") || name.is("surname")) {
        return made("last_name", 100, true);
    }
    let is_company = name.any(&["company", "firm", "organisation", "organization", "employer", "org"]);
    if is_company && !name.any(&["number", "id", "code", "no"]) {
        return made("company", 100, true);
    }
    identity(&name, values.are_ids() || is_empty, is_company, !is_empty)
        .or_else(|| {
            let is_bare = leaf.attribute.is_none() && path == ".";
            let names_person = name.any(&ACTOR) || name.any(&RECIPIENT) || is_bare;
            let is_whole =
                name.any(&["display", "full"]) || name.is("name") || name.any(&["person", "user"]) && name.has("name");
            match values.are_ids() {
                _ if is_whole => Some(("name", 60, true)),
                true if names_person => Some(("im_id", 70, true)),
                false if names_person && !is_empty => Some(("name", 50, true)),
                _ => None,
            }
        })
        .and_then(|(key, score, agrees)| made(key, score, agrees))
}

/// An identifier by its name.
fn identity(name: &Name, fits: bool, is_company: bool, agrees: bool) -> Option<(&'static str, u32, bool)> {
    if !fits || name.any(&CONVERSATION) || name.any(&["message", "msg", "file", "device", "country", "company"]) {
        return None;
    }
    let is_user = name.any(&["user", "sender", "person", "participant", "member", "recipient", "from", "author"]);
    let score = if name.is("imid") || name.ends("imid") {
        100
    } else if name.has("login") || name.is("username") || (name.has("user") && name.ends("name")) {
        95
    } else if name.any(&["handle", "nick", "nickname", "alias", "screen", "screenname", "logon"]) {
        85
    } else if is_user && name.ends("id") {
        82
    } else if name.ends("uuid") || name.ends("guid") {
        40
    } else if name.is("id") {
        60
    } else if name.ends("id") || (name.any(&["account", "number"]) && !is_company) {
        20
    } else {
        return None;
    };
    Some(("im_id", score, agrees))
}
