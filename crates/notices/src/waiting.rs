//! The waiting notices: which may be sent, in what order, and which are dropped if there are too many. `queue` locks all
//! of it at once. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::doc::Doc;
use crate::drops::Drops;
use crate::kept::Kept;
use crate::marked_db::Hold;
use crate::notice::{DocKey, Notice};
use crate::subscribers::Subscribers;

/// What a waiting notice takes in memory beside its texts: its places in the maps below, and its key.
const OVERHEAD_BYTES: usize = 384;

/// All waiting notices.
pub(crate) struct Waiting {
    pub(crate) subscribers: Subscribers,
    docs: HashMap<Arc<DocKey>, Doc>,
    /// The notices that are not being sent, by their numbers.
    items: BTreeMap<u64, Item>,
    /// The notices of documents that have a newer one. They are dropped first.
    superseded: BTreeSet<u64>,
    /// The next notice of each document that may be sent now.
    ready: BTreeMap<u64, Arc<DocKey>>,
    /// The documents that wait for a time, by that time and the number of their next notice.
    delayed: BTreeMap<(Instant, u64), Arc<DocKey>>,
    in_flight: u64,
    bytes: usize,
    next_number: u64,
    drops: Drops,
    /// What was taken at a broker that is not the first one. It is sent again when the connection ends: those for whom
    /// it was may have gone to an earlier broker a moment before this server.
    kept: Option<Kept<Item>>,
}

/// A waiting notice.
pub(crate) struct Item {
    pub(crate) key: Arc<DocKey>,
    pub(crate) notice: Notice,
    /// Writes of the document that were opened before this number may have been earlier.
    barrier: u64,
    bytes: usize,
    /// When it was sent last.
    sent_at: Option<Instant>,
    /// Since when no queue gets it: the broker sent it back, or an earlier one of its document.
    returned_since: Option<Instant>,
    /// Keeps the mark in the store until the broker has the notice.
    _hold: Hold,
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

impl Waiting {
    /// `kept_bytes` bounds what is kept of what was sent.
    pub(crate) fn new(subscribers: Subscribers, kept_bytes: usize) -> Self {
        Self {
            subscribers,
            docs: HashMap::new(),
            items: BTreeMap::new(),
            superseded: BTreeSet::new(),
            ready: BTreeMap::new(),
            delayed: BTreeMap::new(),
            in_flight: 0,
            bytes: 0,
            next_number: 0,
            drops: Drops::new(),
            kept: Some(Kept::new(kept_bytes)),
        }
    }

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

    /// Adds a notice. If all do not fit into the limit, some are dropped and answered.
    pub(crate) fn push(
        &mut self,
        key: Arc<DocKey>,
        notice: Notice,
        hold: Hold,
        limit_bytes: usize,
    ) -> Vec<Item> {
        let texts = key.db.as_str().len().saturating_add(key.id.as_str().len());
        let bytes = notice.bytes().saturating_add(texts).saturating_add(OVERHEAD_BYTES);
        self.bytes = self.bytes.saturating_add(bytes);
        let (barrier, sent_at, returned_since) = (self.next_number, None, None);
        self.insert(Item { key, notice, barrier, bytes, sent_at, returned_since, _hold: hold });
        self.make_room(limit_bytes)
    }

    /// Takes the oldest notice that is ready. Its bytes still count.
    pub(crate) fn take(&mut self) -> Option<Item> {
        self.end_delays(Instant::now());
        let (number, key) = self.ready.pop_first()?;
        let mut item = self.items.remove(&number)?;
        item.sent_at = Some(Instant::now());
        self.superseded.remove(&number);
        if let Some(doc) = self.docs.get_mut(&key) {
            doc.items.pop_front();
            (doc.ready, doc.is_in_flight) = (None, true);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Some(item)
    }

    /// Ends the sending of a notice. Answers what will not be sent again.
    pub(crate) fn settle(&mut self, mut item: Item, sent: Sent) -> Vec<Item> {
        let (now, key) = (Instant::now(), Arc::clone(&item.key));
        self.in_flight = self.in_flight.saturating_sub(1);
        match sent {
            Sent::Delivered => self.note_taken(&key, &item),
            Sent::Returned => self.note_returned(&key, &mut item, now),
            Sent::Refused | Sent::Unsendable | Sent::Unknown => {}
        }
        let doc = self.docs.entry(Arc::clone(&key)).or_default();
        doc.is_in_flight = false;
        // The time of the next try; `None` if there is none.
        let again = match sent {
            Sent::Delivered => {
                doc.tries = 0;
                None
            }
            Sent::Returned => {
                let first = item.returned_since.unwrap_or(now);
                let may_wait = !self.subscribers.gives_up(first, now);
                may_wait.then(|| now + doc.pause())
            }
            Sent::Refused => Some(now + doc.pause()),
            Sent::Unsendable => None,
            Sent::Unknown => Some(now),
        };
        let mut gone = self.expire(now);
        match again {
            Some(at) => self.put_back(item, at, now),
            None => {
                self.leave(&mut item);
                if sent != Sent::Delivered {
                    self.drops.add();
                }
                match &mut self.kept {
                    Some(kept) if sent == Sent::Delivered && self.subscribers.may_go_back() => {
                        let bytes = item.bytes;
                        kept.add(item, bytes, now);
                    }
                    _ => gone.push(item),
                }
            }
        }
        self.refresh(&key);
        self.drops.tell();
        gone
    }

    /// Takes out what need not be kept any more.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Item> {
        self.kept.as_mut().map(|kept| kept.expire(now)).unwrap_or_default()
    }

    /// Ends the keeping.
    pub(crate) fn keep_none(&mut self) -> Vec<Item> {
        self.kept.take().map(|mut kept| kept.take_all()).unwrap_or_default()
    }

    /// A connection begins or has ended. Nothing waits for a time any more, and what was kept is sent again.
    pub(crate) fn begin_again(&mut self) {
        let now = Instant::now();
        while let Some((_, key)) = self.delayed.pop_first() {
            if let Some(doc) = self.docs.get_mut(&key) {
                (doc.delayed, doc.tries) = (None, 0);
            }
            self.refresh(&key);
        }
        for item in self.kept.as_mut().map(Kept::take_all).unwrap_or_default() {
            self.bytes = self.bytes.saturating_add(item.bytes);
            let key = Arc::clone(&item.key);
            self.put_back(item, now, now);
            self.refresh(&key);
        }
    }

    /// A queue has got a notice. So the waiting ones of its document may reach one, too, and do not count as sent back.
    fn note_taken(&mut self, key: &DocKey, item: &Item) {
        self.subscribers.taken(item.sent_at.unwrap_or_else(Instant::now));
        let Some(doc) = self.docs.get_mut(key) else { return };
        if !std::mem::take(&mut doc.comes_back) {
            return;
        }
        for number in &doc.items {
            let since = self.items.get_mut(number).and_then(|item| item.returned_since.take());
            if since.is_some() {
                self.subscribers.end_return();
            }
        }
    }

    /// No queue gets this notice now. The same goes for the waiting ones of its document. Each is given up after its own
    /// time.
    fn note_returned(&mut self, key: &DocKey, item: &mut Item, now: Instant) {
        let Some(doc) = self.docs.get_mut(key) else { return };
        doc.comes_back = true;
        self.subscribers.came_back(now);
        let mut note = |item: &mut Item| {
            if item.returned_since.replace(item.returned_since.unwrap_or(now)).is_none() {
                self.subscribers.begin_return();
            }
        };
        note(item);
        for number in &doc.items {
            if let Some(item) = self.items.get_mut(number) {
                note(item);
            }
        }
    }

    /// A notice has left: its memory is free.
    fn leave(&mut self, item: &mut Item) {
        self.bytes = self.bytes.saturating_sub(item.bytes);
        if item.returned_since.take().is_some() {
            self.subscribers.end_return();
        }
    }

    /// When the next document has waited long enough, or something was kept for long enough.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let kept = self.kept.as_ref().and_then(Kept::next_time);
        delayed.into_iter().chain(kept).min()
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
        self.drops.total()
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

    /// Adds a notice behind those of earlier revisions of its document.
    fn insert(&mut self, item: Item) {
        let key = Arc::clone(&item.key);
        let generation = item.notice.generation();
        self.place(item, |other| other.generation() <= generation);
        self.refresh(&key);
    }

    /// Puts a notice back that was being sent. One of an earlier revision may have come meanwhile.
    fn put_back(&mut self, item: Item, at: Instant, now: Instant) {
        let key = Arc::clone(&item.key);
        let generation = item.notice.generation();
        let number = self.place(item, |other| other.generation() < generation);
        if at > now {
            self.docs.entry(Arc::clone(&key)).or_default().delayed = Some((at, number));
            self.delayed.insert((at, number), key);
        }
    }

    /// Puts a notice among those of its document, behind those that are before it.
    fn place(&mut self, item: Item, is_before: impl Fn(&Notice) -> bool) -> u64 {
        let number = self.number();
        let doc = self.docs.entry(Arc::clone(&item.key)).or_default();
        let items = &self.items;
        let is_before = |other: &u64| items.get(other).is_some_and(|other| is_before(&other.notice));
        let place = doc.items.iter().rposition(is_before).map_or(0, |place| place.saturating_add(1));
        let older = if place == doc.items.len() { doc.items.back().copied() } else { Some(number) };
        doc.items.insert(place, number);
        self.superseded.extend(older);
        self.items.insert(number, item);
        number
    }

    /// Drops notices until the others fit: first those that have a newer one, then the oldest.
    fn make_room(&mut self, limit_bytes: usize) -> Vec<Item> {
        let mut left = Vec::new();
        while self.bytes > limit_bytes {
            let oldest = self.items.first_key_value().map(|(number, _)| *number);
            let Some(number) = self.superseded.first().copied().or(oldest) else { break };
            self.superseded.remove(&number);
            let Some(mut item) = self.items.remove(&number) else { break };
            self.leave(&mut item);
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
