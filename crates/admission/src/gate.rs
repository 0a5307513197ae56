//! The gate that calls pass: it makes a caller wait until the desk has a slot for its call, and gives the
//! slot back when the caller is done or goes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{Cause, Deadline, Result, StoreError};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::desk::{Class, Desk, Queued, Ticket};
use crate::shares::Shares;

/// While more than this part of [`Limits::queue`] waits, the store is overloaded. A few clients that ask again
/// as soon as they are answered keep fewer calls waiting, and are no overload.
const OVERLOADED_PART: usize = 4;

/// During an overload, the calls of a crowded database wait this part of [`Limits::queue_wait`], so that a lasting
/// overload does not make every call slow.
const OVERLOADED_WAIT_PART: u32 = 10;

/// The pause between two refusals. Clients that ask again at once would otherwise take the processors from
/// the calls that are served.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(1);

/// The longest pause before a refusal.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often refusals are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How many calls run and wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most calls in flight. Long streams count apart; there are at most half as many of them.
    /// With fewer than 4, a caller that reads rows and makes another call may be refused.
    pub calls: usize,
    /// The most calls that wait, of all databases together.
    pub queue: usize,
    /// The longest wait. A call never waits past its deadline.
    pub queue_wait: Duration,
}

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    desk: Desk<oneshot::Sender<Decision>>,
    refusals: Refusals,
}

/// The decision about a waiting call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Run,
    Refused,
}

impl Gate {
    pub(crate) fn new(limits: Limits, shares: Shares) -> Arc<Self> {
        let state = State { desk: Desk::new(shares, limits.queue), refusals: Refusals::new() };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// `Busy` if there is no room to wait, or none of the slots becomes free in time.
    pub(crate) async fn enter(self: &Arc<Self>, db: &str, class: Class, deadline: Deadline) -> Result<Slot> {
        let arrived = Instant::now();
        if let Some(slot) = self.wait_for_slot(db, class, deadline).await {
            return Ok(slot);
        }
        self.pause_before_refusal(deadline).await;
        let Limits { calls, queue, .. } = self.limits;
        let waited = arrived.elapsed().as_millis();
        Err(StoreError::Busy(Cause::new(format!(
            "no slot for the call within {waited} ms; at most {calls} calls run and {queue} wait"
        ))))
    }

    /// Waits for a slot. `None` if there is no room to wait, or none of the slots becomes free in time.
    pub(crate) async fn wait_for_slot(
        self: &Arc<Self>,
        db: &str,
        class: Class,
        deadline: Deadline,
    ) -> Option<Slot> {
        let arrived = Instant::now();
        match self.begin(db, class, arrived) {
            Begun::Runs(slot) => Some(slot),
            Begun::Waits(slot, decision) => {
                self.wait(&slot, decision, arrived, deadline).await.then_some(slot)
            }
            Begun::Refused => None,
        }
    }

    fn begin(self: &Arc<Self>, db: &str, class: Class, now: Instant) -> Begun {
        let slot = |ticket| Slot { gate: Arc::clone(self), ticket };
        let mut state = self.state();
        if let Some(ticket) = state.desk.start(db, class, now) {
            return Begun::Runs(slot(ticket));
        }
        let started = state.desk.set_long_apart(now);
        tell(started, Decision::Run);
        if let Some(ticket) = state.desk.start(db, class, now) {
            return Begun::Runs(slot(ticket));
        }
        let (sender, decision) = oneshot::channel();
        match state.desk.queue(db, class, sender) {
            Queued::Waits { ticket, refused } => {
                tell(refused, Decision::Refused);
                Begun::Waits(slot(ticket), decision)
            }
            Queued::Refused => Begun::Refused,
        }
    }

    /// Waits for the decision about a queued call. Returns whether it runs.
    async fn wait(
        &self,
        slot: &Slot,
        mut decision: oneshot::Receiver<Decision>,
        arrived: Instant,
        deadline: Deadline,
    ) -> bool {
        let last = (arrived + self.limits.queue_wait).min(deadline.instant().into());
        let mut check = arrived;
        loop {
            check = (check + self.limits.queue_wait / OVERLOADED_WAIT_PART).min(last);
            match timeout_at(check, &mut decision).await {
                Ok(decision) => return decision == Ok(Decision::Run),
                Err(_) if self.gives_up(&slot.ticket, check == last) => return false,
                Err(_) => {}
            }
        }
    }

    /// Takes a call that has waited too long out of its queue. If the call runs by now, it stays.
    fn gives_up(&self, ticket: &Ticket, is_last: bool) -> bool {
        let mut state = self.state();
        let started = state.desk.set_long_apart(Instant::now());
        tell(started, Decision::Run);
        let is_overloaded = state.desk.waiting() > self.limits.queue / OVERLOADED_PART;
        let is_due = is_last || (is_overloaded && state.desk.is_crowded(ticket));
        is_due && state.desk.stop_waiting(ticket)
    }

    async fn pause_before_refusal(&self, deadline: Deadline) {
        let pause = self.state().refusals.next(Instant::now());
        sleep(pause.min(deadline.remaining())).await;
    }

    fn leave(&self, ticket: &Ticket) {
        let started = self.state().desk.leave(ticket, Instant::now());
        tell(started, Decision::Run);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begun {
    Runs(Slot),
    Waits(Slot, oneshot::Receiver<Decision>),
    Refused,
}

/// Tells waiting callers what was decided. A caller that has gone away gives its slot back by itself.
fn tell(callers: impl IntoIterator<Item = oneshot::Sender<Decision>>, decision: Decision) {
    for caller in callers {
        let _ = caller.send(decision);
    }
}

/// A slot in the gate, or in a queue before it. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Arc<Gate>,
    ticket: Ticket,
}

impl Slot {
    /// Stops the clock of the call: until [`Slot::go_on`], its time does not make it long.
    pub(crate) fn stand(&self) {
        self.gate.state().desk.stand(&self.ticket, Instant::now());
    }

    /// Lets the clock of the call go on.
    pub(crate) fn go_on(&self) {
        self.gate.state().desk.go_on(&self.ticket, Instant::now());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.leave(&self.ticket);
    }
}

/// Spreads refusals over time, and logs them.
#[derive(Debug)]
struct Refusals {
    next: Instant,
    log: Instant,
    unlogged: u64,
}

impl Refusals {
    fn new() -> Self {
        let now = Instant::now();
        Self { next: now, log: now, unlogged: 0 }
    }

    /// Counts a refusal. Returns how long to wait before it.
    fn next(&mut self, now: Instant) -> Duration {
        self.unlogged += 1;
        if self.log <= now {
            log::warn!(refused = self.unlogged; "the store is busy: calls are refused");
            (self.log, self.unlogged) = (now + LOG_INTERVAL, 0);
        }
        let pause = self.next.saturating_duration_since(now).min(LONGEST_PAUSE);
        self.next = now + pause + REFUSAL_INTERVAL;
        pause
    }
}
