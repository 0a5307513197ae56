//! Admission control for a document store: [`Admission`] is a [`Layer`](datastore::Layer) that bounds the
//! store's calls in flight, shares them between databases, and refuses calls early when there are too many.
//! It does not know HTTP, Kazoo or the store behind it.
//!
//! - At most [`Limits::calls`] calls run at once. A query runs until its rows end or are dropped. Change
//!   feeds are not counted.
//! - Each database has a queue of its own, and the queues take turns, one call each. A database holds at most
//!   half of the slots, so a burst of one database leaves room for the others.
//! - Queries hold at most three quarters of the slots. A caller may make other calls while it reads rows, and
//!   these calls find a slot even if queries hold all that they may.
//! - A query that has run for a second counts apart from the others. So a slow reader, or a view that is
//!   being built, does not keep the slots of quick calls.
//! - Where it is asked for, large calls take turns ([`Admission::with_large_turns`]): a query whose rows were large,
//!   or are not known yet, and a read of a document that was large. At most 8 of them run at once, 2 of one
//!   database. A stream that turns out to be large waits for such a turn before it is read on. The time in which
//!   its reader does something else makes it long; the time in which the store works on it does not.
//! - When all queues together are full, the newest call of the longest queue is refused, so the database
//!   with the burst bears it. A call that waits too long is refused too. While more than a quarter of the queue waits, the calls of a
//!   database with many of them wait only a tenth of the time. So a lasting overload does not make every call
//!   slow.
//! - Refusals come at most 1,000 times a second; further callers learn of theirs up to a second later. So
//!   clients that ask again at once leave the processors to the calls that are served.
//! - A caller that goes away gives its slot back at once.

#![forbid(unsafe_code)]

mod desk;
mod gate;
mod large;
mod layer;
mod rows;
mod shares;
mod sizes;

pub use gate::Limits;
pub use layer::Admission;
