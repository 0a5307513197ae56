//! How many connections the process serves at once, what their buffers take, and how many files it may open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many connections are served at once, over all threads and listeners that share it.
#[derive(Clone, Debug)]
pub struct Capacity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    open: AtomicUsize,
    /// Whether somebody was turned away, and the log says so.
    is_full: AtomicBool,
    /// How many bytes of large heads are held that are not complete.
    heads: AtomicUsize,
    /// How many bytes the buffers take of all connections that have had a request.
    buffers: AtomicUsize,
}

/// How many bytes of large heads all connections together may hold.
const MAX_HEADS_BYTES: usize = 32 * 1024 * 1024;

/// A smaller head is not counted.
const SMALL_HEAD_BYTES: usize = 8 * 1024;

/// A connection that has had a request takes this much: actix-http's state and the first pages of its two buffers, as
/// measured with 10,000 connections. A buffer for a large answer comes on top. It is a quarter larger than the parts of
/// the answer: there is a head before the first one, and the allocator has few sizes (32 kB for a connection with parts
/// of 16 kB, as measured with 600).
const CONNECTION_BYTES: usize = 12 * 1024;

/// When all buffers together take this much, connections without a request are closed: actix-http frees its buffers
/// only then.
const MANY_BUFFERS_BYTES: usize = 20 * 1024 * 1024;

/// When they take this much, and no connection is without a request, further requests are refused.
const MAX_BUFFERS_BYTES: usize = 28 * 1024 * 1024;

impl Capacity {
    /// Room for `most` connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            open: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            heads: AtomicUsize::new(0),
            buffers: AtomicUsize::new(0),
        }))
    }

    /// How many connections there is room for.
    #[must_use]
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// How many connections are served now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// A slot for a connection. `None` if all are taken. The log says once that they are, until there is
    /// much room again.
    pub(crate) fn admit(&self) -> Option<Slot> {
        let open = self.0.open.fetch_add(1, Ordering::Relaxed);
        // The slot gives itself back if it is one too many.
        let slot = Slot { shared: Arc::clone(&self.0), head: 0, buffers: 0 };
        if open < self.most() {
            if !slot.is_scarce() {
                self.0.is_full.store(false, Ordering::Relaxed);
            }
            return Some(slot);
        }
        if !self.0.is_full.swap(true, Ordering::Relaxed) {
            log::warn!(connections = self.most(); "all connections are in use: new clients get a 503");
        }
        None
    }
}

/// The slot of a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    shared: Arc<Shared>,
    /// How many bytes are counted for this connection's head.
    head: usize,
    /// How many bytes are counted for its buffers.
    buffers: usize,
}

impl Slot {
    /// Whether seven eighths of all slots are taken.
    pub(crate) fn is_scarce(&self) -> bool {
        let most = self.shared.most;
        self.shared.open.load(Ordering::Relaxed) >= most.saturating_sub(most / 8)
    }

    /// The connection has a request. Answers whether there is room for what that takes.
    pub(crate) fn begin_request(&mut self) -> bool {
        self.buffers >= CONNECTION_BYTES || self.hold_buffers(CONNECTION_BYTES) <= MAX_BUFFERS_BYTES
    }

    /// The connection has an answer whose parts have up to so many bytes.
    pub(crate) fn begin_answer(&mut self, bytes: usize) {
        let buffer = bytes.saturating_add(bytes / 4);
        self.hold_buffers(CONNECTION_BYTES.saturating_add(buffer));
    }

    /// The connection has no buffers any more.
    pub(crate) fn release_buffers(&mut self) {
        count_down(&self.shared.buffers, &mut self.buffers);
    }

    /// Whether buffers take much of the room for them.
    pub(crate) fn has_many_buffers(&self) -> bool {
        self.shared.buffers.load(Ordering::Relaxed) > MANY_BUFFERS_BYTES
    }

    /// Counts this connection's buffers, which never shrink. Answers what those of all connections take.
    fn hold_buffers(&mut self, bytes: usize) -> usize {
        count_up(&self.shared.buffers, &mut self.buffers, bytes)
    }

    /// Counts the bytes of a head that is not complete. Answers whether there is room for them.
    pub(crate) fn hold_head(&mut self, bytes: usize) -> bool {
        if bytes <= SMALL_HEAD_BYTES {
            return true;
        }
        count_up(&self.shared.heads, &mut self.head, bytes) <= MAX_HEADS_BYTES
    }

    /// The head is complete.
    pub(crate) fn release_head(&mut self) {
        count_down(&self.shared.heads, &mut self.head);
    }
}

/// Counts `bytes` for a connection that has counted `own` of `all`, if it is more. Answers what is counted of all now.
fn count_up(all: &AtomicUsize, own: &mut usize, bytes: usize) -> usize {
    let more = bytes.saturating_sub(*own);
    if more == 0 {
        // Most requests: the counter, which all threads share, stays as it is.
        return all.load(Ordering::Relaxed);
    }
    *own = own.saturating_add(more);
    all.fetch_add(more, Ordering::Relaxed).saturating_add(more)
}

/// Counts nothing for a connection any more.
fn count_down(all: &AtomicUsize, own: &mut usize) {
    if *own > 0 {
        all.fetch_sub(std::mem::take(own), Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.release_head();
        self.release_buffers();
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many files the process may open.
#[derive(Clone, Copy, Debug)]
pub struct OpenFiles(u64);

impl OpenFiles {
    /// Raises the limit as far as the system allows.
    ///
    /// # Errors
    /// The system does not tell the limit, or does not let it be changed.
    pub fn raise() -> std::io::Result<Self> {
        rlimit::increase_nofile_limit(u64::MAX).map(Self)
    }

    /// A limit that is known.
    #[must_use]
    pub fn of(limit: u64) -> Self {
        Self(limit)
    }

    /// The limit.
    #[must_use]
    pub fn limit(self) -> u64 {
        self.0
    }

    /// As many of the wished connections as fit beside `reserved` other files. There is always room for one.
    #[must_use]
    pub fn fit(self, wished: usize, reserved: u64) -> usize {
        let room = usize::try_from(self.0.saturating_sub(reserved)).unwrap_or(usize::MAX);
        wished.min(room).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Capacity, OpenFiles};

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let capacity = Capacity::new(2);
        let first = capacity.admit();
        let second = capacity.admit();
        assert!(first.is_some() && second.is_some() && capacity.admit().is_none());
        assert_eq!(capacity.open(), 2);
        drop(first);
        assert!(capacity.admit().is_some());
    }

    #[test]
    fn all_large_heads_together_have_a_limit() {
        let capacity = Capacity::new(1_000);
        let mut slots: Vec<_> = (0..600).map(|_| capacity.admit().unwrap()).collect();
        let held = slots.iter_mut().filter_map(|slot| slot.hold_head(65_536).then_some(())).count();
        assert_eq!(held, 512);
        assert!(slots[0].hold_head(8_192), "a small head always has room");
        for slot in &mut slots {
            slot.release_head();
        }
        assert!(slots[0].hold_head(9_000) && slots[0].hold_head(65_536));
    }

    #[test]
    fn buffers_have_a_limit_and_are_given_back() {
        let capacity = Capacity::new(10_000);
        let mut slots: Vec<_> = (0..5_000).map(|_| capacity.admit().unwrap()).collect();
        let mut served = 0;
        for slot in &mut slots {
            if slot.begin_request() {
                slot.begin_answer(16 * 1024);
                served += 1;
            } else {
                slot.release_buffers();
            }
        }
        assert_eq!(served, 896, "of 32 kB each");
        assert!(slots[0].has_many_buffers() && slots[0].begin_request(), "its buffers are there already");
        slots.truncate(1);
        assert!(!slots[0].has_many_buffers());
    }

    #[test]
    fn connections_leave_room_for_other_files() {
        for (limit, wished, fits) in [(1_000, 100, 100), (1_000, 10_000, 800), (100, 10_000, 1)] {
            assert_eq!(OpenFiles::of(limit).fit(wished, 200), fits);
        }
    }
}
