//! Answers: envelopes around data and refusals, CSV, and their headers.

pub(crate) mod csv;
mod envelope;
pub(crate) mod gzip;
mod headers;
pub(crate) mod pretty;
mod sink;

use std::borrow::Cow;
use std::io;
use std::time::Instant;

use actix_web::http::header;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;
use serde_json::value::RawValue;
use validation::{MAX_ECHO, echo_size};

use self::envelope::{CHUNKED, PLAIN, Tokens, Values};
pub(crate) use self::envelope::{Data, Paging};
use self::headers::{Audience, Headers};
use self::pretty::Indenter;
use self::sink::Sink;
use crate::catalogue::{Bare, Refusal, Row};
use crate::request::exchange::Exchange;

/// Only bodies above this size, in bytes, are compressed.
const GZIP_ABOVE: usize = 300;

/// About how many bytes an envelope takes without its data.
const ENVELOPE_SIZE: usize = 1_024;

/// The largest answer to a read, in bytes before compression. An answer to a write is not refused, because
/// the write has happened; the size of the document bounds it.
const MAX_READ_ANSWER: usize = 256_000_000;

/// An answer, ready for the wire.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: Headers,
    /// The body.
    pub(crate) body: Body,
}

/// The body of an answer.
pub(crate) enum Body {
    /// No body.
    Empty,
    /// The whole body.
    Full(Vec<u8>),
    /// Chunks until the stream ends or fails.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

/// A success with an envelope around it.
#[derive(Debug)]
pub(crate) struct Success {
    /// The status.
    pub(crate) status: u16,
    /// The data.
    pub(crate) data: Data,
    /// The stored revision, or the word that crossbar has in its place.
    pub(crate) revision: Option<String>,
    /// The path of the new group.
    pub(crate) location: Option<String>,
    /// The members about paging.
    pub(crate) paging: Paging,
    /// The token that a login returns. Other answers repeat the request's token.
    pub(crate) new_token: Option<String>,
}

impl Success {
    /// A success that has only a status and data.
    pub(crate) fn new(status: u16, data: Data) -> Self {
        Self { status, data, revision: None, location: None, paging: Paging::default(), new_token: None }
    }
}

/// A success in its envelope.
pub(crate) fn success(exchange: &Exchange<'_>, success: Success) -> Result<Answer, Refusal> {
    let Success { status, data, revision, location, paging, new_token } = success;
    let mut values = values(exchange, paging);
    if let Some(token) = new_token {
        values.version = Some(Cow::Borrowed(&exchange.app.version));
        values.auth_token = Some(Cow::Owned(Value::from(token)));
    }
    values.revision = revision.map(Cow::Owned);
    let limit = if exchange.is_read() { MAX_READ_ANSWER } else { usize::MAX };
    let body = body(exchange, &values, &data, limit).map_err(|_| Refusal::AnswerTooLarge { limit })?;
    let mut headers = Headers::of_content(exchange, "application/json");
    if let Some(location) = location {
        headers.push_text(header::LOCATION, location);
    }
    Ok(finish(exchange, status, headers, body))
}

/// An answer with CSV, which the client saves as a file with this name.
pub(crate) fn as_csv(exchange: &Exchange<'_>, csv: Vec<u8>, file_name: &str) -> Answer {
    let mut headers = Headers::of_content(exchange, "text/csv");
    headers.push_text(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\""));
    Answer { status: 200, headers, body: Body::Full(csv) }
}

/// The answer for an empty listing as CSV.
pub(crate) fn no_csv() -> Answer {
    Answer { status: 204, headers: Headers::default(), body: Body::Empty }
}

/// A listing whose rows are sent as they arrive.
pub(crate) fn chunked(exchange: &Exchange<'_>, chunks: BoxStream<'static, io::Result<Bytes>>) -> Answer {
    let headers = Headers::of_content(exchange, "application/json");
    Answer { status: 200, headers, body: Body::Stream(chunks) }
}

/// The envelope of a listing in chunks. It outlives its request.
pub(crate) struct ChunkedEnvelope(Values<'static>);

impl ChunkedEnvelope {
    /// The envelope of this request's answer. It repeats the token only if that is text.
    pub(crate) fn of(exchange: &Exchange<'_>) -> Self {
        let token = exchange.presented.clone().filter(Value::is_string);
        Self(Values {
            paging: Paging::default(),
            version: Some(Cow::Owned(exchange.app.version.clone())),
            received_at: exchange.received_at,
            node: Cow::Owned(exchange.app.node.clone()),
            request_id: Cow::Owned(exchange.request_id.clone()),
            tokens: None,
            auth_token: token.map(Cow::Owned),
            error: None,
            message: None,
            revision: None,
            status: "success",
        })
    }

    /// The id of the request.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The bytes up to the end of the first rows.
    pub(crate) fn head(&self, rows: &[Box<RawValue>]) -> io::Result<Bytes> {
        let mut head = Vec::new();
        envelope::write_head(&CHUNKED, &self.0, rows, &mut head)?;
        Ok(head.into())
    }

    /// The bytes after the last row.
    pub(crate) fn tail(mut self, paging: Paging) -> io::Result<Bytes> {
        let mut tail = Vec::new();
        self.0.paging = paging;
        envelope::write_tail(&CHUNKED, &self.0, &mut tail)?;
        Ok(tail.into())
    }
}

/// The answer to a preflight.
pub(crate) fn preflight(exchange: &Exchange<'_>) -> Answer {
    let headers = Headers::of_all(exchange, Audience::OtherOrigins);
    Answer { status: 200, headers, body: Body::Empty }
}

/// The page at paths without a version.
pub(crate) fn unversioned() -> Answer {
    let text = "This is crossbar-groups: Kazoo's groups API. It begins at /v2/accounts/{ACCOUNT_ID}/groups\n";
    let mut headers = Headers::default();
    headers.push(header::CONTENT_TYPE, "text/plain; charset=UTF-8");
    Answer { status: 200, headers, body: Body::Full(text.as_bytes().to_vec()) }
}

/// A refusal with the catalogue's text. `page_size` is the number of rows that a look-up has found.
pub(crate) fn refusal(exchange: &Exchange<'_>, refusal: &Refusal, page_size: Option<u64>) -> Answer {
    let Row { status, message, data } = match refusal.row() {
        Err(bare) => return without_body(exchange, refusal, bare),
        Ok(row) => row,
    };
    let mut values = values(exchange, Paging { page_size, ..Paging::default() });
    let room = MAX_ECHO.saturating_sub(refusal.echoed_bytes());
    values.auth_token = values.auth_token.filter(|token| echo_size(token, room).is_some());
    values.error = Some(status);
    values.message = Some(message);
    values.status = "error";
    let mut headers = Headers::of_all(exchange, Audience::OtherOrigins);
    push_own_headers(&mut headers, refusal);
    headers.push(header::CONTENT_TYPE, "application/json");
    match body(exchange, &values, &Data::Value(data), usize::MAX) {
        Ok(body) => finish(exchange, status, headers, body),
        Err(_) => Answer { status, headers, body: Body::Empty },
    }
}

fn without_body(exchange: &Exchange<'_>, refusal: &Refusal, bare: Bare) -> Answer {
    let mut headers = if bare.is_without_headers() {
        Headers::default()
    } else {
        Headers::of_all(exchange, Audience::of(exchange))
    };
    if bare == Bare::NotModified {
        headers.push_of_read(exchange);
    }
    push_own_headers(&mut headers, refusal);
    Answer { status: bare.status(), headers, body: Body::Empty }
}

fn push_own_headers(headers: &mut Headers, refusal: &Refusal) {
    for (name, value) in refusal.headers() {
        headers.push_text(name, value);
    }
}

/// The values of every envelope.
fn values<'a>(exchange: &'a Exchange<'_>, paging: Paging) -> Values<'a> {
    let app = exchange.app;
    let tokens = Tokens {
        consumed: exchange.limits.cost(exchange.charged()),
        remaining: app.buckets.level(&exchange.client(), &exchange.limits, Instant::now()),
    };
    Values {
        paging,
        // Only callers with good credentials learn the version.
        version: exchange.caller.is_some().then_some(Cow::Borrowed(&*app.version)),
        received_at: exchange.received_at,
        node: Cow::Borrowed(&app.node),
        request_id: Cow::Borrowed(&exchange.request_id),
        tokens: Some(tokens),
        auth_token: exchange.presented.as_ref().map(Cow::Borrowed),
        error: None,
        message: None,
        revision: None,
        status: "success",
    }
}

/// The bytes of a plain envelope. They are indented if the client asks for that, unless indenting would make
/// them grow too much. Fails only if they are more than `limit`.
fn body(exchange: &Exchange<'_>, values: &Values<'_>, data: &Data, limit: usize) -> io::Result<Vec<u8>> {
    if exchange.is_pretty
        && let Some(size) = pretty::indented_size(|out| envelope::write(&PLAIN, values, data, out))?
    {
        let mut sink = Sink::new(limit, size);
        envelope::write(&PLAIN, values, data, &mut Indenter::new(&mut sink))?;
        return Ok(sink.into_bytes());
    }
    let mut sink = Sink::new(limit, ENVELOPE_SIZE.saturating_add(data.size_hint()));
    envelope::write(&PLAIN, values, data, &mut sink)?;
    Ok(sink.into_bytes())
}

fn finish(exchange: &Exchange<'_>, status: u16, mut headers: Headers, body: Vec<u8>) -> Answer {
    let wants_gzip = body.len() > GZIP_ABOVE && gzip::takes_gzip(exchange.incoming.header("accept-encoding"));
    if wants_gzip && let Ok(compressed) = gzip::compress(&body) {
        headers.push(header::CONTENT_ENCODING, "gzip");
        return Answer { status, headers, body: Body::Full(compressed) };
    }
    Answer { status, headers, body: Body::Full(body) }
}
