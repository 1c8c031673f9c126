//! How long the daemon waits after a run that failed: plain arithmetic, `now` is a parameter.

use std::time::Duration;

use jiff::Timestamp;

/// The wait after the first failure; it doubles with each further one up to the longest.
const FIRST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);

/// When one kind of work may be tried again; at once, as long as nothing failed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    until: Option<Timestamp>,
    /// None after a wait that was no failure's.
    wait: Option<Duration>,
}

impl Backoff {
    /// Whether a try may be made now.
    pub(super) fn allows(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When the try after a failure is.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until.filter(|_| self.wait.is_some())
    }

    /// Notes a failure; the time of the next try.
    pub(super) fn failed(&mut self, now: Timestamp) -> Timestamp {
        let wait = self.wait.map_or(FIRST, |wait| (wait * 2).min(LONGEST));
        self.wait = Some(wait);
        self.wait_for(now, wait)
    }

    /// Notes that somebody else was in the way, which is no failure; the time of the next try.
    pub(super) fn once_more(&mut self, now: Timestamp) -> Timestamp {
        self.wait_for(now, FIRST)
    }

    fn wait_for(&mut self, now: Timestamp, wait: Duration) -> Timestamp {
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        let until = Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX);
        self.until = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_an_hour_and_begins_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(backoff.allows(now));
            let next = backoff.failed(now);
            assert!(!backoff.allows(Timestamp::from_second(next.as_second() - 1).unwrap()));
            waits.push((next.as_second() - now.as_second()) / 60);
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(Backoff::default().allows(Timestamp::MIN));
    }

    #[test]
    fn waiting_for_somebody_else_is_no_failure() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            let next = backoff.once_more(Timestamp::UNIX_EPOCH);
            assert_eq!(next.as_second(), 60);
            assert!(!backoff.allows(Timestamp::UNIX_EPOCH));
            assert_eq!(backoff.until(), None);
        }
        assert_eq!(backoff.failed(Timestamp::UNIX_EPOCH).as_second(), 60);
    }
}
