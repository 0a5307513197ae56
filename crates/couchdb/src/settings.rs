//! The client's settings: times, sizes, numbers of attempts. The defaults suit a CouchDB in the same data
//! centre.

use std::time::Duration;

use datastore::Backoff;

use crate::server_url::ServerUrl;

/// The settings of a [`Client`](crate::Client).
///
/// ```
/// use std::time::Duration;
/// use couchdb::Settings;
///
/// let url = "http://admin:secret@127.0.0.1:5984".parse()?;
/// let settings = Settings { connect_timeout: Duration::from_secs(1), ..Settings::new(url) };
/// # Ok::<(), couchdb::UrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server.
    pub url: ServerUrl,
    /// Other nodes of the same cluster. A node is used while none before it is well. Default none.
    pub further_urls: Vec<ServerUrl>,
    /// The longest time to open a connection. Default 3 s.
    pub connect_timeout: Duration,
    /// The longest time until the answer to one attempt begins. A shorter deadline of the caller wins. After
    /// the answer has begun, only the deadline counts. Default 30 s.
    pub request_timeout: Duration,
    /// After the first row of a view, the longest silence of the server before the next part of the answer.
    /// Time in which the caller does not ask for rows does not count. Default 5 s.
    pub batch_timeout: Duration,
    /// Which copies of a document a write waits for, if CouchDB keeps several. Default [`Copies::Every`].
    pub copies: Copies,
    /// How often CouchDB sends a heartbeat on a change feed, if the query does not say. A feed that is silent
    /// for three heartbeats is opened again. Default 10 s.
    pub heartbeat: Duration,
    /// The pauses between attempts to open a change feed again. Default 250 ms, doubling up to 30 s.
    pub feed_backoff: Backoff,
    /// How many more times a read is sent, on a new connection, if no answer came or the server could not
    /// serve it (502, 503, 504). Default 2.
    pub read_retries: u32,
    /// The pauses between those attempts. Default 50 ms, doubling up to 500 ms.
    pub read_backoff: Backoff,
    /// How long an unused connection is kept. The server, and a proxy before it, must keep it longer:
    /// otherwise a request may meet a connection that is just being closed. Default 15 s.
    pub pool_idle_timeout: Duration,
    /// The largest answer that is read whole, in bytes: a document, or the answer to a bulk write. CouchDB
    /// accepts documents of 8,000,000 bytes unless it is configured otherwise. Default 16 MiB.
    pub max_answer_bytes: usize,
    /// The largest row of a view or change of a feed, in bytes. A row may hold a document. Default 16 MiB.
    pub max_row_bytes: usize,
    /// The largest attachment, in bytes. Default 64 MiB.
    pub max_attachment_bytes: usize,
}

/// The copies that a write waits for.
///
/// ```
/// use couchdb::{Copies, Settings};
///
/// let url = "http://admin:secret@127.0.0.1:5984".parse()?;
/// let settings = Settings { copies: Copies::Most, ..Settings::new(url) };
/// # Ok::<(), couchdb::UrlError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Every copy that can be reached, so that each view shows the write. A bulk write waits for most.
    Every,
    /// Most copies, as CouchDB does if it is not asked otherwise.
    Most,
}

impl Settings {
    /// The defaults for a server.
    #[must_use]
    pub fn new(url: ServerUrl) -> Self {
        Self {
            url,
            further_urls: Vec::new(),
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(5),
            copies: Copies::Every,
            heartbeat: Duration::from_secs(10),
            feed_backoff: Backoff { first: Duration::from_millis(250), cap: Duration::from_secs(30) },
            read_retries: 2,
            read_backoff: Backoff { first: Duration::from_millis(50), cap: Duration::from_millis(500) },
            pool_idle_timeout: Duration::from_secs(15),
            max_answer_bytes: 16 * 1024 * 1024,
            max_row_bytes: 16 * 1024 * 1024,
            max_attachment_bytes: 64 * 1024 * 1024,
        }
    }
}
