//! Keeps the log from being flooded: a message that could come all the time comes once in a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Says when it is time for a message again.
pub(crate) struct Seldom {
    pause: Duration,
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    /// Once in each such time.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, last: Mutex::new(None) }
    }

    /// Whether it is time. Then the next time is a pause later.
    pub(crate) fn is_time(&self) -> bool {
        let (now, mut last) = (Instant::now(), self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let is_time = last.is_none_or(|last| now.duration_since(last) >= self.pause);
        if is_time {
            *last = Some(now);
        }
        is_time
    }
}
