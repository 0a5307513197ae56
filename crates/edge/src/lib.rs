//! The edge between sockets and an actix-web application. It gives every connection its deadlines, refuses
//! heads that are malformed or ambiguous, hands requests to actix-http one at a time, and bounds how many
//! connections there are. It knows HTTP/1.1's heads, but neither the framing of bodies, which is
//! actix-http's, nor what a request means.

#![forbid(unsafe_code)]

mod arrival;
mod capacity;
mod chunk_sizes;
mod connection;
mod exchange;
mod head;
mod listener;
mod socket;
mod wire;

use std::rc::Rc;
use std::time::Duration;

pub use capacity::{Capacity, OpenFiles};
pub use listener::{Listener, Service, bind};

/// How much time and patience a client gets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a head may take to arrive: the first one from the start of the connection, the others from
    /// their first byte.
    pub head: Duration,
    /// How long a connection is kept that has no request.
    pub idle: Duration,
    /// How many bytes of a body must arrive each second, on average after [`BODY_GRACE`].
    pub body_bytes_per_second: u32,
    /// How long a client may read nothing of its answer.
    pub answer: Duration,
    /// The headers that the application reads, 64 at most. If one stands on several lines, the application gets
    /// one, with the values joined by commas. actix-http takes 96 headers, so the others are left out of a
    /// request that has more.
    pub headers: &'static [&'static str],
}

/// The query of a request, if it has raw bytes and is too long for the target when these are escaped. Then the
/// target has no query, and the request has this extension.
#[derive(Clone, Debug)]
pub struct LongQuery(pub Rc<str>);

/// How long a body may be slower than the least rate.
pub const BODY_GRACE: Duration = Duration::from_secs(5);
