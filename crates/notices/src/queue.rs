//! The notices that wait for the broker. Those of one document leave in the order of its revisions, one at a
//! time. The queue is bounded in bytes. It knows neither the store nor the broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::marked_db::Hold;
use crate::notice::{DocKey, Notice};
use crate::subscribers::{MayBind, Subscribers};
use crate::waiting::{Item, Sent, Waiting};

/// Numbers about notices since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whether there is a connection to a broker.
    pub is_connected: bool,
    /// The notices that the broker has not confirmed yet.
    pub waiting: u64,
    /// The memory that they take, in bytes.
    pub waiting_bytes: u64,
    /// The notices that the broker has confirmed.
    pub sent: u64,
    /// The notices that were given up: the queue was full, or no queue at the broker got them for a minute.
    pub dropped: u64,
    /// How many times the broker sent a notice back because no queue takes it.
    pub returned: u64,
    /// Whether the notices of others are heard.
    pub is_listening: bool,
    /// How many notices of others were heard.
    pub heard: u64,
    /// Whether another server that runs now has the same node name. Then a kill may lose notices.
    pub shares_name: bool,
}

/// The waiting notices.
pub(crate) struct Queue {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    /// A notice may have become ready.
    changed: Notify,
    /// A notice was settled, or the connection has changed.
    settled: Notify,
    sent: AtomicU64,
    returned: AtomicU64,
}

/// Notices that left the queue. They are dropped only after all locks are free, because their holds take
/// another lock.
#[must_use]
pub(crate) struct Left(#[expect(dead_code, reason = "it is there to be dropped")] Vec<Item>);

impl Queue {
    /// A queue that takes at most `limit_bytes` of memory. A notice that no queue at the broker gets is sent again for
    /// `returned_patience`.
    pub(crate) fn new(limit_bytes: usize, returned_patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            waiting: Mutex::new(Waiting::new(Subscribers::new(returned_patience), limit_bytes / 8)),
            changed: Notify::new(),
            settled: Notify::new(),
            sent: AtomicU64::new(0),
            returned: AtomicU64::new(0),
        })
    }

    /// Nothing panics while it holds this lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a write. Notices of later writes of the document wait until the slot is gone.
    pub(crate) fn open(self: &Arc<Self>, key: Arc<DocKey>) -> Slot {
        let number = self.lock().open(Arc::clone(&key));
        Slot { queue: Arc::clone(self), key, number }
    }

    /// Adds a notice.
    pub(crate) fn push(&self, key: Arc<DocKey>, notice: Notice, hold: Hold) -> Left {
        let left = self.lock().push(key, notice, hold, self.limit_bytes);
        self.changed.notify_one();
        Left(left)
    }

    /// The next notice that may be sent now.
    pub(crate) fn try_next(self: &Arc<Self>) -> Option<Sending> {
        let item = self.lock().take()?;
        Some(Sending { queue: Arc::clone(self), item: Some(item) })
    }

    /// Waits for the next notice that may be sent.
    pub(crate) async fn next(self: &Arc<Self>) -> Sending {
        loop {
            if let Some(sending) = self.try_next() {
                return sending;
            }
            let (gone, next_time) = {
                let mut waiting = self.lock();
                (waiting.expire(Instant::now()), waiting.next_time())
            };
            drop(gone);
            match next_time {
                Some(at) => drop(timeout_at(at, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Waits until the queue is at most half full.
    pub(crate) async fn wait_for_room(&self) {
        self.wait_until(|waiting| waiting.bytes() <= self.limit_bytes / 2).await;
    }

    /// Waits until nothing waits.
    pub(crate) async fn wait_until_empty(&self) {
        self.wait_until(|waiting| waiting.bytes() == 0).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&Waiting) -> bool) {
        loop {
            let settled = self.settled.notified();
            futures::pin_mut!(settled);
            settled.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            settled.await;
        }
    }

    /// Notices are sent to the broker of this number now, or to none.
    pub(crate) fn set_connected(&self, broker: Option<usize>) {
        let mut waiting = self.lock();
        waiting.subscribers.connected(broker, Instant::now());
        waiting.begin_again();
        drop(waiting);
        self.settled.notify_waiters();
        self.changed.notify_one();
    }

    /// Sets how many brokers there are.
    pub(crate) fn set_brokers(&self, count: usize) {
        self.lock().subscribers.choice.set_count(count);
    }

    /// The broker of this number does not answer.
    pub(crate) fn set_unreachable(&self, broker: usize) {
        self.lock().subscribers.choice.unreachable(broker);
    }

    /// The connection is given up for one to another broker. Own queues are out of place from now on.
    pub(crate) fn leave(&self) {
        let mut waiting = self.lock();
        waiting.subscribers.leave();
        waiting.begin_again();
        drop(waiting);
        self.settled.notify_waiters();
    }

    /// The broker to go to, because nobody takes notices at the present one.
    pub(crate) fn next_broker(&self) -> Option<usize> {
        self.lock().subscribers.next_broker(Instant::now())
    }

    /// The brokers before this one that are better if they answer.
    pub(crate) fn brokers_before(&self, broker: usize) -> Vec<usize> {
        self.lock().subscribers.choice.before(broker, Instant::now())
    }

    /// From now on no notice is sent a second time, whatever happens: the server stops.
    pub(crate) fn keep_none(&self) {
        let gone = self.lock().keep_none();
        drop(gone);
    }

    /// Waits until an own queue at this broker is out of place.
    pub(crate) async fn wait_until_left(&self, broker: usize) {
        self.wait_until(|waiting| waiting.subscribers.has_left(broker)).await;
    }

    /// Waits until this server may bind a queue of its own. It has had none since `unbound_since`. Answers the number of
    /// the broker.
    pub(crate) async fn wait_until_bindable(&self, unbound_since: Instant) -> usize {
        loop {
            let settled = self.settled.notified();
            futures::pin_mut!(settled);
            settled.as_mut().enable();
            let may_bind = self.lock().subscribers.may_bind(unbound_since, Instant::now());
            match may_bind {
                MayBind::At(broker) => return broker,
                MayBind::NotBefore(at) => drop(timeout_at(at, settled).await),
                MayBind::NotYet => settled.await,
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let waiting = self.lock();
        Counts {
            is_connected: waiting.subscribers.is_connected(),
            waiting: waiting.len(),
            waiting_bytes: u64::try_from(waiting.bytes()).unwrap_or(u64::MAX),
            sent: self.sent.load(Ordering::Relaxed),
            dropped: waiting.dropped(),
            returned: self.returned.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }

    /// Counts a notice that was given up before it came here.
    pub(crate) fn count_dropped(&self) {
        self.lock().count_dropped();
    }
}

/// A write whose outcome is not known yet.
pub(crate) struct Slot {
    queue: Arc<Queue>,
    key: Arc<DocKey>,
    number: u64,
}

impl Slot {
    pub(crate) fn key(&self) -> &Arc<DocKey> {
        &self.key
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queue.lock().close(&self.key, self.number);
        self.queue.changed.notify_one();
    }
}

/// A notice that is being sent. If it is dropped, it is sent again.
pub(crate) struct Sending {
    queue: Arc<Queue>,
    item: Option<Item>,
}

impl Sending {
    /// The notice and its document.
    pub(crate) fn notice(&self) -> Option<(&DocKey, &Notice)> {
        self.item.as_ref().map(|item| (&*item.key, &item.notice))
    }

    /// Ends it.
    pub(crate) fn end(mut self, sent: Sent) {
        match sent {
            Sent::Delivered => drop(self.queue.sent.fetch_add(1, Ordering::Relaxed)),
            Sent::Returned => drop(self.queue.returned.fetch_add(1, Ordering::Relaxed)),
            Sent::Refused | Sent::Unsendable | Sent::Unknown => {}
        }
        self.settle(sent);
    }

    fn settle(&mut self, sent: Sent) {
        let Some(item) = self.item.take() else { return };
        let gone = self.queue.lock().settle(item, sent);
        drop(gone);
        self.queue.changed.notify_one();
        self.queue.settled.notify_waiters();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.settle(Sent::Unknown);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
