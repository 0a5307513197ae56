//! A short memory of what was loaded. What is there counts for a while; what is absent only for a
//! moment, so that a new key or account is soon found and asking for nothing still costs little.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datastore::Result;
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
    loading: Cache<K, Arc<Mutex<()>>>,
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

    /// The thing, loaded unless it is remembered. A failure is not remembered.
    pub(crate) async fn recall_or(
        &self,
        key: K,
        load: impl Future<Output = Result<Option<V>>>,
    ) -> Result<Option<V>> {
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let turn = self.loading.get_with_by_ref(&key, Arc::default);
        let _turn = turn.lock().await;
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let found = load.await?;
        self.known.insert(key, found.clone());
        Ok(found)
    }

    /// Remembers a thing that was loaded together with another.
    pub(crate) fn remember(&self, key: K, value: V) {
        self.known.insert(key, Some(value));
    }
}
