//! The memory that all requests together may use. A request reserves what its work will take before it takes
//! it, and gives it back at its end. A request that finds no room waits for a short time and is refused then.
//!
//! A request that sends much may hold much. What it holds beyond a few times what it sent is its surplus, and
//! all surpluses together have a smaller limit, so that small requests for large documents take turns.
//!
//! It knows amounts and who pays. It does not know what the memory is for; `cost` does.

mod amounts;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use kazoo::AccountId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::amounts::{Limits, Payer};
use self::amounts::{PER_SENT_BYTE, Size, Used};

/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many requests may wait for room.
const MAX_WAITING: usize = 1_000;

/// A request that holds more than this is large, in bytes.
const LARGE: usize = 128 * 1024;

/// The budget of the process.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    used: Mutex<Used>,
    /// How many requests wait.
    waiting: AtomicUsize,
    freed: Notify,
}

/// There was no room in the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the memory for requests")]
pub(crate) struct NoRoom;

/// What one request holds. Dropping the reservation gives it back.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    payer: Payer,
    held: AtomicUsize,
    /// How many bytes the request sent.
    sent: AtomicUsize,
    /// Whether it is the one that holds more than there was room for.
    is_overdrawn: AtomicBool,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, used: Mutex::default(), waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// How many bytes are reserved now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.lock().held.total.bytes
    }

    /// The amount that is reserved now.
    #[cfg(test)]
    fn used(&self) -> Size {
        self.lock().held.total
    }

    /// The most bytes that one large request of this payer can hold.
    fn most(&self, payer: &Payer, sent: usize) -> usize {
        let limit = self.limits.of_payer(payer).for_large();
        limit.bytes.min(sent.saturating_mul(PER_SENT_BYTE).saturating_add(limit.surplus))
    }

    /// Lets a request hold `wanted` in place of `held`, if there is room.
    fn try_take(&self, payer: &Payer, held: Size, wanted: Size) -> bool {
        let mut used = self.lock();
        let fits = self.fits(payer, used.held.total, used.held.of(payer), held, wanted);
        if fits {
            used.held.replace(payer, held, wanted);
        }
        fits
    }

    /// Lets a waiting request hold `wanted`, whatever other waiting requests hold. Otherwise they could wait for
    /// each other. Only one request at a time is served like this.
    fn try_overdraw(&self, payer: &Payer, held: Size, wanted: Size, is_overdrawn: bool) -> bool {
        let mut used = self.lock();
        if used.is_overdrawn && !is_overdrawn {
            return false;
        }
        let total = used.held.total.minus(used.idle.total).plus(held);
        let of_payer = used.held.of(payer).minus(used.idle.of(payer)).plus(held);
        let fits = self.fits(payer, total, of_payer, held, wanted);
        if fits {
            used.held.replace(payer, held, wanted);
            used.is_overdrawn = true;
        }
        fits
    }

    /// Whether a request may hold `wanted` in place of `held`, if all hold `total` and its payer `of_payer`.
    fn fits(&self, payer: &Payer, total: Size, of_payer: Size, held: Size, wanted: Size) -> bool {
        let share = |limit: Size| if wanted.bytes > LARGE { limit.for_large() } else { limit };
        total.minus(held).plus(wanted).fits_in(share(self.limits.total))
            && of_payer.minus(held).plus(wanted).fits_in(share(self.limits.of_payer(payer)))
    }

    fn give_back(&self, payer: &Payer, held: Size, rest: Size) {
        if held == rest {
            return;
        }
        self.lock().held.replace(payer, held, rest);
        self.wake();
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_waiters();
        }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// A reservation of nothing.
    pub(crate) fn new(budget: &Arc<Budget>, payer: Payer) -> Self {
        Self {
            budget: Arc::clone(budget),
            payer,
            held: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            is_overdrawn: AtomicBool::new(false),
        }
    }

    /// Who pays.
    pub(crate) fn payer(&self) -> &Payer {
        &self.payer
    }

    /// How many bytes it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    fn size(&self) -> Size {
        Size::of(self.held(), self.sent())
    }

    /// Notes how many bytes the request has sent until now.
    pub(crate) fn has_sent(&self, bytes: usize) {
        let before = self.size();
        self.sent.store(bytes, Ordering::Relaxed);
        self.budget.give_back(&self.payer, before, self.size());
    }

    /// From now on, the account pays. What the request holds already moves to it.
    pub(crate) fn bill(&mut self, account_id: &AccountId) {
        let account = Payer::Account(account_id.clone());
        if self.payer == account {
            return;
        }
        let size = self.size();
        if size != Size::default() {
            let mut used = self.budget.lock();
            used.held.replace(&self.payer, size, Size::default());
            used.held.replace(&account, Size::default(), size);
        }
        self.payer = account;
    }

    /// Holds at least `bytes` from now on, if there is room now. A request that wants more than it could ever get
    /// holds the most that there is for it, so that it can be served when it is alone.
    pub(crate) fn try_grow_to(&self, bytes: usize) -> bool {
        self.try_grow(bytes, |held, wanted| self.budget.try_take(&self.payer, held, wanted))
    }

    /// Holds at least `bytes` from now on, as [`Reservation::try_grow_to`] does. Waits for room for a short time.
    ///
    /// # Errors
    /// [`NoRoom`] if there is none in time. The reservation still holds what it held.
    pub(crate) async fn grow_to(&self, bytes: usize) -> Result<(), NoRoom> {
        if self.try_grow_to(bytes) {
            return Ok(());
        }
        let _waiting = Waiting::enter(self)?;
        let until = Instant::now() + PATIENCE;
        loop {
            // It listens before it tries, so that no release in between is missed.
            let freed = self.budget.freed.notified();
            if self.try_grow_to(bytes) || self.try_overdraw_to(bytes) {
                return Ok(());
            }
            timeout_at(until, freed).await.map_err(|_| NoRoom)?;
        }
    }

    /// Waits for something other than room. What the request holds meanwhile keeps no other request from its room,
    /// which may be the one that is waited for.
    ///
    /// # Errors
    /// [`NoRoom`] if too many requests wait already.
    pub(crate) async fn idle_while<T>(&self, wait: impl Future<Output = T>) -> Result<T, NoRoom> {
        let mut wait = pin!(wait);
        if let Some(done) = wait.as_mut().now_or_never() {
            return Ok(done);
        }
        let _waiting = Waiting::enter(self)?;
        Ok(wait.await)
    }

    fn try_overdraw_to(&self, bytes: usize) -> bool {
        let is_overdrawn = self.is_overdrawn.load(Ordering::Relaxed);
        let grows = self.try_grow(bytes, |held, wanted| {
            self.budget.try_overdraw(&self.payer, held, wanted, is_overdrawn)
        });
        if grows {
            self.is_overdrawn.store(true, Ordering::Relaxed);
        }
        grows
    }

    fn try_grow(&self, bytes: usize, take: impl FnOnce(Size, Size) -> bool) -> bool {
        let wanted = bytes.min(self.budget.most(&self.payer, self.sent()));
        let held = self.size();
        if wanted <= held.bytes {
            return true;
        }
        let fits = take(held, Size::of(wanted, self.sent()));
        if fits {
            self.held.store(wanted, Ordering::Relaxed);
        }
        fits
    }

    /// Gives back everything above `bytes`.
    pub(crate) fn shrink_to(&self, bytes: usize) {
        let held = self.size();
        if held.bytes > bytes {
            self.held.store(bytes, Ordering::Relaxed);
            self.budget.give_back(&self.payer, held, self.size());
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_overdrawn.load(Ordering::Relaxed) {
            self.budget.lock().is_overdrawn = false;
        }
        self.shrink_to(0);
    }
}

/// A request that waits for room.
struct Waiting<'a> {
    reservation: &'a Reservation,
    /// What the request holds while it waits.
    idle: Size,
}

impl<'a> Waiting<'a> {
    fn enter(reservation: &'a Reservation) -> Result<Self, NoRoom> {
        let budget = &reservation.budget;
        let before = budget.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self { reservation, idle: reservation.size() };
        budget.lock().idle.replace(&reservation.payer, Size::default(), entered.idle);
        budget.wake();
        if before < MAX_WAITING { Ok(entered) } else { Err(NoRoom) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Reservation { budget, payer, .. } = self.reservation;
        budget.waiting.fetch_sub(1, Ordering::Relaxed);
        budget.lock().idle.replace(payer, self.idle, Size::default());
    }
}

#[cfg(test)]
mod tests;
