//! What marks cost, and writes of which nobody knows whether they were done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datastore::{
    Backend, Cause, DbName, Deadline, DocId, Document, Draft, Layer, LocalCheck, LocalDocument, Result, Rev,
    StoreError,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kazoo::AccountId;
use tokio::sync::watch;

use crate::world::{World, db, doc_id, draft, group_with, soon, wait_until};

/// A store that counts the local documents that are written, and that can lose the answers to writes.
struct Faulty {
    inner: Arc<dyn Backend>,
    local_writes: AtomicU64,
    loses_answers: AtomicBool,
    refuses_local: AtomicBool,
    /// Reads of documents that never end, and how many have begun.
    hangs: AtomicBool,
    hanging: AtomicU64,
    /// Reads of documents whose answers are held back, and how many are.
    holds_answers: watch::Sender<bool>,
    held: AtomicU64,
    /// How long it takes to delete a local document.
    deletes_for: Duration,
}

impl Faulty {
    fn before(inner: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self::new(inner))
    }

    fn new(inner: Arc<dyn Backend>) -> Self {
        let off = || AtomicBool::new(false);
        Self {
            inner,
            local_writes: AtomicU64::new(0),
            loses_answers: off(),
            refuses_local: off(),
            hangs: off(),
            hanging: AtomicU64::new(0),
            holds_answers: watch::Sender::new(false),
            held: AtomicU64::new(0),
            deletes_for: Duration::ZERO,
        }
    }

    fn ended<T>(&self, ended: Result<T>) -> Result<T> {
        let is_lost = self.loses_answers.load(Ordering::SeqCst);
        if is_lost { Err(StoreError::Transport(Cause::new("the answer was lost"))) } else { ended }
    }
}

impl Layer for Faulty {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        if self.hangs.load(Ordering::SeqCst) {
            self.hanging.fetch_add(1, Ordering::SeqCst);
            return futures::future::pending().boxed();
        }
        let answer = self.inner.fetch(db, id, deadline);
        Box::pin(async move {
            let answer = answer.await;
            if *self.holds_answers.borrow() {
                self.held.fetch_add(1, Ordering::SeqCst);
                let _ = self.holds_answers.subscribe().wait_for(|holds| !holds).await;
            }
            answer
        })
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        let delete = self.inner.delete_local_if(db, name, may, deadline);
        tokio::time::sleep(self.deletes_for).then(|()| delete).boxed()
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        self.inner.save(db, draft, deadline).map(|ended| self.ended(ended)).boxed()
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.inner.delete(db, id, base, deadline).map(|ended| self.ended(ended)).boxed()
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        if self.refuses_local.load(Ordering::SeqCst) {
            return futures::future::ready(Err(StoreError::Unavailable(Cause::new("full")))).boxed();
        }
        self.local_writes.fetch_add(1, Ordering::SeqCst);
        self.inner.save_local(db, document, deadline)
    }
}

#[tokio::test]
async fn a_series_of_writes_sets_one_mark() {
    let world = World::new().await;
    let store = Faulty::before(Arc::clone(&world.store));
    let server = world.server_on(store.clone(), "n");
    let written = || store.local_writes.load(Ordering::SeqCst);
    server.create("first").await;
    wait_until("the entry in the roster", || written() >= 3).await;
    let before = written();
    for n in 0..50 {
        server.create(&format!("g{n}")).await;
    }
    world.broker.wait_for(51).await;
    for n in 0..50 {
        server.create(&format!("h{n}")).await;
    }
    world.broker.wait_for(101).await;
    assert_eq!(written(), before);
    let marks = world.local(&db()).await;
    assert_eq!((marks.len(), marks[0].name.as_str()), (1, "crossbar_groups-n"));
    server.stop().await;
}

/// Without a mark a kill would lose the notice, so nothing is written.
#[tokio::test]
async fn a_write_whose_mark_cannot_be_set_is_refused() {
    let world = World::new().await;
    let store = Faulty::before(Arc::clone(&world.store));
    let server = world.server_on(store.clone(), "n");
    store.refuses_local.store(true, Ordering::SeqCst);
    let refused = server.store.save(&db(), draft("a", None, group_with("n", 1)), soon()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(world.store.fetch(&db(), &doc_id("a"), soon()).await.unwrap_err().is_not_found());
    store.refuses_local.store(false, Ordering::SeqCst);
    server.create("a").await;
    world.broker.wait_for(1).await;
    server.stop().await;
}

/// A write whose answer was lost is told if it was done, and not told if it was not.
#[tokio::test]
async fn a_write_in_doubt_is_told_once_it_is_known() {
    let world = World::new().await;
    let store = Faulty::before(Arc::clone(&world.store));
    let server = world.server_on(store.clone(), "n");
    let rev = server.create("deleted").await;
    let other = server.create("other").await;
    world.broker.wait_for(2).await;
    world.broker.forget();
    store.loses_answers.store(true, Ordering::SeqCst);
    let lost = |id: &'static str, base: Option<Rev>, request: &'static str| {
        let store = Arc::clone(&server.store);
        let draft = draft(id, base.as_ref(), group_with("pvt_request_id", request));
        async move { store.save(&db(), draft, soon()).await.unwrap_err() }
    };
    lost("saved", None, "x").await;
    // This one fails in the store too: somebody else was faster.
    world.store.save(&db(), draft("other", Some(&other), group_with("n", 9)), soon()).await.unwrap();
    lost("other", Some(other), "y").await;
    server.store.delete(&db(), &doc_id("deleted"), &rev, soon()).await.unwrap_err();
    store.loses_answers.store(false, Ordering::SeqCst);
    // Later writes of a document do not wait for the doubt.
    let saved = world.store.fetch(&db(), &doc_id("saved"), soon()).await.unwrap();
    let told = world.broker.wait_for(2).await.len();
    assert_eq!(told, 2);
    let mut told = world.broker.told();
    told.sort();
    assert_eq!((told[0].0.as_str(), told[0].1.as_str()), ("doc_created", "saved"));
    assert_eq!(told[0].2, saved.rev().to_string());
    assert_eq!((told[1].0.as_str(), told[1].1.as_str()), ("doc_deleted", "deleted"));
    server.stop().await;
    assert!(world.local(&db()).await.is_empty());
}

/// A server that stops while it asks what became of a write leaves its marks. Its next run tells the write.
#[tokio::test]
async fn a_write_in_doubt_outlives_an_orderly_stop() {
    let world = World::new().await;
    let store = Faulty::before(Arc::clone(&world.store));
    let server = world.server_on(store.clone(), "n");
    wait_until("the server is in the roster", || store.local_writes.load(Ordering::SeqCst) > 0).await;
    store.loses_answers.store(true, Ordering::SeqCst);
    for id in ["a", "b"] {
        server.store.save(&db(), draft(id, None, group_with("n", 1)), soon()).await.unwrap_err();
    }
    store.loses_answers.store(false, Ordering::SeqCst);
    store.hangs.store(true, Ordering::SeqCst);
    wait_until("the store is asked for the first", || store.hanging.load(Ordering::SeqCst) > 0).await;
    server.stop().await;
    assert_eq!(world.broker.told(), []);
    store.hangs.store(false, Ordering::SeqCst);
    let server = world.server_on(store, "n");
    world.broker.wait_for(2).await;
    server.stop().await;
}

/// The document is written again after the store was asked what became of the first write, and before its answer.
#[tokio::test]
async fn a_write_in_doubt_is_not_told_after_a_later_one() {
    let world = World::new().await;
    let store = Faulty::before(Arc::clone(&world.store));
    let server = world.server_on(store.clone(), "n");
    wait_until("the server is in the roster", || store.local_writes.load(Ordering::SeqCst) > 0).await;
    store.loses_answers.store(true, Ordering::SeqCst);
    server.store.save(&db(), draft("a", None, group_with("n", 1)), soon()).await.unwrap_err();
    store.loses_answers.store(false, Ordering::SeqCst);
    let first = world.store.fetch(&db(), &doc_id("a"), soon()).await.unwrap().rev().clone();
    store.holds_answers.send_replace(true);
    wait_until("the store is asked", || store.held.load(Ordering::SeqCst) > 0).await;
    let second = server.save("a", Some(&first), group_with("n", 2)).await;
    server.create("b").await;
    world.broker.wait_for(1).await;
    assert_eq!(world.broker.told()[0].1, "b", "the second write of a waits");
    store.holds_answers.send_replace(false);
    world.broker.wait_for(3).await;
    let revs: Vec<_> =
        world.broker.told().into_iter().filter(|(_, id, _)| id == "a").map(|told| told.2).collect();
    assert_eq!(revs, [first.to_string(), second.to_string()]);
    server.stop().await;
}

/// An orderly stop is not taken for a kill, however many accounts were written just before.
#[tokio::test]
async fn a_stop_removes_hundreds_of_marks() {
    let world = World::new().await;
    let store = Faulty { deletes_for: Duration::from_millis(10), ..Faulty::new(Arc::clone(&world.store)) };
    let server = world.server_on(Arc::new(store), "n");
    let dbs: Vec<_> = (0..300).map(|n| AccountId::parse(&format!("{n:032x}")).unwrap().db()).collect();
    for db in &dbs {
        world.store.create_db(db, soon()).await.unwrap();
        server.store.save(db, draft("a", None, group_with("n", 1)), soon()).await.unwrap();
    }
    world.broker.wait_for(300).await;
    server.stop().await;
    let mut left = world.local(&DbName::parse("system_config").unwrap()).await;
    for db in &dbs {
        left.extend(world.local(db).await);
    }
    assert_eq!(left, []);
}

/// The store is too slow to remove the marks in time. All is told, so the next start tells nothing, and removes them.
#[tokio::test]
async fn marks_that_a_stop_has_left_mean_nothing() {
    let world = World::new().await;
    let config = DbName::parse("system_config").unwrap();
    let slow = Faulty { deletes_for: Duration::from_secs(60), ..Faulty::new(Arc::clone(&world.store)) };
    let server = world.server_on(Arc::new(slow), "n");
    server.create("a").await;
    world.broker.wait_for(1).await;
    wait_until("the confirmation", || server.counts().waiting == 0).await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((world.local(&db()).await.len(), world.local(&config).await.len()), (1, 1));
    world.broker.forget();
    let server = world.server("n");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !world.local(&db()).await.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.create("b").await;
    world.broker.wait_for(1).await;
    server.stop().await;
    assert_eq!(world.broker.told().into_iter().map(|told| told.1).collect::<Vec<_>>(), ["b"]);
    assert_eq!((world.local(&db()).await, world.local(&config).await), (vec![], vec![]));
}
