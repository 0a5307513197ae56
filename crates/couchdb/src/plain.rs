//! Connections over plain HTTP that are kept: the way of almost every request to a CouchDB nearby.
//!
//! They are hyper's, without the layers that reqwest lays around them: redirects, proxies, retries, decompression, and
//! an address that is read three times. None of that is used here, and all of it costs. Otherwise they are what reqwest
//! opens: the same pool, the same limits, the same errors below.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::http::response::Parts;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::io::{ReaderStream, StreamReader};
use tower_service::Service;

use crate::error::{Call, Error};
use crate::settings::Settings;

/// A connection whose other end is gone is asked after this silence, and again after the same time.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How often it is asked before it counts as broken.
const KEEPALIVE_RETRIES: u32 = 3;

/// How long what was sent may wait for the other end to note it.
const UNNOTED: Duration = Duration::from_secs(30);

/// The largest part of a decompressed body, in bytes.
const MAX_PART: usize = 16 * 1024;

type AnyError = Box<dyn StdError + Send + Sync>;

/// Connections that are kept, on the runtime of the thread that opened them.
#[derive(Debug)]
pub(crate) struct Connections(Client<Connector, Full<Bytes>>);

impl Connections {
    /// At most `max_idle` connections to one server wait for their next request.
    pub(crate) fn new(settings: &Settings, max_idle: usize) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        // For each address of a name, a part of the whole time.
        http.set_connect_timeout(Some(settings.connect_timeout));
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE));
        http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNNOTED));
        let connector = Connector { http, limit: settings.connect_timeout };
        // A request that could not be written to a kept connection goes to another one: the builder's default.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(max_idle)
            .build(connector);
        Self(client)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&self, message: Request<Full<Bytes>>, call: &Call) -> Result<Answer, Error> {
        match self.0.request(message).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let is_compressed = head.headers.get(CONTENT_ENCODING).is_some_and(|name| name == "gzip");
                let body = match is_compressed && !body.is_end_stream() {
                    true => Body::Gzip(decompressed(body)),
                    false => Body::AsSent(body),
                };
                Ok(Answer { head, body })
            }
            Err(error) => Err(Error::broken(call.clone(), !error.is_connect(), error)),
        }
    }
}

/// Opens connections. The limit is for the whole of it, also for the search for the name's addresses.
#[derive(Clone, Debug)]
struct Connector {
    http: HttpConnector,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, AnyError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        Box::pin(in_time(self.limit, self.http.call(server)))
    }
}

async fn in_time<T, E: Into<AnyError>>(
    limit: Duration,
    opened: impl Future<Output = Result<T, E>>,
) -> Result<T, AnyError> {
    match timeout(limit, opened).await {
        Ok(opened) => opened.map_err(Into::into),
        Err(_) => {
            let reason = format!("no connection within {} ms", limit.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, reason).into())
        }
    }
}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub(crate) struct Answer {
    head: Parts,
    body: Body,
}

#[derive(Debug)]
enum Body {
    AsSent(Incoming),
    Gzip(BoxBody<Bytes, io::Error>),
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The length of the body that has not been read, if it is known.
    pub(crate) fn content_length(&self) -> Option<u64> {
        match &self.body {
            Body::AsSent(body) => body.size_hint().exact(),
            Body::Gzip(_) => None,
        }
    }

    /// The next part of the body, or `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, AnyError> {
        loop {
            let frame = match &mut self.body {
                Body::AsSent(body) => body.frame().await.transpose()?,
                Body::Gzip(body) => body.frame().await.transpose()?,
            };
            match frame.map(Frame::into_data) {
                Some(Ok(chunk)) => return Ok(Some(chunk)),
                // Headers behind the body.
                Some(Err(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

/// The text of a body that was sent compressed, in parts of a bounded size.
fn decompressed(body: Incoming) -> BoxBody<Bytes, io::Error> {
    let mut decoder = GzipDecoder::new(StreamReader::new(body.into_data_stream().map_err(io::Error::other)));
    // It reads to the end of the body then, and the connection can be used again.
    decoder.multiple_members(true);
    StreamBody::new(ReaderStream::with_capacity(decoder, MAX_PART).map_ok(Frame::data)).boxed()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;
    use std::time::Duration;

    use super::in_time;

    /// The search for a name's addresses has no limit of its own.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_never_open_ends_with_its_reason() {
        let error =
            in_time(Duration::from_millis(300), pending::<Result<(), io::Error>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "no connection within 300 ms");
    }
}
