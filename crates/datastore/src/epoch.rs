//! Epochs: how a store tells that nothing in a database, or about a document, has changed, without reading it again.

use std::fmt;
use std::sync::Arc;

use crate::name::DocId;

/// What a store knows of the changes in a database.
///
/// The documents of a database are divided into parts. A change of a document ends the epoch of the database and
/// the epoch of the document's part. The epochs of the other parts go on.
pub trait EpochClock: Send + Sync {
    /// The number of the current epoch. It changes with each change in the database. `None` while the store
    /// would not learn of a change.
    fn now(&self) -> Option<u64>;

    /// The part of the database that a document belongs to.
    fn part_of(&self, id: &DocId) -> usize;

    /// The number of the current epoch of a part. It changes with each change of a document of this part. `None`
    /// while the store would not learn of a change.
    fn now_in(&self, part: usize) -> Option<u64>;
}

/// A span of time in which nothing in a database, or nothing about a document, has changed, as far as the store has
/// been told.
///
/// Whoever keeps a value that was read from a database asks for the epoch *before* it reads. The value is as good
/// as a new one for as long as [`Epoch::is_current`] says so.
#[derive(Clone)]
pub struct Epoch {
    clock: Arc<dyn EpochClock>,
    /// `None` stands for the whole database.
    part: Option<usize>,
    number: u64,
}

impl Epoch {
    /// The current epoch of a database. `None` while the store would not learn of a change.
    #[must_use]
    pub fn now(clock: Arc<dyn EpochClock>) -> Option<Self> {
        let number = clock.now()?;
        Some(Self { clock, part: None, number })
    }

    /// The current epoch of a document. It may also end when another document changes. `None` while the store would
    /// not learn of a change.
    #[must_use]
    pub fn of_document(clock: Arc<dyn EpochClock>, id: &DocId) -> Option<Self> {
        let part = clock.part_of(id);
        let number = clock.now_in(part)?;
        Some(Self { clock, part: Some(part), number })
    }

    /// Whether the epoch lasts. False also while the store would not learn of a change.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let now = match self.part {
            Some(part) => self.clock.now_in(part),
            None => self.clock.now(),
        };
        now == Some(self.number)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch")
            .field("part", &self.part)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
