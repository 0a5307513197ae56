//! Background tasks: started in one place, started again after a failure or a panic, told to stop at
//! shutdown and waited for. It knows nothing of what a task does.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::Backoff;
use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// The pause after a failure: about a second at first, five minutes at most.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(300) };

/// A task that ran for this long before it failed begins again with the shortest pause.
const RECOVERED_AFTER: Duration = Duration::from_secs(600);

/// Starts, restarts and stops background tasks.
pub(crate) struct Supervisor {
    runtime: Handle,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<Task>>,
}

/// A task that was started.
struct Task {
    health: Arc<Mutex<Health>>,
    /// Absent once somebody waits for the end of the task.
    handle: Option<JoinHandle<()>>,
}

/// How a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// The task's name.
    pub(crate) name: &'static str,
    /// What it does now.
    pub(crate) state: State,
    /// Why it failed the last time.
    pub(crate) last_error: Option<String>,
    /// How many times it was started again.
    pub(crate) restarts: u64,
}

/// What a task does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It works.
    Running,
    /// It failed and waits until it is started again.
    BackingOff {
        /// The first of the failures that followed each other.
        since: Instant,
    },
    /// It has ended.
    Stopped,
}

/// One line, as the admin listener shows it. The error stays in the log.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.state {
            State::Running => f.write_str("running")?,
            State::BackingOff { since } => {
                write!(f, "failing for {} seconds", since.elapsed().as_secs())?;
            }
            State::Stopped => f.write_str("stopped")?,
        }
        write!(f, ", {} restarts", self.restarts)
    }
}

/// Tells a task when it must stop.
#[derive(Clone)]
pub(crate) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Waits for `pause`. Answers false if the task must stop instead of going on.
    pub(crate) async fn pause(&mut self, pause: Duration) -> bool {
        // Without its supervisor a task must stop too.
        tokio::time::timeout(pause, self.0.wait_for(|is_stopping| *is_stopping)).await.is_err()
    }

    /// Waits until the task must stop.
    pub(crate) async fn stopped(&mut self) {
        // Without its supervisor a task must stop too.
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await;
    }

    fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }
}

impl Supervisor {
    /// A supervisor whose tasks run on `runtime`.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, stop: watch::Sender::new(false), tasks: Mutex::new(Vec::new()) }
    }

    /// Starts a task. `work` is called again after each failure. It must look at the signal between its
    /// steps, and return `Ok` when it must stop or has nothing left to do.
    pub(crate) fn start<W, F>(&self, name: &'static str, mut work: W)
    where
        W: FnMut(StopSignal) -> F + Send + 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let health =
            Arc::new(Mutex::new(Health { name, state: State::Running, last_error: None, restarts: 0 }));
        let shared = Arc::clone(&health);
        let mut signal = StopSignal(self.stop.subscribe());
        let handle = self.runtime.spawn(async move {
            let mut failures = 0;
            let mut failing_since = Instant::now();
            loop {
                let started = Instant::now();
                let outcome = run(&mut work, signal.clone()).await;
                let Err(error) = outcome else { break };
                failures = if started.elapsed() >= RECOVERED_AFTER { 1 } else { failures + 1 };
                if failures == 1 {
                    failing_since = Instant::now();
                }
                let pause = BACKOFF.delay(failures);
                {
                    let mut health = lock(&shared);
                    health.state = State::BackingOff { since: failing_since };
                    health.last_error = Some(error.clone());
                }
                if signal.is_stopping() {
                    log::warn!(task = name; "a background task failed while it stopped: {error}");
                    break;
                }
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                log::warn!(task = name, pause_ms; "a background task failed and is started again: {error}");
                if !signal.pause(pause).await {
                    break;
                }
                let mut health = lock(&shared);
                health.state = State::Running;
                health.restarts = health.restarts.saturating_add(1);
            }
            lock(&shared).state = State::Stopped;
        });
        lock(&self.tasks).push(Task { health, handle: Some(handle) });
    }

    /// How each task is doing, in the order in which they were started.
    pub(crate) fn health(&self) -> Vec<Health> {
        lock(&self.tasks).iter().map(|task| lock(&task.health).clone()).collect()
    }

    /// Tells every task to stop and waits until all have ended, for `patience` at most. A task that still
    /// runs then is dropped.
    pub(crate) async fn stop(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.stop.send_replace(true);
        let handles: Vec<_> = lock(&self.tasks).iter_mut().filter_map(|task| task.handle.take()).collect();
        for mut handle in handles {
            if timeout_at(deadline, &mut handle).await.is_err() {
                handle.abort();
            }
        }
        for Health { name, state, last_error, restarts } in self.health() {
            if state != State::Stopped {
                let last_error = last_error.as_deref().unwrap_or("none");
                log::warn!(
                    task = name, restarts, last_error;
                    "a background task did not stop in time and was dropped"
                );
            }
        }
    }
}

/// Runs a task until it ends, fails or panics.
async fn run<W, F>(work: &mut W, signal: StopSignal) -> Result<(), String>
where
    W: FnMut(StopSignal) -> F,
    F: Future<Output = Result<(), String>>,
{
    // A run that panicked is dropped, and `work` makes a new one.
    match AssertUnwindSafe(async { work(signal).await }).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(format!("it panicked: {}", panic_message(&*panic))),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Nothing panics while it holds one of these locks, so a poisoned one is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
