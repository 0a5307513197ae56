//! A store that answers when the test says so, and counts its calls.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use admission::{Admission, Limits};
use bytes::Bytes;
use datastore::{
    Attachments, Cause, Change, Changes, ChangesQuery, Created, Databases, DbName, Deadline, DocId, Document,
    Draft, JsonText, LocalCheck, LocalDocument, LocalDocuments, Result, Rev, RowStream, Sign, Store,
    StoreError, ViewQuery, ViewRow,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The store. A call takes one of `answers` before it answers.
pub(crate) struct TestStore {
    answers: Semaphore,
    begun: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    /// Whether all rows are small.
    is_small: AtomicBool,
}

/// Its gate.
pub(crate) struct Gated {
    pub(crate) store: Arc<TestStore>,
    pub(crate) gate: Arc<Admission>,
}

impl Gated {
    pub(crate) fn new(calls: usize, queue: usize) -> Self {
        Self::with(calls, queue, |gate| gate)
    }

    pub(crate) fn with(calls: usize, queue: usize, change: impl FnOnce(Admission) -> Admission) -> Self {
        let store = Arc::new(TestStore {
            answers: Semaphore::new(0),
            begun: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            is_small: AtomicBool::new(false),
        });
        let limits = Limits { calls, queue, queue_wait: Duration::from_secs(1) };
        let inner: Arc<dyn datastore::Backend> = Arc::<TestStore>::clone(&store);
        Self { store, gate: Arc::new(change(Admission::new(inner, limits))) }
    }

    /// Begins to fetch a document.
    pub(crate) fn fetch(&self, db: &'static str) -> JoinHandle<Result<()>> {
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move { fetch(&gate, db).await })
    }
}

pub(crate) async fn fetch(gate: &Admission, db: &str) -> Result<()> {
    let id = DocId::parse("a").unwrap();
    Store::fetch(gate, &db_name(db), &id, in_a_minute()).await.map(|_| ())
}

/// Two rows.
pub(crate) async fn query(gate: &Admission, db: &str) -> Result<RowStream> {
    Store::query(gate, &db_name(db), ViewQuery::all_docs(), in_a_minute()).await
}

pub(crate) fn db_name(db: &str) -> DbName {
    DbName::parse(db).unwrap()
}

pub(crate) fn in_a_minute() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Lets all other tasks run until they wait.
pub(crate) async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

impl TestStore {
    pub(crate) fn answer(&self, calls: usize) {
        self.answers.add_permits(calls);
    }

    /// Whether all rows are small from now on, whatever the database is named.
    pub(crate) fn be_small(&self, is_small: bool) {
        self.is_small.store(is_small, Ordering::SeqCst);
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    fn call<'a, T: Send + 'a>(&'a self, answer: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        struct InFlight<'a>(&'a TestStore);
        impl Drop for InFlight<'_> {
            fn drop(&mut self) {
                self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
            }
        }
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.peak.fetch_max(self.in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _in_flight = InFlight(self);
            self.answers.acquire().await.unwrap().forget();
            answer.await
        })
    }
}

fn row() -> Result<ViewRow> {
    let null = || JsonText::parse("null").unwrap();
    Ok(ViewRow { id: DocId::parse("a").unwrap(), key: null(), value: null(), doc: None })
}

fn large_row() -> Result<ViewRow> {
    let value = JsonText::parse(&format!("\"{}\"", "x".repeat(300_000))).unwrap();
    row().map(|row| ViewRow { value, ..row })
}

fn rev() -> Rev {
    Rev::parse("1-967a00dff5e02add41819138abb3284d").unwrap()
}

impl Store for TestStore {
    fn fetch<'a>(&'a self, db: &'a DbName, _: &'a DocId, _: Deadline) -> BoxFuture<'a, Result<Document>> {
        let size = if db.as_str().starts_with("large") { 300_000 } else { 1 };
        let text = format!(
            r#"{{"_id":"a","_rev":"1-967a00dff5e02add41819138abb3284d","x":"{}"}}"#,
            "x".repeat(size)
        );
        self.call(async move { Document::from_text(text) })
    }

    fn fetch_many<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a [DocId],
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        self.call(async { Ok(Vec::new()) })
    }

    fn save<'a>(&'a self, _: &'a DbName, _: Draft, _: Deadline) -> BoxFuture<'a, Result<Rev>> {
        self.call(async { Ok(rev()) })
    }

    fn save_many<'a>(
        &'a self,
        _: &'a DbName,
        _: Vec<Draft>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        self.call(async { Ok(Vec::new()) })
    }

    fn delete<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a DocId,
        _: &'a Rev,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.call(async { Ok(rev()) })
    }

    /// The view of the database `broken` breaks off after a row. Those of databases whose names begin with `large` have
    /// large rows.
    fn query<'a>(&'a self, db: &'a DbName, _: ViewQuery, _: Deadline) -> BoxFuture<'a, Result<RowStream>> {
        let last = if db.as_str() == "broken" { Err(StoreError::Corrupt(Cause::new("cut"))) } else { row() };
        let is_large = db.as_str().starts_with("large") && !self.is_small.load(Ordering::SeqCst);
        let rows = RowStream::new(stream::iter(match is_large {
            true => [large_row(), large_row()],
            false => [row(), last],
        }));
        self.call(async move { Ok(rows) })
    }
}

impl Attachments for TestStore {
    fn fetch_attachment<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a DocId,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.call(async { Ok(Bytes::new()) })
    }
}

impl Changes for TestStore {
    fn changes(&self, _: &DbName, _: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        let change = Change {
            seq: "1".to_owned(),
            id: DocId::parse("a").unwrap(),
            rev: rev(),
            deleted: false,
            doc: None,
        };
        stream::iter([Ok(change)]).boxed()
    }

    fn watch(&self, _: &DbName, _: Duration) -> BoxStream<'static, Result<Sign>> {
        stream::empty().boxed()
    }

    fn newest_seq<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<String>> {
        self.call(async { Ok("1".to_owned()) })
    }
}

impl LocalDocuments for TestStore {
    fn list_local<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        self.call(async { Ok(Vec::new()) })
    }

    fn fetch_local<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        self.call(async { Ok(None) })
    }

    fn save_local<'a>(&'a self, _: &'a DbName, _: LocalDocument, _: Deadline) -> BoxFuture<'a, Result<()>> {
        self.call(async { Ok(()) })
    }

    fn delete_local_if<'a>(
        &'a self,
        _: &'a DbName,
        _: &'a str,
        _: LocalCheck<'a>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        self.call(async { Ok(true) })
    }
}

impl Databases for TestStore {
    fn create_db<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<Created>> {
        self.call(async { Ok(Created::Now) })
    }

    fn db_exists<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<bool>> {
        self.call(async { Ok(true) })
    }

    fn delete_db<'a>(&'a self, _: &'a DbName, _: Deadline) -> BoxFuture<'a, Result<()>> {
        self.call(async { Ok(()) })
    }

    fn list_dbs(&self, _: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        self.call(async { Ok(Vec::new()) })
    }
}
