//! Own writes: what the cache remembers of them, and which calls of the store they cost.

use std::sync::Arc;

use datastore::{DocId, Draft, Layer as _, Sign};
use serde_json::{Map, Value, json};

use crate::scripted::{Asked, id, revision, soon};
use crate::told::{rows, warm};

fn draft(id: &DocId, n: u64) -> Draft {
    let Value::Object(body) = json!({ "n": n, "name": "x" }) else { unreachable!() };
    Draft { id: id.clone(), base: Some(revision(1)), body }
}

/// The document may have another content than the one that was written.
#[tokio::test(start_paused = true)]
async fn a_hint_during_an_own_write_makes_the_store_be_asked() {
    for rev in [Some(revision(3)), None] {
        let (world, db, id) = warm().await;
        let turnstile = world.store.hold();
        let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), id.clone());
        let write = tokio::spawn(async move { cache.save(&of, draft(&what, 2), soon()).await.unwrap() });
        world.hear().await;
        world.hints.document(&db, &id, rev.as_ref());
        turnstile.add_permits(100);
        assert_eq!(write.await.unwrap(), revision(2));
        world.store.put(&db, &id, 3);
        assert_eq!(world.read(&db, &id).await, (3, Asked::Store));
    }
}

#[tokio::test(start_paused = true)]
async fn while_an_own_write_runs_the_store_is_asked() {
    let (world, db, id) = warm().await;
    assert_eq!(rows(&world, &db, "n").await, ["1"]);
    let turnstile = world.store.hold();
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), id.clone());
    let write = tokio::spawn(async move { cache.save(&of, draft(&what, 2), soon()).await.unwrap() });
    world.hear().await;
    turnstile.add_permits(2);
    // One of the permits goes to the write, so it may be acknowledged in between.
    assert_eq!(world.read(&db, &id).await.0, 2);
    assert_eq!(write.await.unwrap(), revision(2));
    turnstile.add_permits(100);
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
    assert_eq!(rows(&world, &db, "n").await, ["2"]);
}

/// A read that began before an own write ended is not joined after it.
#[tokio::test(start_paused = true)]
async fn a_read_from_before_an_own_write_is_not_shared_after_it() {
    let (world, db, _) = warm().await;
    let cold = id("cold");
    world.store.put(&db, &cold, 1);
    let turnstile = world.store.hold();
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), cold.clone());
    let old = tokio::spawn(async move { cache.fetch(&of, &what, soon()).await.unwrap() });
    world.hear().await;
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), cold.clone());
    let write = tokio::spawn(async move { cache.save(&of, draft(&what, 5), soon()).await.unwrap() });
    world.hear().await;
    turnstile.add_permits(100);
    write.await.unwrap();
    assert_eq!(world.read(&db, &cold).await.0, 5);
    assert_eq!(old.await.unwrap().rev(), &revision(1));
    assert_eq!(world.read(&db, &cold).await, (5, Asked::Memory));
}

/// A write that follows an own write takes its base from memory, and reads nothing.
#[tokio::test(start_paused = true)]
async fn an_own_write_is_remembered() {
    let (world, db, id) = warm().await;
    world.cache.save(&db, draft(&id, 2), soon()).await.unwrap();
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
    let document = world.cache.fetch(&db, &id, soon()).await.unwrap();
    assert_eq!(document.text(), r#"{"_id":"a","_rev":"2-a","n":2,"name":"x"}"#);
    // The feed tells the write, too.
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(2) }));
    world.hear().await;
    assert_eq!(world.read(&db, &id).await, (2, Asked::Memory));
}

/// The store may show some of these documents in another form than they were sent, and a long one is not written out.
#[tokio::test(start_paused = true)]
async fn an_own_write_that_is_long_or_has_odd_numbers_or_attachments_is_read_again() {
    let (world, db, id) = warm().await;
    for (odd, value) in [
        ("x", json!(1.5)),
        ("x", serde_json::from_str("123456789012345678901234567890").unwrap()),
        ("x", serde_json::from_str(r#"[{"y":-0}]"#).unwrap()),
        ("_attachments", json!({})),
        ("long", json!("x".repeat(20_000))),
        ("many", json!(vec!["x"; 5_000])),
    ] {
        let mut draft = draft(&id, 2);
        draft.body.extend(Map::from_iter([(odd.to_owned(), value)]));
        world.cache.save(&db, draft, soon()).await.unwrap();
        assert_eq!(world.read(&db, &id).await, (2, Asked::Store), "{odd}");
    }
}

/// The feed tells another program's write while the own one runs. Nobody knows which came last.
#[tokio::test(start_paused = true)]
async fn an_own_write_among_others_is_read_again() {
    let (world, db, id) = warm().await;
    let turnstile = world.store.hold();
    let (cache, of, what) = (Arc::clone(&world.cache), db.clone(), id.clone());
    let write = tokio::spawn(async move { cache.save(&of, draft(&what, 2), soon()).await.unwrap() });
    world.hear().await;
    world.store.put(&db, &id, 3);
    world.store.tell(&db, Ok(Sign::Changed { id: id.clone(), rev: revision(3) }));
    world.hear().await;
    turnstile.add_permits(100);
    write.await.unwrap();
    assert_eq!(world.read(&db, &id).await, (3, Asked::Store));
}
