//! Which of several brokers is used. Kazoo's nodes use the first one that answers, so this server does too. If nobody
//! takes notices there, the nodes may see another one as the first, so the next one is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Which brokers were tried, and at which of them nobody took notices. Each has a number.
pub(crate) struct Choice {
    count: usize,
    /// How long a broker is left out at which nobody took notices.
    pause: Duration,
    /// The brokers at which nobody took notices, and when that was found.
    deserted: BTreeMap<usize, Instant>,
    /// The brokers that were tried since somebody has taken a notice: nobody takes any there, or it does not answer.
    tried: BTreeSet<usize>,
    /// Whether each of them was tried since then.
    has_tried_all: bool,
}

impl Choice {
    pub(crate) fn new(pause: Duration) -> Self {
        let (deserted, tried) = (BTreeMap::new(), BTreeSet::new());
        Self { count: 1, pause, deserted, tried, has_tried_all: false }
    }

    /// Sets how many brokers there are.
    pub(crate) fn set_count(&mut self, count: usize) {
        self.count = count;
    }

    /// There is a connection to a broker. What was found about it before is over.
    pub(crate) fn connected(&mut self, broker: usize) {
        self.deserted.remove(&broker);
    }

    /// A broker does not answer.
    pub(crate) fn unreachable(&mut self, broker: usize) {
        self.tried.insert(broker);
    }

    /// Somebody takes notices.
    pub(crate) fn taken(&mut self) {
        self.tried.clear();
        self.has_tried_all = false;
    }

    /// Whether there is no other broker that could be tried before notices are given up.
    pub(crate) fn has_tried_all(&self) -> bool {
        self.count <= 1 || self.has_tried_all
    }

    /// Nobody takes notices at this broker. Answers the next one. `None` if there is only one.
    pub(crate) fn after(&mut self, deserted: usize, now: Instant) -> Option<usize> {
        if self.count <= 1 {
            return None;
        }
        self.deserted.insert(deserted, now);
        self.tried.insert(deserted);
        let mut others = (1..self.count).map(|step| deserted.saturating_add(step) % self.count);
        if let Some(next) = others.find(|other| !self.tried.contains(other)) {
            return Some(next);
        }
        // Once more: those who take notices may come to any of them.
        self.has_tried_all = true;
        self.tried = BTreeSet::from([deserted]);
        Some(deserted.saturating_add(1) % self.count)
    }

    /// The brokers before this one that may be better: those at which nobody took notices are left out for a while.
    pub(crate) fn before(&self, broker: usize, now: Instant) -> Vec<usize> {
        (0..broker).filter(|other| !self.is_deserted(*other, now)).collect()
    }

    /// Until when a broker before this one is left out because nobody took notices there. Those who take them may go
    /// back to it.
    pub(crate) fn is_second_until(&self, broker: usize, now: Instant) -> Option<Instant> {
        let earlier = self.deserted.range(..broker).map(|(_, at)| *at + self.pause);
        earlier.filter(|until| *until > now).max()
    }

    fn is_deserted(&self, broker: usize, now: Instant) -> bool {
        self.deserted.get(&broker).is_some_and(|at| *at + self.pause > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Choice;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn the_next_one_is_tried_until_somebody_takes_notices() {
        let (mut choice, now) = (Choice::new(PAUSE), Instant::now());
        assert_eq!((choice.after(0, now), choice.has_tried_all()), (None, true));
        choice.set_count(3);
        assert_eq!((choice.after(0, now), choice.has_tried_all()), (Some(1), false));
        choice.unreachable(1);
        choice.connected(2);
        assert_eq!((choice.after(2, now), choice.has_tried_all()), (Some(0), true));
        choice.connected(0);
        assert_eq!((choice.after(0, now), choice.has_tried_all()), (Some(1), true));
        choice.connected(1);
        choice.taken();
        assert!(!choice.has_tried_all());
    }

    #[test]
    fn one_that_is_deserted_is_left_out_for_a_while() {
        let (mut choice, now) = (Choice::new(PAUSE), Instant::now());
        choice.set_count(3);
        assert_eq!(choice.before(2, now), [0, 1]);
        assert_eq!(choice.after(0, now), Some(1));
        assert_eq!((choice.before(2, now), choice.is_second_until(2, now)), (vec![1], Some(now + PAUSE)));
        let later = now + PAUSE;
        assert_eq!((choice.before(2, later), choice.is_second_until(2, later)), (vec![0, 1], None));
        choice.connected(0);
        assert_eq!((choice.before(2, now), choice.is_second_until(2, now)), (vec![0, 1], None));
    }
}
