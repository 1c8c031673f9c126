//! Text as a reviewer must see it: whatever would be invisible, or would turn the order of what is read, stands as its
//! number. So no name and no message can look like another in a transcript, and nothing in it is markup.

use std::fmt::{self, Write};

/// A character, or one that would not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Shown(char),
    Hidden(char),
    LineEnd,
}

/// The text's glyphs; LF, CRLF and a lone CR are one line end each.
fn glyphs(text: &str) -> impl Iterator<Item = Glyph> {
    let mut before = None;
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        if c == '\r' {
            rest.next_if_eq(&'\n');
        }
        let last = before.replace(c);
        Some(match c {
            '\n' | '\r' => Glyph::LineEnd,
            _ if is_hidden(c, last, rest.peek().copied()) => Glyph::Hidden(c),
            _ => Glyph::Shown(c),
        })
    })
}

/// Controls; what changes the direction of text (UAX 9); what has no width; and what only selects another form, where
/// there is nothing to select from. Joiners and variation selectors within emoji and within scripts that need them stay.
fn is_hidden(c: char, before: Option<char>, after: Option<char>) -> bool {
    match c {
        '\t' | ' '..='~' => false,
        '\u{200c}' | '\u{200d}' => !(before.is_some_and(is_joined) && after.is_some_and(is_joined)),
        '\u{fe0e}' | '\u{fe0f}' => {
            !before.is_some_and(|before| can_be_selected(before) || "0123456789#*".contains(before))
        }
        '\u{e0100}'..='\u{e01ef}' => !before.is_some_and(can_be_selected),
        _ => is_control(c) || is_turning(c) || is_without_width(c),
    }
}

/// What may stand on either side of a joiner.
fn is_joined(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}');
    !c.is_ascii() && !c.is_whitespace() && !is_control(c) && !is_turning(c) && !is_without_width(c) && !joins
}

/// What may have another form; of a row of selectors only the first can select one.
fn can_be_selected(c: char) -> bool {
    is_joined(c) && !matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

fn is_turning(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_without_width(c: char) -> bool {
    let at = u32::from(c);
    // The last two of each plane are no characters.
    at & 0xfffe == 0xfffe
        || matches!(
            at,
            0xad | 0x34f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b | 0x2060..=0x2065
                | 0x206a..=0x206f | 0x2800 | 0x3164 | 0xfdd0..=0xfdef | 0xfe00..=0xfe0d | 0xfeff | 0xffa0
                | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe00ff | 0xe01f0..=0xe0fff
        )
}

/// As plain text, each line end as `line_end`.
pub(super) fn push_text(text: &str, line_end: &str, out: &mut dyn Write) -> fmt::Result {
    for glyph in glyphs(text) {
        match glyph {
            Glyph::Shown(c) => out.write_char(c)?,
            Glyph::Hidden(c) => write!(out, "[U+{:04X}]", u32::from(c))?,
            Glyph::LineEnd => out.write_str(line_end)?,
        }
    }
    Ok(())
}

/// As HTML, with its line ends and white space.
pub(super) fn push_html(text: &str, out: &mut dyn Write) -> fmt::Result {
    // White space after white space, or at the beginning of a line, would not be seen.
    let mut after_space = true;
    for glyph in glyphs(text) {
        let is_space = matches!(glyph, Glyph::Shown(' ' | '\t') | Glyph::LineEnd);
        match glyph {
            Glyph::Shown(' ') if after_space => out.write_str("&nbsp;")?,
            Glyph::Shown('\t') => out.write_str("&nbsp;&nbsp;&nbsp; ")?,
            Glyph::Shown(c) => push_escaped(c, out)?,
            Glyph::Hidden(c) => write!(out, "<span class=u dir=ltr>[U+{:04X}]</span>", u32::from(c))?,
            Glyph::LineEnd => out.write_str("<br>\r\n")?,
        }
        after_space = is_space;
    }
    Ok(())
}

/// As the text of an HTML title, which takes no markup.
pub(super) fn push_title(text: &str, out: &mut dyn Write) -> fmt::Result {
    let mut plain = String::with_capacity(text.len());
    push_text(text, " ", &mut plain)?;
    plain.chars().try_for_each(|c| push_escaped(c, out))
}

fn push_escaped(c: char, out: &mut dyn Write) -> fmt::Result {
    match c {
        '&' => out.write_str("&amp;"),
        '<' => out.write_str("&lt;"),
        '>' => out.write_str("&gt;"),
        '"' => out.write_str("&quot;"),
        '\'' => out.write_str("&#39;"),
        c => out.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut out = String::new();
        push_text(text, "|", &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_not_seen_is_shown() {
        for c in
            "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}".chars()
        {
            assert_eq!(text(&format!("א{c}א")), format!("א[U+{:04X}]א", u32::from(c)));
        }
        for c in "\0\u{7}\u{1b}\u{7f}\u{85}\u{ad}\u{200b}\u{2060}\u{feff}\u{3164}\u{e0041}\u{fe00}".chars() {
            assert_eq!(text(&format!("é{c}x")), format!("é[U+{:04X}]x", u32::from(c)));
        }
    }

    #[test]
    fn what_a_script_needs_stays() {
        for whole in [
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
            "a\tb c",
        ] {
            assert_eq!(text(whole), whole);
        }
        for hidden in ["a\u{200d}b", "\u{200d}", "a\u{fe0f}", "é\u{200b}\u{200d}é", "❤\u{fe0f}\u{fe0f}\u{e0101}"] {
            assert!(text(hidden).contains("[U+"), "{hidden:?}");
        }
    }

    #[test]
    fn html_is_text_and_white_space_stays() {
        let mut out = String::new();
        push_html("  <b a='1'>\"&\u{202e}  x\ty\r\n z\rw\n", &mut out).unwrap();
        assert_eq!(
            out,
            "&nbsp;&nbsp;&lt;b a=&#39;1&#39;&gt;&quot;&amp;<span class=u dir=ltr>[U+202E]</span> &nbsp;x&nbsp;&nbsp;&nbsp; y<br>\r\n\
             &nbsp;z<br>\r\nw<br>\r\n"
        );
        assert_eq!(text("a\r\nb\rc\nd"), "a|b|c|d");
    }
}
