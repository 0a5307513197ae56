//! Implements the store traits for [`Embedded`]. Each call looks up its database and view in the catalogue,
//! and hands the work to the readers, the map threads or the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datastore::{
    Attachments, Change, Changes, ChangesQuery, Created, Databases, DbName, Deadline, DocId, Document, Draft,
    LocalCheck, LocalDocument, LocalDocuments, Meter, Result, Rev, RowStream, SMALL, Sign, Store, StoreError,
    ViewQuery, ViewRow, ViewSource,
};
use futures::StreamExt as _;
use futures::future::{self, BoxFuture};
use futures::stream::{self, BoxStream};

use crate::catalogue::{Db, Phase, View};
use crate::embedded::{Embedded, Inner};
use crate::error::{closed, deadline_exceeded};
use crate::feed::{self, ChangesFeed};
use crate::local;
use crate::query::{Page, Scan};
use crate::read::{self, Found};
use crate::transaction::Transaction;
use crate::workers::{Claim, Size};
use crate::write;
use crate::write_queue::Turn;

/// The most documents that one call reads on the caller's thread.
const INLINE_DOCS: usize = 16;

impl Store for Embedded {
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Box::pin(self.inner.call(deadline, async move {
            let db = self.inner.catalogue.load(db)?;
            match self.inner.readers.with(|connection| read::document(connection, db.id, id, SMALL))? {
                Found::Document(document) => Ok(document),
                Found::Large(bytes) => self.inner.large_document(db.id, id, bytes, deadline).await,
            }
        }))
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        Box::pin(self.inner.call(deadline, async move {
            let db = self.inner.catalogue.load(db)?.id;
            let found = if ids.len() <= INLINE_DOCS {
                self.inner.readers.with(|connection| Ok(small_documents(connection, db, ids)))?
            } else {
                let ids = ids.to_vec();
                let read = move |scanner: &mut read::Scanner| {
                    Ok(small_documents(scanner.until(deadline)?, db, &ids))
                };
                self.inner.scanners.run(small(db), deadline, read).await?
            };
            let (mut docs, mut held) = (Vec::with_capacity(found.len()), 0_usize);
            for (found, id) in found.into_iter().zip(ids) {
                let doc = match found {
                    Ok(Found::Document(document)) => Ok(document),
                    Ok(Found::Large(bytes)) => {
                        held = held.saturating_add(bytes);
                        self.inner.large_document(db, id, held, deadline).await
                    }
                    Err(error) => Err(error),
                };
                docs.push(self.inner.advised(doc));
            }
            Ok(docs)
        }))
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(self.inner.call(deadline, self.inner.save(db, draft, deadline)))
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Box::pin(self.inner.call(deadline, async move {
            let saved = self.inner.save_many(db, drafts, deadline).await?;
            Ok(saved.into_iter().map(|saved| self.inner.advised(saved)).collect())
        }))
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(self.inner.call(deadline, async move { self.inner.delete(db, id, base, deadline).await }))
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(self.inner.call(deadline, async move {
            let page = (self.inner.settings.page_rows, self.inner.settings.page_bytes);
            let meter = Meter::current();
            let first = loop {
                let (db, view) = self.inner.view(db, &query.source, deadline).await?;
                let scan = Scan::new(db, view.clone(), &query, page, meter.clone())?;
                match self.inner.page(scan, deadline).await {
                    // The view was replaced before a row was returned. Query the new one.
                    Err(_) if view.is_some_and(|view| *view.phase.borrow() == Phase::Gone) => {}
                    first => break first?,
                }
            };
            // Documents are large, so each goes as soon as it is used.
            if first.rest.is_none() && !query.include_docs {
                return Ok(RowStream::of_page(first.rows.into()));
            }
            let rows =
                PagedRows { inner: Arc::clone(&self.inner), rows: first.rows.into(), rest: first.rest };
            Ok(RowStream::new(stream::unfold(rows, async |mut rows| {
                let next = rows.next().await?;
                Some((next, rows))
            })))
        }))
    }
}

/// A stream of rows that reads one page at a time.
struct PagedRows {
    inner: Arc<Inner>,
    rows: VecDeque<ViewRow>,
    rest: Option<Scan>,
}

impl PagedRows {
    async fn next(&mut self) -> Option<Result<ViewRow>> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Some(Ok(row));
            }
            let mut rest = self.rest.take()?;
            let deadline = Deadline::after(self.inner.settings.batch_timeout);
            let page = async {
                rest.wait_for_room(deadline).await?;
                self.inner.page(rest, deadline).await
            };
            match page.await {
                Ok(page) => (self.rows, self.rest) = (page.rows.into(), page.rest),
                Err(error) => return Some(self.inner.advised(Err(error))),
            }
        }
    }
}

/// A read ends its page after a bounded number of rows and bytes.
fn small(db: i64) -> Claim {
    Claim { db, size: Size::Small }
}

fn small_documents(connection: &rusqlite::Connection, db: i64, ids: &[DocId]) -> Vec<Result<Found>> {
    ids.iter().map(|id| read::document(connection, db, id, SMALL)).collect()
}

impl Inner {
    /// Waits until the view is complete, and returns it. `None` means all documents.
    async fn view(
        &self,
        name: &DbName,
        source: &ViewSource,
        deadline: Deadline,
    ) -> Result<(Arc<Db>, Option<Arc<View>>)> {
        loop {
            let db = self.catalogue.load(name)?;
            let ViewSource::View { design, view } = source else { return Ok((db, None)) };
            let found = db.views.iter().find(|known| known.design == *design && known.name == *view);
            let Some(found) = found.cloned() else {
                return Err(StoreError::ViewMissing(datastore::Cause::new(format!(
                    "database {name} has no view {view} in _design/{design}"
                ))));
            };
            let mut phase = found.phase.subscribe();
            let mut ended = self.closed.subscribe();
            let settled = async {
                tokio::select! {
                    settled = phase.wait_for(|phase| *phase != Phase::Building) => {
                        settled.map(|phase| *phase).map_err(|_| closed())
                    }
                    _ = ended.wait_for(|ended| *ended) => Err(closed()),
                }
            };
            match tokio::time::timeout_at(deadline.instant().into(), settled).await {
                Err(_) => return Err(deadline_exceeded()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(Phase::Ready)) => return Ok((db, Some(found))),
                // The view was replaced during the wait. Look up the new one.
                Ok(Ok(Phase::Gone | Phase::Building)) => {}
            }
        }
    }

    /// Reads a large document on a reader thread, once there is room for it. Everything large that the call holds
    /// then has `held` bytes.
    async fn large_document(
        &self,
        db: i64,
        id: &DocId,
        mut held: usize,
        deadline: Deadline,
    ) -> Result<Document> {
        let meter = Meter::current();
        loop {
            meter.hold(held).await?;
            let id = id.clone();
            let read =
                move |scanner: &mut read::Scanner| read::document(scanner.until(deadline)?, db, &id, held);
            match self.scanners.run(small(db), deadline, read).await? {
                Found::Document(document) => return Ok(document),
                // It has grown meanwhile.
                Found::Large(bytes) => held = held.max(bytes),
            }
        }
    }

    async fn page(&self, scan: Scan, deadline: Deadline) -> Result<Page> {
        let claim = small(scan.db());
        self.scanners.run(claim, deadline, move |scanner| scan.page(scanner.until(deadline)?)).await
    }

    async fn delete(&self, name: &DbName, id: &DocId, base: &Rev, deadline: Deadline) -> Result<Rev> {
        let (name, id, base) = (name.clone(), id.clone(), base.clone());
        let chores = self.chores.clone();
        let turn = Turn::of(self.catalogue.load(&name)?.id);
        let turn = if id.design_name().is_some() { turn.alone() } else { turn };
        self.writer
            .run(turn, deadline, move |transaction| {
                let db = transaction.catalogue.load(&name)?;
                match id.design_name() {
                    None => write::delete(transaction, &db, &id, &base),
                    Some(design) => {
                        crate::index::delete_design(transaction, &db, (&id, design), &base, &chores)
                    }
                }
            })
            .await
    }
}

impl Attachments for Embedded {
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.inner.call(deadline, async move {
            let db = self.inner.catalogue.load(db)?;
            let (db_id, id, name) = (db.id, id.clone(), name.to_owned());
            let read = move |scanner: &mut read::Scanner| {
                read::attachment(scanner.until(deadline)?, db.id, &id, &name).map(Bytes::from)
            };
            self.inner.scanners.run(small(db_id), deadline, read).await
        }))
    }
}

impl Changes for Embedded {
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        let feed = ChangesFeed::new(Arc::clone(&self.inner), db.clone(), query);
        Box::pin(stream::unfold(feed, async |mut feed| {
            let next = feed.next().await?;
            Some((next, feed))
        }))
    }

    fn watch(&self, db: &DbName, _heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        let mut feed = ChangesFeed::watching(Arc::clone(&self.inner), db.clone());
        // From here on, nothing can get lost on the way.
        let alive = feed.begin().map(|()| Sign::Alive(Duration::MAX));
        let is_open = alive.is_ok();
        let changes = stream::unfold(feed, async |mut feed| {
            let next = feed.next().await?;
            Some((next.map(|Change { id, rev, .. }| Sign::Changed { id, rev }), feed))
        });
        let changes = changes.take_while(move |_| future::ready(is_open));
        Box::pin(stream::iter([alive]).chain(changes))
    }

    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            self.inner.begin(deadline)?;
            let db = self.inner.catalogue.load(db)?;
            let newest = db.progress.borrow().seq;
            Ok(feed::seq_text(newest, db.id))
        })
    }
}

impl LocalDocuments for Embedded {
    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        Box::pin(async move {
            self.inner.begin(deadline)?;
            let db = self.inner.catalogue.load(db)?;
            self.inner.readers.with(|connection| local::list(connection, db.id, prefix))
        })
    }

    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        Box::pin(async move { self.inner.fetch_local(db, name, deadline) })
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.save_local(db, document, deadline))
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.inner.delete_local_if(db, name, may, deadline))
    }
}

impl Databases for Embedded {
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        Box::pin(self.inner.call(deadline, async move {
            if self.inner.catalogue.find(db).is_some() {
                return Ok(Created::Before);
            }
            let name = db.clone();
            let create = move |transaction: &mut Transaction<'_>| write::create_db(transaction, &name);
            self.inner.writer.run(Turn::of_the_store().alone(), deadline, create).await
        }))
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.inner.call(deadline, async move { Ok(self.inner.catalogue.find(db).is_some()) }))
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.inner.call(deadline, async move {
            let name = db.clone();
            let delete = move |transaction: &mut Transaction<'_>| write::delete_db(transaction, &name);
            self.inner.writer.run(Turn::of_the_store().alone(), deadline, delete).await
        }))
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        Box::pin(self.inner.call(deadline, async move { Ok(self.inner.catalogue.names()) }))
    }
}
