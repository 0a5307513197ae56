//! The only thread that writes to the file. It runs all waiting jobs in one transaction, so that many
//! callers share one sync. It answers them after the commit has returned.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use datastore::{Cause, Deadline, StoreError};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::catalogue::{Catalogue, Db};
use crate::error::{SqliteResult, closed, deadline_exceeded, in_time};

/// A function to call after the commit has returned.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// Whether a job may share its transaction with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    /// The job may share a transaction.
    Shared,
    /// The job needs its own transaction, because it changes the catalogue. The catalogue must not change
    /// under the other jobs of a transaction.
    Alone,
}

struct Job {
    batching: Batching,
    run: Box<dyn FnOnce(&mut Transaction<'_>) -> AfterCommit + Send>,
    permit: Option<OwnedSemaphorePermit>,
}

enum Message {
    Do(Job),
    Stop,
}

/// Counts of commits and written documents.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// A handle to the writer thread.
pub(crate) struct Writer {
    jobs: mpsc::UnboundedSender<Message>,
    permits: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The transaction that a job runs in.
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) catalogue: &'a Arc<Catalogue>,
    seqs: HashMap<i64, (Arc<Db>, i64)>,
    writes: u64,
    publish: Vec<AfterCommit>,
}

impl Transaction<'_> {
    /// Counts a write to the database, and returns the sequence of that write.
    pub(crate) fn next_seq(&mut self, db: &Arc<Db>) -> i64 {
        let entry = self.seqs.entry(db.id).or_insert_with(|| (Arc::clone(db), db.progress.borrow().seq));
        entry.1 = entry.1.saturating_add(1);
        self.writes = self.writes.saturating_add(1);
        entry.1
    }

    /// Calls `publish` after the commit, before any caller is answered.
    pub(crate) fn after_commit(&mut self, publish: impl FnOnce() + Send + 'static) {
        self.publish.push(Box::new(publish));
    }

    /// Runs `work` inside a savepoint. If it fails, its changes are undone, but the other jobs of the
    /// transaction keep theirs.
    pub(crate) fn whole<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let step = |connection: &Connection, sql: &str| -> Result<(), StoreError> {
            connection.prepare_cached(sql).and_then(|mut s| s.execute([])).during("a savepoint").map(|_| ())
        };
        step(self.connection, "SAVEPOINT write")?;
        let outcome = work(self);
        if outcome.is_err() {
            step(self.connection, "ROLLBACK TO write")?;
        }
        step(self.connection, "RELEASE write")?;
        outcome
    }
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        catalogue: Arc<Catalogue>,
        counters: Arc<Counters>,
        queue: usize,
        max_commit_writes: usize,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let mut thread =
            WriterThread { connection, catalogue, counters, waiting, max_jobs: max_commit_writes.max(1) };
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || thread.run())?;
        Ok(Self { jobs, permits: Arc::new(Semaphore::new(queue.max(1))), thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` on the writer thread, and returns after the commit. If the deadline passes while the job
    /// waits in the queue, nothing is written. If it passes during the commit, the caller cannot know
    /// whether the write happened.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        deadline: Deadline,
        batching: Batching,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        in_time(deadline)?;
        let answer = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
            self.submit(Some(permit), batching, move |transaction| {
                in_time(deadline).and_then(|()| work(transaction))
            })?
            .await
            .map_err(|_| closed())?
        };
        tokio::time::timeout_at(deadline.instant().into(), answer).await.map_err(|_| deadline_exceeded())?
    }

    /// Like [`Writer::run`], but blocks the calling thread and has no deadline.
    pub(crate) fn run_blocking<R: Send + 'static>(
        &self,
        batching: Batching,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.submit(None, batching, work)?.blocking_recv().map_err(|_| closed())?
    }

    fn submit<R: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        batching: Batching,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |transaction: &mut Transaction<'_>| -> AfterCommit {
            // Drop a job whose caller has gone away. Nobody would learn that it was written.
            if reply.is_closed() {
                return Box::new(|| {});
            }
            let outcome = work(transaction);
            Box::new(move || {
                let _ = reply.send(outcome);
            })
        });
        self.jobs.send(Message::Do(Job { batching, run, permit })).map_err(|_| closed())?;
        Ok(answer)
    }

    /// Ends the thread after it has done all jobs that were queued before.
    pub(crate) fn stop(&self) {
        let _ = self.jobs.send(Message::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    connection: Connection,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    waiting: mpsc::UnboundedReceiver<Message>,
    max_jobs: usize,
}

impl WriterThread {
    fn run(&mut self) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| self.waiting.blocking_recv()) {
            let Message::Do(first) = first else { break };
            let mut batch = Vec::new();
            let alone = first.batching == Batching::Alone;
            batch.push(first);
            while !alone && batch.len() < self.max_jobs {
                match self.waiting.try_recv() {
                    Ok(Message::Do(job)) if job.batching == Batching::Shared => batch.push(job),
                    Ok(other) => {
                        held = Some(other);
                        break;
                    }
                    Err(_) => break,
                }
            }
            let jobs = batch.len();
            if let Err(error) = self.commit(batch) {
                log::error!("a commit of {jobs} jobs failed: {error:?}");
            }
        }
        self.waiting.close();
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            log::warn!("the last checkpoint failed and will be done at the next start: {error}");
        }
    }

    /// Runs the jobs in one transaction. If the commit fails, the jobs are dropped without an answer, and
    /// their callers get `Unavailable`.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).during("a begin")?;
        let mut transaction = Transaction {
            connection,
            catalogue: &self.catalogue,
            seqs: HashMap::new(),
            writes: 0,
            publish: Vec::new(),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        let mut permits = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push((job.run)(&mut transaction));
            permits.push(job.permit);
            if connection.is_autocommit() {
                return Err(StoreError::Unavailable(Cause::new("SQLite has rolled the transaction back")));
            }
        }
        let Transaction { seqs, writes, publish, .. } = transaction;
        let committed =
            connection.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).during("a commit");
        if let Err(error) = committed {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK").during("a rollback")?;
            }
            return Err(error);
        }
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.writes.fetch_add(writes, Ordering::Relaxed);
        for (db, seq) in seqs.into_values() {
            db.progress.send_modify(|progress| progress.seq = seq);
        }
        for publish in publish {
            publish();
        }
        for answer in answers {
            answer();
        }
        Ok(())
    }
}
