//! The threads for work that would keep an event loop busy: whole requests that write, and what large reads
//! need. Those who pay for the work take turns, and how much may be queued is bounded. It does not know what the work
//! is.

mod turns;

use std::collections::HashMap;
use std::future::Future;
use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::turns::{InTurn, Turns};
use crate::budget::Payer;

/// The threads, and how much they have to do.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    runtime: Handle,
    turns: Arc<Turns>,
    slots: Arc<Slots>,
}

/// The lane for the work of one payer.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    lane: Lane,
    payer: Payer,
}

/// There is too much to do already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much work is queued")]
pub(crate) struct LaneFull;

impl Lane {
    /// A lane on the threads of `runtime`. At most `most` pieces of work run or wait at the same time.
    pub(crate) fn new(runtime: Handle, threads: usize, most: usize) -> Self {
        let slots = Slots { most, taken: Mutex::default() };
        Self { runtime, turns: Arc::new(Turns::new(threads)), slots: Arc::new(slots) }
    }

    /// How many pieces of work run or wait.
    pub(crate) fn queued(&self) -> usize {
        self.slots.lock().values().sum()
    }

    /// The lane for the work of this payer.
    pub(crate) fn of(&self, payer: Payer) -> Share {
        Share { lane: self.clone(), payer }
    }
}

impl Share {
    /// Does work and waits for its result. Work that nobody waits for any more is dropped.
    ///
    /// # Errors
    /// [`LaneFull`]. The work has not begun then.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LaneFull> {
        let slot = Slot::enter(&self)?;
        let task = self.spawn(async move {
            let _slot = slot;
            work.await
        });
        Ok(task.finish().await)
    }

    /// Does work that is not counted, because it mostly waits. It is dropped with the returned task.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let Self { lane, payer } = self;
        Task(lane.runtime.spawn(InTurn::new(&lane.turns, payer.clone(), work.boxed())))
    }
}

/// Work in progress. Dropping it ends the work.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    async fn finish(mut self) -> T {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panicked) => panic::resume_unwind(panicked),
                // The runtime stops only after the server. A caller that is still there waits in vain.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many pieces of work each payer has in the lane.
#[derive(Debug)]
struct Slots {
    most: usize,
    taken: Mutex<HashMap<Payer, usize>>,
}

impl Slots {
    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<Payer, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot in the lane. A payer may take as many as there are left for others, so there is always one for somebody who
/// has none, unless very many are crowded.
struct Slot {
    slots: Arc<Slots>,
    payer: Payer,
}

impl Slot {
    fn enter(share: &Share) -> Result<Self, LaneFull> {
        let (slots, payer) = (Arc::clone(&share.lane.slots), share.payer.clone());
        let mut taken = slots.lock();
        let free = slots.most.saturating_sub(taken.values().sum());
        let own = taken.get(&payer).copied().unwrap_or(0);
        if own >= free {
            return Err(LaneFull);
        }
        taken.insert(payer.clone(), own + 1);
        drop(taken);
        Ok(Self { slots, payer })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(own) = taken.get_mut(&self.payer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::future;
    use tokio::runtime::Handle;

    use super::{Lane, LaneFull};
    use crate::budget::Payer;

    #[tokio::test]
    async fn a_full_lane_refuses_work_and_takes_it_again_later() {
        let lane = Lane::new(Handle::current(), 1, 1);
        let first = Box::pin(lane.of(Payer::Stranger).run(pending::<()>()));
        let second = lane.of(Payer::Stranger).run(future::ready(2));
        let (first, refused) = match future::select(first, Box::pin(second)).await {
            future::Either::Right((refused, first)) => (first, refused),
            future::Either::Left(_) => panic!("pending work does not end"),
        };
        assert_eq!(refused, Err(LaneFull));
        drop(first);
        // The dropped task gives its slot back as soon as the runtime gets to it.
        while lane.queued() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.of(Payer::Stranger).run(future::ready(3)).await, Ok(3));
    }

    #[tokio::test]
    #[should_panic(expected = "the work panicked")]
    async fn a_panic_reaches_the_caller() {
        let lane = Lane::new(Handle::current(), 1, 1);
        let _ = lane.of(Payer::Stranger).run(async { panic!("the work panicked") }).await;
    }
}
