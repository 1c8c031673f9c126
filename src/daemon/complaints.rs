//! What the daemon complains about in the log: what stays wrong is not said every few seconds, and not only once either.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::error;

/// What is still wrong after so long, or wrong again, is said again.
const AGAIN: Duration = Duration::from_hours(1);

/// What was complained about, and when.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    said: HashMap<String, Instant>,
}

impl Complaints {
    /// Logs the line, unless that was done lately.
    pub(super) fn note(&mut self, line: &str) {
        if self.is_news(line, Instant::now()) {
            error!("{line}");
        }
    }

    fn is_news(&mut self, line: &str, now: Instant) -> bool {
        self.said.retain(|_, said| now.duration_since(*said) < AGAIN);
        let is_news = !self.said.contains_key(line);
        if is_news {
            self.said.insert(line.to_owned(), now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_wrong_is_said_once_an_hour_each_by_itself() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let mut says = |line, minutes| complaints.is_news(line, start + Duration::from_mins(minutes));
        assert!(says("disk full", 0) && says("no program", 0));
        assert!(!says("disk full", 1) && !says("no program", 59));
        assert!(says("disk full", 60), "again after an hour");
        assert!(!says("disk full", 119) && says("disk full", 120));
    }
}
