//! A transcript as HTML for mail programs and for paper: static, escaped, nothing from elsewhere, no scripts. Tables and
//! attributes of old, because Outlook lays it out as Word does; dark on white, no wider than the page.

use std::fmt::{self, Write};

use super::entry::{Entry, What};
use super::{Disclaimer, Page, cast};
use crate::eml::room::{name, subject};
use crate::eml::visible::push_html;
use crate::eml::words::one_line;
use crate::export::{Email, ImId};

/// Classes rather than attributes on each cell: a transcript has thousands. Without them it reads as plain tables.
const STYLE: &str = "\
body,table{font-family:'Segoe UI',Calibri,Arial,sans-serif;font-size:10.5pt;line-height:1.35}\r\n\
body{margin:12px;color:#1a1a1a;background-color:#ffffff}\r\n\
h1{font-size:15pt;margin:0 0 4px 0;overflow-wrap:anywhere}\r\n\
h2{font-size:11.5pt;margin:18px 0 4px 0}\r\n\
p{margin:0 0 4px 0;overflow-wrap:anywhere}\r\n\
table{width:100%;border-collapse:collapse;table-layout:fixed}\r\n\
th{text-align:left;border-bottom:1.5pt solid #555555;font-size:9pt}\r\n\
td,th{padding:3px 6px;vertical-align:top;word-wrap:break-word;overflow-wrap:anywhere}\r\n\
td{border-bottom:.75pt solid #d9d9d9}\r\n\
.t{color:#444444}\r\n\
.w{font-weight:bold}\r\n\
.m{color:#444444;font-size:9pt;font-weight:normal}\r\n\
.n{color:#333333;font-style:italic}\r\n\
.h{background-color:#f4f4f4}\r\n\
.u{color:#8a0000;border:.75pt solid #8a0000;font-style:normal;font-weight:normal;font-size:8pt}\r\n\
@media print{body{margin:0}thead{display:table-header-group}tr{page-break-inside:avoid}}\r\n";

const TABLE: &str = "<table width=\"100%\" cellpadding=\"4\" cellspacing=\"0\" border=\"0\">\r\n";

pub(super) fn begin(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    let transcript = page.transcript;
    let title = subject(&transcript.room, &transcript.participants);
    out.write_str("<!DOCTYPE html>\r\n<html lang=\"en\" dir=\"ltr\"><head>\r\n<meta charset=\"utf-8\">\r\n")?;
    // Were there anything to fetch or to run after all, whoever minds this would not.
    out.write_str("<meta http-equiv=\"Content-Security-Policy\" ")?;
    out.write_str("content=\"default-src 'none'; style-src 'unsafe-inline'\">\r\n")?;
    out.write_str("<meta name=\"format-detection\" content=\"telephone=no,date=no,address=no,email=no\">\r\n<title>")?;
    // A title holds text only.
    crate::eml::visible::push_title(&title, out)?;
    write!(out, "</title>\r\n<style>\r\n{STYLE}</style></head>\r\n<body bgcolor=\"#ffffff\">\r\n<h1>")?;
    push_html(&title, out)?;
    write!(out, "</h1>\r\n<p>{}. All times are in ", page.clock.day())?;
    push_html(&page.clock.zone(), out)?;
    out.write_str(".</p>\r\n")?;
    for words in page.part_words() {
        write!(out, "<p><b>{words}</b></p>\r\n")?;
    }
    if page.has_crowd() {
        write!(out, "<p>{} people; they are listed after the conversation.</p>\r\n", page.cast.people.len())?;
    } else {
        people(page, out)?;
    }
    write!(out, "<h2>Conversation</h2>\r\n{TABLE}<thead><tr><th width=\"92\">Time</th>")?;
    out.write_str("<th width=\"24%\">Sender</th><th>Text</th></tr></thead><tbody>\r\n")
}

fn people(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "<h2>People</h2>\r\n{TABLE}<thead><tr><th width=\"6%\">#</th><th width=\"26%\">Name</th>")?;
    out.write_str("<th width=\"14%\">ImId</th><th width=\"24%\">E-mail</th><th width=\"30%\">Presence</th></tr>")?;
    out.write_str("</thead><tbody>\r\n")?;
    for (number, listed) in (1..).zip(&page.cast.people) {
        person(number, listed, page, out)?;
    }
    out.write_str("</tbody></table>\r\n")
}

fn person(number: usize, listed: &cast::Listed<'_>, page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "<tr><td>{number}</td><td dir=\"auto\">")?;
    push_html(&cast::name(listed.person), out)?;
    let im_id = listed.person.im_id.as_ref().map(ImId::as_str);
    let email = listed.person.email.as_ref().map(Email::as_str);
    for value in [im_id, email] {
        out.write_str("</td><td>")?;
        push_html(&one_line(value.unwrap_or_default()), out)?;
    }
    out.write_str("</td><td>")?;
    if let Some(attended) = listed.attended {
        push_html(&cast::attended(attended, &page.clock, &page.cast), out)?;
    }
    out.write_str("</td></tr>\r\n")
}

pub(super) fn line(entry: &Entry<'_>, out: &mut dyn Write) -> fmt::Result {
    let class = if entry.is_history() { " class=h" } else { "" };
    write!(out, "<tr valign=top{class}><td class=t>{}</td>", entry.time)?;
    if entry.who.is_empty() {
        out.write_str("<td colspan=2>")?;
    } else {
        out.write_str("<td><div class=w dir=auto>")?;
        push_html(&entry.who, out)?;
        out.write_str("</div>")?;
        if !entry.to.is_empty() {
            out.write_str("<div class=m>to <span dir=auto>")?;
            push_html(&entry.to, out)?;
            out.write_str("</span></div>")?;
        }
        out.write_str("</td><td>")?;
    }
    if let What::Note(note, _) = &entry.what {
        out.write_str("<div class=n dir=auto>")?;
        push_html(note, out)?;
        out.write_str("</div>")?;
    }
    // Each direction of writing keeps to its own block, so that none turns what stands beside it.
    if let What::Said(text) | What::Note(_, Some(text)) = entry.what
        && !text.is_empty()
    {
        out.write_str("<div dir=auto>")?;
        push_html(text, out)?;
        out.write_str("</div>")?;
    }
    if !entry.marks.is_empty() {
        out.write_str("<div class=m>")?;
        for mark in &entry.marks {
            out.write_str("<span dir=auto>[")?;
            push_html(mark, out)?;
            out.write_str("]</span> ")?;
        }
        out.write_str("</div>")?;
    }
    out.write_str("</td></tr>\r\n")
}

pub(super) fn disclaimer(number: usize, disclaimer: &Disclaimer<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "<p dir=\"auto\"><b>[{number}]</b> ")?;
    if let Some(id) = disclaimer.id {
        out.write_str("<span class=m>")?;
        push_html(&one_line(id), out)?;
        out.write_str("</span><br>\r\n")?;
    }
    push_html(disclaimer.text, out)?;
    out.write_str("</p>\r\n")
}

pub(super) fn end(page: &Page<'_>, out: &mut dyn Write) -> fmt::Result {
    out.write_str("</tbody></table>\r\n")?;
    if !page.disclaimers.all.is_empty() {
        out.write_str("<h2>Disclaimers</h2>\r\n")?;
        for (number, shown) in (1..).zip(&page.disclaimers.all) {
            disclaimer(number, shown, out)?;
        }
    }
    if page.has_crowd() {
        people(page, out)?;
    }
    if page.transcript.continues {
        write!(out, "<p><b>This transcript continues in part {}.</b></p>\r\n", page.transcript.part + 1)?;
    }
    if page.footer {
        let room = &page.transcript.room;
        out.write_str("<hr>\r\n<p class=m>Room: ")?;
        push_html(&name(room, &page.transcript.participants), out)?;
        if let Some(id) = &room.id {
            out.write_str("<br>\r\nRoom ID: ")?;
            push_html(&one_line(id), out)?;
        }
        write!(out, "<br>\r\nDay: {}<br>\r\nPart: {}<br>\r\n", page.transcript.day, page.transcript.part)?;
        write!(out, "Item: {}<br>\r\nTime (UTC): {}</p>\r\n", page.identity.id, page.transcript.time)?;
    }
    out.write_str("</body></html>\r\n")
}
