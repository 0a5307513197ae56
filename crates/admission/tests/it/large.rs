//! Large calls take turns.

use std::time::Duration;

use admission::Admission;
use datastore::{Deadline, Store, ViewQuery};
use futures::StreamExt as _;
use tokio::time::{Instant, advance};

use crate::store::{Gated, db_name, fetch, query, settle};

/// The turns of one database.
const TURNS: usize = 2;

/// A gate with turns for large calls, before a store that answers at once.
fn gated() -> Gated {
    let gated = Gated::with(64, 256, Admission::with_large_turns);
    gated.store.answer(1_000_000);
    gated
}

/// Begins queries. Returns how many of them the store has got at once.
async fn begun_at_once(gated: &Gated, db: &'static str, calls: usize) -> usize {
    let before = gated.store.begun();
    let queries: Vec<_> = (0..calls)
        .map(|_| {
            let gate = std::sync::Arc::clone(&gated.gate);
            tokio::spawn(
                async move { query(&gate, db).await.map(|rows| (rows, std::future::pending::<()>())) },
            )
        })
        .collect();
    settle().await;
    for query in &queries {
        query.abort();
    }
    gated.store.begun() - before
}

#[tokio::test(start_paused = true)]
async fn a_view_is_tried_before_it_is_asked_by_many() {
    let gated = gated();
    let held = [query(&gated.gate, "a").await.unwrap(), query(&gated.gate, "a").await.unwrap()];
    let soon = Deadline::after(Duration::from_millis(100));
    let third = Store::query(&*gated.gate, &db_name("a"), ViewQuery::all_docs(), soon).await;
    assert!(third.err().unwrap().is_busy(), "the rows are not known to be small");
    drop(query(&gated.gate, "b").await.unwrap());
    for rows in held {
        assert_eq!(rows.count().await, 2);
    }
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(query(&gated.gate, "a").await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn queries_with_large_rows_take_turns() {
    let gated = gated();
    assert_eq!(query(&gated.gate, "large").await.unwrap().count().await, 2);
    let _held = [query(&gated.gate, "large").await.unwrap(), query(&gated.gate, "large").await.unwrap()];
    assert_eq!(begun_at_once(&gated, "large", 60).await, 0);
    // Neither small calls of this database nor those of others wait for them.
    let before = Instant::now();
    for db in ["large", "other"] {
        fetch(&gated.gate, db).await.unwrap();
    }
    drop(query(&gated.gate, "other").await.unwrap());
    drop(query(&gated.gate, "large-other").await.unwrap());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// A client that takes its rows slowly does not keep the turns from the others. A store that is slow does.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_keep_its_turn() {
    let gated = gated();
    let mut slow = Vec::new();
    for _ in 0..TURNS {
        let mut rows = query(&gated.gate, "large").await.unwrap();
        assert!(rows.next().await.unwrap().is_ok());
        slow.push(rows);
    }
    advance(Duration::from_millis(900)).await;
    drop(query(&gated.gate, "large").await.unwrap());
    for rows in &mut slow {
        assert!(rows.next().await.unwrap().is_ok());
    }
}

/// The rows of a view were small, and now they are large: the stream waits for a turn before it is read on.
#[tokio::test(start_paused = true)]
async fn a_stream_that_turns_out_to_be_large_waits_for_a_turn() {
    let gated = gated();
    gated.store.be_small(true);
    assert_eq!(query(&gated.gate, "large").await.unwrap().count().await, 2);
    gated.store.be_small(false);
    let mut streams = Vec::new();
    for _ in 0..=TURNS {
        streams.push(query(&gated.gate, "large").await.unwrap());
    }
    for rows in &mut streams {
        assert!(rows.next().await.unwrap().is_ok());
    }
    let mut last = streams.pop().unwrap();
    for rows in &mut streams {
        assert!(rows.next().await.unwrap().is_ok());
    }
    assert!(futures::poll!(last.next()).is_pending());
    drop(streams);
    let before = Instant::now();
    assert!(last.next().await.unwrap().is_ok());
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(last.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn large_documents_take_turns() {
    let gated = Gated::with(64, 256, Admission::with_large_turns);
    gated.store.answer(1);
    fetch(&gated.gate, "large").await.unwrap();
    let before = gated.store.begun();
    let calls: Vec<_> = (0..60).map(|_| gated.fetch("large")).collect();
    settle().await;
    assert_eq!(gated.store.begun() - before, TURNS);
    gated.store.answer(60);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}
