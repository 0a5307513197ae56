//! Whether others take this server's notices at the broker. It knows neither queues nor the broker.
//!
//! The queue in which this server gets the notices of others takes its own notices too. While it is bound, the broker
//! sends none of them back. So it is bound only when others had time to bind theirs, as after a restart of the broker.

use std::time::Duration;

use tokio::time::Instant;

use crate::choice::Choice;

/// How long a notice is sent again that nobody takes, unless the settings say otherwise. Kazoo's nodes need a few
/// seconds to come back after a restart of their broker.
pub const RETURNED_PATIENCE: Duration = Duration::from_secs(60);

/// What is known of those who take notices.
pub(crate) struct Takers {
    patience: Duration,
    connection: Option<Connected>,
    pub(crate) choice: Choice,
    /// Since when there was a connection without a break. To go from one broker to another is none.
    unbroken_since: Option<Instant>,
    /// The broker at which this server may have its queue.
    place: Option<usize>,
    /// How many waiting notices came back.
    returned: u64,
}

/// The connection over which notices are sent.
struct Connected {
    /// The number of the broker.
    broker: usize,
    since: Instant,
    /// When the last notice was sent that somebody took.
    taken_at: Option<Instant>,
    /// Since when notices come back, and none is taken.
    returning_since: Option<Instant>,
    /// A notice was given up because nobody took it.
    is_deserted: bool,
}

/// Whether this server may bind its own queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayBind {
    /// Yes, at the broker of this number.
    At(usize),
    /// Not before this time.
    NotBefore(Instant),
    /// Not before something happens.
    NotYet,
}

impl Takers {
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

    /// Somebody has taken a notice that was sent at this time.
    pub(crate) fn taken(&mut self, sent_at: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.taken_at = connection.taken_at.max(Some(sent_at));
            connection.returning_since = None;
            self.choice.taken();
        }
    }

    /// Counts a notice that came back for the first time.
    pub(crate) fn begin_return(&mut self) {
        self.returned = self.returned.saturating_add(1);
    }

    /// A notice that came back has left, or somebody takes its document's notices now.
    pub(crate) fn end_return(&mut self) {
        self.returned = self.returned.saturating_sub(1);
    }

    /// Whether a notice that came back at `first` and now is given up. The time before a connection broke does not
    /// count: others need to connect again, too. Each broker is tried before.
    pub(crate) fn gives_up(&mut self, first: Instant, now: Instant) -> bool {
        let since = self.unbroken_since.map_or(first, |since| since.max(first));
        let is_over = now.duration_since(since) >= self.patience && self.choice.has_tried_all();
        if let Some(connection) = &mut self.connection {
            connection.is_deserted |= is_over;
        }
        is_over
    }

    /// Whether this server may bind its own queue. It had none since `unbound_since`: until then, it may have taken
    /// its notices itself.
    pub(crate) fn may_bind(&self, unbound_since: Instant, now: Instant) -> MayBind {
        let Some(connection) = &self.connection else { return MayBind::NotYet };
        if connection.is_deserted {
            // Those that still wait had others to take them for a whole patience, and there are none.
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

    use super::{MayBind, RETURNED_PATIENCE, Takers};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_own_queue_is_bound_when_others_take_notices_or_had_time_to() {
        let (mut takers, began) = (Takers::new(RETURNED_PATIENCE), Instant::now());
        assert_eq!(takers.may_bind(began, began), MayBind::NotYet);
        takers.connected(Some(1), began + SECOND);
        let at = began + SECOND + RETURNED_PATIENCE;
        assert_eq!(takers.may_bind(began, began + SECOND), MayBind::NotBefore(at));
        assert_eq!(takers.may_bind(began, at), MayBind::At(1));
        takers.taken(began + SECOND * 2);
        assert_eq!(takers.may_bind(began, began + SECOND * 2), MayBind::At(1));
        // It was bound, so it may have taken that one itself.
        let broken = began + SECOND * 3;
        assert_eq!(takers.may_bind(broken, broken), MayBind::NotBefore(broken + RETURNED_PATIENCE));
        // A new connection may be one to a broker that has just started.
        takers.connected(Some(0), broken + SECOND);
        let at = broken + SECOND + RETURNED_PATIENCE;
        assert_eq!(takers.may_bind(began, broken + SECOND), MayBind::NotBefore(at));
        takers.connected(None, at);
        assert_eq!(takers.may_bind(began, at), MayBind::NotYet);
    }

    #[test]
    fn it_is_not_bound_while_a_notice_waits_that_came_back() {
        let (mut takers, began) = (Takers::new(RETURNED_PATIENCE), Instant::now());
        takers.connected(Some(0), began);
        let first = began + SECOND * 50;
        takers.begin_return();
        assert!(!takers.gives_up(first, first));
        takers.taken(first);
        assert_eq!(takers.may_bind(began, first + SECOND * 59), MayBind::NotYet);
        takers.end_return();
        assert_eq!(takers.may_bind(began, first + SECOND * 59), MayBind::At(0));
        // If one is given up, nobody is there whose notices could be taken.
        takers.begin_return();
        assert!(takers.gives_up(first, first + SECOND * 60));
        assert_eq!(takers.may_bind(began, first + SECOND * 60), MayBind::At(0));
        // After a reconnect the notices have a whole patience again.
        takers.connected(Some(0), first + SECOND * 61);
        assert!(!takers.gives_up(first, first + SECOND * 62));
        assert_eq!(takers.may_bind(began, first + SECOND * 62), MayBind::NotYet);
    }
}
