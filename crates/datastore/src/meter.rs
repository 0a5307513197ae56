//! How a call of a store asks for memory before it takes it. A caller that counts its memory runs the call within a
//! [`Meter`]. The store tells the meter how large the documents or rows are, before it reads them.
//!
//! The meter is with the task and not among the arguments, so layers need not hand it on. Whoever goes on with a
//! call in another task, or later, as a stream does, takes [`Meter::current`] along.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use crate::error::Result;

/// A store reads a document or a row of at most this many bytes without asking the meter. It reads and parses a larger
/// one outside the event loops.
pub const SMALL: usize = 32 * 1024;

/// The memory of a caller.
pub trait Room: Send + Sync {
    /// From now on, the call holds this many bytes of documents or rows. Answers whether there is room for them now.
    /// Less than before always finds room.
    fn try_hold(&self, bytes: usize) -> bool;

    /// The same, but waits for room. The call must not hold anything large meanwhile.
    ///
    /// # Errors
    /// `Busy` if there is none in time.
    fn hold(&self, bytes: usize) -> BoxFuture<'_, Result<()>>;
}

/// The room of a caller that counts its memory, or none. A call without a meter reads what it likes.
#[derive(Clone, Default)]
pub struct Meter(Option<Arc<dyn Room>>);

thread_local! {
    static CURRENT: RefCell<Meter> = const { RefCell::new(Meter(None)) };
}

impl Meter {
    /// The meter of a caller with this room.
    #[must_use]
    pub fn of(room: Arc<dyn Room>) -> Self {
        Self(Some(room))
    }

    /// The meter of the call that runs.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.with_borrow(Self::clone)
    }

    /// Runs `work` within this meter.
    pub fn scope<'a, T>(&self, work: impl Future<Output = T> + Send + 'a) -> Metered<'a, T> {
        Metered { meter: self.clone(), work: Box::pin(work) }
    }

    /// Whether anybody counts.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.0.is_some()
    }

    /// See [`Room::try_hold`].
    #[must_use]
    pub fn try_hold(&self, bytes: usize) -> bool {
        self.0.as_ref().is_none_or(|room| room.try_hold(bytes))
    }

    /// See [`Room::hold`].
    ///
    /// # Errors
    /// `Busy` if there is no room in time.
    pub async fn hold(&self, bytes: usize) -> Result<()> {
        match &self.0 {
            Some(room) => room.hold(bytes).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.counts()).finish()
    }
}

/// Work that runs within a meter.
pub struct Metered<'a, T> {
    meter: Meter,
    work: BoxFuture<'a, T>,
}

impl<T> Future for Metered<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let _outer = Outer(CURRENT.replace(self.meter.clone()));
        self.work.as_mut().poll(context)
    }
}

/// The meter around the one that runs. It runs again when this is dropped.
struct Outer(Meter);

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use futures::future::{self, BoxFuture};

    use super::{Meter, Room};
    use crate::error::Result;

    struct UpTo(usize);

    impl Room for UpTo {
        fn try_hold(&self, bytes: usize) -> bool {
            bytes <= self.0
        }

        fn hold(&self, _: usize) -> BoxFuture<'_, Result<()>> {
            future::ready(Ok(())).boxed()
        }
    }

    #[test]
    fn a_meter_counts_only_what_runs_within_it() {
        let [ten, two] = [10, 2].map(|most| Meter::of(Arc::new(UpTo(most))));
        let fits = |bytes| Meter::current().try_hold(bytes);
        let inner = two.scope(async { fits(3) });
        let work = ten.scope(async { (fits(3), inner.await, fits(3), fits(11)) });
        assert_eq!(work.now_or_never(), Some((true, false, true, false)));
        assert!(fits(usize::MAX));
    }
}
