//! Everything that is known about a request so far. The pipeline fills it in step by step, so that a
//! refusal at any stage repeats what crossbar would repeat at that point.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use auth::{AuthError, Caller, Charged, Client, LoginSubject, RateLimits};
use datastore::{Deadline, random_hex};
use kazoo::{AccountId, Time};
use serde_json::Value;

use super::api_version::ApiVersion;
use super::header_names;
use super::incoming::Incoming;
use super::methods::Methods;
use super::verb::Verb;
use crate::app::App;
use crate::budget::Reservation;
use crate::lane::Share;
use crate::profile::Profile;

/// The longest request id that a client may choose, in bytes.
const MAX_REQUEST_ID: usize = 255;

/// A request and everything that is known about it so far.
pub(crate) struct Exchange<'a> {
    /// The state that all requests share.
    pub(crate) app: &'a App,
    /// The behaviour of the Kazoo release that this server replaces.
    profile: &'static Profile,
    /// The request as it arrived.
    pub(crate) incoming: &'a Incoming<'a>,
    /// The version of the API that the path names.
    pub(crate) api: ApiVersion,
    /// The request's id: the client's or a new one.
    pub(crate) request_id: String,
    /// The time when the request arrived.
    pub(crate) received_at: Time,
    /// The time by which the store must have answered.
    pub(crate) deadline: Deadline,
    /// The request's credentials in the form in which the answer repeats them.
    pub(crate) presented: Option<Value>,
    /// The verdict on the token in a header, if it was asked for before the body was read.
    pub(crate) verified: Option<Verified>,
    /// The memory that the request has reserved.
    pub(crate) reservation: Arc<Reservation>,
    /// What is wrong with the credentials, for the log.
    pub(crate) fault: Option<&'static str>,
    /// The caller, once the credentials are proven good.
    pub(crate) caller: Option<Caller>,
    /// The account that the path names, once it is known to exist.
    pub(crate) account_id: Option<AccountId>,
    /// Whether the request is a login. `false` until the body is read, which may name another verb.
    pub(crate) is_login: bool,
    /// Whose login this is, once a login has found out.
    pub(crate) login: LoginSubject,
    /// The resource's name in the list of costs.
    pub(crate) endpoint: &'static str,
    /// The verb, for the list of costs. `None` until the route is known.
    pub(crate) verb: Option<Verb>,
    /// The limits on how often clients may fail.
    pub(crate) limits: Arc<RateLimits>,
    /// The methods of the resource, as far as they are known.
    pub(crate) methods: Methods,
    /// Whether the request is a cross-origin one, so that the answer must list what is allowed.
    pub(crate) is_cors: bool,
    /// The answer's `content-language`, once it has been negotiated.
    pub(crate) language: Option<String>,
    /// Whether JSON is to be indented.
    pub(crate) is_pretty: bool,
    /// The entity tag of the group or listing that was found, without quotes.
    pub(crate) etag: Option<String>,
    /// Whether the request was answered before, and is answered once more only to compare. It is not
    /// charged, logged or counted.
    pub(crate) is_repeated: bool,
}

/// A token, and the verdict on it.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The token.
    pub(crate) token: String,
    /// The caller, or what is wrong with the token.
    pub(crate) verdict: Result<Caller, AuthError>,
}

impl Verified {
    /// The caller's account, if the token is good.
    pub(crate) fn account_id(&self) -> Option<&AccountId> {
        self.verdict.as_ref().ok().map(Caller::account_id)
    }
}

impl<'a> Exchange<'a> {
    /// A request that no stage has looked at yet.
    pub(crate) fn new(app: &'a App, incoming: &'a Incoming<'a>, reservation: Arc<Reservation>) -> Self {
        let request_id = incoming
            .header(&header_names::X_REQUEST_ID)
            .filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
        Self {
            app,
            profile: app.profile(),
            incoming,
            api: ApiVersion::default(),
            request_id: request_id.map_or_else(random_hex, str::to_owned),
            received_at: Time::now(),
            deadline: Deadline::after(app.live().store_timeout),
            presented: None,
            verified: None,
            reservation,
            fault: None,
            caller: None,
            account_id: None,
            is_login: false,
            login: LoginSubject::default(),
            endpoint: "",
            verb: None,
            limits: app.auth.known_rate_limits(),
            methods: Methods::default(),
            is_cors: false,
            language: None,
            is_pretty: false,
            etag: None,
            is_repeated: false,
        }
    }

    /// The behaviour of the Kazoo release that this server replaces.
    pub(crate) fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The client whose failures are counted.
    pub(crate) fn client(&self) -> Client {
        let address = self.incoming.peer.map(|peer| self.limits.client(peer, &self.forwarded_for()));
        Client { address, account_id: self.account_id.clone() }
    }

    /// The address of the client, behind the proxies that are trusted.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.incoming.peer.map(|peer| self.limits.address(peer, &self.forwarded_for()))
    }

    /// The account that the log names: that of the path, else that of a login, else the caller's.
    pub(crate) fn logged_account_id(&self) -> Option<&AccountId> {
        let of_caller = || self.caller.as_ref().map(Caller::account_id);
        self.account_id.as_ref().or_else(|| self.login.account_id()).or_else(of_caller)
    }

    /// The user that the log names. A login that failed has none, whoever's token came with it.
    pub(crate) fn logged_user_id(&self) -> Option<&str> {
        match self.login.account_id() {
            Some(_) => self.login.user_id(),
            None => self.caller.as_ref().and_then(Caller::owner_id),
        }
    }

    /// The lines of the header. A proxy may add its own line after the client's.
    fn forwarded_for(&self) -> Vec<Cow<'_, str>> {
        let lines = self.incoming.headers.get_all(&header_names::X_FORWARDED_FOR);
        lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect()
    }

    /// The resource and verb that a failure is charged for.
    pub(crate) fn charged(&self) -> Charged<'_> {
        let verb = self.verb.as_ref().map_or("", Verb::as_str);
        Charged { account_id: self.account_id.as_ref(), endpoint: self.endpoint, verb }
    }

    /// The lane for the work of this request. Who pays for its memory takes the turns.
    pub(crate) fn lane(&self) -> Share {
        self.app.lane.of(self.reservation.payer())
    }

    /// Whether the method only reads.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.incoming.method, Verb::Get | Verb::Head)
    }
}
