//! One watched database, for as long as one session of its feed lasts: whether the feed is alive, the epoch, and
//! the reads and writes that are under way.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{DbName, DocId, Document, EpochClock, Rev};
use futures::future::{BoxFuture, WeakShared};
use tokio::time::Instant;

use crate::memory::{Entry, Key, Memory};
use crate::outcome::{Flight, Outcome};

/// Time in milliseconds since the cache was made. It fits into an atomic number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> u64 {
        millis(self.0.elapsed())
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How many parts a database has. Each has epochs of its own, so a write ends few of those that others rely on.
const PARTS: usize = 64;

/// A session of a database's feed.
pub(crate) struct Hot {
    /// The number of the session. No two sessions have the same.
    pub(crate) session: u64,
    pub(crate) db: DbName,
    clock: Clock,
    memory: Arc<Memory>,
    /// When the feed stops counting as alive. Zero before its first sign, and after its end.
    alive_until: AtomicU64,
    /// A feed with rare signs of life counts as alive only while these do.
    sentinels: Option<Arc<Sentinels>>,
    has_ended: AtomicBool,
    epoch: AtomicU64,
    /// The epochs of the parts.
    parts: [AtomicU64; PARTS],
    /// Decides which part a document belongs to.
    hasher: RandomState,
    last_used: AtomicU64,
    /// How many own writes run. While one does, no page is served from memory.
    writes: AtomicUsize,
    under_way: Mutex<UnderWay>,
}

/// The feeds that show signs of life often, taken together: while one of them does, the store is there.
#[derive(Debug, Default)]
pub(crate) struct Sentinels {
    alive_until: AtomicU64,
}

impl Sentinels {
    pub(crate) fn are_alive_until(&self, time: u64) {
        self.alive_until.store(time, Ordering::Release);
    }

    pub(crate) fn are_alive(&self, now: u64) -> bool {
        now < self.alive_until.load(Ordering::Acquire)
    }
}

/// The reads and writes of a database that run now.
#[derive(Default)]
struct UnderWay {
    /// The reads whose outcome may be remembered. A change takes the reads that it overtakes out of here.
    reads: HashMap<Key, Reading>,
    /// The documents that are being written by this program.
    writes: HashMap<DocId, Writing>,
    next_number: u64,
}

struct Reading {
    number: u64,
    /// It lives as long as somebody waits for it.
    flight: WeakShared<BoxFuture<'static, Outcome>>,
}

/// A document that is being written.
#[derive(Default)]
struct Writing {
    /// How many writes of it run.
    running: usize,
    /// The revision that the feed has told meanwhile.
    told: Option<Rev>,
    /// Whether the document may have a content that none of these writes knows.
    is_unsure: bool,
}

impl Hot {
    pub(crate) fn new(
        session: u64,
        db: DbName,
        clock: Clock,
        memory: Arc<Memory>,
        sentinels: Option<Arc<Sentinels>>,
    ) -> Self {
        Self {
            session,
            db,
            clock,
            memory,
            alive_until: AtomicU64::new(0),
            sentinels,
            has_ended: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            parts: std::array::from_fn(|_| AtomicU64::new(0)),
            hasher: RandomState::new(),
            last_used: AtomicU64::new(clock.now()),
            writes: AtomicUsize::new(0),
            under_way: Mutex::default(),
        }
    }

    /// Whether the feed would have told any change until now.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive_at(self.clock.now())
    }

    /// Whether the feed has shown a sign of life and has not ended.
    pub(crate) fn has_begun(&self) -> bool {
        self.alive_until() > 0
    }

    /// When the feed itself stops counting as alive.
    pub(crate) fn alive_until(&self) -> u64 {
        self.alive_until.load(Ordering::Acquire)
    }

    /// Whether the feed counts as alive only while the sentinels do.
    pub(crate) fn needs_sentinels(&self) -> bool {
        self.sentinels.is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Notes that the database is in use, at most ten times a second. Answers whether its feed is alive.
    fn is_alive_for_use(&self) -> bool {
        let now = self.clock.now();
        if now.saturating_sub(self.last_used()) > 100 {
            self.last_used.store(now, Ordering::Relaxed);
        }
        self.is_alive_at(now)
    }

    fn is_alive_at(&self, now: u64) -> bool {
        now < self.alive_until() && self.sentinels.as_ref().is_none_or(|sentinels| sentinels.are_alive(now))
    }

    /// The entry of a key, if there is one and it is still true. The database counts as used.
    pub(crate) fn recall(&self, key: &Key) -> Option<Entry> {
        if !self.is_alive_for_use() {
            return None;
        }
        let entry = self.memory.get(self.session, key)?;
        match entry.epoch() {
            // A page depends on every document.
            Some(epoch) => {
                let counts =
                    epoch == self.epoch.load(Ordering::Acquire) && self.writes.load(Ordering::Acquire) == 0;
                counts.then_some(entry)
            }
            None => Some(entry),
        }
    }

    /// The read of this key that is under way and may be shared, or a new one. `None` if a read must not be
    /// shared or remembered now.
    pub(crate) fn join_or_start(
        self: &Arc<Self>,
        key: &Key,
        start: impl FnOnce(Landing) -> Flight,
    ) -> Option<(Flight, Joined)> {
        if !self.is_alive() {
            return None;
        }
        let mut under_way = self.lock();
        let is_overtaken = match key {
            Key::Document(id) => under_way.writes.contains_key(id),
            Key::Page(_) => !under_way.writes.is_empty(),
        };
        if is_overtaken {
            return None;
        }
        if let Some(flight) = under_way.reads.get(key).and_then(|reading| reading.flight.upgrade()) {
            return Some((flight, Joined::Running));
        }
        let number = under_way.number();
        let landing = Landing {
            hot: Arc::clone(self),
            key: key.clone(),
            number,
            epoch: self.epoch.load(Ordering::Acquire),
        };
        let flight = start(landing);
        let weak = flight.downgrade()?;
        under_way.reads.insert(key.clone(), Reading { number, flight: weak });
        Some((flight, Joined::Own))
    }

    /// Notes that the feed has given a sign of life. The cache counts on the feed for `time` from now; the next sign must
    /// come before that.
    pub(crate) fn note_alive(&self, time: Duration) {
        if !self.has_ended.load(Ordering::Acquire) {
            let until = self.clock.now().saturating_add(millis(time)).max(1);
            self.alive_until.store(until, Ordering::Release);
        }
    }

    /// The feed, or somebody else, tells a change. `rev` is the new revision, if it is known.
    pub(crate) fn note_change(&self, id: DocId, rev: Option<&Rev>) {
        let mut under_way = self.lock();
        if let Some(writing) = under_way.writes.get_mut(&id) {
            writing.is_unsure |= rev.is_none() || writing.told.as_ref().is_some_and(|told| Some(told) != rev);
            writing.told = rev.cloned();
        }
        let part = self.part_of(&id);
        let key = Key::Document(id);
        let is_known = match self.memory.get(self.session, &key) {
            Some(Entry::Document(document)) => Some(document.rev()) == rev,
            _ => false,
        };
        self.overtake(&mut under_way, key, part, is_known);
    }

    /// Forgets a document, unless its newest content is known, and ends the epochs of its part and of the database.
    /// The reads that began before are not remembered.
    fn overtake(&self, under_way: &mut UnderWay, key: Key, part: usize, is_known: bool) {
        under_way.reads.retain(|other, _| matches!(other, Key::Document(_)) && *other != key);
        if !is_known {
            self.memory.forget(self.session, &key);
        }
        // Last: who asks for an epoch from here on reads what is true in it.
        if let Some(epoch) = self.parts.get(part) {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// An own write begins.
    pub(crate) fn begin_write(self: &Arc<Self>, id: &DocId) -> OwnWrite {
        let mut under_way = self.lock();
        let writing = under_way.writes.entry(id.clone()).or_default();
        writing.running += 1;
        // With several writes of one document, their order is not known here.
        writing.is_unsure |= writing.running > 1;
        self.writes.fetch_add(1, Ordering::AcqRel);
        self.overtake(&mut under_way, Key::Document(id.clone()), self.part_of(id), false);
        OwnWrite { hot: Arc::clone(self), id: id.clone(), written: None }
    }

    fn end_write(&self, id: &DocId, written: Option<Document>) {
        let mut under_way = self.lock();
        self.overtake(&mut under_way, Key::Document(id.clone()), self.part_of(id), false);
        let Some(writing) = under_way.writes.get_mut(id) else { return };
        writing.running -= 1;
        let is_last = writing.running == 0;
        let newest = written.filter(|document| {
            !writing.is_unsure && writing.told.as_ref().is_none_or(|told| told == document.rev())
        });
        if is_last {
            under_way.writes.remove(id);
            if let Some(document) = newest.filter(|_| self.is_alive()) {
                let key = Key::Document(id.clone());
                self.memory.put(self.session, key, Entry::Document(document));
            }
        }
        self.writes.fetch_sub(1, Ordering::AcqRel);
    }

    /// The session is over: what it remembers counts no more.
    pub(crate) fn end(&self) {
        let mut under_way = self.lock();
        self.has_ended.store(true, Ordering::Release);
        self.alive_until.store(0, Ordering::Release);
        under_way.reads.clear();
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl EpochClock for Hot {
    fn now(&self) -> Option<u64> {
        self.is_alive_for_use().then(|| self.epoch.load(Ordering::Acquire))
    }

    fn part_of(&self, id: &DocId) -> usize {
        usize::try_from(self.hasher.hash_one(id)).unwrap_or_default() % PARTS
    }

    fn now_in(&self, part: usize) -> Option<u64> {
        let epoch = self.parts.get(part)?;
        self.is_alive_for_use().then(|| epoch.load(Ordering::Acquire))
    }
}

/// Whether a caller waits for its own read or for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Own,
    Running,
}

/// The end of a read: its outcome is remembered if no change has overtaken it.
pub(crate) struct Landing {
    hot: Arc<Hot>,
    key: Key,
    number: u64,
    epoch: u64,
}

impl Landing {
    pub(crate) fn land(self, outcome: &Outcome) {
        let mut under_way = self.hot.lock();
        if !self.is_current(&under_way) {
            return;
        }
        under_way.reads.remove(&self.key);
        if let Some(entry) = outcome.entry(self.epoch)
            && (!outcome.is_empty_page() || self.key.is_worth_an_empty_page())
            && self.hot.is_alive()
        {
            self.hot.memory.put(self.hot.session, self.key.clone(), entry);
        }
    }

    fn is_current(&self, under_way: &UnderWay) -> bool {
        under_way.reads.get(&self.key).is_some_and(|reading| reading.number == self.number)
    }
}

impl Drop for Landing {
    /// A read that nobody waits for any more is dropped on its way.
    fn drop(&mut self) {
        let mut under_way = self.hot.lock();
        if self.is_current(&under_way) {
            under_way.reads.remove(&self.key);
        }
    }
}

/// An own write that runs. Its end, whatever it is, ends the epoch.
pub(crate) struct OwnWrite {
    hot: Arc<Hot>,
    id: DocId,
    written: Option<Document>,
}

impl OwnWrite {
    /// Whether it belongs to this session.
    pub(crate) fn is_of(&self, hot: &Arc<Hot>) -> bool {
        Arc::ptr_eq(&self.hot, hot)
    }

    /// The write was done, and this is the document now, if that is known.
    pub(crate) fn done(mut self, written: Option<Document>) {
        self.written = written;
    }
}

impl Drop for OwnWrite {
    fn drop(&mut self) {
        self.hot.end_write(&self.id, self.written.take());
    }
}
