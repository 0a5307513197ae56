//! What is known of a request so far. The pipeline notes here what an answer repeats, so that a refusal
//! at any stage says just what crossbar's would at that point.

use std::time::{SystemTime, UNIX_EPOCH};

use auth::Caller;
use datastore::{Deadline, random_hex};

use crate::app::App;
use crate::incoming::Incoming;
use crate::stage::cors::Methods;

/// The longest request id that is taken from a client, in bytes.
const MAX_REQUEST_ID: usize = 255;

/// A request and what has been found out about it.
pub(crate) struct Exchange<'a> {
    /// What requests share.
    pub(crate) app: &'a App,
    /// The request as it came.
    pub(crate) incoming: &'a Incoming,
    /// Its id: the client's, or a new one.
    pub(crate) request_id: String,
    /// When it came, in seconds since 1970.
    pub(crate) unix_seconds: i64,
    /// Until when the store must have answered whatever this request asks of it.
    pub(crate) deadline: Deadline,
    /// The credentials that it shows, as its answer repeats them.
    pub(crate) presented: Option<String>,
    /// Who sent it, once that is proven.
    pub(crate) caller: Option<Caller>,
    /// How many failures the client's bucket has left.
    pub(crate) tokens_remaining: u32,
    /// What is known of the methods of its resource.
    pub(crate) methods: Methods,
    /// Whether the answer goes to another origin, and so must say what is allowed.
    pub(crate) is_cors: bool,
    /// The language that the content is labelled with, once it has been negotiated.
    pub(crate) language: Option<String>,
    /// Whether JSON is to be indented.
    pub(crate) is_pretty: bool,
    /// The entity tag of what was found, without quotes.
    pub(crate) etag: Option<String>,
}

impl<'a> Exchange<'a> {
    /// A request of which nothing is known yet.
    pub(crate) fn new(app: &'a App, incoming: &'a Incoming) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request_id =
            incoming.header("x-request-id").filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
        Self {
            app,
            incoming,
            request_id: request_id.map_or_else(random_hex, str::to_owned),
            unix_seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            deadline: Deadline::after(app.settings.store_timeout),
            presented: None,
            caller: None,
            tokens_remaining: app.buckets.size(),
            methods: Methods::default(),
            is_cors: false,
            language: None,
            is_pretty: false,
            etag: None,
        }
    }

    /// Whether the request only reads, so that a client may have the content already.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.incoming.method.as_str(), "GET" | "HEAD")
    }
}
