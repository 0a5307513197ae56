//! Counts wrong passwords for each account, whatever addresses they come from. An account with too many of
//! them takes logins only from addresses that logged in to it before, so that nobody can lock its users out.
//! The rate buckets of single clients are elsewhere.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kazoo::AccountId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::bucket::{Bucket, Capacity};
use crate::error::Barred;

/// How many wrong passwords an account takes at once, and how many more each minute.
const CAPACITY: Capacity = Capacity { size: 100, refill: 10, interval: Duration::from_secs(60) };

/// A bucket is dropped after this time without use. It is full again by then.
const IDLE: Duration = Duration::from_secs(600);

/// How many accounts have a bucket. Beyond that, the bucket that was unused longest is dropped.
const MAX_ACCOUNTS: u64 = 65_536;

/// How many buckets the names of accounts that do not exist share.
const UNKNOWN_BUCKETS: usize = 4_096;

/// How long an address counts as known after a login.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// For how many accounts addresses are kept, and how many for each. The oldest are dropped first. Only good
/// logins add any, so an attacker cannot push out the addresses of other accounts.
const MAX_KNOWN_ACCOUNTS: u64 = 16_384;
const MAX_KNOWN_ADDRESSES: usize = 32;

/// Whether a password was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    Right,
    Wrong,
}

/// The wrong passwords of all accounts, and the addresses that showed right ones.
pub(crate) struct PasswordGuesses {
    accounts: Cache<AccountId, Arc<Mutex<Bucket>>>,
    /// Names of accounts that do not exist are counted alike, so that a refusal does not tell whether an
    /// account exists. They share a fixed number of buckets: a client can make up any number of names.
    unknown: Vec<Mutex<Bucket>>,
    hasher: RandomState,
    known: Cache<AccountId, Arc<Mutex<Addresses>>>,
}

/// The addresses that logged in to an account, and when they did so last, the oldest first.
type Addresses = Vec<(IpAddr, Instant)>;

impl PasswordGuesses {
    pub(crate) fn new(now: Instant) -> Self {
        // Moka's default policy refuses rare keys when it is full.
        let lru = EvictionPolicy::lru;
        Self {
            accounts: Cache::builder()
                .max_capacity(MAX_ACCOUNTS)
                .eviction_policy(lru())
                .time_to_idle(IDLE)
                .build(),
            unknown: (0..UNKNOWN_BUCKETS).map(|_| Mutex::new(Bucket::full(CAPACITY, now))).collect(),
            hasher: RandomState::new(),
            known: Cache::builder()
                .max_capacity(MAX_KNOWN_ACCOUNTS)
                .eviction_policy(lru())
                .time_to_idle(KNOWN_FOR)
                .build(),
        }
    }

    /// Counts a wrong password at an account, and refuses to tell whether a password is right once there were
    /// too many wrong ones. Call it before anything depends on the password.
    pub(crate) fn judge(
        &self,
        account_id: &AccountId,
        address: Option<IpAddr>,
        password: Password,
        now: Instant,
    ) -> Result<(), Barred> {
        if self.knows(account_id, address, now) {
            return Ok(());
        }
        match password {
            Password::Wrong => {
                let bucket = self
                    .accounts
                    .get_with_by_ref(account_id, || Arc::new(Mutex::new(Bucket::full(CAPACITY, now))));
                charge(&bucket, now)
            }
            Password::Right => match self.accounts.get(account_id) {
                Some(bucket) if lock(&bucket).level(CAPACITY, now) == 0 => {
                    let address = address.map(|address| address.to_string());
                    log::warn!(
                        account_id = account_id.as_str(), address = address.as_deref();
                        "refused a right password: there were too many wrong ones for this account"
                    );
                    Err(Barred::TooManyGuesses)
                }
                _ => Ok(()),
            },
        }
    }

    /// Counts a password at an account that does not exist.
    pub(crate) fn judge_unknown(&self, name: &str, now: Instant) -> Result<(), Barred> {
        let buckets = u64::try_from(self.unknown.len()).unwrap_or(u64::MAX);
        let place = self.hasher.hash_one(name).checked_rem(buckets);
        let place = place.and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.unknown.get(place)) {
            Some(bucket) => charge(bucket, now),
            None => Err(Barred::TooManyGuesses),
        }
    }

    /// Remembers that a client logged in to an account from this address.
    pub(crate) fn remember(&self, account_id: &AccountId, address: Option<IpAddr>, now: Instant) {
        let Some(address) = address else { return };
        let known = self.known.get_with_by_ref(account_id, Arc::default);
        let mut known = lock(&known);
        known.retain(|(other, at)| *other != address && is_recent(*at, now));
        if known.len() >= MAX_KNOWN_ADDRESSES {
            known.remove(0);
        }
        known.push((address, now));
    }

    fn knows(&self, account_id: &AccountId, address: Option<IpAddr>, now: Instant) -> bool {
        let Some(known) = self.known.get(account_id) else { return false };
        lock(&known).iter().any(|(known, at)| Some(*known) == address && is_recent(*at, now))
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < KNOWN_FOR
}

fn charge(bucket: &Mutex<Bucket>, now: Instant) -> Result<(), Barred> {
    if lock(bucket).take(1, CAPACITY, now) { Ok(()) } else { Err(Barred::TooManyGuesses) }
}

/// A panic cannot leave these values half changed, so a poisoned lock can be used.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "guesses_tests.rs"]
mod tests;
