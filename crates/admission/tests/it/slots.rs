//! Which calls hold a slot, and when it becomes free.

use std::sync::Arc;
use std::time::Duration;

use datastore::{
    Attachments, Changes, ChangesQuery, Databases, Deadline, DocId, Draft, LocalDocument, LocalDocuments,
    Rev, Store, ViewQuery,
};
use futures::StreamExt as _;
use futures::future::join_all;
use serde_json::Map;

use crate::store::{Gated, db_name, fetch, in_a_minute, query, settle};

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_than_may() {
    let gated = Gated::new(4, 1_000);
    let calls: Vec<_> = (0..100).map(|number| gated.fetch(["a", "b", "c"][number % 3])).collect();
    settle().await;
    assert_eq!(gated.store.in_flight(), 4);
    gated.store.answer(100);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((gated.store.begun(), gated.store.peak(), gated.store.in_flight()), (100, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn every_call_but_a_feed_needs_a_slot() {
    let gated = Gated::new(4, 100);
    // One database has half of the slots.
    let running = [gated.fetch("a"), gated.fetch("a")];
    settle().await;
    let (gate, db, id) = (&*gated.gate, db_name("a"), DocId::parse("a").unwrap());
    let (rev, by) = (Rev::parse("1-967a00dff5e02add41819138abb3284d").unwrap(), in_a_minute());
    let draft = || Draft { id: id.clone(), base: None, body: Map::new() };
    let ids = [id.clone()];
    let note = LocalDocument { name: "x".to_owned(), body: Map::new() };
    let refused = [
        Store::fetch(gate, &db, &id, by).await.err(),
        Store::fetch_many(gate, &db, &ids, by).await.err(),
        Store::save(gate, &db, draft(), by).await.err(),
        Store::save_many(gate, &db, vec![draft()], by).await.err(),
        Store::delete(gate, &db, &id, &rev, by).await.err(),
        query(gate, "a").await.err(),
        Attachments::fetch_attachment(gate, &db, &id, "x", by).await.err(),
        Databases::create_db(gate, &db, by).await.err(),
        Databases::db_exists(gate, &db, by).await.err(),
        Databases::delete_db(gate, &db, by).await.err(),
        Changes::newest_seq(gate, &db, by).await.err(),
        LocalDocuments::list_local(gate, &db, "", by).await.err(),
        LocalDocuments::fetch_local(gate, &db, "x", by).await.err(),
        LocalDocuments::save_local(gate, &db, note, by).await.err(),
        LocalDocuments::delete_local(gate, &db, "x", by).await.err(),
        LocalDocuments::delete_local_if(gate, &db, "x", &|_| true, by).await.err(),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        assert!(refused.is_some_and(|error| error.is_busy()), "call {call}");
    }
    assert_eq!(gated.store.begun(), 2, "a refused call does not reach the store");
    let mut feed = gate.changes(&db, ChangesQuery::default());
    assert!(feed.next().await.unwrap().is_ok());
    gated.store.answer(2);
    for call in running {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_gives_its_slot_back() {
    let gated = Gated::new(4, 100);
    let running = [gated.fetch("a"), gated.fetch("a")];
    settle().await;
    let waiting = [gated.fetch("a"), gated.fetch("a"), gated.fetch("a")];
    settle().await;
    assert_eq!(gated.store.begun(), 2);
    // One that waits, and one that runs: the next two of the queue run.
    waiting[0].abort();
    running[0].abort();
    settle().await;
    assert_eq!((gated.store.begun(), gated.store.in_flight()), (3, 2));
    running[1].abort();
    settle().await;
    assert_eq!((gated.store.begun(), gated.store.in_flight()), (4, 2));
    waiting[1].abort();
    waiting[2].abort();
    settle().await;
    assert_eq!(gated.store.in_flight(), 0);
    gated.store.answer(1);
    gated.fetch("a").await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_query_holds_its_slot_until_its_rows_end() {
    for db in ["a", "broken"] {
        let gated = Gated::new(4, 100);
        gated.store.answer(100);
        // With four slots, a database has one for queries.
        let mut rows = query(&gated.gate, db).await.unwrap();
        rows.next().await.unwrap().unwrap();
        let soon = Deadline::after(Duration::from_millis(100));
        let second = Store::query(&*gated.gate, &db_name(db), ViewQuery::all_docs(), soon).await;
        assert!(second.err().unwrap().is_busy());
        assert_eq!(rows.next().await.unwrap().is_ok(), db == "a");
        if db == "a" {
            assert!(rows.next().await.is_none());
        }
        drop(query(&gated.gate, db).await.unwrap());
        drop(query(&gated.gate, db).await.unwrap());
        assert!(rows.next().await.is_none(), "the rows have ended");
    }
}

/// A listing by user reads the user while it holds the rows. Many of them at once do not wait for each other.
#[tokio::test(start_paused = true)]
async fn callers_that_read_rows_may_make_other_calls() {
    let gated = Gated::new(4, 1_000);
    gated.store.answer(1_000_000);
    let listing = |number: usize| {
        let gate = Arc::clone(&gated.gate);
        async move {
            let db = ["a", "b", "c"][number % 3];
            let rows = query(&gate, db).await?;
            tokio::task::yield_now().await;
            fetch(&gate, db).await?;
            datastore::Result::Ok(rows.count().await)
        }
    };
    for outcome in join_all((0..200).map(listing)).await {
        assert_eq!(outcome.unwrap(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_readers_do_not_keep_slots_for_ever() {
    let gated = Gated::new(8, 100);
    gated.store.answer(1_000);
    let mut slow = Vec::new();
    for db in ["a", "a", "a", "b", "b", "b"] {
        slow.push(query(&gated.gate, db).await.unwrap());
    }
    // All slots for queries are held. A further query finds one when the others have become long.
    tokio::time::advance(Duration::from_millis(990)).await;
    drop(query(&gated.gate, "c").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_not_counted_needs_no_slot() {
    let gated = Gated::with(4, 1, |gate| gate.with_uncounted_fetch());
    let calls: Vec<_> = (0..100).map(|_| gated.fetch("a")).collect();
    settle().await;
    assert_eq!(gated.store.in_flight(), 100);
    gated.store.answer(100);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}
