//! Who works on a thread of the lane, and who waits for one. Payers take turns, and none works on all threads. Work
//! gives its thread back whenever it waits for something. Once it can go on, it waits for its next turn, and only then
//! the runtime hears of it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

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
    /// How many threads are at work or granted, and for whom.
    at_work: usize,
    payers: HashMap<Payer, usize>,
    /// The numbers of the work that waits for a thread. Work that was dropped is not among `works` any more.
    queue: FairQueue<Payer, u64>,
    works: HashMap<u64, Work>,
    next_number: u64,
}

#[derive(Debug, Default)]
struct Work {
    phase: Phase,
    /// Tells the runtime that the work has a thread.
    task: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// It waits for something else than a thread.
    #[default]
    Idle,
    /// It waits for a thread.
    Queued,
    /// It has a thread, and the runtime has not begun with it.
    Granted,
    AtWork,
    /// It is at work, and could go on at once.
    AtWorkAndReady,
}

impl Turns {
    /// The turns of so many threads. One of several stays free of any one payer.
    pub(super) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { threads, most_for_one: threads.div_ceil(2), state: Mutex::default() }
    }

    /// Adds work that waits for its first turn. Returns its number.
    fn enter(&self, payer: &Payer) -> u64 {
        let mut state = self.lock();
        state.next_number += 1;
        let number = state.next_number;
        state.works.insert(number, Work::default());
        drop(state);
        self.want(payer, number);
        number
    }

    /// The work can go on, as soon as it has a thread.
    fn want(&self, payer: &Payer, number: u64) {
        let mut state = self.lock();
        let Some(work) = state.works.get_mut(&number) else { return };
        match work.phase {
            Phase::Idle => {
                work.phase = Phase::Queued;
                state.queue.push(payer.clone(), number);
                self.hand_on(state);
            }
            Phase::AtWork => work.phase = Phase::AtWorkAndReady,
            Phase::Queued | Phase::Granted | Phase::AtWorkAndReady => {}
        }
    }

    /// Begins with work that has a thread. Otherwise, `task` is called once it has.
    fn begin<'a>(&'a self, payer: &'a Payer, number: u64, task: &Waker) -> Option<Thread<'a>> {
        let mut state = self.lock();
        let work = state.works.get_mut(&number)?;
        work.task = Some(task.clone());
        if work.phase != Phase::Granted {
            return None;
        }
        work.phase = Phase::AtWork;
        Some(Thread { turns: self, payer, number })
    }

    /// The work has paused or ended.
    fn end(&self, payer: &Payer, number: u64) {
        let mut state = self.lock();
        state.give_back(payer);
        if let Some(work) = state.works.get_mut(&number) {
            let is_ready = work.phase == Phase::AtWorkAndReady;
            work.phase = if is_ready { Phase::Queued } else { Phase::Idle };
            if is_ready {
                state.queue.push(payer.clone(), number);
            }
        }
        self.hand_on(state);
    }

    /// Forgets work that was dropped.
    fn leave(&self, payer: &Payer, number: u64) {
        let mut state = self.lock();
        if state.works.remove(&number).is_some_and(|work| work.phase == Phase::Granted) {
            state.give_back(payer);
            self.hand_on(state);
        }
    }

    /// Grants threads while there are any for those who wait.
    fn hand_on(&self, mut state: MutexGuard<'_, State>) {
        let mut woken = Vec::new();
        loop {
            let State { at_work, payers, queue, works, .. } = &mut *state;
            let next = queue.pop_if(|payer, number| {
                let has_room = || payers.get(payer).is_none_or(|of_payer| *of_payer < self.most_for_one);
                !works.contains_key(number) || (*at_work < self.threads && has_room())
            });
            let Some((payer, number)) = next else { break };
            if let Some(work) = works.get_mut(&number) {
                work.phase = Phase::Granted;
                woken.extend(work.task.clone());
                *at_work += 1;
                *payers.entry(payer).or_default() += 1;
            }
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_back(&mut self, payer: &Payer) {
        self.at_work -= 1;
        if let Some(of_payer) = self.payers.get_mut(payer) {
            *of_payer -= 1;
            if *of_payer == 0 {
                self.payers.remove(payer);
            }
        }
    }
}

/// A thread that works for a payer. Dropping it gives it back.
#[derive(Debug)]
struct Thread<'a> {
    turns: &'a Turns,
    payer: &'a Payer,
    number: u64,
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        self.turns.end(self.payer, self.number);
    }
}

/// Work that goes on only in its payer's turn.
pub(super) struct InTurn<T> {
    place: Arc<Place>,
    /// Wakes the place.
    waker: Waker,
    work: BoxFuture<'static, T>,
}

/// The place of work among the turns.
struct Place {
    turns: Arc<Turns>,
    payer: Payer,
    number: u64,
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.turns.want(&self.payer, self.number);
    }
}

impl<T> InTurn<T> {
    pub(super) fn new(turns: &Arc<Turns>, payer: Payer, work: BoxFuture<'static, T>) -> Self {
        let number = turns.enter(&payer);
        let place = Arc::new(Place { turns: Arc::clone(turns), payer, number });
        Self { waker: Arc::clone(&place).into(), place, work }
    }
}

impl<T> Future for InTurn<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Self { place, waker, work } = self.get_mut();
        match place.turns.begin(&place.payer, place.number, context.waker()) {
            Some(_thread) => work.as_mut().poll(&mut Context::from_waker(waker)),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for InTurn<T> {
    fn drop(&mut self) {
        self.place.turns.leave(&self.place.payer, self.place.number);
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
