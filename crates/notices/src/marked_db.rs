//! A database that this server has written: whether it is marked, who needs the mark, and which documents have got a
//! notice during a recovery. It knows neither the store nor the broker.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datastore::{DbName, DocId, LocalDocument};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A database that this server has written.
pub(crate) struct MarkedDb {
    pub(crate) name: DbName,
    /// Held while the mark in the store changes.
    pub(crate) mark: tokio::sync::Mutex<Mark>,
    state: Mutex<DbState>,
}

/// The mark of a database in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// There is none.
    Unset,
    /// There may be one that nobody needs.
    Doubtful,
    /// There is one. The sequence of an old one is from an earlier run.
    Set { seq: String, at: Instant, is_old: bool },
}

/// What is going on in a database.
pub(crate) struct DbState {
    /// The writes and notices that need the mark.
    pub(crate) holds: usize,
    /// Whether the mark is set, so that a write need not look.
    pub(crate) is_marked: bool,
    pub(crate) idle_since: Instant,
    /// The notes of deletions that nobody needs any more.
    pub(crate) old_notes: Vec<LocalDocument>,
    /// The recoveries that read the database now.
    recoveries: usize,
    /// The documents that this server has written during these recoveries. Their notices are in the queue.
    told: HashSet<DocId>,
}

impl DbState {
    /// Whether nothing needs the database in memory.
    pub(crate) fn is_free(&self) -> bool {
        self.holds == 0 && self.old_notes.is_empty()
    }

    /// Notes that the queue has a notice of a write, so that a recovery adds none of an older revision after it.
    pub(crate) fn note_told(&mut self, id: &DocId) {
        if self.recoveries > 0 {
            self.told.insert(id.clone());
        }
    }

    pub(crate) fn has_told(&self, id: &DocId) -> bool {
        self.told.contains(id)
    }
}

/// Keeps something in the store until a notice is confirmed.
pub(crate) enum Hold {
    /// A mark of this server.
    Own(#[expect(dead_code, reason = "it is there to be dropped")] OwnHold),
    /// A mark of another server, whose work this one finishes. The receiver waits until all are gone.
    Other(#[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>),
}

/// Keeps a mark of this server.
pub(crate) struct OwnHold {
    pub(crate) db: Arc<MarkedDb>,
    /// The note of a deletion, which goes with this hold.
    pub(crate) note: Option<LocalDocument>,
}

impl OwnHold {
    pub(crate) fn new(db: Arc<MarkedDb>) -> Self {
        let mut state = db.lock();
        state.holds = state.holds.saturating_add(1);
        drop(state);
        Self { db, note: None }
    }
}

impl Drop for OwnHold {
    fn drop(&mut self) {
        let note = self.note.take();
        let mut state = self.db.lock();
        state.holds = state.holds.saturating_sub(1);
        state.idle_since = Instant::now();
        state.old_notes.extend(note);
    }
}

/// A recovery that reads a database. While it lives, the database notes which documents get notices of writes.
pub(crate) struct Recovering(Arc<MarkedDb>);

impl Drop for Recovering {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.recoveries = state.recoveries.saturating_sub(1);
        if state.recoveries == 0 {
            state.told = HashSet::new();
        }
    }
}

impl MarkedDb {
    /// A database without a mark.
    pub(crate) fn new(name: DbName) -> Self {
        let state = DbState {
            holds: 0,
            is_marked: false,
            idle_since: Instant::now(),
            old_notes: Vec::new(),
            recoveries: 0,
            told: HashSet::new(),
        };
        Self { name, mark: tokio::sync::Mutex::new(Mark::Unset), state: Mutex::new(state) }
    }

    /// Nothing panics while it holds this lock, so a poisoned one is still whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, DbState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to note which documents get notices of writes.
    pub(crate) fn recovering(self: &Arc<Self>) -> Recovering {
        let mut state = self.lock();
        state.recoveries = state.recoveries.saturating_add(1);
        Recovering(Arc::clone(self))
    }

    /// Stops writes from relying on the mark, if none does now.
    pub(crate) fn unmark_if(&self, may: impl FnOnce(&DbState) -> bool) -> bool {
        let mut state = self.lock();
        let may = state.is_free() && may(&state);
        if may {
            state.is_marked = false;
        }
        may
    }
}
