//! The moment until which a caller is willing to wait, handed to every call of a store.

use std::time::{Duration, Instant};

/// A point in time after which the answer is of no use any more.
///
/// A backend stops its own work at it and answers [`StoreError::DeadlineExceeded`](crate::StoreError):
/// a timeout around the call would leave SQLite or a map function running.
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

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }
}
