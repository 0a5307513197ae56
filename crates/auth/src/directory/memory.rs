//! A memory with bounded lifetimes. A value that was loaded counts for a while. Its absence counts only for
//! a moment, so that a new key or account is found soon, yet asking for one that does not exist costs little.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datastore::{Cause, Result, StoreError};
use futures::lock::Mutex;
use moka::Expiry;
use moka::sync::Cache;

/// How many loads of different keys can be told apart at the same time.
const MAX_LOADING: u64 = 10_000;

/// How long values and absences count.
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

/// Values by key, each present or known to be absent.
pub(crate) struct Memory<K, V> {
    known: Cache<K, Option<V>>,
    /// A task that loads a value holds the lock of its key. Others that want the same value wait for it.
    loading: Cache<K, Arc<Mutex<Option<Failure>>>>,
}

/// A load that failed. Tasks that waited for it share the failure: another try would take longer than their
/// deadlines allow.
struct Failure {
    at: Instant,
    why: String,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A memory that holds at most `capacity`, in the units of `weigh`.
    pub(crate) fn new(
        lifetimes: Lifetimes,
        capacity: u64,
        weigh: impl Fn(&K, &Option<V>) -> u32 + Send + Sync + 'static,
    ) -> Self {
        let known = Cache::builder().max_capacity(capacity).weigher(weigh).expire_after(lifetimes).build();
        let idle = Duration::from_secs(60);
        Self { known, loading: Cache::builder().max_capacity(MAX_LOADING).time_to_idle(idle).build() }
    }

    /// The value, or that it is absent, if that is remembered now.
    pub(crate) fn recall(&self, key: &K) -> Option<Option<V>> {
        self.known.get(key)
    }

    /// The value. It is loaded unless it is remembered. A failure is shared by all who wait for the same
    /// load, and is not remembered after that.
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
            return Err(StoreError::Unavailable(Cause::new(failure.why.clone())));
        }
        match load.await {
            Ok(found) => {
                self.known.insert(key, found.clone());
                Ok(found)
            }
            Err(error) => {
                *last_failure = Some(Failure { at: Instant::now(), why: error.to_string() });
                Err(error)
            }
        }
    }

    /// Remembers a value that was loaded in another way.
    pub(crate) fn remember(&self, key: K, value: V) {
        self.known.insert(key, Some(value));
    }

    /// Forgets a value, so that the next task that wants it loads it.
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
