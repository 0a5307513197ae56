//! How the client behaves: times, sizes, numbers of attempts. Every one has a default that suits a CouchDB
//! in the same data centre.

use std::time::Duration;

use crate::{Backoff, ServerUrl};

/// What a [`Client`](crate::Client) goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub url: ServerUrl,
    /// How long a connection may take to come about. Default 3 s.
    pub connect_timeout: Duration,
    /// How long the answer to one attempt may be in beginning, whatever is left of the caller's deadline;
    /// the deadline wins where it is shorter, and is the only limit once the answer has begun. Default 30 s.
    pub request_timeout: Duration,
    /// After the first row of a view, how long the server may be silent before the next part of the
    /// answer. Time in which the caller does not ask for rows does not count. Default 5 s.
    pub batch_timeout: Duration,
    /// How often a change feed shows that it lives, where the query does not say; silent for three of
    /// these it is opened again. Default 10 s.
    pub heartbeat: Duration,
    /// Between attempts to open a change feed again. Default 250 ms doubling up to 30 s.
    pub feed_backoff: Backoff,
    /// How many more times a read is tried on a fresh connection where no answer came or the server could
    /// not serve (502, 503, 504). Default 2.
    pub read_retries: u32,
    /// Between those attempts. Default 50 ms doubling up to 500 ms.
    pub read_backoff: Backoff,
    /// How long an unused connection is kept. Must be less than what the server, or a proxy before it,
    /// keeps it for: otherwise requests meet connections that are just being closed. Default 15 s.
    pub pool_idle_timeout: Duration,
    /// The largest answer that is taken whole (a document, an attachment, a bulk answer), in bytes.
    /// Default 64 MiB.
    pub max_answer_bytes: usize,
    /// The largest single row of a view or change of a feed, in bytes. Default 64 MiB.
    pub max_row_bytes: usize,
}

impl Settings {
    /// The defaults for a server.
    #[must_use]
    pub fn new(url: ServerUrl) -> Self {
        Self {
            url,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            feed_backoff: Backoff { first: Duration::from_millis(250), cap: Duration::from_secs(30) },
            read_retries: 2,
            read_backoff: Backoff { first: Duration::from_millis(50), cap: Duration::from_millis(500) },
            pool_idle_timeout: Duration::from_secs(15),
            max_answer_bytes: 64 * 1024 * 1024,
            max_row_bytes: 64 * 1024 * 1024,
        }
    }
}
