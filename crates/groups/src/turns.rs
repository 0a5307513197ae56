//! The queues of writers. In one process, the writers of a document take turns, so none of them loses a race
//! to another one. How many may wait is bounded, and nobody waits until there is no time left to write. Other
//! servers have queues of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datastore::{Cause, DbName, Deadline, StoreError};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout_at;

/// How many writers may wait.
const MAX_WAITING: usize = 512;

/// How many writers may wait for documents of the same database, so that one account leaves room to others.
const MAX_WAITING_IN_DB: usize = 256;

/// No write begins later than this before its deadline. If less than twice as much is left, none begins later
/// than halfway.
const TIME_TO_WRITE: Duration = Duration::from_secs(1);

/// The documents that are being written, and their queues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<Writers>>);

#[derive(Debug, Default)]
struct Writers {
    waiting: usize,
    dbs: HashMap<DbName, DbWriters>,
}

#[derive(Debug, Default)]
struct DbWriters {
    waiting: usize,
    /// By the ids of the documents.
    docs: HashMap<String, DocWriters>,
}

/// The writer whose turn it is, and those that wait for theirs.
#[derive(Debug)]
struct DocWriters {
    count: usize,
    queue: Queue,
}

/// A fair lock. It holds how long the last turn took.
type Queue = Arc<tokio::sync::Mutex<Duration>>;

/// The time in which one writer alone may change a document. Dropping it begins the next writer's turn.
#[derive(Debug)]
pub struct Turn {
    began: Instant,
    // The fields are dropped in this order: the next turn begins before the writer leaves.
    took: OwnedMutexGuard<Duration>,
    _writer: Writer,
}

/// The last moment at which a write with this deadline should begin.
pub(crate) fn last_start(deadline: Deadline) -> Instant {
    let remaining = deadline.remaining();
    let latest = Instant::now() + remaining;
    latest.checked_sub(TIME_TO_WRITE.min(remaining / 2)).unwrap_or(latest)
}

impl Turns {
    /// Waits until no other writer changes the document.
    ///
    /// # Errors
    /// `Busy` if too many writers wait already, or if the turn comes too late. A turn is too late if the last one
    /// took longer than there is time left.
    pub(crate) async fn take(&self, db: &DbName, id: &str, deadline: Deadline) -> Result<Turn, StoreError> {
        let refused = |reason: &str| {
            log::info!(id, db = db.as_str(), reason; "a writer of a group is refused");
            StoreError::Busy(Cause::new(format!("{reason} to change the document {id} of {db}")))
        };
        let latest = last_start(deadline);
        let (writer, queue) = self.enter(db, id).ok_or_else(|| refused("too many requests wait"))?;
        let Ok(took) = timeout_at(latest.into(), queue.lock_owned()).await else {
            return Err(refused("other requests took all the time"));
        };
        if *took > deadline.remaining() {
            return Err(refused("there is too little time left"));
        }
        Ok(Turn { began: Instant::now(), took, _writer: writer })
    }

    /// Counts a writer in. `None` if it would have to wait and too many wait already.
    fn enter(&self, db: &DbName, id: &str) -> Option<(Writer, Queue)> {
        let mut writers = self.lock();
        let Writers { waiting, dbs } = &mut *writers;
        let of_db = dbs.entry(db.clone()).or_default();
        let queue = if let Some(of_doc) = of_db.docs.get_mut(id) {
            if *waiting >= MAX_WAITING || of_db.waiting >= MAX_WAITING_IN_DB {
                return None;
            }
            *waiting += 1;
            of_db.waiting += 1;
            of_doc.count += 1;
            Arc::clone(&of_doc.queue)
        } else {
            let queue = Queue::default();
            of_db.docs.insert(id.to_owned(), DocWriters { count: 1, queue: Arc::clone(&queue) });
            queue
        };
        Some((Writer { turns: self.clone(), db: db.clone(), id: id.to_owned() }, queue))
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Writers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.took = self.began.elapsed();
    }
}

/// A writer that is counted. Dropping it counts it out.
#[derive(Debug)]
struct Writer {
    turns: Turns,
    db: DbName,
    id: String,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut writers = self.turns.lock();
        let Writers { waiting, dbs } = &mut *writers;
        let Some(of_db) = dbs.get_mut(&self.db) else { return };
        let Some(of_doc) = of_db.docs.get_mut(&self.id) else { return };
        of_doc.count -= 1;
        if of_doc.count > 0 {
            // Writers remain, and one of them has its turn now, so one fewer waits.
            *waiting -= 1;
            of_db.waiting -= 1;
            return;
        }
        of_db.docs.remove(&self.id);
        if of_db.docs.is_empty() {
            dbs.remove(&self.db);
        }
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
