//! Asks another server. The time and the size of an answer are bounded, redirects are answers like any
//! other, and no proxy of the environment is used: nobody else may get the tokens.

use std::time::{Duration, Instant};

use datastore::random_hex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Response, redirect, retry};

use super::address::CounterpartUrl;
use crate::failure::Failure;

/// crossbar closes a connection that was idle for five seconds.
const IDLE: Duration = Duration::from_secs(4);

/// The header with the id of a request.
const REQUEST_ID: &str = "x-request-id";

/// How this program calls itself.
const AGENT: &str = concat!("crossbar-groups/", env!("CARGO_PKG_VERSION"));

/// How long an answer may take, and how large it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From the question to the last byte.
    pub(crate) time: Duration,
    /// The largest body, in bytes.
    pub(crate) bytes: usize,
}

/// Another server.
pub(crate) struct Counterpart {
    client: reqwest::Client,
    address: CounterpartUrl,
    bounds: Bounds,
}

/// A read to be made.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The path and the query.
    target: String,
    headers: HeaderMap,
}

impl Question {
    pub(crate) fn new(target: String) -> Self {
        Self { target, headers: HeaderMap::new() }
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Adds an id by which both servers' logs know the question, unless it has one.
    pub(crate) fn add_request_id(&mut self) {
        if self.request_id().is_empty() {
            self.add_header(REQUEST_ID, random_hex().as_bytes());
        }
    }

    /// The id by which both servers' logs know the question.
    pub(crate) fn request_id(&self) -> &str {
        self.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
    }

    /// Adds a header. One that cannot be sent is left out.
    pub(crate) fn add_header(&mut self, name: &str, value: &[u8]) {
        let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(mut value)) = header {
            value.set_sensitive(true);
            self.headers.append(name, value);
        }
    }
}

/// An answer.
pub(crate) struct Heard {
    pub(crate) status: u16,
    /// Names in lower case, values as Latin-1.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A header of an answer, as [`Heard`] has it.
pub(crate) fn shown_header(name: &str, value: &[u8]) -> (String, String) {
    (name.to_owned(), value.iter().copied().map(char::from).collect())
}

/// Whether a server with this answer refuses to work now, or fails. It says nothing about the request.
pub(crate) fn is_failing(status: u16) -> bool {
    status == 429 || status >= 500
}

impl Heard {
    pub(crate) fn as_answer(&self) -> comparison::Answer<'_> {
        comparison::Answer { status: self.status, headers: &self.headers, body: &self.body }
    }
}

/// Why there is no answer that could be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it takes longer than {} s", .0.as_secs())]
    Slow(Duration),
    #[error("its answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("its answer breaks off: {0}")]
    BrokenOff(String),
    /// It refuses to work now, or fails: 429, or 500 and above.
    #[error("it answers with the status {0}")]
    Failing(u16),
    #[error("the request has no form that could be sent on")]
    Unsendable,
}

impl Counterpart {
    /// A client of a server. It does not connect yet.
    pub(crate) fn new(address: CounterpartUrl, bounds: Bounds) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder();
        // Plain HTTP needs no certificates, and a bare container has none.
        let builder = if address.is_https() { builder } else { builder.tls_certs_only([]) };
        let client = builder
            .connect_timeout(bounds.time)
            .pool_idle_timeout(IDLE)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .no_gzip()
            .http1_only()
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Failure::setup(format!("cannot set up TLS: {}", told(error))))?;
        Ok(Self { client, address, bounds })
    }

    pub(crate) fn address(&self) -> &CounterpartUrl {
        &self.address
    }

    /// Asks a question, and hears all of the answer.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Heard, Unanswered> {
        let url = self.address.at(&question.target).ok_or(Unanswered::Unsendable)?;
        let request = self.client.get(url).headers(question.headers.clone()).header(USER_AGENT, AGENT);
        self.send(request).await
    }

    /// Puts data, and hears all of the answer. Logins need it.
    pub(crate) async fn put(&self, target: &str, json: String) -> Result<Heard, Unanswered> {
        let url = self.address.at(target).ok_or(Unanswered::Unsendable)?;
        let request = self.client.put(url).header("content-type", "application/json").body(json);
        self.send(request.header(USER_AGENT, AGENT)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Heard, Unanswered> {
        let Bounds { time, bytes } = self.bounds;
        let begun = Instant::now();
        let asked = async {
            let response = request.send().await.map_err(|error| Unanswered::Unreachable(told(error)))?;
            hear(response, bytes, begun).await
        };
        tokio::time::timeout(time, asked).await.unwrap_or(Err(Unanswered::Slow(time)))
    }
}

async fn hear(mut response: Response, most: usize, begun: Instant) -> Result<Heard, Unanswered> {
    let status = response.status().as_u16();
    if is_failing(status) {
        return Err(Unanswered::Failing(status));
    }
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| shown_header(name.as_str(), value.as_bytes())).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Unanswered::BrokenOff(told(error)))? {
        if body.len().saturating_add(chunk.len()) > most {
            return Err(Unanswered::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Heard { status, headers, body, took: begun.elapsed() })
}

/// The words of an error without the URL, whose query may hold a token.
fn told(error: reqwest::Error) -> String {
    crate::chain(&error.without_url())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
