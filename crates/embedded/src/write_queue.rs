//! The jobs that wait for the writer. Databases take turns, and a transaction is bounded in bytes, so one database's
//! large writes do not hold up the others.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use datastore::StoreError;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::closed;
use crate::transaction::Transaction;
use fair::FairQueue;

/// Answers the caller of a job, once it is known whether the commit succeeded.
pub(crate) type Answer = Box<dyn FnOnce(&Result<(), String>) + Send>;

/// Does a job. `None` means that there is no transaction for it.
pub(crate) type Run = Box<dyn FnOnce(Option<&mut Transaction<'_>>) -> Answer + Send>;

/// Whether a job may share its transaction with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batching {
    /// The job may share a transaction.
    Shared,
    /// The job needs its own transaction, because it changes the catalogue. The catalogue must not change
    /// under the other jobs of a transaction.
    Alone,
}

/// A transaction takes no further job once its jobs write this many bytes.
const COMMIT_BYTES: usize = 512 << 10;

/// A job's place in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    db: i64,
    batching: Batching,
    bytes: usize,
}

impl Turn {
    /// A job for one database, which may share a transaction.
    pub(crate) fn of(db: i64) -> Self {
        Self { db, batching: Batching::Shared, bytes: 0 }
    }

    /// A job that writes about this many bytes.
    pub(crate) fn writing(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// A job that needs its own transaction.
    pub(crate) fn alone(self) -> Self {
        Self { batching: Batching::Alone, ..self }
    }

    /// A job that belongs to no database.
    pub(crate) fn of_the_store() -> Self {
        Self::of(0)
    }
}

/// A job that waits.
pub(crate) struct Job {
    pub(crate) turn: Turn,
    pub(crate) run: Run,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

struct Queue {
    jobs: FairQueue<i64, Job>,
    is_stopped: bool,
}

/// The queue, which callers fill and the writer thread empties.
pub(crate) struct WriteQueue {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl WriteQueue {
    pub(crate) fn new() -> Self {
        let queue = Mutex::new(Queue { jobs: FairQueue::new(), is_stopped: false });
        Self { queue, changed: Condvar::new() }
    }

    /// Takes no more jobs. Those that wait are still done.
    pub(crate) fn stop(&self) {
        self.queue().is_stopped = true;
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut queue = self.queue();
        if queue.is_stopped {
            return Err(closed());
        }
        queue.jobs.push(job.turn.db, job);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// The jobs of the next transaction. `None` when the writer is stopped and no job is left.
    pub(crate) fn next_batch(&self, max_jobs: usize) -> Option<Vec<Job>> {
        let mut queue = self.queue();
        while queue.jobs.is_empty() {
            if queue.is_stopped {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut batch, mut bytes): (Vec<Job>, usize) = (Vec::new(), 0);
        while batch.len() < max_jobs && bytes < COMMIT_BYTES {
            let is_first = batch.is_empty();
            let next = queue.jobs.pop_if(|_, job| is_first || job.turn.batching == Batching::Shared);
            let Some((_, job)) = next else { break };
            let is_alone = job.turn.batching == Batching::Alone;
            bytes = bytes.saturating_add(job.turn.bytes);
            batch.push(job);
            if is_alone {
                break;
            }
        }
        Some(batch)
    }
}
