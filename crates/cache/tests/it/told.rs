//! What is remembered and forgotten, step by step. Time stands still and only moves when a test says so.

use std::sync::Arc;
use std::time::Duration;

use cache::Settings;
use datastore::{Cause, DbName, DocId, Layer as _, Result, Sign, StoreError, ViewQuery};
use futures::TryStreamExt as _;
use tokio::time::advance;

use crate::scripted::{Asked, World, db, id, revision, soon};

fn names() -> (DbName, DocId) {
    (db("account"), id("a"))
}

/// A world in which a document was read once, with the feed alive.
pub(crate) async fn warm() -> (World, DbName, DocId) {
    let world = World::new();
    let (db, id) = names();
    world.store.put(&db, &id, 1);
    world.watch(&db, &id).await;
    world.cache.fetch(&db, &id, soon()).await.unwrap();
    (world, db, id)
}

pub(crate) async fn rows(world: &World, db: &DbName, view: &str) -> Vec<String> {
    let rows = world.cache.query(db, ViewQuery::of("d", view), soon()).await.unwrap();
    rows.map_ok(|row| row.value.get().to_owned()).try_collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_before_the_feed_shows_a_sign() {
    let world = World::new();
    let (db, id) = names();
    world.store.put(&db, &id, 1);
    for _ in 0..5 {
        assert_eq!(world.read(&db, &id).await, (1, Asked::Store));
        world.hear().await;
    }
    assert!(world.store.is_watched(&db));
    assert!(world.cache.epoch(&db).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_remembered_document_is_read_once() {
    let (world, db, id) = warm().await;
    assert_eq!(world.read(&db, &id).await, (1, Asked::Memory));
    assert_eq!(rows(&world, &db, "n").await, ["1"]);
    let before = world.store.reads();
    assert_eq!(rows(&world, &db, "n").await, ["1"]);
    assert_eq!(world.store.reads(), before);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_told_is_seen() {
    let (world, db, id) = warm().await;
    assert_eq!(rows(&world, &db, "n").await, ["1"]);
    let epoch = world.cache.epoch(&db).unwrap();
    world.store.put(&db, &id, 2);
    // Nobody has told it yet.
    assert_eq!(world.read(&db, &id).await, (1, Asked::Memory));
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(2) }));
    world.hear().await;
    assert!(!epoch.is_current());
    assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
    assert_eq!(rows(&world, &db, "n").await, ["2"]);
}

/// A document's epoch lasts while others change, unless one of them belongs to its part.
#[tokio::test(start_paused = true)]
async fn a_change_ends_the_epochs_of_few_other_documents() {
    let (world, db, id) = warm().await;
    let others: Vec<_> = (0..100).map(|n| DocId::parse(&format!("other{n}")).unwrap()).collect();
    let epoch_of = |id: &DocId| world.cache.epoch_of(&db, id).unwrap();
    for _ in 0..2 {
        let (own, of_others): (_, Vec<_>) = (epoch_of(&id), others.iter().map(epoch_of).collect());
        world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(2) }));
        world.hear().await;
        assert!(!own.is_current());
        let lasting = of_others.iter().filter(|epoch| epoch.is_current()).count();
        assert!(lasting > 50, "{lasting} of 100 last");
    }
    let (own, of_others): (_, Vec<_>) = (epoch_of(&id), others.iter().map(epoch_of).collect());
    world.store.tell(&db, Err(StoreError::Unavailable(Cause::new("cut"))));
    world.hear().await;
    assert!(!own.is_current() && of_others.iter().all(|epoch| !epoch.is_current()));
    assert!(world.cache.epoch_of(&db, &id).is_none());
}

/// A hint comes before the feed tells the same, or instead of it.
#[tokio::test(start_paused = true)]
async fn a_hint_is_as_good_as_the_feed() {
    for rev in [Some(revision(2)), None] {
        let (world, db, id) = warm().await;
        assert_eq!(rows(&world, &db, "n").await, ["1"]);
        let epoch = world.cache.epoch(&db).unwrap();
        world.store.put(&db, &id, 2);
        world.hints.document(&db, &id, rev.as_ref());
        assert!(!epoch.is_current());
        assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
        assert_eq!(rows(&world, &db, "n").await, ["2"]);
        // A hint that comes late forgets nothing that is true.
        world.hints.document(&db, &id, Some(&revision(2)));
        assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
        world.hints.document(&crate::scripted::db("other"), &id, None);
        assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_about_a_database_forgets_all_of_it() {
    let (world, db, id) = warm().await;
    world.store.put(&db, &id, 2);
    world.hints.database(&db);
    assert!(world.cache.epoch(&db).is_none());
    assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
    advance(Duration::from_millis(1_100)).await;
    world.hear().await;
    world.watch(&db, &id).await;
    assert_eq!(world.store.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_known_already_forgets_no_document() {
    let (world, db, id) = warm().await;
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(1) }));
    world.store.tell(&db, Ok(Sign::Changed { id: crate::scripted::id("other"), rev: revision(7) }));
    world.hear().await;
    assert_eq!(world.read(&db, &id).await, (1, Asked::Memory));
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_remembered_until_a_change_is_told() {
    let (world, db, _) = warm().await;
    let absent = id("absent");
    for _ in 0..3 {
        let before = world.store.reads();
        let answer = world.cache.fetch(&db, &absent, soon()).await;
        assert!(matches!(answer, Err(StoreError::Missing(_))));
        assert!(world.store.reads() <= before + 1);
    }
    let before = world.store.reads();
    assert!(world.cache.fetch(&db, &absent, soon()).await.is_err());
    assert_eq!(world.store.reads(), before);
    world.store.put(&db, &absent, 1);
    world.store.tell(&db, Ok(Sign::Changed { id: absent.clone(), rev: revision(1) }));
    world.hear().await;
    assert_eq!(world.read(&db, &absent).await, (1, Asked::Store));
}

/// The answer of a read that a change overtakes goes to who waits for it, and is not remembered.
#[tokio::test(start_paused = true)]
async fn a_read_that_is_overtaken_is_not_remembered() {
    let (world, db, id) = warm().await;
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(2) }));
    world.hear().await;
    let turnstile = world.store.hold();
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), id.clone());
    let slow = tokio::spawn(async move { cache.fetch(&of, &what, soon()).await.unwrap() });
    world.hear().await;
    world.store.put(&db, &id, 3);
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(3) }));
    world.hear().await;
    turnstile.add_permits(100);
    assert_eq!(slow.await.unwrap().rev(), &revision(1));
    assert_eq!(world.read(&db, &id).await, (3, Asked::Store));
    assert_eq!(world.read(&db, &id).await, (3, Asked::Memory));
}

#[tokio::test(start_paused = true)]
async fn a_silent_feed_does_not_count_until_it_speaks_again() {
    let (world, db, id) = warm().await;
    advance(Duration::from_millis(2_900)).await;
    assert_eq!(world.read(&db, &id).await, (1, Asked::Memory));
    advance(Duration::from_millis(200)).await;
    world.store.put(&db, &id, 2);
    assert!(world.cache.epoch(&db).is_none());
    assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
    // What it was late to tell comes before its next sign of life.
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(2) }));
    world.store.tell(&db, Ok(Sign::Alive(Duration::from_secs(3))));
    world.hear().await;
    assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_is_forgotten_with_its_memory_and_opened_again_after_a_pause() {
    let (world, db, id) = warm().await;
    let epoch = world.cache.epoch(&db).unwrap();
    world.store.tell(&db, Err(StoreError::Transport(Cause::new("cut"))));
    world.hear().await;
    assert!(!epoch.is_current());
    world.store.put(&db, &id, 2);
    assert_eq!(world.read(&db, &id).await, (2, Asked::Store));
    world.hear().await;
    assert_eq!(world.store.opened(), 1);
    advance(Duration::from_millis(1_100)).await;
    world.watch(&db, &id).await;
    assert_eq!(world.store.opened(), 2);
    assert!(!epoch.is_current(), "an epoch of an old session came back");
    world.read(&db, &id).await;
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
    world.store.end_feed(&db);
    world.hear().await;
    assert!(world.cache.epoch(&db).is_none());
}

#[tokio::test(start_paused = true)]
async fn reads_of_the_same_share_one_call() {
    let (world, db, _) = warm().await;
    let cold = id("cold");
    world.store.put(&db, &cold, 1);
    let turnstile = world.store.hold();
    let before = world.store.reads();
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let (cache, db, cold) = (Arc::clone(&world.cache), db.clone(), cold.clone());
            tokio::spawn(async move { cache.fetch(&db, &cold, soon()).await })
        })
        .collect();
    world.hear().await;
    // The first one does not wait any longer. The others do.
    readers[0].abort();
    world.hear().await;
    turnstile.add_permits(1);
    for reader in readers.into_iter().skip(1) {
        assert_eq!(reader.await.unwrap().unwrap().rev(), &revision(1));
    }
    assert_eq!(world.store.reads(), before + 1);
}

/// A call that nobody waits for any more is dropped, and does not stop the next one.
#[tokio::test(start_paused = true)]
async fn an_abandoned_read_is_made_again() {
    let (world, db, _) = warm().await;
    let cold = id("cold");
    world.store.put(&db, &cold, 1);
    let turnstile = world.store.hold();
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), cold.clone());
    let reader = tokio::spawn(async move { cache.fetch(&of, &what, soon()).await });
    world.hear().await;
    reader.abort();
    world.hear().await;
    turnstile.add_permits(2);
    assert_eq!(world.read(&db, &cold).await, (1, Asked::Store));
    assert_eq!(world.read(&db, &cold).await, (1, Asked::Memory));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_database_is_forgotten() {
    let (world, db, id) = warm().await;
    world.cache.delete_db(&db, soon()).await.unwrap();
    assert!(world.cache.epoch(&db).is_none());
    assert!(world.cache.fetch(&db, &id, soon()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_streamed_and_not_remembered() {
    let (world, db, _) = warm().await;
    for asked in [2, 1, 1] {
        let before = world.store.reads();
        assert_eq!(rows(&world, &db, "long").await.len(), 1_000);
        assert_eq!(world.store.reads() - before, asked);
    }
}

fn alive(seconds: u64) -> Result<Sign> {
    Ok(Sign::Alive(Duration::from_secs(seconds)))
}

/// The feed of the system database shows that the store is there, so the others need to show it less often.
#[tokio::test(start_paused = true)]
async fn a_feed_with_rare_signs_of_life_counts_only_while_the_store_is_there() {
    let (system, one, a) = (db("system"), db("one"), id("a"));
    let heartbeat = Duration::from_secs(2);
    let always = vec![system.clone()];
    let world = World::with(Settings { bytes: 1_000_000, feeds: 3, heartbeat, always });
    world.store.put(&one, &a, 1);
    world.hear().await;
    assert_eq!(world.store.heartbeat(&system), Duration::from_secs(2));
    world.store.tell(&system, alive(3));
    world.hear().await;
    world.watch(&one, &a).await;
    assert_eq!(world.store.heartbeat(&one), Duration::from_secs(6));
    world.store.tell(&one, alive(9));
    world.hear().await;
    world.read(&one, &a).await;
    advance(Duration::from_secs(2)).await;
    assert_eq!(world.read(&one, &a).await, (1, Asked::Memory));
    // The system database is silent, so nobody knows what the other feed is worth.
    advance(Duration::from_secs(2)).await;
    assert_eq!(world.read(&one, &a).await, (1, Asked::Store));
    world.store.tell(&system, alive(3));
    world.hear().await;
    assert_eq!(world.read(&one, &a).await, (1, Asked::Memory));
    // It is gone for good: the other feed shows signs of life often from now on.
    world.store.end_feed(&system);
    while world.store.heartbeat(&one) != Duration::from_secs(2) {
        advance(Duration::from_secs(1)).await;
        world.hear().await;
        assert_eq!(world.read(&one, &a).await, (1, Asked::Store));
    }
}

/// Operators see how long the store has been silent, also while no feed can be opened.
#[tokio::test(start_paused = true)]
async fn the_lag_is_the_time_for_which_a_feed_was_not_heard() {
    let (system, absent) = (db("system"), db("absent"));
    let heartbeat = Duration::from_secs(2);
    let always = vec![system.clone(), absent.clone()];
    let world = World::with(Settings { bytes: 1_000_000, feeds: 3, heartbeat, always });
    world.hear().await;
    // A database that does not exist has no changes.
    world.store.tell(&absent, Err(StoreError::DatabaseMissing(Cause::new("absent"))));
    world.store.tell(&system, alive(3));
    world.hear().await;
    let lag = || (world.figures)().lag.as_secs();
    assert_eq!(lag(), 0);
    advance(Duration::from_millis(2_900)).await;
    assert_eq!(lag(), 0, "the next sign of life is not late yet");
    advance(Duration::from_millis(10_100)).await;
    assert_eq!(lag(), 10);
    world.store.tell(&system, alive(3));
    world.hear().await;
    assert_eq!(lag(), 0);
    // The feed ends, and its next one shows no sign of life.
    world.store.end_feed(&system);
    world.hear().await;
    advance(Duration::from_secs(20)).await;
    world.hear().await;
    assert_eq!(lag(), 20);
    world.store.tell(&system, alive(3));
    world.hear().await;
    assert_eq!(lag(), 0);
}

/// A database that is in use keeps its feed. One that is not makes room.
#[tokio::test(start_paused = true)]
async fn the_number_of_feeds_is_bounded() {
    let heartbeat = Duration::from_secs(2);
    let always = vec![db("system")];
    let world = World::with(Settings { bytes: 1_000_000, feeds: 3, heartbeat, always });
    let a = id("a");
    for name in ["one", "two", "three"] {
        world.store.put(&db(name), &a, 1);
    }
    world.hear().await;
    assert!(world.store.is_watched(&db("system")));
    world.watch(&db("one"), &a).await;
    world.watch(&db("two"), &a).await;
    for _ in 0..5 {
        assert_eq!(world.read(&db("three"), &a).await, (1, Asked::Store));
        world.hear().await;
    }
    assert!(!world.store.is_watched(&db("three")));
    advance(Duration::from_secs(11)).await;
    world.read(&db("two"), &a).await;
    world.read(&db("three"), &a).await;
    world.hear().await;
    let watched = ["system", "one", "two", "three"].map(|name| world.store.is_watched(&db(name)));
    assert_eq!(watched, [true, false, true, true]);
    assert_eq!((world.figures)().feeds, 3);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded() {
    let (world, db, _) = warm().await;
    for n in 0..5_000 {
        let id = id(&format!("d{n}"));
        world.store.put(&db, &id, 1);
        world.cache.fetch(&db, &id, soon()).await.unwrap();
    }
    let figures = (world.figures)();
    assert!(figures.bytes <= 1_000_000, "{figures:?}");
    assert!(figures.entries > 1_000, "{figures:?}");
}
