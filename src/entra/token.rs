//! An access token, as long as it lasts.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

/// So long before its end a token is used no more: a request takes its time, and clocks differ.
const MARGIN: Duration = Duration::from_mins(5);

/// What opens an interface for a while; wiped when dropped.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    /// When it ends.
    pub ends: Timestamp,
    /// From then on another one is asked for.
    renew: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Token {
    pub(super) fn new(secret: SecretString, now: Timestamp, lasts: Duration) -> Self {
        let after = |time: Duration| {
            let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
            now.checked_add(time).unwrap_or(Timestamp::MAX)
        };
        // One that lasts no longer than a few margins is used for most of its time all the same.
        let margin = MARGIN.min(lasts / 5);
        Self { secret, ends: after(lasts), renew: after(lasts.saturating_sub(margin)) }
    }

    /// Whether it is still to be used.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.renew
    }

    /// The token itself, for a request's `Authorization` and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_shortly_before_its_end_and_shown_nowhere() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        for (lasts, last_use) in [(3600, 3299), (600, 479), (10, 7), (0, -1)] {
            let token = Token::new("planted".into(), now, Duration::from_secs(lasts));
            assert!(token.is_fresh(at(last_use)) && !token.is_fresh(at(last_use + 1)), "{lasts}");
        }
        let token = Token::new("planted".into(), now, Duration::MAX);
        assert!(token.is_fresh(at(1_000_000)) && token.ends == Timestamp::MAX);
        assert!(!format!("{token:?}").contains("planted"));
    }
}
