//! The query string. Refuses a bad escape (400).

use crate::catalogue::Refusal;
use crate::grammar::percent::BadEscape;
use crate::grammar::query::Query;

/// Reads the query string of a request.
pub(crate) fn parse(raw: &str) -> Result<Query, Refusal> {
    Query::parse(raw.as_bytes())
        .map_err(|BadEscape| Refusal::malformed("query", "every % must be followed by two hex digits", None))
}
