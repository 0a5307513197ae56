//! The notices that wait for the broker. Those of one document leave in the order of its revisions, one at a
//! time. The queue is bounded in bytes. It knows neither the store nor the broker.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::marks::Hold;
use crate::notice::{DocKey, Notice};

/// How long the notices of a document are sent again when no queue of the broker takes them.
const RETURNED_PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a notice is sent again that came back or that the broker refused. It doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often the log tells of dropped notices.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// What a waiting notice takes in memory beside its texts: its places in the maps below, and its key.
const OVERHEAD_BYTES: usize = 384;

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
    /// The notices that were given up: the queue was full, or nobody took them for a minute.
    pub dropped: u64,
    /// How many times the broker sent a notice back because no queue takes it.
    pub returned: u64,
}

/// The waiting notices.
pub(crate) struct Queue {
    limit_bytes: usize,
    waiting: Mutex<Waiting>,
    /// A notice may have become ready.
    changed: Notify,
    /// A notice has left.
    room: Notify,
    is_connected: AtomicBool,
    sent: AtomicU64,
    returned: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    docs: HashMap<Arc<DocKey>, Doc>,
    /// The notices that are not being sent, by their numbers.
    items: BTreeMap<u64, Item>,
    /// The notices of documents that have a newer one. They give way first.
    superseded: BTreeSet<u64>,
    /// The next notice of each document that may be sent now.
    ready: BTreeMap<u64, Arc<DocKey>>,
    /// The documents that wait for a time, by that time and the number of their next notice.
    delayed: BTreeMap<(Instant, u64), Arc<DocKey>>,
    in_flight: u64,
    bytes: usize,
    next_number: u64,
    drops: Drops,
}

/// The notices of one document.
#[derive(Default)]
struct Doc {
    /// The writes whose outcome is not known yet.
    open: BTreeSet<u64>,
    /// The numbers of its notices, in the order of their revisions.
    items: VecDeque<u64>,
    is_in_flight: bool,
    ready: Option<u64>,
    delayed: Option<(Instant, u64)>,
    /// When its notices began to come back.
    returned_since: Option<Instant>,
    tries: u32,
}

/// A waiting notice.
struct Item {
    key: Arc<DocKey>,
    notice: Notice,
    /// Writes of the document that were opened before this number may have been earlier.
    barrier: u64,
    bytes: usize,
    /// Keeps the mark in the store until the broker has the notice.
    _hold: Hold,
}

/// Dropped notices, and how many of them the log has not told.
#[derive(Default)]
struct Drops {
    total: u64,
    untold: u64,
    told_at: Option<Instant>,
}

/// Notices that left the queue. They are dropped only after all locks are free, because their holds take
/// another lock.
#[must_use]
pub(crate) struct Left(#[expect(dead_code, reason = "it is there to be dropped")] Vec<Item>);

impl Queue {
    pub(crate) fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            waiting: Mutex::default(),
            changed: Notify::new(),
            room: Notify::new(),
            is_connected: AtomicBool::new(false),
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
        let mut waiting = self.lock();
        let number = waiting.number();
        waiting.docs.entry(Arc::clone(&key)).or_default().open.insert(number);
        Slot { queue: Arc::clone(self), key, number }
    }

    /// Adds a notice.
    pub(crate) fn push(&self, key: Arc<DocKey>, notice: Notice, hold: Hold) -> Left {
        let mut waiting = self.lock();
        let barrier = waiting.next_number;
        let bytes = notice.bytes().saturating_add(key.db.as_str().len()).saturating_add(key.id.as_str().len());
        let bytes = bytes.saturating_add(OVERHEAD_BYTES);
        waiting.insert(Item { key, notice, barrier, bytes, _hold: hold });
        let left = waiting.make_room(self.limit_bytes);
        drop(waiting);
        self.changed.notify_one();
        Left(left)
    }

    /// The next notice that may be sent now.
    pub(crate) fn try_next(self: &Arc<Self>) -> Option<Sending> {
        let mut waiting = self.lock();
        waiting.end_delays(Instant::now());
        let item = waiting.take()?;
        Some(Sending { queue: Arc::clone(self), item: Some(item) })
    }

    /// Waits for the next notice that may be sent.
    pub(crate) async fn next(self: &Arc<Self>) -> Sending {
        loop {
            if let Some(sending) = self.try_next() {
                return sending;
            }
            let next_time = self.lock().delayed.first_key_value().map(|((at, _), _)| *at);
            match next_time {
                Some(at) => drop(timeout_at(at, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Waits until the queue is at most half full.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            let left = self.room.notified();
            futures::pin_mut!(left);
            left.as_mut().enable();
            if self.lock().bytes <= self.limit_bytes / 2 {
                return;
            }
            left.await;
        }
    }

    /// Waits until nothing waits.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let left = self.room.notified();
            futures::pin_mut!(left);
            left.as_mut().enable();
            if self.lock().bytes == 0 {
                return;
            }
            left.await;
        }
    }

    pub(crate) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let waiting = self.lock();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Counts {
            is_connected: self.is_connected.load(Ordering::Relaxed),
            waiting: number(waiting.items.len()).saturating_add(waiting.in_flight),
            waiting_bytes: number(waiting.bytes),
            sent: self.sent.load(Ordering::Relaxed),
            dropped: waiting.drops.total,
            returned: self.returned.load(Ordering::Relaxed),
        }
    }

    /// Counts a notice that nobody will get for another reason than a full queue.
    pub(crate) fn count_dropped(&self) {
        self.lock().drops.add();
    }

    /// Ends the sending of a notice.
    fn settle(&self, item: Item, settled: Settled) {
        let mut left = None;
        {
            let mut waiting = self.lock();
            waiting.in_flight = waiting.in_flight.saturating_sub(1);
            let key = Arc::clone(&item.key);
            if let Some(doc) = waiting.docs.get_mut(&key) {
                doc.is_in_flight = false;
            }
            match settled {
                Settled::Gone => {
                    waiting.bytes = waiting.bytes.saturating_sub(item.bytes);
                    left = Some(item);
                }
                Settled::Again { after } => waiting.put_back(item, after),
            }
            waiting.refresh(&key);
            waiting.drops.tell();
        }
        drop(left);
        self.changed.notify_one();
        self.room.notify_waiters();
    }

    /// What to do with a notice that came back.
    fn after_return(&self, key: &DocKey) -> Settled {
        let mut waiting = self.lock();
        let now = Instant::now();
        let pause = waiting.docs.get_mut(key).map(|doc| {
            let since = *doc.returned_since.get_or_insert(now);
            (now.duration_since(since) < RETURNED_PATIENCE).then(|| doc.pause())
        });
        match pause.flatten() {
            Some(pause) => Settled::Again { after: Some(now + pause) },
            None => {
                waiting.drops.add();
                Settled::Gone
            }
        }
    }
}

/// What happens to a notice that was sent.
enum Settled {
    Gone,
    Again { after: Option<Instant> },
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
        let mut waiting = self.queue.lock();
        if let Some(doc) = waiting.docs.get_mut(&self.key) {
            doc.open.remove(&self.number);
        }
        waiting.refresh(&self.key);
        drop(waiting);
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

    /// The broker has it.
    pub(crate) fn delivered(mut self) {
        if let Some(item) = self.item.take() {
            self.queue.sent.fetch_add(1, Ordering::Relaxed);
            if let Some(doc) = self.queue.lock().docs.get_mut(&item.key) {
                (doc.returned_since, doc.tries) = (None, 0);
            }
            self.queue.settle(item, Settled::Gone);
        }
    }

    /// The broker sent it back, because no queue takes it.
    pub(crate) fn returned(mut self) {
        if let Some(item) = self.item.take() {
            self.queue.returned.fetch_add(1, Ordering::Relaxed);
            let settled = self.queue.after_return(&item.key);
            self.queue.settle(item, settled);
        }
    }

    /// The broker could not take it now.
    pub(crate) fn refused(mut self) {
        if let Some(item) = self.item.take() {
            let pause = self.queue.lock().docs.get_mut(&item.key).map(Doc::pause);
            let after = pause.map(|pause| Instant::now() + pause);
            self.queue.settle(item, Settled::Again { after });
        }
    }

    /// It cannot be sent at all.
    pub(crate) fn unsendable(mut self) {
        if let Some(item) = self.item.take() {
            self.queue.count_dropped();
            self.queue.settle(item, Settled::Gone);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.queue.settle(item, Settled::Again { after: None });
        }
    }
}

impl Doc {
    /// The pause before the next try. It doubles with each one.
    fn pause(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(8)).min(LONGEST_PAUSE);
        self.tries = self.tries.saturating_add(1);
        pause
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.items.is_empty() && !self.is_in_flight
    }
}

impl Waiting {
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        number
    }

    /// Puts a notice among those of its document, behind the one of the revision before it.
    fn insert(&mut self, item: Item) {
        let number = self.number();
        let key = Arc::clone(&item.key);
        let generation = item.notice.generation();
        let doc = self.docs.entry(Arc::clone(&key)).or_default();
        let items = &self.items;
        let is_earlier = |other: &u64| {
            items.get(other).is_some_and(|other| other.notice.generation() <= generation)
        };
        let place = doc.items.iter().rposition(is_earlier).map_or(0, |place| place.saturating_add(1));
        let older = if place == doc.items.len() { doc.items.back().copied() } else { Some(number) };
        doc.items.insert(place, number);
        self.superseded.extend(older);
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.items.insert(number, item);
        self.refresh(&key);
    }

    /// Puts a notice back that was being sent. It is the oldest of its document.
    fn put_back(&mut self, item: Item, after: Option<Instant>) {
        let number = self.number();
        let doc = self.docs.entry(Arc::clone(&item.key)).or_default();
        if !doc.items.is_empty() {
            self.superseded.insert(number);
        }
        doc.items.push_front(number);
        if let Some(at) = after {
            doc.delayed = Some((at, number));
            self.delayed.insert((at, number), Arc::clone(&item.key));
        }
        self.items.insert(number, item);
    }

    /// Takes the oldest notice that is ready. Its bytes still count.
    fn take(&mut self) -> Option<Item> {
        let (number, key) = self.ready.pop_first()?;
        let item = self.items.remove(&number)?;
        self.superseded.remove(&number);
        if let Some(doc) = self.docs.get_mut(&key) {
            doc.items.pop_front();
            (doc.ready, doc.is_in_flight) = (None, true);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Some(item)
    }

    /// Drops notices until the others fit: first those that have a newer one, then the oldest.
    fn make_room(&mut self, limit_bytes: usize) -> Vec<Item> {
        let mut left = Vec::new();
        while self.bytes > limit_bytes {
            let oldest = self.items.first_key_value().map(|(number, _)| *number);
            let Some(number) = self.superseded.first().copied().or(oldest) else { break };
            self.superseded.remove(&number);
            let Some(item) = self.items.remove(&number) else { break };
            self.bytes = self.bytes.saturating_sub(item.bytes);
            if let Some(doc) = self.docs.get_mut(&item.key) {
                if doc.items.front() == Some(&number) {
                    doc.items.pop_front();
                } else {
                    doc.items.retain(|other| *other != number);
                }
                if let Some(newest) = doc.items.back() {
                    self.superseded.remove(newest);
                }
            }
            self.refresh(&item.key);
            self.drops.add();
            left.push(item);
        }
        left
    }

    fn end_delays(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            if let Some(doc) = self.docs.get_mut(&key) {
                doc.delayed = None;
            }
            self.refresh(&key);
        }
    }

    /// Finds out which notice of a document may be sent now, and forgets a document without any.
    fn refresh(&mut self, key: &Arc<DocKey>) {
        let Some(doc) = self.docs.get_mut(key) else { return };
        if let Some(ready) = doc.ready.take() {
            self.ready.remove(&ready);
        }
        if doc.items.is_empty()
            && let Some(delayed) = doc.delayed.take()
        {
            self.delayed.remove(&delayed);
        }
        if doc.is_idle() {
            self.docs.remove(key);
            return;
        }
        if doc.is_in_flight || doc.delayed.is_some() {
            return;
        }
        let Some(number) = doc.items.front().copied() else { return };
        let barrier = self.items.get(&number).map_or(0, |item| item.barrier);
        if doc.open.first().is_none_or(|open| *open >= barrier) {
            doc.ready = Some(number);
            self.ready.insert(number, Arc::clone(key));
        }
    }
}

impl Drops {
    fn add(&mut self) {
        self.total = self.total.saturating_add(1);
        self.untold = self.untold.saturating_add(1);
        self.tell();
    }

    /// Logs how many were dropped, now and then.
    fn tell(&mut self) {
        let now = Instant::now();
        let is_time = self.told_at.is_none_or(|at| now.duration_since(at) >= LOG_PAUSE);
        if self.untold > 0 && is_time {
            log::warn!(
                dropped = self.untold, dropped_since_start = self.total;
                "change notices were dropped: nobody takes them, or too many wait for the broker. Kazoo may show \
                 the older revisions of these documents for 15 minutes"
            );
            (self.untold, self.told_at) = (0, Some(now));
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
