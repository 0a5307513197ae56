//! Counts wrong passwords for each account, whatever addresses they come from. An account with too many of
//! them takes logins only from addresses that showed good credentials before, so that nobody can lock its users
//! out.
//! The rate buckets of single clients are elsewhere.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kazoo::AccountId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::bucket::{Bucket, Capacity};
use super::known_addresses::KnownAddresses;
use crate::error::Barred;

/// How many wrong passwords an account takes at once, and how many more each minute.
const CAPACITY: Capacity = Capacity { size: 100, refill: 10, interval: Duration::from_secs(60) };

/// A bucket is dropped after this time without use. It is full again by then.
const IDLE: Duration = Duration::from_secs(600);

/// How many accounts have a bucket. Beyond that, the bucket that was unused longest is dropped.
const MAX_ACCOUNTS: u64 = 65_536;

/// How many buckets the names of accounts that do not exist share.
const UNKNOWN_BUCKETS: usize = 4_096;

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
    known: KnownAddresses,
}

impl PasswordGuesses {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            accounts: Cache::builder()
                .max_capacity(MAX_ACCOUNTS)
                // Moka's default policy refuses rare keys when it is full.
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(IDLE)
                .build(),
            unknown: (0..UNKNOWN_BUCKETS).map(|_| Mutex::new(Bucket::full(CAPACITY, now))).collect(),
            hasher: RandomState::new(),
            known: KnownAddresses::new(),
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
        if address.is_some_and(|address| self.known.contains(account_id, address, now)) {
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

    /// Remembers that a client showed good credentials of an account from this address.
    pub(crate) fn remember(&self, account_id: &AccountId, address: Option<IpAddr>, now: Instant) {
        if let Some(address) = address {
            self.known.remember(account_id, address, now);
        }
    }
}

fn charge(bucket: &Mutex<Bucket>, now: Instant) -> Result<(), Barred> {
    if lock(bucket).take(1, CAPACITY, now) { Ok(()) } else { Err(Barred::TooManyGuesses) }
}

/// A panic cannot leave these values half changed, so a poisoned lock can be used.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "password_guesses_tests.rs"]
mod tests;
