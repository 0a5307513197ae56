//! The headers of answers.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use validation::MAX_ECHO;

use crate::profile::VaryOfCompressed;
use crate::request::exchange::Exchange;
use crate::request::header_names;

/// What every negotiated answer depends on.
const VARY: &str = "accept-language, accept";

/// What a negotiated answer depends on if it says that it may be compressed.
const VARY_OF_COMPRESSED: &str = "accept-language, accept, accept-encoding";

/// The date in the past that crossbar gives every read.
const EXPIRES: &str = "Fri, 01 Jan 1999 00:00:00 GMT";

/// Answers repeat the request's token, and a shared cache does not know `X-Auth-Token`. A client may keep a
/// read, and asks each time whether it is still current.
const CACHE_READ: &str = "private, no-cache";

/// Nobody may keep the answers to other requests. A login's holds a new token.
const CACHE_OTHER: &str = "no-store";

const ALLOW_HEADERS: &str = "content-type, depth, user-agent, x-http-method-override, x-file-size, \
    x-requested-with, if-modified-since, x-file-name, cache-control, x-auth-token, x-kazoo-cluster-id, if-match";
// crossbar lists `etag` twice.
const EXPOSE_HEADERS: &str =
    "content-type, x-auth-token, x-request-id, x-kazoo-cluster-id, location, etag, etag";

/// The headers of an answer in their order.
#[derive(Debug, Default)]
pub(crate) struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// The headers of every answer that crossbar itself gives, and those for the audience.
    pub(crate) fn of_all(exchange: &Exchange<'_>, audience: Audience) -> Self {
        let mut headers = Self(Vec::with_capacity(8));
        headers.push_text(header_names::X_REQUEST_ID.clone(), exchange.request_id.clone());
        headers.push(header::CACHE_CONTROL, if exchange.is_read() { CACHE_READ } else { CACHE_OTHER });
        if let Some(language) = &exchange.language {
            headers.push_text(header::CONTENT_LANGUAGE, language.clone());
            headers.push(header::VARY, VARY);
        }
        if audience == Audience::OtherOrigins {
            let requested = exchange.incoming.header(&header_names::ACCESS_CONTROL_REQUEST_METHOD);
            let requested = requested.filter(|method| method.len() <= MAX_ECHO);
            let methods = exchange.methods.header_value(requested);
            headers.push(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            headers.push_text(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.push(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
            headers.push(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
            headers.push(header::ACCESS_CONTROL_MAX_AGE, "86400");
        }
        headers
    }

    /// The headers of an answer with content.
    pub(crate) fn of_content(exchange: &Exchange<'_>, content_type: &'static str) -> Self {
        let mut headers = Self::of_all(exchange, Audience::of(exchange));
        headers.push(header::CONTENT_TYPE, content_type);
        if exchange.is_read() {
            headers.push_of_read(exchange);
        }
        headers
    }

    /// Adds the headers of a read.
    pub(crate) fn push_of_read(&mut self, exchange: &Exchange<'_>) {
        self.push(header::EXPIRES, EXPIRES);
        if let Some(etag) = &exchange.etag {
            self.push_text(header::ETAG, format!("\"{etag}\""));
        }
    }

    /// Adds the headers of a compressed answer.
    pub(crate) fn push_of_gzip(&mut self, vary: VaryOfCompressed) {
        self.push(header::CONTENT_ENCODING, "gzip");
        if vary == VaryOfCompressed::Unchanged {
            return;
        }
        match self.0.iter_mut().find(|(name, _)| *name == header::VARY) {
            Some((_, value)) => *value = HeaderValue::from_static(VARY_OF_COMPRESSED),
            None => self.push(header::VARY, "accept-encoding"),
        }
    }

    /// Adds a header with a fixed value.
    pub(crate) fn push(&mut self, name: HeaderName, value: &'static str) {
        self.0.push((name, HeaderValue::from_static(value)));
    }

    /// Adds a header. A value that no header can hold (one with a line break) is left out.
    pub(crate) fn push_text(&mut self, name: HeaderName, value: String) {
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(value)) {
            self.0.push((name, value));
        }
    }
}

impl IntoIterator for Headers {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The audience of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Pages of the same origin, and programs.
    SameOrigin,
    /// Pages of other origins too.
    OtherOrigins,
}

impl Audience {
    /// The audience of an answer to this request.
    pub(crate) fn of(exchange: &Exchange<'_>) -> Self {
        if exchange.is_cors { Self::OtherOrigins } else { Self::SameOrigin }
    }
}

#[cfg(test)]
mod tests {
    use super::{Headers, VARY, VaryOfCompressed, header};

    #[test]
    fn a_compressed_answer_has_one_vary_header() {
        let vary_of = |mut headers: Headers, vary| {
            headers.push_of_gzip(vary);
            let values = headers.into_iter().filter(|(name, _)| *name == header::VARY);
            values.map(|(_, value)| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let negotiated = || {
            let mut headers = Headers::default();
            headers.push(header::VARY, VARY);
            headers
        };
        let (unchanged, changed) = (VaryOfCompressed::Unchanged, VaryOfCompressed::AcceptEncoding);
        assert_eq!(vary_of(negotiated(), unchanged), ["accept-language, accept"]);
        assert_eq!(vary_of(negotiated(), changed), ["accept-language, accept, accept-encoding"]);
        assert_eq!(vary_of(Headers::default(), changed), ["accept-encoding"]);
        assert!(vary_of(Headers::default(), unchanged).is_empty());
    }

    #[test]
    fn a_value_that_no_header_can_hold_is_left_out() {
        let mut headers = Headers::default();
        headers.push_text(header::LOCATION, "/a\r\nset-cookie: b".to_owned());
        headers.push_text(header::LOCATION, "/é".to_owned());
        assert_eq!(headers.into_iter().count(), 1);
    }
}
