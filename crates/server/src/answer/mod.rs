//! Answers: envelopes around data and refusals, CSV, and their headers.

pub(crate) mod csv;
mod envelope;
pub(crate) mod gzip;
mod headers;
pub(crate) mod pretty;
mod stream;

use std::borrow::Cow;
use std::io;
use std::time::Instant;

use actix_web::http::header;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;
use validation::{MAX_ECHO, echo_size};

pub(crate) use self::envelope::{Data, Paging};
use self::envelope::{Tokens, Values};
use self::headers::{Audience, Headers};
use self::pretty::Indenter;
pub(crate) use self::stream::{Encoding, ListingWriter, Pace};
use crate::catalogue::{Bare, Refusal, RefusalText};
use crate::cost;
use crate::profile::{Chunks, Form, TokenOfRefusal, VersionShown};
use crate::request::exchange::Exchange;
use crate::request::header_names;
use crate::request::verb::Verb;

/// Only bodies above this size, in bytes, are compressed.
const GZIP_ABOVE: usize = 300;

/// About how many bytes an envelope takes without its data.
const ENVELOPE_SIZE: usize = 1_024;

/// Larger answers are charged to the budget and encoded in the lane, in bytes.
pub(crate) const LIGHT: usize = datastore::SMALL;

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
pub(crate) async fn success(exchange: &Exchange<'_>, success: Success) -> Result<Answer, Refusal> {
    let Success { status, data, revision, location, paging, new_token } = success;
    let mut values = values(exchange, paging);
    if let Some(token) = new_token {
        values.version = Some(Cow::Borrowed(exchange.app.version()));
        values.auth_token = Some(Cow::Owned(Value::from(token)));
    }
    values.revision = revision.map(Cow::Owned);
    let form = &exchange.profile().envelope.success;
    let size = data.size_hint();
    let mut encoding = encoding(exchange);
    let body = if size <= LIGHT {
        encode(form, &values, &data, encoding)
    } else {
        let indented = if encoding.is_pretty { pretty::most(size) } else { 0 };
        let room = exchange.reservation.grow_to(cost::of_document(size).saturating_add(indented)).await;
        if room.is_err() {
            if exchange.is_read() {
                return Err(Refusal::Busy);
            }
            // The write has happened. Its answer is sent as it is.
            encoding = Encoding::default();
        }
        // A write is in the lane already.
        if exchange.is_read() {
            let values = values.into_owned();
            exchange.lane().run(async move { encode(form, &values, &data, encoding) }).await?
        } else {
            encode(form, &values, &data, encoding)
        }
    };
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

/// A listing as CSV that is sent while it is read.
pub(crate) fn streamed_csv(
    exchange: &Exchange<'_>,
    chunks: BoxStream<'static, io::Result<Bytes>>,
    file_name: &str,
) -> Answer {
    Answer { body: Body::Stream(chunks), ..as_csv(exchange, Vec::new(), file_name) }
}

/// The answer for an empty listing as CSV.
pub(crate) fn no_csv() -> Answer {
    Answer { status: 204, headers: Headers::default(), body: Body::Empty }
}

/// A listing that is sent while it is read.
pub(crate) fn streamed(
    exchange: &Exchange<'_>,
    encoding: Encoding,
    chunks: BoxStream<'static, io::Result<Bytes>>,
) -> Answer {
    let mut headers = Headers::of_content(exchange, "application/json");
    if encoding.is_gzip {
        headers.push_of_gzip(exchange.profile().vary_of_compressed);
    }
    Answer { status: 200, headers, body: Body::Stream(chunks) }
}

/// The writer of a listing that is sent while it is read. It outlives its request.
pub(crate) fn listing_writer(
    exchange: &Exchange<'_>,
    pace: Pace,
    encoding: Encoding,
    start_key: Option<String>,
    revision: Option<String>,
) -> ListingWriter {
    let profile = exchange.profile();
    let mut values = values(exchange, Paging { start_key, ..Paging::default() });
    let form = match (pace, &profile.listing.chunks) {
        (Pace::RowByRow, Chunks::OnRequest(form)) => {
            // In this form, crossbar repeats the token only if it is text.
            values.auth_token = values.auth_token.filter(|token| token.is_string());
            form
        }
        _ => {
            values.revision = revision.map(Cow::Owned);
            &profile.envelope.streamed
        }
    };
    in_memory(ListingWriter::begin(values.into_owned(), form, encoding))
}

/// The encoding that the client asks for. The answer to a HEAD has no body, so nothing is compressed. As in
/// cowboy, it tells the length of the plain body.
pub(crate) fn encoding(exchange: &Exchange<'_>) -> Encoding {
    let has_body = exchange.incoming.method != Verb::Head;
    let is_gzip = has_body && gzip::takes_gzip(exchange.incoming.header(&header_names::ACCEPT_ENCODING));
    Encoding { is_pretty: exchange.is_pretty, is_gzip }
}

/// The answer to a preflight.
pub(crate) fn preflight(exchange: &Exchange<'_>) -> Answer {
    let headers = Headers::of_all(exchange, Audience::OtherOrigins);
    Answer { status: 200, headers, body: Body::Empty }
}

/// The page at paths without a version.
pub(crate) fn unversioned() -> Answer {
    page(200, "This is crossbar-groups: Kazoo's groups API. It begins at /v2/accounts/{ACCOUNT_ID}/groups\n")
}

/// The answer to who asks the wrong listener for health, metrics or the pages for people.
pub(crate) fn of_admin() -> Answer {
    page(404, "Health checks, metrics and pages are on the admin listener: see the setting admin_listen\n")
}

fn page(status: u16, text: &str) -> Answer {
    let mut headers = Headers::default();
    headers.push(header::CONTENT_TYPE, "text/plain; charset=UTF-8");
    Answer { status, headers, body: Body::Full(text.as_bytes().to_vec()) }
}

/// A refusal with the catalogue's text. `page_size` is the number of rows that a look-up has found.
pub(crate) fn refusal(exchange: &Exchange<'_>, refusal: &Refusal, page_size: Option<u64>) -> Answer {
    let RefusalText { status, message, data } = match refusal.text(exchange.api) {
        Err(bare) => return without_body(exchange, refusal, bare),
        Ok(text) => text,
    };
    let profile = exchange.profile();
    let mut values = values(exchange, Paging { page_size, ..Paging::default() });
    let room = MAX_ECHO.saturating_sub(refusal.echoed_bytes());
    values.auth_token = values.auth_token.filter(|token| echo_size(token, room).is_some());
    if profile.envelope.token_of_refusal == TokenOfRefusal::AsText {
        values.auth_token = Some(as_text(values.auth_token));
    }
    values.error = Some(status);
    values.message = Some(message);
    values.status = "error";
    let mut headers = Headers::of_all(exchange, Audience::OtherOrigins);
    push_own_headers(&mut headers, refusal);
    headers.push(header::CONTENT_TYPE, "application/json");
    let body = encode(&profile.envelope.refusal, &values, &Data::Value(data), encoding(exchange));
    finish(exchange, status, headers, body)
}

/// A token as text, as Erlang writes a term: `undefined` is no token.
fn as_text(token: Option<Cow<'_, Value>>) -> Cow<'_, Value> {
    match token {
        Some(token) if token.is_string() => token,
        Some(token) => Cow::Owned(Value::from(token.to_string())),
        None => Cow::Owned(Value::from("undefined")),
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
    let envelope = &exchange.profile().envelope;
    let tokens = envelope.shows_bucket.then(|| Tokens {
        consumed: exchange.limits.cost(exchange.charged()),
        remaining: app.buckets.level(&exchange.client(), &exchange.limits, Instant::now()),
    });
    let is_told = match envelope.version {
        VersionShown::ToCallers => exchange.caller.is_some(),
        VersionShown::ToAll => true,
    };
    Values {
        paging,
        version: is_told.then_some(Cow::Borrowed(app.version())),
        received_at: exchange.received_at,
        node: Cow::Borrowed(&app.node),
        request_id: Cow::Borrowed(&exchange.request_id),
        tokens,
        auth_token: exchange.presented.as_ref().map(Cow::Borrowed),
        error: None,
        message: None,
        revision: None,
        status: "success",
    }
}

/// The body of a plain answer, and whether it is compressed. It is indented if the client asks for that, unless
/// indenting would make it grow too much.
fn encode(form: &Form, values: &Values<'_>, data: &Data, encoding: Encoding) -> (Vec<u8>, bool) {
    let indented_size = match encoding.is_pretty {
        true => in_memory(pretty::indented_size(|out| envelope::write(form, values, data, out))),
        false => None,
    };
    let size = indented_size.unwrap_or_else(|| ENVELOPE_SIZE.saturating_add(data.size_hint()));
    let mut body = Vec::with_capacity(size);
    in_memory(match indented_size {
        Some(_) => envelope::write(form, values, data, &mut Indenter::new(&mut body)),
        None => envelope::write(form, values, data, &mut body),
    });
    match encoding.is_gzip && body.len() > GZIP_ABOVE {
        true => (in_memory(gzip::compress(&body)), true),
        false => (body, false),
    }
}

/// The result of writing into memory.
#[allow(
    clippy::expect_used,
    reason = "a list of bytes takes every byte, and JSON values can always be written"
)]
pub(crate) fn in_memory<T>(written: io::Result<T>) -> T {
    written.expect("writing into memory does not fail")
}

fn finish(
    exchange: &Exchange<'_>,
    status: u16,
    mut headers: Headers,
    (body, is_gzip): (Vec<u8>, bool),
) -> Answer {
    if is_gzip {
        headers.push_of_gzip(exchange.profile().vary_of_compressed);
    }
    Answer { status, headers, body: Body::Full(body) }
}
