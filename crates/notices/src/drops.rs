//! Counts the notices that were given up, and logs them now and then.

use std::time::Duration;

use crate::seldom::Seldom;

/// How often the log tells of dropped notices.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Dropped notices, and how many of them the log has not told.
pub(crate) struct Drops {
    total: u64,
    untold: u64,
    log: Seldom,
}

impl Drops {
    pub(crate) fn new() -> Self {
        Self { total: 0, untold: 0, log: Seldom::new(LOG_PAUSE) }
    }

    /// How many there were since the start.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn add(&mut self) {
        self.total = self.total.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        self.tell();
    }

    /// Logs how many were dropped, now and then.
    pub(crate) fn tell(&mut self) {
        if self.untold > 0 && self.log.is_time() {
            log::warn!(
                dropped = self.untold, dropped_since_start = self.total;
                "change notices were dropped: nobody takes them, or too many wait for the broker. Kazoo may show \
                 the older revisions of these documents for 15 minutes"
            );
            self.untold = 0;
        }
    }
}
