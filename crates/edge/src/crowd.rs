//! The connections of one thread. When memory is scarce, one that has no request is closed to make room for another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// How many connections are looked at to find one that rests.
const LOOKS: usize = 64;

/// Fewer connections than this are not searched for closed ones.
const FEW: usize = 64;

/// A connection that can be closed to make room.
pub(crate) trait Member {
    /// Ends the connection if it has no request. Answers whether it does.
    fn close_if_resting(&mut self) -> bool;
}

/// The connections that one thread serves, in the order in which they are looked at.
#[derive(Debug)]
pub(crate) struct Crowd<C>(Rc<RefCell<Members<C>>>);

#[derive(Debug)]
struct Members<C> {
    connections: VecDeque<Weak<RefCell<C>>>,
    /// When there are so many, closed ones are left out.
    most: usize,
}

impl<C> Clone for Crowd<C> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<C> Default for Crowd<C> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Members { connections: VecDeque::new(), most: 0 })))
    }
}

impl<C: Member> Crowd<C> {
    /// Adds a connection. It leaves by itself.
    pub(crate) fn add(&self, connection: Weak<RefCell<C>>) {
        let mut members = self.0.borrow_mut();
        if members.connections.len() >= members.most {
            members.connections.retain(|connection| connection.strong_count() > 0);
            members.most = members.connections.len().saturating_mul(2).max(FEW);
        }
        members.connections.push_back(connection);
    }

    /// Closes a connection that has no request, if one is found. They are looked at in turn, so nobody is looked for
    /// more often than others.
    pub(crate) fn close_resting(&self) -> bool {
        for _ in 0..LOOKS {
            let Some(next) = self.0.borrow_mut().connections.pop_front() else { return false };
            let Some(connection) = next.upgrade() else { continue };
            // The one that asks is borrowed.
            if connection.try_borrow_mut().is_ok_and(|mut connection| connection.close_if_resting()) {
                return true;
            }
            self.0.borrow_mut().connections.push_back(next);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, FEW, LOOKS, Member};
    use std::cell::RefCell;
    use std::rc::Rc;

    struct Connection {
        is_resting: bool,
        is_closed: bool,
    }

    impl Member for Connection {
        fn close_if_resting(&mut self) -> bool {
            let closes = self.is_resting && !self.is_closed;
            self.is_closed |= closes;
            closes
        }
    }

    fn add(crowd: &Crowd<Connection>, is_resting: bool) -> Rc<RefCell<Connection>> {
        let connection = Rc::new(RefCell::new(Connection { is_resting, is_closed: false }));
        crowd.add(Rc::downgrade(&connection));
        connection
    }

    #[test]
    fn the_one_that_rests_longest_is_closed_and_no_other() {
        let crowd = Crowd::default();
        let busy: Vec<_> = (0..LOOKS - 1).map(|_| add(&crowd, false)).collect();
        let resting: Vec<_> = (0..2).map(|_| add(&crowd, true)).collect();
        let asks = resting[1].borrow_mut();
        assert!(crowd.close_resting() && resting[0].borrow().is_closed);
        assert!(!crowd.close_resting(), "the one that asks is not closed");
        assert!(!asks.is_closed && busy.iter().all(|connection| !connection.borrow().is_closed));
    }

    #[test]
    fn closed_connections_are_forgotten() {
        let crowd = Crowd::default();
        let kept: Vec<_> = (0..FEW).map(|_| add(&crowd, false)).collect();
        for _ in 0..100_000 {
            drop(add(&crowd, true));
        }
        assert!(crowd.0.borrow().connections.len() <= 2 * kept.len());
        assert!(!crowd.close_resting());
    }
}
