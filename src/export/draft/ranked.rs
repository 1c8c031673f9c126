//! A field that may stand in several places, of which the profile prefers one to another; they come in any order.

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) enum Settled {
    /// It is taken, or is the one that was there, or another place is preferred to its own.
    Yes,
    /// Its place has another value already.
    Twice,
}

/// A field's value so far.
#[derive(Debug, Clone)]
pub(in crate::export) struct Ranked<T> {
    value: Option<T>,
    /// The order of the value's place: the lower, the better; 0 is the only place.
    rank: u8,
    /// Whether that place had another value as well.
    twice: bool,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self { value: None, rank: 0, twice: false }
    }
}

impl<T> Ranked<T> {
    /// As one that was given no value.
    pub(in crate::export) fn clear(&mut self) {
        (self.value, self.rank, self.twice) = (None, 0, false);
    }
}

impl<T: PartialEq> Ranked<T> {
    /// Whether a value from a place of this rank would count.
    pub(in crate::export) fn wants(&self, rank: u8) -> bool {
        self.value.is_none() || rank <= self.rank
    }

    /// Takes a value that is not empty. Where there are several places, only [`Self::is_twice`] tells whether two values of
    /// one of them matter.
    pub(in crate::export) fn settle(&mut self, rank: u8, value: T) -> Settled {
        match &self.value {
            Some(present) if rank == self.rank => {
                let same = *present == value;
                self.twice |= !same;
                return if same { Settled::Yes } else { Settled::Twice };
            }
            Some(_) if rank > self.rank => {}
            _ => *self = Self { value: Some(value), rank, twice: false },
        }
        Settled::Yes
    }

    /// Whether the place that counts has two values.
    pub(in crate::export) fn is_twice(&self) -> bool {
        self.twice
    }

    pub(in crate::export) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(in crate::export) fn take(&mut self) -> Option<T> {
        std::mem::take(self).value
    }
}

impl<T: PartialEq + for<'a> From<&'a str>> Ranked<T> {
    /// As [`Self::settle`], for text that is trimmed, and absent where nothing is left.
    pub(in crate::export) fn settle_text(&mut self, rank: u8, text: &str) -> Settled {
        let text = super::super::trim(text);
        if text.is_empty() || !self.wants(rank) { Settled::Yes } else { self.settle(rank, text.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_place_counts_whatever_the_order() {
        let of = |values: &[(u8, &str)]| {
            let mut field = Ranked::<String>::default();
            let settled: Vec<_> = values.iter().map(|(rank, text)| field.settle_text(*rank, text)).collect();
            let twice = field.is_twice();
            (field.take().unwrap_or_default(), twice, settled.contains(&Settled::Twice))
        };
        assert_eq!(of(&[(0, "a"), (1, "b")]), ("a".to_owned(), false, false));
        assert_eq!(of(&[(1, "b"), (0, "a")]), ("a".to_owned(), false, false));
        assert_eq!(of(&[(1, "b"), (0, " ")]), ("b".to_owned(), false, false));
        assert_eq!(of(&[(1, "b"), (1, "c"), (0, "a")]), ("a".to_owned(), false, true), "where it does not matter");
        assert_eq!(of(&[(1, "b"), (1, "c"), (2, "a")]), ("b".to_owned(), true, true));
        assert_eq!(of(&[(0, "a"), (0, "b")]), ("a".to_owned(), true, true));
        assert_eq!(of(&[(0, "a"), (0, "a")]), ("a".to_owned(), false, false));
        assert_eq!(of(&[]), (String::new(), false, false));
    }
}
