//! The rows of a view or of all documents, one by one as they arrive. The answer is never held as a whole;
//! an error inside it, or an end before its end, is an error of the stream.

use std::time::Duration;

use datastore::{Deadline, DocId, Document, Members, ViewRow};
use futures::stream::{self, Stream, StreamExt};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{Answer, from_now};
use crate::splitter::{Piece, Shape, SplitError, Splitter};
use crate::{Call, Error, Settings};

/// An answer that is being cut into rows.
pub(crate) struct Rows {
    answer: Answer,
    splitter: Splitter,
    deadline: Option<Deadline>,
    /// Rows that are only useful together all come under the deadline. Otherwise it ends with the first
    /// one, and after that there is only `batch_timeout`.
    is_whole: bool,
    batch_timeout: Duration,
    max_row_bytes: usize,
    /// Of a member `error`, until the end of the answer has shown what else there is.
    error: Option<(Option<Value>, Option<Value>)>,
    is_over: bool,
}

impl Rows {
    pub(crate) fn new(answer: Answer, settings: &Settings, deadline: Deadline) -> Self {
        Self {
            answer,
            splitter: Splitter::new(Shape::ArrayIn("rows"), settings.max_row_bytes),
            deadline: Some(deadline),
            is_whole: false,
            batch_timeout: settings.batch_timeout,
            max_row_bytes: settings.max_row_bytes,
            error: None,
            is_over: false,
        }
    }

    /// The rows as a view has them.
    pub(crate) fn into_view(self) -> impl Stream<Item = Result<ViewRow, Error>> + Send + 'static {
        stream::unfold(self, move |mut rows| async move {
            if rows.is_over {
                return None;
            }
            let row = rows.next(view_row).await;
            rows.is_over = !matches!(row, Ok(Some(_)));
            row.transpose().map(|row| (row, rows))
        })
        .fuse()
    }

    /// The rows as documents that were asked for by id: all of them, under the deadline.
    pub(crate) async fn all_keyed(mut self) -> Result<Vec<Result<Document, Error>>, Error> {
        self.is_whole = true;
        let mut found = Vec::new();
        while let Some(row) = self.next(keyed_row).await? {
            found.push(row);
        }
        Ok(found)
    }

    async fn next<T>(&mut self, parse: fn(&Call, &[u8]) -> Result<T, Error>) -> Result<Option<T>, Error> {
        loop {
            match self.splitter.next().map_err(|error| self.split_error(&error))? {
                Some(Piece::Row(range)) => {
                    self.deadline = self.deadline.filter(|_| self.is_whole);
                    return parse(&self.answer.call, self.splitter.text(range)).map(Some);
                }
                Some(Piece::Member(name, range)) => {
                    let value = serde_json::from_slice(self.splitter.text(range)).ok();
                    self.member(&name, value);
                }
                None => match self.chunk().await? {
                    Some(chunk) => self.splitter.push(&chunk),
                    None => return self.end().map(|()| None),
                },
            }
        }
    }

    /// What stands beside the rows: mostly counts, sometimes an error.
    fn member(&mut self, name: &str, value: Option<Value>) {
        match name {
            "error" => self.error.get_or_insert_default().0 = value,
            "reason" => self.error.get_or_insert_default().1 = value,
            // Shards that did not answer: the rows are not all.
            "errors" if value.as_ref().is_none_or(|list| list.as_array().is_none_or(|l| !l.is_empty())) => {
                self.error = Some((Some("partial_rows".into()), value));
            }
            _ => {}
        }
    }

    fn end(&self) -> Result<(), Error> {
        if let Some((error, reason)) = &self.error {
            return Err(Error::refused_inside(&self.answer.call, error.as_ref(), reason.as_ref()));
        }
        self.splitter.finish().map_err(|error| self.split_error(&error))
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let until = self.deadline.map_or_else(|| from_now(self.batch_timeout), Deadline::instant);
        self.answer
            .next_chunk(until)
            .await
            .map_err(|error| error.unwrap_or_else(|| Error::DeadlineExceeded(self.answer.call.clone())))
    }

    fn split_error(&self, error: &SplitError) -> Error {
        let call = self.answer.call.clone();
        match error {
            SplitError::TooLarge => Error::AnswerTooLarge { call, max_bytes: self.max_row_bytes },
            error => Error::unreadable(&call, error),
        }
    }
}

/// The members of a row that matter.
struct Parts<'a> {
    id: Option<String>,
    key: Option<&'a RawValue>,
    value: Option<&'a RawValue>,
    doc: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    reason: Option<&'a RawValue>,
}

impl<'a> Parts<'a> {
    fn read(call: &Call, text: &'a [u8]) -> Result<Self, Error> {
        let members: Members<'a> =
            serde_json::from_slice(text).map_err(|error| Error::unreadable(call, error))?;
        let mut parts = Self { id: None, key: None, value: None, doc: None, error: None, reason: None };
        for (name, value) in members.0 {
            match &*name {
                "id" => parts.id = serde_json::from_str(value.get()).ok(),
                "key" => parts.key = Some(value),
                "value" => parts.value = Some(value),
                "doc" => parts.doc = Some(value).filter(|doc| doc.get() != "null"),
                "error" => parts.error = Some(value),
                "reason" => parts.reason = Some(value),
                _ => {}
            }
        }
        Ok(parts)
    }

    fn document(&self, call: &Call) -> Result<Option<Document>, Error> {
        let text = self.doc.map(RawValue::get);
        text.map(|text| Document::from_text(text).map_err(|error| Error::unreadable(call, error))).transpose()
    }

    fn refusal(&self, call: &Call) -> Error {
        let value = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let (error, reason): (Option<Value>, Option<Value>) = (value(self.error), value(self.reason));
        Error::refused_inside(call, error.as_ref(), reason.as_ref())
    }

    /// Whether this is how `_all_docs` answers for a deleted document.
    fn is_tombstone(&self) -> bool {
        let value: Option<Value> = self.value.and_then(|raw| serde_json::from_str(raw.get()).ok());
        value.is_some_and(|value| value.get("deleted") == Some(&Value::Bool(true)))
    }
}

fn view_row(call: &Call, text: &[u8]) -> Result<ViewRow, Error> {
    let parts = Parts::read(call, text)?;
    if parts.error.is_some() {
        return Err(parts.refusal(call));
    }
    let doc = parts.document(call)?;
    let (Some(id), Some(key), Some(value)) = (parts.id, parts.key, parts.value) else {
        return Err(Error::unreadable(call, "a row without id, key or value"));
    };
    Ok(ViewRow { id: DocId::from_store(id), key: key.to_owned(), value: value.to_owned(), doc })
}

/// A document that was asked for by its id, or that it is missing or deleted.
fn keyed_row(call: &Call, text: &[u8]) -> Result<Result<Document, Error>, Error> {
    let parts = Parts::read(call, text)?;
    if parts.error.is_some() {
        return match parts.refusal(call) {
            error if error.is_not_found() => Ok(Err(error)),
            error => Err(error),
        };
    }
    if let Some(doc) = parts.document(call)? {
        return Ok(Ok(doc));
    }
    if parts.is_tombstone() {
        let (error, reason) = ("not_found".into(), "deleted".into());
        return Ok(Err(Error::refused_inside(call, Some(&error), Some(&reason))));
    }
    Err(Error::unreadable(call, "a row without its document"))
}
