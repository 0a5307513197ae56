//! Where the notices of one document stand: their order, and when the next one may be sent.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// The pause before a notice is sent again that came back or that the broker refused. It doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The notices of one document.
#[derive(Default)]
pub(crate) struct Doc {
    /// The writes whose outcome is not known yet.
    pub(crate) open: BTreeSet<u64>,
    /// The numbers of its notices, in the order of their revisions.
    pub(crate) items: VecDeque<u64>,
    pub(crate) is_in_flight: bool,
    pub(crate) ready: Option<u64>,
    pub(crate) delayed: Option<(Instant, u64)>,
    /// Whether one of its notices has come back, and none was taken since.
    pub(crate) comes_back: bool,
    pub(crate) tries: u32,
}

impl Doc {
    /// The pause before the next try. It doubles with each one.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(8)).min(LONGEST_PAUSE);
        self.tries = self.tries.saturating_add(1);
        pause
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.items.is_empty() && !self.is_in_flight
    }
}
