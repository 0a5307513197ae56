//! The deadline of a store call: how long the caller will wait.

use std::time::{Duration, Instant};

/// A point in time after which the caller no longer needs the answer.
///
/// At the deadline a backend stops its work and answers
/// [`StoreError::DeadlineExceeded`](crate::StoreError). A timeout around the call would leave SQLite or a
/// map function running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `duration` from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The deadline as an instant, for timers.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time that is left; zero once the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }
}
