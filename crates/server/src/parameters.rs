//! Generic parameters: values that crossbar looks for in the data, then in the query string, then in
//! the envelope.

use kazoo::term;
use serde_json::Value;

use crate::stage::body::Envelope;
use crate::stage::query::Query;

/// Where the parameters of a request stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    /// The query string.
    pub(crate) query: &'a Query,
    /// The body.
    pub(crate) envelope: &'a Envelope,
}

impl Parameters<'_> {
    /// The first value of that name.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let in_data = self.envelope.data.get(name).cloned();
        in_data.or_else(|| self.query.value(name)).or_else(|| self.envelope.members.get(name).cloned())
    }

    /// The first value of that name as text; what is no text is written as JSON.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        Some(match self.value(name)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Whether the first value of that name is true; `fallback` where there is none.
    pub(crate) fn is_true_or(&self, name: &str, fallback: bool) -> bool {
        self.value(name).map_or(fallback, |value| term::is_true(&value))
    }
}
