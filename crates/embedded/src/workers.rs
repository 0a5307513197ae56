//! A small thread pool. Each thread owns a value that must stay on its thread, such as a JavaScript runtime
//! or a database connection, and runs jobs with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use datastore::{Deadline, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{closed, deadline_exceeded, in_time};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// How many jobs may wait for each thread. Further callers wait until there is room.
const QUEUE_PER_THREAD: usize = 64;

/// A pool of threads that each own an `S`.
pub(crate) struct Workers<S> {
    jobs: mpsc::UnboundedSender<Job<S>>,
    permits: Semaphore,
    threads: Vec<JoinHandle<()>>,
}

impl<S: 'static> Workers<S> {
    /// Starts `count` threads. Each calls `state` to make its own value.
    pub(crate) fn start(
        name: &str,
        count: usize,
        state: impl Fn() -> S + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..count.max(1))
            .map(|n| {
                let (waiting, state) = (Arc::clone(&waiting), state.clone());
                thread::Builder::new().name(format!("{name}-{n}")).spawn(move || work(&waiting, state()))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { jobs, permits: Semaphore::new(count.max(1) * QUEUE_PER_THREAD), threads })
    }

    /// Runs `work` on one of the threads, and waits for it until the deadline.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        in_time(deadline)?;
        let answer = async {
            let _permit = self.permits.acquire().await.map_err(|_| closed())?;
            self.submit(deadline, work)?.await.map_err(|_| closed())?
        };
        tokio::time::timeout_at(deadline.instant().into(), answer).await.map_err(|_| deadline_exceeded())?
    }

    /// Runs `work` on one of the threads, and blocks the calling thread until it is done.
    pub(crate) fn run_blocking<R: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.submit(deadline, work)?.blocking_recv().map_err(|_| closed())?
    }

    fn submit<R: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // Drop a job whose caller has gone away.
            if !reply.is_closed() {
                let _ = reply.send(in_time(deadline).and_then(|()| work(state)));
            }
        });
        self.jobs.send(job).map_err(|_| closed())?;
        Ok(answer)
    }
}

impl<S> Drop for Workers<S> {
    fn drop(&mut self) {
        let (nowhere, _) = mpsc::unbounded_channel();
        self.jobs = nowhere;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work<S>(waiting: &Mutex<mpsc::UnboundedReceiver<Job<S>>>, mut state: S) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match job {
            Some(job) => job(&mut state),
            None => return,
        }
    }
}
