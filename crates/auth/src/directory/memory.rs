//! A cache of values and of absences. A value stays for a while. An absence stays only for a moment: a new
//! key or account is found soon, and many requests for a missing one still cost few reads.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datastore::{Cause, Result, StoreError};
use futures::lock::Mutex;
use moka::Expiry;
use moka::sync::Cache;

/// How many keys can be loaded at the same time. Beyond that, tasks may load the same value twice.
const MAX_LOADING: u64 = 10_000;

/// How long values and absences stay cached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) present: Duration,
    pub(crate) absent: Duration,
}

impl Lifetimes {
    fn of<V>(self, value: Option<&V>) -> Duration {
        if value.is_some() { self.present } else { self.absent }
    }
}

impl<K, V> Expiry<K, Option<V>> for Lifetimes {
    fn expire_after_create(&self, _: &K, value: &Option<V>, _: Instant) -> Option<Duration> {
        Some(self.of(value.as_ref()))
    }

    fn expire_after_update(
        &self,
        _: &K,
        value: &Option<V>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.of(value.as_ref()))
    }
}

/// The cache. It knows for each key a value or that there is none.
pub(crate) struct Memory<K, V> {
    known: Cache<K, Option<V>>,
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
        weigh: impl Fn(&K, &Option<V>) -> u32 + Send + Sync + 'static,
    ) -> Self {
        let known = Cache::builder().max_capacity(capacity).weigher(weigh).expire_after(lifetimes).build();
        let idle = Duration::from_secs(60);
        Self { known, loading: Cache::builder().max_capacity(MAX_LOADING).time_to_idle(idle).build() }
    }

    /// The cached value. `Some(None)` if the absence is cached, `None` if nothing is.
    pub(crate) fn recall(&self, key: &K) -> Option<Option<V>> {
        self.known.get(key)
    }

    /// The cached value, else the loaded one. If the load fails, all tasks that wait for it get the failure.
    /// Failures are not cached.
    pub(crate) async fn recall_or(
        &self,
        key: K,
        load: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<V>> {
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let turn = self.loading.get_with_by_ref(&key, Arc::default);
        let waiting_since = Instant::now();
        let mut last_failure = turn.lock().await;
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        if let Some(failure) = last_failure.as_ref().filter(|failure| failure.at >= waiting_since) {
            let failed = if failure.was_busy { StoreError::Busy } else { StoreError::Unavailable };
            return Err(failed(Cause::new(failure.why.clone())));
        }
        match load.await {
            Ok(found) => {
                self.known.insert(key, found.clone());
                Ok(found)
            }
            Err(error) => {
                let (why, was_busy) = (error.to_string(), error.is_busy());
                *last_failure = Some(Failure { at: Instant::now(), why, was_busy });
                Err(error)
            }
        }
    }

    /// Caches a value that was loaded in another way.
    pub(crate) fn remember(&self, key: K, value: V) {
        self.known.insert(key, Some(value));
    }

    /// Drops a value from the cache. The next task that wants the value loads it.
    pub(crate) fn forget(&self, key: &K) {
        self.known.invalidate(key);
    }
}

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
        let memory = Memory::<u8, u8>::new(lifetimes, 10, |_, _| 1);
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
}
