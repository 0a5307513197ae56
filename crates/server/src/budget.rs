//! The memory that all requests together may use. A request reserves what its work will take before it takes
//! it, and gives it back at its end. A request that finds no room waits for a short time and is refused then.
//!
//! It knows amounts and who pays. It does not know what the memory is for; `cost` does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kazoo::AccountId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

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

/// How many bytes may be reserved at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// By all requests.
    pub(crate) total: usize,
    /// By all requests without a good token in a header.
    pub(crate) strangers: usize,
    /// By the requests of one account.
    pub(crate) account: usize,
}

/// The reserved bytes.
#[derive(Debug, Default)]
struct Used {
    held: Amounts,
    /// The part of it that waiting requests hold.
    idle: Amounts,
    /// Whether a request holds more than there was room for.
    is_overdrawn: bool,
}

/// Numbers of bytes.
#[derive(Debug, Default)]
struct Amounts {
    total: usize,
    strangers: usize,
    accounts: HashMap<AccountId, usize>,
}

/// The one who pays for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payer {
    /// Somebody whose token, if there is one, is not known to be good.
    Stranger,
    /// The caller's account.
    Account(AccountId),
}

/// There was no room in the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the memory for requests")]
pub(crate) struct NoRoom;

/// The bytes that one request holds. Dropping the reservation gives them back.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    payer: Payer,
    held: AtomicUsize,
    /// Whether it is the one that holds more than there was room for.
    is_overdrawn: AtomicBool,
}

impl Limits {
    /// Strangers together get an eighth of the total, and one account half of it.
    pub(crate) fn of(total: usize) -> Self {
        Self { total, strangers: total / 8, account: total / 2 }
    }

    fn of_payer(&self, payer: &Payer) -> usize {
        match payer {
            Payer::Stranger => self.strangers,
            Payer::Account(_) => self.account,
        }
    }
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, used: Mutex::default(), waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// How many bytes are reserved now.
    #[cfg(test)]
    fn used(&self) -> usize {
        self.lock().held.total
    }

    /// The most that one large request of this payer can hold.
    fn most(&self, payer: &Payer) -> usize {
        large_share(self.limits.of_payer(payer))
    }

    /// Reserves bytes for a request that will hold `wanted`.
    fn try_take(&self, payer: &Payer, held: usize, wanted: usize) -> bool {
        let mut used = self.lock();
        let more = wanted.saturating_sub(held);
        let fits = self.fits(payer, more, wanted, used.held.total, used.held.of(payer));
        if fits {
            used.held.add(payer, more);
        }
        fits
    }

    /// Reserves bytes for a waiting request, whatever other waiting requests hold. Otherwise they could wait for
    /// each other. Only one request at a time is served like this.
    fn try_overdraw(&self, payer: &Payer, held: usize, wanted: usize, is_overdrawn: bool) -> bool {
        let mut used = self.lock();
        if used.is_overdrawn && !is_overdrawn {
            return false;
        }
        let more = wanted.saturating_sub(held);
        let total = used.held.total.saturating_sub(used.idle.total).saturating_add(held);
        let of_payer = used.held.of(payer).saturating_sub(used.idle.of(payer)).saturating_add(held);
        let fits = self.fits(payer, more, wanted, total, of_payer);
        if fits {
            used.held.add(payer, more);
            used.is_overdrawn = true;
        }
        fits
    }

    /// Whether there is room for `more`. Large requests leave a quarter of each limit to small ones, so a few
    /// large bodies keep nobody from logging in.
    fn fits(&self, payer: &Payer, more: usize, wanted: usize, total: usize, of_payer: usize) -> bool {
        let share = |limit| if wanted > LARGE { large_share(limit) } else { limit };
        more <= share(self.limits.total).saturating_sub(total)
            && more <= share(self.limits.of_payer(payer)).saturating_sub(of_payer)
    }

    fn give_back(&self, payer: &Payer, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.lock().held.subtract(payer, bytes);
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

fn large_share(limit: usize) -> usize {
    limit / 4 * 3
}

impl Amounts {
    fn of(&self, payer: &Payer) -> usize {
        match payer {
            Payer::Stranger => self.strangers,
            Payer::Account(id) => self.accounts.get(id).copied().unwrap_or(0),
        }
    }

    fn add(&mut self, payer: &Payer, bytes: usize) {
        self.total = self.total.saturating_add(bytes);
        let of_payer = match payer {
            Payer::Stranger => &mut self.strangers,
            Payer::Account(id) => self.accounts.entry(id.clone()).or_default(),
        };
        *of_payer = of_payer.saturating_add(bytes);
    }

    fn subtract(&mut self, payer: &Payer, bytes: usize) {
        self.total = self.total.saturating_sub(bytes);
        match payer {
            Payer::Stranger => self.strangers = self.strangers.saturating_sub(bytes),
            Payer::Account(id) => {
                if let Some(of_account) = self.accounts.get_mut(id) {
                    *of_account = of_account.saturating_sub(bytes);
                    if *of_account == 0 {
                        self.accounts.remove(id);
                    }
                }
            }
        }
    }
}

impl Reservation {
    /// A reservation of nothing.
    pub(crate) fn new(budget: &Arc<Budget>, payer: Payer) -> Self {
        Self {
            budget: Arc::clone(budget),
            payer,
            held: AtomicUsize::new(0),
            is_overdrawn: AtomicBool::new(false),
        }
    }

    /// How many bytes it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// From now on, the account pays. What the request holds already moves to it.
    pub(crate) fn bill(&mut self, account_id: &AccountId) {
        let account = Payer::Account(account_id.clone());
        if self.payer == account {
            return;
        }
        let held = self.held();
        if held > 0 {
            let mut used = self.budget.lock();
            used.held.subtract(&self.payer, held);
            used.held.add(&account, held);
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

    fn try_grow(&self, bytes: usize, take: impl FnOnce(usize, usize) -> bool) -> bool {
        let wanted = bytes.min(self.budget.most(&self.payer));
        let held = self.held();
        if wanted <= held {
            return true;
        }
        let fits = take(held, wanted);
        if fits {
            self.held.store(wanted, Ordering::Relaxed);
        }
        fits
    }

    /// Gives back everything above `bytes`.
    pub(crate) fn shrink_to(&self, bytes: usize) {
        let held = self.held();
        if held > bytes {
            self.held.store(bytes, Ordering::Relaxed);
            self.budget.give_back(&self.payer, held - bytes);
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
    /// The bytes that the request holds while it waits.
    idle: usize,
}

impl<'a> Waiting<'a> {
    fn enter(reservation: &'a Reservation) -> Result<Self, NoRoom> {
        let budget = &reservation.budget;
        let before = budget.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self { reservation, idle: reservation.held() };
        budget.lock().idle.add(&reservation.payer, entered.idle);
        budget.wake();
        if before < MAX_WAITING { Ok(entered) } else { Err(NoRoom) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Reservation { budget, payer, .. } = self.reservation;
        budget.waiting.fetch_sub(1, Ordering::Relaxed);
        budget.lock().idle.subtract(payer, self.idle);
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
