//! What the names of elements and attributes suggest: their words, whatever the vendor puts between them.

/// A name in its words, all in lower case: `CorporateEmailAddress` is corporate, email, address.
#[derive(Debug, Clone)]
pub(super) struct Name {
    words: Vec<String>,
    joined: String,
}

impl Name {
    pub(super) fn new(name: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let letters: Vec<char> = name.chars().collect();
        for (index, letter) in letters.iter().enumerate() {
            let before = index.checked_sub(1).map(|at| letters[at]);
            let next_is_small = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
            // A capital begins a word after a small letter (`roomID`) and before one (`IMRoom`).
            let begins = letter.is_uppercase()
                && before.is_some_and(|before| !before.is_uppercase() || (next_is_small && before.is_uppercase()));
            if !letter.is_alphanumeric() {
                words.push(String::new());
                continue;
            }
            if begins || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        words.retain(|word| !word.is_empty());
        Self { joined: words.concat(), words }
    }

    /// Whether it has this word, or, if that is long enough not to be there by chance, these letters.
    pub(super) fn has(&self, word: &str) -> bool {
        self.joined == word
            || self.words.iter().any(|own| own == word)
            || (word.len() >= 5 && self.joined.contains(word))
    }

    /// Whether it has one of these.
    pub(super) fn any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }

    /// Whether it ends in these letters: `id` ends `MessageID` and `msgid`.
    pub(super) fn ends(&self, letters: &str) -> bool {
        self.joined.ends_with(letters)
    }

    /// Whether it is this and nothing more.
    pub(super) fn is(&self, letters: &str) -> bool {
        self.joined == letters
    }
}

/// Words for a message.
pub(super) const MESSAGE: [&str; 9] = ["message", "msg", "chat", "post", "utterance", "line", "im", "entry", "said"];
/// Words for what holds messages.
pub(super) const CONVERSATION: [&str; 8] =
    ["conversation", "chatroom", "room", "channel", "thread", "session", "dialog", "dialogue"];
/// Words for those to whom something is sent.
pub(super) const RECIPIENT: [&str; 11] = [
    "recipient",
    "recipients",
    "to",
    "receiver",
    "receivers",
    "addressee",
    "cc",
    "bcc",
    "target",
    "destination",
    "rcpt",
];
/// Words for those who are asked to come.
pub(super) const INVITED: [&str; 5] = ["invitee", "invitees", "invited", "guest", "target"];
/// Words for a person who does something.
pub(super) const ACTOR: [&str; 9] =
    ["sender", "from", "author", "user", "person", "participant", "member", "originator", "inviter"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_however_they_are_written() {
        for (name, words) in [
            ("CorporateEmailAddress", &["corporate", "email", "address"][..]),
            ("RoomID", &["room", "id"]),
            ("DateTimeUTC", &["date", "time", "utc"]),
            ("IMRoomId", &["im", "room", "id"]),
            ("message_id", &["message", "id"]),
            ("msg-id.x", &["msg", "id", "x"]),
            ("firmCode", &["firm", "code"]),
            ("imid", &["imid"]),
        ] {
            assert_eq!(Name::new(name).words, words, "{name}");
        }
        let name = Name::new("LoginName");
        assert!(name.has("login") && name.any(&["x", "name"]) && name.ends("name") && !name.has("in"));
        assert!(
            Name::new("msgid").ends("id") && Name::new("SENDEREMAIL").has("email") && !Name::new("Total").has("to")
        );
    }
}
