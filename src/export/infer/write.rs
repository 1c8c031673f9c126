//! A proposal as the TOML that a person goes through: beside each line why it is there.

use std::fmt::Write;

use super::plan::{Group, Line, Plan, RecordPlan};

/// The profile's text.
pub(super) fn text(plan: &Plan, name: &str) -> String {
    let mut out = Text(String::new());
    out.head(plan, name);
    out.push("[header]", "paths from the root");
    plan.header.iter().for_each(|line| out.line(line));
    out.ignore(&plan.header_ignore);
    if !plan.formats.is_empty() {
        out.times(plan);
    }
    out.0.push('\n');
    out.push("[conversation]", "its path from the root, the others from it");
    out.line(&plan.conversation);
    plan.room.iter().for_each(|line| out.line(line));
    out.ignore(&plan.room_ignore);
    plan.records.iter().for_each(|record| out.record(record));
    if !plan.totals.is_empty() {
        out.0.push('\n');
        out.push("[totals]", "a number that differs holds the file");
        plan.totals.iter().for_each(|line| out.line(line));
    }
    out.0
}

struct Text(String);

impl Text {
    fn push(&mut self, text: &str, why: &str) {
        let mark = if why.is_empty() { String::new() } else { format!("  # {why}") };
        // Long lines are hard to go through; the reason then stands above.
        let _ = match why {
            "" => writeln!(self.0, "{text}"),
            _ if text.len().max(38) + mark.len() > 118 => writeln!(self.0, "# {why}\n{text}"),
            _ => writeln!(self.0, "{text:<38}{mark}"),
        };
    }

    fn head(&mut self, plan: &Plan, name: &str) {
        let _ = writeln!(
            self.0,
            "# {name}: proposed by icechatd profile infer, of one export. Go through it line by line: each says why it is so.\n\
             # Where `guesses` names something, decide it, correct the line if it is wrong, and take the guess out of the list.\n\
             # Until the list is empty only `icechatd profile lint` reads by this profile.\n\
             # Paths: A/B is element B in element A, A/@b the attribute b of A, \".\" the element itself.\n"
        );
        self.0.push_str("guesses = [\n");
        for guess in plan.decisions() {
            let _ = writeln!(self.0, "    {},", quoted(&guess));
        }
        self.0.push_str("]\n\n");
        self.push(&format!("root    = {}", quoted(&plan.root)), "");
        self.push("unknown = \"report\"", "\"hold\" refuses an export with anything that this profile does not name");
        self.0.push('\n');
    }

    fn times(&mut self, plan: &Plan) {
        self.0.push_str("\n[time]\n");
        self.push(&format!("formats = {}", list(&plan.formats)), &plan.formats_why);
        if plan.needs_zone {
            self.push("zone    = \"UTC\"", "of times that say no offset; a zone's name, as in \"America/New_York\"");
        }
    }

    fn line(&mut self, line: &Line) {
        let paths = if line.paths.len() == 1 { quoted(&line.paths[0]) } else { list(&line.paths) };
        let marked = if line.guess.is_some() { format!("GUESS: {}", line.why) } else { line.why.clone() };
        self.push(&format!("{:<10} = {paths}", line.key), &marked);
    }

    fn ignore(&mut self, paths: &[String]) {
        if !paths.is_empty() {
            self.push(&format!("{:<10} = {}", "ignore", list(paths)), "known, and not used");
        }
    }

    fn record(&mut self, record: &RecordPlan) {
        self.0.push('\n');
        let marked = if record.guess.is_some() { format!("GUESS: {}", record.why) } else { record.why.clone() };
        self.push("[[record]]", &marked);
        self.push(&format!("{:<10} = {}", "kind", quoted(record.kind.word())), "");
        self.push(&format!("{:<10} = {}", "path", quoted(&record.path)), "");
        record.lines.iter().for_each(|line| self.line(line));
        if !record.extra.is_empty() {
            let entries: Vec<String> =
                record.extra.iter().map(|(name, path)| format!("{} = {}", quoted(name), quoted(path))).collect();
            self.push(
                &format!("{:<10} = {{ {} }}", "extra", entries.join(", ")),
                "kept: footer, transcript and header field",
            );
        }
        self.ignore(&record.ignore);
        for path in &record.left_out {
            let _ = writeln!(
                self.0,
                "# {path} is left out: a profile cannot say it. It is reported, and kept as source.xml"
            );
        }
        if !record.person.is_empty() {
            self.0.push_str("[record.person]\n");
            record.person.iter().for_each(|line| self.line(line));
        }
        record.recipients.iter().for_each(|group| self.group("record.recipient", group));
        record.invited.iter().for_each(|group| self.group("record.invited", group));
    }

    fn group(&mut self, table: &str, group: &Group) {
        self.push(&format!("[[{table}]]"), &group.why);
        self.push(&format!("{:<10} = {}", "path", quoted(&group.path)), "");
        if let Some(delimiter) = group.delimiter {
            self.push(&format!("{:<10} = {}", "delimiter", quoted(&delimiter.to_string())), "its texts are lists");
        }
        self.ignore(&group.ignore);
        for line in &group.person {
            let line = Line { key: line.key, ..line.clone() };
            let paths = if line.paths.len() == 1 { quoted(&line.paths[0]) } else { list(&line.paths) };
            let marked = if line.guess.is_some() { format!("GUESS: {}", line.why) } else { line.why.clone() };
            self.push(&format!("{:<10} = {paths}", format!("person.{}", line.key)), &marked);
        }
    }
}

fn list(texts: &[String]) -> String {
    let all: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

/// A TOML basic string. Names of XML hold nothing that needs more than this.
fn quoted(text: &str) -> String {
    let escaped: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\""))
}
