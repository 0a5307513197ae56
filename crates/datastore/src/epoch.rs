//! Epochs: how a store tells that nothing in a database has changed, without reading it again.

use std::fmt;
use std::sync::Arc;

/// What a store knows of the changes in a database.
pub trait EpochClock: Send + Sync {
    /// The number of the current epoch. It changes with each change in the database. `None` while the store
    /// would not learn of a change.
    fn now(&self) -> Option<u64>;
}

/// A span of time in which nothing in a database has changed, as far as the store has been told.
///
/// Whoever keeps a value that was read from a database asks for the epoch *before* it reads. The value is as good
/// as a new one for as long as [`Epoch::is_current`] says so.
#[derive(Clone)]
pub struct Epoch {
    clock: Arc<dyn EpochClock>,
    number: u64,
}

impl Epoch {
    /// The current epoch. `None` while the store would not learn of a change.
    #[must_use]
    pub fn now(clock: Arc<dyn EpochClock>) -> Option<Self> {
        let number = clock.now()?;
        Some(Self { clock, number })
    }

    /// Whether the epoch lasts. False also while the store would not learn of a change.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.clock.now() == Some(self.number)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").field("number", &self.number).finish_non_exhaustive()
    }
}
