//! A server that is killed between a write and its notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datastore::{
    Backend, Cause, Change, ChangesQuery, DbName, Deadline, Layer, LocalDocument, Result, Rev, StoreError,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use kazoo::AccountId;
use serde_json::json;

use crate::world::{Mode, World, db, doc_id, draft, group_with, soon, wait_until};

fn told(event: &str, id: &str, rev: &Rev) -> (String, String, String) {
    (event.to_owned(), id.to_owned(), rev.to_string())
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

#[tokio::test]
async fn every_acknowledged_write_is_told_after_a_kill() {
    check_kill(&World::new().await, "n").await;
}

/// A real CouchDB keeps what other runs of this test have left, so the database is deleted at the end, and the
/// node has a name of its own.
#[tokio::test]
async fn every_acknowledged_write_is_told_after_a_kill_on_couchdb() {
    let world = World::on_couchdb().await;
    check_kill(&world, &format!("n-{}", datastore::random_hex())).await;
    world.store.delete_db(&db(), soon()).await.unwrap();
}

async fn check_kill(world: &World, node: &str) {
    world.broker.set(Mode::Down);
    let server = world.server(node);
    let created = server.create("created").await;
    let first = server.create("edited").await;
    let edited = server.save("edited", Some(&first), group_with("n", 2)).await;
    let soft = server.create("soft").await;
    let soft = server.save("soft", Some(&soft), group_with("pvt_deleted", true)).await;
    let hard = server.create("hard").await;
    let hard = server.delete("hard", &hard).await;
    server.kill().await;

    world.broker.set(Mode::Up);
    let server = world.server(node);
    world.broker.wait_for(4).await;
    wait_until("all are confirmed", || server.counts().waiting == 0).await;
    let expected = [
        told("doc_created", "created", &created),
        told("doc_edited", "edited", &edited),
        told("doc_deleted", "soft", &soft),
        told("doc_deleted", "hard", &hard),
    ];
    assert_eq!(sorted(world.broker.told()), sorted(expected.to_vec()));
    let hard = world.broker.got().into_iter().find(|message| message.routing_key.ends_with(".hard")).unwrap();
    assert!(
        hard.payload.contains("\"Type\":\"group\"") && hard.payload.contains("\"Is-Soft-Deleted\":false")
    );
    server.stop().await;
    assert!(world.local(&db()).await.is_empty(), "{:?}", world.local(&db()).await);
}

/// The note of a deletion, which a kill needs, has the same name for each deletion of one id.
#[tokio::test]
async fn a_second_deletion_of_an_id_is_told_after_a_kill() {
    let world = World::new().await;
    let server = world.server("n");
    let first = server.create("a").await;
    server.delete("a", &first).await;
    wait_until("the confirmation", || server.counts().sent == 2).await;
    world.broker.set(Mode::Down);
    let again = server.create("a").await;
    let deleted = server.delete("a", &again).await;
    // The marks are looked through every two seconds.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    server.kill().await;
    world.broker.forget();
    world.broker.set(Mode::Up);
    let server = world.server("n");
    world.broker.wait_for(1).await;
    assert_eq!(world.broker.told(), [told("doc_deleted", "a", &deleted)]);
    server.stop().await;
}

/// After a kill, groups of others are told too. Nothing else is, and without a kill nothing of others.
#[tokio::test]
async fn others_are_told_only_after_a_kill() {
    let world = World::new().await;
    world.broker.set(Mode::Down);
    let server = world.server("n");
    server.create("own").await;
    let other = world.store.save(&db(), draft("kazoo", None, group_with("n", 1)), soon()).await.unwrap();
    world.store.save(&db(), draft("user", None, json!({"pvt_type": "user"})), soon()).await.unwrap();
    let gone = world.store.save(&db(), draft("gone", None, group_with("n", 1)), soon()).await.unwrap();
    world.store.delete(&db(), &doc_id("gone"), &gone, soon()).await.unwrap();
    world.broker.set(Mode::Up);
    world.broker.wait_for(1).await;
    server.stop().await;
    assert_eq!(world.broker.told().len(), 1, "{:?}", world.broker.told());

    world.broker.set(Mode::Down);
    world.broker.forget();
    let server = world.server("n");
    let own = server.create("own 2").await;
    let other =
        world.store.save(&db(), draft("kazoo", Some(&other), group_with("n", 2)), soon()).await.unwrap();
    server.kill().await;
    world.broker.set(Mode::Up);
    let server = world.server("n");
    world.broker.wait_for(2).await;
    server.stop().await;
    let expected = vec![told("doc_created", "own 2", &own), told("doc_edited", "kazoo", &other)];
    assert_eq!(sorted(world.broker.told()), sorted(expected));
}

/// A write before the recovery has come to its database does not make the old mark newer.
#[tokio::test]
async fn a_write_of_the_next_run_keeps_the_old_mark() {
    let world = World::new().await;
    world.broker.set(Mode::Down);
    let server = world.server("n");
    let old = server.create("old").await;
    let changed = server.create("changed").await;
    server.kill().await;
    for round in 0..5 {
        let server = world.server("n");
        server.create(&format!("round {round}")).await;
        server.kill().await;
    }
    let server = world.server("n");
    let changed = server.save("changed", Some(&changed), group_with("n", 2)).await;
    world.broker.set(Mode::Up);
    let done = || world.broker.told().iter().any(|(_, id, _)| id == "old") && server.counts().waiting == 0;
    wait_until("the old write", done).await;
    server.stop().await;
    let all = world.broker.told();
    assert!(all.contains(&told("doc_created", "old", &old)), "{all:?}");
    let last = all.iter().rev().find(|(_, id, _)| id == "changed").unwrap();
    assert_eq!(last.2, changed.to_string());
    for round in 0..5 {
        assert!(all.iter().any(|(_, id, _)| *id == format!("round {round}")), "{all:?}");
    }
}

/// The kill comes before the deletion. The note alone tells nothing.
#[tokio::test]
async fn a_deletion_that_was_not_made_is_not_told() {
    let world = World::new().await;
    let server = world.server("n");
    let rev = server.create("a").await;
    let stale = Rev::parse("1-0000").unwrap();
    let refused = server.store.delete(&db(), &doc_id("a"), &stale, soon()).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    world.broker.wait_for(1).await;
    server.kill().await;
    assert_eq!(world.local(&db()).await.len(), 2, "a mark and a note");
    world.broker.forget();
    let server = world.server("n");
    world.broker.wait_for(1).await;
    server.stop().await;
    assert_eq!(world.broker.told(), [told("doc_created", "a", &rev)]);
    assert!(world.local(&db()).await.is_empty());
}

/// A server that stops in order has nothing to recover. One that could not send everything has.
#[tokio::test]
async fn a_server_that_stops_with_waiting_notices_tells_them_later() {
    let world = World::new().await;
    let config = DbName::parse("system_config").unwrap();
    let server = world.server("n");
    server.create("a").await;
    world.broker.wait_for(1).await;
    assert_eq!(world.local(&config).await.len(), 1);
    server.stop().await;
    assert!(world.local(&config).await.is_empty());

    world.broker.set(Mode::Down);
    let server = world.server("n");
    let rev = server.create("b").await;
    server.stop().await;
    assert_eq!((world.local(&config).await.len(), world.local(&db()).await.len()), (1, 1));
    world.broker.forget();
    world.broker.set(Mode::Up);
    let server = world.server("n");
    world.broker.wait_for(1).await;
    server.stop().await;
    assert_eq!(world.broker.told(), [told("doc_created", "b", &rev)]);
    assert!(world.local(&config).await.is_empty() && world.local(&db()).await.is_empty());
}

/// The number of changes is larger than one page of the feed.
#[tokio::test]
async fn many_changes_are_all_told() {
    let world = World::new().await;
    world.broker.set(Mode::Down);
    let server = world.server("n");
    server.create("first").await;
    let drafts = (0..1_200).map(|n| draft(&format!("g{n}"), None, group_with("n", n))).collect();
    let saved = server.store.save_many(&db(), drafts, soon()).await.unwrap();
    assert!(saved.iter().all(Result::is_ok));
    assert_eq!(server.counts().waiting, 1_201);
    server.kill().await;
    world.broker.set(Mode::Up);
    let server = world.server("n");
    world.broker.wait_for(1_201).await;
    server.stop().await;
    let ids = sorted(world.broker.told().into_iter().map(|(_, id, _)| id).collect());
    let mut unique = ids.clone();
    unique.dedup();
    assert_eq!((ids.len(), unique.len()), (1_201, 1_201));
}

/// A store that cannot read the changes of some databases.
struct Unreadable {
    inner: Arc<dyn Backend>,
    dbs: Vec<DbName>,
}

impl Layer for Unreadable {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        if self.dbs.contains(db) {
            let error = StoreError::Transport(Cause::new("a shard is lost"));
            return stream::iter([Err(error)]).boxed();
        }
        self.inner.changes(db, query)
    }
}

/// Accounts whose changes cannot be read hold up no other account, and their marks stay.
#[tokio::test]
async fn an_account_that_cannot_be_read_holds_up_no_other() {
    let world = World::new().await;
    // They come first, and are more than are recovered at once.
    let bad: Vec<DbName> = (0..9).map(|n| AccountId::parse(&format!("{n:032x}")).unwrap().db()).collect();
    world.broker.set(Mode::Down);
    let server = world.server("n");
    for db in &bad {
        world.store.create_db(db, soon()).await.unwrap();
        server.store.save(db, draft("untold", None, group_with("n", 1)), soon()).await.unwrap();
    }
    let good = server.create("good").await;
    server.kill().await;
    world.broker.set(Mode::Up);
    let store = Unreadable { inner: Arc::clone(&world.store), dbs: bad.clone() };
    let server = world.server_on(Arc::new(store), "n");
    world.broker.wait_for(1).await;
    assert_eq!(world.broker.told(), [told("doc_created", "good", &good)]);
    server.stop().await;
    for db in &bad {
        assert_eq!(world.local(db).await.len(), 1, "{db}: the mark stays");
    }
    // Once they can be read, they are told.
    let server = world.server("n");
    wait_until("all are told", || world.broker.got().len() >= 10).await;
    server.stop().await;
}

/// A cluster whose answering copy lacks the last writes, until it has been asked once.
struct Lagging {
    inner: Arc<dyn Backend>,
    /// The document whose change it lacks.
    lacks: &'static str,
    asked: AtomicBool,
}

impl Lagging {
    fn before(inner: Arc<dyn Backend>, lacks: &'static str) -> Arc<Self> {
        Arc::new(Self { inner, lacks, asked: AtomicBool::new(false) })
    }
}

impl Layer for Lagging {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        if self.asked.load(Ordering::SeqCst) {
            return self.inner.list_local(db, prefix, deadline);
        }
        futures::future::ready(Ok(Vec::new())).boxed()
    }

    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        let changes = self.inner.changes(db, query);
        if self.asked.swap(true, Ordering::SeqCst) {
            return changes;
        }
        let lacks = self.lacks;
        changes.try_filter(move |change| futures::future::ready(change.id.as_str() != lacks)).boxed()
    }
}

/// The changes are read once more before the mark goes. What was told is not told again.
#[tokio::test]
async fn a_copy_that_lags_behind_loses_nothing() {
    let mut world = World::new().await;
    world.second_look = Some(Duration::from_millis(300));
    world.broker.set(Mode::Down);
    let server = world.server("n");
    let seen = server.create("seen").await;
    let missing = server.create("missing").await;
    server.kill().await;
    world.broker.set(Mode::Up);
    let server = world.server_on(Lagging::before(Arc::clone(&world.store), "missing"), "n");
    world.broker.wait_for(2).await;
    wait_until("all are confirmed", || server.counts().waiting == 0).await;
    server.stop().await;
    let expected = [told("doc_created", "seen", &seen), told("doc_created", "missing", &missing)];
    assert_eq!(world.broker.told(), expected);
}

/// Only the note says what the notice of a deletion needs, and only a list shows the notes.
#[tokio::test]
async fn a_copy_that_lags_behind_loses_no_deletion() {
    let mut world = World::new().await;
    world.second_look = Some(Duration::from_millis(300));
    let server = world.server("n");
    let rev = server.create("gone").await;
    world.broker.wait_for(1).await;
    world.broker.set(Mode::Down);
    let rev = server.delete("gone", &rev).await;
    server.kill().await;
    world.broker.forget();
    world.broker.set(Mode::Up);
    let server = world.server_on(Lagging::before(Arc::clone(&world.store), "nothing"), "n");
    world.broker.wait_for(1).await;
    wait_until("all are confirmed", || server.counts().waiting == 0).await;
    server.stop().await;
    assert_eq!(world.broker.told(), [told("doc_deleted", "gone", &rev)]);
}
