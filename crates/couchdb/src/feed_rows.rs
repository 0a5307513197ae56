//! One connection to a change feed: what it says, change by change. Coming back after it has broken is the
//! business of the file beside this one.

use std::time::{Duration, Instant};

use datastore::{Change, DocId, Document, Members, Rev};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{Answer, from_now};
use crate::splitter::{Piece, Shape, SplitError, Splitter};
use crate::{Call, Error};

/// What a feed says next.
pub(crate) enum Said {
    Change(Change),
    /// It has come to its end, and to this sequence where it named one.
    End(Option<String>),
}

/// What a feed is held to.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Longer than this it is never silent while it lives.
    pub(crate) silence: Duration,
    pub(crate) max_row_bytes: usize,
}

/// An open feed.
pub(crate) struct Connection {
    answer: Answer,
    splitter: Splitter,
    limits: Limits,
    last_seq: Option<String>,
    error: Option<(Option<Value>, Option<Value>)>,
    opened: Instant,
}

impl Connection {
    pub(crate) fn new(answer: Answer, shape: Shape, limits: Limits) -> Self {
        Self {
            answer,
            splitter: Splitter::new(shape, limits.max_row_bytes),
            limits,
            last_seq: None,
            error: None,
            opened: Instant::now(),
        }
    }

    /// How long it has lived.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The next change, or the end.
    pub(crate) async fn next(&mut self) -> Result<Said, Error> {
        loop {
            match self.splitter.next().map_err(|error| self.split_error(&error))? {
                Some(Piece::Row(range)) => match read_row(&self.answer.call, self.splitter.text(range))? {
                    FeedRow::Change(change) => return Ok(Said::Change(change)),
                    FeedRow::LastSeq(seq) => self.last_seq = Some(seq),
                },
                Some(Piece::Member(name, range)) => {
                    let value = serde_json::from_slice::<Value>(self.splitter.text(range.clone())).ok();
                    match name.as_str() {
                        "last_seq" => self.last_seq = value.map(|value| seq_text(&value)),
                        "error" => self.error.get_or_insert_default().0 = value,
                        "reason" => self.error.get_or_insert_default().1 = value,
                        _ => {}
                    }
                }
                None => match self.chunk().await? {
                    Some(chunk) => self.splitter.push(&chunk),
                    None => return self.end(),
                },
            }
        }
    }

    fn end(&mut self) -> Result<Said, Error> {
        if let Some((error, reason)) = &self.error {
            return Err(Error::refused_inside(&self.answer.call, error.as_ref(), reason.as_ref()));
        }
        self.splitter.finish().map_err(|error| self.split_error(&error))?;
        Ok(Said::End(self.last_seq.take()))
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let until = from_now(self.limits.silence);
        self.answer.next_chunk(until).await.map_err(|error| {
            error.unwrap_or_else(|| {
                let why = format!("silent for {} ms", self.limits.silence.as_millis());
                Error::no_answer(self.answer.call.clone(), why)
            })
        })
    }

    fn split_error(&self, error: &SplitError) -> Error {
        let call = self.answer.call.clone();
        match error {
            SplitError::TooLarge => Error::AnswerTooLarge { call, max_bytes: self.limits.max_row_bytes },
            error => Error::unreadable(&call, error),
        }
    }
}

enum FeedRow {
    Change(Change),
    /// The last line of a continuous feed.
    LastSeq(String),
}

fn read_row(call: &Call, text: &[u8]) -> Result<FeedRow, Error> {
    let unreadable = |what: &str| Error::unreadable(call, what);
    let members: Members<'_> =
        serde_json::from_slice(text).map_err(|error| Error::unreadable(call, error))?;
    let (mut seq, mut id, mut changes, mut deleted, mut doc) = (None, None, None, false, None);
    let (mut last_seq, mut error, mut reason) = (None, None, None);
    for (name, value) in members.0 {
        match &*name {
            "seq" => seq = value_of(value),
            "id" => id = value_of(value),
            "changes" => changes = value_of(value),
            "deleted" => deleted = value.get() == "true",
            "doc" => doc = Some(value).filter(|doc| doc.get() != "null"),
            "last_seq" => last_seq = value_of(value),
            "error" => error = value_of(value),
            "reason" => reason = value_of(value),
            _ => {}
        }
    }
    if error.is_some() {
        return Err(Error::refused_inside(call, error.as_ref(), reason.as_ref()));
    }
    if let (None, Some(last_seq)) = (&id, &last_seq) {
        return Ok(FeedRow::LastSeq(seq_text(last_seq)));
    }
    let id = id.as_ref().and_then(Value::as_str).ok_or_else(|| unreadable("a change without an id"))?;
    let seq = seq.ok_or_else(|| unreadable("a change without a sequence"))?;
    let rev = changes.as_ref().and_then(|changes| changes.get(0)?.get("rev")?.as_str());
    let rev =
        rev.and_then(|rev| Rev::parse(rev).ok()).ok_or_else(|| unreadable("a change without a revision"))?;
    let doc = doc
        .map(|doc| Document::from_text(doc.get()).map_err(|error| Error::unreadable(call, error)))
        .transpose()?;
    let id = DocId::from_store(id.to_owned());
    Ok(FeedRow::Change(Change { seq: seq_text(&seq), id, rev, deleted, doc }))
}

fn value_of(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// A sequence as it is handed back: CouchDB's are strings, other servers' numbers or lists.
pub(crate) fn seq_text(seq: &Value) -> String {
    seq.as_str().map_or_else(|| seq.to_string(), str::to_owned)
}
