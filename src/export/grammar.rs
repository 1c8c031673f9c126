//! The small productions of XML 1.0 (fifth edition) that the tokeniser leaves unchecked: names, attributes, references,
//! line ends. Section and production numbers are the recommendation's.

use super::fault::Fault;

/// An attribute, its name without the prefix.
pub(super) struct Attribute<'a> {
    pub(super) prefix: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

/// Whether XML 1.0 allows the character (production 2).
pub(super) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// White space as XML has it (production 3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_space_char(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The first attribute of a tag's rest, its raw value, and what follows (production 41).
pub(super) fn next_attribute(rest: &str) -> Result<Option<(&str, &str, &str)>, Fault> {
    let trimmed = rest.trim_start_matches(is_space_char);
    if trimmed.is_empty() {
        return Ok(None);
    }
    let end = trimmed.find(|c| c == '=' || is_space_char(c)).ok_or(Fault::Attribute)?;
    let (name, rest_of_it) = trimmed.split_at(end);
    let value = rest_of_it.trim_start_matches(is_space_char).strip_prefix('=').ok_or(Fault::Attribute)?;
    let value = value.trim_start_matches(is_space_char);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(Fault::Attribute)?;
    let (value, behind) = value[1..].split_once(quote).ok_or(Fault::Attribute)?;
    let named = match name.split_once(':') {
        Some((prefix, local)) => is_name(prefix) && is_name(local),
        None => is_name(name),
    };
    let apart = trimmed.len() < rest.len();
    if named && apart && !value.contains('<') { Ok(Some((name, value, behind))) } else { Err(Fault::Attribute) }
}

/// An attribute's value with references resolved and white space as spaces (section 3.3.3).
pub(super) fn expand(value: &str, into: &mut String) -> Result<(), Fault> {
    let mut rest = value;
    while let Some(offset) = rest.find(['&', '\t', '\r', '\n']) {
        let (plain, special) = rest.split_at(offset);
        into.push_str(plain);
        if let Some(reference) = special.strip_prefix('&') {
            let (name, behind) = reference.split_once(';').ok_or(Fault::Ampersand)?;
            into.push(resolve(name)?);
            rest = behind;
        } else {
            into.push(' ');
            rest = special.strip_prefix("\r\n").unwrap_or(&special[1..]);
        }
    }
    into.push_str(rest);
    Ok(())
}

/// The character a reference stands for: one of the five predefined entities, or a number (sections 4.1, 4.6).
pub(super) fn resolve(name: &str) -> Result<char, Fault> {
    match name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => match name.strip_prefix('#') {
            Some(number) => numbered(number).ok_or(Fault::Reference),
            None if is_name(name) => Err(Fault::Reference),
            None => Err(Fault::Ampersand),
        },
    }
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // `from_str_radix` would take a sign.
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| is_allowed(*c))
}

/// Line ends as XML hands them on: each CR LF and each lone CR is one LF (section 2.11).
pub(super) fn line_feeds(text: &str, into: &mut String) {
    into.clear();
    for (index, line) in text.split('\r').enumerate() {
        if index > 0 {
            into.push('\n');
        }
        into.push_str(if index > 0 { line.strip_prefix('\n').unwrap_or(line) } else { line });
    }
}

/// Whether `name` is a name without a colon: XML 1.0 (fifth edition) production 5, Namespaces in XML production 4.
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(begins_name) && characters.all(continues_name)
}

fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic()
        || c == '_'
        || matches!(c, '\u{c0}'..='\u{2ff}' if !matches!(c, '\u{d7}' | '\u{f7}'))
        || matches!(c, '\u{370}'..='\u{1fff}' if c != '\u{37e}')
        || matches!(c, '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}')
        || matches!(c, '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}')
        || matches!(c, '\u{10000}'..='\u{effff}')
}

fn continues_name(c: char) -> bool {
    begins_name(c)
        || c.is_ascii_digit()
        || matches!(c, '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
