use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use fair::{Breaks, SLICE};
use futures::FutureExt as _;
use kazoo::AccountId;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::{Payer, Turns};
use crate::lane::Lane;

fn account(letter: &str) -> Payer {
    Payer::Account(AccountId::parse(&letter.repeat(32)).unwrap())
}

/// Work that asks for a thread.
struct Asks(Payer, u64);

impl Asks {
    fn new(turns: &Turns, payer: Payer) -> Self {
        let number = turns.enter(&payer);
        Self(payer, number)
    }

    fn ask<'a>(&'a self, turns: &'a Turns) -> Option<super::Thread<'a>> {
        turns.begin(&self.0, self.1, Waker::noop())
    }
}

#[test]
fn one_payer_never_works_on_all_threads_and_payers_take_turns() {
    let turns = Turns::new(3);
    let [a1, a2, a3, a4, b1, b2, c] =
        ["a", "a", "a", "a", "b", "b", "c"].map(|letter| Asks::new(&turns, account(letter)));
    let (first, second) = (a1.ask(&turns).unwrap(), a2.ask(&turns).unwrap());
    assert!(a3.ask(&turns).is_none() && a4.ask(&turns).is_none());
    let third = b1.ask(&turns).unwrap();
    assert!(b2.ask(&turns).is_none() && c.ask(&turns).is_none());
    // All threads are taken, and account a has its share.
    drop(third);
    assert!(a3.ask(&turns).is_none() && c.ask(&turns).is_none());
    let third = b2.ask(&turns).unwrap();
    drop(first);
    let first = a3.ask(&turns).unwrap();
    assert!(a4.ask(&turns).is_none() && c.ask(&turns).is_none());
    drop(second);
    assert!(a4.ask(&turns).is_none());
    let second = c.ask(&turns).unwrap();
    drop((first, second, third));
    drop(a4.ask(&turns).unwrap());
    let state = turns.lock();
    assert!(state.at_work == 0 && state.payers.is_empty() && state.queue.is_empty());
}

#[test]
fn all_strangers_are_one_payer() {
    let turns = Turns::new(3);
    let strangers = [(); 5].map(|()| Asks::new(&turns, Payer::Stranger));
    let threads: Vec<_> = strangers.iter().filter_map(|stranger| stranger.ask(&turns)).collect();
    assert_eq!(threads.len(), 2);
    assert!(Asks::new(&turns, account("a")).ask(&turns).is_some());
}

#[test]
fn work_that_is_dropped_hands_its_turn_on() {
    let turns = Turns::new(1);
    let [running, gone, waits] = ["a", "b", "c"].map(|letter| Asks::new(&turns, account(letter)));
    let thread = running.ask(&turns).unwrap();
    assert!(gone.ask(&turns).is_none() && waits.ask(&turns).is_none());
    drop(thread);
    turns.leave(&gone.0, gone.1);
    drop(waits.ask(&turns).unwrap());
    turns.want(&running.0, running.1);
    let thread = running.ask(&turns).unwrap();
    let gone = Asks::new(&turns, account("b"));
    turns.leave(&gone.0, gone.1);
    // It was woken while it was at work, so it goes on.
    turns.want(&running.0, running.1);
    drop(thread);
    drop(running.ask(&turns).unwrap());
    assert!(running.ask(&turns).is_none());
    assert!(turns.lock().queue.is_empty() && turns.lock().at_work == 0);
}

/// Large work of one account has breaks, and in each of them it is another account's turn.
#[tokio::test]
async fn another_accounts_work_waits_for_one_slice_at_a_time() {
    let lane = Lane::new(Handle::current(), 1, 1_000);
    let steps = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let steps = Arc::clone(&steps);
            lane.of(account("a")).spawn(async move {
                let mut breaks = Breaks::default();
                for _ in 0..100 {
                    steps.fetch_add(1, Ordering::Relaxed);
                    breaks.after(SLICE).await;
                }
            })
        })
        .collect();
    while steps.load(Ordering::Relaxed) < 50 {
        yield_now().await;
    }
    let parts = 10;
    let quiet = async move {
        let before = steps.load(Ordering::Relaxed);
        let mut breaks = Breaks::default();
        for _ in 0..parts {
            breaks.after(SLICE).await;
        }
        steps.load(Ordering::Relaxed) - before
    };
    let meanwhile = lane.of(account("b")).run(quiet).await.unwrap();
    assert!(meanwhile <= parts, "{meanwhile} slices in the place of {parts}");
    drop(crowd);
}

#[tokio::test]
async fn an_account_that_crowds_the_queue_leaves_room_in_it() {
    let lane = Lane::new(Handle::current(), 1, 8);
    let wait = |letter| lane.of(account(letter)).run(std::future::pending::<()>()).boxed();
    let mut waiting = Vec::new();
    for (letter, expected) in [("a", 4), ("b", 2), ("c", 1)] {
        for place in 0..=expected {
            let mut work = wait(letter);
            let refused = work.as_mut().now_or_never();
            assert_eq!(refused.is_some(), place == expected, "{letter} {place}");
            waiting.extend(refused.is_none().then_some(work));
        }
    }
    assert_eq!(lane.queued(), 7);
}
