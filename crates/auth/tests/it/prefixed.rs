//! A store that adds a prefix to every database name and passes the call on. This way, tests with their own
//! `system_config` can share one CouchDB.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datastore::{
    Backend, Change, ChangesQuery, Created, DbName, Deadline, DocId, Document, Draft, Layer, Result, Rev,
    RowStream, Sign, ViewQuery,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub(crate) struct Prefixed {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) prefix: DbName,
}

impl Prefixed {
    fn outside(&self, db: &DbName) -> DbName {
        DbName::parse(&format!("{}/{db}", self.prefix)).unwrap()
    }

    fn inside(&self, db: &DbName) -> Option<DbName> {
        let rest = db.as_str().strip_prefix(self.prefix.as_str())?.strip_prefix('/')?;
        Some(DbName::parse(rest).unwrap())
    }
}

impl Layer for Prefixed {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Box::pin(async move { self.inner.fetch(&self.outside(db), id, deadline).await })
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        Box::pin(async move { self.inner.fetch_many(&self.outside(db), ids, deadline).await })
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move { self.inner.save(&self.outside(db), draft, deadline).await })
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Box::pin(async move { self.inner.save_many(&self.outside(db), drafts, deadline).await })
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move { self.inner.delete(&self.outside(db), id, base, deadline).await })
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async move { self.inner.query(&self.outside(db), query, deadline).await })
    }

    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { self.inner.fetch_attachment(&self.outside(db), id, name, deadline).await })
    }

    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        self.inner.watch(&self.outside(db), heartbeat)
    }

    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        self.inner.changes(&self.outside(db), query)
    }

    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        Box::pin(async move { self.inner.create_db(&self.outside(db), deadline).await })
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.inner.db_exists(&self.outside(db), deadline).await })
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.inner.delete_db(&self.outside(db), deadline).await })
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        Box::pin(async move {
            let all = self.inner.list_dbs(deadline).await?;
            Ok(all.iter().filter_map(|db| self.inside(db)).collect())
        })
    }
}
