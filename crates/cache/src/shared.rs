//! The state that the cache and its watcher share, and their figures.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            memory: Arc::new(Memory::new(settings.bytes)),
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
        }
    }
}
