//! The waiting notices themselves: which may be sent, in what order, and which give way. It is locked as a whole by
//! `queue`, and waits for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::marks::Hold;
use crate::notice::{DocKey, Notice};

/// The pause before a notice is sent again that came back or that the broker refused. It doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often the log tells of dropped notices.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// What a waiting notice takes in memory beside its texts: its places in the maps below, and its key.
const OVERHEAD_BYTES: usize = 384;

/// How long the notices of a document are sent again when no queue of the broker takes them.
const RETURNED_PATIENCE: Duration = Duration::from_secs(60);

/// All waiting notices.
#[derive(Default)]
pub(crate) struct Waiting {
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
pub(crate) struct Item {
    pub(crate) key: Arc<DocKey>,
    pub(crate) notice: Notice,
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

/// What happens to a notice that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The broker has it.
    Delivered,
    /// The broker sent it back, because no queue takes it.
    Returned,
    /// The broker could not take it now.
    Refused,
    /// It cannot be sent at all.
    Unsendable,
    /// Nobody knows: the connection broke.
    Unknown,
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
    /// Announces a write of a document, and answers its number.
    pub(crate) fn open(&mut self, key: Arc<DocKey>) -> u64 {
        let number = self.number();
        self.docs.entry(key).or_default().open.insert(number);
        number
    }

    /// The outcome of a write is known.
    pub(crate) fn close(&mut self, key: &Arc<DocKey>, number: u64) {
        if let Some(doc) = self.docs.get_mut(key) {
            doc.open.remove(&number);
        }
        self.refresh(key);
    }

    /// Adds a notice. Answers those that gave way, so that all fit into the limit.
    pub(crate) fn push(
        &mut self,
        key: Arc<DocKey>,
        notice: Notice,
        hold: Hold,
        limit_bytes: usize,
    ) -> Vec<Item> {
        let texts = key.db.as_str().len().saturating_add(key.id.as_str().len());
        let bytes = notice.bytes().saturating_add(texts).saturating_add(OVERHEAD_BYTES);
        self.insert(Item { key, notice, barrier: self.next_number, bytes, _hold: hold });
        self.make_room(limit_bytes)
    }

    /// Takes the oldest notice that is ready. Its bytes still count.
    pub(crate) fn take(&mut self) -> Option<Item> {
        self.end_delays(Instant::now());
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

    /// Ends the sending of a notice. It is answered if it is gone.
    pub(crate) fn settle(&mut self, item: Item, sent: Sent) -> Option<Item> {
        let (now, key) = (Instant::now(), Arc::clone(&item.key));
        self.in_flight = self.in_flight.saturating_sub(1);
        let doc = self.docs.entry(Arc::clone(&key)).or_default();
        doc.is_in_flight = false;
        // The time of the next try; `None` if there is none.
        let again = match sent {
            Sent::Delivered => {
                (doc.returned_since, doc.tries) = (None, 0);
                None
            }
            Sent::Returned => {
                let since = *doc.returned_since.get_or_insert(now);
                let may_wait = now.duration_since(since) < RETURNED_PATIENCE;
                may_wait.then(|| now + doc.pause())
            }
            Sent::Refused => Some(now + doc.pause()),
            Sent::Unsendable => None,
            Sent::Unknown => Some(now),
        };
        let gone = match again {
            Some(at) => {
                self.put_back(item, at, now);
                None
            }
            None => {
                self.bytes = self.bytes.saturating_sub(item.bytes);
                if sent != Sent::Delivered {
                    self.drops.add();
                }
                Some(item)
            }
        };
        self.refresh(&key);
        self.drops.tell();
        gone
    }

    /// When the next document has waited long enough.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Counts a notice that was given up before it came here.
    pub(crate) fn count_dropped(&mut self) {
        self.drops.add();
    }

    /// How many notices there are.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.items.len()).unwrap_or(u64::MAX).saturating_add(self.in_flight)
    }

    /// The memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were given up since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.drops.total
    }

    /// Whether nothing at all is left of the documents that had notices.
    #[cfg(test)]
    pub(crate) fn is_blank(&self) -> bool {
        self.docs.is_empty() && self.superseded.is_empty() && self.ready.is_empty() && self.delayed.is_empty()
    }

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
        let is_earlier =
            |other: &u64| items.get(other).is_some_and(|other| other.notice.generation() <= generation);
        let place = doc.items.iter().rposition(is_earlier).map_or(0, |place| place.saturating_add(1));
        let older = if place == doc.items.len() { doc.items.back().copied() } else { Some(number) };
        doc.items.insert(place, number);
        self.superseded.extend(older);
        self.bytes = self.bytes.saturating_add(item.bytes);
        self.items.insert(number, item);
        self.refresh(&key);
    }

    /// Puts a notice back that was being sent. It is the oldest of its document.
    fn put_back(&mut self, item: Item, at: Instant, now: Instant) {
        let number = self.number();
        let doc = self.docs.entry(Arc::clone(&item.key)).or_default();
        if !doc.items.is_empty() {
            self.superseded.insert(number);
        }
        doc.items.push_front(number);
        if at > now {
            doc.delayed = Some((at, number));
            self.delayed.insert((at, number), Arc::clone(&item.key));
        }
        self.items.insert(number, item);
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
