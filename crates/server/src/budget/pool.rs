//! What all requests hold together, and whether there is room for more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use datastore::{Cause, StoreError};
use tokio::sync::Notify;

use super::amounts::{Limits, PER_SENT_BYTE, Payer, Size, Used};
use super::sweeper::Sweeper;

/// A request that holds more than this is large, in bytes.
pub(super) const LARGE: usize = 128 * 1024;

/// While more than this is reserved, what is freed is given back to the system at once.
const MUCH: usize = 16_000_000;

/// The budget of the process.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    used: Mutex<Used>,
    /// How many requests wait.
    pub(super) waiting: AtomicUsize,
    pub(super) freed: Notify,
    sweeper: OnceLock<Sweeper>,
}

/// There was no room in the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the memory for requests")]
pub(crate) struct NoRoom;

/// A store whose caller has no room fails as one that is busy.
impl From<NoRoom> for StoreError {
    fn from(none: NoRoom) -> Self {
        Self::Busy(Cause::new(none.to_string()))
    }
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            used: Mutex::default(),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            sweeper: OnceLock::new(),
        }
    }

    /// From now on, a thread calls `sweep` again and again while much is reserved.
    ///
    /// # Errors
    /// The system starts no further thread.
    pub(crate) fn sweep_with(self: &Arc<Self>, sweep: fn()) -> std::io::Result<()> {
        let budget = Arc::downgrade(self);
        let is_needed = move || budget.upgrade().map(|budget| budget.used_bytes() > MUCH);
        let sweeper = Sweeper::start(is_needed, sweep)?;
        let _ = self.sweeper.set(sweeper);
        Ok(())
    }

    /// How many bytes are reserved now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.lock().held.total.bytes
    }

    /// The amount that is reserved now.
    #[cfg(test)]
    pub(super) fn used(&self) -> Size {
        self.lock().held.total
    }

    /// The most bytes that one large request of this payer can hold.
    pub(super) fn most(&self, payer: &Payer, sent: usize) -> usize {
        let limit = self.limits.of_payer(payer).for_large();
        limit.bytes.min(sent.saturating_mul(PER_SENT_BYTE).saturating_add(limit.surplus))
    }

    /// Lets a request hold `wanted` in place of `held`, if there is room.
    pub(super) fn try_take(&self, payer: &Payer, held: Size, wanted: Size) -> bool {
        let mut used = self.lock();
        let fits = self.fits(payer, used.held.total, used.held.of(payer), held, wanted);
        if fits {
            self.take(&mut used, payer, held, wanted);
        }
        fits
    }

    /// Lets a waiting request hold `wanted`, whatever other waiting requests hold. Otherwise they could wait for
    /// each other. Only one request at a time is served like this. `idle` is the part of `held` that counts as held
    /// by a waiting request, and `is_overdrawn` says whether this is the one.
    pub(super) fn try_overdraw(
        &self,
        payer: &Payer,
        (idle, is_overdrawn): (Size, bool),
        held: Size,
        wanted: Size,
    ) -> bool {
        let mut used = self.lock();
        if used.is_overdrawn && !is_overdrawn {
            return false;
        }
        let total = used.held.total.minus(used.idle.total).plus(idle);
        let of_payer = used.held.of(payer).minus(used.idle.of(payer)).plus(idle);
        let fits = self.fits(payer, total, of_payer, held, wanted);
        if fits {
            self.take(&mut used, payer, held, wanted);
            used.is_overdrawn = true;
        }
        fits
    }

    fn take(&self, used: &mut Used, payer: &Payer, held: Size, wanted: Size) {
        used.held.replace(payer, held, wanted);
        if used.held.total.bytes > MUCH
            && let Some(sweeper) = self.sweeper.get()
        {
            sweeper.wake();
        }
    }

    /// Whether a request may hold `wanted` in place of `held`, if all hold `total` and its payer `of_payer`.
    fn fits(&self, payer: &Payer, total: Size, of_payer: Size, held: Size, wanted: Size) -> bool {
        let share = |limit: Size| if wanted.bytes > LARGE { limit.for_large() } else { limit };
        total.minus(held).plus(wanted).fits_in(share(self.limits.total))
            && of_payer.minus(held).plus(wanted).fits_in(share(self.limits.of_payer(payer)))
    }

    /// A request holds `rest` in place of `before`, which was more. Of it, `idle` counted as held by a waiting
    /// request. Answers what counts so now.
    pub(super) fn give_back(&self, payer: &Payer, before: Size, rest: Size, idle: Size) -> Size {
        if before == rest {
            return idle;
        }
        let mut used = self.lock();
        used.held.replace(payer, before, rest);
        let still_idle = idle.at_most(rest);
        used.idle.replace(payer, idle, still_idle);
        drop(used);
        self.wake();
        still_idle
    }

    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_waiters();
        }
    }

    /// Nothing panics while it holds the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
