//! Why an export is held whole: the faults that make every later byte doubtful, each with its place.

use std::fmt;
use std::io;

/// A place in the plaintext of an export, both from 1. Columns count characters, lines end with a line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl Position {
    /// Where every file begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place after `text`, which begins here.
    #[must_use]
    pub fn after(self, text: &[u8]) -> Self {
        let lines = count(text, |byte| byte == b'\n');
        let last = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
        let from = if lines == 0 { self.column } else { 1 };
        // Continuation bytes (10xxxxxx) begin no character.
        let characters = count(&text[last..], |byte| byte & 0xc0 != 0x80);
        Self { line: self.line + lines, column: from + characters }
    }
}

/// How many bytes are such. Up to 255 of them fit a byte: added up in bytes, a processor takes dozens at a time.
fn count(text: &[u8], is_such: impl Fn(u8) -> bool) -> u64 {
    text.chunks(255).map(|few| u64::from(few.iter().map(|byte| u8::from(is_such(*byte))).sum::<u8>())).sum()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why an export cannot be read to its end. The file is held; the words are for the operator and hold no chat text.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The content is at fault: the same bytes fail again under the same profile and limits.
    #[error("{at}: {fault}")]
    Held {
        /// Where.
        at: Position,
        /// What.
        fault: Fault,
    },
    /// The plaintext could not be read on; whether to try again is for whoever supplies it to say.
    #[error("reading the decrypted export")]
    Input(#[source] io::Error),
}

/// What is wrong with the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another encoding than UTF-8.
    #[error("the export is written in {0}; only UTF-8 is read")]
    Encoding(String),
    /// Bytes that are no UTF-8.
    #[error("these bytes are not UTF-8")]
    Utf8,
    /// A character outside XML 1.0's `Char`.
    #[error("the character U+{0:04X} is not allowed in XML")]
    Character(u32),
    /// A document type declaration (refused: entities could be defined in it).
    #[error("a DOCTYPE is not accepted")]
    Doctype,
    /// No element at all.
    #[error("the file holds no XML element")]
    Empty,
    /// The profile describes another document.
    #[error("the root element is {found:?} where the profile expects {expected:?}; is this an export of that kind?")]
    Root {
        /// What the profile names.
        expected: String,
        /// What stands there, shortened.
        found: String,
    },
    /// A second root element.
    #[error("a second root element begins here")]
    SecondRoot,
    /// Text outside the root element.
    #[error("there is text outside the root element")]
    Outside,
    /// The end of the file inside an element.
    #[error("the file ends inside the element {0:?}; it is cut off")]
    CutOff(String),
    /// The end of the file inside a tag, comment, CDATA section or processing instruction.
    #[error("the file ends inside the markup that begins here; it is cut off")]
    CutOffMarkup,
    /// A closing tag with another name.
    #[error("this closing tag is not that of the open element {0:?}")]
    Mismatch(String),
    /// A closing tag too many.
    #[error("this closing tag closes nothing")]
    Unopened,
    /// `<!` or `<?` or `<` with something that XML does not know.
    #[error("this is no XML markup")]
    Markup,
    /// An XML declaration elsewhere than at the very beginning, or without a version.
    #[error("the XML declaration is malformed or not at the beginning of the file")]
    Declaration,
    /// A name with characters that XML does not allow in names.
    #[error("this tag has a malformed name")]
    Name,
    /// Attributes that are malformed or given twice.
    #[error("this tag has a malformed or repeated attribute")]
    Attribute,
    /// An ampersand that begins no reference.
    #[error("an ampersand begins no entity or character reference")]
    Ampersand,
    /// An entity that is not one of the five predefined ones, or a reference to a character XML does not allow.
    #[error("a reference to an entity or character that XML does not define")]
    Reference,
    /// `]]>` in text.
    #[error("the sequence ]]> is not allowed in text")]
    SectionEnd,
    /// `--` in a comment.
    #[error("the sequence -- is not allowed in a comment")]
    DoubleHyphen,
    /// A tag larger than any sensible one.
    #[error("a tag is longer than {0} bytes")]
    LongTag(u64),
    /// An element name larger than any sensible one.
    #[error("an element name is longer than {0} bytes")]
    LongName(usize),
    /// Too many attributes.
    #[error("a tag has more than {0} attributes")]
    ManyAttributes(usize),
    /// Elements nested too deeply.
    #[error("elements are nested deeper than {0}")]
    Deep(usize),
    /// A field of the header or room larger than any sensible one.
    #[error("a {field} is longer than {bytes} bytes")]
    LongField {
        /// Which, in words.
        field: &'static str,
        /// The bound.
        bytes: usize,
    },
    /// One conversation with two identities.
    #[error("the conversation gives its {0} twice with different values")]
    Ambiguous(&'static str),
    /// A setting's bound.
    #[error("the conversation has more than {limit} {what}; raise {key} if that is right")]
    Limit {
        /// Of what there are too many.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// The setting.
        key: &'static str,
    },
    /// The profile holds exports with something that it does not name.
    #[error(
        "the export holds {path}, which the profile does not name and holds files for (times: {times}{}); name it in the \
         profile, or ignore it there",
        more(*others)
    )]
    Unknown {
        /// The first, by name.
        path: String,
        /// How often it was found.
        times: u64,
        /// How many other paths there are.
        others: usize,
    },
    /// A control total is another.
    #[error("the control total of {what} is {told}, and the export holds {found}; ask the vendor for it again")]
    Total {
        /// Of what.
        what: &'static str,
        /// What the vendor says.
        told: u64,
        /// What there is.
        found: u64,
    },
    /// A control total that the profile names is not there.
    #[error("the control total of {0} is missing")]
    NoTotal(&'static str),
    /// A control total is no number.
    #[error("the control total of {0} is no whole number")]
    UnreadableTotal(&'static str),
    /// A control total is there twice with different values.
    #[error("the control total of {0} is given twice with different values")]
    TotalTwice(&'static str),
    /// The second pass met a conversation that the first did not.
    #[error("this conversation is not the one that was surveyed")]
    Changed,
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!("; other such paths: {others}") }
}

impl Fault {
    /// More of something in one conversation than `limits.max_participants` allows.
    pub(super) fn too_many(what: &'static str, limit: u64) -> Self {
        Self::Limit { what, limit, key: "limits.max_participants" }
    }

    /// As [`Self::too_many`], where those of each day are counted anew.
    pub(super) fn too_many_by_day(allowed: u64) -> Self {
        let limit = allowed.saturating_mul(super::days::DAYS);
        Self::too_many("participants, those of each day counted anew", limit)
    }
}
