//! The state that the cache and its watcher share, and their figures.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use datastore::DbName;

use crate::hot::{Clock, Hot, Sentinels};
use crate::memory::Memory;
use crate::settings::Settings;

/// How a cache is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Reads that were answered from memory.
    pub hits: u64,
    /// Reads that went to the store.
    pub misses: u64,
    /// How many documents, absences and pages are remembered.
    pub entries: u64,
    /// How many bytes they take, estimated.
    pub bytes: u64,
    /// How many databases are watched.
    pub feeds: usize,
    /// How many of their feeds are known to be alive.
    pub alive_feeds: usize,
    /// For how long the feed that is most overdue has not been known to be alive. Zero while each is. A feed that
    /// cannot be opened counts too, if its database is always watched.
    pub lag: Duration,
}

/// The state that the cache and its watcher share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) memory: Arc<Memory>,
    /// The watched databases. Only the watcher changes them.
    pub(crate) hot: ArcSwap<HashMap<DbName, Arc<Hot>>>,
    /// The feeds of the databases that are always watched.
    pub(crate) sentinels: Arc<Sentinels>,
    /// Until when each database that is always watched is known to be heard. It outlives the sessions of the feeds.
    heard_until: HashMap<DbName, AtomicU64>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            memory: Arc::new(Memory::new(settings.bytes)),
            heard_until: settings.always.iter().map(|db| (db.clone(), AtomicU64::new(0))).collect(),
            settings,
            clock: Clock::start(),
            hot: ArcSwap::default(),
            sentinels: Arc::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A database is known to be heard until this time. Nothing is kept of one that is not always watched.
    pub(crate) fn note_heard_until(&self, db: &DbName, time: u64) {
        if let Some(heard_until) = self.heard_until.get(db) {
            heard_until.store(time, Ordering::Relaxed);
        }
    }

    /// The feed of a database has ended. Until now its changes were heard, at most.
    pub(crate) fn note_unheard(&self, db: &DbName) {
        if let Some(heard_until) = self.heard_until.get(db) {
            heard_until.fetch_min(self.clock.now(), Ordering::Relaxed);
        }
    }

    fn lag(&self, hot: &HashMap<DbName, Arc<Hot>>) -> Duration {
        let now = self.clock.now();
        let always = self.heard_until.values().map(|until| until.load(Ordering::Relaxed));
        let open = hot.values().filter(|hot| hot.has_begun()).map(|hot| hot.alive_until());
        let heard_until = always.chain(open).min().unwrap_or(now);
        Duration::from_millis(now.saturating_sub(heard_until))
    }

    pub(crate) fn figures(&self) -> Figures {
        let hot = self.hot.load();
        let (entries, bytes) = self.memory.size();
        Figures {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries,
            bytes,
            feeds: hot.len(),
            alive_feeds: hot.values().filter(|hot| hot.is_alive()).count(),
            lag: self.lag(&hot),
        }
    }
}
