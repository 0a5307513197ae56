//! A short memory of what was loaded. What is there counts for a while; what is absent only for a
//! moment, so that a new key or account is soon found and asking for nothing still costs little.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datastore::{Cause, Result, StoreError};
use futures::lock::Mutex;
use moka::Expiry;
use moka::sync::Cache;

/// How many things of a kind are remembered.
const CAPACITY: u64 = 10_000;

/// How long what was loaded counts.
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

/// What is known about things of one kind.
pub(crate) struct Memory<K, V> {
    known: Cache<K, Option<V>>,
    /// Who loads a thing holds its lock, so that those who want the same meanwhile wait for one answer.
    loading: Cache<K, Arc<Mutex<Option<Failure>>>>,
}

/// A load that has failed. Who has waited for it shares its failure: to try once more would take longer
/// than its own deadline allows.
struct Failure {
    at: Instant,
    why: String,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        Self {
            known: Cache::builder().max_capacity(CAPACITY).expire_after(lifetimes).build(),
            loading: Cache::builder().max_capacity(CAPACITY).time_to_idle(Duration::from_secs(60)).build(),
        }
    }

    /// The thing, if it is remembered right now.
    pub(crate) fn recall(&self, key: &K) -> Option<V> {
        self.known.get(key).flatten()
    }

    /// The thing, loaded unless it is remembered. A failure is shared with those who wait for the same
    /// load, and not remembered beyond.
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

    /// Remembers a thing that was loaded together with another.
    pub(crate) fn remember(&self, key: K, value: V) {
        self.known.insert(key, Some(value));
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

    /// A store that hangs fails once for all who wait, not for one after the other.
    #[test]
    fn who_waits_for_a_load_shares_its_failure() {
        let lifetimes = Lifetimes { present: Duration::from_secs(60), absent: Duration::from_secs(60) };
        let memory = Memory::<u8, u8>::new(lifetimes);
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
        // The next one tries anew.
        assert_eq!(block_on(memory.recall_or(1, async { Ok(Some(7)) })).unwrap(), Some(7));
    }
}
