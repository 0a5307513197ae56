//! How many calls of the store the background makes at once. The recovery, work that is finished for other servers, and
//! the removal of marks share the turns; writes of clients need none.

use std::future::Future;

use futures::stream::{self, StreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The turns. Whoever has one makes one call after another.
pub(crate) struct Turns {
    free: Semaphore,
    count: usize,
}

/// A turn. It ends when it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    permit: Option<SemaphorePermit<'a>>,
}

impl Turns {
    /// This many at once.
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Semaphore::new(count), count }
    }

    /// Waits for a turn.
    pub(crate) async fn take(&self) -> Turn<'_> {
        Turn { turns: self, permit: self.permit().await }
    }

    /// The semaphore is never closed, so there is always a permit in the end.
    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.free.acquire().await.ok()
    }

    /// Makes a call in a turn of its own.
    pub(crate) async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let _turn = self.take().await;
        call.await
    }

    /// Does something for each item, in a turn of its own. Answers the outcomes in any order.
    pub(crate) async fn for_each<'a, I, T, F: Future<Output = T>>(
        &'a self,
        items: Vec<I>,
        work: impl Fn(I, Turn<'a>) -> F,
    ) -> Vec<T> {
        let work = &work;
        let in_turn = |item| async move { work(item, self.take().await).await };
        stream::iter(items).map(in_turn).buffer_unordered(self.count).collect().await
    }
}

impl<'a> Turn<'a> {
    /// Waits for something that is no call of the store. Others may have the turn meanwhile.
    pub(crate) async fn pause<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.permit = None;
        let waited = wait.await;
        self.permit = self.turns.permit().await;
        waited
    }
}
