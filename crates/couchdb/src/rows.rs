//! Reads an answer made of rows while it arrives: a view, all documents, or a change feed. It never holds
//! the whole answer. It returns an error if the answer contains one or ends too early. The files above it
//! say what a row means and what happens after the end.

use std::time::Duration;

use datastore::{Deadline, DocId, Document, Members, Meter, SMALL};
use futures::FutureExt as _;
use futures::stream::{self, Stream};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Call, Error};
use crate::large::{LARGE, LargeTurn};
use crate::reply::{Reply, TimeLimit, off_the_loop};
use crate::splitter::{Piece, Shape, SplitError, Splitter};

/// How long a reader that found no room for a row waits before it asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the reader waits for the next bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// The whole answer has to come before the deadline.
    Whole(Deadline),
    /// The first row has to come before the deadline. After it the server may be silent for `then` at a time.
    FirstRow { deadline: Deadline, then: Duration },
    /// The server may be silent this long at a time. It sends heartbeats while there are no rows.
    Silence(Duration),
}

impl Wait {
    fn limit(self, has_rows: bool) -> TimeLimit {
        match self {
            Self::FirstRow { then, .. } if has_rows => TimeLimit::deadline_after(then),
            Self::Whole(deadline) | Self::FirstRow { deadline, .. } => TimeLimit::Deadline(deadline),
            Self::Silence(silence) => TimeLimit::Silence(silence),
        }
    }
}

/// Reads the rows of one answer. `T` is the type that the caller gets for each row.
#[derive(Debug)]
pub(crate) struct RowReader<T> {
    reply: Reply,
    shape: Shape,
    splitter: Splitter,
    wait: Wait,
    max_row_bytes: usize,
    read_row: fn(&Row<'_>) -> Result<T, Error>,
    has_rows: bool,
    tail: Tail,
    /// The turn of a large row, until the caller has the row.
    turn: Option<LargeTurn>,
    /// Whether bytes have come since the last pause.
    is_behind: bool,
    /// The caller's.
    meter: Meter,
    /// How many bytes of rows the meter has room for.
    held: usize,
}

/// How the reader got on.
pub(crate) enum Step<T> {
    /// A row.
    Row(T),
    /// All bytes that have come are read, and the next row has not begun.
    Pause,
    /// There are no more rows.
    End,
}

/// The members beside the rows.
#[derive(Debug, Default)]
struct Tail {
    error: Option<Value>,
    reason: Option<Value>,
    last_seq: Option<String>,
}

impl<T: Send + 'static> RowReader<T> {
    /// A row may have at most `max_row_bytes`. `read_row` turns its members into a `T`.
    pub(crate) fn new(
        reply: Reply,
        shape: Shape,
        wait: Wait,
        max_row_bytes: usize,
        read_row: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Self {
        let splitter = Splitter::new(shape, max_row_bytes);
        Self {
            reply,
            shape,
            splitter,
            wait,
            max_row_bytes,
            read_row,
            has_rows: false,
            tail: Tail::default(),
            turn: None,
            is_behind: false,
            meter: Meter::current(),
            held: SMALL,
        }
    }

    /// The request.
    pub(crate) fn call(&self) -> &Call {
        self.reply.call()
    }

    /// The next row, or `None` at the end of a complete answer.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            match self.advance().await? {
                Step::Row(row) => return Ok(Some(row)),
                Step::Pause => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// Reads on until there is a row, a pause between rows, or the end.
    pub(crate) async fn advance(&mut self) -> Result<Step<T>, Error> {
        loop {
            match self.splitter.next().map_err(|error| self.split_error(error))? {
                Some(Piece::Row(range)) => {
                    self.has_rows = true;
                    let _turn = self.turn.take();
                    if self.shape != Shape::Sequence && range.len() > SMALL {
                        // The caller has the row then, so it stays counted until the next one is large or ends.
                        let (call, text) = (self.reply.call().clone(), self.splitter.take(range));
                        let read_row = self.read_row;
                        let read = move || read_row(&Row::parse(&call, &text)?);
                        return off_the_loop(read).await.map(Step::Row);
                    }
                    let row = Row::parse(self.reply.call(), self.splitter.text(range))?;
                    match row.last_seq() {
                        // The last line of a continuous feed.
                        Some(last_seq) if self.shape == Shape::Sequence && row.id.is_none() => {
                            row.check()?;
                            self.tail.last_seq = Some(last_seq);
                        }
                        _ => return (self.read_row)(&row).map(Step::Row),
                    }
                }
                Some(Piece::Member(name, range)) => {
                    let value = serde_json::from_slice(self.splitter.text(range)).unwrap_or_default();
                    self.tail.add(&name, value);
                }
                None if self.is_behind && self.splitter.unfinished() == 0 => {
                    self.is_behind = false;
                    return Ok(Step::Pause);
                }
                None => {
                    let limit = self.wait.limit(self.has_rows);
                    if self.splitter.unfinished() > LARGE && self.turn.is_none() {
                        self.turn = Some(self.reply.large_turn(limit).await?);
                    }
                    self.hold(limit).await?;
                    match self.reply.next_chunk(limit).await? {
                        Some(chunk) => {
                            self.splitter.push(&chunk);
                            self.is_behind = true;
                        }
                        None => return self.check_end().map(|()| Step::End),
                    }
                }
            }
        }
    }

    /// Makes sure that the caller has room for more of an unfinished row.
    async fn hold(&mut self, limit: TimeLimit) -> Result<(), Error> {
        let unfinished = self.splitter.unfinished();
        let wanted = match unfinished > SMALL / 2 {
            true => unfinished.saturating_mul(2).min(self.max_row_bytes),
            false => SMALL,
        };
        if wanted > self.held {
            loop {
                match self.meter.scope(self.reply.hold(wanted, limit)).await {
                    Ok(()) => break,
                    // The caller may have sent rows already, so it waits longer than one that has got nothing.
                    Err(Error::NoRoom { .. })
                        if self.has_rows && matches!(self.wait, Wait::FirstRow { .. }) =>
                    {
                        let pause = tokio::time::sleep(PAUSE).map(Ok);
                        limit.apply(self.call(), pause).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.held = wanted;
        } else if unfinished == 0 && self.held > SMALL {
            // A large row has been handed over.
            let _ = self.meter.try_hold(SMALL);
            self.held = SMALL;
        }
        Ok(())
    }

    /// All rows.
    pub(crate) async fn all(&mut self) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// The rows as a stream. It ends after an error. The server was asked for at most `limit` rows. The row that
    /// reaches the limit comes with the end of the answer: a caller takes no more rows then, and a connection is
    /// kept for further requests only if its answer was read to the end.
    pub(crate) fn into_stream(
        self,
        limit: Option<u64>,
    ) -> impl Stream<Item = Result<T, Error>> + Send + 'static {
        // In a box, because each row moves it.
        stream::try_unfold((Some(Box::new(self)), limit), |(reader, left)| async move {
            let Some(mut reader) = reader else { return Ok(None) };
            let Some(row) = reader.next().await? else { return Ok(None) };
            let left = left.map(|left| left.saturating_sub(1));
            if left == Some(0) {
                reader.next().await?;
                return Ok(Some((row, (None, left))));
            }
            Ok(Some((row, (Some(reader), left))))
        })
    }

    /// After the end of a change feed, its last sequence.
    pub(crate) fn last_seq(&mut self) -> Option<String> {
        self.tail.last_seq.take()
    }

    fn check_end(&self) -> Result<(), Error> {
        let Tail { error, reason, .. } = &self.tail;
        if error.is_some() || reason.is_some() {
            return Err(Error::refused_inside(self.call(), error.as_ref(), reason.as_ref()));
        }
        self.splitter.finish().map_err(|error| self.split_error(error))
    }

    fn split_error(&self, error: SplitError) -> Error {
        match error {
            SplitError::TooLarge => {
                Error::AnswerTooLarge { call: self.call().clone(), max_bytes: self.max_row_bytes }
            }
            error => Error::unreadable(self.call(), error),
        }
    }
}

impl Tail {
    fn add(&mut self, name: &str, value: Value) {
        match name {
            "error" => self.error = Some(value),
            "reason" => self.reason = Some(value),
            // Some shards did not answer, so rows are missing.
            "errors" if value.as_array().is_none_or(|errors| !errors.is_empty()) => {
                self.error = Some("partial_rows".into());
                self.reason = Some(value);
            }
            "last_seq" => self.last_seq = Some(seq_text(&value)),
            _ => {}
        }
    }
}

/// The members of one row, as JSON text. The kind of the answer decides which of them are there.
pub(crate) struct Row<'a> {
    pub(crate) call: &'a Call,
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) key: Option<&'a RawValue>,
    pub(crate) value: Option<&'a RawValue>,
    pub(crate) seq: Option<&'a RawValue>,
    pub(crate) changes: Option<&'a RawValue>,
    pub(crate) deleted: Option<&'a RawValue>,
    last_seq: Option<&'a RawValue>,
    doc: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    reason: Option<&'a RawValue>,
}

impl<'a> Row<'a> {
    fn parse(call: &'a Call, text: &'a [u8]) -> Result<Self, Error> {
        // Looked at once as a whole. The parser would look at each member, twice.
        let text = std::str::from_utf8(text).map_err(|error| Error::unreadable(call, error))?;
        let members: Members<'a> =
            serde_json::from_str(text).map_err(|error| Error::unreadable(call, error))?;
        let mut row = Self {
            call,
            id: None,
            key: None,
            value: None,
            seq: None,
            changes: None,
            deleted: None,
            last_seq: None,
            doc: None,
            error: None,
            reason: None,
        };
        for (name, value) in members.0 {
            let member = match &*name {
                "id" => &mut row.id,
                "key" => &mut row.key,
                "value" => &mut row.value,
                "seq" => &mut row.seq,
                "changes" => &mut row.changes,
                "deleted" => &mut row.deleted,
                "last_seq" => &mut row.last_seq,
                "doc" => &mut row.doc,
                "error" => &mut row.error,
                "reason" => &mut row.reason,
                _ => continue,
            };
            *member = Some(value);
        }
        Ok(row)
    }

    /// An error that CouchDB put in the place of a row.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.error.is_none() {
            return Ok(());
        }
        let (error, reason) = (parsed(self.error), parsed(self.reason));
        Err(Error::refused_inside(self.call, error.as_ref(), reason.as_ref()))
    }

    pub(crate) fn id(&self) -> Option<DocId> {
        serde_json::from_str(self.id?.get()).ok().map(DocId::from_store)
    }

    /// The row's document, if the request asked for documents and this one exists.
    pub(crate) fn document(&self) -> Result<Option<Document>, Error> {
        let text = self.doc.map(RawValue::get).filter(|text| *text != "null");
        text.map(Document::from_text).transpose().map_err(|error| Error::unreadable(self.call, error))
    }

    /// The members of the row's document, also of one without a revision of the usual form.
    pub(crate) fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(self.doc?.get()).ok()
    }

    /// The row's sequence, if it is a change.
    pub(crate) fn seq(&self) -> Option<String> {
        parsed(self.seq).as_ref().map(seq_text)
    }

    fn last_seq(&self) -> Option<String> {
        parsed(self.last_seq).as_ref().map(seq_text)
    }

    /// The error for a row that lacks something.
    pub(crate) fn unreadable(&self, what: &'static str) -> Error {
        Error::unreadable(self.call, what)
    }
}

/// A member as a value.
pub(crate) fn parsed(raw: Option<&RawValue>) -> Option<Value> {
    serde_json::from_str(raw?.get()).ok()
}

/// A sequence as it is sent back. CouchDB's are strings; other servers use numbers or lists.
pub(crate) fn seq_text(seq: &Value) -> String {
    seq.as_str().map_or_else(|| seq.to_string(), str::to_owned)
}
