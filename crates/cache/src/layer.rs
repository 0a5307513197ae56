//! The store before the store. It answers reads from memory if the memory is true. It passes writes on, and forgets
//! the documents that they change.

use std::sync::Arc;

use datastore::{
    Backend, Cause, Created, DbName, Deadline, DocId, Document, Draft, Epoch, EpochClock, Layer, Result, Rev,
    RowStream, StoreError, ViewQuery,
};
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::flight;
use crate::hot::{Hot, Joined, OwnWrite};
use crate::memory::{Entry, Key};
use crate::outcome::{Flight, Outcome};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::watcher::Watcher;
use crate::written::Written;

/// How many wishes for a feed may wait. A wish that finds no room comes again with the next read.
const WISHES: usize = 256;

/// A store that remembers what it read from another one.
///
/// It remembers nothing until its [`Watcher`] runs.
///
/// ```
/// # fn example(store: std::sync::Arc<dyn datastore::Backend>) -> impl datastore::Backend {
/// use std::time::Duration;
/// use cache::{Cache, Settings};
///
/// let always = Vec::new();
/// let settings = Settings { bytes: 64_000_000, feeds: 500, heartbeat: Duration::from_secs(2), always };
/// let (cache, watcher) = Cache::new(store, settings);
/// // In a background task: `watcher.run(stopped).await`.
/// # drop(watcher);
/// cache
/// # }
/// ```
pub struct Cache {
    inner: Arc<dyn Backend>,
    shared: Arc<Shared>,
    wishes: mpsc::Sender<DbName>,
}

impl Cache {
    /// Puts a cache before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, settings: Settings) -> (Self, Watcher) {
        let shared = Arc::new(Shared::new(settings));
        let (wishes, wanted) = mpsc::channel(WISHES);
        let watcher = Watcher::new(Arc::clone(&inner), Arc::clone(&shared), wanted);
        (Self { inner, shared, wishes }, watcher)
    }

    fn hot(&self, db: &DbName) -> Option<Arc<Hot>> {
        self.shared.hot.load().get(db).cloned()
    }

    /// A database was read that is not watched.
    fn wish_for(&self, db: &DbName) {
        // If there is no room, the next read wishes again.
        let _ = self.wishes.try_send(db.clone());
    }

    async fn document(&self, db: &DbName, id: &DocId, deadline: Deadline) -> Result<Document> {
        check(deadline)?;
        // The feed does not tell local documents.
        if id.as_str().starts_with("_local/") {
            return self.inner.fetch(db, id, deadline).await;
        }
        let Some(hot) = self.hot(db) else {
            self.shared.count(false);
            let answer = self.inner.fetch(db, id, deadline).await;
            if !matches!(answer, Err(StoreError::DatabaseMissing(_))) {
                self.wish_for(db);
            }
            return answer;
        };
        let key = Key::Document(id.clone());
        if let Some(known) = hot.recall(&key).and_then(Entry::document) {
            self.shared.count(true);
            return known;
        }
        self.shared.count(false);
        let start =
            |landing| flight::document(Arc::clone(&self.inner), db.clone(), id.clone(), deadline, landing);
        match hot.join_or_start(&key, start) {
            Some((flight, joined)) => match wait(flight, joined, deadline).await? {
                Outcome::Document(document) => Ok(document),
                Outcome::Failed(error) => Err(error),
                Outcome::Page(_) | Outcome::LongPage => self.inner.fetch(db, id, deadline).await,
            },
            None => self.inner.fetch(db, id, deadline).await,
        }
    }

    async fn rows(&self, db: &DbName, query: ViewQuery, deadline: Deadline) -> Result<RowStream> {
        check(deadline)?;
        let Some(hot) = self.hot(db) else {
            self.shared.count(false);
            let answer = self.inner.query(db, query, deadline).await;
            if answer.is_ok() {
                self.wish_for(db);
            }
            return answer;
        };
        let query = Arc::new(query);
        let key = Key::Page(Arc::clone(&query));
        match hot.recall(&key) {
            Some(Entry::Page(_, page)) => {
                self.shared.count(true);
                return Ok(RowStream::of_page(page));
            }
            Some(Entry::LongPage(_)) => {
                self.shared.count(false);
                return self.inner.query(db, (*query).clone(), deadline).await;
            }
            Some(Entry::Document(_) | Entry::Absent(_)) | None => self.shared.count(false),
        }
        let start = |landing| {
            flight::page(Arc::clone(&self.inner), db.clone(), Arc::clone(&query), deadline, landing)
        };
        if let Some((flight, joined)) = hot.join_or_start(&key, start) {
            match wait(flight, joined, deadline).await? {
                Outcome::Page(page) => return Ok(RowStream::of_page(page)),
                Outcome::Failed(error) => return Err(error),
                Outcome::LongPage | Outcome::Document(_) => {}
            }
        }
        self.inner.query(db, (*query).clone(), deadline).await
    }

    fn begin_write(&self, db: &DbName, id: &DocId) -> Option<OwnWrite> {
        Some(self.hot(db)?.begin_write(id))
    }

    /// An own write has ended. A feed that was opened while it ran has to know of it too.
    fn end_write(&self, db: &DbName, id: &DocId, write: Option<OwnWrite>, written: Option<Document>) {
        match write {
            Some(write) if self.hot(db).is_some_and(|hot| write.is_of(&hot)) => write.done(written),
            write => {
                drop(write);
                drop(self.begin_write(db, id));
            }
        }
    }
}

/// Fails if the caller has no time left, as a store without a memory does.
fn check(deadline: Deadline) -> Result<()> {
    match deadline.is_over() {
        true => Err(StoreError::DeadlineExceeded(Cause::new("there is no time left"))),
        false => Ok(()),
    }
}

/// Waits for a read. Another caller's may have less time than this one, and fail for that; then the failure is
/// this caller's too.
async fn wait(flight: Flight, joined: Joined, deadline: Deadline) -> Result<Outcome> {
    if joined == Joined::Own {
        return Ok(flight.await);
    }
    match timeout_at(deadline.instant().into(), flight).await {
        Ok(outcome) => Ok(outcome),
        Err(_) => Err(StoreError::DeadlineExceeded(Cause::new("another request's read took too long"))),
    }
}

impl Layer for Cache {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Box::pin(self.document(db, id, deadline))
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(self.rows(db, query, deadline))
    }

    fn epoch(&self, db: &DbName) -> Option<Epoch> {
        let hot: Arc<dyn EpochClock> = self.hot(db)?;
        Epoch::now(hot)
    }

    fn epoch_of(&self, db: &DbName, id: &DocId) -> Option<Epoch> {
        let hot: Arc<dyn EpochClock> = self.hot(db)?;
        Epoch::of_document(hot, id)
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            let (id, write) = (draft.id.clone(), self.begin_write(db, &draft.id));
            let written = write.as_ref().and_then(|_| Written::of(&draft));
            let saved = self.inner.save(db, draft, deadline).await;
            let written = saved.as_ref().ok().and_then(|rev| Some(written?.document(rev)));
            self.end_write(db, &id, write, written);
            saved
        })
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Box::pin(async move {
            let writes: Vec<_> =
                drafts.iter().map(|draft| (draft.id.clone(), self.begin_write(db, &draft.id))).collect();
            let saved = self.inner.save_many(db, drafts, deadline).await;
            for (id, write) in writes {
                self.end_write(db, &id, write, None);
            }
            saved
        })
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            let write = self.begin_write(db, id);
            let deleted = self.inner.delete(db, id, base, deadline).await;
            self.end_write(db, id, write, None);
            deleted
        })
    }

    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        Box::pin(async move {
            let created = self.inner.create_db(db, deadline).await;
            if created.is_ok() && self.hot(db).is_none() {
                self.wish_for(db);
            }
            created
        })
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if let Some(hot) = self.hot(db) {
                hot.end();
            }
            let deleted = self.inner.delete_db(db, deadline).await;
            // A feed that was opened meanwhile saw the old database.
            if let Some(hot) = self.hot(db) {
                hot.end();
            }
            deleted
        })
    }
}
