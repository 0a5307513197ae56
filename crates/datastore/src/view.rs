//! What can be asked of a view, and the rows that come back.

use futures::stream::BoxStream;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{DocId, Document, Result};

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewSource {
    /// All documents, design documents too, by id (`_all_docs`; the value is `{"rev":…}`).
    AllDocs,
    /// One view of a design document.
    View {
        /// The design document, without `_design/`.
        design: String,
        /// The view in it.
        view: String,
    },
}

/// A question to a view, with CouchDB's names and meanings.
///
/// Rows come sorted by key, then by document id; `descending` turns both around, and with it the ends
/// that `start_key` and `end_key` stand at. Both ends are inclusive unless `exclusive_end` is set.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewQuery {
    /// The view.
    pub source: ViewSource,
    /// Only rows with exactly this key: not those whose text merely sorts as equal to it.
    pub key: Option<Value>,
    /// The first key.
    pub start_key: Option<Value>,
    /// Among rows whose key equals `start_key` (or `key`), the first document id.
    pub start_key_doc_id: Option<String>,
    /// The last key.
    pub end_key: Option<Value>,
    /// Among rows whose key equals `end_key` (or `key`), the last document id.
    pub end_key_doc_id: Option<String>,
    /// Leave out rows whose key equals `end_key`; with `end_key_doc_id`, of these the ones from that
    /// document on.
    pub exclusive_end: bool,
    /// From the highest key down.
    pub descending: bool,
    /// At most so many rows.
    pub limit: Option<u64>,
    /// Pass over so many rows first.
    pub skip: u64,
    /// Hand out each row's document with it.
    pub include_docs: bool,
}

impl ViewQuery {
    /// All rows of a view, ascending.
    #[must_use]
    pub fn of(design: &str, view: &str) -> Self {
        Self::from_source(ViewSource::View { design: design.to_owned(), view: view.to_owned() })
    }

    /// All documents, ascending by id.
    #[must_use]
    pub fn all_docs() -> Self {
        Self::from_source(ViewSource::AllDocs)
    }

    fn from_source(source: ViewSource) -> Self {
        Self {
            source,
            key: None,
            start_key: None,
            start_key_doc_id: None,
            end_key: None,
            end_key_doc_id: None,
            exclusive_end: false,
            descending: false,
            limit: None,
            skip: 0,
            include_docs: false,
        }
    }
}

/// A row of a view. Key and value stay the JSON text that the store holds: most rows are only forwarded.
#[derive(Clone, Debug)]
pub struct ViewRow {
    /// The document that emitted it.
    pub id: DocId,
    /// The emitted key.
    pub key: Box<RawValue>,
    /// The emitted value.
    pub value: Box<RawValue>,
    /// The document's newest content, where the query asked for it and it is still there.
    pub doc: Option<Document>,
}

/// Rows as they arrive.
pub type RowStream = BoxStream<'static, Result<ViewRow>>;
