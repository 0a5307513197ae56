//! How many copies of a document there are, and whether one hangs. A cluster answers a write when most copies are
//! written, and asks any one copy for the rows of a view. A listing could then miss a write that was acknowledged. So
//! a write waits for every copy. A copy that hangs must not hold up writes for long: then, for a short time, they
//! wait for most copies only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::DbName;
use serde::Deserialize;
use tokio::time::Instant;

/// How long a write waits for every copy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long writes wait for most copies only, after one has waited for every copy in vain.
const RESPITE: Duration = Duration::from_secs(30);

/// How long the number of a database's copies is remembered.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// How many databases are remembered. When there are more, all are asked again.
const MAX_KNOWN: usize = 10_000;

/// How many copies databases have, and until when writes wait for most of them only.
#[derive(Debug, Default)]
pub(crate) struct KnownCopies {
    known: Mutex<HashMap<DbName, Known>>,
    respite_until: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    copies: u32,
    until: Instant,
}

/// The part of CouchDB's answer about a database that tells the number of copies.
#[derive(Deserialize)]
pub(crate) struct About {
    #[serde(default)]
    cluster: Cluster,
}

impl About {
    pub(crate) fn copies(&self) -> u32 {
        self.cluster.n
    }
}

#[derive(Deserialize)]
struct Cluster {
    n: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { n: 1 }
    }
}

impl KnownCopies {
    /// How many copies a database has, if that is known.
    pub(crate) fn known(&self, db: &DbName) -> Option<u32> {
        let now = Instant::now();
        lock(&self.known).get(db).filter(|known| now < known.until).map(|known| known.copies)
    }

    /// Remembers how many copies a database has.
    pub(crate) fn learn(&self, db: &DbName, copies: u32) {
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(db.clone(), Known { copies, until: Instant::now() + KNOWN_FOR });
    }

    /// Whether a copy has hung a short time ago.
    pub(crate) fn has_respite(&self) -> bool {
        lock(&self.respite_until).is_some_and(|until| Instant::now() < until)
    }

    /// Notes that a write timed out that had waited for every copy since `start`. Short waits are ignored.
    pub(crate) fn note_hanging(&self, start: Instant) {
        if start.elapsed() < PATIENCE / 2 {
            return;
        }
        *lock(&self.respite_until) = Some(Instant::now() + RESPITE);
        log::warn!(
            "a write waited {PATIENCE:?} for every copy of its document in vain: for {RESPITE:?} writes wait for \
             most copies only, and a listing may miss a new write for a moment; look after the nodes of CouchDB"
        );
    }
}

/// Nothing panics while it holds such a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
