//! A store that answers, and tells, when the test says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cache::{Cache, Figures, Hints, Settings};
use datastore::{
    Attachments, Cause, Change, Changes, ChangesQuery, Created, Databases, DbName, Deadline, DocId, Document,
    Draft, JsonText, LocalCheck, LocalDocument, LocalDocuments, Result, Rev, RowStream, Sign, Store,
    StoreError, ViewQuery, ViewRow,
};
use futures::future::{self, BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

type Told = mpsc::UnboundedSender<Result<Sign>>;

/// The store. It holds documents whose only member is a number.
#[derive(Default)]
pub(crate) struct Scripted {
    documents: Mutex<HashMap<(DbName, DocId), Document>>,
    feeds: Mutex<HashMap<DbName, Told>>,
    heartbeats: Mutex<HashMap<DbName, Duration>>,
    opened: AtomicUsize,
    reads: AtomicUsize,
    /// While there is one, a read takes one of its permits, after it has read and before it answers.
    turnstile: Mutex<Option<Arc<Semaphore>>>,
}

pub(crate) fn db(name: &str) -> DbName {
    DbName::parse(name).unwrap()
}

pub(crate) fn id(name: &str) -> DocId {
    DocId::parse(name).unwrap()
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

pub(crate) fn revision(n: u64) -> Rev {
    Rev::parse(&format!("{n}-a")).unwrap()
}

impl Scripted {
    /// Another program writes revision `n` of a document.
    pub(crate) fn put(&self, db: &DbName, id: &DocId, n: u64) {
        let text = format!(r#"{{"_id":"{id}","_rev":"{n}-a","n":{n}}}"#);
        let document = Document::from_text(text).unwrap();
        self.documents.lock().unwrap().insert((db.clone(), id.clone()), document);
    }

    /// The feed of a database tells something. Panics if there is no feed.
    pub(crate) fn tell(&self, db: &DbName, sign: Result<Sign>) {
        self.feeds.lock().unwrap()[db].send(sign).unwrap();
    }

    /// The feed of a database ends.
    pub(crate) fn end_feed(&self, db: &DbName) {
        self.feeds.lock().unwrap().remove(db);
    }

    /// How many feeds were ever opened.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// How often the newest feed of a database was to show a sign of life. Panics if there was none.
    pub(crate) fn heartbeat(&self, db: &DbName) -> Duration {
        self.heartbeats.lock().unwrap()[db]
    }

    /// Whether somebody listens to the feed of a database.
    pub(crate) fn is_watched(&self, db: &DbName) -> bool {
        self.feeds.lock().unwrap().get(db).is_some_and(|feed| !feed.is_closed())
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// From now on, reads wait for a permit before they answer.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let turnstile = Arc::new(Semaphore::new(0));
        *self.turnstile.lock().unwrap() = Some(Arc::clone(&turnstile));
        turnstile
    }

    async fn pass(&self) {
        let turnstile = self.turnstile.lock().unwrap().clone();
        if let Some(turnstile) = turnstile {
            turnstile.acquire().await.unwrap().forget();
        }
    }

    fn read(&self, db: &DbName, id: &DocId) -> Result<Document> {
        let found = self.documents.lock().unwrap().get(&(db.clone(), id.clone())).cloned();
        found.ok_or_else(|| StoreError::Missing(Cause::new("missing")))
    }
}

impl Store for Scripted {
    fn fetch<'a>(&'a self, db: &'a DbName, id: &'a DocId, _: Deadline) -> BoxFuture<'a, Result<Document>> {
        async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let answer = self.read(db, id);
            self.pass().await;
            answer
        }
        .boxed()
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        future::ready(Ok(ids.iter().map(|id| self.read(db, id)).collect())).boxed()
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, _: Deadline) -> BoxFuture<'a, Result<Rev>> {
        let n = draft.body["n"].as_u64().unwrap();
        async move {
            self.put(db, &draft.id, n);
            self.pass().await;
            Ok(revision(n))
        }
        .boxed()
    }

    fn save_many<'a>(
        &'a self,
        _: &'a DbName,
        _: Vec<Draft>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        _: &'a Rev,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.documents.lock().unwrap().remove(&(db.clone(), id.clone()));
        future::ready(Ok(revision(9))).boxed()
    }

    /// Rows with the number of each document; of the view `long`, a thousand rows of 1,000 bytes.
    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        _: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let row = |id: &DocId, value: &str| ViewRow {
                id: id.clone(),
                key: JsonText::parse("null").unwrap(),
                value: JsonText::parse(value).unwrap(),
                doc: None,
            };
            let rows: Vec<_> = if query == ViewQuery::of("d", "long") {
                let value = format!("\"{}\"", "x".repeat(1_000));
                (0..1_000).map(|n| Ok(row(&id(&format!("a{n}")), &value))).collect()
            } else {
                let documents = self.documents.lock().unwrap();
                let here = documents.iter().filter(|((name, _), _)| name == db);
                let n = |document: &Document| document.to_object().unwrap()["n"].to_string();
                here.map(|((_, id), document)| Ok(row(id, &n(document)))).collect()
            };
            self.pass().await;
            Ok(RowStream::new(stream::iter(rows)))
        }
        .boxed()
    }
}

impl Attachments for Scripted {
    fn fetch_attachment<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a DocId,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        future::ready(Ok(Bytes::new())).boxed()
    }
}

impl Changes for Scripted {
    fn changes(&self, _: &DbName, _: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        stream::empty().boxed()
    }

    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        let (told, listener) = mpsc::unbounded_channel();
        self.feeds.lock().unwrap().insert(db.clone(), told);
        self.heartbeats.lock().unwrap().insert(db.clone(), heartbeat);
        self.opened.fetch_add(1, Ordering::SeqCst);
        stream::unfold(listener, async |mut listener| Some((listener.recv().await?, listener))).boxed()
    }

    fn newest_seq<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<String>> {
        future::ready(Ok("1".to_owned())).boxed()
    }
}

impl LocalDocuments for Scripted {
    fn list_local<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    fn fetch_local<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        future::ready(Ok(None)).boxed()
    }

    fn save_local<'a>(&'a self, _: &'a DbName, _: LocalDocument, _: Deadline) -> BoxFuture<'a, Result<()>> {
        future::ready(Ok(())).boxed()
    }

    fn delete_local_if<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: LocalCheck<'a>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        future::ready(Ok(true)).boxed()
    }
}

impl Databases for Scripted {
    fn create_db<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<Created>> {
        future::ready(Ok(Created::Now)).boxed()
    }

    fn db_exists<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<bool>> {
        future::ready(Ok(true)).boxed()
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<()>> {
        self.documents.lock().unwrap().retain(|(name, _), _| name != db);
        future::ready(Ok(())).boxed()
    }

    fn list_dbs(&self, _: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        future::ready(Ok(Vec::new())).boxed()
    }
}

/// A cache before a scripted store, with its watcher running.
pub(crate) struct World {
    pub(crate) store: Arc<Scripted>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) figures: Box<dyn Fn() -> Figures>,
    pub(crate) hints: Hints,
    watcher: JoinHandle<()>,
}

impl World {
    pub(crate) fn with(settings: Settings) -> Self {
        let store = Arc::new(Scripted::default());
        let (cache, mut watcher) = Cache::new(Arc::<Scripted>::clone(&store), settings);
        let (figures, hints) = (Box::new(watcher.figures()), watcher.hints());
        let watcher = tokio::spawn(async move { watcher.run(future::pending()).await });
        Self { store, cache: Arc::new(cache), figures, hints, watcher }
    }

    pub(crate) fn new() -> Self {
        let heartbeat = Duration::from_secs(2);
        Self::with(Settings { bytes: 1_000_000, feeds: 8, heartbeat, always: Vec::new() })
    }

    /// Reads a document that exists until its database is watched, and lets the feed show a sign of life.
    pub(crate) async fn watch(&self, db: &DbName, id: &DocId) {
        while !self.store.is_watched(db) {
            self.cache.fetch(db, id, soon()).await.unwrap();
            tokio::task::yield_now().await;
        }
        self.store.tell(db, Ok(Sign::Alive(Duration::from_secs(3))));
        while self.cache.epoch(db).is_none() {
            tokio::task::yield_now().await;
        }
    }

    /// The number in a document, and whether the store was asked for it.
    pub(crate) async fn read(&self, db: &DbName, id: &DocId) -> (u64, Asked) {
        let before = self.store.reads();
        let document = self.cache.fetch(db, id, soon()).await.unwrap();
        let n = document.to_object().unwrap()["n"].as_u64().unwrap();
        (n, if self.store.reads() == before { Asked::Memory } else { Asked::Store })
    }

    /// Lets the watcher hear what was told.
    pub(crate) async fn hear(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Who answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Memory,
    Store,
}
