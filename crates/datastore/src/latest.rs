//! A value that was read from a database, and that is read again when the database has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::lock::Mutex;

use crate::epoch::Epoch;
use crate::error::Result;

/// The value that was read last from a database.
///
/// It counts while nothing in the database changes. Where the store does not learn of changes, it counts for the time
/// that its reader gives it. If it cannot be read again, the last one counts on.
#[derive(Debug)]
pub struct Latest<T> {
    known: ArcSwapOption<Known<T>>,
    /// Whoever reads the value holds it.
    turn: Mutex<()>,
    what: &'static str,
    least: Duration,
}

#[derive(Debug)]
struct Known<T> {
    value: Arc<T>,
    at: Instant,
    /// How long it counts without an epoch.
    lifetime: Duration,
    /// The epoch in which it was read, if the store tells it.
    epoch: Option<Epoch>,
    is_forgotten: AtomicBool,
}

impl<T> Latest<T> {
    /// Nothing was read yet. The log calls the value `what`. It is not read again within `least`, however often the
    /// database changes.
    #[must_use]
    pub fn new(what: &'static str, least: Duration) -> Self {
        Self { known: ArcSwapOption::empty(), turn: Mutex::new(()), what, least }
    }

    /// The value that was read last, whether it still counts or not.
    pub fn last(&self) -> Option<Arc<T>> {
        self.known.load().as_ref().map(|known| Arc::clone(&known.value))
    }

    /// Reads the value again the next time that it is needed.
    pub fn forget(&self) {
        if let Some(known) = &*self.known.load() {
            known.is_forgotten.store(true, Ordering::Relaxed);
        }
    }

    /// The value that counts now. If none does, `read` is called with the last one, and answers the new one and how long
    /// it counts where the store does not learn of changes. `epoch` tells the current epoch of the database.
    ///
    /// # Errors
    /// The error of `read`, if no value was ever read.
    pub async fn get<F>(
        &self,
        epoch: impl Fn() -> Option<Epoch>,
        read: impl FnOnce(Option<Arc<T>>) -> F,
    ) -> Result<Arc<T>>
    where
        F: Future<Output = Result<(Arc<T>, Duration)>>,
    {
        if let Some(value) = self.current(&epoch) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        if let Some(value) = self.current(&epoch) {
            return Ok(value);
        }
        // Asked before the read, so that a change during it counts.
        let (at, epoch) = (Instant::now(), epoch());
        let last = self.last();
        match (read(last.clone()).await, last) {
            (Ok((value, lifetime)), _) => {
                let is_forgotten = AtomicBool::new(false);
                let known = Known { value: Arc::clone(&value), at, lifetime, epoch, is_forgotten };
                self.known.store(Some(Arc::new(known)));
                Ok(value)
            }
            (Err(error), Some(last)) => {
                log::debug!("{} was not read again, so the last one counts on: {error}", self.what);
                Ok(last)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn current(&self, epoch_now: &impl Fn() -> Option<Epoch>) -> Option<Arc<T>> {
        let known = self.known.load();
        let known = known.as_ref().filter(|known| !known.is_forgotten.load(Ordering::Relaxed))?;
        let counts = match &known.epoch {
            Some(epoch) => epoch.is_current() || known.at.elapsed() < self.least,
            // It was read before the store began to learn of changes, and may have missed one.
            None => epoch_now().is_none() && known.at.elapsed() < known.lifetime,
        };
        counts.then(|| Arc::clone(&known.value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use futures::executor::block_on;

    use super::Latest;
    use crate::epoch::{Epoch, EpochClock};
    use crate::error::{Cause, Result, StoreError};
    use crate::name::DocId;

    /// A database that tells of its changes unless its number is zero.
    struct Clock(AtomicU64);

    impl EpochClock for Clock {
        fn now(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed)).filter(|number| *number > 0)
        }

        fn part_of(&self, _: &DocId) -> usize {
            0
        }

        fn now_in(&self, _: usize) -> Option<u64> {
            self.now()
        }
    }

    struct World {
        latest: Latest<u64>,
        clock: Arc<Clock>,
        reads: AtomicU64,
    }

    impl World {
        fn new(least: Duration) -> Self {
            let clock = Arc::new(Clock(AtomicU64::new(0)));
            Self { latest: Latest::new("a number", least), clock, reads: AtomicU64::new(0) }
        }

        fn changes_to(&self, number: u64) {
            self.clock.0.store(number, Ordering::Relaxed);
        }

        /// The value, which is how many reads there were when it was read.
        fn get(&self, lifetime: Duration) -> u64 {
            self.try_get(|count| Ok((Arc::new(count), lifetime))).unwrap()
        }

        fn try_get(&self, read: impl FnOnce(u64) -> Result<(Arc<u64>, Duration)>) -> Result<u64> {
            let epoch = || Epoch::now(Arc::<Clock>::clone(&self.clock));
            let count = || self.reads.fetch_add(1, Ordering::Relaxed) + 1;
            block_on(self.latest.get(epoch, |_| async { read(count()) })).map(|value| *value)
        }
    }

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_value_counts_until_its_database_changes() {
        let world = World::new(Duration::ZERO);
        world.changes_to(1);
        assert_eq!([world.get(LONG), world.get(LONG)], [1, 1]);
        world.changes_to(2);
        assert_eq!([world.get(LONG), world.get(LONG)], [2, 2]);
        // From here on, the database gives no signs of changes, and one may have been missed.
        world.changes_to(0);
        assert_eq!([world.get(LONG), world.get(LONG)], [3, 3]);
        world.latest.forget();
        assert_eq!([world.get(LONG), world.get(LONG)], [4, 4]);
        // Now it gives signs again. The value was read before that.
        world.changes_to(3);
        assert_eq!([world.get(LONG), world.get(LONG)], [5, 5]);
    }

    #[test]
    fn without_signs_of_changes_a_value_counts_for_its_lifetime() {
        let world = World::new(LONG);
        assert_eq!([world.get(Duration::ZERO), world.get(LONG), world.get(LONG)], [1, 2, 2]);
    }

    #[test]
    fn many_changes_cause_few_reads() {
        let world = World::new(LONG);
        world.changes_to(1);
        assert_eq!(world.get(LONG), 1);
        world.changes_to(2);
        assert_eq!(world.get(LONG), 1);
    }

    #[test]
    fn the_last_value_counts_on_while_none_can_be_read() {
        let world = World::new(Duration::ZERO);
        let fail = |_| Err(StoreError::Unavailable(Cause::new("away")));
        assert!(world.try_get(fail).is_err());
        assert_eq!(world.get(Duration::ZERO), 2);
        assert_eq!(world.try_get(fail).unwrap(), 2);
        assert_eq!(*world.latest.last().unwrap(), 2);
    }
}
