//! A request as it came over the wire, before anything is made of it.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;

/// A request.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The method as sent.
    pub(crate) method: String,
    /// The path, still escaped.
    pub(crate) path: String,
    /// The query string, still escaped; empty where there is none.
    pub(crate) query: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// Who is at the other end of the connection.
    pub(crate) peer: Option<IpAddr>,
    /// The body; none where it was larger than is taken.
    pub(crate) body: Option<Bytes>,
}

impl Incoming {
    /// A header's first value, where it is readable text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
