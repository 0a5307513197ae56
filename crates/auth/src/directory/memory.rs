//! A cache of values and of absences. Where the store learns of changes, an entry counts until its database
//! changes. Elsewhere a value stays for a while. An absence stays only for a moment: a new key or account is
//! found soon, and many requests for a missing one still cost few reads.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datastore::{Cause, Epoch, Result, StoreError};
use futures::lock::Mutex;
use moka::Expiry;
use moka::sync::Cache;

/// How many keys can be loaded at the same time. Beyond that, tasks may load the same value twice.
const MAX_LOADING: u64 = 10_000;

/// How long values and absences stay cached if the store does not learn of changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) present: Duration,
    pub(crate) absent: Duration,
}

/// A value or an absence.
#[derive(Clone)]
struct Known<V> {
    value: Option<V>,
    /// The epoch in which it was read, if the store learns of changes.
    epoch: Option<Epoch>,
}

impl Lifetimes {
    fn of<V>(self, known: &Known<V>) -> Option<Duration> {
        match (&known.epoch, &known.value) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(self.present),
            (None, None) => Some(self.absent),
        }
    }
}

impl<K, V> Expiry<K, Known<V>> for Lifetimes {
    fn expire_after_create(&self, _: &K, known: &Known<V>, _: Instant) -> Option<Duration> {
        self.of(known)
    }

    fn expire_after_update(
        &self,
        _: &K,
        known: &Known<V>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.of(known)
    }
}

/// How many counters there are of what was forgotten. Keys share them, so a load may count as overtaken although
/// another key was forgotten. Then its value is not cached, once.
const STRIPES: usize = 256;

/// Counts what is forgotten, so that a load that was overtaken is not cached.
struct Forgotten {
    hasher: RandomState,
    all: AtomicU64,
    stripes: Box<[AtomicU64]>,
}

impl Forgotten {
    fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), all: AtomicU64::new(0), stripes }
    }

    fn stripe(&self, key: &impl Hash) -> &AtomicU64 {
        let number = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default() % STRIPES;
        self.stripes.get(number).unwrap_or(&self.all)
    }

    fn note(&self, key: &impl Hash) {
        self.all.fetch_add(1, Ordering::AcqRel);
        self.stripe(key).fetch_add(1, Ordering::AcqRel);
    }

    fn note_all(&self) {
        for counter in std::iter::once(&self.all).chain(&self.stripes) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The current epoch of the database that a key's value is read from.
pub(crate) type EpochOf<K> = Box<dyn Fn(&K) -> Option<Epoch> + Send + Sync>;

/// The cache. It knows for each key a value or that there is none.
pub(crate) struct Memory<K, V> {
    known: Cache<K, Known<V>>,
    epoch_of: EpochOf<K>,
    forgotten: Forgotten,
    /// A task holds the lock of a key while it loads the value. Other tasks that want the value wait.
    loading: Cache<K, Arc<Mutex<Option<Failure>>>>,
}

/// A load that failed. Tasks that waited for it fail too: their deadlines leave no time for another try.
struct Failure {
    at: Instant,
    why: String,
    was_busy: bool,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Makes a cache. Its entries together weigh at most `capacity`.
    pub(crate) fn new(
        lifetimes: Lifetimes,
        capacity: u64,
        weigh: impl Fn(&K, Option<&V>) -> u32 + Send + Sync + 'static,
        epoch_of: EpochOf<K>,
    ) -> Self {
        let weigh = move |key: &K, known: &Known<V>| weigh(key, known.value.as_ref());
        let known = Cache::builder().max_capacity(capacity).weigher(weigh).expire_after(lifetimes).build();
        let loading =
            Cache::builder().max_capacity(MAX_LOADING).time_to_idle(Duration::from_secs(60)).build();
        Self { known, epoch_of, forgotten: Forgotten::new(), loading }
    }

    /// The cached value. `Some(None)` if the absence is cached, `None` if nothing is.
    pub(crate) fn recall(&self, key: &K) -> Option<Option<V>> {
        let known = self.known.get(key)?;
        let counts = match &known.epoch {
            Some(epoch) => epoch.is_current(),
            // It was read before the store began to learn of changes.
            None => (self.epoch_of)(key).is_none(),
        };
        counts.then_some(known.value)
    }

    /// The cached value, else the loaded one. If the load fails, all tasks that wait for it get the failure.
    /// Failures are not cached.
    pub(crate) async fn recall_or(
        &self,
        key: K,
        load: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<V>> {
        if let Some(known) = self.recall(&key) {
            return Ok(known);
        }
        let turn = self.loading.get_with_by_ref(&key, Arc::default);
        let waiting_since = Instant::now();
        let mut last_failure = turn.lock().await;
        if let Some(known) = self.recall(&key) {
            return Ok(known);
        }
        if let Some(failure) = last_failure.as_ref().filter(|failure| failure.at >= waiting_since) {
            let failed = if failure.was_busy { StoreError::Busy } else { StoreError::Unavailable };
            return Err(failed(Cause::new(failure.why.clone())));
        }
        // Asked before the read, so that a change during it counts.
        let epoch = (self.epoch_of)(&key);
        let forgotten = || self.forgotten.stripe(&key).load(Ordering::Acquire);
        let before = forgotten();
        match load.await {
            Ok(value) => {
                self.known.insert(key.clone(), Known { value: value.clone(), epoch });
                // Looked at after the insertion, so that whoever forgets the key meanwhile finds the value.
                if forgotten() != before {
                    self.known.invalidate(&key);
                }
                Ok(value)
            }
            Err(error) => {
                let (why, was_busy) = (error.to_string(), error.is_busy());
                *last_failure = Some(Failure { at: Instant::now(), why, was_busy });
                Err(error)
            }
        }
    }

    /// The moment before a value is loaded in another way, for [`Memory::remember`].
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.forgotten.all.load(Ordering::Acquire))
    }

    /// Caches a value that was loaded in another way after `since`, unless something was forgotten meanwhile.
    /// If the store learns of changes, the value is not cached: it may have changed since it was loaded.
    pub(crate) fn remember(&self, key: K, value: V, since: Moment) {
        if (self.epoch_of)(&key).is_none() {
            self.known.insert(key.clone(), Known { value: Some(value), epoch: None });
            if self.moment() != since {
                self.known.invalidate(&key);
            }
        }
    }

    /// Drops a value from the cache. The next task that wants the value loads it. What is being loaded now is not
    /// cached.
    pub(crate) fn forget(&self, key: &K) {
        self.forgotten.note(key);
        self.known.invalidate(key);
    }

    /// Drops the values of many keys, as [`Memory::forget`] does.
    pub(crate) fn forget_where(&self, is_meant: impl Fn(&K) -> bool) {
        self.forgotten.note_all();
        for (key, _) in &self.known {
            if is_meant(&key) {
                self.known.invalidate(&*key);
            }
        }
    }
}

/// A moment in the life of a [`Memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[cfg(test)]
mod tests {
    use super::{Lifetimes, Memory};
    use datastore::{Cause, StoreError};
    use futures::executor::block_on;
    use futures::future::{join_all, poll_fn};
    use std::cell::Cell;
    use std::task::Poll;
    use std::time::Duration;

    /// A store that hangs fails all waiting tasks at once, not one after the other.
    #[test]
    fn tasks_that_wait_for_a_load_share_its_failure() {
        let lifetimes = Lifetimes { present: Duration::from_secs(60), absent: Duration::from_secs(60) };
        let memory = Memory::<u8, u8>::new(lifetimes, 10, |_, _| 1, Box::new(|_| None));
        let loads = Cell::new(0);
        let fails = || async {
            loads.set(loads.get() + 1);
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                if polls > 3 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            Err(StoreError::DeadlineExceeded(Cause::new("it hangs")))
        };
        let results = block_on(join_all((0..20).map(|_| memory.recall_or(1, fails()))));
        assert!(results.iter().all(|result| result.as_ref().is_err_and(StoreError::is_retryable)));
        assert_eq!(loads.get(), 1);
        // The next task tries again.
        assert_eq!(block_on(memory.recall_or(1, async { Ok(Some(7)) })).unwrap(), Some(7));
    }

    fn lasting() -> Memory<u8, u8> {
        let lifetimes = Lifetimes { present: Duration::from_secs(60), absent: Duration::from_secs(60) };
        Memory::new(lifetimes, 10, |_, _| 1, Box::new(|_| None))
    }

    /// The value may be older than the change that was told.
    fn check_overtaken(forget: impl Fn(&Memory<u8, u8>)) {
        let memory = lasting();
        let load = async {
            forget(&memory);
            Ok(Some(7))
        };
        assert_eq!(block_on(memory.recall_or(1, load)).unwrap(), Some(7));
        assert_eq!(memory.recall(&1), None);
        assert_eq!(block_on(memory.recall_or(1, async { Ok(Some(8)) })).unwrap(), Some(8));
        assert_eq!(memory.recall(&1), Some(Some(8)));
        forget(&memory);
        assert_eq!(memory.recall(&1), None);

        let since = memory.moment();
        forget(&memory);
        memory.remember(1, 9, since);
        assert_eq!(memory.recall(&1), None);
        memory.remember(1, 9, memory.moment());
        assert_eq!(memory.recall(&1), Some(Some(9)));
    }

    #[test]
    fn what_is_forgotten_while_it_is_loaded_is_not_cached() {
        check_overtaken(|memory| memory.forget(&1));
        check_overtaken(|memory| memory.forget_where(|key| *key == 1));
    }

    #[test]
    fn other_keys_stay_cached() {
        let memory = lasting();
        for key in [1, 2] {
            memory.remember(key, 7, memory.moment());
        }
        memory.forget_where(|key| *key == 1);
        assert_eq!((memory.recall(&1), memory.recall(&2)), (None, Some(Some(7))));
        memory.forget(&1);
        assert_eq!(memory.recall(&2), Some(Some(7)));
    }
}
