//! One bucket of tokens. It refills in blocks, as Kazoo's buckets do.

use std::time::{Duration, Instant};

/// The size of a bucket and its refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// How many tokens a full bucket holds.
    pub(crate) size: u32,
    /// How many tokens each refill adds.
    pub(crate) refill: u32,
    /// The time between two refills.
    pub(crate) interval: Duration,
}

impl Capacity {
    /// Kazoo's defaults.
    pub(crate) const DEFAULT: Self = Self { size: 100, refill: 10, interval: Duration::from_secs(1) };
}

/// A bucket of tokens.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(capacity: Capacity, now: Instant) -> Self {
        Self { tokens: capacity.size, filled_at: now }
    }

    /// Refills the bucket and returns its tokens. The current capacity is the upper bound.
    pub(crate) fn level(&mut self, capacity: Capacity, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.filled_at);
        let blocks = since.as_secs().checked_div(capacity.interval.as_secs()).unwrap_or(0);
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        let tokens = self.tokens.saturating_add(capacity.refill.saturating_mul(blocks));
        self.filled_at += capacity.interval.saturating_mul(blocks);
        self.tokens = tokens.min(capacity.size);
        self.tokens
    }

    /// Sets the number of tokens. Call [`Bucket::level`] first, which refills the bucket.
    pub(crate) fn leave(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    /// Takes tokens out. If the bucket holds fewer, it takes none and returns false.
    pub(crate) fn take(&mut self, cost: u32, capacity: Capacity, now: Instant) -> bool {
        match self.level(capacity, now).checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}
