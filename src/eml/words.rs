//! Text that may stand in a header field: one line, ASCII, and read back as what it was.
//!
//! Where ASCII does not do, RFC 2047's encoded words are written here rather than by the mail builder, which has no way
//! to encode ASCII that only *looks* like an encoded word, and so would let a room's name choose what a reader shows.

use std::borrow::Cow;

use data_encoding::BASE64;

/// A line break that a reader takes for a space (RFC 5322 section 2.2.3); the builder's raw fields keep it.
pub(super) const FOLD: &str = "\r\n ";

/// 30 bytes make an encoded word of 52 characters, which ends within the 76 that RFC 2047 grants a line after the longest
/// field name here, `X-ICE-Chat-Sender-ImId: `.
const ENCODED_BYTES: usize = 30;

/// Bytes of a character in UTF-8, at most.
const LONGEST_CHARACTER: usize = 4;

/// The longest word that stays as it is where no line break is possible: a digest in hexadecimal is read by people.
const PLAIN_WORD: usize = 76;

/// The longest name that is worth quoting instead of encoding.
const QUOTED_NAME: usize = 70;

/// The text with each run of white space and control characters as one space, and none at its ends (contract 7).
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if is_plain_line(text) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    Cow::Owned(line)
}

fn is_plain_line(text: &str) -> bool {
    let mut before = b' ';
    for byte in text.bytes() {
        if !(b' '..=b'~').contains(&byte) || (byte == b' ' && before == b' ') {
            return false;
        }
        before = byte;
    }
    before != b' '
}

/// One line of text as the value of an unstructured field: encoded from the first word that needs it to the last, so
/// that an id beside a foreign name stays readable.
pub(super) fn unstructured(line: Cow<'_, str>) -> Cow<'_, str> {
    below(line, ENCODED_BYTES)
}

/// As [`unstructured`], for a field whose name may be longer than any of ours, up to 52 bytes.
pub(super) fn unstructured_in<'a>(name: &str, line: Cow<'a, str>) -> Cow<'a, str> {
    // Of the 76 characters of a line: the name, a colon and a space, and what stands around an encoded word's text.
    let characters = 76_usize.saturating_sub(name.len() + 2 + "=?utf-8?B??=".len());
    below(line, (characters / 4 * 3).clamp(LONGEST_CHARACTER, ENCODED_BYTES))
}

/// `first` are the bytes that an encoded word right after the field's name may have.
fn below(line: Cow<'_, str>, first: usize) -> Cow<'_, str> {
    let Some((start, end)) = span_to_encode(&line) else { return line };
    let (before, after) = (line[..start].trim_end(), line[end..].trim_start());
    let mut value = String::with_capacity(line.len() * 2 + 64);
    if !before.is_empty() {
        value.push_str(before);
        value.push_str(FOLD);
    }
    push_encoded(&line[start..end], if before.is_empty() { first } else { ENCODED_BYTES }, &mut value);
    if !after.is_empty() {
        value.push_str(FOLD);
        value.push_str(after);
    }
    Cow::Owned(value)
}

fn span_to_encode(line: &str) -> Option<(usize, usize)> {
    let mut span = None;
    let mut start = 0;
    for word in line.split(' ') {
        let end = start + word.len();
        if needs_encoding(word, PLAIN_WORD) {
            span = Some((span.map_or(start, |(first, _)| first), end));
        }
        start = end + 1;
    }
    span
}

/// A name before an address (RFC 5322's phrase), and what separates the two; nothing for an empty name.
pub(super) fn push_phrase(name: &str, out: &mut String) {
    if name.is_empty() {
        return;
    }
    if needs_encoding(name, QUOTED_NAME) {
        push_encoded(name, ENCODED_BYTES, out);
        out.push_str(FOLD);
        return;
    }
    out.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push_str("\" ");
}

fn needs_encoding(text: &str, longest: usize) -> bool {
    text.len() > longest || !text.is_ascii() || looks_encoded(text)
}

/// Whether some reader might take the text, or a part of it, for an encoded word; many do so even inside quotes.
pub(super) fn looks_encoded(text: &str) -> bool {
    text.contains("=?")
}

/// Encoded words never split a character and each stands on a line of its own, for RFC 2047's shorter lines.
fn push_encoded(text: &str, first: usize, out: &mut String) {
    let (mut rest, mut longest) = (text, first);
    loop {
        let (word, after) = rest.split_at(rest.floor_char_boundary(longest));
        longest = ENCODED_BYTES;
        out.push_str("=?utf-8?B?");
        BASE64.encode_append(word.as_bytes(), out);
        out.push_str("?=");
        if after.is_empty() {
            return;
        }
        out.push_str(FOLD);
        rest = after;
    }
}
