//! Tests of the thread pool.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use datastore::{Deadline, StoreError};

use super::{Claim, QUEUE, Size, Workers};

fn later() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn claim(db: i64, size: Size) -> Claim {
    Claim { db, size }
}

/// Occupies a thread until the returned function is called.
fn occupy(workers: &Workers<()>, claim: Claim) -> impl FnOnce() {
    let (begun, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (told, waits) = (Arc::clone(&begun), Arc::clone(&end));
    let work = move |(): &mut ()| {
        told.wait();
        waits.wait();
        Ok(())
    };
    let answer = workers.submit(claim, later(), work).unwrap();
    begun.wait();
    move || {
        end.wait();
        answer.blocking_recv().unwrap().unwrap();
    }
}

#[test]
fn large_jobs_leave_a_thread_free() {
    let workers = Workers::start("test", 2, || ()).unwrap();
    let end = occupy(&workers, claim(1, Size::Large));
    let second = workers.submit(claim(1, Size::Large), later(), |()| Ok(())).unwrap();
    let other = workers.submit(claim(2, Size::Large), later(), |()| Ok(())).unwrap();
    workers.run_blocking(claim(3, Size::Small), later(), |()| Ok(())).unwrap();
    end();
    for answer in [second, other] {
        answer.blocking_recv().unwrap().unwrap();
    }
}

#[test]
fn small_jobs_of_one_database_may_use_all_threads() {
    let workers = Workers::start("test", 2, || ()).unwrap();
    let ends = [occupy(&workers, claim(1, Size::Small)), occupy(&workers, claim(1, Size::Small))];
    ends.into_iter().for_each(|end| end());
}

#[test]
fn one_database_fills_half_of_the_queue() {
    let workers = Workers::start("test", 1, || ()).unwrap();
    let end = occupy(&workers, claim(1, Size::Small));
    let submit = |db, size| workers.submit(claim(db, size), later(), |()| Ok(()));
    let mut waiting: Vec<_> = (0..QUEUE / 2).map(|_| submit(1, Size::Small).unwrap()).collect();
    for size in [Size::Small, Size::Large] {
        assert!(matches!(submit(1, size), Err(StoreError::Busy(_))));
    }
    waiting.extend((0..QUEUE / 32).map(|_| submit(2, Size::Large).unwrap()));
    assert!(matches!(submit(3, Size::Small), Err(StoreError::Busy(_))));
    end();
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
}
