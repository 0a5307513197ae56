//! The bounds that a connection keeps.

use std::time::Duration;

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

/// How long a body may be slower than the least rate.
pub const BODY_GRACE: Duration = Duration::from_secs(5);
