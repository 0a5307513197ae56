//! One bucket of tokens. It fills in blocks, as Kazoo's do.

use std::time::{Duration, Instant};

/// The size of a bucket, and how it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// How many tokens a full bucket holds.
    pub(crate) size: u32,
    /// How many tokens come back, in one block, after each interval.
    pub(crate) refill: u32,
    /// The interval.
    pub(crate) interval: Duration,
}

impl Capacity {
    /// What Kazoo takes where nothing is configured.
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

    /// How many tokens are in it now. A bucket is never fuller than its capacity says now.
    pub(crate) fn level(&mut self, capacity: Capacity, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.filled_at);
        let blocks = since.as_secs().checked_div(capacity.interval.as_secs()).unwrap_or(0);
        if blocks > 0 {
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(capacity.refill.saturating_mul(blocks));
            self.filled_at += capacity.interval.saturating_mul(blocks);
        }
        self.tokens = self.tokens.min(capacity.size);
        self.tokens
    }

    /// Leaves so many tokens in it, after [`Bucket::level`] has filled it.
    pub(crate) fn leave(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    /// Takes tokens out. False if it holds fewer; then nothing is taken.
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
