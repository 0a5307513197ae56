//! Rate buckets, one for each client. They exist only in this process. As in crossbar 5.0, a request with
//! valid credentials costs nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kazoo::AccountId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::bucket::Bucket;
use super::rate_limits::RateLimits;

/// A bucket is dropped after this time without use. With Kazoo's defaults it is full again by then.
const IDLE: Duration = Duration::from_secs(600);

/// How many buckets are kept. Beyond that, the bucket that was unused longest is dropped.
const MAX_BUCKETS: u64 = 65_536;

/// The bucket holds too few tokens for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct BucketEmpty;

/// The key of a bucket: a client at one account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The client's address, if the connection has one.
    pub address: Option<IpAddr>,
    /// The account that the client failed at, if the account exists.
    pub account_id: Option<AccountId>,
}

/// The buckets of all clients.
#[derive(Clone)]
pub struct Buckets(Cache<Client, Arc<Mutex<Bucket>>>);

impl Default for Buckets {
    fn default() -> Self {
        // Moka's default policy refuses rare keys when it is full. A new client's bucket would then start
        // full at each request.
        let policy = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(MAX_BUCKETS).eviction_policy(policy).time_to_idle(IDLE).build())
    }
}

impl Buckets {
    /// How many tokens a client's bucket holds.
    #[must_use]
    pub fn level(&self, client: &Client, limits: &RateLimits, now: Instant) -> u32 {
        match self.0.get(client) {
            Some(bucket) => lock(&bucket).level(limits.capacity, now),
            None => limits.capacity.size,
        }
    }

    /// Takes `cost` tokens out of a bucket.
    ///
    /// # Errors
    /// [`BucketEmpty`] if the bucket holds fewer. Then nothing is taken.
    pub fn charge(
        &self,
        client: &Client,
        cost: u32,
        limits: &RateLimits,
        now: Instant,
    ) -> Result<(), BucketEmpty> {
        let bucket = self.bucket(client, limits, now);
        if lock(&bucket).take(cost, limits.capacity, now) { Ok(()) } else { Err(BucketEmpty) }
    }

    /// Charges an attempt to log in, whether it succeeds or not. There are two charges: one for a request
    /// without a token, one for the attempt.
    ///
    /// # Errors
    /// [`BucketEmpty`] if the bucket holds fewer tokens than the sum. If the first charge fits and the second
    /// does not, the bucket is emptied. A client then gains nothing by trying again at once.
    pub fn charge_login(
        &self,
        client: &Client,
        costs: [u32; 2],
        limits: &RateLimits,
        now: Instant,
    ) -> Result<(), BucketEmpty> {
        let bucket = self.bucket(client, limits, now);
        let mut bucket = lock(&bucket);
        let [as_request, as_attempt] = costs;
        let left = bucket.level(limits.capacity, now).checked_sub(as_request).ok_or(BucketEmpty)?;
        let left = left.checked_sub(as_attempt);
        bucket.leave(left.unwrap_or(0));
        left.map(drop).ok_or(BucketEmpty)
    }

    fn bucket(&self, client: &Client, limits: &RateLimits, now: Instant) -> Arc<Mutex<Bucket>> {
        self.0.get_with_by_ref(client, || Arc::new(Mutex::new(Bucket::full(limits.capacity, now))))
    }
}

/// A panic cannot leave a bucket half changed, so a poisoned lock can be used.
fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::{Capacity, RateLimits};
    use super::{BucketEmpty, Buckets, Client};
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
        assert_eq!(charge(1, 0), Err(BucketEmpty));
        assert_eq!((charge(2, 0), level(2, 0)), (Ok(()), 99), "each client has its own");
        assert_eq!(charge(1, 999), Err(BucketEmpty));
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
        assert_eq!((login(2, [60, 60]), level(2)), (Err(BucketEmpty), 0));
        assert_eq!((login(3, [101, 1]), level(3)), (Err(BucketEmpty), 100), "as a request it takes nothing");
        assert_eq!((login(4, [u32::MAX, u32::MAX]), level(4)), (Err(BucketEmpty), 100));
    }

    /// New limits apply to existing buckets.
    #[test]
    fn a_bucket_is_as_large_as_the_limits_say_now() {
        let (buckets, limits, now) = (Buckets::default(), RateLimits::default(), Instant::now());
        buckets.charge(&client(1), 1, &limits, now).unwrap();
        let mut narrow = limits.clone();
        narrow.capacity = Capacity { size: 5, refill: 2, interval: Duration::from_secs(60) };
        assert_eq!(buckets.level(&client(1), &narrow, now), 5);
        assert_eq!(buckets.charge(&client(1), 5, &narrow, now), Ok(()));
        assert_eq!(buckets.level(&client(1), &narrow, now + Duration::from_secs(59)), 0);
        assert_eq!(buckets.level(&client(1), &narrow, now + Duration::from_secs(61)), 2);
    }
}
