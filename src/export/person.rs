//! Who is named in an export: by an `ImId`, by an e-mail, and what is said of them beside.

/// Text that is trimmed, never empty, and compared without case; what it is folded to is worked out once.
#[derive(Debug, Clone)]
struct Folded {
    text: Box<str>,
    /// None where folding changes nothing.
    folded: Option<Box<str>>,
}

impl Folded {
    fn new(text: &str) -> Option<Self> {
        let text = trim(text);
        (!text.is_empty()).then(|| Self { text: text.into(), folded: fold_if_needed(text) })
    }

    fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
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
        &self.0.text
    }

    /// The form in which two identifiers are compared.
    pub fn folded(&self) -> &str {
        self.0.folded()
    }

    /// As [`ImId::folded`], to keep.
    pub fn into_folded(self) -> Box<str> {
        self.0.folded.unwrap_or(self.0.text)
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
        &self.0.text
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

fn fold_if_needed(text: &str) -> Option<Box<str>> {
    // Without an early end, which a short text is not worth: so a processor looks at many bytes at once.
    if !text.bytes().fold(false, |folds, byte| folds | !byte.is_ascii() | byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text.to_lowercase();
    (folded != text).then(|| folded.into_boxed_str())
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
