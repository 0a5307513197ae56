//! View queries and their rows.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::Document;
use crate::error::{Cause, Result, StoreError};
use crate::name::DocId;

/// The view that a query reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ViewSource {
    /// CouchDB's `_all_docs`: every document including design documents. The key is the id, the value
    /// `{"rev":…}`.
    AllDocs,
    /// One view of a design document.
    View {
        /// The design document, without `_design/`.
        design: String,
        /// The view in it.
        view: String,
    },
}

/// A view query. The fields have CouchDB's names and meanings.
///
/// Rows are sorted by key, then by document id. `descending` reverses both orders, and `start_key` is then
/// the highest key. Both ends are inclusive unless `exclusive_end` is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewQuery {
    /// The view.
    pub source: ViewSource,
    /// Only rows with exactly this key. A different key that sorts as equal does not match.
    pub key: Option<Value>,
    /// The first key.
    pub start_key: Option<Value>,
    /// Among rows whose key equals `start_key` (or `key`), the first document id.
    pub start_key_doc_id: Option<String>,
    /// The last key.
    pub end_key: Option<Value>,
    /// Among rows whose key equals `end_key` (or `key`), the last document id.
    pub end_key_doc_id: Option<String>,
    /// Whether to leave out the rows whose key equals `end_key`. With `end_key_doc_id`, only those from
    /// that document on are left out.
    pub exclusive_end: bool,
    /// Whether to start at the highest key.
    pub descending: bool,
    /// The most rows to return.
    pub limit: Option<u64>,
    /// How many rows to skip first.
    pub skip: u64,
    /// Whether to return each row's document.
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

/// A value as JSON text. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// Checks that a text is one JSON value.
    ///
    /// # Errors
    /// `Corrupt` if it is not.
    pub fn parse(text: &str) -> Result<Self> {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Ok(raw.into()),
            Err(error) => Err(StoreError::Corrupt(Cause::with_source("a value is not JSON", error))),
        }
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for JsonText {
    fn from(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }
}

/// A row of a view. Key and value stay JSON text, because most rows are only forwarded.
#[derive(Clone, Debug)]
pub struct ViewRow {
    /// The document that emitted it.
    pub id: DocId,
    /// The emitted key.
    pub key: JsonText,
    /// The emitted value.
    pub value: JsonText,
    /// The document's newest content, if the query asked for it and the document still exists.
    pub doc: Option<Document>,
}

/// How many bytes a row counts for beside its key and value, where what a map function may emit is limited.
pub const ROW_OVERHEAD_BYTES: usize = 64;

/// The rows of a query, in their order. They arrive one after another, or are all there already.
pub struct RowStream(Rows);

enum Rows {
    Arriving(BoxStream<'static, Result<ViewRow>>),
    There { page: Arc<[ViewRow]>, next: usize },
}

impl RowStream {
    /// Rows that arrive.
    pub fn new(rows: impl Stream<Item = Result<ViewRow>> + Send + 'static) -> Self {
        Self(Rows::Arriving(Box::pin(rows)))
    }

    /// Rows that are there.
    #[must_use]
    pub fn of_page(page: Arc<[ViewRow]>) -> Self {
        Self(Rows::There { page, next: 0 })
    }

    /// All rows, if they are there and none was taken yet. To use them here copies nothing.
    #[must_use]
    pub fn page(&self) -> Option<&Arc<[ViewRow]>> {
        match &self.0 {
            Rows::There { page, next: 0 } => Some(page),
            Rows::There { .. } | Rows::Arriving(_) => None,
        }
    }
}

impl Stream for RowStream {
    type Item = Result<ViewRow>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Rows::Arriving(rows) => rows.as_mut().poll_next(cx),
            Rows::There { page, next } => {
                let row = page.get(*next).cloned();
                *next = next.saturating_add(1);
                Poll::Ready(row.map(Ok))
            }
        }
    }
}
