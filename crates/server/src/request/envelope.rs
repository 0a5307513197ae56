//! The envelope of a request's body.

use serde_json::{Map, Value};

/// The content of a body: `data`, and the other top-level members under their normalised names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Envelope {
    /// The data. It is an empty object if the body has none.
    pub(crate) data: Value,
    /// The members beside `data`.
    pub(crate) members: Map<String, Value>,
}

impl Envelope {
    /// The envelope of a request without a usable body.
    pub(crate) fn empty() -> Self {
        Self { data: Value::Object(Map::new()), members: Map::new() }
    }
}
