//! Who is named in an export: by an `ImId`, by an e-mail, and what is said of them beside.

/// Text that is trimmed, never empty, and compared without case; what it is folded to is worked out once.
#[derive(Debug, Clone)]
struct Folded {
    /// The text, and behind it what it is folded to, unless that is the same: one piece of memory, for there are several in
    /// each record.
    both: Box<str>,
    /// Bytes of the text.
    len: usize,
}

impl Folded {
    fn new(text: &str) -> Option<Self> {
        let text = trim(text);
        (!text.is_empty()).then(|| Self { both: with_folded(text), len: text.len() })
    }

    fn text(&self) -> &str {
        &self.both[..self.len]
    }

    fn folded(&self) -> &str {
        let folded = &self.both[self.len..];
        if folded.is_empty() { &self.both } else { folded }
    }
}

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Folded {}

/// A person's login on ICE Chat: trimmed, never empty, compared without case (contract 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImId(Folded);

impl ImId {
    /// The identifier in `text`, or `None` where nothing is left after trimming.
    pub fn new(text: &str) -> Option<Self> {
        Folded::new(text).map(Self)
    }

    /// As the export or the mapping wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        self.0.text()
    }

    /// The form in which two identifiers are compared.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }

    /// As [`ImId::folded`], to keep.
    pub fn into_folded(self) -> Box<str> {
        if self.0.len == self.0.both.len() { self.0.both } else { self.0.folded().into() }
    }
}

/// An e-mail address as the export gives it: trimmed, never empty, not necessarily valid, compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(Folded);

impl Email {
    /// The address in `text`, or `None` where nothing is left after trimming.
    pub fn new(text: &str) -> Option<Self> {
        Folded::new(text).map(Self)
    }

    /// As the export wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        self.0.text()
    }

    /// The form in which two addresses are compared.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }
}

/// White space as people leave it in cells and elements: Unicode's, the byte order mark and the zero-width space.
pub fn trim(text: &str) -> &str {
    // Nearly every text begins and ends with what shows that nothing is to be done.
    if let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().next_back())
        && first.is_ascii_graphic()
        && last.is_ascii_graphic()
    {
        return text;
    }
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

fn with_folded(text: &str) -> Box<str> {
    // Without an early end, which a short text is not worth: so a processor looks at many bytes at once.
    let (ascii, upper) = text
        .bytes()
        .fold((true, false), |(ascii, upper), byte| (ascii & byte.is_ascii(), upper | byte.is_ascii_uppercase()));
    if ascii && !upper {
        return text.into();
    }
    let mut both = String::with_capacity(text.len() * 2);
    both.push_str(text);
    if ascii {
        both.push_str(text);
        both[text.len()..].make_ascii_lowercase();
        return both.into_boxed_str();
    }
    let folded = text.to_lowercase();
    if folded != text {
        both.push_str(&folded);
    }
    both.into_boxed_str()
}

/// What an export says of a person at one place: in a presence event, as a sender or as a recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The login on ICE Chat.
    pub im_id: Option<ImId>,
    /// The address beside it.
    pub email: Option<Email>,
    /// `First Last`, whichever of the two is given, or the vendor's one name field.
    pub name: Option<Box<str>>,
    /// The firm the person works for.
    pub company: Option<Box<str>>,
}

impl Person {
    /// Whether anything says who this is. A name alone does not.
    pub fn has_identity(&self) -> bool {
        self.im_id.is_some() || self.email.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_keeps_its_text_and_what_it_is_folded_to() {
        let of = |text: &str| ImId::new(text).map(|id| (id.as_str().to_owned(), id.folded().to_owned()));
        for (text, kept, folded) in [
            (" adams17\u{feff}", "adams17", "adams17"),
            ("Adams17", "Adams17", "adams17"),
            ("MÜLLER", "MÜLLER", "müller"),
            ("müller", "müller", "müller"),
            // One letter becomes two, and one that takes other bytes.
            ("İ", "İ", "i\u{307}"),
            ("\u{1e9e}", "\u{1e9e}", "ß"),
            ("日本", "日本", "日本"),
        ] {
            assert_eq!(of(text), Some((kept.to_owned(), folded.to_owned())));
            assert_eq!(ImId::new(text).map(ImId::into_folded).as_deref(), Some(folded));
        }
        assert_eq!(of(" \u{200b}"), None);
        assert!(ImId::new("AB") == ImId::new("ab") && ImId::new("ab") != ImId::new("abab"));
    }
}
