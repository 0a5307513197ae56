//! The layer that makes every call of a store pass the gate.

use std::sync::Arc;

use bytes::Bytes;
use datastore::{
    Backend, Created, DbName, Deadline, DocId, Document, Draft, Layer, LocalCheck, LocalDocument, Result,
    Rev, RowStream, ViewQuery,
};
use futures::future::BoxFuture;

use crate::desk::Class;
use crate::gate::{Gate, Limits};
use crate::large::{Large, is_large};
use crate::rows::{RowsWithSlot, Weighing};
use crate::shares::Shares;

/// A store whose calls in flight are bounded. A call that finds no slot in time fails with
/// [`StoreError::Busy`](datastore::StoreError); nothing of it has reached the store then.
///
/// ```
/// # fn example(store: std::sync::Arc<dyn datastore::Backend>) -> impl datastore::Backend {
/// use std::time::Duration;
/// use admission::{Admission, Limits};
///
/// Admission::new(store, Limits { calls: 64, queue: 256, queue_wait: Duration::from_secs(1) })
/// # }
/// ```
pub struct Admission {
    inner: Arc<dyn Backend>,
    gate: Arc<Gate>,
    /// The turns of large calls, if they take turns.
    large: Option<Arc<Large>>,
    is_fetch_counted: bool,
}

impl Admission {
    /// Puts a gate before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, limits: Limits) -> Self {
        let gate = Gate::new(limits, Shares::of(limits.calls));
        Self { inner, gate, large: None, is_fetch_counted: true }
    }

    /// Lets reads of single documents pass without a slot. This suits a store that reads small ones on the
    /// caller's thread, because then there are never more of them than threads, and they never wait. The memory
    /// of its callers bounds how many large ones it reads.
    #[must_use]
    pub fn with_uncounted_fetch(self) -> Self {
        Self { is_fetch_counted: false, ..self }
    }

    /// Lets large calls take turns: reads of documents that were large, and queries whose rows were large or are
    /// not known yet. This suits a store that works long on a large answer and has no shares of its own.
    #[must_use]
    pub fn with_large_turns(self) -> Self {
        let large = Some(Arc::new(Large::new(self.gate.limits())));
        Self { large, ..self }
    }

    /// Makes a call that ends by itself. `db` is empty if the call is about no database.
    async fn short<'a, T>(
        &'a self,
        db: &'a str,
        deadline: Deadline,
        call: impl FnOnce() -> BoxFuture<'a, Result<T>>,
    ) -> Result<T> {
        let _slot = self.gate.enter(db, Class::Short, deadline).await?;
        call().await
    }
}

impl Layer for Admission {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        if !self.is_fetch_counted {
            return self.inner.fetch(db, id, deadline);
        }
        Box::pin(async move {
            let Some(large) = &self.large else {
                let call = move || self.inner.fetch(db, id, deadline);
                return self.short(db.as_str(), deadline, call).await;
            };
            let question = large.sizes.document(db, id);
            let gate = if large.sizes.is_large(question) { &large.gate } else { &self.gate };
            let _slot = gate.enter(db.as_str(), Class::Short, deadline).await?;
            let document = self.inner.fetch(db, id, deadline).await?;
            if is_large(document.text().len()) {
                large.sizes.note_large(question);
            }
            Ok(document)
        })
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        let call = move || self.inner.fetch_many(db, ids, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        let call = move || self.inner.save(db, draft, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        let call = move || self.inner.save_many(db, drafts, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        let call = move || self.inner.delete(db, id, base, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async move {
            let Some(large) = &self.large else {
                let slot = self.gate.enter(db.as_str(), Class::Stream, deadline).await?;
                let rows = self.inner.query(db, query, deadline).await?;
                return Ok(match rows.page() {
                    // The store has done its part.
                    Some(_) => rows,
                    None => RowStream::new(RowsWithSlot::new(rows, slot)),
                });
            };
            let question = large.sizes.query(db, &query);
            let is_light = large.sizes.is_light(question);
            let gate = if is_light { &self.gate } else { &large.gate };
            let slot = gate.enter(db.as_str(), Class::Stream, deadline).await?;
            let rows = self.inner.query(db, query, deadline).await?;
            let weighing = Weighing::new(Arc::clone(large), db.clone(), question, !is_light);
            Ok(RowStream::new(RowsWithSlot::new(rows, slot).with_weighing(weighing)))
        })
    }

    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        let call = move || self.inner.fetch_attachment(db, id, name, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        let call = move || self.inner.create_db(db, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        let call = move || self.inner.db_exists(db, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        let call = move || self.inner.delete_db(db, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        let call = move || self.inner.newest_seq(db, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        let call = move || self.inner.list_local(db, prefix, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        let call = move || self.inner.fetch_local(db, name, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        let call = move || self.inner.save_local(db, document, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        let call = move || self.inner.delete_local_if(db, name, may, deadline);
        Box::pin(self.short(db.as_str(), deadline, call))
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        let call = move || self.inner.list_dbs(deadline);
        Box::pin(self.short("", deadline, call))
    }
}
