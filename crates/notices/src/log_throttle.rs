//! Keeps a message from flooding the log: it may be logged once in a while, however often its reason occurs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Says when a message may be logged again.
pub(crate) struct LogThrottle {
    pause: Duration,
    last: Mutex<Option<Instant>>,
}

impl LogThrottle {
    /// One message, and then no other one for this time.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, last: Mutex::new(None) }
    }

    /// Whether the message may be logged now. If so, the pause begins again.
    pub(crate) fn is_time(&self) -> bool {
        let (now, mut last) = (Instant::now(), self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let is_time = last.is_none_or(|last| now.duration_since(last) >= self.pause);
        if is_time {
            *last = Some(now);
        }
        is_time
    }
}
