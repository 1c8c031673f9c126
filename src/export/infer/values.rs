//! What the texts at one place of an export look like, counted, in memory that does not grow with their number. Of the
//! texts themselves nothing is kept but digests, and one number where a place occurs once (a count to compare).

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::times::Times;
use crate::export::{time, trim};

/// Digests kept of one place: enough to tell how many different texts there are, within a few percent.
const SKETCH: usize = 256;
/// Texts longer than this are no identifiers.
const MAX_ID: usize = 128;

/// The texts at one place.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// All, those that are empty after trimming not counted.
    pub(super) count: u64,
    /// Bytes of all of them.
    pub(super) bytes: u64,
    /// Bytes of the longest.
    pub(super) longest: usize,
    /// Texts with white space within.
    pub(super) spaced: u64,
    /// Addresses.
    pub(super) emails: u64,
    /// Digits alone.
    pub(super) digits: u64,
    /// Days.
    pub(super) days: u64,
    /// Media types.
    pub(super) media: u64,
    /// What ends as file names do.
    pub(super) files: u64,
    /// What could be base64 of something, and is too long for a word.
    pub(super) base64: u64,
    /// Lists with `;`, and lists with `,`, of texts without white space.
    pub(super) lists: [u64; 2],
    /// Lists of addresses among them.
    pub(super) email_lists: u64,
    /// As what time they can be read.
    pub(super) times: Times,
    /// The number, where there is one text and it is one.
    pub(super) number: Option<u64>,
    sketch: Vec<u64>,
}

impl Values {
    /// Takes a text; of a long one, `bytes` says how long it is.
    pub(super) fn take(&mut self, text: &str, bytes: usize) {
        let text = trim(text);
        if text.is_empty() {
            return;
        }
        self.count += 1;
        self.bytes += bytes.max(text.len()) as u64;
        self.longest = self.longest.max(bytes.max(text.len()));
        self.number = if self.count == 1 { text.parse().ok() } else { None };
        self.digest(text);
        self.base64 += u64::from(is_base64(text));
        if text.len() > 4 * MAX_ID {
            self.spaced += u64::from(text.contains(char::is_whitespace));
            return;
        }
        self.spaced += u64::from(text.contains(char::is_whitespace));
        self.emails += u64::from(is_email(text));
        self.digits += u64::from(text.bytes().all(|byte| byte.is_ascii_digit()));
        self.days += u64::from(time::day(text).is_some_and(|day| (1990..2200).contains(&day.year())));
        self.media += u64::from(is_media_type(text));
        self.files += u64::from(is_file_name(text));
        for (index, mark) in [';', ','].into_iter().enumerate() {
            let (is_list, of_emails) = list(text, mark);
            self.lists[index] += u64::from(is_list);
            self.email_lists += u64::from(of_emails);
        }
        self.times.take(text);
    }

    /// Keeps the smallest digests: as many as there are different texts, or a fair sample of them.
    fn digest(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = hasher.finish();
        if self.sketch.len() == SKETCH && self.sketch.last().is_some_and(|last| digest >= *last) {
            return;
        }
        if let Err(at) = self.sketch.binary_search(&digest) {
            self.sketch.insert(at, digest);
            self.sketch.truncate(SKETCH);
        }
    }

    /// How many different texts, within a few percent.
    pub(super) fn distinct(&self) -> u64 {
        match self.sketch.last() {
            Some(last) if self.sketch.len() == SKETCH => {
                let part = (u128::from(*last) + 1) / (SKETCH as u128 - 1);
                u64::try_from((1_u128 << 64) / part.max(1)).unwrap_or(u64::MAX).min(self.count)
            }
            _ => self.sketch.len() as u64,
        }
    }

    /// Whether no text, or nearly none, stands here twice.
    pub(super) fn are_unique(&self) -> bool {
        self.distinct() * 20 >= self.count * 17
    }

    /// Whether nine of ten texts are so.
    pub(super) fn mostly(&self, number: u64) -> bool {
        self.count > 0 && number * 10 >= self.count * 9
    }

    /// Whether the texts can name somebody or something: short and without white space.
    pub(super) fn are_ids(&self) -> bool {
        self.count > 0 && self.longest <= MAX_ID && self.mostly(self.count - self.spaced)
    }

    /// Addresses, one in each text.
    pub(super) fn are_emails(&self) -> bool {
        self.mostly(self.emails)
    }

    /// What is between the texts of a list, where most are lists or one is.
    pub(super) fn delimiter(&self) -> Option<char> {
        let [semicolons, commas] = self.lists;
        match (semicolons, commas) {
            (0, 0) => None,
            (semicolons, commas) if semicolons >= commas => Some(';'),
            _ => Some(','),
        }
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.ends_with('.')
            && !text.contains(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | '/'))
            && !domain.contains('@')
    })
}

fn is_media_type(text: &str) -> bool {
    const TOP: [&str; 8] = ["application", "audio", "font", "image", "message", "model", "text", "video"];
    let sub =
        |sub: &str| !sub.is_empty() && sub.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    text.split(';')
        .next()
        .and_then(|text| text.trim().split_once('/'))
        .is_some_and(|(top, rest)| sub(rest) && TOP.iter().any(|known| known.eq_ignore_ascii_case(top)))
}

fn is_file_name(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(stem, suffix)| {
        let is_suffix = (2..=5).contains(&suffix.len()) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        !stem.is_empty() && is_suffix && suffix.bytes().any(|byte| byte.is_ascii_alphabetic())
    }) && !text.contains(['@', '\n'])
}

fn is_base64(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let (mut length, mut short) = (0, 0);
    for line in text.split_ascii_whitespace() {
        if !line.bytes().all(is_letter) {
            return false;
        }
        length += line.len();
        short += usize::from(line.len() < 40);
    }
    // Data is broken into long lines of which the last may be short; words are all short.
    short <= 1 && (length >= 40 || (length >= 8 && text.ends_with('=')))
}

/// Whether `text` is a list of what has no white space, and whether all of that are addresses.
fn list(text: &str, mark: char) -> (bool, bool) {
    if !text.contains(mark) {
        return (false, false);
    }
    let mut parts = text.split(mark).map(trim).filter(|part| !part.is_empty());
    let is_list = parts.clone().count() > 1 && parts.clone().all(|part| !part.contains(char::is_whitespace));
    (is_list, is_list && parts.all(is_email))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Values {
        let mut values = Values::default();
        for text in texts {
            values.take(text, text.len());
        }
        values
    }

    #[test]
    fn shapes_are_told_apart() {
        let values = of(&[
            "amy@contoso.com",
            "chart.pdf",
            "application/pdf",
            "SGVsbG8gd29ybGQ=",
            "12",
            "two words",
            "2026-11-19",
        ]);
        let seen =
            (values.count, values.emails, values.files, values.media, values.base64, values.digits, values.spaced);
        assert_eq!(seen, (7, 1, 1, 1, 1, 1, 1));
        assert_eq!((values.days, values.delimiter()), (1, None));
        let values = of(&["a@b.example; c@d.example", "a,b,c", "no list, really", "  "]);
        assert_eq!((values.count, values.lists, values.email_lists), (3, [1, 1], 1));
        let (line, words) = ("QUJD".repeat(19), "copper at eight thousand and not a dollar more than that");
        assert_eq!(of(&[&format!("{line}\n{line}\nQUI="), words, &line]).base64, 2);
        assert_eq!(of(&["a@b", "@b.example", "a@b.", "a b@c.example"]).emails, 0);
    }

    #[test]
    fn different_texts_are_estimated_in_constant_memory() {
        let mut values = Values::default();
        for index in 0..100_000_u32 {
            values.take(&(index % 20_000).to_string(), 5);
        }
        assert_eq!(values.sketch.len(), SKETCH);
        assert!((16_000..24_000).contains(&values.distinct()), "{}", values.distinct());
        assert!(!values.are_unique());
        assert_eq!(of(&["a", "b", "a"]).distinct(), 2);
    }
}
