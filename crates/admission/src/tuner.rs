//! Finds out how many calls should run at once. It compares how long calls take now with how long they take
//! when few run. If many calls make each one slower, the store has no more to give, and the limit falls. If
//! they do not, the limit rises.
//!
//! The rule is that of a gradient limiter: after each window of calls the limit becomes
//! `limit · (time when few run / time now) + √limit`. The root lets the limit rise while times stay the same.

use std::time::Duration;

/// The limit does not fall below this. So few calls never use up a store, and how long they take is the
/// measure for the others.
const FEW: usize = 8;

/// How many calls a window has at least.
const WINDOW: u64 = 20;

/// So many first calls of a kind only look for the shortest time. A first call can be very slow: it may open
/// connections or build a view.
const FIRST_CALLS: u32 = 8;

/// Calls of different kinds take different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads documents by their ids.
    Read,
    /// Reads a view, until its first row.
    Query,
    /// Writes documents.
    Write,
}

/// The limit, and what was measured.
#[derive(Debug)]
pub(crate) struct Tuner {
    few: usize,
    max: usize,
    limit: usize,
    read: Quiet,
    query: Quiet,
    write: Quiet,
    calls: u64,
    /// How long the calls of this window would have taken when few run, and how long they took.
    expected: Duration,
    taken: Duration,
}

/// How long calls of a kind take when few run.
#[derive(Debug, Default)]
struct Quiet {
    seen: u32,
    mean: Duration,
}

impl Tuner {
    /// The limit will be between a few calls and `max`.
    pub(crate) fn new(max: usize) -> Self {
        let few = FEW.min(max);
        let (read, query, write) = Default::default();
        let none = Duration::ZERO;
        Self { few, max, limit: few, read, query, write, calls: 0, expected: none, taken: none }
    }

    /// How many calls should run at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of a finished call. `crowd` is the number of calls that ran beside it, itself included.
    /// `has_queue` says whether calls wait; if none wait, the limit does not matter and stays.
    pub(crate) fn observe(&mut self, kind: Kind, took: Duration, crowd: usize, has_queue: bool) {
        let few = self.few;
        let quiet = match kind {
            Kind::Read => &mut self.read,
            Kind::Query => &mut self.query,
            Kind::Write => &mut self.write,
        };
        if crowd <= few {
            quiet.observe(took);
        }
        if quiet.seen == 0 || !has_queue {
            return;
        }
        self.calls += 1;
        self.expected += quiet.mean;
        // One very slow call says little about the others.
        self.taken += took.min(quiet.mean * 8);
        if self.calls >= WINDOW.max(2 * u64::try_from(self.limit).unwrap_or(u64::MAX)) {
            self.adapt();
        }
    }

    fn adapt(&mut self) {
        let limit = u128::try_from(self.limit).unwrap_or(u128::MAX);
        let kept = limit.saturating_mul(self.expected.as_nanos()) / self.taken.as_nanos().max(1);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX).clamp(self.limit / 2, self.limit);
        self.limit = kept.saturating_add(self.limit.isqrt()).clamp(self.few, self.max);
        (self.calls, self.expected, self.taken) = (0, Duration::ZERO, Duration::ZERO);
    }
}

impl Quiet {
    fn observe(&mut self, took: Duration) {
        if self.seen == 0 {
            self.mean = took;
        } else if self.seen < FIRST_CALLS {
            self.mean = self.mean.min(took);
        } else {
            let took = took.min(self.mean * 4);
            self.mean = (self.mean * 15 + took) / 16;
        }
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tuner};
    use std::time::Duration;

    /// Runs a store that is always full: `time` says how long a call takes when so many run. Every other call
    /// takes twice as long.
    fn settled(time: impl Fn(u32) -> Duration) -> usize {
        let mut tuner = Tuner::new(64);
        for number in 0..20 {
            tuner.observe(Kind::Query, time(1) * (1 + number % 2), 1, false);
        }
        for number in 0..10_000 {
            let crowd = tuner.limit();
            tuner.observe(Kind::Query, time(crowd.try_into().unwrap()) * (1 + number % 2), crowd, true);
        }
        tuner.limit()
    }

    #[test]
    fn a_store_that_is_not_slowed_down_gets_all_calls() {
        assert_eq!(settled(|_| Duration::from_millis(50)), 64);
        assert_eq!(settled(|_| Duration::from_micros(200)), 64);
    }

    #[test]
    fn a_store_with_two_processors_gets_few_calls() {
        let limit = settled(|crowd| Duration::from_millis(4) * crowd.max(2) / 2);
        assert!(limit <= 16, "{limit}");
    }

    #[test]
    fn a_store_with_twenty_processors_gets_enough_calls() {
        let limit = settled(|crowd| Duration::from_millis(4) * crowd.max(20) / 20);
        assert!((20..=32).contains(&limit), "{limit}");
    }

    #[test]
    fn a_store_that_recovers_gets_all_calls_again() {
        let mut tuner = Tuner::new(64);
        tuner.observe(Kind::Read, Duration::from_millis(5), 1, false);
        for _ in 0..1_000 {
            tuner.observe(Kind::Read, Duration::from_millis(100), tuner.limit() + 1, true);
        }
        assert_eq!(tuner.limit(), 8);
        for _ in 0..10_000 {
            tuner.observe(Kind::Read, Duration::from_millis(5), tuner.limit(), true);
        }
        assert_eq!(tuner.limit(), 64);
    }

    #[test]
    fn a_slow_first_call_is_no_measure() {
        let mut tuner = Tuner::new(64);
        tuner.observe(Kind::Query, Duration::from_secs(5), 1, false);
        for _ in 0..1_000 {
            let crowd = tuner.limit();
            let took = Duration::from_millis(2) * crowd.try_into().unwrap();
            tuner.observe(Kind::Query, took, crowd, true);
        }
        assert!(tuner.limit() <= 16, "{}", tuner.limit());
    }

    #[test]
    fn without_a_queue_the_limit_stays() {
        let mut tuner = Tuner::new(64);
        for _ in 0..1_000 {
            tuner.observe(Kind::Write, Duration::from_millis(1), 1, false);
        }
        assert_eq!(tuner.limit(), 8);
    }
}
