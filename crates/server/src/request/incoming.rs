//! A request as it arrived, before any stage has looked at it. It borrows its texts from the HTTP server
//! and owns only the body.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;

use super::verb::Verb;

/// A request.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    /// The method.
    pub(crate) method: Verb,
    /// The path, still escaped.
    pub(crate) path: &'a str,
    /// The query string, still escaped. Empty if there is none.
    pub(crate) query: &'a str,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The address at the other end of the connection.
    pub(crate) peer: Option<IpAddr>,
    /// The body. `None` if it was larger than the limit.
    pub(crate) body: Option<Bytes>,
}

impl<'a> Incoming<'a> {
    /// The first value of a header, if it is readable text.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of a header. Bytes that are not UTF-8 are replaced.
    pub(crate) fn lossy_header(&self, name: &str) -> Option<Cow<'a, str>> {
        Some(String::from_utf8_lossy(self.headers.get(name)?.as_bytes()))
    }
}
