//! Rate buckets: how often a client may fail. In memory, for this process, as crossbar 5.0 charges
//! them: who is let in pays nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// How many tokens a full bucket holds.
const SIZE: u32 = 100;

/// How many tokens come back, in one block, with each interval.
const REFILL: u32 = 10;

/// The interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// After so long without a failure a bucket is forgotten: it would be full again anyway.
const IDLE: Duration = Duration::from_secs(600);

/// How many buckets are remembered. A flood of addresses pushes out the longest unused.
const MAX_BUCKETS: u64 = 65_536;

/// The bucket has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct Empty {
    /// What is left.
    pub remaining: u32,
}

/// The buckets of all clients.
#[derive(Clone)]
pub struct Buckets(Cache<String, Arc<Mutex<Bucket>>>);

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Default for Buckets {
    fn default() -> Self {
        // By default moka keeps what is asked for often and turns newcomers away: their buckets would
        // start full each time.
        let policy = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(MAX_BUCKETS).eviction_policy(policy).time_to_idle(IDLE).build())
    }
}

impl Buckets {
    /// What a full bucket holds.
    #[must_use]
    pub fn size(&self) -> u32 {
        SIZE
    }

    /// Takes `cost` tokens out of a bucket and answers what is left.
    ///
    /// # Errors
    /// [`Empty`] where it has less; nothing is taken then.
    pub fn charge(&self, key: &str, cost: u32, now: Instant) -> Result<u32, Empty> {
        self.with(key, now, |bucket| match bucket.tokens.checked_sub(cost) {
            Some(remaining) => {
                bucket.tokens = remaining;
                Ok(remaining)
            }
            None => Err(Empty { remaining: bucket.tokens }),
        })
    }

    /// Charges an attempt to log in, good or bad: crossbar takes its cost twice, once for the lack of a
    /// token and once for the attempt itself.
    ///
    /// # Errors
    /// [`Empty`] where it has less than both together. Nothing is left in it then: the second charge
    /// empties a bucket that it finds too little in, so that trying on does not pay.
    pub fn charge_login(&self, key: &str, cost: u32, now: Instant) -> Result<u32, Empty> {
        self.with(key, now, |bucket| {
            let remaining = bucket.tokens.checked_sub(cost.saturating_mul(2));
            bucket.tokens = remaining.unwrap_or(0);
            remaining.ok_or(Empty { remaining: 0 })
        })
    }

    /// Does something to a client's bucket, as full as it is by now.
    fn with<T>(&self, key: &str, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let bucket =
            self.0.get_with_by_ref(key, || Arc::new(Mutex::new(Bucket { tokens: SIZE, filled_at: now })));
        // A bucket is whole between any two statements below.
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(now);
        act(&mut bucket)
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at);
        let intervals = since.as_secs() / INTERVAL.as_secs();
        if intervals > 0 {
            let blocks = u32::try_from(intervals).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(REFILL.saturating_mul(blocks)).min(SIZE);
            self.filled_at += INTERVAL.saturating_mul(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Empty};
    use std::time::{Duration, Instant};

    #[test]
    fn a_bucket_empties_and_fills_in_blocks() {
        let (buckets, begin) = (Buckets::default(), Instant::now());
        for left in (0..100).rev() {
            assert_eq!(buckets.charge("a", 1, begin), Ok(left));
        }
        assert_eq!(buckets.charge("a", 1, begin), Err(Empty { remaining: 0 }));
        assert_eq!(buckets.charge("b", 1, begin), Ok(99), "each client has its own");
        assert_eq!(buckets.charge("a", 1, begin + Duration::from_millis(999)), Err(Empty { remaining: 0 }));
        assert_eq!(buckets.charge("a", 1, begin + Duration::from_millis(1000)), Ok(9));
        assert_eq!(buckets.charge("a", 1, begin + Duration::from_secs(3600)), Ok(99));
    }
    #[test]
    fn a_login_costs_twice_and_empties_what_is_too_little() {
        let (buckets, begin) = (Buckets::default(), Instant::now());
        assert_eq!(buckets.charge_login("a", 1, begin), Ok(98));
        assert_eq!(buckets.charge("a", 97, begin), Ok(1));
        assert_eq!(buckets.charge_login("a", 1, begin), Err(Empty { remaining: 0 }));
        assert_eq!(buckets.charge("a", 1, begin), Err(Empty { remaining: 0 }));
        assert_eq!(buckets.charge_login("b", 60, begin), Err(Empty { remaining: 0 }));
        assert_eq!(buckets.charge_login("c", u32::MAX, begin), Err(Empty { remaining: 0 }));
    }
}
