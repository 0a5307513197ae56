//! Who works on a thread of the lane, and who waits for one. Payers take turns, and none works on all threads. Work
//! gives its thread back whenever it waits for something, and takes a turn again to go on.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use fair::FairQueue;
use futures::future::BoxFuture;

use crate::budget::Payer;

/// The threads, and who waits for them.
#[derive(Debug)]
pub(super) struct Turns {
    threads: usize,
    /// On how many threads one payer may work.
    most_for_one: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many threads are at work, and for whom.
    at_work: usize,
    payers: HashMap<Payer, usize>,
    /// The numbers of the work that waits. Work that was dropped has no waker any more.
    queue: FairQueue<Payer, u64>,
    wakers: HashMap<u64, Waker>,
    /// Work that has a thread and does not know it yet.
    granted: HashSet<u64>,
    next_number: u64,
}

impl Turns {
    /// The turns of so many threads. One of several stays free of any one payer.
    pub(super) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { threads, most_for_one: threads.div_ceil(2), state: Mutex::default() }
    }

    /// Takes a thread if it is the payer's turn. If it is not, `waits` gets the number of the work, and the waker is
    /// called later.
    fn take(&self, payer: &Payer, waits: &mut Option<u64>, waker: &Waker) -> Option<Thread<'_>> {
        let mut state = self.lock();
        let is_granted = match *waits {
            Some(number) => state.granted.remove(&number),
            // This overtakes nobody who could work: they never wait.
            None if self.has_thread(&state.payers, state.at_work, payer) => {
                state.count(payer);
                true
            }
            None => false,
        };
        if is_granted {
            *waits = None;
            return Some(Thread { turns: self, payer: payer.clone() });
        }
        let number = *waits.get_or_insert_with(|| {
            state.next_number += 1;
            let number = state.next_number;
            state.queue.push(payer.clone(), number);
            number
        });
        state.wakers.insert(number, waker.clone());
        None
    }

    /// Forgets work that waits.
    fn leave(&self, payer: &Payer, number: u64) {
        let mut state = self.lock();
        state.wakers.remove(&number);
        if state.granted.remove(&number) {
            drop(state);
            self.give_back(payer);
        }
    }

    fn give_back(&self, payer: &Payer) {
        let mut state = self.lock();
        state.at_work -= 1;
        if let Some(at_work) = state.payers.get_mut(payer) {
            *at_work -= 1;
            if *at_work == 0 {
                state.payers.remove(payer);
            }
        }
        let woken = self.hand_on(&mut state);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Grants threads while there are any for those who wait.
    fn hand_on(&self, state: &mut State) -> Vec<Waker> {
        let mut woken = Vec::new();
        loop {
            let State { at_work, payers, queue, wakers, .. } = state;
            let next = queue.pop_if(|payer, number| {
                !wakers.contains_key(number) || self.has_thread(payers, *at_work, payer)
            });
            let Some((payer, number)) = next else { return woken };
            if let Some(waker) = wakers.remove(&number) {
                state.count(&payer);
                state.granted.insert(number);
                woken.push(waker);
            }
        }
    }

    fn has_thread(&self, payers: &HashMap<Payer, usize>, at_work: usize, payer: &Payer) -> bool {
        at_work < self.threads && payers.get(payer).is_none_or(|of_payer| *of_payer < self.most_for_one)
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, payer: &Payer) {
        self.at_work += 1;
        if let Some(at_work) = self.payers.get_mut(payer) {
            *at_work += 1;
        } else {
            self.payers.insert(payer.clone(), 1);
        }
    }
}

/// A thread that works for a payer. Dropping it gives it back.
#[derive(Debug)]
struct Thread<'a> {
    turns: &'a Turns,
    payer: Payer,
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        self.turns.give_back(&self.payer);
    }
}

/// Work that goes on only in its payer's turn.
pub(super) struct InTurn<T> {
    turns: Arc<Turns>,
    payer: Payer,
    waits: Option<u64>,
    work: BoxFuture<'static, T>,
}

impl<T> InTurn<T> {
    pub(super) fn new(turns: &Arc<Turns>, payer: Payer, work: BoxFuture<'static, T>) -> Self {
        Self { turns: Arc::clone(turns), payer, waits: None, work }
    }
}

impl<T> Future for InTurn<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Self { turns, payer, waits, work } = self.get_mut();
        match turns.take(payer, waits, context.waker()) {
            Some(_thread) => work.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for InTurn<T> {
    fn drop(&mut self) {
        if let Some(number) = self.waits {
            self.turns.leave(&self.payer, number);
        }
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
