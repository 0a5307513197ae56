//! Writers that wait for their turns. The clock is the test's own, and no time passes but by waiting.

use std::time::{Duration, Instant};

use datastore::{DbName, Deadline, StoreError};
use futures::FutureExt as _;
use futures::future::join_all;

use super::{MAX_WAITING, MAX_WAITING_IN_DB, Turn, Turns, last_start};

fn db(name: &str) -> DbName {
    DbName::parse(name).unwrap()
}

fn later() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Takes a turn that must come at once.
fn take(turns: &Turns, db_name: &str, id: &str) -> Turn {
    turns.take(&db(db_name), id, later()).now_or_never().expect("nobody else has the turn").unwrap()
}

#[track_caller]
fn assert_nobody_is_left(turns: &Turns) {
    let writers = turns.lock();
    assert!(writers.waiting == 0 && writers.dbs.is_empty(), "{writers:?}");
}

#[tokio::test]
async fn the_writers_of_a_document_take_turns_in_their_order() {
    let turns = Turns::default();
    let (db, done) = (db("a"), std::sync::Mutex::new(Vec::new()));
    let writer = |number: usize| {
        let (turns, db, done) = (&turns, &db, &done);
        async move {
            let _turn = turns.take(db, "g", later()).await.unwrap();
            done.lock().unwrap().push((number, "begins"));
            tokio::task::yield_now().await;
            done.lock().unwrap().push((number, "ends"));
        }
    };
    join_all((0..16).map(writer)).await;
    let expected: Vec<_> = (0..16).flat_map(|number| [(number, "begins"), (number, "ends")]).collect();
    assert_eq!(*done.lock().unwrap(), expected);
    assert_nobody_is_left(&turns);
}

#[tokio::test]
async fn writers_of_other_documents_do_not_wait() {
    let turns = Turns::default();
    let held = [take(&turns, "a", "g"), take(&turns, "a", "h"), take(&turns, "b", "g")];
    drop(held);
    assert_nobody_is_left(&turns);
}

#[tokio::test]
async fn a_writer_that_goes_away_leaves_its_place() {
    let turns = Turns::default();
    let (db, first) = (db("a"), take(&turns, "a", "g"));
    let mut second = Box::pin(turns.take(&db, "g", later()));
    assert!(second.as_mut().now_or_never().is_none());
    let mut third = Box::pin(turns.take(&db, "g", later()));
    assert!(third.as_mut().now_or_never().is_none());
    drop(second);
    drop(first);
    let third = third.now_or_never().expect("the second writer is gone").unwrap();
    assert_eq!(turns.lock().waiting, 0);
    drop(third);
    assert_nobody_is_left(&turns);
}

#[tokio::test]
async fn nobody_waits_until_there_is_no_time_to_write() {
    let turns = Turns::default();
    let (db, first) = (db("a"), take(&turns, "a", "g"));
    let deadline = Deadline::after(Duration::from_millis(100));
    let late = turns.take(&db, "g", deadline).await;
    assert!(matches!(late, Err(StoreError::Busy(_))), "{late:?}");
    drop(first);
    assert_nobody_is_left(&turns);
}

#[test]
fn a_write_begins_a_second_before_its_deadline_or_halfway() {
    // The whole time, and the time that is left at the last start, in milliseconds.
    for (all, left) in [(10_000, 1_000), (2_000, 1_000), (1_000, 500), (600, 300), (0, 0)] {
        let (all, left) = (Duration::from_millis(all), Duration::from_millis(left));
        let before = Instant::now();
        let last = last_start(Deadline::after(all));
        assert!(last >= before + (all - left), "{all:?}");
        assert!(last <= Instant::now() + (all - left), "{all:?}");
    }
}

#[tokio::test]
async fn a_turn_that_would_end_too_late_does_not_begin() {
    let turns = Turns::default();
    let (db, mut first) = (db("a"), take(&turns, "a", "g"));
    first.began = first.began.checked_sub(Duration::from_secs(100)).unwrap();
    let second = turns.take(&db, "g", later());
    let third = turns.take(&db, "g", Deadline::after(Duration::from_secs(1_000)));
    let (second, third, ()) = futures::join!(second, third, async { drop(first) });
    drop(second.unwrap_err());
    assert!(third.is_ok(), "{third:?}");
    drop(third);
    assert_nobody_is_left(&turns);
}

#[tokio::test]
async fn how_many_wait_is_bounded_for_each_database_and_for_all() {
    let turns = Turns::default();
    let dbs = [db("a"), db("b"), db("c")];
    let held: Vec<_> = ["a", "b", "c"].map(|name| take(&turns, name, "g")).into_iter().collect();
    let mut waiting = Vec::new();
    let mut add = |db: usize| {
        let mut writer = Box::pin(turns.take(&dbs[db], "g", later()));
        let refused = writer.as_mut().now_or_never();
        waiting.push(writer);
        refused.is_some_and(|refused| matches!(refused, Err(StoreError::Busy(_))))
    };
    assert!((0..MAX_WAITING_IN_DB).all(|_| !add(0)));
    assert!(add(0), "the database has its share");
    assert!((0..MAX_WAITING - MAX_WAITING_IN_DB).all(|_| !add(1)));
    assert!(add(2), "all queues together are full");
    // Who need not wait is not refused.
    drop(take(&turns, "c", "another"));
    drop((waiting, held));
    assert_nobody_is_left(&turns);
}
