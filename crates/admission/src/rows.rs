//! Rows that hold a slot until they end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use datastore::{DbName, Deadline, Result, RowStream, ViewRow};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};

use crate::desk::Class;
use crate::gate::Slot;
use crate::large::{Large, is_large};
use crate::sizes::Question;

/// How long a stream that turns out to be large waits for a turn at most. The gate's own limit is usually shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Rows that hold a slot until they end. They end after an error.
pub(crate) struct RowsWithSlot {
    /// The rows are dropped first, and with them the connection, so that the slot is really free.
    open: Option<(RowStream, Slot)>,
    weighing: Option<Weighing>,
}

/// Sees how large a stream is.
pub(crate) struct Weighing {
    large: Arc<Large>,
    db: DbName,
    question: Question,
    rows: u64,
    bytes: usize,
    turn: Turn,
}

/// The turn of a large stream.
enum Turn {
    /// The stream holds an ordinary slot.
    Unneeded,
    /// It is large, and waits for a turn.
    Awaited(BoxFuture<'static, Option<Slot>>),
    /// Its slot is a turn.
    Held,
    /// No turn became free in time. It goes on in its ordinary slot, because its first rows may have been sent.
    Missed,
}

impl Weighing {
    /// Measures the answer to `question`, whose slot is a turn if `has_turn`.
    pub(crate) fn new(large: Arc<Large>, db: DbName, question: Question, has_turn: bool) -> Self {
        let turn = if has_turn { Turn::Held } else { Turn::Unneeded };
        Self { large, db, question, rows: 0, bytes: 0, turn }
    }

    /// Counts a row.
    fn add(&mut self, row: &ViewRow) {
        let was_large = is_large(self.bytes);
        let document = row.doc.as_ref().map_or(0, |document| document.text().len());
        let bytes = row.key.get().len().saturating_add(row.value.get().len()).saturating_add(document);
        self.bytes = self.bytes.saturating_add(bytes);
        self.rows = self.rows.saturating_add(1);
        if was_large {
            return;
        }
        if !is_large(self.bytes) {
            // The reader may not ask for the end of rows that are all there.
            if self.question.is_answered_by(self.rows) {
                self.large.sizes.note_light(self.question);
            }
            return;
        }
        self.large.sizes.note_large(self.question);
        if matches!(self.turn, Turn::Unneeded) {
            let (large, db) = (Arc::clone(&self.large), self.db.clone());
            self.turn = Turn::Awaited(Box::pin(async move {
                let deadline = Deadline::after(LONGEST_WAIT);
                large.gate.wait_for_slot(db.as_str(), Class::Stream, deadline).await
            }));
        }
    }

    /// Whether the stream is large and holds a turn.
    fn has_large_turn(&self) -> bool {
        matches!(self.turn, Turn::Held) && is_large(self.bytes)
    }
}

impl RowsWithSlot {
    pub(crate) fn new(rows: RowStream, slot: Slot) -> Self {
        Self { open: Some((rows, slot)), weighing: None }
    }

    pub(crate) fn with_weighing(self, weighing: Weighing) -> Self {
        Self { weighing: Some(weighing), ..self }
    }
}

impl Stream for RowsWithSlot {
    type Item = Result<ViewRow>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { open, weighing } = &mut *self;
        let Some((rows, slot)) = open else { return Poll::Ready(None) };
        if let Some(Weighing { turn, .. }) = weighing
            && let Turn::Awaited(awaited) = turn
        {
            *turn = match ready!(awaited.as_mut().poll(context)) {
                Some(granted) => {
                    *slot = granted;
                    Turn::Held
                }
                None => Turn::Missed,
            };
        }
        let has_large_turn = weighing.as_ref().is_some_and(Weighing::has_large_turn);
        if has_large_turn {
            slot.stand();
        }
        let row = ready!(rows.poll_next_unpin(context));
        match (&row, weighing) {
            (Some(Ok(row)), Some(weighing)) => {
                weighing.add(row);
                if has_large_turn {
                    slot.go_on();
                }
            }
            (Some(Ok(_)), None) => {}
            (None, Some(weighing)) if !is_large(weighing.bytes) => {
                weighing.large.sizes.note_light(weighing.question);
                *open = None;
            }
            _ => *open = None,
        }
        Poll::Ready(row)
    }
}
