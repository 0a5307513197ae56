//! A thread that does a chore every few milliseconds while it is needed, and sleeps otherwise.

use std::thread::{self, Thread};
use std::time::Duration;

/// How long the thread waits between two times.
const PAUSE: Duration = Duration::from_millis(5);

/// The thread. It ends once nobody can need it any more.
#[derive(Debug)]
pub(super) struct Sweeper(Thread);

impl Sweeper {
    /// Starts the thread. `is_needed` answers whether there is something to do, and `None` at the end. The thread looks
    /// only after it was woken, and does the chore a last time when it is not needed any more.
    pub(super) fn start(
        is_needed: impl Fn() -> Option<bool> + Send + 'static,
        sweep: fn(),
    ) -> std::io::Result<Self> {
        let work = move || {
            loop {
                while is_needed() == Some(true) {
                    sweep();
                    thread::sleep(PAUSE);
                }
                sweep();
                if is_needed().is_none() {
                    return;
                }
                thread::park();
            }
        };
        let started = thread::Builder::new().name("memory".to_owned()).spawn(work)?;
        Ok(Self(started.thread().clone()))
    }

    /// There may be something to do.
    pub(super) fn wake(&self) {
        self.0.unpark();
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.wake();
    }
}
