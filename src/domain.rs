//! The domain of a mail address: a value that settings and resolution must read alike, or a configured domain would
//! silently match nothing.

use std::fmt;

/// A DNS name as mail uses it (RFC 1035 section 2.3.1, RFC 1123 section 2.1): labels of ASCII letters, digits and inner
/// hyphens, at most 63 bytes each and 253 together, no final dot; lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);

impl Domain {
    /// The domain in `text`, in lower case, or `None` where it is none. An international name is taken in its ASCII
    /// form only (`xn--...`).
    pub fn parse(text: &str) -> Option<Self> {
        is_domain(text).then(|| Self(text.to_ascii_lowercase().into_boxed_str()))
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text`, in any case, is a [`Domain`].
pub fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        let long_label = "a".repeat(63);
        for good in ["contoso.com", "CONTOSO.com", "localhost", "xn--bcher-kva.example", "4.example", &long_label] {
            assert_eq!(Domain::parse(good).unwrap().as_str(), good.to_ascii_lowercase());
        }
        let (longer_label, long) = ("a".repeat(64), ["a"; 128].join("."));
        let bad =
            ["", ".", "contoso.com.", ".com", "a..b", "-a.com", "a-.com", "a_b.com", "bücher.example", "a b", "a@b"];
        for bad in bad.into_iter().chain([longer_label.as_str(), long.as_str()]) {
            assert_eq!(Domain::parse(bad), None, "{bad}");
        }
    }
}
