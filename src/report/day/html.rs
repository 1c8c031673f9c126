//! The reconciliation as a page for paper: one file, nothing from elsewhere, no scripts, dark on white.

use std::fmt::{self, Write};

use super::Day;
use crate::ledger::DayFile;

const STYLE: &str = "\
body{font-family:'Segoe UI',Calibri,Arial,sans-serif;font-size:10pt;line-height:1.35;color:#1a1a1a;background:#fff;\
max-width:60em;margin:1.5em auto;padding:0 1em}\n\
h1{font-size:16pt;margin:0 0 .2em}h2{font-size:12pt;margin:1.6em 0 .3em}\n\
p{margin:.2em 0}table{width:100%;border-collapse:collapse;margin:.4em 0}\n\
th,td{padding:.25em .5em;text-align:left;vertical-align:top;border-bottom:1px solid #ccc;overflow-wrap:anywhere}\n\
th{border-bottom:1.5px solid #555;font-size:9pt;white-space:nowrap}td.n,th.n{text-align:right}\n\
td.n,th.n,td.w{white-space:nowrap}td.f{border-bottom:0;padding-top:.6em}\n\
code{font-size:8.5pt}.bad{color:#8a0000;font-weight:bold}.sign td{height:3em;border-bottom:1px solid #555}\n\
@media print{body{margin:0;max-width:none}thead{display:table-header-group}tr,tbody{page-break-inside:avoid}td.f{page-break-after:avoid}\
h2{page-break-after:avoid}}\n\
@page{size:A4;margin:18mm}\n";

/// The page.
pub fn to_html(day: &Day) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(day, &mut page);
    page
}

fn write_page(day: &Day, page: &mut String) -> fmt::Result {
    let title = format!("ICE Chat archive of {}: reconciliation of {}", day.firm_code, day.date);
    let title = Text(&title);
    writeln!(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(
        page,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )?;
    writeln!(page, "<title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>")?;
    writeln!(page, "<p>As of {}, by icechatd {}. Times are in UTC.</p>", day.made, Text(day.program))?;
    let is_bad = !day.is_settled() || (day.files.is_empty() && day.expected);
    let class = if is_bad { " class=\"bad\"" } else { "" };
    writeln!(page, "<p{class}>{}</p>", Text(&day.verdict()))?;
    writeln!(page, "<p>Copies placed in mailboxes: {}.</p>", day.placements)?;
    files(page, "Files about this day", &day.files)?;
    files(page, "Files that came on this day and are about no day that is known", &day.undated)?;
    deeds(page, day)?;
    proof(page, day)?;
    writeln!(page, "</body></html>")
}

fn files(page: &mut String, heading: &str, files: &[DayFile]) -> fmt::Result {
    if files.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>{heading}</h2>\n<table><thead><tr><th>File, and its state</th>")?;
    for column in ["available", "staged", "held", "duplicate", "rejected", "skipped", "changed", "copies"] {
        write!(page, "<th class=\"n\">{column}</th>")?;
    }
    writeln!(page, "</tr></thead>")?;
    for file in files {
        row(page, file)?;
    }
    writeln!(page, "</table>")
}

fn row(page: &mut String, file: &DayFile) -> fmt::Result {
    write!(page, "<tbody><tr><td class=\"f\" colspan=\"9\"><b>{}</b>", Text(&file.name))?;
    write!(page, "<br><code>sha256 {}</code>", file.sha256)?;
    write!(page, "<br>{} bytes, received {}", file.bytes, file.received)?;
    if let Some(committed) = file.committed {
        write!(page, ", committed {committed}")?;
    }
    if let Some(firm) = &file.firm_code {
        write!(page, "<br>made for firm {}", Text(firm))?;
    }
    if file.state == "committed" {
        write!(page, "<br>signed by: {}", Text(file.signed_by.as_deref().unwrap_or("unsigned")))?;
    }
    for digest in &file.manifests {
        write!(page, "<br><code>manifest {digest}</code>")?;
    }
    if let Some(reason) = &file.reason {
        write!(page, "<br><span class=\"bad\">{}</span>", Text(reason))?;
    }
    write!(page, "</td></tr>\n<tr><td class=\"w\">{}</td>", Text(&file.state))?;
    let items = file.items;
    let numbers = [items.available, items.staged, items.held, items.duplicate, items.rejected, items.skipped];
    for number in numbers.into_iter().chain([file.changed, file.placements]) {
        write!(page, "<td class=\"n\">{number}</td>")?;
    }
    writeln!(page, "</tr></tbody>")
}

fn deeds(page: &mut String, day: &Day) -> fmt::Result {
    if day.deeds.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>What was done about these files</h2>")?;
    writeln!(
        page,
        "<table><thead><tr><th>When</th><th>Who</th><th>What, and why</th><th class=\"n\">Link</th></tr></thead><tbody>"
    )?;
    for deed in &day.deeds {
        let (at, by, words) = (deed.word("at"), deed.word("by"), deed.words());
        writeln!(
            page,
            "<tr><td class=\"w\">{}</td><td class=\"w\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            Text(at),
            Text(by),
            Text(&words),
            deed.link
        )?;
    }
    writeln!(page, "</tbody></table>")
}

fn proof(page: &mut String, day: &Day) -> fmt::Result {
    writeln!(page, "<h2>Proof</h2>")?;
    if let Some(head) = &day.head {
        writeln!(page, "<p>The chain of evidence has {} links. The newest is <code>{head}</code>.</p>", day.links)?;
        writeln!(
            page,
            "<p><code>icechatd verify --deep --head {head}</code> shows at any later time whether all of this is still there \
             and as it was, from the encrypted originals on.</p>"
        )?;
    }
    writeln!(page, "<table class=\"sign\"><tbody><tr><td>Reviewed by</td><td>Date</td></tr></tbody></table>")
}

/// Text that is no markup: names come from outside the firm. Control and direction characters show as U+FFFD.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char('\u{fffd}')?;
                }
                letter if letter.is_control() => f.write_char('\u{fffd}')?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}
