//! Counts the notices that were given up, and logs them now and then.

use std::time::Duration;

use crate::log_throttle::LogThrottle;

/// How often the log says that notices were dropped.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// How many notices were dropped, and how many of them the log does not show yet.
pub(crate) struct Drops {
    total: u64,
    unlogged: u64,
    log: LogThrottle,
}

impl Drops {
    pub(crate) fn new() -> Self {
        Self { total: 0, unlogged: 0, log: LogThrottle::new(LOG_PAUSE) }
    }

    /// How many there were since the start.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn add(&mut self) {
        self.total = self.total.saturating_add(1);
        self.unlogged = self.unlogged.saturating_add(1);
        self.tell();
    }

    /// Logs how many were dropped, now and then.
    pub(crate) fn tell(&mut self) {
        if self.unlogged > 0 && self.log.is_time() {
            log::warn!(
                dropped = self.unlogged, dropped_since_start = self.total;
                "change notices were dropped: nobody takes them, or too many wait for the broker. Kazoo may show \
                 the older revisions of these documents for 15 minutes"
            );
            self.unlogged = 0;
        }
    }
}
