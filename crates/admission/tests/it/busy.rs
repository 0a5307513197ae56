//! Which calls wait, for how long, and which are refused.

use std::time::Duration;

use datastore::{Deadline, DocId, Store};
use tokio::time::Instant;

use crate::store::{Gated, db_name, fetch, settle};

/// Fills the slots and the queue with calls of the database `a`.
async fn burst(queue: usize) -> Gated {
    let gated = Gated::new(4, queue);
    for _ in 0..2 + queue {
        // The calls go on without their handles.
        drop(gated.fetch("a"));
    }
    settle().await;
    assert_eq!(gated.store.in_flight(), 2);
    gated
}

/// Checks that a call is refused after `ms` milliseconds. Timers and other refusals add a few.
async fn check_refused_after(gated: &Gated, ms: u128) {
    let begun = Instant::now();
    assert!(fetch(&gated.gate, "a").await.unwrap_err().is_busy());
    let took = begun.elapsed().as_millis();
    assert!((ms..=ms + 3).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_second_at_most() {
    let gated = Gated::new(4, 10);
    let running = [gated.fetch("a"), gated.fetch("a")];
    settle().await;
    for _ in 0..2 {
        let before = gated.fetch("a");
        settle().await;
        check_refused_after(&gated, 1_000).await;
        assert!(before.await.unwrap().unwrap_err().is_busy());
    }
    gated.store.answer(2);
    for call in running {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_overload_the_calls_of_a_long_queue_wait_for_a_tenth() {
    let gated = burst(12).await;
    let quiet = [gated.fetch("b"), gated.fetch("b"), gated.fetch("b")];
    settle().await;
    // The third call of `b` took the slot of a call of `a`. All others of `a` but the last few give up.
    tokio::time::sleep(Duration::from_millis(110)).await;
    gated.store.answer(1_000);
    for call in quiet {
        call.await.unwrap().unwrap();
    }
    settle().await;
    assert!(gated.store.begun() <= 4 + 3, "{} calls did not give up", gated.store.begun());
}

/// Clients that ask again as soon as they are answered never let the queue become empty.
#[tokio::test(start_paused = true)]
async fn a_short_queue_ends_the_overload() {
    let gated = burst(12).await;
    check_refused_after(&gated, 0).await;
    tokio::time::sleep(Duration::from_millis(110)).await;
    // Three are left in the queue. Another one waits as long as in calm times.
    check_refused_after(&gated, 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_the_queue_full_is_refused_at_once() {
    let gated = burst(10).await;
    check_refused_after(&gated, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_one_database_refuses_no_call_of_another() {
    let gated = burst(10).await;
    let quiet = gated.fetch("b");
    settle().await;
    assert_eq!(gated.store.in_flight(), 3, "half of the slots are free for others");
    let (second, third) = (gated.fetch("b"), gated.fetch("b"));
    settle().await;
    assert_eq!(gated.store.in_flight(), 4);
    // The third waits in the slot of a call of the burst. It is its turn as soon as a slot is free.
    gated.store.answer(1_000);
    for call in [quiet, second, third] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_never_waits_past_its_deadline() {
    let gated = Gated::new(4, 10);
    let _running = [gated.fetch("a"), gated.fetch("a")];
    settle().await;
    let (db, id) = (db_name("a"), DocId::parse("a").unwrap());
    let begun = Instant::now();
    let late = Store::fetch(&*gated.gate, &db, &id, Deadline::after(Duration::from_millis(30))).await;
    assert!(late.unwrap_err().is_busy());
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(10) && took < Duration::from_millis(900), "{took:?}");
}

/// Refusals are spread over time, so that clients that ask again at once do not keep the server busy.
#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_is_slowed_down() {
    let gated = burst(10).await;
    let begun = Instant::now();
    let storm: Vec<_> = (0..1_000).map(|_| gated.fetch("a")).collect();
    for call in storm {
        assert!(call.await.unwrap().unwrap_err().is_busy());
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(999) && took < Duration::from_millis(1_200), "{took:?}");
}
