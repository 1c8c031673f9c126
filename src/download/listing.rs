//! Which entries of the site's folder are exports. Pure: what the site says is hostile until it is sorted here.

use std::collections::HashSet;

use glob::Pattern;

use super::RemoteFile;

/// Longest name taken, in bytes: what a file name can have on any common file system.
const MAX_NAME: usize = 255;

/// What a folder at the site holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Regular files that match `site.files`, oldest first, then by name.
    pub exports: Vec<RemoteFile>,
    /// Everything else, escaped so that it can be logged: an unexpected name is worth a look, since an export under a
    /// new name would otherwise be missed.
    pub others: Vec<String>,
    /// Those of the others that are regular files with a plain name, and could be looked at.
    pub unmatched: Vec<RemoteFile>,
}

/// One entry of a folder, as the site says.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Whatever the site calls it.
    pub(super) name: String,
    /// The file, if it is a regular one of which size and mtime are known.
    pub(super) stands: Option<(u64, i64)>,
}

impl Listing {
    /// Sorts entries into exports and others. A name that occurs twice counts once; the repetition is an other.
    pub(super) fn sort(entries: Vec<Entry>, patterns: &[Pattern]) -> Self {
        let mut listing = Self { exports: Vec::new(), others: Vec::new(), unmatched: Vec::new() };
        let mut seen = HashSet::new();
        for Entry { name, stands } in entries {
            if name == "." || name == ".." {
                continue;
            }
            let wanted = patterns.iter().any(|pattern| pattern.matches(&name));
            match stands {
                Some((size, mtime)) if is_plain(&name) && seen.insert(name.clone()) => {
                    if wanted {
                        listing.exports.push(RemoteFile { name, size, mtime });
                    } else {
                        listing.others.push(escaped(&name));
                        listing.unmatched.push(RemoteFile { name, size, mtime });
                    }
                }
                _ => listing.others.push(escaped(&name)),
            }
        }
        listing.exports.sort_by(|a, b| (a.mtime, &a.name).cmp(&(b.mtime, &b.name)));
        listing
    }
}

/// Whether a name is one component that shows on a terminal as what it is. A replacement character stands for bytes that
/// are no UTF-8: such a file cannot be asked for.
pub(super) fn is_plain(name: &str) -> bool {
    let hostile = |c: char| c == '/' || c == char::REPLACEMENT_CHARACTER || c.is_control() || reorders_text(c);
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(hostile)
}

/// Line and paragraph separators and the marks that change the direction of text: with them a name can pretend to be
/// another in a report.
fn reorders_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name that no export can have, cut to about the length of the longest that one can: many of them fit into memory then.
/// Anew: what is cut in its place keeps the whole place from being used again.
pub(super) fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    // Longer than any that can, even so.
    format!("{}…", &name[..name.ceil_char_boundary(MAX_NAME)])
}

/// What the site said, at most so much of it, fit for a log line.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(MAX_NAME) {
        match c {
            '\'' | '"' => shown.push(c),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(MAX_NAME).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, size: u64, mtime: i64) -> Entry {
        Entry { name: name.to_owned(), stands: Some((size, mtime)) }
    }

    fn patterns() -> Vec<Pattern> {
        ["*.pgp", "*.asc"].iter().map(|pattern| Pattern::new(pattern).unwrap()).collect()
    }

    #[test]
    fn exports_come_oldest_first_and_the_rest_is_named() {
        let folder = Entry { name: "old.pgp".to_owned(), stands: None };
        let entries =
            vec![entry("b.pgp", 1, 20), entry("a.pgp", 2, 20), folder, entry("c.asc", 3, 10), entry("readme", 4, 1)];
        let listing = Listing::sort(entries, &patterns());
        let names: Vec<_> = listing.exports.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["c.asc", "a.pgp", "b.pgp"]);
        assert_eq!(listing.others, ["old.pgp", "readme"]);
        assert_eq!(listing.unmatched, [RemoteFile { name: "readme".to_owned(), size: 4, mtime: 1 }]);
    }

    #[test]
    fn hostile_names_never_become_exports() {
        let long = format!("{}.pgp", "x".repeat(252));
        let names = [
            "../../etc/cron.d/x.pgp",
            "/x.pgp",
            "a\0.pgp",
            "a\n.pgp",
            "\u{1b}[2J.pgp",
            "pgp.\u{202e}x.pgp",
            "pgp.\u{61c}x.pgp",
            "\u{fffd}.pgp",
            &long,
        ];
        let listing = Listing::sort(names.iter().map(|name| entry(name, 1, 1)).collect(), &patterns());
        assert_eq!((listing.exports, listing.unmatched), (vec![], vec![]));
        assert_eq!(listing.others.len(), names.len());
        assert!(listing.others.iter().all(|name| !name.chars().any(|c| c.is_control() || reorders_text(c))));
    }

    #[test]
    fn a_repeated_name_counts_once_and_dots_not_at_all() {
        let entries = vec![entry("a.pgp", 1, 1), entry("a.pgp", 2, 2), entry(".", 0, 0), entry("..", 0, 0)];
        let listing = Listing::sort(entries, &[Pattern::new("*").unwrap()]);
        assert_eq!(listing.exports, [RemoteFile { name: "a.pgp".to_owned(), size: 1, mtime: 1 }]);
        assert_eq!(listing.others, ["a.pgp"]);
    }

    proptest! {
        #[test]
        fn a_name_that_was_shortened_is_never_an_exports(name in "[a-z\u{e9}\u{20ac}\u{1f980}]{50,300}") {
            let short = shortened(name.clone());
            prop_assert!(short.len() <= MAX_NAME + 6 && is_plain(&short) == (name.len() <= MAX_NAME));
            prop_assert!(short == name || name.len() > MAX_NAME);
        }

        #[test]
        fn no_name_leaves_its_folder(name in any::<String>()) {
            let listing = Listing::sort(vec![entry(&name, 1, 1)], &[Pattern::new("*").unwrap()]);
            for file in listing.exports {
                let path = std::path::Path::new(&file.name);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
            }
        }
    }
}
