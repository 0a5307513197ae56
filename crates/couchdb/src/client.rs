//! The client. It owns the connections, sends requests, and sends a failed read again. If a node of a cluster is
//! gone, it goes to the next one. It does not know what a request asks for or what the answer means; the files
//! above it do.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datastore::Deadline;
use reqwest::{StatusCode, redirect, retry};
use thread_local::ThreadLocal;
use tokio::time::sleep;

use crate::batches::Batches;
use crate::copies::KnownCopies;
use crate::error::{Call, Error};
use crate::large::LargeTurns;
use crate::nodes::{Node, Nodes, Tried};
use crate::plain::Connections;
use crate::reply::{Body, Reply, Response, TimeLimit};
use crate::request::Request;
use crate::server_url::ServerUrl;
use crate::settings::Settings;

/// How many unused connections each thread keeps. A thread that waits for a connection opens a new one, even
/// if an old one becomes free first, so without a bound their number grows.
const MAX_IDLE: usize = 16;

/// A CouchDB client. A clone is cheap and shares the connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    nodes: Nodes,
    copies: KnownCopies,
    batches: Batches,
    /// For first attempts over plain HTTP. Each thread keeps its connections and uses them again.
    plain: ThreadLocal<Connections>,
    /// For first attempts over TLS. It keeps connections in the same way.
    pooled: ThreadLocal<reqwest::Client>,
    /// For further attempts and for feeds. Every request opens a connection.
    fresh: reqwest::Client,
    turns: LargeTurns,
}

/// How a node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFigures {
    /// Its address, without credentials.
    pub address: String,
    /// Whether it is used. A node that is alone always is.
    pub is_well: bool,
    /// How many writes it has answered with 202: not every copy had them at that moment.
    pub accepted: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client. It does not connect yet.
    ///
    /// Each thread keeps its own connections, and a connection lives on the runtime of the thread that opened
    /// it. So a server with one runtime for each thread never waits for another thread. If a runtime ends,
    /// its connections end, and the next request opens a new one.
    ///
    /// ```no_run
    /// use couchdb::{Client, Settings};
    ///
    /// let client = Client::new(Settings::new("http://admin:secret@127.0.0.1:5984".parse()?))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setup`] if TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let fresh = builder(&settings).pool_max_idle_per_host(0).build().map_err(setup_failure)?;
        let nodes = Nodes::new(&settings.url, &settings.further_urls);
        let inner = Inner {
            settings,
            nodes,
            copies: KnownCopies::default(),
            batches: Batches::default(),
            plain: ThreadLocal::new(),
            pooled: ThreadLocal::new(),
            fresh,
            turns: LargeTurns::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// This thread's connections over plain HTTP.
    fn plain(&self) -> &Connections {
        self.inner.plain.get_or(|| Connections::new(self.settings(), MAX_IDLE))
    }

    /// This thread's connections over TLS.
    fn pooled(&self) -> Result<&reqwest::Client, Error> {
        let Inner { settings, pooled, .. } = &*self.inner;
        pooled.get_or_try(|| {
            builder(settings)
                .pool_idle_timeout(settings.pool_idle_timeout)
                .pool_max_idle_per_host(MAX_IDLE)
                .build()
                .map_err(setup_failure)
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.inner.nodes
    }

    pub(crate) fn copies(&self) -> &KnownCopies {
        &self.inner.copies
    }

    pub(crate) fn batches(&self) -> &Batches {
        &self.inner.batches
    }

    /// The client that opens a connection for each request.
    pub(crate) fn fresh(&self) -> &reqwest::Client {
        &self.inner.fresh
    }

    /// How each node is doing, in the order of the settings.
    ///
    /// ```
    /// use couchdb::{Client, NodeFigures, Settings};
    ///
    /// let client = Client::new(Settings::new("http://admin:secret@127.0.0.1:5984".parse()?))?;
    /// for NodeFigures { address, is_well, accepted } in client.node_figures() {
    ///     println!("{address}: well: {is_well}, writes that not every copy had at once: {accepted}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn node_figures(&self) -> Vec<NodeFigures> {
        let figures = |node: &Node| NodeFigures {
            address: node.url.to_string(),
            is_well: !node.is_down(),
            accepted: node.accepted(),
        };
        self.nodes().iter().map(figures).collect()
    }

    /// Sends a request and reads the answer with `read`. If the request is a read and another attempt may
    /// help, it does both again. A request that a node has certainly not got goes to the next node, also if it is a
    /// write.
    pub(crate) async fn send<T, F>(
        &self,
        request: &Request,
        deadline: Deadline,
        read: impl Fn(Reply) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failures = 0;
        let mut way = Way::Kept;
        let mut tried = Tried::default();
        self.look_after_nodes();
        loop {
            let (number, node) = self.choose(&mut tried);
            let attempt = async { read(self.attempt(way, node, request, deadline).await?).await };
            let error = match attempt.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            tried.add(number);
            if error.was_not_sent() && self.nodes().choose(&tried).is_some() && !deadline.is_over() {
                node.note_down(&error);
                continue;
            }
            failures += 1;
            let may_repeat = request.is_read() && failures <= self.settings().read_retries;
            let pause = self.settings().read_backoff.delay(failures);
            if !may_repeat || !error.is_worth_another_try() || pause >= deadline.remaining() {
                return Err(error);
            }
            log::debug!(attempt = failures; "a read failed and is sent again: {error}");
            sleep(pause).await;
            way = Way::Fresh;
        }
    }

    /// Sends a request as [`Client::send`] does and reads the whole body.
    pub(crate) async fn send_whole(&self, request: &Request, deadline: Deadline) -> Result<Body, Error> {
        self.send_up_to(self.settings().max_answer_bytes, request, deadline).await
    }

    /// Sends a request as [`Client::send_whole`] does, with another bound of the body's size.
    pub(crate) async fn send_up_to(
        &self,
        max_bytes: usize,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Body, Error> {
        self.send(request, deadline, |reply| reply.whole(deadline, max_bytes)).await
    }

    /// The node for the next attempt. When all were tried, the first one may be tried again.
    fn choose(&self, tried: &mut Tried) -> (usize, &Node) {
        self.nodes().choose(tried).unwrap_or_else(|| {
            tried.clear();
            self.nodes().preferred()
        })
    }

    pub(crate) async fn attempt(
        &self,
        way: Way,
        node: &Node,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        let call = request.call(&node.url);
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Err(Error::DeadlineExceeded(call));
        }
        let own = self.settings().request_timeout;
        let limit = if remaining <= own { TimeLimit::Deadline(deadline) } else { TimeLimit::Silence(own) };
        let turn = limit.apply(&call, node.login_turn(&call)).await?;
        let answered = self.unless_gone(node, &call, self.execute(way, node, request, &call));
        let response = limit.apply(&call, answered).await?;
        if response.status() == StatusCode::ACCEPTED {
            node.note_accepted(request.documents());
        }
        let reply = self.reply(call, request, response).accepted(request.target(), Some(deadline)).await;
        if let Some(turn) = turn {
            turn.note(&reply);
        }
        reply
    }

    /// Sends a request that waits for news, on a connection of its own. `silence` is the only limit to the wait.
    pub(crate) async fn open(&self, request: &Request, silence: Duration) -> Result<Reply, Error> {
        let mut tried = Tried::default();
        self.look_after_nodes();
        loop {
            let (number, node) = self.choose(&mut tried);
            let call = request.call(&node.url);
            let turn = TimeLimit::Silence(silence).apply(&call, node.login_turn(&call)).await?;
            let answered = self.unless_gone(node, &call, self.execute(Way::Fresh, node, request, &call));
            let response = match TimeLimit::Silence(silence).apply(&call, answered).await {
                Ok(response) => response,
                Err(error) => {
                    tried.add(number);
                    if error.was_not_sent() && self.nodes().choose(&tried).is_some() {
                        node.note_down(&error);
                        continue;
                    }
                    return Err(error);
                }
            };
            let reply = self.reply(call, request, response).accepted(request.target(), None).await;
            if let Some(turn) = turn {
                turn.note(&reply);
            }
            return reply;
        }
    }

    fn reply(&self, call: Call, request: &Request, response: Response) -> Reply {
        Reply::new(call, response, self.inner.turns.of_db(request.db()))
    }

    async fn execute(
        &self,
        way: Way,
        node: &Node,
        request: &Request,
        call: &Call,
    ) -> Result<Response, Error> {
        let authorization = node.authorization.as_ref();
        let http = match (way, &node.plain) {
            (Way::Kept, Some(root)) => {
                let message = request.plain(root, authorization);
                let message = message.map_err(|error| Error::broken(call.clone(), true, error))?;
                return self.plain().send(message, call).await.map(Response::Plain);
            }
            (Way::Kept, None) => self.pooled()?,
            (Way::Fresh, _) => &self.inner.fresh,
        };
        let response = http.execute(request.build(&node.url, authorization)).await;
        response.map(Response::Full).map_err(|error| Error::transport(call.clone(), error))
    }
}

/// Which connection a request goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One that is kept, or a new one that will be.
    Kept,
    /// A new one.
    Fresh,
}

fn builder(settings: &Settings) -> reqwest::ClientBuilder {
    // No redirects: CouchDB sends none, and no other address may get the credentials. No proxy from the
    // environment: that one is for the web, not for a database nearby.
    let builder = reqwest::Client::builder();
    // Plain HTTP needs no certificates. Reading them takes time, and a bare container has none.
    let needs_certificates = settings.url.is_https() || settings.further_urls.iter().any(ServerUrl::is_https);
    let builder = if needs_certificates { builder } else { builder.tls_certs_only([]) };
    builder
        .connect_timeout(settings.connect_timeout)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
}

fn setup_failure(error: reqwest::Error) -> Error {
    Error::Setup(error.without_url())
}
