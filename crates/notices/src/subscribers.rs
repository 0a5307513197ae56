//! Whether others have queues at the broker that get this server's notices, and so whether this server may bind its own.
//! This file knows neither the waiting notices nor the broker.
//!
//! The queue in which this server gets the notices of others also gets its own notices. While it is bound, the broker
//! sends no notice back, even if nobody else gets it. So after a restart of the broker, others need time to bind their
//! queues first.

use std::time::Duration;

use tokio::time::Instant;

use crate::choice::Choice;

/// How long a notice is sent again if no queue gets it, unless the settings say otherwise. Kazoo's nodes need a few
/// seconds to come back after a restart of their broker.
pub const RETURNED_PATIENCE: Duration = Duration::from_secs(60);

/// What this server knows of the others that get its notices.
pub(crate) struct Subscribers {
    patience: Duration,
    connection: Option<Connected>,
    pub(crate) choice: Choice,
    /// Since when there was a connection without a break. To go from one broker to another is no break.
    unbroken_since: Option<Instant>,
    /// The broker at which this server may have its queue.
    place: Option<usize>,
    /// How many waiting notices the broker has sent back.
    returned: u64,
}

/// The connection over which notices are sent.
struct Connected {
    /// The number of the broker.
    broker: usize,
    since: Instant,
    /// When the last notice was sent that reached a queue.
    taken_at: Option<Instant>,
    /// Since when the broker sends notices back, and no queue has got one.
    returning_since: Option<Instant>,
    /// Whether a notice was given up because no queue got it.
    is_deserted: bool,
}

/// Whether this server may bind its own queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayBind {
    /// Yes, at the broker of this number.
    At(usize),
    /// Not before this time.
    NotBefore(Instant),
    /// Not before a notice leaves or the connection changes.
    NotYet,
}

impl Subscribers {
    pub(crate) fn new(patience: Duration) -> Self {
        let choice = Choice::new(patience);
        Self { patience, connection: None, choice, unbroken_since: None, place: None, returned: 0 }
    }

    /// Notices are sent to this broker now, or to none.
    pub(crate) fn connected(&mut self, broker: Option<usize>, now: Instant) {
        self.connection = broker.map(|broker| {
            self.choice.connected(broker);
            let (taken_at, returning_since) = (None, None);
            Connected { broker, since: now, taken_at, returning_since, is_deserted: false }
        });
        let is_move = self.place.is_none();
        self.unbroken_since = self.unbroken_since.filter(|_| is_move).or(Some(now));
        self.place = broker.or(self.place);
    }

    /// The connection is given up for one to another broker.
    pub(crate) fn leave(&mut self) {
        (self.connection, self.place) = (None, None);
    }

    /// Whether this server's queue is out of place at this broker.
    pub(crate) fn has_left(&self, broker: usize) -> bool {
        self.place != Some(broker)
    }

    /// Whether those who take notices may soon go back to a broker before the present one.
    pub(crate) fn may_go_back(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.broker > 0)
    }

    /// A notice came back now.
    pub(crate) fn came_back(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.returning_since.get_or_insert(now);
        }
    }

    /// The broker to go to, because nobody takes notices at the present one. A broker has a twentieth of the patience.
    pub(crate) fn next_broker(&mut self, now: Instant) -> Option<usize> {
        let connection = self.connection.as_ref().filter(|connection| !connection.is_deserted)?;
        let is_over = now.duration_since(connection.returning_since?) >= self.patience / 20;
        if is_over { self.choice.after(connection.broker, now) } else { None }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// A notice that was sent at this time has reached a queue.
    pub(crate) fn taken(&mut self, sent_at: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.taken_at = connection.taken_at.max(Some(sent_at));
            connection.returning_since = None;
            self.choice.taken();
        }
    }

    /// Counts a notice that the broker has sent back for the first time.
    pub(crate) fn begin_return(&mut self) {
        self.returned = self.returned.saturating_add(1);
    }

    /// A notice that the broker had sent back has left, or a queue gets the notices of its document now.
    pub(crate) fn end_return(&mut self) {
        self.returned = self.returned.saturating_sub(1);
    }

    /// Whether a notice is given up that the broker sends back now, and sent back for the first time at `first`. The
    /// time before a connection broke does not count: others need to connect again, too. Each broker is tried before.
    pub(crate) fn gives_up(&mut self, first: Instant, now: Instant) -> bool {
        let since = self.unbroken_since.map_or(first, |since| since.max(first));
        let is_over = now.duration_since(since) >= self.patience && self.choice.has_tried_all();
        if let Some(connection) = &mut self.connection {
            connection.is_deserted |= is_over;
        }
        is_over
    }

    /// Whether this server may bind its own queue. Its last queue ended at `unbound_since`. A notice that was sent before
    /// that proves nothing: that queue may have been the only one that got it.
    pub(crate) fn may_bind(&self, unbound_since: Instant, now: Instant) -> MayBind {
        let Some(connection) = &self.connection else { return MayBind::NotYet };
        if connection.is_deserted {
            // Others had the whole time to bind their queues, and none is there.
            return MayBind::At(connection.broker);
        }
        if self.returned > 0 {
            return MayBind::NotYet;
        }
        if let Some(until) = self.choice.is_second_until(connection.broker, now) {
            return MayBind::NotBefore(until);
        }
        let at = connection.since.max(unbound_since) + self.patience;
        if connection.taken_at.is_some_and(|sent_at| sent_at >= unbound_since) || now >= at {
            MayBind::At(connection.broker)
        } else {
            MayBind::NotBefore(at)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{MayBind, RETURNED_PATIENCE, Subscribers};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_own_queue_is_bound_when_others_take_notices_or_had_time_to() {
        let (mut subscribers, began) = (Subscribers::new(RETURNED_PATIENCE), Instant::now());
        assert_eq!(subscribers.may_bind(began, began), MayBind::NotYet);
        subscribers.connected(Some(1), began + SECOND);
        let at = began + SECOND + RETURNED_PATIENCE;
        assert_eq!(subscribers.may_bind(began, began + SECOND), MayBind::NotBefore(at));
        assert_eq!(subscribers.may_bind(began, at), MayBind::At(1));
        subscribers.taken(began + SECOND * 2);
        assert_eq!(subscribers.may_bind(began, began + SECOND * 2), MayBind::At(1));
        // It was bound, so it may have taken that one itself.
        let broken = began + SECOND * 3;
        assert_eq!(subscribers.may_bind(broken, broken), MayBind::NotBefore(broken + RETURNED_PATIENCE));
        // A new connection may be one to a broker that has just started.
        subscribers.connected(Some(0), broken + SECOND);
        let at = broken + SECOND + RETURNED_PATIENCE;
        assert_eq!(subscribers.may_bind(began, broken + SECOND), MayBind::NotBefore(at));
        subscribers.connected(None, at);
        assert_eq!(subscribers.may_bind(began, at), MayBind::NotYet);
    }

    #[test]
    fn it_is_not_bound_while_a_notice_waits_that_came_back() {
        let (mut subscribers, began) = (Subscribers::new(RETURNED_PATIENCE), Instant::now());
        subscribers.connected(Some(0), began);
        let first = began + SECOND * 50;
        subscribers.begin_return();
        assert!(!subscribers.gives_up(first, first));
        subscribers.taken(first);
        assert_eq!(subscribers.may_bind(began, first + SECOND * 59), MayBind::NotYet);
        subscribers.end_return();
        assert_eq!(subscribers.may_bind(began, first + SECOND * 59), MayBind::At(0));
        // If one is given up, nobody is there whose notices could be taken.
        subscribers.begin_return();
        assert!(subscribers.gives_up(first, first + SECOND * 60));
        assert_eq!(subscribers.may_bind(began, first + SECOND * 60), MayBind::At(0));
        // After a reconnect the notices have a whole patience again.
        subscribers.connected(Some(0), first + SECOND * 61);
        assert!(!subscribers.gives_up(first, first + SECOND * 62));
        assert_eq!(subscribers.may_bind(began, first + SECOND * 62), MayBind::NotYet);
    }
}
