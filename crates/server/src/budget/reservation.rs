//! What one request holds, and how it waits for more.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use kazoo::AccountId;
use tokio::time::{Instant, timeout_at};

use super::amounts::{Payer, Size};
use super::pool::{Budget, NoRoom};

/// How long a request waits for room.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How many requests may wait for room.
const MAX_WAITING: usize = 1_000;

/// What one request holds. Dropping the reservation gives it back.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    state: Mutex<State>,
}

/// A part of a reservation that grows and shrinks by itself. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Portion {
    reservation: Arc<Reservation>,
    /// It changes only while the state of the reservation is locked.
    held: AtomicUsize,
}

#[derive(Debug)]
struct State {
    payer: Payer,
    /// What the request holds besides its portions.
    own: usize,
    /// What its portions hold together.
    portions: usize,
    /// How many bytes the request sent.
    sent: usize,
    /// How many parts of the request wait for room.
    waiting: usize,
    /// The budget counts this much of it as held by a waiting request.
    idle: Size,
    /// Whether it is the one that holds more than there was room for.
    is_overdrawn: bool,
}

/// The part of a reservation that changes.
#[derive(Clone, Copy)]
enum Part<'a> {
    Own,
    Portion(&'a AtomicUsize),
}

impl State {
    fn size(&self) -> Size {
        Size::of(self.own.saturating_add(self.portions), self.sent)
    }

    fn part(&self, part: Part<'_>) -> usize {
        match part {
            Part::Own => self.own,
            Part::Portion(held) => held.load(Ordering::Relaxed),
        }
    }

    fn set(&mut self, part: Part<'_>, bytes: usize) {
        match part {
            Part::Own => self.own = bytes,
            Part::Portion(held) => {
                let before = held.swap(bytes, Ordering::Relaxed);
                self.portions = self.portions.saturating_sub(before).saturating_add(bytes);
            }
        }
    }
}

impl Reservation {
    /// A reservation of nothing.
    pub(crate) fn new(budget: &Arc<Budget>, payer: Payer) -> Self {
        let state = State {
            payer,
            own: 0,
            portions: 0,
            sent: 0,
            waiting: 0,
            idle: Size::default(),
            is_overdrawn: false,
        };
        Self { budget: Arc::clone(budget), state: Mutex::new(state) }
    }

    /// Who pays.
    pub(crate) fn payer(&self) -> Payer {
        self.state().payer.clone()
    }

    /// How many bytes it holds, without its portions.
    pub(crate) fn held(&self) -> usize {
        self.state().own
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> Size {
        self.state().size()
    }

    /// Nothing panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how many bytes the request has sent until now.
    pub(crate) fn has_sent(&self, bytes: usize) {
        let mut state = self.state();
        let before = state.size();
        state.sent = bytes;
        state.idle = self.budget.give_back(&state.payer, before, state.size(), state.idle);
    }

    /// From now on, the account pays. What the request holds already moves to it.
    pub(crate) fn bill(&self, account_id: &AccountId) {
        let account = Payer::Account(account_id.clone());
        let mut state = self.state();
        if state.payer == account {
            return;
        }
        let (size, idle) = (state.size(), state.idle);
        if size != Size::default() {
            let mut used = self.budget.lock();
            used.held.replace(&state.payer, size, Size::default());
            used.held.replace(&account, Size::default(), size);
            used.idle.replace(&state.payer, idle, Size::default());
            used.idle.replace(&account, Size::default(), idle);
        }
        state.payer = account;
    }

    /// Holds at least `bytes` from now on, if there is room now. A request that wants more than it could ever get
    /// holds the most that there is for it, so that it can be served when it is alone.
    pub(crate) fn try_grow_to(&self, bytes: usize) -> bool {
        self.try_grow(Part::Own, bytes, false)
    }

    /// Holds at least `bytes` from now on, as [`Reservation::try_grow_to`] does. Waits for room for a short time.
    ///
    /// # Errors
    /// [`NoRoom`] if there is none in time. The reservation still holds what it held.
    pub(crate) async fn grow_to(&self, bytes: usize) -> Result<(), NoRoom> {
        self.grow(Part::Own, bytes).await
    }

    /// A part of it that grows and shrinks by itself.
    pub(crate) fn portion(self: &Arc<Self>) -> Portion {
        Portion { reservation: Arc::clone(self), held: AtomicUsize::new(0) }
    }

    async fn grow(&self, part: Part<'_>, bytes: usize) -> Result<(), NoRoom> {
        if self.try_grow(part, bytes, false) {
            return Ok(());
        }
        let _waiting = Waiting::enter(self)?;
        let until = Instant::now() + PATIENCE;
        loop {
            // It listens before it tries, so that no release in between is missed.
            let freed = self.budget.freed.notified();
            if self.try_grow(part, bytes, false) || self.try_grow(part, bytes, true) {
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

    fn try_grow(&self, part: Part<'_>, bytes: usize, may_overdraw: bool) -> bool {
        let mut state = self.state();
        let held = state.size();
        let others = held.bytes.saturating_sub(state.part(part));
        let wanted = others.saturating_add(bytes).min(self.budget.most(&state.payer, state.sent));
        if wanted <= held.bytes {
            return true;
        }
        let size = Size::of(wanted, state.sent);
        let fits = match may_overdraw {
            true => {
                let idle = (state.idle, state.is_overdrawn);
                self.budget.try_overdraw(&state.payer, idle, held, size)
            }
            false => self.budget.try_take(&state.payer, held, size),
        };
        if fits {
            state.is_overdrawn |= may_overdraw;
            state.set(part, wanted.saturating_sub(others));
        }
        fits
    }

    /// Gives back everything above `bytes`, besides the portions.
    pub(crate) fn shrink_to(&self, bytes: usize) {
        self.shrink(Part::Own, bytes);
    }

    fn shrink(&self, part: Part<'_>, bytes: usize) {
        let mut state = self.state();
        let before = state.size();
        if state.part(part) > bytes {
            state.set(part, bytes);
            state.idle = self.budget.give_back(&state.payer, before, state.size(), state.idle);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.state().is_overdrawn {
            self.budget.lock().is_overdrawn = false;
        }
        self.shrink_to(0);
    }
}

impl Portion {
    /// Holds `bytes` from now on, more or less than before, if there is room now.
    pub(crate) fn try_set(&self, bytes: usize) -> bool {
        let part = Part::Portion(&self.held);
        self.reservation.shrink(part, bytes);
        self.reservation.try_grow(part, bytes, false)
    }

    /// The same, but waits for room for a short time.
    ///
    /// # Errors
    /// [`NoRoom`] if there is none in time.
    pub(crate) async fn set(&self, bytes: usize) -> Result<(), NoRoom> {
        let part = Part::Portion(&self.held);
        self.reservation.shrink(part, bytes);
        self.reservation.grow(part, bytes).await
    }

    /// What it holds becomes the reservation's own.
    pub(crate) fn keep(&self) {
        let mut state = self.reservation.state();
        let held = state.part(Part::Portion(&self.held));
        state.set(Part::Portion(&self.held), 0);
        state.own = state.own.saturating_add(held);
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.reservation.shrink(Part::Portion(&self.held), 0);
    }
}

/// A request that waits for room. What it holds when it begins to wait is idle.
struct Waiting<'a>(&'a Reservation);

impl<'a> Waiting<'a> {
    fn enter(reservation: &'a Reservation) -> Result<Self, NoRoom> {
        let budget = &reservation.budget;
        let before = budget.waiting.fetch_add(1, Ordering::Relaxed);
        let mut state = reservation.state();
        state.waiting += 1;
        if state.waiting == 1 {
            state.idle = state.size();
            budget.lock().idle.replace(&state.payer, Size::default(), state.idle);
        }
        drop(state);
        let entered = Self(reservation);
        budget.wake();
        if before < MAX_WAITING { Ok(entered) } else { Err(NoRoom) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let budget = &self.0.budget;
        budget.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.0.state();
        state.waiting -= 1;
        if state.waiting == 0 {
            budget.lock().idle.replace(&state.payer, state.idle, Size::default());
            state.idle = Size::default();
        }
    }
}
