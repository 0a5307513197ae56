//! The client. It owns the connections, sends requests, and sends a failed read again. It does not know what
//! a request asks for or what the answer means; the files above it do.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datastore::Deadline;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{redirect, retry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::error::{Call, Error};
use crate::reply::{Body, Reply, TimeLimit};
use crate::request::Request;
use crate::settings::Settings;

/// A CouchDB client. A clone is cheap and shares the connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    /// For first attempts. It keeps connections and uses them again.
    pooled: reqwest::Client,
    /// For further attempts and for feeds. Every request opens a connection.
    fresh: reqwest::Client,
    runtime: Option<Handle>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client. It does not connect yet.
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
        Self::build(settings, None)
    }

    /// Creates a client whose connections live on `runtime`. This is for servers with one runtime for each
    /// thread: there a connection would otherwise belong to the thread that opened it.
    ///
    /// ```no_run
    /// use couchdb::{Client, Settings};
    ///
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let settings = Settings::new("http://admin:secret@127.0.0.1:5984".parse()?);
    /// let client = Client::on_runtime(settings, runtime.handle().clone())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn on_runtime(settings: Settings, runtime: Handle) -> Result<Self, Error> {
        Self::build(settings, Some(runtime))
    }

    fn build(settings: Settings, runtime: Option<Handle>) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = settings.url.authorization() {
            headers.insert(AUTHORIZATION, authorization);
        }
        // No redirects: CouchDB sends none, and no other address may get the credentials. No proxy from the
        // environment: that one is for the web, not for a database nearby.
        let builder = || {
            let builder = reqwest::Client::builder();
            // Plain HTTP needs no certificates. Reading them takes time, and a bare container has none.
            let builder = if settings.url.is_https() { builder } else { builder.tls_certs_only([]) };
            builder
                .default_headers(headers.clone())
                .connect_timeout(settings.connect_timeout)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .no_proxy()
                .tcp_nodelay(true)
        };
        let setup = |error: reqwest::Error| Error::Setup(error.without_url());
        let pooled = builder().pool_idle_timeout(settings.pool_idle_timeout).build().map_err(setup)?;
        let fresh = builder().pool_max_idle_per_host(0).build().map_err(setup)?;
        Ok(Self { inner: Arc::new(Inner { settings, pooled, fresh, runtime }) })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Sends a request and reads the answer with `read`. If the request is a read and another attempt may
    /// help, it does both again.
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
        let mut http = &self.inner.pooled;
        loop {
            let attempt = async { read(self.attempt(http, request, deadline).await?).await };
            let error = match attempt.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let may_repeat = request.is_read() && failures <= self.settings().read_retries;
            let pause = self.settings().read_backoff.delay(failures);
            if !may_repeat || !error.is_worth_another_try() || pause >= deadline.remaining() {
                return Err(error);
            }
            log::debug!(attempt = failures; "a read failed and is sent again: {error}");
            sleep(pause).await;
            http = &self.inner.fresh;
        }
    }

    /// Sends a request as [`Client::send`] does and reads the whole body.
    pub(crate) async fn send_whole(&self, request: &Request, deadline: Deadline) -> Result<Body, Error> {
        self.send(request, deadline, |reply| reply.whole(deadline, self.settings().max_answer_bytes)).await
    }

    async fn attempt(
        &self,
        http: &reqwest::Client,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Reply, Error> {
        let (call, message) = request.build(&self.settings().url);
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Err(Error::DeadlineExceeded(call));
        }
        let own = self.settings().request_timeout;
        let limit = if remaining <= own { TimeLimit::Deadline(deadline) } else { TimeLimit::Silence(own) };
        let response = limit.apply(&call, self.execute(http, message, &call)).await?;
        Reply::accept(call, response, request.target(), Some(deadline)).await
    }

    /// Sends a request once, on a connection of its own. `silence` is the only limit to the wait.
    pub(crate) async fn open(&self, request: &Request, silence: Duration) -> Result<Reply, Error> {
        let (call, message) = request.build(&self.settings().url);
        let answered = self.execute(&self.inner.fresh, message, &call);
        let response = TimeLimit::Silence(silence).apply(&call, answered).await?;
        Reply::accept(call, response, request.target(), None).await
    }

    async fn execute(
        &self,
        http: &reqwest::Client,
        message: reqwest::Request,
        call: &Call,
    ) -> Result<reqwest::Response, Error> {
        let answered = match &self.inner.runtime {
            None => http.execute(message).await,
            Some(runtime) => {
                let http = http.clone();
                let task = AbortOnDrop(runtime.spawn(async move { http.execute(message).await }));
                match task.finished().await {
                    Some(answered) => answered,
                    None => return Err(Error::no_answer(call.clone(), "the client's runtime has ended")),
                }
            }
        };
        answered.map_err(|error| Error::transport(call.clone(), error))
    }
}

/// A task that is stopped when its caller stops waiting. So a deadline also ends the request.
// Own code: tokio-util has such a handle, but nothing else here needs that crate.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn finished(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
