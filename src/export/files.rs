//! What a file of a vendor's is, by its name: an export, an archive of attachments, control totals; and which of them
//! belong together.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::file_date::FileDate;

/// Bytes of a name beyond which no pattern fits it.
const MAX_NAME: usize = 1024;
/// What encryption adds to a name; nobody names it in a pattern.
const ENCRYPTED: [&str; 3] = [".pgp", ".gpg", ".asc"];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// Conversations.
    Export,
    /// Attachments that exports name.
    Attachments,
    /// Control totals of an export.
    Totals,
}

impl FileKind {
    /// The word that stands in profiles and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Attachments => "attachments",
            Self::Totals => "totals",
        }
    }
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRole {
    /// What it holds.
    pub kind: FileKind,
    /// What the pattern's names stand for here, in lower case; a date as `YYYY-MM-DD`, under the name `date`.
    pub captures: BTreeMap<String, String>,
    /// The day it is about, where the pattern has one.
    pub date: Option<Date>,
}

impl FileRole {
    /// Of a file that no pattern fits.
    pub(super) fn export() -> Self {
        Self { kind: FileKind::Export, captures: BTreeMap::new(), date: None }
    }

    /// Whether the two belong together: whatever both names say is the same. Two files of one kind never do.
    pub fn goes_with(&self, other: &Self) -> bool {
        let agrees = |(name, text): (&String, &String)| other.captures.get(name).is_none_or(|theirs| theirs == text);
        self.kind != other.kind && self.captures.iter().all(agrees)
    }
}

/// A name with places that vary: `{firm}.ib19.{date:%y%m%d}.xml`.
#[derive(Debug)]
pub(super) struct FilePattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    /// In lower case.
    Text(Box<str>),
    /// Anything, nothing included.
    Any,
    /// Something without a slash.
    Capture(Box<str>),
    Date(FileDate),
}

impl FilePattern {
    /// A pattern, or what is wrong with it.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some(at) = rest.find(['{', '}', '*']) {
            let (text, special) = rest.split_at(at);
            push_text(&mut tokens, text);
            if let Some(behind) = special.strip_prefix('*') {
                tokens.push(Token::Any);
                rest = behind;
            } else {
                let braces = special.strip_prefix('{').and_then(|inside| inside.split_once('}'));
                let (inside, behind) = braces.ok_or("has a brace without its other half")?;
                tokens.push(capture(inside)?);
                rest = behind;
            }
        }
        push_text(&mut tokens, rest);
        let names: Vec<&str> = tokens.iter().filter_map(Token::name).collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(format!("has {{{name}}} twice")),
            None if tokens.is_empty() => Err("is empty".to_owned()),
            None => Ok(Self(tokens)),
        }
    }

    /// What the names stand for in this file's name, if it fits as a whole.
    pub(super) fn fit(&self, kind: FileKind, file_name: &str) -> Option<FileRole> {
        let name = plain(file_name).to_lowercase();
        if name.len() > MAX_NAME {
            return None;
        }
        let mut fit = Fit { tokens: &self.0, name: &name, dead: vec![false; (self.0.len() + 1) * (name.len() + 1)] };
        let mut role = FileRole { kind, ..FileRole::export() };
        fit.from(0, 0, &mut role).then_some(role)
    }
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token::Text(text.to_lowercase().into()));
    }
}

fn capture(inside: &str) -> Result<Token, String> {
    let (name, format) = inside.split_once(':').map_or((inside, None), |(name, format)| (name, Some(format)));
    let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (name, format) {
        _ if !sound => Err(format!("has {{{inside}}}, which is no name")),
        ("date", Some(format)) => FileDate::new(format).map(Token::Date).ok_or_else(|| {
            format!("has {{{inside}}}, which must say year, month and day, and nothing else, as in {{date:%Y%m%d}}")
        }),
        ("date", None) => Err("has {date} without a format, as in {date:%Y%m%d}".to_owned()),
        (_, Some(_)) => Err(format!("has {{{inside}}}; only a date has a format")),
        (name, None) => Ok(Token::Capture(name.into())),
    }
}

impl Token {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Text(_) | Self::Any => None,
            Self::Capture(name) => Some(name),
            Self::Date(_) => Some("date"),
        }
    }
}

/// A file's name without what encryption added to it.
fn plain(name: &str) -> &str {
    let cut = |suffix: &&str| {
        let (plain, last) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
        last.eq_ignore_ascii_case(suffix).then_some(plain)
    };
    ENCRYPTED.iter().find_map(cut).unwrap_or(name)
}

/// A search for the places where the tokens stand, the earliest for each.
struct Fit<'a> {
    tokens: &'a [Token],
    name: &'a str,
    /// From which token and place on nothing fits: a name is looked at a bounded number of times, whatever it is.
    dead: Vec<bool>,
}

impl Fit<'_> {
    fn from(&mut self, token: usize, at: usize, role: &mut FileRole) -> bool {
        let state = token * (self.name.len() + 1) + at;
        if self.dead[state] {
            return false;
        }
        let (name, rest) = (self.name, &self.name[at..]);
        let fits = match self.tokens.get(token) {
            None => rest.is_empty(),
            Some(Token::Text(text)) => rest.starts_with(&**text) && self.from(token + 1, at + text.len(), role),
            Some(Token::Any) => {
                let mut ends = (at..=name.len()).filter(|end| name.is_char_boundary(*end));
                ends.any(|end| self.from(token + 1, end, role))
            }
            Some(Token::Capture(capture)) => {
                let longest = rest.find('/').map_or(name.len(), |slash| at + slash);
                let mut ends = (at + 1..=longest).filter(|end| name.is_char_boundary(*end));
                ends.find(|end| self.from(token + 1, *end, role)).is_some_and(|end| {
                    role.captures.insert(capture.to_string(), name[at..end].to_owned());
                    true
                })
            }
            Some(Token::Date(date)) => date.at(name, at).is_some_and(|(date, length)| {
                let fits = self.from(token + 1, at + length, role);
                if fits {
                    role.captures.insert("date".to_owned(), date.to_string());
                    role.date = Some(date);
                }
                fits
            }),
        };
        self.dead[state] = !fits;
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, name: &str) -> Option<String> {
        let role = FilePattern::new(pattern).unwrap().fit(FileKind::Export, name)?;
        Some(role.captures.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_pattern_fits_a_whole_name() {
        let ib = "{firm}.ib19.{date:%y%m%d}.xml";
        for (pattern, name, expected) in [
            (ib, "f848135.ib19.261119.xml", Some("date=2026-11-19 firm=f848135")),
            (ib, "F848135.IB19.261119.XML.GPG", Some("date=2026-11-19 firm=f848135")),
            (ib, "a.b.ib19.261119.xml.pgp", Some("date=2026-11-19 firm=a.b")),
            (ib, "a.ib19.x.ib19.261119.xml", Some("date=2026-11-19 firm=a.ib19.x")),
            (ib, "f848135.ib19.261119.xml.zip", None),
            (ib, "f848135.ib19.261319.xml", None),
            (ib, "f848135.ib19.2611190.xml", None),
            (ib, ".ib19.261119.xml", None),
            (ib, "x/f848135.ib19.261119.xml", None),
            (ib, "f848135.ib19.261119.xml.asc.gpg", None),
            ("*.{date:%Y%m%d}*.xml", "chat.20261119.xml", Some("date=2026-11-19")),
            ("*", "", Some("")),
            ("{a}{b}", "xyz", Some("a=x b=yz")),
            ("{a}-{b}", "x-y-z", Some("a=x b=y-z")),
            ("{a}-{b}", "x-", None),
            ("ÜBER-{a}.xml", "über-é.XML", Some("a=é")),
            ("{date:%d%b%Y}.xml", "19NOV2026.xml", Some("date=2026-11-19")),
        ] {
            assert_eq!(captures(pattern, name).as_deref(), expected, "{pattern} and {name}");
        }
        let hostile = "a".repeat(MAX_NAME);
        assert_eq!(captures(&format!("{}b", "*a".repeat(40)), &hostile), None, "in bounded time");
    }

    #[test]
    fn a_faulty_pattern_is_refused() {
        for (pattern, expected) in [
            ("", "is empty"),
            ("a{b", "has a brace without its other half"),
            ("a}b", "has a brace without its other half"),
            ("{}", "has {}, which is no name"),
            ("{a b}", "has {a b}, which is no name"),
            ("{a}{a}", "has {a} twice"),
            ("{date:%Y%m%d}{date:%Y%m%d}", "has {date} twice"),
            ("{date}", "has {date} without a format"),
            ("{date:%Y}", "has {date:%Y}, which must say year, month and day"),
            ("{part:%d}", "has {part:%d}; only a date has a format"),
        ] {
            let error = FilePattern::new(pattern).unwrap_err();
            assert!(error.starts_with(expected), "{pattern}: {error}");
        }
    }

    #[test]
    fn files_go_together_where_their_names_agree() {
        let role = |kind, pairs: &[(&str, &str)]| {
            let captures = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            FileRole { kind, captures, date: None }
        };
        let export = role(FileKind::Export, &[("firm", "f1"), ("date", "2026-11-19")]);
        for (other, expected) in [
            (role(FileKind::Attachments, &[("firm", "f1"), ("date", "2026-11-19")]), true),
            (role(FileKind::Attachments, &[("date", "2026-11-19"), ("part", "2")]), true),
            (role(FileKind::Attachments, &[]), true),
            (role(FileKind::Attachments, &[("firm", "f2"), ("date", "2026-11-19")]), false),
            (role(FileKind::Totals, &[("firm", "f1"), ("date", "2026-11-18")]), false),
            (role(FileKind::Export, &[("firm", "f1"), ("date", "2026-11-19")]), false),
        ] {
            assert_eq!(export.goes_with(&other), expected, "{other:?}");
            assert_eq!(other.goes_with(&export), expected, "{other:?}");
        }
    }
}
