//! Rate buckets: how often a client may fail. In memory, for this process, as crossbar 5.0 charges
//! them: who is let in pays nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kazoo::AccountId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::rate_limits::RateLimits;

/// After so long without a failure a bucket is forgotten: it would be full again anyway.
const IDLE: Duration = Duration::from_secs(600);

/// How many buckets are remembered. A flood of addresses pushes out the longest unused.
const MAX_BUCKETS: u64 = 65_536;

/// The bucket has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct Empty;

/// Whose bucket it is: a client's, with one account. Both have a bounded size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The client's address, where it has one.
    pub address: Option<IpAddr>,
    /// The account that it has failed at, where that is known to exist.
    pub account_id: Option<AccountId>,
}

/// The buckets of all clients.
#[derive(Clone)]
pub struct Buckets(Cache<Client, Arc<Mutex<Bucket>>>);

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
    /// What is left in a client's bucket.
    #[must_use]
    pub fn level(&self, client: &Client, limits: &RateLimits, now: Instant) -> u32 {
        match self.0.get(client) {
            Some(bucket) => lock(&bucket).refilled(limits, now).tokens,
            None => limits.size,
        }
    }

    /// Takes `cost` tokens out of a bucket.
    ///
    /// # Errors
    /// [`Empty`] where it has less; nothing is taken then.
    pub fn charge(&self, client: &Client, cost: u32, limits: &RateLimits, now: Instant) -> Result<(), Empty> {
        let bucket = self.bucket(client, limits, now);
        let mut bucket = lock(&bucket);
        let tokens = bucket.refilled(limits, now).tokens.checked_sub(cost).ok_or(Empty)?;
        bucket.tokens = tokens;
        Ok(())
    }

    /// Charges an attempt to log in, good or bad: once as a request without a token, and once more for
    /// the attempt itself.
    ///
    /// # Errors
    /// [`Empty`] where it has less than both together. The second charge leaves nothing in a bucket that
    /// it finds too little in, so that trying on does not pay.
    pub fn charge_login(
        &self,
        client: &Client,
        costs: [u32; 2],
        limits: &RateLimits,
        now: Instant,
    ) -> Result<(), Empty> {
        let bucket = self.bucket(client, limits, now);
        let mut bucket = lock(&bucket);
        let [as_request, as_attempt] = costs;
        let tokens = bucket.refilled(limits, now).tokens.checked_sub(as_request).ok_or(Empty)?;
        let tokens = tokens.checked_sub(as_attempt);
        bucket.tokens = tokens.unwrap_or(0);
        tokens.map(drop).ok_or(Empty)
    }

    fn bucket(&self, client: &Client, limits: &RateLimits, now: Instant) -> Arc<Mutex<Bucket>> {
        self.0
            .get_with_by_ref(client, || Arc::new(Mutex::new(Bucket { tokens: limits.size, filled_at: now })))
    }
}

/// A bucket is whole between any two statements that change it.
fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bucket {
    /// The bucket, as full as it is by now.
    fn refilled(&mut self, limits: &RateLimits, now: Instant) -> &Self {
        let since = now.saturating_duration_since(self.filled_at);
        let blocks = since.as_secs().checked_div(limits.interval.as_secs()).unwrap_or(0);
        if blocks > 0 {
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(limits.refill.saturating_mul(blocks));
            self.filled_at += limits.interval.saturating_mul(blocks);
        }
        self.tokens = self.tokens.min(limits.size);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Client, Empty};
    use crate::rate_limits::RateLimits;
    use std::time::{Duration, Instant};

    fn client(last: u8) -> Client {
        Client { address: Some([192, 0, 2, last].into()), account_id: None }
    }

    #[test]
    fn a_bucket_empties_and_fills_in_blocks() {
        let (buckets, limits, begin) = (Buckets::default(), RateLimits::default(), Instant::now());
        let charge =
            |who, later| buckets.charge(&client(who), 1, &limits, begin + Duration::from_millis(later));
        let level = |who, later| buckets.level(&client(who), &limits, begin + Duration::from_millis(later));
        assert_eq!(level(1, 0), 100);
        for left in (0..100).rev() {
            assert_eq!((charge(1, 0), level(1, 0)), (Ok(()), left));
        }
        assert_eq!(charge(1, 0), Err(Empty));
        assert_eq!((charge(2, 0), level(2, 0)), (Ok(()), 99), "each client has its own");
        assert_eq!(charge(1, 999), Err(Empty));
        assert_eq!((charge(1, 1_000), level(1, 1_000)), (Ok(()), 9));
        assert_eq!((charge(1, 3_600_000), level(1, 3_600_000)), (Ok(()), 99));
    }

    #[test]
    fn a_login_costs_twice_and_empties_what_is_too_little() {
        let (buckets, limits, now) = (Buckets::default(), RateLimits::default(), Instant::now());
        let login = |who, costs| buckets.charge_login(&client(who), costs, &limits, now);
        let level = |who| buckets.level(&client(who), &limits, now);
        assert_eq!((login(1, [1, 1]), level(1)), (Ok(()), 98));
        assert_eq!((login(1, [1, 97]), level(1)), (Ok(()), 0));
        assert_eq!((login(2, [60, 60]), level(2)), (Err(Empty), 0));
        assert_eq!((login(3, [101, 1]), level(3)), (Err(Empty), 100), "as a request it takes nothing");
        assert_eq!((login(4, [u32::MAX, u32::MAX]), level(4)), (Err(Empty), 100));
    }

    /// New limits hold for buckets that are there already.
    #[test]
    fn a_bucket_is_as_large_as_the_limits_say_now() {
        let (buckets, limits, now) = (Buckets::default(), RateLimits::default(), Instant::now());
        buckets.charge(&client(1), 1, &limits, now).unwrap();
        let mut narrow = limits.clone();
        (narrow.size, narrow.refill, narrow.interval) = (5, 2, Duration::from_secs(60));
        assert_eq!(buckets.level(&client(1), &narrow, now), 5);
        assert_eq!(buckets.charge(&client(1), 5, &narrow, now), Ok(()));
        assert_eq!(buckets.level(&client(1), &narrow, now + Duration::from_secs(59)), 0);
        assert_eq!(buckets.level(&client(1), &narrow, now + Duration::from_secs(61)), 2);
    }
}
