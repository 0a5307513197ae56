//! Keeps the housekeeper from removing what a running write still needs, and calls it when there is
//! something to remove.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The emissions that running writes still need. The housekeeper leaves them alone.
pub(crate) struct InUse {
    emissions: Mutex<HashSet<i64>>,
    collect_garbage: Box<dyn Fn() + Send + Sync>,
}

impl InUse {
    /// `collect_garbage` asks the housekeeper to look for rows that nobody needs.
    pub(crate) fn new(collect_garbage: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { emissions: Mutex::default(), collect_garbage: Box::new(collect_garbage) })
    }

    pub(crate) fn add(&self, emission: i64) {
        self.emissions().insert(emission);
    }

    pub(crate) fn remove(&self, emissions: &[i64]) {
        let mut in_use = self.emissions();
        for emission in emissions {
            in_use.remove(emission);
        }
    }

    pub(crate) fn contains(&self, emission: i64) -> bool {
        self.emissions().contains(&emission)
    }

    fn emissions(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.emissions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn collect_garbage(&self) {
        (self.collect_garbage)();
    }
}
