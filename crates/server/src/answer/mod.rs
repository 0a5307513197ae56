//! Answers: the envelope around data or refusal, and the headers that go with it.

pub(crate) mod csv;
mod gzip;
mod pretty;

use std::time::Instant;

use futures::stream::BoxStream;
use jiff::Timestamp;
use kazoo::Time;
use serde_json::Value;

use crate::catalogue::{Bare, Refusal, Row};
use crate::request::exchange::Exchange;

/// Bodies up to this size, in bytes, are not worth compressing.
const GZIP_ABOVE: usize = 300;

/// What crossbar says of when a read expires: long ago.
const EXPIRES: &str = "Fri, 01 Jan 1999 00:00:00 GMT";

const ALLOW_HEADERS: &str = "content-type, depth, user-agent, x-http-method-override, x-file-size, \
    x-requested-with, if-modified-since, x-file-name, cache-control, x-auth-token, x-kazoo-cluster-id, if-match";
// `etag` stands twice in crossbar's.
const EXPOSE_HEADERS: &str =
    "content-type, x-auth-token, x-request-id, x-kazoo-cluster-id, location, etag, etag";

/// An answer, ready for the wire.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: Body,
}

/// The body of an answer.
pub(crate) enum Body {
    /// None.
    Empty,
    /// All of it.
    Full(Vec<u8>),
    /// As it comes, for as long as it comes without failing.
    Stream(BoxStream<'static, std::io::Result<bytes::Bytes>>),
}

/// A success with an envelope around it.
#[derive(Debug, Default)]
pub(crate) struct Success {
    /// The status.
    pub(crate) status: u16,
    /// The data as JSON text; empty where the answer has none.
    pub(crate) data: String,
    /// The stored revision, or what crossbar says in its place.
    pub(crate) revision: Option<String>,
    /// The path of what was created.
    pub(crate) location: Option<String>,
    /// The envelope's words about paging.
    pub(crate) paging: Paging,
    /// The token that a login gives; otherwise the one shown is repeated.
    pub(crate) new_token: Option<String>,
}

/// What an envelope says about paging.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paging {
    /// The wire form of the key that the next page begins with.
    pub(crate) next_start_key: Option<String>,
    /// How many items there are.
    pub(crate) page_size: Option<u64>,
    /// The wire form of the key that was asked for.
    pub(crate) start_key: Option<String>,
}

/// A success in its envelope.
pub(crate) fn success(exchange: &Exchange<'_>, success: Success) -> Answer {
    let is_known = exchange.caller.is_some() || success.new_token.is_some();
    let new_token = success.new_token.map(Value::from);
    let token = new_token.as_ref().or(exchange.presented.as_ref());
    let mut envelope = begin_envelope(exchange, &success.paging, is_known, token);
    if !success.data.is_empty() {
        push_raw(&mut envelope, "data", &success.data);
    }
    if let Some(revision) = &success.revision {
        push_text(&mut envelope, "revision", revision);
    }
    let body = end_envelope(exchange, envelope, "success");
    let mut headers = headers_of_content(exchange, "application/json");
    headers.extend(success.location.map(|location| ("location", location)));
    finish(exchange, success.status, headers, body)
}

/// Data as CSV, to be saved as a file of that name; what is empty has nothing to save.
pub(crate) fn as_csv(exchange: &Exchange<'_>, text: String, file_name: &str) -> Answer {
    let mut headers = headers_of_content(exchange, "text/csv");
    headers.push(("content-disposition", format!("attachment; filename=\"{file_name}\"")));
    Answer { status: 200, headers, body: Body::Full(text.into_bytes()) }
}

/// An empty listing as CSV.
pub(crate) fn no_csv() -> Answer {
    Answer { status: 204, headers: Vec::new(), body: Body::Empty }
}

/// A listing whose rows are sent as they come.
pub(crate) fn chunked(
    exchange: &Exchange<'_>,
    chunks: BoxStream<'static, std::io::Result<bytes::Bytes>>,
) -> Answer {
    let headers = headers_of_content(exchange, "application/json");
    Answer { status: 200, headers, body: Body::Stream(chunks) }
}

/// What the envelope of a chunked listing says behind its data and paging; all of it is text.
pub(crate) fn chunked_members(exchange: &Exchange<'_>) -> Vec<(&'static str, String)> {
    let mut members = vec![
        ("status", "success".to_owned()),
        ("request_id", exchange.request_id.clone()),
        ("node", exchange.app.node.clone()),
        ("version", exchange.app.version.clone()),
        ("timestamp", timestamp(exchange.received_at)),
    ];
    let token = exchange.presented.as_ref().and_then(Value::as_str);
    members.extend(token.map(|token| ("auth_token", token.to_owned())));
    members
}

/// The answer to a preflight.
pub(crate) fn preflight(exchange: &Exchange<'_>) -> Answer {
    Answer { status: 200, headers: headers_of_all(exchange, true), body: Body::Empty }
}

/// The page at paths that have no version.
pub(crate) fn unversioned() -> Answer {
    let text = "This is crossbar-groups: Kazoo's groups API. It begins at /v2/accounts/{ACCOUNT_ID}/groups\n";
    let headers = vec![("content-type", "text/plain; charset=UTF-8".to_owned())];
    Answer { status: 200, headers, body: Body::Full(text.as_bytes().to_vec()) }
}

/// A refusal as the catalogue words it. `page_size` is what a listing on the way to it had found.
pub(crate) fn refusal(exchange: &Exchange<'_>, refusal: &Refusal, page_size: Option<u64>) -> Answer {
    let row = match refusal.row() {
        Err(bare) => return without_body(exchange, bare),
        Ok(row) => row,
    };
    let Row { status, message, data } = row;
    let paging = Paging { page_size, ..Paging::default() };
    let is_known = exchange.caller.is_some();
    let mut envelope = begin_envelope(exchange, &paging, is_known, exchange.presented.as_ref());
    push_raw(&mut envelope, "data", &data.to_string());
    push_text(&mut envelope, "error", &status.to_string());
    push_text(&mut envelope, "message", message);
    let body = end_envelope(exchange, envelope, "error");
    let mut headers = headers_of_all(exchange, true);
    headers.push(("content-type", "application/json".to_owned()));
    finish(exchange, status, headers, body)
}

fn without_body(exchange: &Exchange<'_>, bare: Bare) -> Answer {
    let mut headers =
        if bare.is_without_headers() { Vec::new() } else { headers_of_all(exchange, exchange.is_cors) };
    if bare == Bare::NotModified {
        headers.extend(headers_of_read(exchange));
    }
    if bare == Bare::TunnelledPreflight {
        headers.push(("allow", "OPTIONS".to_owned()));
    }
    Answer { status: bare.status(), headers, body: Body::Empty }
}

/// Headers of an answer with content.
fn headers_of_content(exchange: &Exchange<'_>, content_type: &str) -> Vec<(&'static str, String)> {
    let mut headers = headers_of_all(exchange, exchange.is_cors);
    headers.push(("content-type", content_type.to_owned()));
    if exchange.is_read() {
        headers.extend(headers_of_read(exchange));
    }
    headers
}

fn headers_of_read(exchange: &Exchange<'_>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("expires", EXPIRES.to_owned())];
    headers.extend(exchange.etag.as_ref().map(|etag| ("etag", format!("\"{etag}\""))));
    headers
}

fn headers_of_all(exchange: &Exchange<'_>, with_cors: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-request-id", exchange.request_id.clone())];
    if let Some(language) = &exchange.language {
        headers.push(("content-language", language.clone()));
        headers.push(("vary", "accept-language, accept".to_owned()));
    }
    if with_cors {
        let requested = exchange.incoming.header("access-control-request-method");
        headers.push(("access-control-allow-origin", "*".to_owned()));
        headers.push(("access-control-allow-methods", exchange.methods.header_value(requested)));
        headers.push(("access-control-allow-headers", ALLOW_HEADERS.to_owned()));
        headers.push(("access-control-expose-headers", EXPOSE_HEADERS.to_owned()));
        headers.push(("access-control-max-age", "86400".to_owned()));
    }
    headers
}

fn finish(
    exchange: &Exchange<'_>,
    status: u16,
    mut headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> Answer {
    let wants_gzip = body.len() > GZIP_ABOVE && gzip::takes_gzip(exchange.incoming.header("accept-encoding"));
    if wants_gzip && let Ok(compressed) = gzip::compress(&body) {
        headers.push(("content-encoding", "gzip".to_owned()));
        return Answer { status, headers, body: Body::Full(compressed) };
    }
    Answer { status, headers, body: Body::Full(body) }
}

fn begin_envelope(exchange: &Exchange<'_>, paging: &Paging, is_known: bool, token: Option<&Value>) -> String {
    let mut envelope = String::with_capacity(512);
    envelope.push('{');
    if let Some(key) = &paging.next_start_key {
        push_text(&mut envelope, "next_start_key", key);
    }
    if let Some(size) = paging.page_size {
        push_raw(&mut envelope, "page_size", &size.to_string());
    }
    if let Some(key) = &paging.start_key {
        push_text(&mut envelope, "start_key", key);
    }
    // Only who has proven who they are is told what runs here.
    if is_known {
        push_text(&mut envelope, "version", &exchange.app.version);
    }
    push_text(&mut envelope, "timestamp", &timestamp(exchange.received_at));
    push_text(&mut envelope, "node", &exchange.app.node);
    push_text(&mut envelope, "request_id", &exchange.request_id);
    let consumed = exchange.limits.cost(exchange.charged());
    let remaining = exchange.app.buckets.level(&exchange.client(), &exchange.limits, Instant::now());
    let tokens = format!("{{\"consumed\":{consumed},\"remaining\":{remaining}}}");
    push_raw(&mut envelope, "tokens", &tokens);
    if let Some(token) = token {
        push_raw(&mut envelope, "auth_token", &token.to_string());
    }
    envelope
}

fn end_envelope(exchange: &Exchange<'_>, mut envelope: String, status: &str) -> Vec<u8> {
    push_text(&mut envelope, "status", status);
    envelope.push('}');
    if exchange.is_pretty { pretty::print(envelope) } else { envelope.into_bytes() }
}

fn push_text(envelope: &mut String, key: &str, text: &str) {
    push_raw(envelope, key, &Value::from(text).to_string());
}

fn push_raw(envelope: &mut String, key: &str, json: &str) {
    if !envelope.ends_with('{') {
        envelope.push(',');
    }
    envelope.push('"');
    envelope.push_str(key);
    envelope.push_str("\":");
    envelope.push_str(json);
}

/// A time as crossbar writes it, `2026-11-23T14:41:56Z`.
fn timestamp(time: Time) -> String {
    Timestamp::from_second(time.unix_seconds()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Time, timestamp};

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_444_916, "2026-11-23T14:41:56Z"),
        ] {
            assert_eq!(timestamp(Time::from_unix_seconds(seconds)), expected);
        }
    }
}
