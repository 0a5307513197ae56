//! A [`Layer`] wraps a store. It implements the calls it changes and forwards all others.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::change::{Change, ChangesQuery, Sign};
use crate::deadline::Deadline;
use crate::document::{Document, Draft};
use crate::epoch::Epoch;
use crate::error::Result;
use crate::local::{LocalCheck, LocalDocument};
use crate::name::{DbName, DocId};
use crate::rev::Rev;
use crate::store::{Attachments, Backend, Changes, Created, Databases, LocalDocuments, Store};
use crate::view::{RowStream, ViewQuery};

/// A store that wraps another one and changes some of its calls.
///
/// Only [`Layer::inner`] is required. Every other method forwards to the inner store unless the layer
/// implements it. A `Layer` is a [`Backend`](crate::Backend), so a layer can wrap a layer. Forwarding returns
/// the inner store's own future or stream, without another box.
///
/// `Layer` and the store traits have the same method names. A file that calls a layer by its own type
/// imports one of them only.
///
/// A layer that must see every write, such as a cache, implements `save`, `save_many`, `delete`,
/// `create_db` and `delete_db`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use datastore::{Backend, DbName, Deadline, DocId, Document, Layer, Result};
/// use futures::future::BoxFuture;
///
/// /// Counts the documents that are read one by one.
/// struct CountReads {
///     inner: Arc<dyn Backend>,
///     reads: AtomicU64,
/// }
///
/// impl Layer for CountReads {
///     fn inner(&self) -> &dyn Backend {
///         &*self.inner
///     }
///
///     fn fetch<'a>(
///         &'a self,
///         db: &'a DbName,
///         id: &'a DocId,
///         deadline: Deadline,
///     ) -> BoxFuture<'a, Result<Document>> {
///         self.reads.fetch_add(1, Ordering::Relaxed);
///         self.inner.fetch(db, id, deadline)
///     }
/// }
///
/// fn counted(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
///     Arc::new(CountReads { inner, reads: AtomicU64::new(0) })
/// }
/// ```
pub trait Layer: Send + Sync {
    /// The wrapped store.
    fn inner(&self) -> &dyn Backend;

    /// See [`Store::fetch`].
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        self.inner().fetch(db, id, deadline)
    }

    /// See [`Store::fetch_many`].
    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        self.inner().fetch_many(db, ids, deadline)
    }

    /// See [`Store::save`].
    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        self.inner().save(db, draft, deadline)
    }

    /// See [`Store::save_many`].
    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        self.inner().save_many(db, drafts, deadline)
    }

    /// See [`Store::delete`].
    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.inner().delete(db, id, base, deadline)
    }

    /// See [`Store::query`].
    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        self.inner().query(db, query, deadline)
    }

    /// See [`Store::epoch`].
    fn epoch(&self, db: &DbName) -> Option<Epoch> {
        self.inner().epoch(db)
    }

    /// See [`Store::epoch_of`].
    fn epoch_of(&self, db: &DbName, id: &DocId) -> Option<Epoch> {
        self.inner().epoch_of(db, id)
    }

    /// See [`Attachments::fetch_attachment`].
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.inner().fetch_attachment(db, id, name, deadline)
    }

    /// See [`Changes::changes`].
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        self.inner().changes(db, query)
    }

    /// See [`Changes::watch`].
    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        self.inner().watch(db, heartbeat)
    }

    /// See [`Changes::newest_seq`].
    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        self.inner().newest_seq(db, deadline)
    }

    /// See [`LocalDocuments::list_local`].
    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        self.inner().list_local(db, prefix, deadline)
    }

    /// See [`LocalDocuments::fetch_local`].
    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        self.inner().fetch_local(db, name, deadline)
    }

    /// See [`LocalDocuments::save_local`].
    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        self.inner().save_local(db, document, deadline)
    }

    /// See [`LocalDocuments::delete_local_if`].
    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        self.inner().delete_local_if(db, name, may, deadline)
    }

    /// See [`Databases::create_db`].
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        self.inner().create_db(db, deadline)
    }

    /// See [`Databases::db_exists`].
    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        self.inner().db_exists(db, deadline)
    }

    /// See [`Databases::delete_db`].
    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        self.inner().delete_db(db, deadline)
    }

    /// See [`Databases::list_dbs`].
    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        self.inner().list_dbs(deadline)
    }
}

impl<L: Layer> Store for L {
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Layer::fetch(self, db, id, deadline)
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        Layer::fetch_many(self, db, ids, deadline)
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Layer::save(self, db, draft, deadline)
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Layer::save_many(self, db, drafts, deadline)
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Layer::delete(self, db, id, base, deadline)
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Layer::query(self, db, query, deadline)
    }

    fn epoch(&self, db: &DbName) -> Option<Epoch> {
        Layer::epoch(self, db)
    }

    fn epoch_of(&self, db: &DbName, id: &DocId) -> Option<Epoch> {
        Layer::epoch_of(self, db, id)
    }
}

impl<L: Layer> Attachments for L {
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Layer::fetch_attachment(self, db, id, name, deadline)
    }
}

impl<L: Layer> Changes for L {
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        Layer::changes(self, db, query)
    }

    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        Layer::watch(self, db, heartbeat)
    }

    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        Layer::newest_seq(self, db, deadline)
    }
}

impl<L: Layer> LocalDocuments for L {
    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        Layer::list_local(self, db, prefix, deadline)
    }

    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        Layer::fetch_local(self, db, name, deadline)
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        Layer::save_local(self, db, document, deadline)
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        Layer::delete_local_if(self, db, name, may, deadline)
    }
}

impl<L: Layer> Databases for L {
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        Layer::create_db(self, db, deadline)
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        Layer::db_exists(self, db, deadline)
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        Layer::delete_db(self, db, deadline)
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        Layer::list_dbs(self, deadline)
    }
}
