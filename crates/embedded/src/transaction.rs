//! The transaction that jobs of the writer run in: what they change, and what is made known after the commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datastore::StoreError;
use rusqlite::Connection;

use crate::catalogue::{Catalogue, Db};
use crate::error::SqliteResult;
use crate::in_use::InUse;
use crate::put::Leftover;
use crate::recent::Committed;

/// A function to call after the commit has returned.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// Counts of commits and written documents.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// The databases that a commit has changed. Waking their feeds takes time, so the callers are answered first.
#[derive(Default)]
pub(crate) struct Changed(Vec<Arc<Db>>);

impl Changed {
    /// Wakes the feeds that wait for a change.
    pub(crate) fn wake_feeds(self) {
        for db in self.0 {
            db.progress.send_modify(|_| {});
        }
    }
}

/// The transaction that a job runs in.
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) catalogue: &'a Arc<Catalogue>,
    seqs: HashMap<i64, (Arc<Db>, i64)>,
    changes: Vec<(i64, Committed)>,
    writes: u64,
    leftover: Leftover,
    publish: Vec<AfterCommit>,
    has_one_job: bool,
    undo: Undo,
}

/// How the changes of a write that fails are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undo {
    /// With a savepoint. It costs a copy of each page that is changed.
    Savepoint,
    /// With the transaction, which does nothing else.
    Transaction,
    /// The write has failed, so the transaction has to be rolled back.
    Due,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction for so many jobs.
    pub(crate) fn begin(
        connection: &'a Connection,
        catalogue: &'a Arc<Catalogue>,
        jobs: usize,
    ) -> Result<Self, StoreError> {
        connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).during("a begin")?;
        Ok(Self {
            connection,
            catalogue,
            seqs: HashMap::new(),
            changes: Vec::new(),
            writes: 0,
            leftover: Leftover::Nothing,
            publish: Vec::new(),
            has_one_job: jobs == 1,
            undo: Undo::Savepoint,
        })
    }

    /// Counts a write to the database, and returns the sequence of that write.
    pub(crate) fn next_seq(&mut self, db: &Arc<Db>) -> i64 {
        let entry = self.seqs.entry(db.id).or_insert_with(|| (Arc::clone(db), db.progress.borrow().seq));
        entry.1 = entry.1.saturating_add(1);
        self.writes = self.writes.saturating_add(1);
        entry.1
    }

    /// Notes a change of the database, for the feeds.
    pub(crate) fn note(&mut self, db: &Db, change: Committed) {
        self.changes.push((db.id, change));
    }

    /// Remembers what a write has left behind. After the commit, the housekeeper learns of garbage.
    pub(crate) fn leave(&mut self, leftover: Leftover) {
        if leftover == Leftover::Garbage {
            self.leftover = leftover;
        }
    }

    /// Calls `publish` after the commit, before any caller is answered.
    pub(crate) fn after_commit(&mut self, publish: impl FnOnce() + Send + 'static) {
        self.publish.push(Box::new(publish));
    }

    /// A job says that it calls [`Transaction::whole`] only once and writes nothing else. If it is the only job, it
    /// needs no savepoint.
    pub(crate) fn writes_once(&mut self) {
        if self.has_one_job {
            self.undo = Undo::Transaction;
        }
    }

    /// Whether a write has failed that only a rollback undoes.
    pub(crate) fn must_be_rolled_back(&self) -> bool {
        self.undo == Undo::Due
    }

    /// Runs `work` inside a savepoint. If it fails, its changes are undone, but the other jobs of the
    /// transaction keep theirs.
    pub(crate) fn whole<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let step = |connection: &Connection, sql: &str| -> Result<(), StoreError> {
            connection.prepare_cached(sql).and_then(|mut s| s.execute([])).during("a savepoint").map(|_| ())
        };
        if self.undo == Undo::Transaction {
            let outcome = work(self);
            if outcome.is_err() {
                self.undo = Undo::Due;
            }
            return outcome;
        }
        step(self.connection, "SAVEPOINT write")?;
        let noted = self.changes.len();
        let outcome = work(self);
        if outcome.is_err() {
            self.changes.truncate(noted);
            step(self.connection, "ROLLBACK TO write")?;
        }
        step(self.connection, "RELEASE write")?;
        outcome
    }

    /// Makes the changes known once they are committed: to the counters, the readers and the housekeeper. Returns the
    /// databases whose feeds have yet to be woken.
    #[must_use]
    pub(crate) fn publish(self, counters: &Counters, in_use: &InUse) -> Changed {
        let Self { seqs, changes, writes, leftover, publish, .. } = self;
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.writes.fetch_add(writes, Ordering::Relaxed);
        let mut changes_of: HashMap<i64, Vec<Committed>> = HashMap::new();
        for (db, change) in changes {
            changes_of.entry(db).or_default().push(change);
        }
        let mut changed = Vec::with_capacity(seqs.len());
        for (db, seq) in seqs.into_values() {
            let changes = changes_of.remove(&db.id).unwrap_or_default();
            db.recent.add(changes, seq, db.progress.receiver_count() > 0);
            db.progress.send_if_modified(|progress| {
                progress.seq = seq;
                false
            });
            changed.push(db);
        }
        for publish in publish {
            publish();
        }
        if leftover == Leftover::Garbage {
            in_use.collect_garbage();
        }
        Changed(changed)
    }
}
