//! Keeps what was sent, for a while: it may have to be sent once more. It does not know what it keeps.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long something is kept. Kazoo's nodes go back to their first broker within five seconds, and this server sees
/// within a few seconds that it answers.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Items that were sent, the oldest first.
pub(crate) struct Kept<T> {
    items: VecDeque<(Instant, usize, T)>,
    bytes: usize,
    limit_bytes: usize,
}

impl<T> Kept<T> {
    /// Keeps no more than `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { items: VecDeque::new(), bytes: 0, limit_bytes }
    }

    pub(crate) fn add(&mut self, item: T, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.items.push_back((now, bytes, item));
    }

    /// Takes out what was kept for long enough, or is too much.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<T> {
        let mut gone = Vec::new();
        while let Some((at, ..)) = self.items.front()
            && (*at + KEPT_FOR <= now || self.bytes > self.limit_bytes)
            && let Some((_, bytes, item)) = self.items.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(bytes);
            gone.push(item);
        }
        gone
    }

    /// When the next thing has been kept for long enough.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.items.front().map(|(at, ..)| *at + KEPT_FOR)
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.bytes = 0;
        self.items.drain(..).map(|(.., item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{KEPT_FOR, Kept};

    #[test]
    fn what_is_old_or_too_much_goes() {
        let (mut kept, began) = (Kept::new(20), Instant::now());
        for (name, at) in [('a', began), ('b', began), ('c', began + KEPT_FOR / 2)] {
            kept.add(name, 10, at);
        }
        assert_eq!(kept.expire(began), ['a']);
        assert_eq!(kept.next_time(), Some(began + KEPT_FOR));
        assert_eq!(kept.expire(began + KEPT_FOR), ['b']);
        assert_eq!((kept.take_all(), kept.next_time()), (vec!['c'], None));
    }
}
