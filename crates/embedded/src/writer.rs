//! The only thread that writes to the file. It runs waiting jobs in one transaction, so that many callers
//! share one sync. It answers them after the commit has returned. Databases take turns, and a transaction
//! is bounded in bytes, so one database's large writes do not hold up the others.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use datastore::{Cause, Deadline, StoreError};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::catalogue::{Catalogue, Db};
use crate::error::{SqliteResult, closed, deadline_exceeded, in_time};
use crate::fair::FairQueue;
use crate::file::StoreFile;
use crate::in_use::InUse;
use crate::put::Leftover;
use crate::recent::Committed;
use crate::settings::Settings;

/// A function to call after the commit has returned.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// Answers the caller of a job, once it is known whether the commit succeeded.
type Answer = Box<dyn FnOnce(&Result<(), String>) + Send>;

/// Does a job. `None` means that there is no transaction for it.
type Run = Box<dyn FnOnce(Option<&mut Transaction<'_>>) -> Answer + Send>;

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

struct Job {
    turn: Turn,
    run: Run,
    permit: Option<OwnedSemaphorePermit>,
}

struct Queue {
    jobs: FairQueue<Job>,
    is_stopped: bool,
}

/// The queue, which callers fill and the writer thread empties.
struct Waiting {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), StoreError> {
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
    fn next_batch(&self, max_jobs: usize) -> Option<Vec<Job>> {
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

/// Counts of commits and written documents.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// A handle to the writer thread.
pub(crate) struct Writer {
    waiting: Arc<Waiting>,
    permits: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The transaction that a job runs in.
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) catalogue: &'a Arc<Catalogue>,
    seqs: HashMap<i64, (Arc<Db>, i64)>,
    changes: Vec<(i64, Committed)>,
    writes: u64,
    leftover: Leftover,
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

    /// Notes a change of the database, for the feeds.
    pub(crate) fn note(&mut self, db: &Db, change: Committed) {
        self.changes.push((db.id, change));
    }

    /// Remembers what a write has left behind. After the commit, the housekeeper learns of garbage.
    pub(crate) fn leave(&mut self, leftover: Leftover) {
        if leftover == Leftover::Garbage {
            self.leftover = leftover;
        }
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
        let noted = self.changes.len();
        let outcome = work(self);
        if outcome.is_err() {
            self.changes.truncate(noted);
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
        in_use: Arc<InUse>,
        file: Arc<StoreFile>,
        settings: &Settings,
    ) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue { jobs: FairQueue::new(), is_stopped: false });
        let waiting = Arc::new(Waiting { queue, changed: Condvar::new() });
        let thread = WriterThread {
            connection,
            catalogue,
            counters,
            in_use,
            file,
            waiting: Arc::clone(&waiting),
            max_jobs: settings.max_commit_writes.max(1),
        };
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || thread.run())?;
        let permits = Arc::new(Semaphore::new(settings.write_queue.max(1)));
        Ok(Self { waiting, permits, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` on the writer thread, and returns after the commit. If the deadline passes while the job
    /// waits in the queue, nothing is written. If it passes during the commit, the caller cannot know
    /// whether the write happened.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        turn: Turn,
        deadline: Deadline,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        in_time(deadline)?;
        let answer = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
            self.submit(Some(permit), turn, move |transaction| {
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
        turn: Turn,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.submit(None, turn, work)?.blocking_recv().map_err(|_| closed())?
    }

    fn submit<R: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        turn: Turn,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |transaction: Option<&mut Transaction<'_>>| -> Answer {
            // Drop a job whose caller has gone away. Nobody would learn that it was written.
            if reply.is_closed() {
                return Box::new(|_| {});
            }
            let outcome = transaction.map(work);
            Box::new(move |committed| {
                let _ = reply.send(match (outcome, committed) {
                    (None | Some(Ok(_)), Err(reason)) => {
                        Err(StoreError::CannotWrite(Cause::new(reason.clone())))
                    }
                    (Some(outcome), _) => outcome,
                    (None, Ok(())) => Err(closed()),
                });
            })
        });
        self.waiting.push(Job { turn, run, permit })?;
        Ok(answer)
    }

    /// Ends the thread after it has done all jobs that were queued before.
    pub(crate) fn stop(&self) {
        self.waiting.queue().is_stopped = true;
        self.waiting.changed.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    connection: Connection,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    in_use: Arc<InUse>,
    file: Arc<StoreFile>,
    waiting: Arc<Waiting>,
    max_jobs: usize,
}

impl WriterThread {
    fn run(&self) {
        while let Some(batch) = self.waiting.next_batch(self.max_jobs) {
            self.commit(batch);
        }
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            log::warn!("the last checkpoint failed and will be done at the next start: {error}");
        }
    }

    /// Runs the jobs in one transaction, and answers their callers. If the transaction fails, each caller gets
    /// `CannotWrite`.
    fn commit(&self, jobs: Vec<Job>) {
        let count = jobs.len();
        let (mut jobs, mut answers) = (jobs.into_iter(), Vec::with_capacity(count));
        let mut permits = Vec::with_capacity(count);
        let committed = self.transact(
            &mut jobs.by_ref().map(|job| {
                permits.push(job.permit);
                job.run
            }),
            &mut answers,
        );
        // Jobs that the transaction has not reached.
        answers.extend(jobs.map(|job| (job.run)(None)));
        let told = committed.map_err(|error| {
            let reason = reason(&error);
            log::error!("the store cannot write: {reason} ({count} jobs)");
            reason
        });
        for answer in answers {
            answer(&told);
        }
    }

    /// Runs jobs in one transaction, and adds an answer for each job that has run.
    fn transact(
        &self,
        jobs: &mut dyn Iterator<Item = Run>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        // SQLite would write to the file that was moved away or deleted, and the next start would not find it.
        self.file.check_place()?;
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).during("a begin")?;
        let mut transaction = Transaction {
            connection,
            catalogue: &self.catalogue,
            seqs: HashMap::new(),
            changes: Vec::new(),
            writes: 0,
            leftover: Leftover::Nothing,
            publish: Vec::new(),
        };
        for run in jobs {
            answers.push(run(Some(&mut transaction)));
            if connection.is_autocommit() {
                return Err(StoreError::Unavailable(Cause::new("SQLite has rolled the transaction back")));
            }
        }
        let Transaction { seqs, changes, writes, leftover, publish, .. } = transaction;
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
        let mut changes_of: HashMap<i64, Vec<Committed>> = HashMap::new();
        for (db, change) in changes {
            changes_of.entry(db).or_default().push(change);
        }
        for (db, seq) in seqs.into_values() {
            let changes = changes_of.remove(&db.id).unwrap_or_default();
            db.recent.add(changes, seq, db.progress.receiver_count() > 0);
            db.progress.send_modify(|progress| progress.seq = seq);
        }
        for publish in publish {
            publish();
        }
        if leftover == Leftover::Garbage {
            self.in_use.collect_garbage();
        }
        Ok(())
    }
}

/// What failed, and SQLite's words for it.
fn reason(error: &StoreError) -> String {
    let cause = error.source();
    match (cause, cause.and_then(|cause| cause.source())) {
        (Some(cause), Some(sqlite)) => format!("{cause}: {sqlite}"),
        (Some(cause), None) => cause.to_string(),
        (None, _) => error.to_string(),
    }
}
