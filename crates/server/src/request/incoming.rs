//! A request as it arrived, before any stage has looked at it. It borrows its texts from the HTTP server.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use bytes::Bytes;

use super::header_names;
use super::verb::Verb;

/// A request without its body.
#[derive(Clone, Debug)]
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
}

/// The body of a request, as far as it arrived.
#[derive(Debug)]
pub(crate) enum Received {
    /// All of it.
    Whole(Bytes),
    /// It is larger than this many bytes.
    TooLarge {
        /// The largest body that the request may have.
        limit: u64,
    },
    /// The server has no memory for it now.
    NoRoom,
}

impl<'a> Incoming<'a> {
    /// A request of the HTTP server.
    ///
    /// `long_query` is the query if the target could not hold it.
    pub(crate) fn of(request: &'a HttpRequest, long_query: Option<&'a str>) -> Self {
        Self {
            method: Verb::of_method(request.method().as_str()),
            path: request.uri().path(),
            query: long_query.or(request.uri().query()).unwrap_or_default(),
            headers: request.headers(),
            peer: request.peer_addr().map(|address| address.ip()),
        }
    }

    /// Whether the request is to be done only if the group has some revision, or has it not.
    pub(crate) fn has_precondition(&self) -> bool {
        self.headers.contains_key(&header_names::IF_MATCH)
            || self.headers.contains_key(&header_names::IF_NONE_MATCH)
    }

    /// The first value of a header, if it is readable text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of a header. Bytes that are not UTF-8 are replaced.
    pub(crate) fn lossy_header(&self, name: &HeaderName) -> Option<Cow<'a, str>> {
        let bytes = self.headers.get(name)?.as_bytes();
        // Nearly every value is text, and to read one as text is quicker.
        Some(std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed))
    }
}

/// A copy of a request that can move to another thread.
#[derive(Debug)]
pub(crate) struct Copied {
    method: Verb,
    path: String,
    query: String,
    headers: HeaderMap,
    peer: Option<IpAddr>,
}

impl Copied {
    /// Copies a request.
    pub(crate) fn of(incoming: &Incoming<'_>) -> Self {
        Self {
            method: incoming.method.clone(),
            path: incoming.path.to_owned(),
            query: incoming.query.to_owned(),
            headers: incoming.headers.clone(),
            peer: incoming.peer,
        }
    }

    /// Copies a request with only some of its headers.
    pub(crate) fn with_headers(incoming: &Incoming<'_>, names: &[&str]) -> Self {
        let mut headers = HeaderMap::new();
        let named = incoming.headers.iter().filter(|(name, _)| names.contains(&name.as_str()));
        for (name, value) in named {
            headers.append(name.clone(), value.clone());
        }
        Self {
            method: incoming.method.clone(),
            path: incoming.path.to_owned(),
            query: incoming.query.to_owned(),
            headers,
            peer: incoming.peer,
        }
    }

    /// How many bytes the values of its headers have.
    pub(crate) fn headers_size(&self) -> usize {
        self.headers.iter().map(|(_, value)| value.len()).sum()
    }

    /// The request.
    pub(crate) fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: self.method.clone(),
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            peer: self.peer,
        }
    }
}
