//! A local document: a note that a program keeps in a database for itself.

use serde_json::{Map, Value};

/// A local document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDocument {
    /// Its name, which CouchDB shows after `_local/`.
    pub name: String,
    /// Its members. Their names must not begin with `_`.
    pub body: Map<String, Value>,
}

/// Says whether a local document may go.
pub type LocalCheck<'a> = &'a (dyn Fn(&LocalDocument) -> bool + Send + Sync);
