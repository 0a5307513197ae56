//! The only thread that writes to the file. It runs waiting jobs in one transaction, so that many callers
//! share one sync. It answers them after the commit has returned.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use datastore::{Cause, Deadline, StoreError};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::catalogue::Catalogue;
use crate::checkpoint::Checkpoints;
use crate::error::{SqliteResult, closed, deadline_exceeded, in_time};
use crate::file::StoreFile;
use crate::in_use::InUse;
use crate::settings::Settings;
use crate::transaction::{Changed, Counters, Transaction};
use crate::write_queue::{Answer, Job, Run, Turn, WriteQueue};

/// A handle to the writer thread.
pub(crate) struct Writer {
    waiting: Arc<WriteQueue>,
    permits: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(
        mut connection: Connection,
        catalogue: Arc<Catalogue>,
        counters: Arc<Counters>,
        in_use: Arc<InUse>,
        file: Arc<StoreFile>,
        settings: &Settings,
    ) -> std::io::Result<Self> {
        let waiting = Arc::new(WriteQueue::new());
        let checkpoints = Checkpoints::start(&file, &mut connection)?;
        let thread = WriterThread {
            checkpoints,
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
        self.push(permit, turn, reply, work)?;
        Ok(answer)
    }

    /// A place in the queue, if one is free now.
    pub(crate) fn free_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Queues a job that answers `reply` after the commit.
    pub(crate) fn push<R: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        turn: Turn,
        reply: oneshot::Sender<Result<R, StoreError>>,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
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
        self.waiting.push(Job { turn, run, permit })
    }

    /// Ends the thread after it has done all jobs that were queued before.
    pub(crate) fn stop(&self) {
        self.waiting.stop();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    checkpoints: Checkpoints,
    connection: Connection,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    in_use: Arc<InUse>,
    file: Arc<StoreFile>,
    waiting: Arc<WriteQueue>,
    max_jobs: usize,
}

impl WriterThread {
    fn run(mut self) {
        while let Some(batch) = self.waiting.next_batch(self.max_jobs) {
            self.commit(batch);
            self.checkpoints.tend(&self.connection);
        }
        drop(self.checkpoints);
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
            count,
            &mut jobs.by_ref().map(|job| {
                permits.push(job.permit);
                job.run
            }),
            &mut answers,
        );
        // Jobs that the transaction has not reached.
        answers.extend(jobs.map(|job| (job.run)(None)));
        let (told, changed) = match committed {
            Ok(changed) => (Ok(()), Some(changed)),
            Err(error) => {
                let reason = reason(&error);
                log::error!("the store cannot write: {reason} ({count} jobs)");
                (Err(reason), None)
            }
        };
        for answer in answers {
            answer(&told);
        }
        if let Some(changed) = changed {
            changed.wake_feeds();
        }
    }

    /// Runs jobs in one transaction, and adds an answer for each job that has run.
    fn transact(
        &self,
        count: usize,
        jobs: &mut dyn Iterator<Item = Run>,
        answers: &mut Vec<Answer>,
    ) -> Result<Changed, StoreError> {
        // SQLite would write to the file that was moved away or deleted, and the next start would not find it.
        self.file.check_place()?;
        let connection = &self.connection;
        let mut transaction = Transaction::begin(connection, &self.catalogue, count)?;
        for run in jobs {
            answers.push(run(Some(&mut transaction)));
            if connection.is_autocommit() {
                return Err(StoreError::Unavailable(Cause::new("SQLite has rolled the transaction back")));
            }
        }
        if transaction.must_be_rolled_back() {
            connection.execute_batch("ROLLBACK").during("a rollback")?;
            return Ok(Changed::default());
        }
        let committed =
            connection.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).during("a commit");
        if let Err(error) = committed {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK").during("a rollback")?;
            }
            return Err(error);
        }
        Ok(transaction.publish(&self.counters, &self.in_use))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use datastore::{Deadline, StoreError};

    use super::Writer;
    use crate::catalogue::Catalogue;
    use crate::error::{SqliteResult as _, invalid};
    use crate::file::StoreFile;
    use crate::in_use::InUse;
    use crate::settings::Settings;
    use crate::transaction::{Counters, Transaction};
    use crate::write_queue::Turn;

    fn insert(transaction: &Transaction<'_>, name: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO local (db, name, text) VALUES (1, ?1, '')";
        transaction.connection.execute(sql, [name]).map(drop).during("a test")
    }

    /// Alone in a transaction or beside others, a write that fails leaves nothing behind, and says why it failed.
    #[tokio::test]
    async fn a_write_that_fails_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let (file, connection) = StoreFile::open(&folder.path().join("store.db"), &settings).unwrap();
        let (file, in_use) = (Arc::new(file), InUse::new(|| {}));
        let reader = file.reader().unwrap();
        let (catalogue, counters) = (Arc::new(Catalogue::default()), Arc::new(Counters::default()));
        let writer = Writer::start(connection, catalogue, counters, in_use, file, &settings).unwrap();
        let deadline = Deadline::after(Duration::from_secs(60));
        let write = |name: String, fails: bool| {
            writer.run(Turn::of(1), deadline, move |transaction: &mut Transaction<'_>| {
                transaction.writes_once();
                transaction.whole(|transaction| {
                    insert(transaction, &name)?;
                    if fails { Err(invalid("for a test")) } else { Ok(()) }
                })
            })
        };
        let refused = write("alone".to_owned(), true).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid(_)), "{refused:?}");
        write("good".to_owned(), false).await.unwrap();
        let many = (0..64).map(|n| write(format!("many {n}"), n % 2 == 0));
        for (n, outcome) in futures::future::join_all(many).await.into_iter().enumerate() {
            assert_eq!(outcome.is_err(), n % 2 == 0, "{outcome:?}");
        }
        let stored: i64 = reader.query_row("SELECT count(*) FROM local", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 33);
    }
}
