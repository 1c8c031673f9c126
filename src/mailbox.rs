//! The address that names a mailbox and its folder, as a type that cannot hold anything a folder could not be named.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::is_domain;

/// A mailbox address that can be a folder's name: lower case, an ASCII dot-atom local part (RFC 5322 section 3.2.3)
/// without `/`, `@`, a domain, at most 254 bytes (contract 6). `.` and `..` are impossible: there is always an `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox(Arc<str>);

/// Why an address names no mailbox. It never quotes the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// Not one `@` with something around it.
    #[error("malformed address: it needs one @ between name and domain")]
    Shape,
    /// The part before the `@`.
    #[error("malformed address: before the @ stand ASCII letters, digits and single inner dots, no spaces or slashes")]
    Local,
    /// The part after the `@`.
    #[error("malformed address: after the @ stands a domain name, in ASCII")]
    Domain,
    /// More than a folder's name can hold.
    #[error("malformed address: longer than 254 bytes")]
    Long,
}

impl Mailbox {
    /// The mailbox that `text` names, without white space around it.
    ///
    /// # Errors
    /// What is wrong with the address; then it is valid nowhere.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let (local, domain) = text.split_once('@').ok_or(MailboxError::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(MailboxError::Shape);
        }
        if text.len() > 254 {
            return Err(MailboxError::Long);
        }
        if !local.split('.').all(is_atom) {
            return Err(MailboxError::Local);
        }
        if !is_domain(domain) {
            return Err(MailboxError::Domain);
        }
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        Ok(Self(if is_lower { text.into() } else { text.to_ascii_lowercase().into() }))
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        domain_of(&self.0).unwrap_or_default()
    }
}

/// What stands after the last `@`, well-formed or not.
pub(crate) fn domain_of(address: &str) -> Option<&str> {
    address.rsplit_once('@').map(|(_, domain)| domain)
}

/// RFC 5322's `atext`, but for the slash, which would make a folder of its own.
fn is_atom(text: &str) -> bool {
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-=?^_`{|}~".contains(&byte);
    !text.is_empty() && text.bytes().all(atext)
}

impl Borrow<str> for Mailbox {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Mailbox {
    type Error = MailboxError;

    fn try_from(text: String) -> Result<Self, MailboxError> {
        Self::parse(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.as_str().to_owned()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        let fits = format!("a@{}.{}", "b".repeat(63), ["c".repeat(62), "d".repeat(62), "e".repeat(62)].join("."));
        assert_eq!(fits.len(), 254);
        for good in ["amy@contoso.com", "Amy.Adams@Contoso.COM", "o'neil+x@contoso.com", "!#$%&'*+-=?^_`{|}~@a", &fits]
        {
            assert_eq!(Mailbox::parse(good).unwrap().as_str(), good.to_ascii_lowercase());
        }
        assert_eq!(Mailbox::parse("Amy@Contoso.COM").unwrap().domain(), "contoso.com");
        let shape = ["", "@", "amy", ".", "..", "amy@", "@contoso.com", "a@b@c", "amy@@c"];
        let local =
            [".a@c", "a.@c", "a..b@c", "a b@c", " a@c", "a/b@c", "../x@c", "\"a\"@c", "a\r\nb@c", "a\0@c", "jö@c"];
        let domain = ["a@b..c", "a@.c", "a@c.", "a@b c", "a@b/c", "a@[10.0.0.1]", "a@bücher.example", "a@c ", "a@c\n"];
        // U+212A, the Kelvin sign, folds to an ASCII k: it must not slip through.
        let folding = ["\u{212a}@c"];
        let long = format!("a{fits}");
        let cases = [
            (MailboxError::Shape, &shape[..]),
            (MailboxError::Local, &local),
            (MailboxError::Local, &folding),
            (MailboxError::Domain, &domain),
            (MailboxError::Long, &[&long]),
        ];
        for (error, texts) in cases {
            for text in texts {
                assert_eq!(Mailbox::parse(text), Err(error), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_one_harmless_folder_name(text in "\\PC{0,9}@\\PC{0,9}|[a-zA-Z./@ ]{1,12}|.{0,300}") {
            if let Ok(mailbox) = Mailbox::parse(&text) {
                let name = mailbox.as_str();
                prop_assert!(name.len() <= 254 && name.is_ascii() && !name.contains(['/', '\0']));
                prop_assert!(!name.starts_with('.') && name.matches('@').count() == 1);
                prop_assert_eq!(Mailbox::parse(name), Ok(mailbox.clone()));
            }
        }
    }
}
