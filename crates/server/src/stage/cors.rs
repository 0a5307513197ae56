//! Finds out whether a request is a cross-origin one.

use actix_web::http::header::HeaderMap;

/// Any of these headers makes a request a cross-origin one.
const CORS_HEADERS: [&str; 3] = ["origin", "access-control-request-method", "access-control-request-headers"];

/// Whether a request is a cross-origin one.
pub(crate) fn is_cors(headers: &HeaderMap) -> bool {
    CORS_HEADERS.iter().any(|name| headers.contains_key(*name))
}
