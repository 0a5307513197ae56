//! How long to wait before the next attempt: doubling, capped, with jitter so that clients that lost the
//! same server do not come back all at once.

use std::time::Duration;

/// An exponential back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt, at most this; half of it at least.
    pub first: Duration,
    /// Never more than this, however many attempts failed.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row (1 for the first): between half and all of
    /// `first · 2^(failures-1)`, capped.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        self.jittered(failures, random_fraction())
    }

    /// `fraction` of 0 is the shortest wait, of 1 the longest.
    fn jittered(&self, failures: u32, fraction: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.cap);
        full / 2 + (full / 2).mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// Between 0 and 1. Without a source of randomness the waits are merely not spread.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use proptest::prelude::{any, proptest};
    use std::time::Duration;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), cap: Duration::from_secs(30) };

    #[test]
    fn it_doubles() {
        let longest: Vec<_> = (1..=4).map(|n| BACKOFF.jittered(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000]);
        assert_eq!(BACKOFF.jittered(3, 0.0).as_millis(), 500);
    }

    proptest! {
        /// nano's listeners stalled for hours because the cap was a floor (couchdb-nano 257).
        #[test]
        fn it_never_grows_beyond_its_cap(failures in any::<u32>(), fraction in 0.0..=1.0) {
            let delay = BACKOFF.jittered(failures, fraction);
            assert!(delay <= BACKOFF.cap && delay >= BACKOFF.first / 2, "{delay:?}");
            assert!(BACKOFF.delay(failures) <= BACKOFF.cap);
        }
    }
}
