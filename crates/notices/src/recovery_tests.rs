//! Another server finishes the work of one that is gone, or is back. Two servers have one name. A store is dead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datastore::{
    Backend, Cause, Changes as _, Databases as _, DbName, Deadline, DocId, Document, Draft, LocalDocument,
    LocalDocuments as _, Result, Rev, Store as _, StoreError,
};
use embedded::{Embedded, Settings};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kazoo::{AccountId, NodeAndZone, SystemDb};
use serde_json::{Map, Value, json};

use crate::keeper;
use crate::layer::ToldWrites;
use crate::marks::Marks;
use crate::notice::{DocKey, Facts};
use crate::queue::Queue;
use crate::subscribers::RETURNED_PATIENCE;
use crate::teller::{Attempt, AttemptKind, Stamp, Teller};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn db() -> DbName {
    AccountId::parse("11112222333344445555666677778888").unwrap().db()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A server that sends nothing by itself.
fn server(store: &Embedded, node: &str) -> (Arc<Teller>, ToldWrites) {
    server_on(Arc::new(store.clone()), node)
}

fn server_on(inner: Arc<dyn Backend>, node: &str) -> (Arc<Teller>, ToldWrites) {
    let marks = Marks::new(Arc::clone(&inner), node.to_owned());
    let teller =
        Arc::new(Teller::new(marks, Queue::new(1_000_000, RETURNED_PATIENCE), NodeAndZone::default(), None));
    (Arc::clone(&teller), ToldWrites { inner, teller })
}

async fn create(store: &ToldWrites, id: &str) -> Rev {
    let body = object(json!({"pvt_type": "group", "name": id}));
    store.save(&db(), Draft { id: DocId::parse(id).unwrap(), base: None, body }, soon()).await.unwrap()
}

/// A store with an account.
async fn opened() -> (Embedded, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    for db in [db(), SystemDb::SystemConfig.name().clone()] {
        store.create_db(&db, soon()).await.unwrap();
    }
    (store, folder)
}

/// The mark of a node.
async fn mark(store: &Embedded, node: &str) -> Option<LocalDocument> {
    store.fetch_local(&db(), &format!("crossbar_groups-{node}"), soon()).await.unwrap()
}

/// Sends what waits, for ever.
fn sender_of(teller: &Arc<Teller>) -> tokio::task::JoinHandle<()> {
    let queue = Arc::clone(&teller.queue);
    tokio::spawn(async move {
        loop {
            queue.next().await.end(crate::waiting::Sent::Delivered);
        }
    })
}

#[tokio::test]
async fn the_work_of_a_server_that_is_gone_is_finished() {
    let (store, _folder) = opened().await;
    // The names of the two begin alike.
    let (_gone, gone_writes) = server(&store, "node");
    let (_other, other_writes) = server(&store, "node-2");
    let (here, writes) = server(&store, "here");
    let first = create(&gone_writes, "a").await;
    let tombstone = gone_writes.delete(&db(), &DocId::parse("a").unwrap(), &first, soon()).await.unwrap();
    let second = create(&gone_writes, "b").await;
    create(&other_writes, "c").await;
    create(&writes, "d").await;

    let told = Arc::new(Mutex::new(Vec::new()));
    let sender = tokio::spawn({
        let (queue, told) = (Arc::clone(&here.queue), Arc::clone(&told));
        async move {
            loop {
                let sending = queue.next().await;
                let (key, notice) = sending.notice().unwrap();
                let message = notice.message(key, "here");
                let payload: Value = serde_json::from_str(&message.payload).unwrap();
                told.lock().unwrap().push((payload["ID"].clone(), payload["Rev"].clone()));
                sending.end(crate::waiting::Sent::Delivered);
            }
        }
    });
    let entry = here.marks.roster.entry("node", soon()).await.unwrap().unwrap();
    here.take_over("node".to_owned(), entry).await.unwrap();
    sender.abort();
    let told = told.lock().unwrap().clone();
    for (id, rev) in [("a", &tombstone), ("b", &second)] {
        assert!(told.contains(&(json!(id), json!(rev.as_str()))), "{id}: {told:?}");
    }
    let names = |db: DbName| {
        let store = store.clone();
        async move {
            let found = store.list_local(&db, "", soon()).await.unwrap();
            found.into_iter().map(|document| document.name).collect::<Vec<_>>()
        }
    };
    let left = ["crossbar_groups-here", "crossbar_groups-node-2"];
    assert_eq!(names(db()).await, left);
    assert_eq!(names(SystemDb::SystemConfig.name().clone()).await, left);
}

/// It shows that it lives while another server tells its writes.
#[tokio::test]
async fn a_server_that_is_back_keeps_its_marks() {
    let (store, _folder) = opened().await;
    let (gone, gone_writes) = server(&store, "node");
    let (here, _writes) = server(&store, "here");
    create(&gone_writes, "a").await;
    let seen = here.marks.roster.entry("node", soon()).await.unwrap().unwrap();
    keeper::beat(&gone).await.unwrap();
    let sender = sender_of(&here);
    here.take_over("node".to_owned(), seen).await.unwrap();
    sender.abort();
    assert_eq!(here.queue.counts().sent, 1);
    assert!(mark(&store, "node").await.is_some());
    assert!(here.marks.roster.entry("node", soon()).await.unwrap().is_some());
}

/// The other server has removed some marks when this one is back.
#[tokio::test]
async fn a_server_that_is_back_writes_its_marks_again() {
    let (store, _folder) = opened().await;
    let (gone, gone_writes) = server(&store, "node");
    let (here, _writes) = server(&store, "here");
    create(&gone_writes, "a").await;
    let before = mark(&store, "node").await.unwrap();
    here.marks.roster.claim("node", soon()).await.unwrap();
    store.delete_local(&db(), &before.name, soon()).await.unwrap();
    keeper::beat(&gone).await.unwrap();
    let after = mark(&store, "node").await.unwrap();
    assert_eq!(after.body["seq"], before.body["seq"]);
    // The other server may still try to remove the mark that it has seen.
    let removed =
        store.delete_local_if(&db(), &before.name, &|found| *found == before, soon()).await.unwrap();
    assert!(!removed);
    let config = SystemDb::SystemConfig.name();
    let left = store.list_local(config, "crossbar_groups_takes_over", soon()).await.unwrap();
    assert_eq!(left, [], "the claim has ended");
}

/// A mark of the run before is not good enough: another server may be about to remove it.
#[tokio::test]
async fn the_next_run_writes_an_old_mark_again() {
    let (store, _folder) = opened().await;
    let (_gone, gone_writes) = server(&store, "node");
    create(&gone_writes, "a").await;
    let before = mark(&store, "node").await.unwrap();
    let (_back, writes) = server(&store, "node");
    create(&writes, "b").await;
    let removed =
        store.delete_local_if(&db(), &before.name, &|found| *found == before, soon()).await.unwrap();
    assert!(!removed);
    assert_eq!(mark(&store, "node").await.unwrap().body["seq"], before.body["seq"], "the older one counts");
}

#[tokio::test]
async fn two_servers_with_one_name_find_out() {
    let (store, _folder) = opened().await;
    let (one, _) = server(&store, "node");
    let shares = |teller: &Teller| teller.marks.roster.shares_name();
    // The entry of an earlier run is no other server.
    keeper::beat(&one).await.unwrap();
    let (other, other_writes) = server(&store, "node");
    keeper::beat(&other).await.unwrap();
    assert!(!shares(&one) && !shares(&other));
    keeper::beat(&one).await.unwrap();
    keeper::beat(&other).await.unwrap();
    assert!(shares(&one) && shares(&other));
    // One that stops takes neither the entry nor the mark of the other along.
    create(&other_writes, "a").await;
    one.marks.end_recovery();
    keeper::beat(&other).await.unwrap();
    keeper::end(&one, tokio::time::Instant::now()).await;
    assert!(one.marks.roster.entry("node", soon()).await.unwrap().is_some());
    assert!(mark(&store, "node").await.is_some());
    keeper::beat(&other).await.unwrap();
    assert!(!shares(&other));
}

/// A store that answers no read of a document, and counts them.
struct Dead {
    inner: Embedded,
    reads: AtomicUsize,
}

impl datastore::Layer for Dead {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn fetch<'a>(&'a self, _: &'a DbName, _: &'a DocId, _: Deadline) -> BoxFuture<'a, Result<Document>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        futures::future::ready(Err(StoreError::Transport(Cause::new("nobody is there")))).boxed()
    }
}

/// Each time a few are asked for, and none is lost.
#[tokio::test(start_paused = true)]
async fn doubts_do_not_storm_a_dead_store() {
    let folder = tempfile::tempdir().unwrap();
    let inner = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
    let store = Arc::new(Dead { inner, reads: AtomicUsize::new(0) });
    let (teller, _writes) = server_on(Arc::<Dead>::clone(&store), "node");
    for n in 0..200 {
        let key = DocKey { db: db(), id: DocId::parse(&format!("g{n}")).unwrap() };
        let kind = AttemptKind::Save(Stamp::of(&Map::new()));
        let attempt = Attempt { kind, base: None, facts: Facts::default() };
        teller.doubt(teller.marks.hold(&db()), Arc::new(key), attempt);
    }
    for pass in 1..=3 {
        tokio::time::advance(Duration::from_secs(6)).await;
        teller.settle_doubts(soon()).await;
        assert!(store.reads.load(Ordering::SeqCst) <= 10 * pass);
        assert_eq!(teller.doubt_count(), 200);
    }
}

/// A store that counts the calls of the background that it has at one time.
struct Counted {
    inner: Embedded,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counted {
    fn count<'a, T: Send + 'a>(&'a self, call: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let answer = call.await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            answer
        })
    }
}

impl datastore::Layer for Counted {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        self.count(self.inner.list_dbs(deadline))
    }

    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        self.count(self.inner.newest_seq(db, deadline))
    }

    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        self.count(self.inner.fetch_local(db, name, deadline))
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        self.count(self.inner.save_local(db, document, deadline))
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: datastore::LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        self.count(self.inner.delete_local_if(db, name, may, deadline))
    }
}

/// Whatever there is to do: the work of an earlier run, of three other servers, and marks to remove.
#[tokio::test]
async fn the_background_makes_four_calls_at_once() {
    let (store, _folder) = opened().await;
    let dbs: Vec<_> = (0..12).map(|n| AccountId::parse(&format!("{n:032x}")).unwrap().db()).collect();
    for db in &dbs {
        store.create_db(db, soon()).await.unwrap();
    }
    for node in ["here", "a", "b", "c"] {
        let (_, writes) = server(&store, node);
        for db in &dbs {
            let id = DocId::parse(node).unwrap();
            let body = object(json!({"pvt_type": "group"}));
            writes.save(db, Draft { id, base: None, body }, soon()).await.unwrap();
        }
    }
    let store = Arc::new(Counted { inner: store, now: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let (here, _) = server_on(Arc::<Counted>::clone(&store), "here");
    let sender = sender_of(&here);
    let take_over = async |node: &str| {
        let entry = here.marks.roster.entry(node, soon()).await.unwrap().unwrap();
        here.take_over(node.to_owned(), entry).await.unwrap();
    };
    let sweep = async {
        loop {
            here.marks.sweep(Duration::ZERO, &here.marks.turns, soon()).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let others = futures::future::join_all(["a", "b", "c"].map(take_over));
    tokio::select! {
        (recovered, _) = futures::future::join(here.recover(), others) => recovered.unwrap(),
        () = sweep => {}
    }
    here.queue.wait_until_empty().await;
    sender.abort();
    // Each server tells what was written since its own first write.
    assert_eq!(here.queue.counts().sent, 48 + 36 + 24 + 12);
    assert_eq!(store.most.load(Ordering::SeqCst), 4);
}
