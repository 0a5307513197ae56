//! An in-memory list of the databases in the file and their views, as last committed. Every call looks a
//! database up here without asking SQLite. Only the writer changes it, after a commit.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use datastore::{Cause, DbName, StoreError};
use tokio::sync::watch;

use crate::recent::Recent;

/// The source of a map function. Views with the same source share one `MapSource`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MapSource {
    pub(crate) hash: [u8; 16],
    pub(crate) text: String,
}

/// The state of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Documents that are older than the view are still being indexed.
    Building,
    /// The view is complete and can be queried.
    Ready,
    /// The view was replaced or deleted.
    Gone,
}

/// One view of a design document. A changed map function makes a new `View`.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: i64,
    pub(crate) design: String,
    pub(crate) name: String,
    pub(crate) map: Arc<MapSource>,
    pub(crate) phase: watch::Sender<Phase>,
}

/// The newest sequence of a database, and whether the database still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The sequence of the newest change.
    pub(crate) seq: i64,
    /// Whether the database has been deleted.
    pub(crate) gone: bool,
}

/// A database with its views. When the views change, a new `Db` replaces this one and takes over its
/// `progress` and `recent`.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) id: i64,
    pub(crate) name: DbName,
    pub(crate) views: Vec<Arc<View>>,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
    pub(crate) recent: Arc<Recent>,
}

impl Db {
    pub(crate) fn new(id: i64, name: DbName, seq: i64, views: Vec<Arc<View>>) -> Self {
        let progress = Arc::new(watch::Sender::new(Progress { seq, gone: false }));
        Self { id, name, views, progress, recent: Arc::new(Recent::new(seq)) }
    }

    pub(crate) fn with_views(&self, views: Vec<Arc<View>>) -> Self {
        let (progress, recent) = (Arc::clone(&self.progress), Arc::clone(&self.recent));
        Self { id: self.id, name: self.name.clone(), views, progress, recent }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.progress.borrow().gone
    }
}

/// All databases.
#[derive(Debug, Default)]
pub(crate) struct Catalogue(RwLock<HashMap<DbName, Arc<Db>>>);

impl Catalogue {
    /// The database with this name, if it exists.
    pub(crate) fn find(&self, name: &DbName) -> Option<Arc<Db>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The database with this name.
    ///
    /// # Errors
    /// `DatabaseMissing` if there is none.
    pub(crate) fn load(&self, name: &DbName) -> Result<Arc<Db>, StoreError> {
        self.find(name).ok_or_else(|| database_missing(name))
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Vec<DbName> {
        let mut names: Vec<_> =
            self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        names.sort();
        names
    }

    pub(crate) fn publish(&self, db: Db) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(db.name.clone(), Arc::new(db));
    }

    pub(crate) fn remove(&self, name: &DbName) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

pub(crate) fn database_missing(name: &DbName) -> StoreError {
    StoreError::DatabaseMissing(Cause::new(format!("there is no database {name}")))
}
