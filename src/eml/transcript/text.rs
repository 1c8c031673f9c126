//! A transcript as plain text. What was said stands indented, so that nothing in it can look like a line of its own.

use std::fmt::{self, Write};

use super::entry::{Entry, What};
use super::{Disclaimer, Page, cast};
use crate::eml::room::{name, subject};
use crate::eml::visible::push_text;
use crate::eml::words::one_line;
use crate::export::{Email, ImId};

/// A line end within what was said.
const INDENTED: &str = "\r\n    ";
const LINE_END: &str = "\r\n";
/// Before what nobody said.
pub(super) const SIGN: char = '*';

pub(super) fn begin(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    let transcript = page.transcript;
    let room = &transcript.room;
    push_text(&subject(room, &transcript.participants), " ", out)?;
    write!(out, "\r\n{}. All times are in ", page.clock.day())?;
    push_text(&page.clock.zone(), " ", out)?;
    out.write_str(".\r\n")?;
    for words in page.part_words() {
        write!(out, "{words}\r\n")?;
    }
    if page.has_crowd() {
        write!(out, "{} people; they are listed after the conversation.\r\n", page.cast.people.len())?;
    } else {
        people(page, out)?;
    }
    out.write_str("\r\nConversation\r\n")
}

fn people(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    out.write_str("\r\nPeople\r\n")?;
    for (number, listed) in (1..).zip(&page.cast.people) {
        write!(out, "  #{number} ")?;
        push_text(&cast::name(listed.person), " ", out)?;
        let im_id = listed.person.im_id.as_ref().map(ImId::as_str);
        let email = listed.person.email.as_ref().map(Email::as_str);
        for (label, value) in [("ImId ", im_id), ("", email)] {
            if let Some(value) = value {
                write!(out, ", {label}")?;
                push_text(&one_line(value), " ", out)?;
            }
        }
        if let Some(attended) = listed.attended {
            out.write_str("\r\n     ")?;
            push_text(&cast::attended(attended, &page.clock, &page.cast), " ", out)?;
        }
        out.write_str(LINE_END)?;
    }
    Ok(())
}

pub(super) fn line(entry: &Entry<'_>, out: &mut dyn Write) -> fmt::Result {
    let time = if entry.time.is_empty() { "--:--:--" } else { &entry.time };
    write!(out, "{time}  ")?;
    match &entry.what {
        What::Said(_) => {
            let who = if entry.guarded { entry.who.trim_start().strip_prefix(SIGN) } else { None };
            if who.is_some() {
                write!(out, "[U+{:04X}]", u32::from(SIGN))?;
            }
            push_text(who.unwrap_or(&entry.who), " ", out)?;
        }
        What::Note(note, _) => {
            write!(out, "{SIGN} ")?;
            if !entry.who.is_empty() {
                push_text(&entry.who, " ", out)?;
                out.write_str(": ")?;
            }
            push_text(note, " ", out)?;
        }
    }
    if !entry.to.is_empty() {
        out.write_str(", to ")?;
        push_text(&entry.to, " ", out)?;
    }
    for mark in &entry.marks {
        out.write_str(" [")?;
        push_text(mark, " ", out)?;
        out.write_str("]")?;
    }
    if let What::Said(text) | What::Note(_, Some(text)) = entry.what
        && !text.is_empty()
    {
        out.write_str(INDENTED)?;
        push_text(text, INDENTED, out)?;
    }
    out.write_str(LINE_END)
}

pub(super) fn disclaimer(number: usize, disclaimer: &Disclaimer<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "  [{number}] ")?;
    if let Some(id) = disclaimer.id {
        push_text(&one_line(id), " ", out)?;
    }
    out.write_str(INDENTED)?;
    push_text(disclaimer.text, INDENTED, out)?;
    out.write_str(LINE_END)
}

pub(super) fn end(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    if !page.disclaimers.all.is_empty() {
        out.write_str("\r\nDisclaimers\r\n")?;
        for (number, shown) in (1..).zip(&page.disclaimers.all) {
            disclaimer(number, shown, out)?;
        }
    }
    if page.has_crowd() {
        people(page, out)?;
    }
    if page.transcript.continues {
        write!(out, "\r\nThis transcript continues in part {}.\r\n", page.transcript.part + 1)?;
    }
    if page.footer {
        let room = &page.transcript.room;
        out.write_str("-- \r\nRoom: ")?;
        push_text(&name(room, &page.transcript.participants), " ", out)?;
        if let Some(id) = &room.id {
            out.write_str("\r\nRoom ID: ")?;
            push_text(&one_line(id), " ", out)?;
        }
        write!(out, "\r\nDay: {}\r\nPart: {}\r\n", page.transcript.day, page.transcript.part)?;
        write!(out, "Item: {}\r\nTime (UTC): {}\r\n", page.identity.id, page.transcript.time)?;
    }
    Ok(())
}
