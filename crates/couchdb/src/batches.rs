//! The writes of each database that are under way, and those that wait for one of them to end. Those that wait are
//! then sent in one request: CouchDB commits documents together, and one request costs it much less than many. It knows
//! neither connections nor requests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datastore::{DbName, Deadline, Rev};
use tokio::sync::oneshot;

use crate::error::Error;

/// How many documents are sent together.
const MOST_DOCUMENTS: usize = 64;

/// The writes of each database that has one under way.
#[derive(Default)]
pub(crate) struct Batches(Mutex<HashMap<DbName, Writes>>);

#[derive(Default)]
struct Writes {
    under_way: usize,
    waiting: Vec<Waiting>,
    /// The number of the write that waited last.
    last: u64,
}

/// A write that waits to be sent with others.
pub(crate) struct Waiting {
    /// The document with its id.
    pub(crate) document: Vec<u8>,
    pub(crate) deadline: Deadline,
    number: u64,
    told: oneshot::Sender<Told>,
}

impl Waiting {
    /// Says what became of it.
    pub(crate) fn tell(self, told: Told) {
        // Nobody listens any more if the caller has gone away.
        let _ = self.told.send(told);
    }
}

/// The outcome of a write that has waited.
pub(crate) enum Told {
    /// It was sent with others, and this is the answer for this document.
    Answer(Result<Rev, Error>),
    /// CouchDB refused the whole request, so nothing was written. The write is sent by itself, for an answer of its
    /// own.
    SendAlone,
}

/// How a write begins.
pub(crate) enum Begun {
    /// It is sent at once, and its end must be noted.
    AtOnce,
    /// It waits for its answer. Its number tells it from the others that wait.
    Later(u64, oneshot::Receiver<Told>),
}

impl Batches {
    fn lock(&self) -> MutexGuard<'_, HashMap<DbName, Writes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a write. `document` makes the document with its id.
    pub(crate) fn begin(&self, db: &DbName, deadline: Deadline, document: impl FnOnce() -> Vec<u8>) -> Begun {
        let mut databases = self.lock();
        let writes = databases.entry(db.clone()).or_default();
        if writes.under_way == 0 {
            writes.under_way = 1;
            return Begun::AtOnce;
        }
        let (told, answer) = oneshot::channel();
        writes.last = writes.last.wrapping_add(1);
        let number = writes.last;
        writes.waiting.push(Waiting { document: document(), deadline, number, told });
        Begun::Later(number, answer)
    }

    /// Ends a request. Its place goes to the writes that wait, which are returned.
    pub(crate) fn end(&self, db: &DbName) -> Vec<Waiting> {
        let mut databases = self.lock();
        let Entry::Occupied(mut entry) = databases.entry(db.clone()) else { return Vec::new() };
        let writes = entry.get_mut();
        writes.under_way = writes.under_way.saturating_sub(1);
        let next = writes.next();
        if writes.under_way == 0 {
            entry.remove();
        }
        next
    }

    /// All writes that wait, for one more request, however many are under way. None if this one does not wait any more.
    pub(crate) fn hurry(&self, db: &DbName, number: u64) -> Vec<Waiting> {
        let mut databases = self.lock();
        let waits = |writes: &&mut Writes| writes.waiting.iter().any(|waiting| waiting.number == number);
        databases.get_mut(db).filter(waits).map_or_else(Vec::new, Writes::next)
    }
}

impl Writes {
    /// Takes the writes for the next request, which counts as under way from now on. None if nobody waits.
    fn next(&mut self) -> Vec<Waiting> {
        // Whoever has given up was told that the write has failed.
        self.waiting.retain(|waiting| !waiting.told.is_closed());
        let rest = self.waiting.split_off(self.waiting.len().min(MOST_DOCUMENTS));
        let next = mem::replace(&mut self.waiting, rest);
        self.under_way += usize::from(!next.is_empty());
        next
    }
}
