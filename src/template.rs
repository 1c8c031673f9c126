//! Subjects and further header fields as a configuration words them: text with placeholders, checked when it is read.

use std::fmt;

/// Bytes of a template, and of a field's name.
const LONGEST: usize = 500;
const LONGEST_NAME: usize = 50;

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// The room's name, or who is in it.
    Room,
    /// The vendor's id of the room.
    RoomId,
    /// The item's day in the schedule's zone.
    Date,
    /// The item's time in UTC.
    Time,
    /// The sender; of a transcript, the first who spoke.
    Sender,
    /// `message`, `attachment`, `conversation`, or the kind of event.
    Kind,
    /// The item's id.
    ItemId,
    /// The vendor's id of the message.
    MessageId,
    /// The number of a transcript's part.
    Part,
    /// The firm that the configuration names.
    FirmCode,
}

impl Placeholder {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Room,
        Self::RoomId,
        Self::Date,
        Self::Time,
        Self::Sender,
        Self::Kind,
        Self::ItemId,
        Self::MessageId,
        Self::Part,
        Self::FirmCode,
    ];

    /// The word between braces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::RoomId => "room_id",
            Self::Date => "date",
            Self::Time => "time",
            Self::Sender => "sender",
            Self::Kind => "kind",
            Self::ItemId => "item_id",
            Self::MessageId => "message_id",
            Self::Part => "part",
            Self::FirmCode => "firm_code",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

/// One line of text with placeholders in it: `{room} on {date}`. Two braces stand for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Why a template or a field's name cannot be used; what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Where it is empty or too long, holds control characters, or braces that are no known placeholder.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let fault = |what: &str| Err(TemplateError(what.to_owned()));
        if text.trim().is_empty() {
            return fault("empty; write a text, or remove the key");
        }
        if text.len() > LONGEST {
            return Err(TemplateError(format!("longer than {LONGEST} bytes; shorten it")));
        }
        if text.contains(char::is_control) {
            return fault("a control character; write the text on one line");
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            push_text(&rest[..at], &mut pieces);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                push_text(&rest[..1], &mut pieces);
                rest = after;
                continue;
            }
            let Some((word, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
                return fault("a brace without its other; write {{ or }} for one that stands for itself");
            };
            let Some(placeholder) = Placeholder::parse(word) else { return Err(unknown(word)) };
            pieces.push(Piece::Value(placeholder));
            rest = after;
        }
        push_text(rest, &mut pieces);
        Ok(Self(pieces))
    }

    /// The template with a value where a placeholder was: what is known before any item is.
    #[must_use]
    pub fn with(&self, known: Placeholder, value: &str) -> Self {
        let mut pieces = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Value(placeholder) if *placeholder == known => push_text(value, &mut pieces),
                Piece::Text(text) => push_text(text, &mut pieces),
                Piece::Value(_) => pieces.push(piece.clone()),
            }
        }
        Self(pieces)
    }

    /// The text with each placeholder's value in its place.
    pub fn fill(&self, mut value: impl FnMut(Placeholder) -> String) -> String {
        self.0.iter().fold(String::new(), |text, piece| match piece {
            Piece::Text(piece) => text + piece,
            Piece::Value(placeholder) => text + &value(*placeholder),
        })
    }
}

fn push_text(text: &str, pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn unknown(word: &str) -> TemplateError {
    let known: Vec<_> = Placeholder::ALL.iter().map(|known| format!("{{{}}}", known.as_str())).collect();
    let word: String = word.chars().take(40).collect();
    TemplateError(format!("{{{word}}} stands for nothing; known are {}", known.join(", ")))
}

/// As it is written in a configuration; reading that gives the same template.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Value(placeholder) => write!(f, "{{{}}}", placeholder.as_str()),
        })
    }
}

/// Fields that are an EML's own, and those by which mail is sent on its way.
const TAKEN: [&str; 16] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Thread-Topic",
    "Thread-Index",
    "Received",
    "Return-Path",
];
/// Beginnings of such names.
const TAKEN_PREFIXES: [&str; 4] = ["Content-", "X-ICE-Chat-", "Resent-", "ARC-"];

/// A name for a header field of a configuration's own (RFC 5322 section 3.6.8).
///
/// # Errors
/// Where it is no such name, or the name of a field that is set already.
pub fn check_field_name(name: &str) -> Result<(), TemplateError> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let printable = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b':';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(printable) {
        return Err(TemplateError(format!(
            "{shown:?} is no name of a header field; write 1 to {LONGEST_NAME} ASCII letters, digits and hyphens, as X-Archive"
        )));
    }
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) || TAKEN_PREFIXES.iter().any(|prefix| starts(prefix))
    {
        return Err(TemplateError(format!("{shown} is set by icechatd or by mail servers; choose another name")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_braces_stand() {
        let template = Template::parse("{{{room}}} on {date}: {kind}").unwrap();
        assert_eq!(template.fill(|known| known.as_str().to_uppercase()), "{ROOM} on DATE: KIND");
        assert_eq!(template.with(Placeholder::Room, "{x}").to_string(), "{{{{x}}}} on {date}: {kind}");
        for text in ["plain", "{room}{room_id}", "}}{{", "{{{time}"] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.to_string(), text);
            assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_in_one_line() {
        for (text, said) in [
            ("", "empty"),
            ("  ", "empty"),
            ("a\nb", "a control character"),
            ("{rom}", "{rom} stands for nothing; known are {room}, {room_id},"),
            ("{", "a brace without its other"),
            ("a } b", "a brace without its other"),
            ("{room", "a brace without its other"),
            (&"x".repeat(501), "longer than 500 bytes"),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(said) && !error.contains('\n'), "{error}");
        }
        for name in ["", "X Archive", "X:", "Ä", "x\r\ny", &"x".repeat(51)] {
            assert!(check_field_name(name).unwrap_err().to_string().contains("no name of a header field"), "{name}");
        }
        for name in ["from", "SUBJECT", "content-type", "x-ice-chat-anything", "Thread-Index", "resent-to"] {
            assert!(check_field_name(name).unwrap_err().to_string().contains("is set by"), "{name}");
        }
        check_field_name("X-Archive").unwrap();
        check_field_name("Comments").unwrap();
    }
}
