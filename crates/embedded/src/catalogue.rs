//! The databases of a file and their views, as committed: what every call looks at first, without
//! asking SQLite. Only the writer changes it, after its commit.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use datastore::{Cause, DbName, StoreError};
use tokio::sync::watch;

/// A map function's source. Equal sources share one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MapSource {
    pub(crate) hash: [u8; 16],
    pub(crate) text: String,
}

/// How far a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Documents written before it are still being indexed.
    Building,
    /// It answers.
    Ready,
    /// Its design document says something else by now.
    Gone,
}

/// One view of a design document, in one version.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: i64,
    pub(crate) design: String,
    pub(crate) name: String,
    pub(crate) map: Arc<MapSource>,
    pub(crate) phase: watch::Sender<Phase>,
}

/// How far a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The sequence of its newest change.
    pub(crate) seq: i64,
    /// Whether it has been deleted.
    pub(crate) gone: bool,
}

/// A database with its views. A change of the views makes another one of it; `progress` stays.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) id: i64,
    pub(crate) name: DbName,
    pub(crate) views: Vec<Arc<View>>,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
}

impl Db {
    pub(crate) fn new(id: i64, name: DbName, seq: i64, views: Vec<Arc<View>>) -> Self {
        Self { id, name, views, progress: Arc::new(watch::Sender::new(Progress { seq, gone: false })) }
    }

    pub(crate) fn with_views(&self, views: Vec<Arc<View>>) -> Self {
        Self { id: self.id, name: self.name.clone(), views, progress: Arc::clone(&self.progress) }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.progress.borrow().gone
    }
}

/// All databases.
#[derive(Debug, Default)]
pub(crate) struct Catalogue(RwLock<HashMap<DbName, Arc<Db>>>);

impl Catalogue {
    /// The database of that name.
    pub(crate) fn find(&self, name: &DbName) -> Option<Arc<Db>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The database of that name, or that it is missing.
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
