//! The threads for work that would keep an event loop busy: whole requests that write, and what large reads
//! need. How much may be queued is bounded. It does not know what the work is.

use std::future::Future;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The threads, and how much they have to do.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    runtime: Handle,
    queued: Arc<AtomicUsize>,
    most: usize,
}

/// There is too much to do already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much work is queued")]
pub(crate) struct LaneFull;

impl Lane {
    /// A lane on the threads of `runtime`. At most `most` pieces of work run or wait at the same time.
    pub(crate) fn new(runtime: Handle, most: usize) -> Self {
        Self { runtime, queued: Arc::default(), most }
    }

    /// How many pieces of work run or wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Does work and waits for its result. Work that nobody waits for any more is dropped.
    ///
    /// # Errors
    /// [`LaneFull`]. The work has not begun then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LaneFull> {
        let slot = Slot::enter(self)?;
        let task = self.spawn(async move {
            let _slot = slot;
            work.await
        });
        Ok(task.finish().await)
    }

    /// Does work that is not counted, because it mostly waits. It is dropped with the returned task.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(self.runtime.spawn(work))
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

/// A slot in the lane.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn enter(lane: &Lane) -> Result<Self, LaneFull> {
        let before = lane.queued.fetch_add(1, Ordering::Relaxed);
        let slot = Self(Arc::clone(&lane.queued));
        if before < lane.most { Ok(slot) } else { Err(LaneFull) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::Ordering;

    use futures::future;
    use tokio::runtime::Handle;

    use super::{Lane, LaneFull};

    #[tokio::test]
    async fn a_full_lane_refuses_work_and_takes_it_again_later() {
        let lane = Lane::new(Handle::current(), 1);
        let first = Box::pin(lane.run(pending::<()>()));
        let second = lane.run(future::ready(2));
        let (first, refused) = match future::select(first, Box::pin(second)).await {
            future::Either::Right((refused, first)) => (first, refused),
            future::Either::Left(_) => panic!("pending work does not end"),
        };
        assert_eq!(refused, Err(LaneFull));
        drop(first);
        // The dropped task gives its slot back as soon as the runtime gets to it.
        while lane.queued.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.run(future::ready(3)).await, Ok(3));
    }

    #[tokio::test]
    #[should_panic(expected = "the work panicked")]
    async fn a_panic_reaches_the_caller() {
        let lane = Lane::new(Handle::current(), 1);
        let _ = lane.run(async { panic!("the work panicked") }).await;
    }
}
