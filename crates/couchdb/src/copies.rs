//! How many copies of a document a write waits for. A cluster answers a write when most copies are written, and
//! asks any one copy for the rows of a view. A listing could then miss a write that was acknowledged. So a write
//! waits for every copy. A copy that hangs must not hold up writes for long: then, for a short time, they wait for
//! most copies only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{DbName, Deadline};
use reqwest::Method;
use serde::Deserialize;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};
use crate::settings::Copies;

/// How long a write waits for every copy.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long writes wait for most copies only, after one has waited for every copy in vain.
const RESPITE: Duration = Duration::from_secs(30);

/// How long the number of a database's copies is remembered.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// How many databases are remembered. When there are more, all are asked again.
const MAX_KNOWN: usize = 10_000;

/// What is known of the copies in a cluster.
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
struct About {
    #[serde(default)]
    cluster: Cluster,
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
    fn known(&self, db: &DbName) -> Option<u32> {
        let now = Instant::now();
        lock(&self.known).get(db).filter(|known| now < known.until).map(|known| known.copies)
    }

    fn learn(&self, db: &DbName, copies: u32) {
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(db.clone(), Known { copies, until: Instant::now() + KNOWN_FOR });
    }

    fn has_respite(&self) -> bool {
        lock(&self.respite_until).is_some_and(|until| Instant::now() < until)
    }
}

impl Client {
    /// The write with the wish to wait for every copy, and by when that must be done. `None` if the database has
    /// one copy, or if one of them hangs.
    pub(crate) async fn everywhere(
        &self,
        db: &DbName,
        request: &Request,
        deadline: Deadline,
    ) -> Option<(Request, Deadline)> {
        let copies = self.copies();
        if self.settings().copies == Copies::Most || copies.has_respite() {
            return None;
        }
        let number = match copies.known(db) {
            Some(number) => number,
            None => {
                // Without an answer the write itself goes on as usual, and shows what is wrong.
                let soon = deadline.min(Deadline::after(deadline.remaining() / 5));
                let number = self.count_copies(db, soon).await.ok()?;
                copies.learn(db, number);
                number
            }
        };
        let by = deadline.min(Deadline::after(PATIENCE));
        (number > 1).then(|| (request.clone().with_query("w", number), by))
    }

    /// A write has waited in vain for every copy since `start`. That tells of a copy only if it was long.
    pub(crate) fn note_hanging_copy(&self, start: Instant) {
        if start.elapsed() < PATIENCE / 2 {
            return;
        }
        *lock(&self.copies().respite_until) = Some(Instant::now() + RESPITE);
        log::warn!(
            "a write waited {PATIENCE:?} for every copy of its document in vain: for {RESPITE:?} writes wait for \
             most copies only, and a listing may miss a new write for a moment; look after the nodes of CouchDB"
        );
    }

    async fn count_copies(&self, db: &DbName, deadline: Deadline) -> Result<u32, Error> {
        let request = Request::read(Method::GET, Path::db(db), Target::Database);
        let about: About = self.send_whole(&request, deadline).await?.json()?;
        Ok(about.cluster.n)
    }
}

/// Nothing panics while it holds such a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
