//! Finds out whether a request is a cross-origin one.

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::request::header_names;

/// Any of these headers makes a request a cross-origin one.
static CORS_HEADERS: [&HeaderName; 3] = [
    &header_names::ORIGIN,
    &header_names::ACCESS_CONTROL_REQUEST_METHOD,
    &header_names::ACCESS_CONTROL_REQUEST_HEADERS,
];

/// Whether a request is a cross-origin one.
pub(crate) fn is_cors(headers: &HeaderMap) -> bool {
    CORS_HEADERS.iter().any(|name| headers.contains_key(*name))
}
