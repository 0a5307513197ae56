//! The pause before the next attempt. It doubles up to a cap. A random part keeps the clients of one server
//! from coming back at the same moment.

use std::time::Duration;

/// An exponential back-off.
///
/// ```
/// use std::time::Duration;
/// use datastore::Backoff;
///
/// let backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(30) };
/// assert!(backoff.delay(1) <= Duration::from_secs(1));
/// assert!(backoff.delay(100) <= Duration::from_secs(30));
/// ```
// Own code: crates such as backon and tokio-retry give iterators and retry loops. A feed and a supervisor need
// one function from the number of failures to a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest pause before the second attempt. The shortest is half of it.
    pub first: Duration,
    /// The longest pause of all.
    pub cap: Duration,
}

impl Backoff {
    /// The pause after this many failures in a row (1 for the first). It is a random time between half and
    /// all of `first · 2^(failures-1)`, and never longer than the cap.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        self.jittered(failures, random_fraction())
    }

    /// A `fraction` of 0 gives the shortest pause, 1 the longest.
    fn jittered(&self, failures: u32, fraction: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.cap);
        full / 2 + (full / 2).mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// Between 0 and 1. If the system gives no random numbers, all pauses have their full length.
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
    fn the_pause_doubles() {
        let longest: Vec<_> = (1..=4).map(|n| BACKOFF.jittered(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000]);
        assert_eq!(BACKOFF.jittered(3, 0.0).as_millis(), 500);
    }

    proptest! {
        /// In nano the cap was a lower bound, so listeners stalled for hours (couchdb-nano 257).
        #[test]
        fn the_pause_never_exceeds_the_cap(failures in any::<u32>(), fraction in 0.0..=1.0) {
            let delay = BACKOFF.jittered(failures, fraction);
            assert!(delay <= BACKOFF.cap && delay >= BACKOFF.first / 2, "{delay:?}");
            assert!(BACKOFF.delay(failures) <= BACKOFF.cap);
        }
    }
}
