//! Whether a child gets on, and what is done about one that does not: plain arithmetic, the time is a parameter.
//!
//! A run tells of itself at least once a second while bytes come from the site, while an export is read, and while its
//! records go to their places; and at each look at files that settle. Between two such signs lie, at worst: five tries to
//! reach a silent site (some eleven minutes), the digest of a large original, one `syncfs` of a batch on a slow disk, one
//! commit, and `site.settle`. The patience is longer than all of that together, so a run that shows nothing for so long is
//! one that hangs. It is ended, and counts as failed: that costs time and nothing else, for what it had begun the next run
//! finishes.

use std::time::Duration;

/// How long a child may take to its next safe point before it is killed: longer than it gives itself, and a good deal
/// shorter than the unit's `TimeoutStopSec`.
pub(super) const TO_A_SAFE_POINT: Duration = Duration::from_secs(30);
/// How long the system may take to end a process that was killed. One that stays is stuck in the kernel, and then only
/// the service manager, or a person, is left.
const TO_DIE: Duration = Duration::from_mins(1);

/// What is to be done with a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it gets on, or may yet.
    Wait,
    /// It is asked to go to its next safe point.
    Terminate,
    /// It is killed.
    Kill,
    /// It cannot even be killed.
    Lost,
}

/// A child's signs of life, by the time since it was started.
#[derive(Debug)]
pub(super) struct Pulse<S> {
    patience: Duration,
    sign: S,
    moved: Duration,
    asked: Option<Duration>,
    killed: Option<Duration>,
    lost: bool,
}

impl<S: PartialEq> Pulse<S> {
    /// Of a child that was started just now, and may show nothing for so long.
    pub(super) fn new(patience: Duration, sign: S) -> Self {
        Self { patience, sign, moved: Duration::ZERO, asked: None, killed: None, lost: false }
    }

    /// Notes that it was asked to stop; it is killed if it does not.
    pub(super) fn asked(&mut self, at: Duration) {
        self.asked.get_or_insert(at);
    }

    /// What follows from this sign at this time; each step is said once.
    pub(super) fn feel(&mut self, sign: S, at: Duration) -> Verdict {
        if sign != self.sign {
            self.sign = sign;
            self.moved = at;
        }
        match (self.asked, self.killed) {
            (None, _) if at.saturating_sub(self.moved) < self.patience => Verdict::Wait,
            (None, _) => {
                self.asked = Some(at);
                Verdict::Terminate
            }
            (Some(asked), None) if at.saturating_sub(asked) >= TO_A_SAFE_POINT => {
                self.killed = Some(at);
                Verdict::Kill
            }
            (_, Some(killed)) if at.saturating_sub(killed) >= TO_DIE && !self.lost => {
                self.lost = true;
                Verdict::Lost
            }
            _ => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_child_that_gets_on_is_left_alone() {
        let mut pulse = Pulse::new(PATIENCE, 0);
        for turn in 1..20 {
            assert_eq!(pulse.feel(turn, at(turn * 1799)), Verdict::Wait);
        }
    }

    #[test]
    fn a_child_that_shows_nothing_is_asked_then_killed_then_given_up() {
        let mut pulse = Pulse::new(PATIENCE, 0);
        assert_eq!(pulse.feel(1, at(10)), Verdict::Wait);
        assert_eq!(pulse.feel(1, at(1809)), Verdict::Wait);
        assert_eq!(pulse.feel(1, at(1810)), Verdict::Terminate);
        assert_eq!(pulse.feel(1, at(1811)), Verdict::Wait, "asked once");
        // What moves now comes too late: it was asked to end.
        assert_eq!(pulse.feel(2, at(1839)), Verdict::Wait);
        assert_eq!(pulse.feel(2, at(1840)), Verdict::Kill);
        assert_eq!(pulse.feel(2, at(1841)), Verdict::Wait, "killed once");
        assert_eq!(pulse.feel(2, at(1899)), Verdict::Wait);
        assert_eq!(pulse.feel(2, at(1900)), Verdict::Lost);
        assert_eq!(pulse.feel(2, at(1901)), Verdict::Wait, "given up once");
    }

    #[test]
    fn a_child_that_was_told_to_stop_and_goes_on_is_killed() {
        let mut pulse = Pulse::new(PATIENCE, 0);
        pulse.asked(at(100));
        pulse.asked(at(120));
        assert_eq!(pulse.feel(1, at(129)), Verdict::Wait);
        assert_eq!(pulse.feel(2, at(130)), Verdict::Kill);
    }
}
