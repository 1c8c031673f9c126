//! What a text looks like, without what it says: enough to see by which notation it is written.

use super::trim;

/// Characters of a look that are kept.
const MAX: usize = 32;

/// The look of a text: `9` for a digit, `a` and `A` for letters; what stands between them as it is, where it is ASCII.
pub(super) fn of(text: &str) -> String {
    let looks = |c: char| match c {
        _ if c.is_numeric() => '9',
        _ if c.is_uppercase() => 'A',
        _ if c.is_alphabetic() => 'a',
        ' '..='~' => c,
        _ if c.is_whitespace() => ' ',
        _ => '?',
    };
    let mut look: String = trim(text).chars().take(MAX).map(looks).collect();
    if trim(text).chars().nth(MAX).is_some() {
        look.push('…');
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_nothing_but_the_notation() {
        for (text, look) in [
            ("11/19/2026 13:00:05", "99/99/9999 99:99:99"),
            (" 19-Nov-2026 1:00 PM ", "99-Aaa-9999 9:99 AA"),
            ("noon", "aaaa"),
            ("１９\u{7}é", "99?a"),
        ] {
            assert_eq!(of(text), look);
        }
        assert_eq!(of(&"word ".repeat(20)).chars().count(), MAX + 1);
    }
}
