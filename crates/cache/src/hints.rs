//! Changes that somebody else tells, such as a message broker. They make the cache forget before the feed tells
//! the same. A hint that comes late, twice or not at all does no harm.

use std::sync::Arc;

use datastore::{DbName, DocId, Rev};

use crate::shared::Shared;

/// Takes hints for a [`Cache`](crate::Cache). A [`Watcher`](crate::Watcher) gives it away.
#[derive(Clone)]
pub struct Hints {
    shared: Arc<Shared>,
}

impl Hints {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A document has changed. `rev` is its new revision, if that is known.
    pub fn document(&self, db: &DbName, id: &DocId, rev: Option<&Rev>) {
        // Nothing is remembered of a database that is not watched.
        if let Some(hot) = self.shared.hot.load().get(db) {
            hot.note_change(id.clone(), rev);
        }
    }

    /// A database was created, deleted, or changed as a whole.
    pub fn database(&self, db: &DbName) {
        if let Some(hot) = self.shared.hot.load().get(db) {
            hot.end();
        }
    }
}
