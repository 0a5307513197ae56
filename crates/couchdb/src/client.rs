//! Sending a request and taking its answer: the deadline, the attempts, the connections. What is asked and
//! what the answer means is the business of the files beside this one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datastore::{DbName, Deadline, DocId, Document};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use reqwest::{Method, Response, redirect, retry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{About, causes};
use crate::view_rows::Rows;
use crate::{Call, Error, Settings};

/// So much of an error's body is read, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// So long is waited for it.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(1);

/// A setting may be any duration, a point in time may not.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A CouchDB client. Cloning it is cheap, and the clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    /// For first attempts: connections are kept and used again.
    pooled: reqwest::Client,
    /// For further attempts and for feeds: every request has a connection of its own.
    fresh: reqwest::Client,
    runtime: Option<Handle>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// What is asked.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// From the slash after the server's address, escaped.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) about: About,
    pub(crate) effect: Effect,
    pub(crate) encoding: Encoding,
}

/// Whether asking twice is the same as asking once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

/// Whether the server may compress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// A compressed feed holds events back until a block is full.
    Identity,
}

impl Ask {
    pub(crate) fn read(method: Method, path: String, about: About) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            if_none_match: None,
            about,
            effect: Effect::Reads,
            encoding: Encoding::Gzip,
        }
    }

    pub(crate) fn write(method: Method, path: String, about: About) -> Self {
        Self { effect: Effect::Writes, ..Self::read(method, path, about) }
    }
}

/// An answer that is no refusal; its body is still to come.
pub(crate) struct Answer {
    pub(crate) call: Call,
    pub(crate) status: u16,
    pub(crate) response: Response,
}

impl Client {
    /// A client for a server. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Setup`] where TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::build(settings, None)
    }

    /// A client whose connections live on `runtime`, whoever uses them: for servers that have a runtime
    /// for each thread, where a connection would otherwise belong to the thread that opened it.
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
        // No redirects: CouchDB gives none, and the credentials are for one address only. No proxy from
        // the environment either: that is meant for the web, not for the database next door.
        let is_plain = settings.url.base().starts_with("http://");
        let builder = || {
            let builder = reqwest::Client::builder();
            // Plain HTTP needs no certificates: they take a while to read, and a bare container has none.
            let builder = if is_plain { builder.tls_certs_only([]) } else { builder };
            builder
                .default_headers(headers.clone())
                .connect_timeout(settings.connect_timeout)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .no_proxy()
                .tcp_nodelay(true)
        };
        let setup = |error: reqwest::Error| Error::Setup(causes(&error.without_url()));
        let pooled = builder().pool_idle_timeout(settings.pool_idle_timeout).build().map_err(setup)?;
        let fresh = builder().pool_max_idle_per_host(0).build().map_err(setup)?;
        Ok(Self { inner: Arc::new(Inner { settings, pooled, fresh, runtime }) })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Asks, and asks again where that is harmless and may help.
    pub(crate) async fn send(&self, ask: &Ask, deadline: Deadline) -> Result<Answer, Error> {
        self.attempts(ask, deadline, |http| self.attempt(http, ask, deadline)).await
    }

    /// Asks as [`Client::send`] does and takes the whole body; an answer that breaks off is asked for again.
    pub(crate) async fn send_whole(&self, ask: &Ask, deadline: Deadline) -> Result<(u16, Bytes), Error> {
        self.attempts(ask, deadline, |http| async move {
            let answer = self.attempt(http, ask, deadline).await?;
            let max_bytes = self.settings().max_answer_bytes;
            Ok((answer.status, answer.whole(deadline, max_bytes).await?))
        })
        .await
    }

    /// Asks for documents by their ids as [`Client::send_whole`] does, but never holds the whole text.
    pub(crate) async fn send_keyed(
        &self,
        ask: &Ask,
        deadline: Deadline,
    ) -> Result<Vec<Result<Document, Error>>, Error> {
        self.attempts(ask, deadline, |http| async move {
            let answer = self.attempt(http, ask, deadline).await?;
            Rows::new(answer, self.settings(), deadline).all_keyed().await
        })
        .await
    }

    async fn attempts<'a, T, F>(
        &'a self,
        ask: &Ask,
        deadline: Deadline,
        attempt: impl Fn(&'a reqwest::Client) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failures = 0;
        let mut http = &self.inner.pooled;
        loop {
            let error = match attempt(http).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            let may_repeat = ask.effect == Effect::Reads && failures <= self.settings().read_retries;
            let pause = self.settings().read_backoff.delay(failures);
            if !may_repeat || !error.is_worth_another_try() || pause >= deadline.remaining() {
                return Err(error);
            }
            log::debug!(attempt = failures; "asking again: {error}");
            sleep(pause).await;
            http = &self.inner.fresh;
        }
    }

    async fn attempt(&self, http: &reqwest::Client, ask: &Ask, deadline: Deadline) -> Result<Answer, Error> {
        let own = self.settings().request_timeout;
        let until = deadline.instant().min(from_now(own));
        let (call, request) = self.request(ask)?;
        if deadline.is_over() {
            return Err(Error::DeadlineExceeded(call));
        }
        let answered = timeout_at(until.into(), self.execute(http, request, &call)).await;
        let response = match answered {
            Ok(response) => response?,
            Err(_) if deadline.is_over() => return Err(Error::DeadlineExceeded(call)),
            Err(_) => return Err(Error::no_answer(call, format!("silent for {} ms", own.as_millis()))),
        };
        let status = response.status().as_u16();
        let answer = Answer { call, status, response };
        if answer.response.status().is_success() || (status == 304 && ask.if_none_match.is_some()) {
            return Ok(answer);
        }
        Err(answer.into_refusal(ask.about, deadline).await)
    }

    /// Opens a feed: on a connection of its own, with `silence` as the only limit to the wait.
    pub(crate) async fn open_feed(&self, ask: &Ask, silence: Duration) -> Result<Answer, Error> {
        let deadline = Deadline::after(silence.min(LONGEST_WAIT));
        let (call, request) = self.request(ask)?;
        let asked = self.execute(&self.inner.fresh, request, &call);
        let response = match timeout_at(deadline.instant().into(), asked).await {
            Ok(response) => response?,
            Err(_) => return Err(Error::no_answer(call, format!("silent for {} ms", silence.as_millis()))),
        };
        let status = response.status().as_u16();
        let answer = Answer { call, status, response };
        if answer.response.status().is_success() {
            return Ok(answer);
        }
        Err(answer.into_refusal(ask.about, deadline).await)
    }

    /// The request, and the call that stands for it in errors.
    fn request(&self, ask: &Ask) -> Result<(Call, reqwest::Request), Error> {
        let address = format!("{}{}", self.settings().url.base(), ask.path);
        let mut url = reqwest::Url::parse(&address)
            .map_err(|error| Error::Setup(format!("{}: {error}", self.settings().url)))?;
        let call = Call { method: ask.method.clone(), url: url.to_string() };
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query.iter().map(|(name, value)| (*name, value)));
        }
        let mut request = reqwest::Request::new(ask.method.clone(), url);
        let headers = request.headers_mut();
        if ask.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if ask.encoding == Encoding::Identity {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(known) = ask.if_none_match.as_deref().and_then(|known| HeaderValue::from_str(known).ok())
        {
            headers.insert(IF_NONE_MATCH, known);
        }
        *request.body_mut() = ask.body.clone().map(Into::into);
        Ok((call, request))
    }

    async fn execute(
        &self,
        http: &reqwest::Client,
        request: reqwest::Request,
        call: &Call,
    ) -> Result<Response, Error> {
        let answered = match &self.inner.runtime {
            None => http.execute(request).await,
            Some(runtime) => {
                let http = http.clone();
                let task = AbortOnDrop(runtime.spawn(async move { http.execute(request).await }));
                match task.finished().await {
                    Some(answered) => answered,
                    None => return Err(Error::no_answer(call.clone(), "the client's runtime has ended")),
                }
            }
        };
        answered.map_err(|error| Error::transport(call.clone(), error))
    }
}

/// A task that ends with whoever waits for it, so that a deadline stops the request too.
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

impl Answer {
    /// The whole body.
    pub(crate) async fn whole(mut self, deadline: Deadline, max_bytes: usize) -> Result<Bytes, Error> {
        let mut body = Vec::new();
        loop {
            let next = timeout_at(deadline.instant().into(), self.response.chunk()).await;
            match next {
                Err(_) => return Err(Error::DeadlineExceeded(self.call)),
                Ok(Err(error)) => return Err(Error::transport(self.call, error)),
                Ok(Ok(None)) => return Ok(body.into()),
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > max_bytes => {
                    return Err(Error::AnswerTooLarge { call: self.call, max_bytes });
                }
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            }
        }
    }

    /// The next part of the body, `None` at its end; `Err(None)` where nothing came in time.
    pub(crate) async fn next_chunk(
        &mut self,
        until: std::time::Instant,
    ) -> Result<Option<Bytes>, Option<Error>> {
        match timeout_at(Instant::from_std(until), self.response.chunk()).await {
            Err(_) => Err(None),
            Ok(Err(error)) => Err(Some(Error::transport(self.call.clone(), error))),
            Ok(Ok(chunk)) => Ok(chunk),
        }
    }

    /// The error that an answer with a status outside 2xx is. Where its body does not come soon, the status
    /// still says what is to be said.
    async fn into_refusal(self, about: About, deadline: Deadline) -> Error {
        let (call, status) = (self.call.clone(), self.status);
        let body = self
            .whole(deadline.min(Deadline::after(ERROR_BODY_WAIT)), MAX_ERROR_BODY)
            .await
            .unwrap_or_default();
        Error::refused(call, status, &body).about(about)
    }
}

/// The moment `wait` from now.
pub(crate) fn from_now(wait: Duration) -> std::time::Instant {
    std::time::Instant::now() + wait.min(LONGEST_WAIT)
}

/// `/db`.
pub(crate) fn db_path(db: &DbName) -> String {
    format!("/{}", db.encoded())
}

/// `/db/id`. An id that the URL library would drop, or that names one of CouchDB's own resources, is
/// refused: the request would be about something else.
pub(crate) fn doc_path(db: &DbName, id: &DocId) -> Result<String, Error> {
    let name = id.design_name().unwrap_or(id.as_str());
    if name.is_empty() || name == "." || name == ".." || name.starts_with('_') {
        return Err(Error::Name(id.to_string()));
    }
    Ok(format!("{}/{}", db_path(db), id.encoded()))
}
