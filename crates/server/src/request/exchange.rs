//! What is known of a request so far. The pipeline notes here what an answer repeats, so that a refusal
//! at any stage says just what crossbar's would at that point.

use std::sync::Arc;

use auth::{Caller, Charged, Client, RateLimits};
use datastore::{Deadline, random_hex};
use kazoo::{AccountId, Time};
use serde_json::Value;

use super::incoming::Incoming;
use super::methods::Methods;
use super::verb::Verb;
use crate::app::App;

/// The longest request id that is taken from a client, in bytes.
const MAX_REQUEST_ID: usize = 255;

/// A request and what has been found out about it.
pub(crate) struct Exchange<'a> {
    /// What requests share.
    pub(crate) app: &'a App,
    /// The request as it came.
    pub(crate) incoming: &'a Incoming<'a>,
    /// Its id: the client's, or a new one.
    pub(crate) request_id: String,
    /// When it came.
    pub(crate) received_at: Time,
    /// Until when the store must have answered whatever this request asks of it.
    pub(crate) deadline: Deadline,
    /// The credentials that it shows, as its answer repeats them.
    pub(crate) presented: Option<Value>,
    /// Who sent it, once that is proven.
    pub(crate) caller: Option<Caller>,
    /// The account that the path names, once it is known to exist.
    pub(crate) account_id: Option<AccountId>,
    /// What it is for, as costs are listed: the resource and the verb.
    pub(crate) endpoint: &'static str,
    /// See `endpoint`.
    pub(crate) verb: Option<Verb>,
    /// How often clients may fail.
    pub(crate) limits: Arc<RateLimits>,
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
    pub(crate) fn new(app: &'a App, incoming: &'a Incoming<'a>) -> Self {
        let request_id =
            incoming.header("x-request-id").filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
        Self {
            app,
            incoming,
            request_id: request_id.map_or_else(random_hex, str::to_owned),
            received_at: Time::now(),
            deadline: Deadline::after(app.settings.store_timeout),
            presented: None,
            caller: None,
            account_id: None,
            endpoint: "",
            verb: None,
            limits: app.auth.known_rate_limits(),
            methods: Methods::default(),
            is_cors: false,
            language: None,
            is_pretty: false,
            etag: None,
        }
    }

    /// Who sends it, as far as failures are counted.
    pub(crate) fn client(&self) -> Client {
        // A proxy may add a line of its own below the client's.
        let lines = self.incoming.headers.get_all("x-forwarded-for");
        let forwarded_for: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        let address = self.incoming.peer.map(|peer| self.limits.client(peer, &forwarded_for));
        Client { address, account_id: self.account_id.clone() }
    }

    /// What it is charged as.
    pub(crate) fn charged(&self) -> Charged<'_> {
        let verb = self.verb.as_ref().map_or("", Verb::as_str);
        Charged { account_id: self.account_id.as_ref(), endpoint: self.endpoint, verb }
    }

    /// Whether the request only reads, so that a client may have the content already.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.incoming.method, Verb::Get | Verb::Head)
    }
}
