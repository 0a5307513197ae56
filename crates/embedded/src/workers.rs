//! A small thread pool. Each thread owns a value that must stay on its thread, such as a JavaScript runtime
//! or a database connection, and runs jobs with it. Databases take turns. Large jobs, however many there are, never
//! occupy all threads, nor do those of one database more than half.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use datastore::{Cause, Deadline, StoreError};
use fair::FairQueue;
use tokio::sync::oneshot;

use crate::error::{closed, deadline_exceeded, in_time};

/// How many small jobs may wait, or a sixteenth of that many large ones. One database may fill half.
const QUEUE: usize = 1_024;

/// How much of a job is expected to keep a thread busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Milliseconds at most.
    Small,
    /// Possibly seconds. One thread stays free of large jobs, if there is more than one thread.
    Large,
}

impl Size {
    /// How much of the queue a waiting job takes.
    fn room(self) -> usize {
        match self {
            Self::Small => 1,
            Self::Large => 16,
        }
    }
}

/// The database that a job works for, and the job's size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) db: i64,
    pub(crate) size: Size,
}

struct Job<S> {
    size: Size,
    run: Box<dyn FnOnce(&mut S) + Send>,
}

/// A pool of threads that each own an `S`.
pub(crate) struct Workers<S> {
    shared: Arc<Shared<S>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<S> {
    name: &'static str,
    state: Mutex<State<S>>,
    changed: Condvar,
    /// A large job begins only if fewer threads than this work for its database.
    most_for_a_db: usize,
    /// The most threads that run large jobs.
    most_large: usize,
}

struct State<S> {
    queue: FairQueue<i64, Job<S>>,
    /// How much of the queue is taken.
    room_taken: usize,
    dbs: HashMap<i64, DbLoad>,
    running_large: usize,
    is_stopped: bool,
}

#[derive(Clone, Copy, Default)]
struct DbLoad {
    running: usize,
    room_taken: usize,
}

impl<S: 'static> Workers<S> {
    /// Starts `count` threads. Each calls `state` to make its own value.
    pub(crate) fn start(
        name: &'static str,
        count: usize,
        state: impl Fn() -> S + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let count = count.max(1);
        let shared = Arc::new(Shared {
            name,
            state: Mutex::new(State {
                queue: FairQueue::new(),
                room_taken: 0,
                dbs: HashMap::new(),
                running_large: 0,
                is_stopped: false,
            }),
            changed: Condvar::new(),
            most_for_a_db: (count / 2).max(1),
            most_large: (count - 1).max(1),
        });
        let threads = (0..count)
            .map(|n| {
                let (shared, state) = (Arc::clone(&shared), state.clone());
                thread::Builder::new().name(format!("{name}-{n}")).spawn(move || shared.work(state()))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Runs `work` on one of the threads, and waits for it until the deadline.
    ///
    /// # Errors
    /// `Busy` if the queue is full.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        claim: Claim,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        in_time(deadline)?;
        let answer = self.submit(claim, deadline, work)?;
        let answer = tokio::time::timeout_at(deadline.instant().into(), answer).await;
        answer.map_err(|_| deadline_exceeded())?.map_err(|_| closed())?
    }

    /// Runs `work` on one of the threads, and blocks the calling thread until it is done.
    ///
    /// # Errors
    /// `Busy` if the queue is full.
    pub(crate) fn run_blocking<R: Send + 'static>(
        &self,
        claim: Claim,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.submit(claim, deadline, work)?.blocking_recv().map_err(|_| closed())?
    }

    fn submit<R: Send + 'static>(
        &self,
        claim: Claim,
        deadline: Deadline,
        work: impl FnOnce(&mut S) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(claim, move |state| {
            // Drop a job whose caller has gone away.
            if !reply.is_closed() {
                let _ = reply.send(in_time(deadline).and_then(|()| work(state)));
            }
        })?;
        Ok(answer)
    }

    /// Runs `work` on one of the threads, and does not wait for it. The work answers its caller itself.
    ///
    /// # Errors
    /// `Busy` if the queue is full.
    pub(crate) fn hand_over(
        &self,
        claim: Claim,
        work: impl FnOnce(&mut S) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.shared.push(claim, Job { size: claim.size, run: Box::new(work) })
    }
}

impl<S> Shared<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, claim: Claim, job: Job<S>) -> Result<(), StoreError> {
        let room = job.size.room();
        let mut state = self.state();
        if state.is_stopped {
            return Err(closed());
        }
        let of_db = state.dbs.get(&claim.db).map_or(0, |load| load.room_taken);
        if state.room_taken + room > QUEUE || of_db + room > QUEUE / 2 {
            let reason = format!("too many jobs wait for the {} threads; try again later", self.name);
            return Err(StoreError::Busy(Cause::new(reason)));
        }
        state.room_taken += room;
        state.dbs.entry(claim.db).or_default().room_taken += room;
        state.queue.push(claim.db, job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Runs jobs until the pool is dropped and every job that was queued before is done.
    fn work(&self, mut owned: S) {
        let mut state = self.state();
        loop {
            let next = {
                let State { queue, dbs, running_large, .. } = &mut *state;
                queue.pop_if(|db, job| {
                    // Small jobs take turns quickly enough, so one busy database may use all threads.
                    job.size == Size::Small
                        || (*running_large < self.most_large
                            && dbs.get(db).is_none_or(|load| load.running < self.most_for_a_db))
                })
            };
            let Some((db, job)) = next else {
                if state.is_stopped && state.queue.is_empty() {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (size, large) = (job.size, usize::from(job.size == Size::Large));
            state.room_taken -= size.room();
            let load = state.dbs.entry(db).or_default();
            load.room_taken -= size.room();
            load.running += 1;
            state.running_large += large;
            drop(state);
            (job.run)(&mut owned);
            state = self.state();
            state.running_large -= large;
            if let Some(load) = state.dbs.get_mut(&db) {
                load.running -= 1;
                if load.running == 0 && load.room_taken == 0 {
                    state.dbs.remove(&db);
                }
            }
            // This job's end can let several others begin.
            if !state.queue.is_empty() || state.is_stopped {
                self.changed.notify_all();
            }
        }
    }
}

impl<S> Drop for Workers<S> {
    fn drop(&mut self) {
        self.shared.state().is_stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "workers_tests.rs"]
mod tests;
